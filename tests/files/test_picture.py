import io
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fer_transfer.errors import ReleaseError
from fer_transfer.files.picture import PictureError, decode

#: Pillow's options for every format and kind of encoding that comes up.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 90},
    "progressive jpg": {"format": "JPEG", "progressive": True},
    "bmp": {"format": "BMP"},
    "tif": {"format": "TIFF"},
    "tif lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "tif deflate": {"format": "TIFF", "compression": "tiff_deflate"},
    "tif jpeg": {"format": "TIFF", "compression": "jpeg"},
    "webp": {"format": "WEBP"},
    "webp lossless": {"format": "WEBP", "lossless": True},
    "gif": {"format": "GIF"},
}
LOSSLESS = ("png", "bmp", "tif", "tif lzw", "tif deflate", "webp lossless")


def smooth(height: int = 24, width: int = 20, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Soft blobs of full contrast, as encoders like them."""
    noise = np.random.default_rng(seed).random((height, width, channels), np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).reshape(height, width, channels)
    low, high = blurred.min(axis=(0, 1)), blurred.max(axis=(0, 1))
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


def encode(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


def encoded(kind: str, bgr: NDArray[np.uint8] | None = None) -> bytes:
    bgr = smooth() if bgr is None else bgr
    return encode(Image.fromarray(bgr[:, :, ::-1]), **FORMATS[kind])


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(PictureError) as caught:
        decode(data, **options)
    return caught.value.reason


def assert_picture(found: NDArray[np.uint8]) -> None:
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3 and found.size


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("kind", FORMATS)
def test_agrees_with_opencv(kind: str) -> None:
    data = encoded(kind)
    found = decode(data)
    assert_picture(found)
    assert found.flags.writeable
    theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert difference(found, theirs) <= (0 if kind in (*LOSSLESS, "gif") else 2)
    if kind in LOSSLESS:
        np.testing.assert_array_equal(found, smooth())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_cut_is_noticed(kind: str) -> None:
    """A file that ends anywhere too early never becomes another picture than the whole one."""
    data = encoded(kind)
    whole = decode(data)
    reasons: Counter[str] = Counter()
    for end in range(len(data)):
        try:
            np.testing.assert_array_equal(decode(data[:end]), whole)
        except PictureError as error:
            reasons[error.reason] += 1
    assert reasons["empty"] == 1
    assert sum(reasons.values()) >= len(data) - 4  # the last bytes of a png or gif hold no pixels
    if kind in ("png", "jpg", "progressive jpg", "bmp", "tif", "gif"):
        assert reasons.most_common(1)[0][0] == "cut short"


def test_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encoded("png"))
    data[data.index(b"IDAT") + 40] ^= 1
    assert reason(bytes(data)) == "damaged"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"\n \n", "an empty file"),
        (b"hello world\n", "a text, not a picture"),
        (b"<!DOCTYPE html><title>Log in</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"../../.git/annex/objects/8x/0f/SHA256E-s33", "a git-annex pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%\xff", "not a picture"),
        (b"\0" * 1000, "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, expected: str) -> None:
    assert reason(data).startswith(expected)


def test_the_error_says_what_to_do_and_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PictureError("cut short")))
    assert isinstance(error, ReleaseError) and isinstance(error, ValueError)
    assert error.reason == "cut short"
    assert "Expected a picture" in str(error) and "cut short" in str(error) and "Get it again" in str(error)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_pixel_is_a_picture(kind: str) -> None:
    found = decode(encoded(kind, np.full((1, 1, 3), 200, np.uint8)))
    assert found.shape == (1, 1, 3) and abs(int(found[0, 0, 0]) - 200) <= 3


@pytest.mark.parametrize("kind", FORMATS)
def test_limit_is_on_pixels(kind: str) -> None:
    data = encoded(kind, smooth(10, 8))
    assert decode(data, limit=80).shape == (10, 8, 3)
    assert reason(data, limit=79) == "too large (8x10)"


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, content: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """A png by hand: any size beside any content."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(content, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_sizes_that_are_none() -> None:
    assert reason(png(20000, 20000, b"\0")) == "too large (20000x20000)"
    assert reason(png(2**31 - 1, 2**31 - 1, b"\0")) == f"too large ({2**31 - 1}x{2**31 - 1})"
    assert reason(png(7000, 7000, b"\0")) == "cut short"
    assert reason(png(0, 5, b"\0")) in ("no pixels (0x5)", "damaged")
    assert decode(png(2, 1, b"\0\1\2\3\4\5\6")).tolist() == [[[3, 2, 1], [6, 5, 4]]]


def test_bombs_take_little_memory(tmp_path: Path) -> None:
    """20,000x20,000 in every format that can hold it, whole: the memory of a process that meets them hardly grows."""
    one = Image.new("1", (20000, 20000))
    one.save(tmp_path / "bomb.png")
    one.save(tmp_path / "bomb.tif", compression="group4")
    Image.new("L", (16000, 16000)).save(tmp_path / "bomb.jpg")
    (tmp_path / "wide.png").write_bytes(png(30000, 30000, b"\0" * 10_000_000))
    small = {kind: encoded(kind) for kind in ("gif", "bmp", "webp lossless")}
    size = struct.pack("<HH", 20000, 20000)
    (tmp_path / "bomb.gif").write_bytes(small["gif"][:6] + size + small["gif"][10:])
    size = struct.pack("<ii", 20000, 20000)
    (tmp_path / "bomb.bmp").write_bytes(small["bmp"][:18] + size + small["bmp"][26:])
    place = small["webp lossless"].index(b"VP8L") + 9  # 14 bits each of width - 1 and height - 1
    size = struct.pack("<I", 16382 | 16382 << 14)
    (tmp_path / "bomb.webp").write_bytes(small["webp lossless"][:place] + size + small["webp lossless"][place + 4 :])
    script = """
import pathlib, resource, sys
from fer_transfer.files.picture import PictureError, decode
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
files = [(path.name, path.read_bytes()) for path in sorted(pathlib.Path(sys.argv[1]).iterdir())]
before = peak()
for name, data in files:
    try:
        print(name, decode(data).shape)
    except PictureError as error:
        print(name, error.reason)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    *lines, grown = done.stdout.splitlines()
    assert len(lines) == 7 and all("too large" in line for line in lines), lines
    assert int(grown) < 20  # MiB; a single decoded one would take 400
    assert done.stderr == ""


@pytest.mark.parametrize("kind", ["png", "tif", "tif lzw"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_the_high_byte(kind: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (24, 20, channels), dtype=np.uint16)
    if kind == "png":
        data = cv2.imencode(".png", values)[1].tobytes()
    else:
        compression = cv2.IMWRITE_TIFF_COMPRESSION_LZW if kind == "tif lzw" else cv2.IMWRITE_TIFF_COMPRESSION_NONE
        data = cv2.imencode(".tif", values, [cv2.IMWRITE_TIFF_COMPRESSION, compression])[1].tobytes()
    np.testing.assert_array_equal(decode(data), np.broadcast_to(values // 256, (24, 20, 3)))


def test_sixteen_bits_with_alpha() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (6, 5, 4), dtype=np.uint16)
    np.testing.assert_array_equal(decode(cv2.imencode(".png", values)[1].tobytes()), values[:, :, :3] // 256)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_have_no_rule(mode: str) -> None:
    assert reason(encode(Image.new(mode, (4, 3)), format="TIFF")) == "32 bits a value"


def test_lab_has_no_rule() -> None:
    rgb = Image.fromarray(smooth())
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(rgb, srgb, lab, outputMode="LAB")
    assert picture is not None
    assert reason(encode(picture, format="TIFF")) == "in CIELAB colours"


@pytest.mark.parametrize("kind", ["png", "tif", "tif lzw", "webp lossless"])
def test_alpha_is_left_out(kind: str) -> None:
    bgra = smooth(channels=4)
    picture = Image.fromarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA))
    options = {**FORMATS[kind], "exact": True} if "webp" in kind else FORMATS[kind]
    np.testing.assert_array_equal(decode(encode(picture, **options)), bgra[:, :, :3])


def test_grey_with_alpha() -> None:
    picture = Image.fromarray(smooth(channels=2), "LA")
    np.testing.assert_array_equal(decode(encode(picture, format="PNG"))[:, :, 1], smooth(channels=2)[:, :, 0])


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "tif", "webp lossless", "gif"])
def test_grey_is_repeated(kind: str) -> None:
    grey = smooth(channels=1)[:, :, 0]
    found = decode(encode(Image.fromarray(grey), **FORMATS[kind]))
    assert (found == found[:, :, :1]).all()
    assert difference(found[:, :, 0], grey) <= (3 if kind == "jpg" else 0)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "gif"])
def test_black_and_white(kind: str) -> None:
    dots = np.random.default_rng(0).random((9, 13)) < 0.5
    found = decode(encode(Image.fromarray(dots), **FORMATS[kind]))
    np.testing.assert_array_equal(found, np.repeat(dots[:, :, None], 3, axis=2) * np.uint8(255))


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "gif"])
@pytest.mark.parametrize("transparency", [None, 3, b"\x00\x80\xff\x10"])
def test_palette(kind: str, transparency: int | bytes | None) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (16, 3), dtype=np.uint8)
    indices = np.random.default_rng(2).integers(0, 16, (9, 13), dtype=np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette(palette.tobytes())
    options = {"transparency": transparency} if transparency is not None and kind == "png" else {}
    found = decode(encode(picture, **FORMATS[kind], **options))
    np.testing.assert_array_equal(found, palette[indices][:, :, ::-1])


def test_cmyk_jpg_is_close_to_opencv() -> None:
    cmyk = Image.fromarray(smooth(channels=3)).convert("CMYK")
    data = encode(cmyk, format="JPEG", quality=95)
    found = decode(data)
    assert difference(found, smooth(channels=3)[:, :, ::-1]) <= 12
    assert difference(found, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)) <= 3


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "tif lzw", "webp lossless"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_turned_upright(kind: str, orientation: int) -> None:
    """What each number means: EXIF 2.3, table of tag 0x0112 (the 0th row is the visual top for 1, ...)."""
    upright = smooth(21, 34)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    stored = np.ascontiguousarray(undo[orientation](upright)[:, :, ::-1])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(stored), **FORMATS[kind], exif=exif)
    found = decode(data)
    assert found.shape == upright.shape
    if kind != "jpg":
        np.testing.assert_array_equal(found, upright)
    else:
        assert np.abs(found.astype(int) - upright).mean() < 6
        assert difference(found, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)) <= 2


def test_damaged_exif_counts_as_none() -> None:
    data = encode(Image.fromarray(smooth()), format="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode(data).shape == (24, 20, 3)


@pytest.mark.parametrize("kind", ["gif", "webp lossless", "tif", "png"])
def test_first_of_several_frames(kind: str) -> None:
    first, second = (Image.fromarray(smooth(seed=seed)) for seed in (0, 1))
    one = encode(first, **FORMATS[kind])
    several = encode(first, **FORMATS[kind], save_all=True, append_images=[second])
    assert len(several) > len(one)
    np.testing.assert_array_equal(decode(several), decode(one))


def damage(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One of: cut, bits flipped, bytes overwritten, a part of another file spliced in, a stretch left out, headers swapped."""
    place, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
    match int(rng.integers(6)):
        case 0:
            return data[:place]
        case 1:
            flipped = bytearray(data)
            for _ in range(int(rng.integers(1, 9))):
                # half of them near the start: a header is short
                where = int(rng.integers(min(64, len(data)) if rng.random() < 0.5 else len(data)))
                flipped[where] ^= 1 << int(rng.integers(8))
            return bytes(flipped)
        case 2:
            return data[:place] + rng.bytes(length) + data[place + length :]
        case 3:
            start = int(rng.integers(len(other)))
            return data[:place] + other[start : start + length] + data[place:]
        case 4:
            return data[:place] + data[place + length :]
        case _:
            return other[:length] + data[length:]


def test_damaged_pictures(capfd: pytest.CaptureFixture[str]) -> None:
    """3,300 damaged pictures of 16..64 pixels: a picture or a PictureError, and not a word on the terminal."""
    rng = np.random.default_rng(0)
    whole = []
    for kind in FORMATS:
        for seed in range(3):
            height, width = rng.integers(16, 65, 2)
            whole.append(encoded(kind, smooth(int(height), int(width), seed=seed)))
    outcomes: Counter[str] = Counter()
    for i in range(3300):
        data = damage(whole[i % len(whole)], whole[int(rng.integers(len(whole)))], rng)
        try:
            # a flipped bit in the size asks for much memory that no damaged file fills
            assert_picture(decode(data, limit=1_000_000))
            outcomes["picture"] += 1
        except PictureError as error:
            assert len(error.reason) < 80
            outcomes[error.reason.split(" (")[0]] += 1
    assert capfd.readouterr() == ("", "")
    assert min(outcomes[name] for name in ("picture", "cut short", "damaged", "too large")) > 20, outcomes


STARTS = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"GIF89a",
    encoded("png")[:40],
)


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
def test_arbitrary_bytes(start: bytes, rest: bytes) -> None:
    try:
        assert_picture(decode(start + rest, limit=1_000_000))
    except PictureError as error:
        assert error.reason


@pytest.mark.skipif(os.name != "posix", reason="file descriptors")
def test_damaged_tif_prints_nothing_and_stderr_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded("tif jpeg")
    middle = len(data) // 2
    reason(data[:middle] + b"\xff\xd8\xff\xd9" * 10 + data[middle + 40 :])
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"
