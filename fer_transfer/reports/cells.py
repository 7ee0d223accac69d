"""Text of the report's cells and notes: scores, published numbers, caveats, settings."""

import math
from collections.abc import Sequence

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.reports.results import Group, Published, Row, base_plan
from fer_transfer.reports.scores import Score

#: What Ng et al. 2015 do not state; settings whose names contain one of these words are listed as choices.
_UNKNOWN = (
    "batch",
    "epoch",
    "crop",
    "resize",
    "mirror",
    "head",
    "frozen",
    "freeze",
    "interpolation",
    "evaluation",
    "keep",
)
_UNKNOWN_TEXT = (
    "The paper does not state batch size, epochs, which epoch is kept, crop, mirror, the crops of an evaluation, "
    "second-stage rate, head rate, frozen parts, whether the head is kept, or seeds. Chosen here"
)


def caveat_line(caveats: Sequence[str]) -> str:
    """The caveats as one line that cannot be overlooked; empty without any.

    >>> caveat_line(["emotiw: synthetic faces"])
    'SYNTHETIC FACES. CAVEATS: emotiw: synthetic faces'
    """
    if not caveats:
        return ""
    loud = "SYNTHETIC FACES. " if any("synthetic" in caveat.lower() for caveat in caveats) else ""
    return f"{loud}CAVEATS: {'; '.join(caveats)}"


def published_cell(numbers: tuple[float | None, int | None, int | None], level: float) -> str:
    """A published score: percent, k/n and interval as far as the paper gives them."""
    percent, k, n = numbers
    if percent is None:
        return "-"
    if k is None or n is None:
        return _as_published(percent)
    low, high = wilson_interval(k, n, level)
    return f"{_as_published(percent)} {k}/{n}\n[{100 * low:.1f}, {100 * high:.1f}]"


def published_percent(published: Sequence[Published], backbone: str, plan: str) -> str:
    """The paper's percentage on Val for a network and plan, or a dash."""
    percents = [row.val[0] for row in published if (row.backbone, row.plan) == (backbone, base_plan(plan))]
    return _as_published(percents[0]) if percents and percents[0] is not None else "-"


def _as_published(percent: float) -> str:
    """With the paper's one decimal, or the two that it gives of the baseline."""
    return f"{percent:.1f}" if round(percent, 1) == percent else f"{percent:g}"


def score_cell(found: Score | str, level: float, selected: bool = False) -> str:
    """Our score: mean (± sd over several seeds), k by seed / n, interval."""
    if isinstance(found, str):
        return found
    dagger = "†" if selected else ""
    low, high = found.interval(level)
    by_seed = ", ".join(map(str, found.correct))
    if len(found.seeds) > 2:
        by_seed = f"{min(found.correct)}..{max(found.correct)}"
    score = f"{mean_text(found.percent)}{dagger}"
    separator = " " if len(found.seeds) == 1 else "\n"
    return f"{score}{separator}{by_seed}/{max(found.count)}\n[{low:.1f}, {high:.1f}]"


def short_cell(mean_and_sd: tuple[float, float], selected: bool = False) -> str:
    """A mean above its standard deviation over seeds, for narrow columns."""
    mean, spread = mean_and_sd
    return f"{mean:.1f}{'†' if selected else ''}" + ("" if math.isnan(spread) else f"\n± {spread:.1f}")


def is_selected(rows: Sequence[Row], split: str) -> bool:
    """Whether an epoch of one of the rows was chosen on the split, which makes its score optimistic."""
    return any(split in row.selected_on for row in rows)


def settings_notes(group: Group) -> list[str]:
    """What was chosen, on what it ran, how long it took; a stage that several rows share is counted once."""
    settings = _common_settings(group)
    chosen = {key: value for key, value in settings.items() if any(word in key.lower() for word in _UNKNOWN)}
    rest = {key: value for key, value in settings.items() if key not in chosen}
    seconds = {stage.get("key"): stage.get("seconds") or 0.0 for row in group.rows for stage in row.stages}
    devices = dict.fromkeys(str(row.environment.get("device", "unknown")) for row in group.rows)
    total = math.fsum(seconds.values())
    time = f"{total / 3600:.1f} h" if total >= 3600 else f"{total / 60:.1f} min" if total >= 60 else f"{total:.1f} s"
    seeds = ", ".join(map(str, sorted({row.seed for row in group.rows})))
    return [
        f"Settings {group.settings_id[:8]}: {_listed(rest)}.",
        f"{_UNKNOWN_TEXT}: {_listed(chosen)}; seeds {seeds}.",
        f"Device: {', '.join(devices)}. Training time: {time} for {len(seconds)} distinct stages.",
    ]


def _common_settings(group: Group) -> dict[str, str]:
    """Each setting once; one in which plans differ names the plans after each value."""
    by_value: dict[str, dict[str, list[str]]] = {}
    for row in group.rows:
        for key, value in row.settings.items():
            plans = by_value.setdefault(key, {}).setdefault(str(value), [])
            if row.plan not in plans:
                plans.append(row.plan)
    return {
        key: next(iter(values))
        if len(values) == 1
        else " or ".join(f"{value} [{', '.join(plans)}]" for value, plans in values.items())
        for key, values in by_value.items()
    }


def _listed(settings: dict[str, str]) -> str:
    """Names and values; of a ``_target_`` the class alone."""
    short = {
        key.removesuffix("._target_"): value.rpartition(".")[2] if key.endswith("_target_") else value
        for key, value in settings.items()
    }
    return ", ".join(f"{key} {value}" for key, value in short.items()) or "none recorded"


def dagger_note(rows: Sequence[Sequence[str]]) -> list[str]:
    """The footnote of the dagger, where one of the cells has one."""
    if any("†" in cell for row in rows for cell in row):
        return ["† an epoch was chosen on this split: the number is optimistic."]
    return []


def mean_text(mean_and_sd: tuple[float, float]) -> str:
    """A mean with one decimal, and ± its standard deviation where there is one."""
    mean, spread = mean_and_sd
    return f"{mean:.1f}" if math.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"


def level_text(level: float) -> str:
    """A confidence level in percent."""
    return f"{100 * level:g} %"
