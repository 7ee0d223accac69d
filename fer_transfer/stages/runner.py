"""Runs the stages of a plan, each once: compute the key, look it up, lock, train or resume, predict, commit."""

import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from filelock import Timeout

from fer_transfer.backbones.weights import LINEAGE_KEY, RECORD_KEY, save_weights
from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError, FerTransferError, NoMemoryError, ProcessError, StoreError
from fer_transfer.faces.faces import Faces
from fer_transfer.files.document import write_document
from fer_transfer.files.names import shown_text
from fer_transfer.signals import check as check_signals
from fer_transfer.stages.build import check, data_of, module_to_train
from fer_transfer.stages.fit import fit
from fer_transfer.stages.inputs import open_inputs
from fer_transfer.stages.jobs import Job, jobs_of
from fer_transfer.stages.key import code_of_keys
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.predict import can_be_seen, predict
from fer_transfer.stages.progress import StageLog
from fer_transfer.stages.runtime import Runtime, environment, is_out_of_memory, without_deterministic_way
from fer_transfer.stages.store import DamagedStageError, StageFolder, Store, cannot_write, store_to_train
from fer_transfer.stages.together import ALONE, Together
from fer_transfer.stages.tracker import Tracker
from fer_transfer.stages.work import commit, unfinished, working
from fer_transfer.study import Study
from fer_transfer.training.module import ExpressionClassifier


@dataclass(frozen=True)
class FinishedPlan:
    """What a plan leaves: its jobs in order, how many of them had to be trained, and the faces it was scored on."""

    plan: Plan
    jobs: tuple[Job, ...]
    trained: int
    faces: Mapping[str, Faces]


