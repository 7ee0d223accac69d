"""Every committed configuration composes and fits what it configures; and what is said when one does not."""

import csv
import functools
import re
import shutil
from collections.abc import Iterator

import pytest
from hydra._internal.config_repository import ConfigRepository
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from fer_transfer import settings
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.config import allowing, build, check_target, conf_dir, locate, plain, targets
from fer_transfer.errors import ConfigError
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.stages.runtime import Runtime
from fer_transfer.study import study_from
from fer_transfer.training.recipe import _SUPPLIED

SUPPLIED = {**_SUPPLIED, "logger": ("study", "quiet")}  # by the last word of the path
ROOTS = {
    "train": "recipe backbone augment imbalance optimizer scheduler plan study runtime logger experiment modern submission data",
    "prepare": "release labels pipeline pipeline/detector",
}
MISSING = {  # what is ??? there
    "backbone": ["recipe.backbone.name=test_resnet"],
    "release": ["release.path=somewhere"],
    "release=ferplus": ["release.ferplus=somewhere"],
}


def committed() -> Iterator[tuple[str, str]]:
    """(root, override) that brings in each file of conf/."""
    for path in sorted(conf_dir().rglob("*.yaml")):
        group, name = path.parent.relative_to(conf_dir()).as_posix(), path.stem
        if path.parent == conf_dir():
            yield name, ""
        elif not group.startswith("hydra"):  # in every root
            root = next(root for root, groups in ROOTS.items() if group in groups.split())
            yield root, f"{'data@plan.stages.emotiw.data' if group == 'data' else group}={name}"


def check(root: str, override: str) -> None:
    """Compose; compare every target with the signature it configures; read plan and runtime as fer-train does."""
    groups = ["release" if root == "prepare" else "", override.partition("=")[0], override]
    missing = [value for group in dict.fromkeys(groups) for value in MISSING.get(group, [])]
    config = compose(root, [*([override] if override else []), *missing])
    for path, node in targets(plain(config)):
        if node["_target_"] is not None:
            check_target(path, node, SUPPLIED.get(path.rpartition(".")[2], ()))
    if root == "train":
        plan_from(config)
        study_from(plain(config.study))
        Runtime(**plain(config.runtime))


@pytest.mark.parametrize(("root", "override"), list(committed()))
def test_committed_configuration(root, override):
    check(root, override)


def test_all_are_walked():
    walked = list(committed())
    of_hydra = len(list((conf_dir() / "hydra").rglob("*.yaml")))
    assert len(walked) == len(list(conf_dir().rglob("*.yaml"))) - of_hydra > 40
    assert {root for root, override in walked if not override} == {
        "train",
        "prepare",
        "report",
        "weights",
        "predict",
        "export",
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "override", "message"),
    [
        (
            "augment/crop_mirror",
            "BatchTransform",
            "BatchTransfrom",
            "augment=crop_mirror",
            "importable.*BatchTransfrom",
        ),
        ("augment/none", "mirror:", "miror:", "augment=none", "unknown .'miror'.*missing .'mirror'"),
        ("optimizer/adamw", "weight_decay", "decay", "optimizer=adamw", "unknown .'decay'"),
        ("scheduler/step_decay", "every: 10", "", "scheduler=step_decay", "missing .'every'"),
        ("data/fer28", "selection:", "select:", "data@plan.stages.emotiw.data=fer28", "unknown .'select'"),
        ("logger/wandb", "offline: true", "ofline: true", "logger=wandb", "unknown .'ofline'"),
        ("release/fer2013", "ferplus:", "fer_plus:", "release=fer2013", "unknown .'fer_plus'"),
        ("release/emotiw", "aligned:", "alined:", "release=emotiw", "unknown .'alined'"),
        ("pipeline/detector/viola_jones", "smallest:", "smalest:", "pipeline=box", "unknown .'smalest'"),
        ("pipeline/aligned", "below:", "bellow:", "pipeline=aligned", "unknown .'bellow'"),
        ("recipe/default", "epochs: 30", "epochs: many", "", "epochs"),
        ("recipe/default", "keep: last ", "kept: last ", "", "kept"),
    ],
)
def test_a_broken_configuration_is_noticed(file, old, new, override, message, tmp_path, monkeypatch):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    broken = tmp_path / "conf" / f"{file}.yaml"
    assert old in broken.read_text()
    broken.write_text(broken.read_text().replace(old, new))
    monkeypatch.setattr(settings, "conf_dir", lambda: tmp_path / "conf")
    with pytest.raises(ConfigError, match=message):
        check("prepare" if file.startswith(("release", "pipeline")) else "train", override)


