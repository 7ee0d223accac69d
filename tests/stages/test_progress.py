"""What fer-train prints while it trains."""

import re

import pytest

from fer_transfer.cli.train import train
from fer_transfer.config import compose
from fer_transfer.stages import progress
from fer_transfer.stages.progress import read_metrics

_LINE = re.compile(r"emotiw (\d)/2 at (\d+)%  loss ([\d.]+)  \d+ faces/s  \d+ s left of this epoch")


def run(tiny, style):
    return train(compose("train", [*tiny, "plan=emotiw", "recipe.batch_size=8", f"runtime.progress={style}"]))


def test_long_epochs_say_where_they_are(tiny, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_WITHIN", 0.0)  # a line after every batch but the last
    finished = run(tiny, "lines")
    found = [(int(epoch), int(share), float(loss)) for epoch, share, loss in _LINE.findall(capsys.readouterr().out)]
    for row in read_metrics(finished.jobs[-1].folder.metrics):
        lines = [(share, loss) for epoch, share, loss in found if epoch == int(row["epoch"]) + 1]
        shares, losses = zip(*lines, strict=True)
        assert len(set(shares)) == len(shares) and list(shares) == sorted(shares) and shares[-1] < 100
        assert min(losses) <= float(row["train_loss"]) + 0.1 and max(losses) >= float(row["train_loss"]) - 0.1


@pytest.mark.parametrize(("seconds", "style"), [(60.0, "lines"), (0.0, "none"), (0.0, "bar")])
def test_short_epochs_and_other_styles_say_nothing_more(tiny, monkeypatch, capsys, seconds, style):
    monkeypatch.setattr(progress, "_WITHIN", seconds)
    run(tiny, style)
    assert not _LINE.search(capsys.readouterr().out)
