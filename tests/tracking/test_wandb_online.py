"""What wandb's server is sent, by its own client, and what becomes of a server that takes some of it or none."""

import time
from dataclasses import replace

import pytest
from wandb_files import read_all
from wandb_server import wandb_server

from fer_transfer.stages.lineage import Lineage
from fer_transfer.stages.store import StageFolder
from fer_transfer.tracking.follower import Follower
from fer_transfer.tracking.runs import initial_weights, stage_run
from fer_transfer.tracking.sending import how_to_send, runs_in
from fer_transfer.upkeep.contents import read_stage

pytestmark = pytest.mark.long

OPTIONS = {
    "kind": "wandb", "project": "p", "entity": None, "offline": False, "weights": True, "pictures": 0, "timeout": 20,
    "quiet": False, "longest": None,
}  # fmt: skip


@pytest.fixture
def at(monkeypatch):
    """Logged in at a server."""

    def log_in(server):
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        return server

    return log_in


def follow(folder, *messages):
    """What a follower that is told this says."""
    said = []
    follower = Follower({**OPTIONS, "folder": str(folder)}, said.append)
    for message in messages:
        follower.tell(message)
    follower.end()
    assert follower.wait(time.monotonic() + 60)
    return said


def epoch(number):
    return {"epoch": {"epoch": str(number), "train_loss": "1.5", "lr": "0.1"}}


@pytest.fixture
def stage(trained):
    """A finished stage, as if it had started from ImageNet's weights."""
    kept = read_stage(StageFolder(next(trained.store.glob("*/result.json")).parent))
    lineage = replace(kept.lineage, weights="hub:test_resnet.r160_in1k:0123", pretraining=None)
    own = replace(lineage.stages[-1], start="hub:test_resnet.r160_in1k:0123")
    run = stage_run("plan", "group", None, replace(lineage, stages=(*lineage.stages[:-1], own)), own.recipe)
    return kept, {"start": run.to_json(), "store": str(trained.store), "faces": {}}


def test_an_interrupted_run_goes_on_at_the_server(tmp_path, at, stage):
    kept, start = stage
    with wandb_server() as server:
        at(server)
        assert follow(tmp_path, start, epoch(0), epoch(1)) == [] and server.finished == {kept.key: 1}
        done = {"finish": str(kept.folder.path)}
        assert follow(tmp_path, start, epoch(1), epoch(2), done) == [] and server.finished == {kept.key: 0}
    told = [row["epoch"] for row in server.history[kept.key] if "train/loss" in row]
    assert told == [0, 1, 2], "each once"
    (first, first_used), (second, second_used), (own, by) = server.artifacts
    assert first == second == "ImageNet-hub-test_resnet.r160_in1k-0123" and first_used is second_used is None
    assert by == kept.key and own.endswith(kept.key[:8])
    assert len(list(runs_in(tmp_path / "wandb"))) == 1
    assert how_to_send({"kind": "wandb", "folder": str(tmp_path)}) == [], "all of it is there"


@pytest.mark.parametrize(
    ("status", "from_the_start", "said"),
    [(401, True, "wandb login --relogin"), (400, False, "to be sent later")],
    ids=["a bad key", "it takes the run and nothing more"],
)
def test_what_a_server_refuses_is_kept_to_be_sent(tmp_path, at, stage, status, from_the_start, said):
    kept, start = stage
    with wandb_server(status, from_the_start) as server:
        at(server)
        [warning] = follow(tmp_path, start, epoch(0), {"finish": str(kept.folder.path)})
    assert warning.startswith("warning: wandb: ") and said in warning and "sent later" in warning
    run = read_all(tmp_path)[kept.key]
    assert [row["epoch"] for row in run.history if "train/loss" in row] == [0] and run.exit_code == 0
    assert "1 run is not sent" in how_to_send({"kind": "wandb", "folder": str(tmp_path)})[0]


@pytest.mark.parametrize(("text", "said"), [("bvlc_alexnet a.safetensors", "ImageNet"), ("mine a.pth", "pre-trained")])
def test_initial_weights_are_called_what_they_are(text, said):
    backbone, weights = text.split()
    assert initial_weights(Lineage(weights, None, ()), "sha256:0", backbone)["pretraining"] == said
    assert initial_weights(Lineage("none", "no pre-training", ()), "none", backbone) is None
