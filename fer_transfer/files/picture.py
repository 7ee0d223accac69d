"""From a file's bytes to a frame: one rule for every format, and one exception for everything that cannot be read.

Pillow decodes, not OpenCV: where a file ends too early OpenCV fills up the rest of the picture and says nothing, prints
its libraries' warnings on the terminal, and decodes a picture of any size before one can refuse it. Pillow reads the
header first and notices the missing rest in every format; that costs about a tenth more time for png (measured at 720x576).
"""

import contextlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import pretender

#: How a file of each format starts, and what reads its header. Not by Image.open: that refuses a size by its own limits
#: without naming it, and hands data to the readers of formats (eps, pdf) that have no place in a release.
_FORMATS: tuple[tuple[bytes, Callable[[io.BytesIO, str], ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", JpegImagePlugin.jpeg_factory),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile),
    (b"II+\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", TiffImagePlugin.TiffImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"GIF8", GifImagePlugin.GifImageFile),
)

_STDERR = threading.Lock()

#: What turns a picture with this EXIF orientation upright; 1 is upright already.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Pillow's modes without a rule to 8-bit colour. A png never holds 32 bits: its "I" (Pillow before 11) is 16 bits.
_WITHOUT_RULE = {"I": "32 bits a value", "F": "32 bits a value", "LAB": "in CIELAB colours"}

#: Words by which Pillow's errors tell a file that ends too early from other damage.
_CUT = ("truncated", "incomplete", "requires a buffer", "no more images")

# Pillow's readers log about odd tags; without any handler Python would print that on the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class PictureError(ReleaseError):
    """A picture that cannot be decoded.

    The message leaves out the file's name, which the caller knows.

    Attributes:
        reason: a few words: ``empty``, ``cut short``, ``damaged``, ``too large (20000x20000)``, ...
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)  # the arguments of an exception are what it is pickled by
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"Expected a picture (png, jpg, bmp, tif, webp, gif), but found one that cannot be used: {self.reason}. "
            "Get it again, or remove it from the release."
        )


def decode(data: bytes, limit: int = 50_000_000) -> NDArray[np.uint8]:
    """Decode a picture to 8-bit colour, the same way in every format (png, jpg, bmp, tif, webp, gif).

    ====================================  ==================================================================
    grey, palette, black and white        the same picture in three channels
    16 bits a value                       the high byte of each value (0..65535 // 256), as OpenCV and libpng
    alpha, transparent colour             left out: colours as they are stored, as OpenCV does
    CMYK (jpg, tif)                       (255 - ink) * (255 - black) / 255, without the colour profile
    colour profiles, gamma                not applied
    EXIF orientation                      turned upright; damaged EXIF data counts as none
    several frames or pages               the first
    1x1                                   a picture like any other
    no pixels, more than ``limit``        refused by the header, before anything is decoded
    32 bits a value, CIELAB               refused: there is no rule to 8 bits
    empty, text, web page, pointer        refused, the reason says which
    cut short                             refused wherever a pixel is missing; a png also without its end
    wrong checksum in a png               refused
    ====================================  ==================================================================

    Other damage that still decodes (a flipped bit in a jpg or bmp) cannot be told from a picture.

    Args:
        data: the file's bytes.
        limit: the most pixels (width times height). A picture takes about 10 bytes a pixel while it is decoded.

    Returns:
        uint8 [H, W, 3], BGR, 0..255; (0, 0) is the top left pixel. Memory of its own, writeable.

    Raises:
        PictureError: for anything else, and nothing but this.

    >>> decode(b"../../.git/annex/objects/8x/0f/SHA256E-s33")
    Traceback (most recent call last):
    ...
    fer_transfer.files.picture.PictureError: ... cannot be used: a git-annex pointer, not the data (run git annex get). ...
    """
    _refuse_pretender(data)
    with warnings.catch_warnings():  # odd metadata; what matters raises
        warnings.simplefilter("ignore")
        try:
            return _decode(data, limit)
        except PictureError:
            raise
        except Image.DecompressionBombError as error:  # Pillow's own limit, met before the size is known (webp)
            raise PictureError("too large") from error
        except MemoryError as error:
            raise PictureError("too large for the memory at hand") from error
        except Exception as error:  # Pillow promises no type; OSError, SyntaxError, struct.error, KeyError were met
            raise PictureError(_words(error)) from error


def _decode(data: bytes, limit: int) -> NDArray[np.uint8]:
    image = _open(data)
    _refuse_by_header(image, limit)
    if image.format == "PNG":
        image.verify()  # checksums, which decoding does not look at; it uses up the open file
        image = _open(data)
    libtiff = any(tile[0] == "libtiff" for tile in image.tile)
    with _nothing_printed() if libtiff else contextlib.nullcontext():
        image.load()
    upright = _turn(_to_rgb(image), _orientation(image))
    bgr: NDArray[np.uint8] = cv2.cvtColor(np.asarray(upright), cv2.COLOR_RGB2BGR)
    return bgr


def _open(data: bytes) -> ImageFile.ImageFile:
    """Read the header."""
    for start, read_header in _FORMATS:
        if data.startswith(start):
            return read_header(io.BytesIO(data), "")
    raise PictureError("not a picture")


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep what C code prints off the terminal: libtiff's errors, which Pillow raises as well.

    It is the process's own stderr that is turned away for the time of one picture, so only compressed tifs are
    decoded in here, by one thread at a time.
    """
    with _STDERR:
        yield from _turned_away()


def _turned_away() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # closed already
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _refuse_pretender(data: bytes) -> None:
    """Refuse what a file may hold in place of a picture: nothing, text, a pointer, a web page."""
    if not data:
        raise PictureError("empty")
    if found := pretender(data):
        raise PictureError(found)
    head = data[:256]
    if head.isascii() and all(byte >= 32 or chr(byte).isspace() for byte in head):
        raise PictureError("a text, not a picture")


def _refuse_by_header(image: ImageFile.ImageFile, limit: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise PictureError(f"no pixels ({width}x{height})")
    if width * height > limit:
        raise PictureError(f"too large ({width}x{height})")
    if image.format != "PNG" and image.mode in _WITHOUT_RULE:
        raise PictureError(_WITHOUT_RULE[image.mode])


def _to_rgb(image: Image.Image) -> Image.Image:
    """To 8-bit RGB, alpha left out; ``image`` is loaded."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; ``image`` is loaded (tif is turned while it is loaded, and has none then)."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as above; the pixels are whole
        return 1
    return value if isinstance(value, int) else 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _words(error: Exception) -> str:
    message = str(error).lower()
    return "cut short" if isinstance(error, EOFError) or any(word in message for word in _CUT) else "damaged"
