"""FER+ votes join by row number, and only where they surely belong."""

from pathlib import Path

import numpy as np
import pytest
from test_fer2013 import PIXELS, USAGES, fer2013_csv, read, text

from fer_transfer.errors import ReleaseError
from fer_transfer.faces.faces import FERPLUS_COLUMNS
from fer_transfer.releases.ferplus import read_votes

HEADER = "Usage,Image name," + ",".join(FERPLUS_COLUMNS)


def rows() -> list[str]:
    """Votes that tell their row; empty, repeated and misleading names, as in the real file."""
    votes = np.zeros((len(USAGES), 10), int)
    for row in range(len(USAGES)):
        votes[row, row % 10] += 7
        votes[row, row % 7] += 2 + row % 2
    names = ["" if row % 5 == 0 else f"fer{row // 2:07d}.png" for row in range(len(USAGES))]
    return [f"{u},{n},{','.join(map(str, v))}" for u, n, v in zip(USAGES, names, votes.tolist(), strict=True)]


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\r\n".join([header, *lines, ""]))
    return path


def test_votes_join_by_row(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(fer2013_csv())
    _, faces = read(tmp_path / "fer2013.csv", write(tmp_path / "votes.csv", rows()))
    for line, face in zip(rows(), faces, strict=True):
        assert face.votes is not None and face.votes.dtype == np.uint8
        assert face.votes.tolist() == [int(value) for value in line.split(",")[2:]]


def changed(row: int, find: str, replace: str) -> list[str]:
    lines = rows()
    assert find in lines[row]
    lines[row] = lines[row].replace(find, replace, 1)
    return lines


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (rows()[:-1], "Expected 54 rows in .*, but got 53"),
        (changed(40, "PublicTest", "Training"), "Usage PublicTest, as in FER-2013 in row 41"),
        (changed(2, "0,0,0", "0,0"), "12 values in row 3 .*, but got 11"),
        (changed(2, "9", "-9"), "numbers of votes.* in row 3"),
        (changed(2, "9", "many"), "numbers of votes.* in row 3"),
        (changed(2, "9", "0"), "1 to 10 votes in all in row 3 .*, but got 0"),
        (changed(2, "9", "99"), "1 to 10 votes in all in row 3 .*, but got 99"),
    ],
)
def test_damage_is_named(tmp_path: Path, lines: list[str], expected: str) -> None:
    path = write(tmp_path / "votes.csv", lines)
    with pytest.raises(ReleaseError, match=expected) as caught:
        read_votes(path, USAGES)
    assert str(path) in str(caught.value)


def test_files_that_are_no_votes(tmp_path: Path) -> None:
    for content, expected in (
        ("", "an empty file"),
        ("version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        ("emotion,pixels,Usage\n", "Expected the columns"),
        (HEADER.replace("happiness", "joy"), "Expected the columns"),
    ):
        (tmp_path / "votes.csv").write_text(content)
        with pytest.raises(ReleaseError, match=expected):
            read_votes(tmp_path / "votes.csv", USAGES)


def test_other_forms_have_no_rows_to_join_to(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("\n".join(["emotion,pixels", *(f"0,{text(face)}" for face in PIXELS)]))
    with pytest.raises(ReleaseError, match=r"Votes join by row number: give fer2013\.csv"):
        read(tmp_path / "train.csv", write(tmp_path / "votes.csv", rows()))
