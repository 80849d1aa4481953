"""The exact form of samples on disk: an `.npz` with where it came from, and how that is read.

Beside `images` and `labels` it may hold `class_names` (K,) and `pictures` (N,), which has the
sha256 and the name of every picture, both as text, and `provenance`, the text of a JSON object.
"""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.class_names import Names, names_of
from stages.types import CleanSamples
from stages.zip_names import names_in

CLASS_NAMES, PROVENANCE, PICTURES = "class_names", "provenance", "pictures"
LARGEST = 8 * 2**20
"""Bytes of a text that is read."""
DEEPEST = 200
"""Brackets in a provenance, so that nothing that walks through it is exhausted."""
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    SyntaxError,
    RecursionError,
    NotImplementedError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_exact(path: Path, samples: CleanSamples, pictures: tuple[str, ...] = ()) -> None:
    """Writes samples as an `.npz` that `read_samples` takes."""
    texts: dict[str, npt.NDArray[np.str_]] = {}
    if samples.class_names:
        texts[CLASS_NAMES] = np.array(samples.class_names)
    if samples.provenance:
        texts[PROVENANCE] = np.array(samples.provenance)
    if pictures:
        texts[PICTURES] = np.array(pictures)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "images": samples.images,
        "labels": samples.labels,
        **texts,
    }
    np.savez(path, allow_pickle=False, **arrays)


def names_and_provenance(path: Path) -> tuple[Names, str]:
    """What an `.npz` says of its classes and of where it came from; empty where it says nothing.

    Damaged or overlong texts count as none: the samples are what is judged by.
    """
    if not path.is_file():  # a pipe would block for ever
        return (), ""
    try:
        names_in(path)  # within limits, which `ZipFile` has none of
        with zipfile.ZipFile(path) as archive:
            names, provenance = (_text(archive, key) for key in (CLASS_NAMES, PROVENANCE))
        return names_of(names.tolist()), _json_object(provenance)
    except _UNREADABLE:
        return (), ""


def _text(archive: zipfile.ZipFile, name: str) -> npt.NDArray[np.str_]:
    """An array of text, empty if there is none; its header must not claim more than there is."""
    nothing = np.array([], np.str_)
    member = f"{name}.npy"
    if member not in archive.namelist() or archive.getinfo(member).file_size > LARGEST:
        return nothing
    stream = io.BytesIO(archive.read(member))
    if np.lib.format.read_magic(stream) != (1, 0):
        return nothing
    shape, in_columns, kind = np.lib.format.read_array_header_1_0(stream)
    content = stream.read()
    if kind.kind != "U" or in_columns or prod(shape) * kind.itemsize != len(content):
        return nothing
    found: npt.NDArray[np.str_] = np.frombuffer(content, kind).reshape(shape)
    return found


def _json_object(stored: npt.NDArray[np.str_]) -> str:
    """The text, if it is that of a JSON object."""
    text = str(stored) if stored.size == 1 else "null"
    if text.count("{") + text.count("[") > DEEPEST:
        return ""
    return text if isinstance(json.loads(text), dict) else ""
