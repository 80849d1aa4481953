"""Which files of a folder that MLflow wrote belong there, by their names."""

from __future__ import annotations

import filecmp
import glob
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from os.path import normpath
from pathlib import Path

from stages.errors import ModelRefused
from stages.export.mlflow_layouts import ABOUT, CONTENTS, FILES
from stages.export.source import ModelSource

_LONGEST_TEXT = 100  # bytes


def files_in(folder: Path) -> set[str]:
    """The path of every file in a folder, with `/` between the parts.

    Raises:
        ModelRefused: something there is neither a plain file nor a folder, or cannot be listed.
    """
    found = set()
    for place, folders, names in os.walk(folder, onerror=_refuse):
        for path in (Path(place) / each for each in (*folders, *names)):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ModelRefused(
                    f"`{name[:80]}` in `{folder.name}` is a link or no plain file, so what is"
                    " served may change; put the file itself there"
                )
            if path.is_file():
                found.add(name)
    return found


def strange_files(
    folder: Path, names: set[str], source: ModelSource, *, code: bool
) -> Iterator[str]:
    """Those of `names` that neither tell of the model nor belong to it, in alphabetical order.

    With `code` the files that the model imports belong to it.
    """
    patterns = _patterns(folder, source)
    for name in sorted(names):
        known = any(_matches(name, each) for each in patterns) or _is_copy(folder, name, names)
        if not (known and _says_nothing_else(folder / name)) and not (
            code and any((folder / name).is_relative_to(each) for each in source.code)
        ):
            yield name


def _patterns(folder: Path, source: ModelSource) -> tuple[str, ...]:
    model = source.path.relative_to(folder)
    places = {"model": model, "stem": model.with_suffix(""), "place": model.parent}
    literal = {key: glob.escape(path.as_posix()) for key, path in places.items()}
    patterns = FILES.get((source.framework, source.kind), ())
    return (*ABOUT, *(normpath(each.format(**literal)) for each in patterns))


def _matches(name: str, pattern: str) -> bool:
    """Whether a name is of a pattern in which `*` stands for no `/`."""
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def _is_copy(folder: Path, name: str, names: set[str]) -> bool:
    """Whether it is a file about the model, copied to `metadata/` as it is."""
    original = name.removeprefix("metadata/")
    return (
        original != name
        and original in names.intersection(ABOUT)
        and filecmp.cmp(folder / name, folder / original, shallow=False)
    )


def _says_nothing_else(path: Path) -> bool:
    """Whether a file by which MLflow chooses what it imports holds one of the known texts."""
    if path.name not in CONTENTS:
        return True
    with path.open("rb") as file:
        return file.read(_LONGEST_TEXT).decode(errors="replace") in CONTENTS[path.name]


def _refuse(error: OSError) -> None:
    raise ModelRefused(
        f"a folder of the model cannot be listed ({error.strerror}); make it readable, or download"
        " the model again"
    ) from error
