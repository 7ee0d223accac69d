"""The paper's grid in pieces on a machine without network: the real script, on a processor, with a tiny network."""

import time
import zipfile
from pathlib import Path

import pytest
import tiny
from starting import run, start

from fer_transfer.reports.files import write_csv
from fer_transfer.reports.report import load_report
from fer_transfer.study import study_called

SCRIPT = str(Path(__file__).resolve().parents[1] / "experiments" / "paper_gpu" / "grid.py")
WORDS = [
    "--network=timm", "--seeds=0", "plan=fer28_emotiw", "recipe.backbone.name=test_resnet", "recipe.augment.resize=36",
    "recipe.augment.crop=32", "recipe.batch_size=32", "recipe.epochs=3", "recipe.optimizer.lr=0.02", "runtime.device=cpu",
]  # fmt: skip


def script(*words, code=0):
    done = run(SCRIPT, *map(str, words))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def carried(tmp_path, faces_folder, monkeypatch):
    """Both crops, a wheel and FER-2013's faces in parts of 20 kB."""
    monkeypatch.setitem(tiny.SIDES, "emotiw", 48)
    tiny.write_faces(tmp_path / "outer", "emotiw")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "carried_along-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried_along.py", "")
        wheel.writestr(
            "carried_along-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carried-along\nVersion: 1.0\n"
        )
        wheel.writestr(
            "carried_along-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("carried_along-1.0.dist-info/RECORD", "")
    crops = [f"--crop=aligned={faces_folder / 'emotiw'}", f"--crop=outer={tmp_path / 'outer'}"]
    words = ["--fer", faces_folder / "fer2013", *crops, "--wheels", tmp_path / "wheels", "--part=200000"]
    printed = script("pack", *words, "--out", tmp_path / "carried")
    assert printed.count("part.") > 1
    return tmp_path / "carried"


def piece(carried, work, code=0, minutes=9):
    return script(
        "piece",
        "--carried",
        carried,
        "--work",
        work,
        "--out",
        f"{work}-back",
        f"--minutes={minutes}",
        *WORDS,
        code=code,
    )


def table(work):
    """As fer-report writes it; the page, which takes seconds, is not made."""
    script("collect", f"{work}-back", "--store", f"{work}-store")
    report = load_report(Path(f"{work}-store"), study_called("ng2015"), 0.95)
    assert report.groups
    Path(f"{work}-report").mkdir()
    write_csv(report, Path(f"{work}-report"))
    return Path(f"{work}-report/table.csv").read_text()


@pytest.mark.long
def test_a_kill_between_the_pieces_changes_no_number(carried, tmp_path):
    assert "all rows" in piece(carried, tmp_path / "whole")
    words = ["--carried", carried, "--work", tmp_path / "cut", "--out", tmp_path / "cut-back", *WORDS]
    first = start(SCRIPT, "piece", *map(str, words))
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cut" / "store" / ".work").glob("*/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    first.kill()
    first.wait(60)
    assert not (tmp_path / "cut-back").exists()
    assert "1 to resume" in piece(carried, tmp_path / "cut")
    whole = table(tmp_path / "whole")
    scored = [line for line in whole.splitlines() if ",emotiw/Val," in line and ",run," in line]
    assert table(tmp_path / "cut") == whole and len(scored) == 4, "two crops, found and all"
    assert (tmp_path / "cut" / "site" / "carried_along.py").exists()


def test_time_that_is_up_and_parts_that_come_one_by_one(carried, tmp_path):
    last = max(carried.glob("part.*"))
    last.rename(tmp_path / last.name)
    assert f"still to be carried: {last.name}" in piece(carried, tmp_path / "work", code=75)
    for path in carried.iterdir():
        path.unlink()
    (tmp_path / last.name).rename(last)
    printed = piece(carried, tmp_path / "work", code=75, minutes=1.02)  # less than two seconds beyond the reserve
    assert "no row is finished yet" in printed and "the same command goes on" in printed
    last.write_bytes(b"other")
    (tmp_path / "work" / "parts" / last.name).unlink()
    done = run(
        SCRIPT, "piece", "--carried", str(carried), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "back")
    )
    assert done.returncode == 1 and "the bytes of digest" in done.stderr and "Traceback" not in done.stderr
