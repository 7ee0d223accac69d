"""fer-train advice=true: what is measured, what is advised of it, and that nothing is trained or changed."""

import pytest
import torch

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages import advice
from fer_transfer.stages.advice import Way

SMALL = ["plan=emotiw", "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.crop=32", "advice=true"]


def test_every_setting_is_measured_and_nothing_is_trained(tmp_path, monkeypatch, command):
    monkeypatch.setattr(advice, "_SECONDS", 0)
    threads = torch.get_num_threads()
    code, out, err = command("train", *SMALL, "recipe.augment.resize=36", "recipe.batch_size=4", "runtime.threads=2")
    assert (code, err) == (0, "")
    for word in (
        "as given",
        "channels_last=false",
        "threads=1",
        "precision=bf16-mixed",
        "batch_size=2",
        "batch_size=8",
    ):
        [line] = [line for line in out.splitlines() if word in line and line.startswith("  ")][:1]
        assert float(line.split()[0]) > 0
    assert (
        "steps (crop, mirror, network, optimiser) of test_resnet with random faces on " in out
        and "othing was trained." in out
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "neither faces nor a store is needed or made"
    torch.set_num_threads(threads)


def test_what_is_clearly_faster_is_kept_while_the_next_is_tried(monkeypatch, capsys):
    """Faces a second as some processor has them: here the default format is slower, more so with a larger batch."""

    def rate(backbone, recipe, way, device):
        return way.batch_size**0.1 * (2 - way.channels_last) * (0.1 if way.precision == "bf16-mixed" else 1)

    monkeypatch.setattr(advice, "rate", rate)
    assert train(compose("train", [*SMALL, "recipe.augment.resize=36", "runtime.threads=2"])) is None
    out = capsys.readouterr().out
    assert "Fastest, 2.14 times: runtime.channels_last=false recipe.batch_size=256\n" in out
    assert "another recipe" in out and "runtime.channels_last=false recipe.precision=bf16-mixed" in out
    monkeypatch.setattr(advice, "rate", lambda *_: 1.04 if _[2].channels_last is False else 1.0)
    train(compose("train", [*SMALL, "recipe.augment.resize=36"]))
    assert "The settings as given are the fastest of these" in capsys.readouterr().out


def test_words_are_settings_of_fer_train():
    given, other = Way(True, 2, "32-true", 64), Way(False, 1, "bf16-mixed", 32)
    words = other.words(given)
    config = compose("train", words)
    assert (config.runtime.channels_last, config.runtime.threads) == (False, 1)
    assert (config.recipe.precision, config.recipe.batch_size) == ("bf16-mixed", 32) and given.words(given) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiment=geometry", "advice=true"], "a network that sees pixels for advice=true"),
        ([*SMALL, "recipe.precision=16-mixed", "runtime.device=cpu"], "a GPU for recipe.precision=16-mixed"),
    ],
)
def test_what_cannot_be_measured_is_said(words, message):
    with pytest.raises(ConfigError, match=message):
        train(compose("train", words))
