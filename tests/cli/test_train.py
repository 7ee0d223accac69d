"""``fer-train`` as it is called: from the command line, on tiny faces with a tiny network."""

import csv
import functools
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fer_transfer.cli.report import main as report_main
from fer_transfer.files.document import write_document
from fer_transfer.stages.record import read_record

TINY = ["runtime.progress=lines", "runtime.threads=1", "recipe.epochs=1"]


#: What training needs nothing of, though what it imports asks for most of it.
HEAVY = {
    "IPython",
    "altair",
    "jinja2",
    "matplotlib",
    "mediapipe",
    "onnx",
    "pandas",
    "scipy",
    "sklearn",
    "tensorboard",
    "wandb",
}


def fer_train(*overrides, cwd):
    """As the installed script does; fails where something heavy was imported."""
    code = (
        "import sys; from fer_transfer.cli.train import main; main()\n"
        f"heavy = {HEAVY!r} & set(sys.modules); sys.exit(f'imported {{sorted(heavy)}}' if heavy else 0)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *overrides], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def records(store):
    return [read_record(path) for path in sorted((store / "submissions").glob("*.json"))]


def left(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def in_process(command):
    """Call fer-train's entry point: (exit code, stdout, stderr)."""
    return functools.partial(command, "train")


def test_a_submission_is_one_command(tiny, tmp_path, elsewhere, in_process):
    # backbone=timm in `tiny` replaces the submission's network, which is large
    done = fer_train("submission=sub3", *tiny, *TINY, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path / "store")
    assert (record.submission, record.plan, record.backbone) == ("3", "fer28_emotiw", "test_resnet")
    assert record.environment["command"] == shlex.join(["fer-train", "submission=sub3", *tiny, *TINY])
    assert [stage["name"] for stage in record.stages] == ["fer", "emotiw"]
    assert "fer28_emotiw: 2 stages" in done.stdout and "to train" in done.stdout and "1/1" in done.stdout
    for scored in record.predictions:
        rows = list(csv.DictReader((tmp_path / "store" / scored.file).open()))
        assert len(rows) in (20, 40)
    bare = record.without_additions()  # as a version before commands were kept wrote it
    write_document(tmp_path / "store" / "submissions" / f"{record.identity}.json", bare.to_json())
    code, stdout, _ = in_process("submission=sub3", *tiny, *TINY)
    assert code == 0 and stdout.count("in the store") == 2 and records(tmp_path / "store") == [record]
    assert "Val, found faces" in stdout and stdout.endswith(f"Next: fer-report store={tmp_path / 'store'}\n")
    assert in_process("submission=sub3", *tiny, *TINY, "runtime.progress=none")[1] == ""
    assert left(elsewhere) == []  # no outputs/, no .hydra, no *.log, no lightning_logs/


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["recipe.epoch=3"], "recipe.epoch"),
        (["recipe.optimizer.learning_rate=1"], "learning_rate"),
        (["plan=fer29"], "fer28_emotiw"),  # lists the plans that are there
        (["backbone=alexnet"], "bvlc_alexnet"),
        (["-m", "plan=fer29,fer28"], "fer28_emotiw"),
    ],
)
def test_misspelt_words_name_what_is_there(overrides, message, in_process, elsewhere):
    code, _, stderr = in_process(*overrides)
    assert code != 0 and message in stderr and "Traceback" not in stderr
    assert not (elsewhere / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["runtime.faces.emotiw=nowhere"], "Expected prepared faces in nowhere"),
        (["recipe.backbone.weights=nowhere.pth"], "Expected a weights file at nowhere.pth"),
        (["+stages.emotiw.epoch=2"], "The recipe of stage 'emotiw' is wrong: epoch"),
        (["backbone=timm", "recipe.backbone.name=???"], "recipe.backbone.name"),
        (["runtime.device=gpu"], "runtime.device to be auto, cpu, cuda or mps"),
        (["logger=wandb", "+logger.projet=x"], "unknown ['projet']"),
    ],
)
def test_an_error_is_one_message(overrides, message, tiny, in_process, elsewhere):
    code, stdout, stderr = in_process("plan=emotiw", *tiny, *TINY, *overrides)
    assert code == 1 and message in stderr and "Traceback" not in stderr + stdout
    assert [line.startswith("error: ") for line in stderr.strip().splitlines()] == [True]
    assert left(elsewhere) == []


