"""Every mistake is one line and exit code 1, before anything is trained or written; nothing misspelt is ignored."""

import re
import subprocess
import sys

import pytest

MISTAKES = {
    "train": [
        # settings that there are not
        ("plna=fer28", "no setting plna. Did you mean 'plan'"),
        ("+plna=fer28", "no setting plna. Did you mean 'plan'"),
        ("+runtme.device=cpu", "no setting runtme. Did you mean 'runtime'"),
        ("++note2=x", "no setting note2. Did you mean 'note'"),
        ("+a.b.c=5", "no setting a"),
        ("+data=fer28", "no setting data"),
        ("recipe.epoch=3", "no setting recipe.epoch. Did you mean 'recipe.epochs'"),
        ("+recipe.epoch=3", "no setting recipe.epoch. Did you mean 'recipe.epochs'"),
        ("+recipe.backbone.nam=x", "no setting recipe.backbone.nam. Did you mean 'recipe.backbone.name'"),
        ("+recipe.labelling.label=release", "'label'.* Did you mean 'labels'"),
        ("+recipe.optimizer.momentun=1", "unknown .'momentun'.* Did you mean 'momentum'"),
        ("+runtime.devise=cpu", "no setting runtime.devise. Did you mean 'runtime.device'"),
        ("+plan.stage.emotiw.epochs=1", "no setting plan.stage. Did you mean 'plan.stages'"),
        ("+logger.offline=false", "no setting logger.offline"),
        ("+stages.emotiv.epochs=1", "got emotiv. Did you mean 'emotiw'"),
        ("+stages.emotiw.epoch=1", "Did you mean 'epochs'"),
        ("dry_run=true", "Expected -m with dry_run=true"),
        # what is not there to choose
        ("plan=fer29", "There is no plan 'fer29'. Did you mean 'fer.*fer28_emotiw"),
        ("plan=FER28_emotwi", "Did you mean 'fer28_emotiw'?"),
        ("backbone=resnet81", "There is no backbone 'resnet81'. Did you mean 'resnet18'?"),
        ("study=ng2105", "Did you mean 'ng2015'?"),
        ("submission=sub4", "sub3"),
        ("recipe.backbone.name=resnet19", "got 'resnet19'. Did you mean 'resnet1"),
        ("recipe.backbone.weights=cache.pht", "weights file at cache.pht, but there is nothing"),
        ("recipe.keep=lst", "Did you mean 'last'?"),
        ("recipe.labelling.labels=ferplus_soff", "Did you mean 'ferplus_soft'?"),
        ("recipe.distillation.teacher=a/b", r"distillation.teacher is a list, \[A,B\]"),
        ("runtime.device=cud", "Did you mean 'cuda'?"),
        ("runtime=laptop", "default"),
        # parts that were taken out
        ("~plan", "Expected plan"),
        ("~plan.stages", "at least one stage"),
        ("~plan.name", "plan.name"),
        ("~stages", "Expected stages"),
        ("~logger", "Expected logger"),
        ("~recipe", "recipe.batch_size"),
        ("~recipe.backbone", "backbone"),
        ("~runtime", "runtime.store"),
        ("~nothing", "~nothing|nothing"),
        ("runtime=null", "runtime=null"),
        ("logger=null", "logger=null"),
        ("stages=null", "stages to be a mapping"),
        ("plan.name=null", "plan.name"),
        ("plan.stages=null", "plan.stages to be a mapping"),
        ("recipe.backbone=null", "recipe.backbone to be a mapping"),
        ("recipe.augment=null", "recipe.augment to be a mapping"),
        ("recipe.seed=null", "seed"),
        ("runtime.store=null", "store"),
        ("runtime.faces.emotiw=null", "faces.emotiw"),
        # values of another kind
        ("plan.stages=[a]", "plan.stages"),
        ("plan.stages.emotiw=3", "plan.stages.emotiw to hold settings of a stage"),
        ("plan.stages.emotiw.init_from=[a]", "starts from ..a.."),
        ("plan.stages.emotiw.data=5", "emotiw"),
        ("plan.stages.emotiw.data.train=5", "data.train"),
        ("plan.stages.emotiw.data.train={emotiw:[Tran]}", "Tran"),
        (
            "+plan.stages.emotiw.data.train.emotiv=[Train]",
            r"Did you mean 'emotiw'.*\+runtime.faces.emotiv=faces/emotiv",
        ),
        ("stages.emotiw=os.system", "stages.emotiw"),
        ("+stages.emotiw=5", "stages.emotiw to hold settings of a stage"),
        ("runtime.faces=3", "runtime.faces"),
        ("runtime.threads=abc", "threads"),
        ("recipe.seed=[1]", "recipe.seed to be a single value"),
        ("recipe.frozen=fc", "recipe.frozen to be a list"),
        ("recipe.epochs={a:1}", "recipe.epochs to be a single value"),
        ("recipe.epochs=${nowhere}", "nowhere"),
        ("recipe.optimizer.lr=abc", "optimizer.*abc"),
        ("recipe.scheduler.every=0", "scheduler"),
        ("recipe.augment.mirror=flase", "mirror to be true or false, but got 'flase'"),
        ("recipe.augment.crop=abc", "abc"),
        ("note={a:1}", "note to be a single value"),
        # targets
        ("recipe.optimizer._target_=1_000", "recipe.optimizer._target_ to name .* but got 1000"),
        ("recipe.optimizer._target_=null", "optimizer._target_ to name .* but got None"),
        ("recipe.optimizer._target_=torch.optim.sgd.torch.load", "importable"),
        ("recipe.optimizer._target_=torch.load", "torch.load"),
        (
            "recipe.scheduler.warmup={_target_:os.system,command:'touch X'}",
            r"There is no setting recipe\.scheduler\.warmup",
        ),
        (
            "+recipe.scheduler.warmup={_target_:os.system,command:'touch X'}",
            "recipe.scheduler.warmup._target_.*os.system",
        ),
        ("+stages.emotiw.scheduler={_target_:os.system,command:'touch X'}", "os.system"),
        ("+note={_target_:os.system,command:'touch X'}", "os.system|single value"),
        ("logger={_target_:os.system,command:'touch X'}", "logger"),
        ("logger._target_=os.system", "os.system"),
        ("+recipe.optimizer._partial_=true", "_partial_"),
        ("allow=os.*", "allow to be a list"),
        ("allow=[5]", "list of patterns"),
        # what Hydra cannot read
        ("recipe", "cannot read 'recipe'"),
        ("recipe.seed=[1", "cannot read 'recipe.seed=.1'"),
        ("plan=emotiw,fer28", "multirun"),
    ],
    "prepare": [
        ("relaese=frames", "no setting relaese. Did you mean 'release'"),
        ("+relaese=frames", "no setting relaese. Did you mean 'release'"),
        ("+repalce=true", "no setting repalce. Did you mean 'replace'"),
        ("release=fer", "fer2013"),
        ("+release.pth=x", "unknown .'pth'.* Did you mean 'path'"),
        ("~release", "release.path"),
        ("release=null", "release=null"),
        ("pipeline=null", "pipeline=null"),
        ("release.path=null", "path"),
        ("release._target_=os.system", "os.system"),
        ("release._target_=null", "release._target_"),
        ("~release._target_", "Expected release._target_"),
        ("out=null", "path for out"),
        ("out=[a]", "out to be a single value"),
        ("workers=none", "workers"),
        ("replace=ture", "replace to be true or false"),
        ("beside=[a]", "beside to be a single value"),
    ],
    "report": [
        ("stroe=x", "no setting stroe. Did you mean 'store'"),
        ("+stroe=x", "no setting stroe. Did you mean 'store'"),
        ("~level", "Expected level"),
        ("level=high", "level between 0 and 1"),
        ("level=null", "level between 0 and 1"),
        ("store=null", "path for store"),
        ("store=[a]", "store to be a single value"),
        ("out=null", "path for out"),
        ("published=flase", "published to be true or false"),
        ("submission_zip={a:1}", "submission_zip to be a single value"),
        ("store=nowhere", "nowhere"),
    ],
    "weights": [
        ("nett=bvlc_alexnet", "no setting nett. Did you mean 'net'"),
        ("+nett=bvlc_alexnet", "no setting nett. Did you mean 'net'"),
        ("~partial", "Expected partial"),
        ("partial=fc6.*", "partial to be a list"),
        ("net=alexnet", "bvlc_alexnet"),
        ("net={a:1}", "net to be a single value"),
        ("file={a:1}", "file to be a single value"),
        ("prove=[a]", "prove to be a single value"),
        ("out=x.safetensors", "file=FILE"),
    ],
}


