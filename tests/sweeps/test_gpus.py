"""Two processes on two GPUs that are not there: the driver's count is the only thing that is made up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
import os, sys
from pathlib import Path
from fer_transfer.sweeps.gpus import take_gpu
slot = take_gpu(float(sys.argv[1]), Path(sys.argv[2]))
again = take_gpu(float(sys.argv[1]), Path(sys.argv[2]))
print(slot, os.environ.get("CUDA_VISIBLE_DEVICES"), again, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Start a process that takes a GPU of two and holds it; returns the process and what it says."""
    running = []
    (tmp_path / "torch.py").write_text("class cuda:\n    device_count = staticmethod(lambda: 2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(share: float, **environment: str):
        path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(share), str(tmp_path / "slots")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path} | environment,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def said(process) -> str:
    return process.stdout.readline().strip()


def test_each_process_has_a_gpu_of_its_own_and_a_killed_one_gives_it_back(job):
    first = job(1)
    assert said(first) == "0 0 None"
    assert said(job(1)) == "1 1 None"
    third = job(1)
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(1.5)  # waits for its turn
    first.kill()
    assert said(third) == "0 0 None"


def test_shares_fill_every_gpu_once_before_any_twice(job):
    assert [said(job(0.5)) for _ in range(4)] == ["0 0 None", "1 1 None", "2 0 None", "3 1 None"]


def test_names_that_are_visible_are_kept(job):
    seen = {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    assert [said(job(1, **seen)) for _ in range(2)] == ["0 GPU-a None", "1 GPU-b None"]
