"""The record of a finished plan: what a report needs to know besides the predictions."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig

from fer_transfer.config import plain
from fer_transfer.reports.results import RECORD_VERSION
from fer_transfer.stages.key import digest
from fer_transfer.stages.runner import FinishedPlan, predicted_splits
from fer_transfer.stages.store import Store
from fer_transfer.training.recipe import Recipe


def write_record(store: Store, config: DictConfig, finished: FinishedPlan) -> dict[str, Any]:
    """Write ``store/submissions/<identity>.json`` and return it.

    Rows of one table share ``settings_id``: the recipe common to all stages, and what is different by stage name, less
    the seed. Runs of one row share ``row_id`` and differ in the seed alone.
    """
    plan = str(config.plan.name)
    last = finished.jobs[-1]
    recipes = {job.stage.name: job.stage.recipe for job in finished.jobs}
    chain = [[job.stage.name, job.stage.init_from, _without_seed(asdict(job.stage.recipe))] for job in finished.jobs]
    used = {name: f.digest for name, f in finished.faces.items()}
    backbone = finished.jobs[0].backbone
    start, caveat = backbone.identity, backbone.caveat
    results = [job.folder.result() or {} for job in finished.jobs]
    selected = {
        f"{name}/{split}"
        for job in finished.jobs
        if job.stage.recipe.keep == "best"
        for name, splits in job.stage.recipe.data["selection"].items()
        for split in splits
    }
    record = {
        "version": RECORD_VERSION,
        "submission": config.submission,
        "plan": plan,
        "backbone": last.stage.recipe.backbone.name,
        "seed": last.stage.recipe.seed,
        "settings_id": digest([_without_seed(plain(config.recipe)), plain(config.stages), start, used]),
        "row_id": digest([plan, chain, start, used]),
        "settings": _settings(recipes)
        | {"weights": backbone.weights_text, "input": results[-1]["input"]}
        | {f"faces.{name}": of_release.preparation for name, of_release in finished.faces.items()},
        "stages": [
            {
                "name": job.stage.name,
                "key": job.key,
                "epochs": job.stage.recipe.epochs,
                "seconds": result.get("seconds"),
            }
            for job, result in zip(finished.jobs, results, strict=True)
        ],
        "predictions": {
            f"{of_release.name}/{split}": str(path.relative_to(store.root))
            for of_release, split, path in predicted_splits(last, finished.faces)
        },
        "caveats": [text for text in (config.note, caveat) if text],
        "faces": {
            name: {"digest": f.digest, "caveats": f.caveats, "counts": f.manifest["counts"]}
            for name, f in finished.faces.items()
        },
        "selected_on": sorted(selected),
        "trained_on": sorted(f"{name}/{split}" for name, split in last.trained_on),
        "environment": results[-1].get("environment", {}),
    }
    store.write_submission(digest([record["row_id"], record["seed"]]), record)
    return record


def _without_seed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Less the seed and the path of the weights, whose digest stands beside."""
    backbone = {key: value for key, value in recipe["backbone"].items() if key != "weights"}
    return {key: value for key, value in recipe.items() if key != "seed"} | {"backbone": backbone}


def _settings(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """Flat and printable; a value in which stages differ is given by stage."""
    flat = {name: dict(_flatten(_printable(recipe))) for name, recipe in recipes.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    settings = {}
    for key in keys:
        values = {name: of_stage.get(key) for name, of_stage in flat.items()}
        distinct = {str(v) for v in values.values()}
        settings[key] = (
            next(iter(values.values())) if len(distinct) == 1 else ", ".join(f"{n}: {v}" for n, v in values.items())
        )
    return settings


def _printable(recipe: Recipe) -> dict[str, Any]:
    content = asdict(recipe)
    for dropped in ("seed", "data"):
        content.pop(dropped)
    content["backbone"].pop("weights")
    return content


def _flatten(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        items += _flatten(value, f"{name}.") if isinstance(value, Mapping) and value else [(name, value)]
    return items
