"""Opens one picture with Pillow, in a few formats that only hold pixels, and within limits."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What Pillow reads by itself; others, such as EPS, start programs."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST_FILE = 64 * 2**20  # bytes
LARGEST_PICTURE = 2**26
"""Pixels: a picture of 8192 × 8192."""
_BROKEN = (OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, MemoryError,
           ArithmeticError, zlib.error, Image.DecompressionBombError, Warning)  # fmt: skip


class PictureError(Exception):
    """A picture that cannot be used, and why, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that was not opened yet: its name in messages, its label as the source has it, and
    how to get its bytes.
    """

    name: str
    label: str
    content: Callable[[], bytes]


def content_of(path: Path) -> Callable[[], bytes]:
    """How to read a file, which must not be larger than a picture may be."""

    def read() -> bytes:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise PictureError(f"has {size} bytes, expected {LARGEST_FILE} at most")
        return path.read_bytes()

    return read


def opened(content: bytes) -> Image.Image:
    """The picture in these bytes, decoded, with 8 bits a channel.

    Raises:
        PictureError: it is damaged, too large, of another format, or has more than 8 bits.
    """
    if len(content) > LARGEST_FILE:
        raise PictureError(f"has {len(content)} bytes, expected {LARGEST_FILE} at most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _decoded(content)
    except _BROKEN as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise PictureError(f"cannot be opened ({reason[:120]})") from error


def _decoded(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content), formats=FORMATS)
    width, height = picture.size
    if width * height > LARGEST_PICTURE:
        raise PictureError(f"has {width} × {height} pixels, expected {LARGEST_PICTURE} at most")
    if picture.mode.startswith(("I", "F")):
        raise PictureError(f"has more than 8 bits a channel (mode {picture.mode})")
    picture.load()
    return picture
