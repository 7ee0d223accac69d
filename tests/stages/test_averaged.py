"""Averages of weights: what they are, what is watched and kept, and how they outlive an interruption."""

import pandas
import pytest
import torch
from safetensors.torch import load_file

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.stages.checkpoint import Resumable
from fer_transfer.stages.progress import read_metrics

OPTIONS = ["plan=emotiw", "recipe.epochs=4", "recipe.batch_size=16"]


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *OPTIONS, *overrides])).jobs[-1].folder


def steps_of(monkeypatch, dies_after=None):
    """The trained weights after each step, as (epoch, batch, weights); the process may die after one of them."""
    steps, original = [], Resumable.on_train_batch_end

    def seen(self, trainer, module, outputs, data, index):
        steps.append((trainer.current_epoch, index, {k: v.clone() for k, v in module.network.state_dict().items()}))
        original(self, trainer, module, outputs, data, index)
        if (trainer.current_epoch, index) == dies_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Resumable, "on_train_batch_end", seen)
    return steps


def moving_average(steps, decay):
    average = dict(steps[0][2])
    for n, (_, _, weights) in enumerate(steps[1:], 1):
        kept = min(decay, (1 + n) / (10 + n))
        average = {name: kept * old + (1 - kept) * weights[name] for name, old in average.items()}
    return average


def mean_of_ends(steps, epochs):
    last = max(batch for _, batch, _ in steps)
    ends = [weights for epoch, batch, weights in steps if batch == last and epoch in epochs]
    return {name: torch.stack([end[name].double() for end in ends]).mean(dim=0) for name in ends[0]}


@pytest.mark.parametrize("words", ["recipe.averaging.ema=0.5", "recipe.averaging.swa=0.6"])
def test_the_average_is_kept_and_watched(tiny, monkeypatch, words):
    steps = steps_of(monkeypatch)
    folder = run(tiny, words)
    expected = moving_average(steps, 0.5) if "ema" in words else mean_of_ends(steps, {1, 2, 3})
    kept, trained = load_file(folder.weights), steps[-1][2]
    assert any(not torch.allclose(kept[name].float(), trained[name].float(), atol=1e-4) for name in kept)
    for name, tensor in kept.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor.double(), expected[name].double(), rtol=1e-4, atol=1e-6), name
    [path] = (folder.path / "predictions").glob("emotiw.Val.*.csv")
    faces = pandas.read_csv(path)
    predicted = faces[list(EXPRESSIONS)].idxmax(axis=1)
    accuracy = float(read_metrics(folder.metrics)[-1]["selection_accuracy"])
    assert accuracy == pytest.approx((predicted == faces["label"]).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("words", "dies_after"),
    [
        (["recipe.averaging.ema=0.9", "recipe.keep=best"], (2, 1)),
        (["recipe.averaging.swa=0.5"], (3, 0)),
        (["recipe.averaging.ema=0.9"], "behind the last epoch"),
    ],
)
def test_an_interrupted_stage_goes_on_with_its_average(tiny, tmp_path, monkeypatch, words, dies_after):
    whole = load_file(run(tiny, *words).weights)
    options = [*words, f"runtime.store={tmp_path / 'other'}", "runtime.checkpoint_minutes=0"]
    if isinstance(dies_after, str):
        monkeypatch.setattr("fer_transfer.stages.fit._refuse_diverged", lambda *_: exit(1))
    else:
        steps_of(monkeypatch, dies_after)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tiny, *options)
    monkeypatch.undo()
    resumed = load_file(run(tiny, *options).weights)
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipe.averaging.ema=1"], "below 1 such as 0.999, but got 1"),
        (["recipe.averaging.swa=1.5"], "a share of the epochs, but got 1.5"),
        (["recipe.averaging.ema=0.9", "recipe.averaging.swa=0.5"], "Keep one average"),
        (["recipe.averaging.swa=0.5", "recipe.keep=best"], "there is none to choose"),
    ],
)
def test_what_cannot_be_averaged_is_refused(tiny, words, message):
    with pytest.raises(ConfigError, match=message):
        run(tiny, *words)
