"""Configurations in a folder of the user's own (``--config-dir``): what they may do, and what somebody else's cannot."""

import re

import pytest

PLANS = """
name: mine
stages:
  first: {init_from: null, data: {_target_: fer_transfer.data.datamodules.FacesDataModule, train: {fer2013: [Training]},
          selection: {fer2013: [PublicTest]}}}
"""
SETUP = "hydra: {callbacks: {x: {_target_: os.system, command: touch X}}}"


@pytest.fixture
def own(elsewhere):
    """Write a file below the folder ``own``."""

    def write(path, text):
        file = elsewhere / "own" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


@pytest.mark.parametrize(
    ("path", "text", "override", "message"),
    [
        (
            "experiment/x.yaml",
            "# @package _global_\nplna: fer28",
            "experiment=x",
            "no setting plna. Did you mean 'plan'",
        ),
        (
            "experiment/x.yaml",
            "# @package _global_\nruntime: {devise: cpu}",
            "experiment=x",
            "Did you mean 'runtime.device'",
        ),
        (
            "experiment/x.yaml",
            "# @package _global_\nrecipe: {epoch: 1}",
            "experiment=x",
            "Did you mean 'recipe.epochs'",
        ),
        ("plan/x.yaml", f"{PLANS}stagse: {{}}", "plan=x", "no setting plan.stagse. Did you mean 'plan.stages'"),
        ("runtime/x.yaml", "sotre: here", "runtime=x", "no setting runtime.sotre. Did you mean 'runtime.store'"),
        ("optimizer/x.yaml", "# @package recipe.optimizer\n_target_: os.system", "optimizer=x", "os.system"),
        ("logger/x.yaml", "_target_: os.system\ncommand: touch X", "logger=x", "os.system"),
        ("experiment/x.yaml", "# @package _global_\nallow: ['*']", "experiment=x", "allow on the command line only"),
        ("allow/x.yaml", "'*'", "+allow=x", "experiment|allow"),
        ("experiment/x.yaml", f"# @package _global_\n{SETUP}", "experiment=x", "hydra on the command line only.*own"),
        ("runtime/x.yaml", "# @package hydra.job\nenv_set: {A: b}", "runtime=x", "hydra on the command line only"),
        ("experiment/x.yaml", "# @package _global_\na: [", "experiment=x", "own/experiment/x.yaml"),
    ],
)
def test_what_a_file_cannot_do(path, text, override, message, own, command, elsewhere):
    own(path, text)
    for arguments in ([], ["-m"]):
        code, _, stderr = command("train", *arguments, "--config-dir", "own", override)
        assert code == 1 and stderr.startswith("error: ") and stderr.count("\n") == 1, stderr
        assert re.search(message, stderr), stderr
        left = {
            entry.name for entry in elsewhere.iterdir()
        }  # Hydra's multirun.yaml goes to the store before jobs are composed
        assert left <= ({"own", "store"} if arguments else {"own"}) and not list(elsewhere.glob("store/*/*"))


@pytest.mark.parametrize("name", ["prepare", "report", "weights"])
@pytest.mark.parametrize(
    ("text", "message"), [("plna: x", "no setting plna"), (SETUP, "hydra on the command line only")]
)
def test_other_commands_are_as_strict(name, text, message, own, command, elsewhere):
    own("extra/x.yaml", f"# @package _global_\n{text}")
    code, _, stderr = command(name, "--config-dir", "own", "+extra=x")
    assert code == 1 and re.search(message, stderr) and stderr.count("\n") == 1, stderr
    assert [entry.name for entry in elsewhere.iterdir()] == ["own"]


def test_allow_lets_a_users_own_class_in(own, command, elsewhere, tiny, monkeypatch):
    (elsewhere / "mypkg.py").write_text("def half(epoch, epochs): return 0.5")
    monkeypatch.syspath_prepend(elsewhere)
    own("scheduler/half.yaml", "# @package recipe.scheduler\n_target_: mypkg.half")
    arguments = ["--config-dir", "own", *tiny, "recipe.epochs=1", "runtime.progress=lines", "scheduler=half"]
    code, _, stderr = command("train", *arguments)
    assert code == 1 and "allow=['mypkg.*']" in stderr
    code, stdout, stderr = command("train", *arguments, "allow=[mypkg.*]")
    assert code == 0 and "1/1" in stdout, stderr


def test_stages_of_the_users_own_plans_have_names_beside_other_plans(own, command, tmp_path, tiny):
    own("plan/mine.yaml", PLANS)
    arguments = ["--config-dir", "own", *tiny, "recipe.epochs=1", "runtime.progress=lines", "+stages.first.seed=3"]
    code, stdout, stderr = command("train", "-m", *arguments, "plan=mine,emotiw")
    assert code == 0 and stdout.count("1/1") == 2, stderr
    code, _, stderr = command("train", *arguments, "+stages.frist.seed=3")
    assert code == 1 and "Did you mean 'first'" in stderr
    code, _, stderr = command("train", *tiny, "+stages.first.seed=3")  # not without the folder
    assert code == 1 and "got first" in stderr


def test_a_plan_of_the_users_own_that_is_damaged_is_named(own, command, tiny):
    own("plan/mine.yaml", "[")
    code, _, stderr = command("train", "--config-dir", "own", *tiny, "plan=emotiw", "+stages.emotiw.seed=3")
    assert code == 1 and "own/plan/mine.yaml" in stderr and stderr.count("\n") == 1
