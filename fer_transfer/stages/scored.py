"""What several records were scored on together: the same faces, or the same pictures that they know from other crops."""

from collections.abc import Sequence

from fer_transfer.stages.lineage import Prepared
from fer_transfer.stages.record import Record, ScoredSplit

#: What each of some records says of one split, in their order.
Together = tuple[ScoredSplit, ...]


def scored_together(records: Sequence[Record], chosen: Sequence[Together] = ()) -> list[Together]:
    """The splits on which all records were scored.

    Of a split of which they have no faces in common, the same pictures of one release cut otherwise (``Prepared.shows``): each
    row's own crop, which is the one that it was made from where it was scored on several, else that whose digest sorts first.
    Records of one row, which differ in their seeds, are never scored on several crops together.

    Args:
        records: one or more; none have nothing together.
        chosen: what is known of some splits already, which then stays.
    """
    own = [{(of.faces, of.split): of for of in record.predictions} for record in records]
    first = own[0] if own else {}
    known = {_named(records[0], of[0]) for of in chosen}
    together = list(chosen)
    for where, scored in first.items():
        if all(where in of for of in own) and _named(records[0], scored) not in known:
            together.append(tuple(of[where] for of in own))
    known = {_named(records[0], of[0]) for of in together}
    for scored in first.values():
        crops = _crops(records, records[0].faces[scored.faces].prepared, scored.split)
        if crops and _named(records[0], scored) not in known:
            known.add(_named(records[0], scored))
            together.append(tuple(of[faces, scored.split] for of, faces in zip(own, crops, strict=True)))
    return together


def _named(record: Record, scored: ScoredSplit) -> tuple[str, str]:
    return record.faces[scored.faces].release, scored.split


def _crops(records: Sequence[Record], prepared: Prepared, split: str) -> list[str] | None:
    """Digest of the faces that each row knows these pictures as; None where a row does not, or not at every seed."""
    by_row: dict[str, list[Record]] = {}
    for record in records:
        by_row.setdefault(record.row_id, []).append(record)
    chosen = {}
    for row, of in by_row.items():
        each = [
            [
                one.faces
                for one in record.predictions
                if one.split == split and record.faces[one.faces].prepared.shows(prepared)
            ]
            for record in of
        ]
        found = [faces for faces in each[0] if all(faces in others for others in each)]
        if not found:
            return None
        chosen[row] = min(found, key=lambda faces: (faces not in of[0].lineage.faces, faces))
    return [chosen[record.row_id] for record in records]
