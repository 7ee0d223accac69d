"""What TensorBoard is told, read back by its own reader."""

import numpy as np
import pytest

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.metrics import read_metrics
from fer_transfer.tracking.trackers import tensorboard_tracker

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_a_stage_and_a_row_are_runs(tiny, tmp_path):
    finished = train(compose("train", [*tiny, "plan=emotiw", "logger=tensorboard"]))
    folders = {path.parent for path in (tmp_path / "store" / "tensorboard").rglob("events.*")}
    assert len(folders) == 2
    read = {folder.name: accumulator.EventAccumulator(str(folder)).Reload() for folder in folders}
    [stage] = [of for name, of in read.items() if name.startswith("emotiw_emotiw")]
    [row] = [of for of in read.values() if of is not stage]
    kept = read_metrics(finished.jobs[0].folder.metrics)
    for tag, column in (
        ("selection/macro_recall", "selection_macro_recall"),
        ("lr", "lr"),
        ("train/loss", "train_loss"),
    ):
        values = [(event.step, event.value) for event in stage.Scalars(tag)]
        assert values == [(n, pytest.approx(float(of[column]))) for n, of in enumerate(kept)]
    assert stage.Tags()["images"] == [
        f"confusion/{name}" for name in ("emotiw/Val", "fer2013/PrivateTest", "fer2013/PublicTest")
    ]
    [event] = row.Scalars("Val (found)/ours")
    assert np.isclose(event.value, 100 * stage.Scalars("emotiw/Val/accuracy_found")[0].value, atol=1e-4)
    assert "_hparams_/session_start_info" in stage.summary_metadata


def test_where_it_is_not_installed_the_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_transfer.tracking.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'fer_transfer\[tensorboard\]'"):
        tensorboard_tracker(None, True, 1.0, 0.0, str(tmp_path))
