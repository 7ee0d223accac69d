"""How many faces of which expression there are, and what is wrong with them: known without having the faces at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_transfer.labels import NO_LABEL, UNLABELLED

if TYPE_CHECKING:  # records hold counts: reading them does not wait for numpy
    import numpy as np
    from numpy.typing import NDArray

#: Faces by class, every class of the faces' label set, and NO_LABEL where there are faces whose label is withheld or unknown.
ByClass = Mapping[str, int]


@dataclass(frozen=True)
class FacesCounts:
    """What prepared faces hold, as their manifest counts it.

    Attributes:
        faces: by split, in the order of the release, and expression.
        lost: of these, the ones that the detector lost, by split (where any was) and expression.
        lost_for: the number of lost faces by the reason; empty where nothing was searched.
        distinct: number of distinct pictures among the faces that were found.
        conflicting: of these, the ones that bear two or more labels.
        repeated: faces of a split whose picture stands in it earlier, by split.
        also_in: faces of a split whose picture also stands in an earlier split, by split and earlier split.
        shared_movies: the movies that stand in two splits, by pair of splits ("Train and Val").
    """

    faces: Mapping[str, ByClass]
    lost: Mapping[str, ByClass]
    lost_for: Mapping[str, int]
    distinct: int
    conflicting: int
    repeated: Mapping[str, int]
    also_in: Mapping[str, Mapping[str, int]]
    shared_movies: Mapping[str, tuple[str, ...]]


def counts_of(
    names: Sequence[str],
    splits: "NDArray[np.integer]",
    labels: "NDArray[np.int8]",
    found: "NDArray[np.bool_]",
    manifest: Mapping[str, Any],
    classes: Sequence[str],
) -> FacesCounts:
    """Count faces by their columns (arrays [N], splits by number); duplicates, reasons and movies are those of the manifest."""
    report, duplicates = manifest["report"], manifest["duplicates"]
    reasons, movies = _lists(report.get("reasons")), _lists(report.get("movies in two splits"))
    return FacesCounts(
        faces=count_by_split(names, splits, labels, classes),
        lost=count_by_split(names, splits[~found], labels[~found], classes),
        lost_for={key.partition(", ")[2]: len(paths) for key, paths in reasons.items() if key.startswith("lost, ")},
        distinct=duplicates["distinct"],
        conflicting=duplicates["conflicting"],
        repeated=duplicates["repeated"],
        also_in=duplicates["also_in"],
        shared_movies={pair: tuple(map(str, of)) for pair, of in movies.items()},
    )


def counts_from_json(content: Mapping[str, Any], classes: Sequence[str]) -> FacesCounts:
    """Read what ``dataclasses.asdict`` made of counts.

    Args:
        content: plain data.
        classes: of the faces.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if it is anything else.
    """
    return FacesCounts(
        faces={split: _by_class(of, classes) for split, of in content["faces"].items()},
        lost={split: _by_class(of, classes) for split, of in content["lost"].items()},
        lost_for=_numbers(content["lost_for"]),
        distinct=int(content["distinct"]),
        conflicting=int(content["conflicting"]),
        repeated=_numbers(content["repeated"]),
        also_in={split: _numbers(of) for split, of in content["also_in"].items()},
        shared_movies={pair: tuple(map(str, movies)) for pair, movies in content["shared_movies"].items()},
    )


def _lists(of: Any) -> dict[str, list[Any]]:
    """The lists of a part of a reader's report, by name: a release of somebody's own may report what it likes."""
    return {key: value for key, value in of.items() if isinstance(value, list)} if isinstance(of, Mapping) else {}


def _by_class(content: Mapping[str, Any], classes: Sequence[str]) -> dict[str, int]:
    """Of every class, and of faces without a label where there are any."""
    names = (*classes, NO_LABEL) if NO_LABEL in content else classes
    return {name: int(content[name]) for name in names}


def _numbers(content: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(count) for name, count in content.items()}


def count_by_split(
    names: Sequence[str], splits: "NDArray[np.integer]", labels: "NDArray[np.int8]", classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Number of faces by split and class name ("unlabelled" for withheld labels); classes without faces are 0.

    Args:
        names: of the splits.
        splits: integer [N], numbers of names; a split without a face is left out.
        labels: int8 [N], places in classes, or UNLABELLED.
        classes: of the label set.

    >>> import numpy as np
    >>> count_by_split(["Val"], np.array([0, 0]), np.array([1, -1], np.int8), ["calm", "cross"])
    {'Val': {'calm': 0, 'cross': 1, 'unlabelled': 1}}
    """
    counts: dict[str, dict[str, int]] = {}
    for number, split in enumerate(names):
        of_split = labels[splits == number]
        if not len(of_split):
            continue
        counts[split] = {name: int((of_split == i).sum()) for i, name in enumerate(classes)}
        if unlabelled := int((of_split == UNLABELLED).sum()):
            counts[split][NO_LABEL] = unlabelled
    return counts