@pytest.mark.parametrize(
    ("name", "override", "message"), [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes]
)
def test_a_mistake_is_one_line(name, override, message, command, elsewhere, tiny):
    given = {"train": tiny, "prepare": ["release.path=nothing"]}.get(name, [])
    code, _, stderr = command(name, *given, override)
    assert code == 1 and stderr.startswith("error: ") and stderr.count("\n") == 1, stderr
    assert re.search(message, stderr), stderr
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    "override", ["+plna=fer28", "recipe.optimizer._target_=os.system", "+stages.emotiv.epochs=1", "~plan.name"]
)
def test_mistakes_do_not_wait_for_torch(override, elsewhere):
    waits_for_nothing({"torch", "numpy", "timm"}, elsewhere, "train", override)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("train", ["runtime.faces.emotiw=nowhere"], "Expected prepared faces in nowhere"),
        ("train", ["-m", "plan=emotiw,fer28", "backbone=timm", "recipe.backbone.name=resnet19"], "nowhere"),
        ("prepare", ["release=emotiw", "release.path=nowhere", "pipeline=box"], "Expected a release at nowhere"),
        ("report", ["store=nowhere"], "nowhere"),
        ("weights", ["net=resnet19", "file=x.pth"], "Did you mean 'resnet1"),
    ],
)
def test_what_is_not_there_does_not_wait_for_torch(name, words, said, elsewhere):
    faces = ["runtime.faces={fer2013: nowhere, emotiw: nowhere}"] if name == "train" else []
    assert said in waits_for_nothing({"torch", "timm", "pytorch_lightning"}, elsewhere, name, *words, *faces)