class Runner:
    """Runs plans against one store.

    Args:
        runtime: where and how.
        study: names and protects splits.
        tracker: told of what is trained.
        note: a caveat that stays with every stage trained.
        repair: set damaged stages aside and train them again.
        retry: try stages again that failed before.
        together: the processes that train each stage: the first runs plans, the others follow it.
    """

    def __init__(
        self,
        runtime: Runtime,
        study: Study,
        tracker: Tracker | None = None,
        note: str | None = None,
        repair: bool = False,
        retry: bool = False,
        together: Together = ALONE,
    ) -> None:
        runtime.apply()
        self.runtime, self.study, self.tracker, self.note = runtime, study, tracker or Tracker(), note
        self.repair, self.retry, self.together = repair, retry, together
        self.store = store_to_train(runtime.store)

    def run_plan(self, plan: Plan, only: str | None = None) -> FinishedPlan:
        """Check everything, then train what is not in the store.

        Args:
            plan: to run.
            only: train this stage and those that it starts from, and stop there.

        Raises:
            ConfigError, FacesError, WeightsError: before anything is trained.
            StoreError: if the store cannot be written, or a stage failed before.
            NoMemoryError: if there is too little for a stage.
        """
        faces, jobs = self._inputs(plan)
        self.tracker.comes(plan, jobs, faces)
        jobs = jobs if only is None else up_to(jobs, only, plan)
        missing = self.missing(jobs)
        self._say_what_comes(plan, jobs, missing)
        self._say_not_scored(jobs, faces)
        for job in missing:
            check(job, faces, self.runtime, self.together.ranks.processes)
        for job in missing:
            self._ensure(plan, job, faces)
        with self._named(plan, jobs[-1]):
            predict(jobs[-1], faces, self.runtime)
        return FinishedPlan(plan, jobs, len(missing), faces)

    def _inputs(self, plan: Plan) -> tuple[dict[str, Faces], tuple[Job, ...]]:
        faces = open_inputs(plan, self.runtime, self.study, self._say)
        return faces, jobs_of(plan, faces, self.store, self.study, self.note)

    def follow(self, plan: Plan) -> None:
        """Train with the first process what it names, until it ends.

        Args:
            plan: that it runs.

        Raises:
            ProcessError: if another process is gone.
            SystemExit: if the first one ended with another exit code than 0, or this one fails where the first does not: then
                it says why.
        """
        try:
            code = self._follow(plan)
        except ProcessError:
            raise
        except FerTransferError as error:
            print(f"error: process {self.together.ranks.rank}: {shown_text(str(error))}", file=sys.stderr, flush=True)
            code = 1
        if code:
            raise SystemExit(code)

    def _follow(self, plan: Plan) -> int:
        faces, jobs = None, dict[str, Job]()
        while (word := self.together.told()).key is not None:
            if faces is None:
                faces, planned = self._inputs(plan)
                jobs = {job.key: job for job in planned}
            if word.key not in jobs:
                raise ConfigError(
                    f"Expected stage {word.key}, which the first process trains, but the plan comes to {', '.join(jobs)}. Give "
                    "all processes the same faces, weights and versions."
                )
            folder, job = StageFolder(Path(word.folder)), jobs[word.key]
            log = StageLog(folder.log, job.stage.name, job.key, job.own.seed, echo=False)
            with self._named(plan, job):
                self._fit(job, faces, folder, log, Tracker())
        return word.code

    def missing(self, jobs: tuple[Job, ...]) -> list[Job]:
        """The jobs that are not in the store; with ``repair``, damaged ones are taken out of it.

        Raises:
            StoreError: if one is damaged or of another version, or failed before.
        """
        missing = [job for job in jobs if not self._is_finished(job)]
        for job in jobs:
            job.lineage  # noqa: B018  one that is damaged, or of another version, is told before anything is trained
        for job in missing:
            if self.retry:
                self.store.forget_failure(job.key)
            elif error := self.store.failure(job.key):
                raise StoreError(f"{error} It failed before; retry=true added to the command tries it again.")
        return missing

    def _is_finished(self, job: Job) -> bool:
        try:
            return job.folder.is_finished()
        except DamagedStageError as error:
            if not self.repair:
                raise
            aside = job.folder.set_aside()
            self._say(
                f"  repair: {job.stage.name} {job.key} is trained again; the damaged one is kept in {aside} ({error})"
            )
            return False

    def _say(self, text: str) -> None:
        if self.runtime.progress != "none" and self.together.ranks.leads:
            print(shown_text(text), flush=True)

    def _say_what_comes(self, plan: Plan, jobs: tuple[Job, ...], missing: list[Job]) -> None:
        self._say(f"{plan.name}: {len(jobs)} stage{'s' if len(jobs) > 1 else ''}")
        for job in jobs:
            self._say(f"  {job.stage.name} {job.key} seed {job.own.seed} {state_of(job, missing, self.store)}")
        if missing:
            for note in dict.fromkeys(note for job in missing for note in job.notes(self.runtime)):
                self._say(f"  {note}")

    def _say_not_scored(self, jobs: tuple[Job, ...], faces: Mapping[str, Faces]) -> None:
        """Which faces at hand no stage can be scored on: their label set is none of theirs, or they lack what stages see."""
        known = {job.classes for job in jobs}
        for of in faces.values():
            if of.classes not in known:
                self._say(f"  not scored on {of.name}, whose label set is another: {', '.join(of.classes)}")
            elif not any(can_be_seen(of, job.stage.recipe) for job in jobs):
                self._say(f"  not scored on {of.name}, which has no geometry")

    @contextmanager
    def _locked(self, job: Job) -> Iterator[None]:
        """Hold the stage's lock; nothing has been allocated yet, so a waiting job holds no GPU memory."""
        lock = self.store.lock(job.key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self._say(f"  {job.stage.name} {job.key} is being trained by another job: waiting")
            while not lock.is_locked:  # by and by, so that it can be told to stop
                check_signals()
                try:
                    lock.acquire(timeout=1)
                except Timeout:
                    continue
        try:
            yield
        finally:
            lock.release()

    def _ensure(self, plan: Plan, job: Job, faces: Mapping[str, Faces]) -> None:
        """Train a stage unless another job did while this one waited."""
        with self._named(plan, job), self._locked(job):
            if job.folder.is_finished():
                self._say(f"  {job.stage.name} {job.key} was trained by another job")
                return
            with working(self.store, job.key) as folder, self._tracked(job):
                if folder.result() is None:  # else only the last step was left to do
                    self._train_or_tell(plan, job, faces, folder)
                commit(folder, job.folder)

    @contextmanager
    def _tracked(self, job: Job) -> Iterator[None]:
        """Tell the tracker of a stage, however it ends."""
        self.tracker.starts(job)
        try:
            yield
        except BaseException:
            self.tracker.stops()
            raise
        self.tracker.finished(job)

    @contextmanager
    def _named(self, plan: Plan, job: Job) -> Iterator[None]:
        """Say which row and stage it is that the store cannot take, or the machine cannot compute as it is told to."""
        recipe = job.stage.recipe
        which = f"stage {job.stage.name!r} of {plan.name} ({recipe.backbone.name}, seed {recipe.seed})"
        try:
            yield
        except OSError as error:
            raise cannot_write(f"{which} to {job.folder.path}", error) from None
        except (MemoryError, RuntimeError) as error:
            if operation := without_deterministic_way(error):
                raise ConfigError(
                    f"Expected {which} to be computed by deterministic algorithms (runtime.deterministic=true), but torch has "
                    f"none of {operation} on this device. Leave the setting out, or choose another network."
                ) from None
            if not is_out_of_memory(error):
                raise
            said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise NoMemoryError(
                f"There is too little memory for {which}: {said}. Run fewer jobs at a time, and the same command goes on "
                f"from the last checkpoint; or lower recipe.batch_size={recipe.batch_size}, which makes it another stage."
            ) from None

    def _train_or_tell(self, plan: Plan, job: Job, faces: Mapping[str, Faces], folder: StageFolder) -> None:
        """Train; what the stage itself is to blame for is kept, so that it is not tried again by itself."""
        log = StageLog(
            folder.log, job.stage.name, job.key, job.own.seed, self.runtime.progress_style() in ("lines", "bar")
        )
        try:
            self._train(plan, job, faces, folder, log)
        except (OSError, MemoryError, StoreError, ProcessError):
            raise
        except FerTransferError as error:
            with suppress(StoreError):  # on a full disk the error itself is told
                self.store.fail(job.key, job.stage.name, str(error))
            raise
        except Exception as error:
            if not is_out_of_memory(error):
                with suppress(OSError):
                    log.silently(traceback.format_exc())
            raise

    def _train(self, plan: Plan, job: Job, faces: Mapping[str, Faces], folder: StageFolder, log: StageLog) -> None:
        started = time.perf_counter()
        recipe = job.stage.recipe
        taught_by = {"teachers": [teacher.key for teacher in job.teachers]} if job.teachers else {}
        write_document(folder.path / "recipe.json", asdict(recipe) | {"start": job.own.start} | taught_by)
        log.silently(f"{plan.name}/{job.stage.name} {job.key} seed {recipe.seed}, from {job.own.start}")
        with self.together.training(job.key, folder.path):
            module, taken = self._fit(job, faces, folder, log, self.tracker)
        save_weights(folder.weights, module.network, self._metadata(job, module))
        predict(job, faces, self.runtime, module, folder)
        folder.finish(
            {
                "key": job.key,
                "stage": job.stage.name,
                "lineage": job.lineage.to_json(),
                "code": code_of_keys(job.classes),
                "initial_weights": taken,
                "input": module.transform.description,
                "seconds": round(time.perf_counter() - started, 1),
                "environment": environment(self.runtime.accelerator),
            }
        )

    def _fit(
        self, job: Job, faces: Mapping[str, Faces], folder: StageFolder, log: StageLog, tracker: Tracker
    ) -> tuple[ExpressionClassifier, dict[str, Any]]:
        """The trained module, and what it started from."""
        # At the start of every stage: with one seed at program start, a cached first stage would change the second.
        pl.seed_everything(job.stage.recipe.seed, verbose=False)
        data = data_of(job, faces)
        module, taken = module_to_train(job, data, self.runtime)
        fit(module, data, folder, log, self.runtime, tracker, self.together)
        return module, taken

    def _metadata(self, job: Job, module: ExpressionClassifier) -> dict[str, str]:
        """What travels with the weights; whoever starts from the file inherits it. Of the input: what it was trained at."""
        return {
            "backbone": job.stage.recipe.backbone.name,
            "expressions": ",".join(job.classes),
            RECORD_KEY: json.dumps(job.backbone.record() | module.transform.record()),
            LINEAGE_KEY: json.dumps(job.lineage.to_json()),
            "key": job.key,
        }


def up_to(jobs: tuple[Job, ...], name: str, plan: Plan) -> tuple[Job, ...]:
    """The job of a stage and those that it starts from, parents first.

    Raises:
        ConfigError: if the plan has no such stage.
    """
    by_name = {job.stage.name: job for job in jobs}
    if name not in by_name:
        raise ConfigError(
            f"Expected stage=NAME to name a stage of plan {plan.name!r}, {', '.join(by_name)}, but got {name!r}."
            f"{nearest(name, by_name)}"
        )
    chain = [by_name[name]]
    while chain[0].parent is not None:
        chain.insert(0, chain[0].parent)
    return tuple(chain)


def state_of(job: Job, missing: Sequence[Job], store: Store) -> str:
    """What will happen to a stage, in words."""
    if job not in missing:
        return "in the store"
    resumed = any(work.folder.checkpoint.exists() for work in unfinished(store, job.key))
    return "to resume" if resumed else "to train"