def test_a_plan_that_is_not_there_lists_those_that_are():
    with pytest.raises(MissingConfigException, match=r"plan/fer29(.|\n)*fer28_emotiw"):
        compose("train", ["plan=fer29"])


@pytest.mark.parametrize(("override", "present"), [("submission=sub4", "sub3"), ("experiment=sfew", "sfew_like")])
def test_a_submission_or_experiment_that_is_not_there_lists_those_that_are(override, present):
    with pytest.raises(MissingConfigException, match=present):
        compose("train", [override])


def published():
    with (conf_dir() / "study" / "ng2015.csv").open(newline="") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def submissions():
    return {path.stem: path for path in sorted((conf_dir() / "submission").glob("*.yaml"))}


@functools.cache
def submission(name):
    return compose("train", [f"submission={name}"])


@pytest.mark.parametrize("name", submissions())
def test_submission_is_its_row_of_the_paper(name):
    config = submission(name)
    row = published()[config.submission]
    assert (config.recipe.backbone.name, config.plan.name) == (row["backbone"], row["plan"])
    assert name == (f"sub{config.submission}" if config.submission.isdigit() else config.submission)
    comment = submissions()[name].read_text().splitlines()[1]
    for split in ("val", "test"):
        numbers = re.search(rf"{split} ([\d.]+) \((\d+)/(\d+)\)", comment, re.IGNORECASE)
        assert (numbers.groups() if numbers else ("", "", "")) == tuple(
            row[f"{split}_{k}"] for k in ("percent", "k", "n")
        )


def test_every_row_that_can_be_trained_has_a_submission():
    trained = {submission(name).submission for name in submissions()}
    assert trained == published().keys() - {"baseline"}


def test_defaults_are_the_papers():
    """Section 4: SGD, 0.001 divided by 10 every 10 epochs, momentum 0.9, weight decay 0.0005, from 256 pixels."""
    recipe = plan_from(compose("train")).last.recipe
    assert recipe.optimizer == {"_target_": "torch.optim.SGD", "lr": 0.001, "momentum": 0.9, "weight_decay": 0.0005}
    assert (recipe.scheduler["every"], recipe.scheduler["factor"]) == (10, 0.1)
    assert build("augment", recipe.augment, preprocessing=Preprocessing((0.5,), (0.5,))).resize == 256
    assert recipe.labelling.labels == "release" and not recipe.labelling.train_on_lost and recipe.keep == "last"
    assert len(EXPRESSIONS) == 7


def test_plain_names_what_is_missing():
    with pytest.raises(ConfigError, match=r"release\.path"):
        plain(compose("prepare"))
    with pytest.raises(ConfigError, match="nowhere"):
        plain(OmegaConf.create({"a": "${nowhere}"}))
    assert plain({"a": 1}) == {"a": 1} and plain(OmegaConf.create({"a": [1, "${b}"], "b": 2})) == {"a": [1, 2], "b": 2}


@pytest.mark.parametrize("target", ["torch.optim.nowhere.Thing", "torch.optim.Sgd", "torch.optim."])
def test_targets_that_are_not_there(target):
    with pytest.raises(ConfigError, match="importable"):
        locate(target)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "Fraction",
        "",
        "torch.load",
        "timm.models.load_checkpoint",  # unpickles any file when told to
        "fer_transfer.reports.files.write_text",  # writes any file
        "fer_transfer.config.importlib.import_module",
        "fer_transfer.stages.store.os.system",
        "fer_transferred.data.Thing",
        1_000,
        None,
        ["torch.optim.SGD"],
    ],
)
def test_targets_that_are_not_allowed(target):
    with pytest.raises(ConfigError, match=r"Expected _target_ to name"):
        locate(target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("fer_transfer.tracking.trackers.Path", "by its definition, to name something in .*but got 'pathlib.*Path'"),
        ("fer_transfer.training.recipe.typed", "by its definition, .*but got 'fer_transfer.config.typed'"),
        ("fer_transfer.releases.frames.csv", "is a module"),
        ("fer_transfer.training.recipe._CHOICES", "is a dict"),
        ("torch.optim.sgd.torch.load", "importable"),
        ("fer_transfer.releases.frames.csv.writer", "importable"),
    ],
)
def test_what_an_allowed_module_has_imported_itself_is_not_meant(target, message):
    with pytest.raises(ConfigError, match=message):
        locate(target)


def test_a_target_that_is_not_allowed_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"allow=\['evil\.\*'\]"):
        decay = {"_target_": "fer_transfer.training.optim.step_decay", "every": {"_target_": "evil.Thing"}, "factor": 1}
        build("x", decay, epoch=1, epochs=1)
    with pytest.raises(SystemExit, match="imported"), allowing(["evil.*"]):
        locate("evil.Thing")
    with pytest.raises(ConfigError, match="evil"):  # no longer
        locate("evil.Thing")


