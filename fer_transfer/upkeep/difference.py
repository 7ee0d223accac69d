"""What tells stages apart: the fields of what their keys are hashes of."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fer_transfer.files.digest import canonical
from fer_transfer.stages.lineage import FacesUsed, StageLineage
from fer_transfer.upkeep.contents import Contents, Kept

#: Stands for the value of a field that is not there.
ABSENT = "(none)"

_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

_Path = tuple[str, ...]


class Difference(NamedTuple):
    """A field in which two differ, by its dotted name, with both values as JSON without needless quotes."""

    field: str
    a: str
    b: str


def flat(content: Any, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    """Every value that is no mapping, and every empty mapping, as JSON in one spelling, by its path.

    >>> list(flat({"lr": 1.0, "data": {"crops": (1, 2), "more": {}}}))
    [(('lr',), '1'), (('data', 'crops'), '[1,2]'), (('data', 'more'), '{}')]
    """
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from flat(value, (*path, str(key)))
    else:
        yield path, _JSON.encode(canonical(content))


def differences(a: Any, b: Any) -> list[Difference]:
    """Fields in which two nested mappings differ, in the order of ``a``; none exactly if they have one digest.

    >>> differences({"seed": 0, "optimizer": {"lr": 0.1}}, {"seed": 0, "optimizer": {"lr": 0.2}, "note": "x"})
    [Difference(field='optimizer.lr', a='0.1', b='0.2'), Difference(field='note', a='(none)', b='x')]
    """
    of_a, of_b = dict(flat(a)), dict(flat(b))
    return [
        Difference(".".join(path), _shown(of_a.get(path)), _shown(of_b.get(path)))
        for path in dict.fromkeys([*of_a, *of_b])
        if of_a.get(path) != of_b.get(path)
    ]


def usual(values: Iterable[str]) -> str | None:
    """The value that is there most often; None where two are as often.

    >>> usual("abca"), usual("ab")
    ('a', None)
    """
    (common, most), *others = Counter(values).most_common(2)
    return None if others and others[0][1] == most else common


def _shown(value: str | None) -> str:
    """A word without its quotes, anything else as JSON."""
    if value is None:
        return ABSENT
    parsed = json.loads(value)
    return parsed if isinstance(parsed, str) and parsed and parsed[0] not in '[{"(' else value


def deciding(stage: StageLineage, code: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a stage's key is a hash of, in names that a reader knows.

    Args:
        stage: of a lineage.
        code: as it is kept with the stage, or None where it is not known.
    """
    return {"recipe": stage.recipe, "start": stage.start, "faces": _faces(stage.faces), **(code or {})}


def _faces(used: tuple[FacesUsed, ...]) -> dict[str, Any]:
    """By release; the order of a union counts, and one release may be there twice."""
    names = [of.release for of in used]
    apart = [name if names.count(name) == 1 else f"{name} {n}" for n, name in enumerate(names, 1)]
    return {
        "order": apart,
        **{
            name: {
                "digest": of.digest[:16],
                "trained_on": sorted(of.trained_on),
                "selected_on": sorted(of.selected_on),
            }
            for name, of in zip(apart, used, strict=True)
        },
    }


def why(a: Kept, b: Kept, held: Contents) -> list[str]:
    """Lines that say in which fields two keys differ, and up the lineages until the starts are the same.

    Args:
        a: one stage.
        b: another.
        held: the store, for the versions that the stages further up were trained under.
    """
    if a.key == b.key:
        return [f"{_called(a.own)} is one stage."]
    pairs = _pairs(a.lineage.stages, b.lineage.stages)
    return [line for one, other in pairs for line in _difference(one, other, held)]


def _pairs(a: tuple[StageLineage, ...], b: tuple[StageLineage, ...]) -> Iterator[tuple[StageLineage, StageLineage]]:
    """Stages of two lineages, the last ones first, as far as their starts differ."""
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one.key != other.key:
            yield one, other
        if one.start == other.start:
            return


def _difference(one: StageLineage, other: StageLineage, held: Contents) -> list[str]:
    codes = [held.stages[stage.key].code if stage.key in held.stages else None for stage in (one, other)]
    known = None not in codes
    found = differences(deciding(one, codes[0] if known else None), deciding(other, codes[1] if known else None))
    width = max((len(of.field) for of in found), default=0)
    lines = [f"{_called(one)} | {_called(other)}", *(f"  {of.field:<{width}}  {of.a} | {of.b}" for of in found)]
    return lines if known else [*lines, "  (versions: not kept with both, so they are not compared)"]


def _called(stage: StageLineage) -> str:
    return f"{stage.name} {stage.key}"
