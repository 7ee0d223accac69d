"""What commands answer at once: help that fits a screen, the version, every setting; and what a misspelt option is told."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fer_transfer
from fer_transfer.cli.front import filled

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
COMMANDS = re.findall(r"^fer-(\w+) = ", PROJECT, re.MULTILINE)
OF_HYDRA = ["train", "prepare", "report", "predict", "export", "weights"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_five_uses_on_a_screen(name, command):
    code, stdout, stderr = command(name, "--help")
    lines = stdout.splitlines()
    assert code == 0 and not stderr
    assert len(lines) <= 24 and max(map(len, lines)) <= 80, stdout
    assert sum(line.startswith("  fer-") for line in lines) == 5 and lines[0].startswith(f"fer-{name}: ")
    assert command(name, "-h")[1] == stdout


def test_help_names_what_there_is_to_choose_from(command):
    stdout = command("prepare", "--help")[1]
    assert "synthetic_emotiw" in stdout and "aligned_outer" in stdout and "yunet" in stdout


def test_many_names_go_on_in_the_same_column():
    first, second, *_ = filled("  submission   {submission}").splitlines()
    assert (
        first.startswith("  submission   alexnet_emotiw ") and second.startswith(" " * 15 + "sub") and len(first) <= 80
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_version(name, command):
    assert command(name, "--version") == (0, f"fer-{name} {fer_transfer.__version__}\n", "")


def test_the_version_is_the_packages():
    assert f'\nversion = "{fer_transfer.__version__}"\n' in PROJECT


@pytest.mark.parametrize("name", OF_HYDRA)
def test_settings(name, command):
    code, stdout, _ = command(name, "--settings")
    assert code == 0 and max(map(len, stdout.splitlines())) <= 80
    one = {
        "train": "recipe.epochs=30",
        "prepare": "pipeline.fit=0.3",
        "report": "level=0.95",
        "weights": "file=null",
        "predict": "smooth=none",
        "export": "int8=false",
    }
    assert f"\n  {one[name]}\n      " in f"\n{stdout}"
    few = command(name, "--settings", one[name].partition("=")[0])[1]
    assert one[name] in few and len(few.splitlines()) < 8


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("train", ["--settings", "recipe.epoch5"], "Did you mean 'recipe.epochs'?"),
        ("train", ["--hepl"], "no option --hepl. Did you mean '--help'?"),
        ("prepare", ["--confg-dir", "x"], "Did you mean '--config-dir'?"),
        ("train", ["--cfg", "jbo"], "Did you mean 'job'?"),
        ("train", ["bakbone=resnet18"], "no setting bakbone. Did you mean 'backbone'?"),
        ("train", ["epochs=5"], "no setting epochs. Did you mean 'recipe.epochs'?"),
        ("train", ["weights=hub"], "Did you mean 'logger.weights' or 'recipe.backbone.weights'?"),
        ("train", ["runtime.faces.mine=x"], "runtime.faces.mine. Of another release: ++runtime.faces.mine=FOLDER."),
        ("train", ["zzz=5"], "no setting zzz. fer-train --settings shows all."),
        ("predict", ["row=x", f"input={ROOT}/LICENCE"], "LICENSE'? Check the path"),
        ("weights", ["net=bvlc_alexnt"], "Did you mean 'bvlc_alexnet'?"),
        ("train", ["--config-dir", "nothing"], "a folder of configurations at nothing, but there is none."),
        ("store", ["--verison"], "Did you mean '--version'?"),
        ("store", ["-m"], "no option -m"),
    ],
)
def test_misspelt_options(name, arguments, said, command):
    code, _, stderr = command(name, *arguments)
    assert code == 1 and said in stderr and stderr.startswith("error: ") and stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--config-dir ", "--config-dir=", "--config-di "])
def test_a_configuration_of_ones_own_that_would_not_be_read_is_refused(option, command, tmp_path):
    """Hydra takes the package's of the same name, without a word."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "ferplus.yaml").write_text("name: ferplus\n")
    (tmp_path / "study" / "rafdb.yaml").write_bytes((ROOT / "conf" / "study" / "rafdb.yaml").read_bytes())  # a copy
    code, _, stderr = command("report", *f"{option}{tmp_path}".split(" "), "study=ferplus")
    assert code == 1 and "1 are those of fer_transfer's configurations" in stderr, stderr
    assert "read in their place: study/ferplus.yaml. Rename" in stderr


@pytest.mark.parametrize("option", ["--multirun", "--multi", "-m"])
def test_options_of_hydras_may_be_cut_short(option, command):
    code, _, stderr = command("train", option, "plna=fer28")
    assert code == 1 and "Did you mean 'plan'" in stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_an_answer_waits_for_nothing(option, tmp_path):
    code = (
        "import sys; from fer_transfer.cli.train import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'hydra', 'rich'} & set(sys.modules), 'slow'"
    )
    done = subprocess.run([sys.executable, "-c", code, option], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_command_has_an_entry_point():
    for name in COMMANDS:
        assert callable(importlib.import_module(f"fer_transfer.cli.{name}").main)
