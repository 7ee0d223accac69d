"""Runs the stages of a plan, each once: compute the key, look it up, lock, train or resume, predict, commit."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import pytorch_lightning as pl
from filelock import Timeout
from pytorch_lightning.loggers import Logger

from fer_transfer.backbones.weights import LINEAGE_KEY, RECORD_KEY, save_weights
from fer_transfer.errors import StoreError
from fer_transfer.faces.faces import Faces
from fer_transfer.files.names import shown_text
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.stages.build import check, data_of, module_to_train
from fer_transfer.stages.fit import fit
from fer_transfer.stages.inputs import open_inputs
from fer_transfer.stages.jobs import Job, jobs_of
from fer_transfer.stages.key import code_of_keys
from fer_transfer.stages.plan import Plan, Stage
from fer_transfer.stages.predict import predict
from fer_transfer.stages.runtime import Runtime, environment
from fer_transfer.stages.store import DamagedStageError, Store, write_to_store
from fer_transfer.study import Study
from fer_transfer.training.module import ExpressionClassifier

LoggerFactory = Callable[[str, Stage, str], Logger]  # (plan, stage, key) -> logger


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
        logger: makes one more logger for a stage, besides the CSV that is always written.
        note: a caveat that stays with every stage trained.
        repair: set damaged stages aside and train them again.
    """

    def __init__(
        self,
        runtime: Runtime,
        study: Study,
        logger: LoggerFactory | None = None,
        note: str | None = None,
        repair: bool = False,
    ) -> None:
        runtime.apply()
        self.runtime, self.study, self.logger, self.note, self.repair = runtime, study, logger, note, repair
        self.store = Store(runtime.store)

    def run_plan(self, plan: Plan) -> FinishedPlan:
        """Check everything, then train what is not in the store.

        Raises:
            ConfigError, FacesError, WeightsError: before anything is trained.
            StoreError: if the store cannot be written.
        """
        faces = open_inputs(plan, self.runtime, self.study, self._say)
        jobs = jobs_of(plan, faces, self.store, self.study, self.note)
        missing = [job for job in jobs if not self._is_finished(job)]
        for job in jobs:
            job.lineage  # noqa: B018  one that is damaged, or of another version, is told before anything is trained
        self._say_what_comes(plan, jobs, missing)
        for job in missing:
            check(job, faces, self.runtime)
        for job in missing:
            self._ensure(plan, job, faces)
        predict(jobs[-1], faces, self.runtime)
        return FinishedPlan(plan, jobs, len(missing), faces)

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
        if self.runtime.progress != "none":
            print(shown_text(text), flush=True)

    def _say_what_comes(self, plan: Plan, jobs: tuple[Job, ...], missing: list[Job]) -> None:
        self._say(f"{plan.name}: {len(jobs)} stage{'s' if len(jobs) > 1 else ''}")
        for job in jobs:
            state = "to resume" if job.folder.checkpoint.exists() else "to train"
            self._say(f"  {job.stage.name} {job.key} {state if job in missing else 'in the store'}")
        if missing:
            for note in dict.fromkeys(note for job in missing for note in job.backbone.notes):
                self._say(f"  {note}")

    @contextmanager
    def _locked(self, job: Job) -> Iterator[None]:
        """Hold the stage's lock; nothing has been allocated yet, so a waiting job holds no GPU memory."""
        lock = self.store.lock(job.key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            self._say(f"  {job.stage.name} {job.key} is being trained by another job: waiting")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _ensure(self, plan: Plan, job: Job, faces: Mapping[str, Faces]) -> None:
        """Train a stage unless another job did while this one waited."""
        with self._locked(job):
            if job.folder.is_finished():
                self._say(f"  {job.stage.name} {job.key} was trained by another job")
                return
            try:
                job.folder.path.mkdir(parents=True, exist_ok=True)
                self._train(plan, job, faces)
            except OSError as error:
                raise StoreError(
                    f"Cannot write stage {job.stage.name!r} to {job.folder.path}: {error}. Free space or choose another "
                    "runtime.store; the same command then goes on from the last finished epoch."
                ) from None

    def _train(self, plan: Plan, job: Job, faces: Mapping[str, Faces]) -> None:
        started = time.perf_counter()
        recipe, folder = job.stage.recipe, job.folder
        write_to_store(folder.path / "recipe.json", asdict(recipe) | {"start": job.own.start})
        # At the start of every stage: with one seed at program start, a cached first stage would change the second.
        pl.seed_everything(recipe.seed, verbose=False)
        data = data_of(job, faces)
        module, taken = module_to_train(job, data, self.runtime)
        logger = self.logger(plan.name, job.stage, job.key) if self.logger else None
        fit(module, data, folder, job.stage.name, self.runtime, logger)
        save_weights(folder.weights, module.network, self._metadata(job))
        predict(job, faces, self.runtime, module)
        self._commit(job, module, taken, time.perf_counter() - started)

    def _metadata(self, job: Job) -> dict[str, str]:
        """What travels with the weights; whoever starts from the file inherits it."""
        return {
            "backbone": job.stage.recipe.backbone.name,
            "expressions": ",".join(EXPRESSIONS),
            RECORD_KEY: json.dumps(job.backbone.record()),
            LINEAGE_KEY: json.dumps(job.lineage.to_json()),
            "key": job.key,
        }

    def _commit(self, job: Job, module: ExpressionClassifier, taken: dict[str, object], seconds: float) -> None:
        result = {
            "key": job.key,
            "stage": job.stage.name,
            "lineage": job.lineage.to_json(),
            "code": code_of_keys(),
            "initial_weights": taken,
            "input": module.transform.description,
            "seconds": round(seconds, 1),
            "environment": environment(self.runtime.accelerator),
        }
        job.folder.finish(result)
