"""Runs the stages of a plan, each once: compute the key, look it up, lock, train or resume, predict, commit."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from filelock import Timeout
from pytorch_lightning.loggers import Logger

from fer_transfer.backbones.backbone import (
    build_network,
    head_patterns,
    initial_weights_caveat,
    initial_weights_identity,
    preprocessing_of,
)
from fer_transfer.backbones.batch_norm import unfold
from fer_transfer.backbones.weights import RECORD_KEY, load_into, read_weights, save_weights
from fer_transfer.config import build
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.faces import Faces, open_faces
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.stages.fit import fit
from fer_transfer.stages.key import stage_key
from fer_transfer.stages.plan import Plan, Stage
from fer_transfer.stages.runtime import Runtime, environment
from fer_transfer.stages.store import StageFolder, Store, write_json
from fer_transfer.training.module import ExpressionClassifier, balanced_weights
from fer_transfer.training.optim import freeze
from fer_transfer.training.recipe import Recipe

#: The paper's table reports these and nothing else; no stage may train on them.
REPORTED = {"emotiw": ("Val", "Test")}

LoggerFactory = Callable[[str, Stage, str], Logger]  # (plan, stage, key) -> logger


@dataclass(frozen=True)
class Job:
    """A stage with what names it: its key, its folder, the job it starts from, and what its lineage was trained on."""

    stage: Stage
    key: str
    folder: StageFolder
    parent: "Job | None"
    trained_on: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class FinishedPlan:
    """What a plan leaves: its jobs in order, and how many of them had to be trained."""

    jobs: tuple[Job, ...]
    trained: int
    faces: Mapping[str, Faces]


class Runner:
    """Runs plans against one store.

    Args:
        runtime: where and how.
        logger: makes one more logger for a stage, besides the CSV that is always written.
    """

    def __init__(self, runtime: Runtime, logger: LoggerFactory | None = None) -> None:
        runtime.apply()
        self.runtime, self.logger = runtime, logger
        self.store = Store(runtime.store)

    def run_plan(self, plan: Plan) -> FinishedPlan:
        """Check everything, then train what is not in the store.

        Raises:
            ConfigError, FacesError, WeightsError: before anything is trained.
            StoreError: if the store cannot be written.
        """
        faces = self._open_faces(plan)
        jobs = self._jobs(plan, faces)
        self._say(f"{plan.name}: {len(jobs)} stage{'s' if len(jobs) > 1 else ''}")
        missing = [job for job in jobs if job.folder.result() is None]  # reads the weights to check them: once
        for job in jobs:
            state = (
                "in the store" if job not in missing else "to resume" if job.folder.checkpoint.exists() else "to train"
            )
            self._say(f"  {job.stage.name} {job.key} {state}")
        for job in missing:
            self._check(job, faces)
        for job in missing:
            self._ensure(plan, job, faces)
        self._predict(jobs[-1], faces)
        return FinishedPlan(jobs, len(missing), faces)

    def _say(self, text: str) -> None:
        if self.runtime.progress != "none":
            print(text, flush=True)

    def _open_faces(self, plan: Plan) -> dict[str, Faces]:
        """Faces that the plan needs, and those that are there to be predicted."""
        needed = {name for s in plan.stages for part in ("train", "selection") for name in s.recipe.data[part]}
        folders = {name: self.runtime.folder_of(name) for name in sorted(needed | set(self.runtime.faces))}
        present = {name for name, folder in folders.items() if (folder / "manifest.json").exists()}
        return {name: open_faces(folders[name]) for name in sorted(needed | present)}

    def _jobs(self, plan: Plan, faces: Mapping[str, Faces]) -> tuple[Job, ...]:
        jobs: dict[str, Job] = {}
        for stage in plan.stages:
            data = stage.recipe.data
            parent = jobs[stage.init_from] if stage.init_from else None
            start = parent.key if parent else initial_weights_identity(stage.recipe.backbone)
            digests = {name: faces[name].digest for part in ("train", "selection") for name in data[part]}
            key = stage_key(stage.recipe, start, digests)
            own = frozenset((name, split) for name, splits in data["train"].items() for split in splits)
            lineage = own | (parent.trained_on if parent else frozenset())
            jobs[stage.name] = Job(stage, key, self.store.stage(key), parent, lineage)
            for name, splits in REPORTED.items():
                if taken := [split for split in splits if (name, split) in own]:
                    raise ConfigError(
                        f"Stage {stage.name!r} trains on {name} {taken}, which the table reports. Take it out."
                    )
        return tuple(jobs.values())

    def _check(self, job: Job, faces: Mapping[str, Faces]) -> None:
        """Find out before the first epoch what would fail: splits, labels, weights, names, crop, optimiser."""
        recipe = job.stage.recipe
        if recipe.precision == "16-mixed" and self.runtime.accelerator == "cpu":
            raise ConfigError("Expected a GPU for recipe.precision=16-mixed. On a CPU use 32-true or bf16-mixed.")
        self._data(job, faces)
        network = build_network(recipe.backbone, load=job.parent is None)
        if job.parent is not None:
            parent = build_network(job.parent.stage.recipe.backbone, load=False).state_dict()
            load_into(network, parent, _skipped(recipe, network), f"stage {job.parent.stage.name!r}")
        freeze(network, recipe.frozen)
        transform = self._transform(job, network)
        try:
            with torch.no_grad():
                network.eval()(transform((torch.zeros(1, 48, 48, dtype=torch.uint8),), random=False))
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"The network {recipe.backbone.name} refuses an input of {transform.crop} x {transform.crop}: "
                f"{str(error).splitlines()[0]}. Change recipe.augment.crop or recipe.backbone.kwargs."
            ) from None
        ExpressionClassifier(network, transform, recipe, head_patterns(network)).check_optimizer()

    def _data(self, job: Job, faces: Mapping[str, Faces]) -> FacesDataModule:
        recipe = job.stage.recipe
        module: FacesDataModule = build(
            f"{job.stage.name}.data",
            recipe.data,
            labelling=recipe.labelling,
            faces=faces,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
        )
        return module

    def _transform(self, job: Job, network: torch.nn.Module) -> BatchTransform:
        preprocessing = preprocessing_of(job.stage.recipe.backbone, network)
        transform: BatchTransform = build(
            f"{job.stage.name}.augment",
            job.stage.recipe.augment,
            preprocessing=preprocessing,
            channels_last=self.runtime.channels_last,
        )
        return transform

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
            if job.folder.result() is not None:
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
        content = asdict(recipe) | {"init_from": job.parent.key if job.parent else None}
        write_json(folder.path / "recipe.json", content)
        # At the start of every stage: with one seed at program start, a cached first stage would change the second.
        pl.seed_everything(recipe.seed, verbose=False)
        data = self._data(job, faces)
        module, taken = self._module(job, data)
        logger = self.logger(plan.name, job.stage, job.key) if self.logger else None
        fit(module, data, folder, job.stage.name, self.runtime, logger)
        record = preprocessing_of(recipe.backbone, module.network).record()
        if caveat := initial_weights_caveat(_first(job).stage.recipe.backbone):
            record["caveat"] = caveat  # whoever starts from this file inherits it
        metadata = {
            "backbone": recipe.backbone.name,
            "expressions": ",".join(EXPRESSIONS),
            RECORD_KEY: json.dumps(record),
            "key": job.key,
        }
        sha256 = save_weights(folder.weights, module.network, metadata)
        self._predict(job, faces, module)
        result = {
            "key": job.key,
            "stage": job.stage.name,
            "weights_sha256": sha256,
            "initial_weights": taken,
            "input": module.transform.description,
            "seconds": round(time.perf_counter() - started, 1),
            "environment": environment(self.runtime.accelerator),
        }
        write_json(folder.path / "result.json", result)
        for leftover in ("last.ckpt", "best.ckpt"):
            (folder.path / leftover).unlink(missing_ok=True)

    def _module(self, job: Job, data: FacesDataModule | None) -> tuple[ExpressionClassifier, dict[str, Any]]:
        """The module of a stage, filled from its parent or its initial weights; without data, an empty one."""
        recipe = job.stage.recipe
        fresh = job.parent is None
        network = build_network(recipe.backbone, load=fresh and data is not None)
        transform = self._transform(job, network)
        taken: dict[str, Any] = {"from": initial_weights_identity(recipe.backbone) if fresh else "parent stage"}
        if data is not None and job.parent is not None:
            weights = job.parent.folder.weights
            loaded = load_into(network, read_weights(weights), _skipped(recipe, network), str(weights))
            taken |= {"tensors": len(loaded.taken), "skipped": loaded.skipped}
        if data is not None and fresh and recipe.batch_norm == "unfold":
            taken["unfolded"] = unfold(network, transform(_sample(data), random=False))
        freeze(network, recipe.frozen)
        if self.runtime.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        balanced = data is not None and recipe.class_weights == "balanced"
        class_weights = balanced_weights(data.train_set.targets) if data is not None and balanced else None
        return ExpressionClassifier(network, transform, recipe, head_patterns(network), class_weights), taken

    def _predict(self, job: Job, faces: Mapping[str, Faces], module: ExpressionClassifier | None = None) -> None:
        """Write the predictions that are not there yet, of every split that the stage's lineage was not trained on."""
        missing = [(f, split, path) for f, split, path in predicted_splits(job, faces) if not path.exists()]
        if not missing:
            return
        if module is None:
            module, _ = self._module(job, None)
            load_into(module.network, read_weights(job.folder.weights), source=str(job.folder.weights))
        device = torch.device("cuda" if self.runtime.accelerator == "gpu" else "cpu")
        module = module.to(device).eval()
        for of_release, split, path in missing:
            _predict_split(module, of_release, split, device).write(path)


