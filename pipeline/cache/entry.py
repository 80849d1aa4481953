"""One cached result as files in a folder: numbers as JSON, arrays as npz, never a pickle.

`values.json` holds the result with a name in place of each array, `arrays.npz` the arrays, and
`stage.json` what made them and the sha256 of both files. An entry with `stage.json` is complete.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_origin

import cattrs
import numpy as np
import numpy.typing as npt
from cattrs.errors import CattrsError

from pipeline.file_digest import file_digest

SCHEMA = 1
VALUES, ARRAYS, COMPLETE = "values.json", "arrays.npz", "stage.json"
UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    NotImplementedError,
    AttributeError,
    CattrsError,
    zipfile.BadZipFile,
    zlib.error,
)

Value = TypeVar("Value")
Arrays = dict[str, npt.NDArray[np.generic]]


def write(folder: Path, value: object, kind: object, facts: Mapping[str, object]) -> None:
    """Puts `value`, of type `kind`, and the facts about it into an existing folder."""
    arrays: Arrays = {}
    values = _writer(arrays).unstructure(value, unstructure_as=kind)
    (folder / VALUES).write_text(json.dumps(values))
    np.savez(folder / ARRAYS, allow_pickle=False, **arrays)
    checks = {name: file_digest(folder / name) for name in (VALUES, ARRAYS)}
    record = {"schema": SCHEMA, **facts, "sha256": checks}
    (folder / COMPLETE).write_text(json.dumps(record, indent=2))


def read(folder: Path, kind: type[Value], record: bytes | None = None) -> Value:
    """The value, of type `kind`, that was written there.

    `record` is what `stage.json` holds, where the caller has read it already. Each file is read
    once, so that what is checked is what is used.

    Raises:
        UNREADABLE: a file is missing, was changed, or does not hold such a value.
    """
    checks = json.loads((folder / COMPLETE).read_bytes() if record is None else record)["sha256"]
    contents = {name: (folder / name).read_bytes() for name in (VALUES, ARRAYS)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != checks[name]:
            raise ValueError(f"`{name}` is not the file that was written")
    with np.load(io.BytesIO(contents[ARRAYS]), allow_pickle=False) as stored:
        arrays = dict(stored)
    return _reader(arrays).structure(json.loads(contents[VALUES]), kind)


def facts_of(folder: Path) -> dict[str, dict[str, str]]:
    """What `stage.json` says about a complete entry."""
    facts: dict[str, dict[str, str]] = json.loads((folder / COMPLETE).read_text())
    return facts


def _is_array(kind: object) -> bool:
    return kind is np.ndarray or get_origin(kind) is np.ndarray


def _writer(arrays: Arrays) -> cattrs.Converter:
    def put(array: npt.NDArray[np.generic]) -> str:
        name = f"array{len(arrays)}"
        arrays[name] = array
        return name

    converter = cattrs.Converter()
    converter.register_unstructure_hook_func(_is_array, put)
    converter.register_unstructure_hook(bytes, lambda raw: put(np.frombuffer(raw, np.uint8)))
    converter.register_unstructure_hook(Path, str)
    return converter


def _reader(arrays: Arrays) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False, forbid_extra_keys=True)
    converter.register_structure_hook_func(_is_array, lambda name, _: arrays[name])
    converter.register_structure_hook(bytes, lambda name, _: arrays[name].tobytes())
    converter.register_structure_hook(Path, lambda text, _: Path(text))
    return converter
