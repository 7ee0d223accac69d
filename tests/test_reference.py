"""No setting is without a default and a meaning in the reference that is made of conf/ and its comments."""

import re

import pytest
import yaml

from fer_transfer.config import conf_dir
from fer_transfer.reference import as_text, choices, names, reference
from fer_transfer.settings import declared

ROOTS = ["train", "prepare", "report", "predict", "export", "weights"]


def leaves(tree, path=""):
    """Dotted paths of all that is no mapping, or an empty one."""
    for key, value in tree.items():
        below = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            yield from leaves(value, below)
        elif key != "_target_":
            yield below


@pytest.mark.parametrize("root", ROOTS)
def test_every_setting_that_a_command_declares_is_there_with_its_meaning(root):
    known = {setting.path: setting for setting in reference(root).everything()}
    composed = set(leaves(declared(root)[""]))
    assert composed
    missing = {path for path in composed if not any(path == one or path.startswith(f"{one}.") for one in known)}
    assert not missing
    assert not [path for path, setting in known.items() if not setting.meaning]


@pytest.mark.parametrize("root", ROOTS)
def test_every_choice_and_group_says_what_it_means(root):
    for group in reference(root).groups:
        assert group.says and [choice.name for choice in group.choices] == choices(group.name) != []
        assert not [choice.name for choice in group.choices if not choice.says]


def test_every_group_of_conf_belongs_to_a_command():
    groups = {path.parent.relative_to(conf_dir()).as_posix() for path in conf_dir().rglob("*.yaml")}
    known = {group.name for root in ROOTS for group in reference(root).groups}
    assert groups - known == {".", "hydra", "hydra/sweeper"}


def test_defaults_are_those_of_the_files():
    content = yaml.safe_load((conf_dir() / "recipe/default.yaml").read_text())
    of_recipe = next(group for group in reference("train").groups if group.name == "recipe").choices[0]
    assert {s.path: yaml.safe_load(s.default) for s in of_recipe.settings} == dict(flat(content, "recipe"))


def flat(tree, path):
    for key, value in tree.items():
        yield from flat(value, f"{path}.{key}") if isinstance(value, dict) and value else [(f"{path}.{key}", value)]


def test_meanings_are_read_behind_above_and_from_the_other_choices():
    settings = {setting.path: setting for setting in reference("train").everything()}
    assert settings["recipe.epochs"].meaning.startswith("passes over")
    assert settings["stages"].meaning.startswith("What every stage of this name")
    backbone = next(group for group in reference("train").groups if group.name == "backbone")
    assert {s.path: s.meaning for s in backbone.choices[0].settings}["recipe.backbone.kwargs"]
    of_frames = {setting.path: setting for setting in reference("prepare").everything()}
    assert of_frames["release.ferplus"].default == "required"
    assert of_frames["pipeline.detector.model"].meaning.startswith("must be given")


def test_a_search_shows_what_has_the_word_in_its_name():
    text = as_text("train", ["epochs"])
    assert re.findall(r"^  (\S+)=", text, re.M) == ["recipe.epochs"]
    assert as_text("train", ["nothing"]) == ""
    assert "backbone" in names("train") and "recipe.seed" in names("train")