def test_a_target_without_a_signature():
    with pytest.raises(ConfigError, match="to have a signature"), allowing(["builtins.*"]):
        check_target("x", {"_target_": "builtins.dict"})


@pytest.mark.parametrize("patterns", ["evil.*", [5], [None]])
def test_allow_is_a_list_of_patterns(patterns):
    with pytest.raises(ConfigError, match="list of patterns"), allowing(patterns):
        pass


def sample(first: int, second: int = 2, *, third: int, switch: bool = False) -> tuple[int, int, int]:
    if first == 13:
        raise ValueError("unlucky")
    return first, second, third


def open_ended(first: int, **rest: int) -> dict[str, int]:
    return {"first": first, **rest}


SAMPLE, OPEN = (f"{__name__}.{function.__name__}" for function in (sample, open_ended))


@pytest.fixture
def allowed():
    with allowing([f"{__name__}.*"]):
        yield


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"first": 1}, r"at does not fit .*sample: unknown none, missing \['third'\].*first, second, third"),
        ({"third": 1, "fourth": 2, "first": 1}, r"unknown \['fourth'\], missing none"),
        ({"third": 1, "frist": 2, "first": 1}, r"unknown \['frist'\].* Did you mean 'first'\?"),
        ({"a": 1, "b": 2}, r"unknown \['a', 'b'\], missing \['first', 'third'\]"),
        ({"first": 1, "third": 1, "_partial_": True}, "at has _partial_: .* only _target_ is known"),
        ({"first": 1, "third": 1, "switch": "flase"}, "at.switch to be true or false, but got 'flase'"),
    ],
)
def test_arguments_that_do_not_fit(node, message, allowed):
    with pytest.raises(ConfigError, match=message):
        check_target("at", {"_target_": SAMPLE, **node})


def test_build_is_the_call_written_out(allowed):
    inner = {"_target_": OPEN, "first": 1, "second": 5}
    assert build("x", {"_target_": SAMPLE, "first": inner, "second": {"kept": 1}}, third=9) == (
        {"first": 1, "second": 5},
        {"kept": 1},
        9,
    )
    with pytest.raises(ConfigError, match=r"x\.first does not fit .*open_ended: unknown none, missing .'first'"):
        build("x", {"_target_": SAMPLE, "first": {"_target_": OPEN}, "third": 1})
    with pytest.raises(ConfigError, match=r"x: .*sample refuses first=13: unlucky"):
        build("x", {"_target_": SAMPLE, "first": 13}, third=1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+plna=fer28", "no setting plna. Did you mean 'plan'"),
        ("+runtime.devise=cpu", "no setting runtime.devise. Did you mean 'runtime.device'"),
        ("+recipe.backbone.nam=x", "no setting recipe.backbone.nam. Did you mean 'recipe.backbone.name'"),
        ("+plan.stage.emotiw.epochs=1", "no setting plan.stage. Did you mean 'plan.stages'"),
        ("+data=fer28", "no setting data"),  # a group with a place in plans only
    ],
)
def test_composing_in_a_notebook_refuses_what_the_commands_refuse(override, message):
    with pytest.raises(ConfigError, match=message):
        compose("train", [override])


def test_targets_inside_targets_are_found():
    tree = {"a": {"_target_": "x", "b": {"_target_": "y"}}, "c": 1}
    assert [(path, node["_target_"]) for path, node in targets(tree)] == [("a", "x"), ("a.b", "y")]


@pytest.mark.parametrize(
    "words", [[], ["plan=fer28_emotiw", "recipe.epochs=3"], ["backbone=timm", "++stages.a.epochs=1"]]
)
def test_what_is_kept_of_files_composes_as_hydra_does(words, monkeypatch):
    first = compose("train", words)
    first.recipe.optimizer.lr, first.plan.name = -1, "changed"
    kept = compose("train", words)
    monkeypatch.setattr("fer_transfer.conf_files.ConfFiles", ConfigRepository)
    assert compose("train", words) == kept != first


def test_a_file_that_changes_is_read_again(tmp_path, monkeypatch):
    folder = shutil.copytree(conf_dir(), tmp_path / "conf")
    for name in ("settings", "conf_files"):
        monkeypatch.setattr(f"fer_transfer.{name}.conf_dir", lambda: folder)
    before = compose("train").recipe.batch_size
    file = folder / "recipe" / "default.yaml"
    file.write_text(file.read_text().replace(f"batch_size: {before}", f"batch_size: {before + 1}"))
    assert compose("train").recipe.batch_size == before + 1