def test_a_study_is_one_command_and_its_plans_share_their_stages(tiny, tmp_path, in_process, elsewhere):
    code, stdout, stderr = in_process("-m", "study=ng2015", *tiny, *TINY)
    assert code == 0, stderr
    plans = {"emotiw", "fer28", "fer32", "fer28_emotiw", "fer32_emotiw", "fer32+emotiw"}
    assert {record.plan for record in records(tmp_path / "store")} == plans
    assert len({record.settings_ids for record in records(tmp_path / "store")}) == 1  # rows of one table
    assert len(list((tmp_path / "store").glob("*/result.json"))) == 6  # eight stages, of which two are shared
    for record in records(tmp_path / "store"):  # the words of the row, not what the sweep tells its workers
        words = shlex.split(record.environment["command"])
        assert words[0] == "fer-train" and f"plan={record.plan}" in words
        assert not any(word.startswith(("stage=", "runtime.stop_file")) for word in words)
    assert "6 rows, 6 distinct stages: 0 in the store, 0 to resume, 6 to train\n" in stdout
    assert "6 epochs, 679 faces to train; row by row it would be 8 epochs, 959 faces\n" in stdout
    assert left(elsewhere) == []  # no multirun/, no multirun.yaml


def test_a_failing_job_does_not_stop_the_others(tiny, tmp_path, in_process, elsewhere):
    code, _, stderr = in_process("-m", "plan=emotiw,fer28", *tiny, *TINY, "runtime.faces.emotiw=nowhere")
    assert code == 1 and stderr.count("error: ") == 1 and "Traceback" not in stderr
    assert [record.plan for record in records(tmp_path / "store")] == ["fer28"]
    assert left(elsewhere) == []


def test_what_would_run_can_be_read_without_torch(elsewhere):
    code = (
        "import sys; from fer_transfer.cli.train import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'numpy', 'timm'} & set(sys.modules), 'slow'"
    )
    for arguments, shown in ((["--help"], "plan"), (["--cfg", "job", "submission=sub3"], "name: fer28_emotiw")):
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=elsewhere, capture_output=True, text=True)
        assert done.returncode == 0 and shown in done.stdout, done.stderr
    assert left(elsewhere) == []


def test_three_lines_add_a_backbone(elsewhere, in_process, faces_folder):
    """Those of the README, in a folder of the user's own."""
    [block] = [part for part in readme().split("```") if part.startswith("yaml\n# @package")]
    folder = elsewhere / "own" / "backbone"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(block.removeprefix("yaml\n").replace("convnext_atto", "test_convnext"))
    faces = [f"runtime.faces.{name}={faces_folder / name}" for name in ("fer2013", "emotiw")]
    code, _, err = in_process("--config-dir", "own", "backbone=mine", "plan=emotiw", *TINY, *faces)
    assert code == 0, err
    [record] = records(elsewhere / "store")
    assert record.settings["backbone.name"] == "test_convnext"


def test_a_study_of_ones_own_is_two_files(elsewhere, in_process, faces_folder, monkeypatch, capfd):
    """Those of the README: three stages, claims of one's own."""
    blocks = [part.removeprefix("yaml\n") for part in readme().split("```") if part.startswith("yaml\n")]
    for name, begins in (("study/there_and_back", "name: there"), ("plan/emotiw_fer28_emotiw", "# plan/")):
        [block] = [block for block in blocks if block.startswith(begins)]
        path = elsewhere / "own" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
    faces = [f"runtime.faces.{name}={faces_folder / name}" for name in ("fer2013", "emotiw")]
    tiny = ["backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=36", "recipe.augment.crop=32"]
    own = ["--config-dir", "own", "study=there_and_back"]
    code, out, err = in_process("-m", *own, *tiny, *TINY, *faces)
    assert code == 0, err
    [cascade] = [record for record in records(elsewhere / "store") if record.plan == "emotiw_fer28_emotiw"]
    assert [stage["name"] for stage in cascade.stages] == ["first", "fer", "emotiw"]
    assert [stage["key"] for stage in cascade.stages] == [stage.key for stage in cascade.lineage.stages]
    assert f"Next: fer-report --config-dir {elsewhere / 'own'} study=there_and_back\n" in out
    assert "2 rows, 3 distinct stages: 0 in the store" in out  # emotiw alone is the cascade's first stage
    monkeypatch.setattr(sys, "argv", ["fer-report", *own])
    report_main()
    out = capfd.readouterr().out
    assert "A way round by FER helps" in out and "There and back" in out and "Ng et al" not in out


def readme():
    return (Path(__file__).parents[2] / "README.md").read_text()
