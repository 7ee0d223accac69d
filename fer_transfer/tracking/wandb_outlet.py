"""Writes runs with wandb: the only module that knows it, with ``dashboard``."""

import json
import re
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import wandb

from fer_transfer.stages.metrics import read_metrics
from fer_transfer.stages.store import StageFolder
from fer_transfer.tracking.finals import SplitScores, finals_of
from fer_transfer.tracking.process import OutletError, said, warn
from fer_transfer.tracking.runs import STAGE, Run, metric_name
from fer_transfer.tracking.sending import SENT, began, id_of, runs_in
from fer_transfer.upkeep.contents import read_stage

_FINISH = 600.0  # seconds for a server to take everything at the end
_MODEL = "model"

#: The parts of wandb's process by whose errors something of a run is not written or not sent, as its log begins with them.
_LOST = re.compile(r"(writer|sender|filestream|runfiles|runupserter|fileTransfer|ArtifactSaver)\b", re.IGNORECASE)

#: An address or a path in what it says, which differs from run to run.
_PLACE = re.compile(r"(: \w+)? (url=)?(/|https?:/)\S+")


class WandbOutlet:
    """One run at a time; where the server cannot be reached it is written offline.

    Args:
        options: ``project``, ``entity``, ``offline``, ``weights``, ``pictures``, ``timeout``, ``folder``; of the process that
            trains: ``pid``, ``argv``, ``scratch``, ``quiet``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.offline = bool(options["offline"])
        self.folder = Path(options["folder"]) / "wandb"
        self.run: Any = None
        self._next = 0
        self._faces: dict[str, str] = {}

    def start(self, run: Run, store: Path, faces: Mapping[str, str] | None = None) -> None:
        """Begin a run, or go on with it: what an earlier folder of the same run held is written anew, and that one removed."""
        self._faces = dict(faces or {})
        self.folder.mkdir(parents=True, exist_ok=True)
        before = self._own(run)
        self._wait_for_its_turn(run)
        self.run = self._begin(run, before)
        self._next = int(self.run.step)  # of a run that the server knows
        for folder in before:
            shutil.rmtree(folder, ignore_errors=True)
        for key in run.uses:
            self._use(weights_artifact(StageFolder(store / key), bool(self.options["weights"])))
        if run.initial is not None:
            self._use(initial_artifact(run.initial))
        self.run.summary.update(dict(run.summary))

    def epoch(self, row: Mapping[str, str]) -> None:
        """Log a row of ``metrics.csv``."""
        epoch = int(row["epoch"])
        if epoch < self._next:
            return
        self._next = epoch + 1
        values = {metric_name(name): float(value) for name, value in row.items() if name != "epoch" and value}
        self.run.log({"epoch": epoch, **values}, step=epoch)

    def finish(self, folder: StageFolder) -> None:
        """Log the epochs not told yet, the confusion matrices, recalls, predictions, final numbers and weights of a stage."""
        for row in read_metrics(folder.metrics):
            self.epoch(row)
        stage = read_stage(folder)
        assert stage is not None, "it was committed"
        shown: dict[str, Any] = {}
        for scores in finals_of(folder):
            shown |= self._shown(scores)
            self.run.summary.update({f"{scores.name}/{name}": value for name, value in scores.numbers.items()})
        self.run.log(shown)
        self.run.summary.update({"seconds": stage.seconds, **{k: str(v) for k, v in stage.environment.items()}})
        self.run.log_artifact(weights_artifact(folder, bool(self.options["weights"])), aliases=["latest"])
        self.end()

    def end(self) -> None:
        """End the run, and mark it as sent where the server has all of it."""
        run, self.run = self.run, None
        folder = Path(run.settings.sync_dir)
        try:
            run.finish()
            why = _went_wrong(folder)
        except Exception as error:
            if run.offline:
                raise
            why = said(error)
        if why and run.offline:
            raise OutletError(why)
        if why:
            self._leave(folder)
            warn(self.options, f"{why}. What the server did not take is to be sent later.")
        elif not run.offline:
            (folder / f"run-{run.id}.wandb{SENT}").touch()

    def stop(self) -> None:
        """End a run that was interrupted."""
        if self.run is not None:
            run, self.run = self.run, None
            run.finish(exit_code=1)

    def give_up(self) -> None:
        """Let a run that is not sent be found."""
        if self.run is not None:
            self._leave(Path(self.run.settings.sync_dir))

    def _leave(self, folder: Path) -> None:
        """Name the folder of a run as those that are to be sent."""
        if not folder.name.startswith("offline-"):
            folder.rename(folder.with_name(f"offline-{folder.name}"))

    def _begin(self, run: Run, before: Sequence[Path]) -> Any:
        """By a thread: of what waits for a server in wandb's start, its own timeout covers a part."""
        if self.offline:
            return self._init(run, "offline")
        done: SimpleQueue[Any] = SimpleQueue()

        def begin() -> None:
            try:
                done.put(self._init(run, "online"))
            except Exception as error:
                done.put(error)

        threading.Thread(target=begin, daemon=True).start()
        try:
            begun = done.get(timeout=float(self.options["timeout"]))
        except Empty:
            begun = TimeoutError(f"the server did not answer in {self.options['timeout']:g} s")
        if isinstance(begun, Exception):
            for folder in set(self._own(run)) - set(before):
                shutil.rmtree(folder, ignore_errors=True)
            raise OutletError(_unreachable(str(begun)))
        return begun

    def _own(self, run: Run) -> list[Path]:
        return [folder for folder in runs_in(self.folder) if id_of(folder) == run.id]

    def _init(self, run: Run, mode: Literal["online", "offline"]) -> Any:
        is_stage = run.kind == STAGE
        settings = wandb.Settings(
            silent=True,
            program=self.options["argv"][0],
            console="off",
            symlink=False,
            init_timeout=float(self.options["timeout"]),
            finish_timeout=_FINISH,
            finish_timeout_raises=True,
            x_disable_stats=not is_stage,
            x_stats_pid=self.options["pid"],
            x_stats_track_process_tree=False,
        )
        made = wandb.init(
            mode=mode,
            dir=str(self.folder.parent),
            project=self.options["project"],
            entity=self.options["entity"],
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.kind,
            tags=list(run.tags),
            notes=run.notes,
            config=dict(run.config),
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=settings,
        )
        made.define_metric("epoch")
        made.define_metric("*", step_metric="epoch")
        return made

    def _wait_for_its_turn(self, run: Run) -> None:
        """Folders are sent in the order of their times, to the second: one that uses a stage must be younger than it."""
        used = [began(folder) for folder in runs_in(self.folder) if id_of(folder) in run.uses]
        while used and time.strftime("%Y%m%d_%H%M%S") <= max(used):
            time.sleep(0.1)

    def _use(self, artifact: wandb.Artifact) -> None:
        """As ``Run.use_artifact`` does with one that is not logged yet; offline that refuses what ``wandb sync`` can do."""
        self.run._log_artifact(artifact, aliases=["latest"], is_user_created=True, use_after_commit=True)

    def _shown(self, scores: SplitScores) -> dict[str, Any]:
        """Matrix, recalls and predictions of a split, as charts and tables."""
        predictions = scores.predictions
        recalls = wandb.Table(columns=["expression", "recall"], data=[list(item) for item in scores.recalls.items()])
        title = f"Recall by expression, {scores.name}"
        return {
            f"confusion/{scores.name}": wandb.plot.confusion_matrix(
                y_true=predictions.labels.tolist(),
                preds=predictions.predicted.tolist(),
                class_names=list(predictions.classes),
                title=f"Confusion matrix, {scores.name}",
            ),
            f"recall/{scores.name}": wandb.plot.bar(recalls, "expression", "recall", title=title),
            f"predictions/{scores.name}": self._table(scores),
        }

    def _table(self, scores: SplitScores) -> wandb.Table:
        """A line a face, the most surely wrong first."""
        predictions, pictures = scores.predictions, self._pictures(scores)
        classes = predictions.classes
        columns = ["face", "label", "predicted", "right", "found", *(f"p {name}" for name in classes)]
        table = wandb.Table(columns=[*(["picture"] if pictures else []), *columns])
        for i in scores.by_certainty.tolist():
            label, predicted = int(predictions.labels[i]), int(predictions.predicted[i])
            probabilities = [round(float(p), 4) for p in predictions.probabilities[i]]
            found = bool(predictions.found[i])
            named = [str(predictions.ids[i]), classes[label], classes[predicted], label == predicted, found]
            table.add_data(*([pictures.get(str(predictions.ids[i]))] if pictures else []), *named, *probabilities)
        return table

    def _pictures(self, scores: SplitScores) -> dict[str, wandb.Image]:
        """Of the faces most surely wrong, where the release may be shown, by id."""
        if scores.digest not in self._faces or not self.options["pictures"]:
            return {}
        from fer_transfer.faces.opening import open_faces  # with OpenCV, where there are pictures alone
        from fer_transfer.faces.thumbnails import thumbnails

        ids = scores.predictions.ids[scores.by_certainty[: self.options["pictures"]]].tolist()
        small = thumbnails(open_faces(Path(self._faces[scores.digest])), ids)
        return {id: wandb.Image(pixels, mode="L" if pixels.ndim == 2 else "RGB") for id, pixels in small.items()}