def predicted_splits(job: Job, faces: Mapping[str, Faces]) -> list[tuple[Faces, str, Path]]:
    """(faces, split, CSV path) of every evaluation split that the job's lineage was not trained on."""
    return [
        (of_release, split, job.folder.predictions(name, split, of_release.digest, job.stage.recipe.evaluation))
        for name, of_release in faces.items()
        for split in of_release.evaluation_splits
        if (name, split) not in job.trained_on
    ]


def _first(job: Job) -> Job:
    """The job whose initial weights its lineage started from."""
    return job if job.parent is None else _first(job.parent)


def _skipped(recipe: Recipe, network: torch.nn.Module) -> list[str]:
    """Patterns of names in which a child may differ from its parent."""
    return [*recipe.skip_weights, *(head_patterns(network) if recipe.head == "reset" else [])]


def _sample(data: FacesDataModule, count: int = 256) -> tuple[torch.Tensor, ...]:
    """Training faces evenly spread over the set."""
    indices = np.linspace(0, len(data.train_set) - 1, min(count, len(data.train_set))).astype(int)
    return data.train_set.__getitems__(indices.tolist()).pixels


@torch.inference_mode()
def _predict_split(module: ExpressionClassifier, faces: Faces, split: str, device: torch.device) -> Predictions:
    """Softmax of the centre crop, or its mean over ten, for every face of a split, found or not."""
    rows = faces.rows([split])
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=module.recipe.precision == "bf16-mixed")
    outputs = []
    with autocast:
        for start in range(0, len(rows), 256):
            pixels = torch.from_numpy(faces.pixels[rows[start : start + 256]]).to(device)
            outputs.append(module.probabilities((pixels,)).cpu())
    probabilities = torch.cat(outputs).double().numpy()
    return Predictions(faces.ids[rows], faces.labels[rows], faces.found[rows], probabilities)
