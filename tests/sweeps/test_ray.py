"""A Ray of a head and a worker node, as two processes on this machine: a worker is killed, then the cluster is gone."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import pytest
from clusters import content, epochs, start, undisturbed, until, workers

pytestmark = pytest.mark.cluster
pytest.importorskip("ray", reason="needs the extra: pip install -e '.[ray]'")

RUN = ["-m", "hydra/launcher=ray"]


@pytest.fixture(autouse=True)
def short_paths(monkeypatch):
    """Ray keeps sockets in the temporary directory, whose paths have to be short."""
    monkeypatch.delenv("TMPDIR")


@pytest.fixture
def ray(monkeypatch):
    """Address and processes of a running Ray: a head with one core, a node with another, and a secret that they share."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [
        "--block",
        "--num-cpus=1",
        "--num-gpus=0",
        "--object-store-memory=128000000",
        "--node-ip-address=127.0.0.1",
    ]
    head = ["--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false", "--disable-usage-stats"]
    temporary = f"--temp-dir=/tmp/ray-{os.getpid()}"  # sockets want a short path
    nodes = [_node([*head, temporary, *options])]
    until(lambda: _answers(address), 60, "the head")
    nodes.append(_node([f"--address={address}", *options]))
    time.sleep(3)
    yield address, nodes
    for node in nodes:
        end(node)


def _node(options: list[str]) -> "subprocess.Popen[bytes]":
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
    return subprocess.Popen(command, start_new_session=True, **quiet)


def end(node: "subprocess.Popen[bytes]") -> None:
    """A node, and what it started."""
    if node.poll() is None:
        node.send_signal(signal.SIGTERM)
        node.wait(60)


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def test_a_killed_worker_is_taken_up_again_from_its_checkpoint(ray, tiny, tmp_path):
    address, _ = ray
    rows, store = [*tiny, "recipe.epochs=30", "plan=fer28,emotiw,fer28_emotiw"], tmp_path / "store"
    process = start(tmp_path, *RUN, f"hydra.launcher.address={address}", *rows)
    until(lambda: epochs(store) >= 3, 300, "the third epoch")
    os.kill(workers(store)[0], signal.SIGKILL)
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 0, err
    assert content(store) == undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")


def test_a_cluster_that_is_lost_ends_the_sweep_with_a_line(ray, tiny, tmp_path):
    address, nodes = ray
    rows = [*tiny, "recipe.epochs=9999", "plan=fer28"]
    process = start(tmp_path, *RUN, f"hydra.launcher.address={address}", *rows)
    until(lambda: epochs(tmp_path / "store") >= 2, 300, "the second epoch")
    for node in nodes:
        end(node)
    err = process.communicate(timeout=200)[1]
    assert process.returncode == 1, err
    assert f"The Ray cluster at {address} is gone" in err and "Traceback" not in err, err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
def test_a_cluster_that_is_not_there_is_told_once(tiny, tmp_path, address):
    rows = [*tiny, "plan=emotiw", "recipe.seed=0,1"]
    process = start(tmp_path, *RUN, f"hydra.launcher.address={address}", *rows)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    [line] = err.splitlines()
    assert line.startswith("error: Expected a running Ray ") and "ray start --head" in line


def test_a_ray_of_its_own(tiny, tmp_path):
    rows = [*tiny, "plan=emotiw,fer28_emotiw"]
    process = start(tmp_path, *RUN, *rows)
    err = process.communicate(timeout=400)[1]
    assert process.returncode == 0 and not err, err
    assert content(tmp_path / "store") == undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")