def _unreachable(why: str) -> str:
    """Why the server cannot be reached, in a line."""
    if "error 401" in why:
        return "the server does not take the key (401); wandb login --relogin asks for another"
    return why.splitlines()[0].rstrip(".")


def _went_wrong(folder: Path) -> str:
    """The first thing that kept something of a run from being written or sent, or nothing.

    wandb says it in its log alone, among single attempts that it repeats, and metrics of the system that it cannot take.
    """
    with suppress(OSError), (folder / "logs" / "debug-internal.log").open(encoding="utf-8", errors="replace") as log:
        for line in log:
            with suppress(ValueError):
                told = json.loads(line)
                text = str(told["msg"]).partition("\n")[0]
                if str(told.get("level")).startswith("ERROR") and _LOST.match(text):
                    return _PLACE.sub("", text)[:200].rstrip(". ")
    return ""


def weights_artifact(folder: StageFolder, whole: bool) -> wandb.Artifact:
    """The weights of a finished stage; made of the same stage it is the same artifact, whoever logs or uses it.

    Args:
        folder: of the stage.
        whole: with their bytes; otherwise with their digest alone.
    """
    stage = read_stage(folder)
    if stage is None:
        raise FileNotFoundError(f"{folder.path} is no finished stage")
    own = stage.own
    name = f"{own.name}-{own.recipe['backbone']['name']}-seed{own.seed}-{stage.key[:8]}"
    told = {"key": stage.key, "sha256": stage.weights, "stage": own.name, "caveats": list(stage.lineage.caveats)}
    artifact = wandb.Artifact(_plain(name), _MODEL, metadata=told)
    if whole:
        artifact.add_file(str(folder.weights), name=folder.weights.name, policy="immutable", skip_cache=True)
    else:
        _add_document(artifact, {"key": stage.key, "sha256": stage.weights})
    return artifact


def initial_artifact(initial: Mapping[str, Any]) -> wandb.Artifact:
    """What the first stage of a chain started from: ImageNet's weights, as what they are called and their digest."""
    name = f"{initial['pretraining']}-{initial['weights']}"
    artifact = wandb.Artifact(_plain(name), _MODEL, metadata=dict(initial))
    _add_document(artifact, initial)
    return artifact


def _add_document(artifact: wandb.Artifact, content: Mapping[str, Any]) -> None:
    with artifact.new_file("weights.json", encoding="utf-8") as file:
        json.dump(dict(content), file, sort_keys=True)


def _plain(name: str) -> str:
    """A name of letters, digits, and what else an artifact's may have."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)[:120].strip("-")
