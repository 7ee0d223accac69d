"""Notes under a group's table of plans: settings, choices, where the initial weights come from, device and time."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import islice

from fer_transfer.reports.results import Group, Row
from fer_transfer.stages.lineage import StageLineage
from fer_transfer.study import LeftOpen, Study
from fer_transfer.upkeep.difference import usual

#: Settings by which a table is told from others; more are in its notes.
_FEW = 6


def settings_notes(group: Group, study: Study) -> list[str]:
    """What was chosen, what it started from, on what it ran, how long it took; a stage that rows share is counted once."""
    if not group.trained:
        return []
    settings = _common_settings(group.trained) | _faces_settings(group)
    words = study.left_open.words
    chosen = {key: value for key, value in settings.items() if any(word in key.lower() for word in words)}
    rest = {key: value for key, value in settings.items() if key not in chosen}
    records = [row.record for row in group.trained]
    seconds = {stage.get("key"): stage.get("seconds") or 0.0 for record in records for stage in record.stages}
    devices = dict.fromkeys(str(record.environment.get("device", "unknown")) for record in records)
    total = math.fsum(seconds.values())
    time = f"{total / 3600:.1f} h" if total >= 3600 else f"{total / 60:.1f} min" if total >= 60 else f"{total:.1f} s"
    seeds = ", ".join(dict.fromkeys(row.seed for row in sorted(group.trained, key=lambda row: row.record.seeds)))
    by_votes = settings.get("labelling.labels", "release") != "release"
    return [
        *(
            [
                "Scores are of the labels as released; stages whose faces have FER+ votes were trained and selected by these."
            ]
            if by_votes
            else []
        ),
        f"Settings {group.settings_id[:8]}: {_listed(rest)}.",
        _choices_note(chosen, seeds, study.left_open),
        *_inheritance_notes(group),
        f"Device: {', '.join(devices)}. Training time: {time} for {len(seconds)} distinct stages.",
    ]


def settings_apart(groups: Sequence[Group]) -> list[str]:
    """Of each group the settings that are others than those of most groups of its backbone; empty where none differ.

    Compared are plans that ran in all of them, if any did, and faces that all are scored on; where no plan ran in two of them,
    the values of any plan. Where no value is the most frequent, each says its own.
    """
    by_backbone: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        if group.trained:
            by_backbone.setdefault(group.backbone, []).append(number)
    apart = [""] * len(groups)
    for numbers in by_backbone.values():
        for number, said in zip(numbers, _apart([groups[number] for number in numbers]), strict=True):
            apart[number] = said
    return apart


def _apart(alike: Sequence[Group]) -> list[str]:
    names = [{row.plan for row in of.trained} for of in alike]
    plans, several = set.intersection(*names), sum(map(len, names)) > len(set.union(*names))
    releases = set.intersection(*(set(of.faces) for of in alike))
    settings = [
        (
            _common_settings([row for row in of.trained if row.plan in plans or not plans])
            if several
            else _values(of.trained)
        )
        | {key: value for key, value in _faces_settings(of).items() if key.partition(".")[2] in releases}
        for of in alike
    ]
    if all(of == settings[0] for of in settings):  # of other faces, which the titles name
        return [""] * len(alike)
    keys = dict.fromkeys(key for of in settings for key in of)
    common = {key: usual(of.get(key, "none") for of in settings) for key in keys}
    differ = [{key: of.get(key, "none") for key in keys if of.get(key, "none") != common[key]} for of in settings]
    return [_first(of) if of else "the settings of most" for of in differ]


def _first(settings: Mapping[str, str]) -> str:
    """A few of them by name, and how many more there are."""
    few = dict(islice(settings.items(), _FEW))
    return _listed(few) + (f" and {len(settings) - _FEW} others" if len(settings) > _FEW else "")


def setting_text(value: object) -> str:
    """A setting as one writes it in YAML: ``true``, ``[0.5, 1]``; ``none`` where it is empty.

    >>> setting_text(True), setting_text([]), setting_text(None), setting_text(1e-05), setting_text("last")
    ('true', 'none', 'none', '1e-05', 'last')
    """
    if value in (None, "", [], {}):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _choices_note(chosen: dict[str, str], seeds: str, left_open: LeftOpen) -> str:
    """What the study leaves open, where it says so, and what was chosen."""
    says = "" if left_open.says == LeftOpen.says else f"{left_open.says}. "
    return says + (f"Chosen here: {_listed(chosen)}; seeds {seeds}." if chosen else f"Seeds: {seeds}.")


def _inheritance_notes(group: Group) -> list[str]:
    """The stages of other plans in the initial weights, once for each such file; plans are named where they differ in it."""
    plans_by_file: dict[tuple[str, str], dict[str, None]] = {}
    for row in group.trained:
        inherited = row.record.lineage.stages[: -len(row.record.seeds)]
        file = (inherited[-1].key, _made_by(inherited)) if inherited else ("", "")
        plans_by_file.setdefault(file, {})[row.plan] = None
    differ = len(plans_by_file) > 1
    return [
        f"Initial weights{' of ' + ', '.join(plans) if differ else ''} were made by {made_by}."
        for (_, made_by), plans in plans_by_file.items()
        if made_by
    ]


def _made_by(stages: Sequence[StageLineage]) -> str:
    """Stages, each with what it was trained on, and their seeds."""
    names = []
    for stage in stages:
        faces = "; ".join(f"{used.release}: {used.training_text(', ')}" for used in stage.faces if used.trained_on)
        names.append(f"{stage.name} ({faces})")
    seeds = dict.fromkeys(str(stage.seed) for stage in stages)
    return f"stage{'s' * (len(names) > 1)} {', '.join(names)} with seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"


def _common_settings(rows: Sequence[Row]) -> dict[str, str]:
    """Each setting once; one in which plans differ names the plans after each value."""
    by_value: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for key, value in row.record.settings.items():
            plans = by_value.setdefault(key, {}).setdefault(setting_text(value), [])
            if row.plan not in plans:
                plans.append(row.plan)
    return {
        key: next(iter(values))
        if len(values) == 1
        else " or ".join(f"{value} [{', '.join(plans)}]" for value, plans in values.items())
        for key, values in by_value.items()
    }


def _values(rows: Sequence[Row]) -> dict[str, str]:
    """The values of each setting, whichever plan has them."""
    by_key: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.record.settings.items():
            by_key.setdefault(key, set()).add(setting_text(value))
    return {key: " or ".join(sorted(values)) for key, values in by_key.items()}


def _faces_settings(group: Group) -> dict[str, str]:
    """How the faces of the group were cut, by release."""
    known = {digest: of for row in group.trained for digest, of in row.record.faces.items()}
    return {f"faces.{release}": known[digest].preparation for release, digest in group.faces.items() if digest in known}


def _listed(settings: dict[str, str]) -> str:
    """Names and values; of a ``_target_`` the class alone."""
    short = {
        key.removesuffix("._target_"): value.rpartition(".")[2] if key.endswith("_target_") else value
        for key, value in settings.items()
    }
    return ", ".join(f"{key} {value}" for key, value in short.items()) or "none recorded"
