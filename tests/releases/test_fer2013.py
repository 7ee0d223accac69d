"""FER-2013 in every form, against a plain reader; damage is named by row; the real file gives the stated numbers."""

import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.faces.source import Face
from fer_transfer.files.archive import Member
from fer_transfer.labels import EXPRESSIONS, LabelSet
from fer_transfer.releases.fer2013 import FER2013Release
from fer_transfer.releases.pixel_csv import PixelRows, read_pixel_rows

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ["Training"] * 40 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
PIXELS = np.random.default_rng(0).integers(0, 256, (len(USAGES), 48, 48), np.uint8)
LABELS = [i % 7 for i in range(len(USAGES))]


def ignore(done: int, total: int) -> None:
    assert 0 <= done <= total


def text(pixels: NDArray[np.uint8]) -> str:
    return " ".join(str(value) for value in pixels.ravel().tolist())


def fer2013_csv(pixels: NDArray[np.uint8] = PIXELS, end: str = "\n") -> str:
    rows = zip(LABELS, pixels, USAGES, strict=True)
    return end.join(["emotion,pixels,Usage", *(f"{label},{text(face)},{usage}" for label, face, usage in rows), ""])


def icml_csv() -> str:
    rows = zip(LABELS, PIXELS, USAGES, strict=True)
    return "\r\n".join(["emotion, Usage, pixels", *(f"{label},{usage},{text(face)}" for label, face, usage in rows)])


def read(path: Path, ferplus: Path | None = None) -> tuple[FER2013Release, list[Face]]:
    release = FER2013Release(str(path), None if ferplus is None else str(ferplus))
    count = release.scan(ignore)
    faces = list(release.faces(FrameReader()))
    assert len(faces) == count == len({face.id for face in faces})
    return release, faces


def assert_whole(faces: list[Face]) -> None:
    assert np.array_equal(np.stack([face.pixels for face in faces]), PIXELS)
    assert [face.label for face in faces] == LABELS and [face.split for face in faces] == USAGES
    assert faces[0].id == "fer0000000" and faces[-1].id == f"fer{len(USAGES) - 1:07d}"


