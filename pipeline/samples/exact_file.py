"""The exact form of samples on disk: an `.npz` with where it came from, and how that is read.

Beside `images` and `labels` it may hold `class_names` (K,) and `pictures` (N,), which has the
sha256 and the name of every picture, both as text, and `provenance`, the text of a JSON object.
"""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.intake import npz
from stages.class_names import Names, names_of
from stages.types import CleanSamples
from stages.zip_names import names_in

CLASS_NAMES, PROVENANCE, PICTURES = "class_names", "provenance", "pictures"
LARGEST = 8 * 2**20
"""Bytes of the texts that are read."""
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
        wanted = [f"{name}{npz.SUFFIX}" for name in (CLASS_NAMES, PROVENANCE)]
        npz.require_within(path, set(wanted) & set(names_in(path)), LARGEST)
        with np.load(path, allow_pickle=False) as stored:
            names, provenance = (_text(stored, name) for name in (CLASS_NAMES, PROVENANCE))
        return names_of(names.tolist()), _json_object(provenance)
    except _UNREADABLE:
        return (), ""


def _text(stored: Mapping[str, npt.NDArray[np.generic]], name: str) -> npt.NDArray[np.generic]:
    """An array of text; empty if there is none."""
    found = stored.get(name, np.array([]))
    return found if found.dtype.kind == "U" else np.array([])


def _json_object(stored: npt.NDArray[np.generic]) -> str:
    """The text, if it is that of a JSON object."""
    text = str(stored) if stored.size == 1 else "null"
    if text.count("{") + text.count("[") > DEEPEST:
        return ""
    return text if isinstance(json.loads(text), dict) else ""