def test_a_path_that_is_not_there_is_answered_with_the_one_beside_it(command, elsewhere):
    (elsewhere / "faces" / "emotiw_aligned").mkdir(parents=True)
    stderr = command("train", "runtime.faces.emotiw=faces/emotiw_alinged")[2]
    assert "Did you mean 'faces/emotiw_aligned'?" in stderr
    (elsewhere / "fer2013.csv").touch()
    assert "Did you mean 'fer2013.csv'?" in command("prepare", "release.path=fer2103.csv")[2]


@pytest.mark.parametrize("word", ["recipe.backbone.kwargs={img_size: 64}", "recipe.backbone.kwargs.img_size=64"])
def test_what_an_error_advises_can_be_written(word, command, tiny):
    code, out, err = command("train", *tiny, word, "stages.emotiw.epochs=1", "--cfg", "job")
    assert code == 0 and "img_size: 64" in out and "epochs: 1\n" in out, err


def waits_for_nothing(heavy, folder, name, *words):
    """What a command in a process of its own says of a mistake, without importing what is heavy."""
    code = (
        f"import sys; from fer_transfer.cli.{name} import main\n"
        "try: main()\n"
        f"finally: assert not {heavy!r} & set(sys.modules), 'slow'"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("part", ["plan", "stages", "runtime", "logger", "allow"])
def test_no_part_can_be_taken_out(part, command, elsewhere):
    code, _, stderr = command("train", f"~{part}")
    assert code == 1 and stderr.startswith(f"error: Expected {part}, but it was taken out") and stderr.count("\n") == 1


def test_a_mistake_in_any_job_of_a_multirun_is_told_before_the_first(command, elsewhere, tiny):
    code, stdout, stderr = command("train", "-m", *tiny, "plan=fer28,emotiw", "+plna=a,b")
    assert code == 1 and stderr.startswith("error: There is no setting plna") and stderr.count("\n") == 1
    assert "stage" not in stdout and not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("train", ["-h"]), ("prepare", ["-h"]), ("report", ["-h"]), ("weights", []), ("train", ["--cfg", "all"])],
)
def test_a_reader_that_has_gone_ends_a_command_quietly(name, arguments, elsewhere):
    code = f"from fer_transfer.cli.{name} import main; main()"
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running.stdout.close()  # as head does when it has its line
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(60) != 0


def test_another_broken_pipe_is_shown(command, monkeypatch):
    def broken(config):
        raise BrokenPipeError("a worker has gone")

    monkeypatch.setattr("fer_transfer.cli.weights.task", broken)
    code, _, stderr = command("weights")
    assert code == 1 and "a worker has gone" in stderr and "Traceback" in stderr