def test_classes_are_left_out_by_name(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(fer2013_csv())
    six = LabelSet(tuple(name for name in EXPRESSIONS if name != "Disgust"))
    release = FER2013Release(str(tmp_path / "fer2013.csv"), labels=six, leave_out=["disgusted"])
    count = release.scan(ignore)
    faces = list(release.faces(FrameReader()))
    kept = [row for row, label in enumerate(LABELS) if label != 1]
    assert count == len(faces) == len(kept) and [face.id for face in faces] == [f"fer{row:07d}" for row in kept]
    assert [six.classes[face.label] for face in faces] == [EXPRESSIONS[LABELS[row]] for row in kept]
    assert release.settings()["leave_out"] == ["Disgust"] and "without Disgust" in release.caveats()
    assert release.report()["left out"] == {"Disgust": LABELS.count(1)}
    assert release.summary()[-1] == f"left out: Disgust {LABELS.count(1)}"
    seven = FER2013Release(str(tmp_path / "fer2013.csv"), leave_out=["Disgust"])
    seven.scan(ignore)
    assert [caveat for caveat in seven.caveats() if "Disgust" in caveat] == ["without Disgust"], "once"
    with pytest.raises(ConfigError, match=r"but got Hapy\. Did you mean"):
        FER2013Release("x", leave_out=["Hapy"])


def test_both_headers_and_line_ends(tmp_path: Path) -> None:
    for name, content in (
        ("fer2013.csv", fer2013_csv()),
        ("dos.csv", fer2013_csv(end="\r\n")),
        ("bom.csv", "\ufeff" + fer2013_csv().rstrip()),
        ("icml_face_data.csv", icml_csv()),
    ):
        (tmp_path / name).write_bytes(content.encode())
        release, faces = read(tmp_path / name)
        assert_whole(faces)
    assert release.caveats() == ["class counts differ from those stated for FER-2013"]
    assert release.report()["counts"]["PublicTest"]["Happy"] == 1
    assert "Training Angry 3995, not 6" in release.report()["differences"]


def test_a_csv_in_folders_and_archives(tmp_path: Path) -> None:
    (tmp_path / "folder" / "fer2013").mkdir(parents=True)
    (tmp_path / "folder" / "fer2013" / "fer2013.csv").write_text(fer2013_csv())
    for name, mode in (("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.tar", "w")):
        with tarfile.open(tmp_path / name, mode) as file:  # type: ignore[call-overload]
            file.add(tmp_path / "folder" / "fer2013", "fer2013")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("train.csv", "of another form, not to be taken")
        zipped.writestr("icml_face_data.csv", icml_csv())
    for name in ("folder", "a.tar.gz", "a.tar.xz", "a.tar", "a.zip"):
        assert_whole(read(tmp_path / name)[1])


def test_kaggles_two_files(tmp_path: Path) -> None:
    train = ["emotion,pixels", *(f'{label},"{text(face)}"' for label, face in zip(LABELS, PIXELS, strict=True))]
    (tmp_path / "train.csv").write_text("\n".join(train))
    (tmp_path / "test.csv").write_text("\n".join(["pixels", *map(text, PIXELS[:5])]))
    release, faces = read(tmp_path)
    assert np.array_equal(np.stack([face.pixels for face in faces]), np.concatenate([PIXELS, PIXELS[:5]]))
    assert [face.split for face in faces] == ["Training"] * len(PIXELS) + ["test"] * 5
    assert [face.label for face in faces] == [*LABELS, -1, -1, -1, -1, -1]
    assert any("test (Public and Private merged): 5 faces" in line for line in release.summary())
    assert any("not comparable" in caveat for caveat in release.caveats())
    assert {face.split for face in read(tmp_path / "train.csv")[1]} == {"Training"}
    assert {face.label for face in read(tmp_path / "test.csv")[1]} == {-1}


def write_pictures(folder: Path, prefixes: bool) -> Path:
    for i, (label, usage) in enumerate(zip(LABELS, USAGES, strict=True)):
        place = folder / ("train" if usage == "Training" else "test") / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{usage if prefixes else 'im'}_{i}.png"), PIXELS[i])
    return folder


def zip_of(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for picture in sorted(folder.rglob("*.png"), reverse=True):
            file.write(picture, f"images/{picture.relative_to(folder)}")
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_whose_names_tell_the_split(tmp_path: Path, packed: bool) -> None:
    folder = write_pictures(tmp_path / "fer", prefixes=True)
    release, faces = read(zip_of(folder) if packed else folder)
    for face in faces:
        row = int(face.id.rsplit("_")[-1].removesuffix(".png"))
        assert np.array_equal(face.pixels, PIXELS[row]) and face.label == LABELS[row] and face.split == USAGES[row]
    assert [face.id for face in faces] == sorted(face.id for face in faces)
    assert "test" not in release.report()["counts"]


def test_merged_pictures_are_never_called_private(tmp_path: Path) -> None:
    release, faces = read(write_pictures(tmp_path, prefixes=False))
    assert {face.split for face in faces} == {"Training", "test"}
    assert sum(face.split == "test" for face in faces) == 14
    assert "test (Public and Private merged): 14 faces" in "\n".join(release.summary())
    assert "PrivateTest" not in "\n".join(release.summary()).replace("PublicTest and PrivateTest merged", "")


def test_names_of_another_split_are_reported(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, prefixes=True)
    moved = next((folder / "test").rglob("PublicTest*"))
    (folder / "train" / moved.parent.name).mkdir(exist_ok=True)
    moved.rename(folder / "train" / moved.parent.name / moved.name)
    cv2.imwrite(str(folder / "logo.png"), PIXELS[0])
    release, faces = read(folder)
    assert release.report()["moved"] == 1 and release.report()["ignored"] == 1
    assert sum(face.split == "PublicTest" for face in faces) == 7


def damage(find: str, replace: str) -> str:
    return fer2013_csv().replace(find, replace, 1)


ROW_3 = text(PIXELS[2])
ROW_4 = text(PIXELS[3])
CUT = ROW_3.rsplit(" ", 1)[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (damage(ROW_3, CUT), "2304 pixels in row 3 of .*, but got 2303"),
        (damage(ROW_3, ROW_3 + " 7"), "2304 pixels in row 3 .*, but got 2305"),
        (damage(ROW_3, CUT).replace(ROW_4, ROW_4 + " 7"), "2304 pixels in row 3 .*, but got 2303"),  # even in sum
        (damage(ROW_3, CUT + " 256"), "0 to 255 as pixel 2304 in row 3 .*'256'"),
        (damage(ROW_3, CUT + " 1000"), "pixel 2304 in row 3 .*'1000'"),
        (damage(ROW_3, CUT + " -1"), "pixel 2304 in row 3 .*'-1'"),
        (damage(ROW_3, "12x " + ROW_3.split(" ", 1)[1]), "pixel 1 in row 3 .*'12x'"),
        (damage(ROW_3, "1.5 " + ROW_3.split(" ", 1)[1]), "pixel 1 in row 3 .*'1.5'"),
        (damage(ROW_3, ""), "2304 pixels in row 3 .*, but got 0"),
        (damage(f"2,{ROW_3}", f"7,{ROW_3}"), "an emotion 0 to 6 in row 3 .*'7'"),
        (damage(f"2,{ROW_3}", f",{ROW_3}"), "an emotion 0 to 6 in row 3 .*''"),
        (damage("PublicTest", "Validation"), "a Usage of .* in row 41 .*'Validation'"),
        (damage(f"{ROW_3},Training", ROW_3), "3 values .* in row 3 .*, but got 2"),
        (fer2013_csv()[: -len(text(PIXELS[-1]))], "in row 54 of .*line 55"),
        (fer2013_csv().replace("emotion,", "", 1), "columns emotion,pixels,Usage"),
        (fer2013_csv().split("\n", 1)[1], "columns emotion,pixels,Usage"),
        ("", "an empty file"),
        ("emotion,pixels,Usage\n", "only a header"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:f8\nsize 301072766\n", "git-lfs pointer"),
        ("<!DOCTYPE html>\n<html><body>Sign in</body></html>", "web page"),
        (fer2013_csv().replace("PrivateTest", "PublicTest"), "PrivateTest is empty"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(content)
    with pytest.raises(ReleaseError, match=expected) as caught:
        FER2013Release(str(path)).scan(ignore)
    assert str(path) in str(caught.value)


def test_a_binary_file_is_no_csv(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(b"\x00" * (9 << 20))
    with pytest.raises(ReleaseError, match="without line ends"):
        FER2013Release(str(tmp_path / "fer2013.csv")).scan(ignore)


def test_pixels_alone_are_no_training_data(tmp_path: Path) -> None:
    (tmp_path / "faces.csv").write_text("\n".join(["pixels", *map(text, PIXELS[:5])]))
    with pytest.raises(ReleaseError, match="holds only pixels"):
        FER2013Release(str(tmp_path / "faces.csv")).scan(ignore)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("train/happy/Training_9.png", b"", "0 bytes .empty"),
        ("train/happy/Training_9.jpg", b"not a picture", "a text, not a picture"),
        ("train/happy/Training_9.png", cv2.imencode(".png", np.zeros((64, 50), np.uint8))[1].tobytes(), "got 50x64"),
        ("train/smug/Training_9.png", cv2.imencode(".png", PIXELS[0])[1].tobytes(), "one of the classes.*'smug'"),
    ],
)
def test_bad_pictures_are_named(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    write_pictures(tmp_path, prefixes=True)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReleaseError, match=expected) as caught:
        FER2013Release(str(tmp_path)).scan(ignore)
    assert name in str(caught.value)


def test_missing_and_foreign_sources(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="there is nothing"):
        FER2013Release(str(tmp_path / "fer2013.csv")).scan(ignore)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match="got 0 files"):
        FER2013Release(str(tmp_path / "empty")).scan(ignore)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("README", "another data set")
    with pytest.raises(ReleaseError, match=r"got 1 files \(README\)"):
        FER2013Release(str(tmp_path / "other.zip")).scan(ignore)
    only_train = write_pictures(tmp_path / "half", prefixes=False)
    (only_train / "test").rename(tmp_path / "elsewhere")
    with pytest.raises(ReleaseError, match="PublicTest, PrivateTest is empty"):
        FER2013Release(str(only_train)).scan(ignore)


def test_synthetic_is_said_and_not_compared(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(fer2013_csv())
    (tmp_path / "synthetic.json").write_text("{}")
    for path in (tmp_path, tmp_path / "fer2013.csv"):
        release, _ = read(path)
        assert release.caveats() == ["synthetic"]
        assert "as its owners state" not in "\n".join(release.summary())
    with tarfile.open(tmp_path / "packed.tar", "w") as file:
        file.add(tmp_path / "fer2013.csv", "fer2013.csv")
        file.add(tmp_path / "synthetic.json", "synthetic.json")
    (tmp_path / "synthetic.json").unlink()
    assert read(tmp_path / "packed.tar")[0].caveats() == ["synthetic"]


def parse(data: bytes) -> PixelRows:
    return read_pixel_rows(Member(io.BytesIO(data), "faces.csv", len(data)), ignore)


def plain_reader(data: bytes) -> tuple[list[list[int]], list[int], list[str]]:
    """The slow, obvious reader that the fast one must agree with."""
    header, *lines = [line for line in data.decode().replace('"', "").split("\n") if line.strip()]
    columns = [name.strip().lower() for name in header.split(",")]
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines]
    pixels = [[int(value) for value in row["pixels"].split()] for row in rows]
    return pixels, [int(row["emotion"]) for row in rows], [row["usage"].strip() for row in rows]


FACE = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 256, 2304, np.uint8)) | (
    st.integers(0, 255).map(lambda value: np.full(2304, value, np.uint8))  # rows of one-digit numbers, too
)
ROW = st.tuples(st.integers(0, 6), FACE, st.sampled_from(["Training", "PublicTest", "PrivateTest"]))
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def written(rows: list[tuple[int, NDArray[np.uint8], str]], spaced: bool, quote: str, end: str) -> bytes:
    lines = ["emotion, Usage, pixels" if spaced else "emotion,pixels,Usage"]
    for label, face, usage in rows:
        field = f"{quote}{text(face)}{quote}"
        lines.append(f"{label},{usage},{field}" if spaced else f"{label},{field},{usage}")
    return end.join(lines).encode()


@FEW
@given(
    st.lists(ROW, min_size=1, max_size=40), st.booleans(), st.sampled_from(["", '"']), st.sampled_from(["\n", "\r\n"])
)
def test_any_rows_are_read_as_the_plain_reader_does(
    rows: list[tuple[int, NDArray[np.uint8], str]], spaced: bool, quote: str, end: str
) -> None:
    data = written(rows, spaced, quote, end)
    pixels, labels, usages = plain_reader(data)
    found = parse(data)
    assert found.pixels.dtype == np.uint8 and found.pixels.reshape(-1, 2304).tolist() == pixels
    assert found.labels.tolist() == labels and found.usages == usages


@FEW
@given(st.lists(ROW, min_size=1, max_size=3), st.data())
def test_any_damage_is_read_right_or_refused(
    rows: list[tuple[int, NDArray[np.uint8], str]], data: st.DataObject
) -> None:
    content = bytearray(written(rows, False, "", "\n"))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        stop = start + data.draw(st.integers(0, 4))
        content[start:stop] = data.draw(st.binary(max_size=4) | st.text("0123456789 ,\n-", max_size=4).map(str.encode))
    try:
        found = parse(bytes(content))
    except ReleaseError:
        return
    if found.usages is None:
        return  # the header lost a column and so did every row: another of the forms
    pixels, labels, usages = plain_reader(bytes(content))
    assert found.pixels.reshape(-1, 2304).tolist() == pixels
    assert found.labels.tolist() == labels and found.usages == usages


def test_irregular_but_right_rows_are_read(tmp_path: Path) -> None:
    rows = fer2013_csv().replace(ROW_3, "  " + ROW_3.replace(" ", "  ", 5) + " ", 1)
    zeros = rows.replace(text(PIXELS[0]), " ".join(f"{value:04d}" for value in PIXELS[0].ravel()), 1)
    (tmp_path / "fer2013.csv").write_text(zeros)
    assert_whole(read(tmp_path / "fer2013.csv")[1])
