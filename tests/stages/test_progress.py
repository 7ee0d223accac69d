"""What fer-train prints while it trains."""

import re

import pytest

from fer_transfer.cli.train import train
from fer_transfer.settings import compose
from fer_transfer.stages import progress
from fer_transfer.stages.metrics import read_metrics

_LINE = re.compile(r"seed 0 (\d)/2 at (\d+)% loss ([\d.]+), \d+ s left of this epoch")


def run(tiny, style):
    return train(compose("train", [*tiny, "plan=emotiw", "recipe.batch_size=8", f"runtime.progress={style}"]))


def test_long_epochs_say_where_they_are(tiny, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_NOW", 0.0)
    monkeypatch.setattr(progress, "_WITHIN", 0.0)  # a line after every batch but the last
    finished = run(tiny, "lines")
    found = [(int(epoch), int(share), float(loss)) for epoch, share, loss in _LINE.findall(capsys.readouterr().out)]
    for row in read_metrics(finished.jobs[-1].folder.metrics):
        lines = [(share, loss) for epoch, share, loss in found if epoch == int(row["epoch"]) + 1]
        shares, losses = zip(*lines, strict=True)
        assert len(set(shares)) == len(shares) and list(shares) == sorted(shares) and shares[-1] < 100
        assert min(losses) <= float(row["train_loss"]) + 0.1 and max(losses) >= float(row["train_loss"]) - 0.1


@pytest.mark.parametrize(
    ("columns", "told"), [(50, []), (70, ["selection", "s left"]), (120, ["selection", "s left", "train", "/s"])]
)
def test_an_epochs_line_is_no_wider_than_the_terminal_and_whole_in_the_log(tiny, monkeypatch, capsys, columns, told):
    monkeypatch.setenv("COLUMNS", str(columns))
    finished = run(tiny, "lines")
    lines = [line for line in capsys.readouterr().out.splitlines() if " loss " in line]
    assert len(lines) == 2 and all(len(line) <= columns for line in lines)
    for line in lines:
        assert [word for word in ("selection", "s left", "train", "/s") if word in line] == told
    assert finished.jobs[-1].folder.log.read_text().count("/s\n") == 2


@pytest.mark.parametrize(("seconds", "style"), [(60.0, "lines"), (0.0, "none")])
def test_short_epochs_and_other_styles_say_nothing_more(tiny, monkeypatch, capsys, seconds, style):
    monkeypatch.setattr(progress, "_WITHIN", seconds)
    run(tiny, style)
    assert not _LINE.search(capsys.readouterr().out)


def test_the_rate_of_an_epoch_is_that_of_its_last_step(tiny):
    options = ["plan=emotiw", "recipe.epochs=3", "recipe.scheduler.every=1", "runtime.progress=none"]
    rows = read_metrics(train(compose("train", [*tiny, *options])).jobs[-1].folder.metrics)
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.02, 0.002, 0.0002])


def test_the_rate_within_a_schedule_of_steps(tiny):
    """Half a cosine over 2 epochs of 3 steps: the last ones stand at 2/6 and 5/6 of it."""
    options = ["plan=emotiw", "scheduler=warmup_cosine", "recipe.scheduler.warmup=0", "runtime.progress=none"]
    finished = train(compose("train", [*tiny, *options, "recipe.batch_size=16"]))
    rates = [float(row["lr"]) for row in read_metrics(finished.jobs[-1].folder.metrics)]
    assert rates == pytest.approx([0.02 * 0.75, 0.02 * 0.0669873], rel=1e-2)
