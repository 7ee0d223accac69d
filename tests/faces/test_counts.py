"""What is known of faces without having them at hand: counted here once more, and read back from records."""

import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from fake_store import DIGESTS, add_row

from fer_transfer.errors import StoreError
from fer_transfer.faces.counts import counts_from_json, counts_of
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.document import read_document, write_document
from fer_transfer.labels import EXPRESSIONS, NO_LABEL
from fer_transfer.stages.record import read_record


@pytest.fixture
def faces(tmp_path):
    """Two splits of five pictures: one stands in Train twice and in Val, with another label there; one of Val is lost."""
    rows = [("Train", 0, 3), ("Train", 0, 3), ("Train", 1, 4), ("Val", 0, 5), ("Val", 2, -1), ("Val", 3, 6)]
    with FacesWriter(tmp_path / "faces", "films", (4, 4), len(rows)) as writer:
        for i, (split, picture, label) in enumerate(rows):
            pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * (picture + 1)
            writer.add(pixels, f"f{i}", split, label, found=i != 5)
        writer.report = {
            "reasons": {"lost, no face": ["f5"], "found, several": ["f0"]},
            "movies in two splits": {"Train and Val": ["Airheads"]},
        }
    return open_faces(tmp_path / "faces")


def test_counts_are_those_of_the_faces(faces):
    counts = faces.counts
    names = [*EXPRESSIONS, NO_LABEL]
    for split in ("Train", "Val"):
        found = Counter(names[label] for label in faces.labels[faces.splits == split])
        assert {name: n for name, n in counts.faces[split].items() if n} == dict(found)
    assert counts.lost == {"Val": dict.fromkeys(EXPRESSIONS, 0) | {"Neutral": 1}}
    assert counts.lost_for == {"no face": 1} and counts.shared_movies == {"Train and Val": ("Airheads",)}
    assert (counts.distinct, counts.conflicting) == (3, 1)  # the lost one is not compared
    assert counts.repeated == {"Train": 1, "Val": 0} and counts.also_in["Val"] == {"Train": 1}


def test_they_are_kept_as_json(faces):
    assert counts_from_json(json.loads(json.dumps(asdict(faces.counts))), EXPRESSIONS) == faces.counts


def test_a_reader_of_ones_own_may_report_what_it_likes(faces):
    manifest = faces.manifest | {"report": {"reasons": "none", "movies in two splits": 7}}
    counts = counts_of(faces.split_names, faces.split_numbers, faces.labels, faces.found, manifest, EXPRESSIONS)
    assert counts.lost_for == {} and counts.shared_movies == {}


def with_counts(record, counts):
    return replace(record, faces={key: replace(of, counts=counts) for key, of in record.faces.items()})


def test_records_keep_them_and_older_records_are_read_without(tmp_path, faces):
    path = add_row(tmp_path / "store", "emotiw", 0.5)
    older = read_record(path)
    content = read_document(path)
    for of in content["faces"].values():
        of.pop("counts", None)
    write_document(path, content)
    assert with_counts(older, None) == read_record(path)
    newer = with_counts(older, faces.counts)
    write_document(path, newer.to_json())
    assert read_record(path) == newer
    for joined in (newer.joined(read_record(path)), with_counts(older, None).joined(newer)):
        assert joined.faces[DIGESTS["emotiw"]].counts == faces.counts  # whichever has them


def test_counts_that_are_none_are_a_damaged_record(tmp_path):
    path = add_row(tmp_path / "store", "emotiw", 0.5)
    content = read_document(path)
    for of in content["faces"].values():
        of["counts"] = {"faces": []}
    write_document(path, content)
    with pytest.raises(StoreError, match="it is damaged"):
        read_record(path)
