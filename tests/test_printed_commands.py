"""Every command that is printed can be pasted: a shell and Hydra read from it what was meant, whatever the names hold."""

import re
import shlex
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import timm
from fake_store import add_row
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fer_transfer.backbones.notes import weights_notes
from fer_transfer.backbones.preprocessing import preprocessing_of
from fer_transfer.backbones.weights import WeightsFile
from fer_transfer.cli.demo import steps
from fer_transfer.config import override, plain
from fer_transfer.reports.ending import report_command
from fer_transfer.reports.missing import missing_lines, rows_not_run
from fer_transfer.reports.page.page import NAME, write_page
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))
NAMES = (
    "plain_1.5-x",
    "Team of two",
    'it\'s "quoted"',
    "$HOME `id` $(id) ${HOME} \\${x}",
    "a,b=c;d|e&f>g",
    "(one) [two] {three: 4}",
    "back\\slash\\",
    "quote\\\"\\'",
    "!history #comment *.csv ~",
    "1e3",
    "null",
    " blank ends ",
    "Zoë ünïcode",
)


def as_read(commands: list[str]) -> list[dict[str, object]]:
    """What bash makes words of, and Hydra values: by command, each key with its value; options under their own names."""
    script = "".join(f"printf '%s\\0' {command}; printf '\\n\\0'\n" for command in commands)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True, cwd="/")
    lines = [text.split("\0")[:-1] for text in done.stdout.split("\n\0")[:-1]]
    assert lines == [shlex.split(command) for command in commands]
    return [_values(words[1:]) for words in lines]


def _values(words: list[str]) -> dict[str, object]:
    if "--config-dir" in words:
        at = words.index("--config-dir")
        del words[at : at + 2]
    given = OverridesParser.create().parse_overrides([word for word in words if word != "-m"])
    return {of.key_or_group: OmegaConf.create({"value": of.value()})["value"] for of in given}


@pytest.mark.parametrize("key", ["store", "runtime.faces.emotiw"])
def test_a_value_is_read_as_the_text_it_was(key):
    read = as_read([shlex.join(["fer-report", override(key, name)]) for name in NAMES])
    assert [of[key] for of in read] == list(NAMES)
    assert override("store", "runs/one") == "store=runs/one", "no quotes where none are needed"


def test_the_command_after_a_run_and_those_of_rows_that_did_not_run():
    for name in NAMES:
        study = replace(STUDY, name=name, grid={"backbone": [name], "plan": [name]})
        missing = list(rows_not_run(study, ()))
        *_, together = missing_lines(missing, name)
        commands = [report_command(Path(name), name), missing[0].why.removesuffix(" runs it."), together.strip()]
        after, one, every = as_read(commands)
        assert (after["store"], after["study"]) == (name, name)
        assert (one["study"], one["backbone"], one["plan"], every["study"]) == (name,) * 4


def test_the_commands_of_the_demo():
    for name in NAMES:
        read = as_read([shlex.join([f"fer-{verb}", *words]) for verb, words in steps(Path(name))])
        assert read[0]["release.path"] == f"{name}/releases/fer2013" and read[1]["out"] == f"{name}/faces/emotiw"
        assert read[2]["runtime.store"] == read[3]["store"] == f"{name}/store"


def test_what_is_said_of_weights_without_a_record():
    for name in NAMES:
        file = WeightsFile(Path(f"{name}.pth"), "0" * 64, {}, None, None)
        notes = weights_notes(
            "resnet18", file, {}, {}, preprocessing_of(timm.get_pretrained_cfg("resnet18").to_dict(), {})
        )
        [command] = [note.partition("write its own: ")[2] for note in notes if "write its own" in note]
        [read] = as_read([command.replace("[R,G,B]", "[1,2,3]")])
        assert (read["file"], read["out"]) == (f"{name}.pth", f"{name}.safetensors")


def test_the_commands_on_the_page(tmp_path, monkeypatch):
    """Of rows that were trained with such names, and of the page itself, made in a store with one by no command."""
    monkeypatch.setattr("fer_transfer.reports.page.settings.typed_words", lambda **_: "")
    store = tmp_path / "a b's, $(store)"
    words = [shlex.join(["fer-train", override("note", name)]) for name in NAMES]
    for seed, command in enumerate(words):
        add_row(store, "emotiw", 0.4, seed, environment={"command": command})
    write_page(load_report(store, STUDY, 0.95), tmp_path)
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    blocks = [unescape(block) for block in re.findall(r"<pre[^>]*><code>(.*?)</code>", text, re.DOTALL)]
    *trained, page = as_read([line for block in blocks for line in block.splitlines()])
    assert [of["note"] for of in trained] == list(NAMES) and page["store"] == str(store)
