"""Is everything that can be served from a model's folder the model that is judged?

The folder is read by allow-list: what neither MLflow nor the judged model explains is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.export.folder_files import files_in, strange_files
from stages.export.mlflow_folder import (
    FLAVOURS,
    PYFUNC,
    Found,
    find_flavour,
    judged_flavour,
    read_flavours,
)
from stages.export.mlflow_layouts import LOADERS, OPTIONS, PYFUNC_OPTIONS, STATEMENTS, Check
from stages.export.mlmodel_file import FILE, read_mlmodel
from stages.export.source import ModelSource


@dataclass(frozen=True, kw_only=True)
class Unexplained:
    """Something that can be served and was not judged: the file that brings it, and what it is."""

    file: str
    what: str


def unexplained(
    folder: Path, source: ModelSource, beside: tuple[str, ...], *, code: bool
) -> tuple[Unexplained, ...]:
    """What in a folder its judged model does not explain; the files `beside` hold its weights.

    With `code` the model's own code is part of it. A folder without `MLmodel` holds the model
    alone.

    Raises:
        ModelRefused: the folder holds a link or something else that is no file, or no such model.
    """
    files = files_in(folder)
    known = {source.path.relative_to(folder).as_posix(), *beside}
    if FILE not in files:
        return tuple(_file(name) for name in sorted(files - known))
    document = read_mlmodel(folder)
    flavours = read_flavours(document, folder)
    judged = judged_flavour(folder, flavours)
    code_options = ("code",) if code else ()
    return (
        *_statements("it states", document, STATEMENTS),
        *_flavours(folder, flavours, judged, code_options),
        *_pyfunc(flavours.get(PYFUNC, {}), flavours, judged, code_options),
        *(_file(name) for name in strange_files(folder, files - known, source, code=code)),
    )


def _flavours(
    folder: Path, flavours: Mapping[str, object], judged: Found, others: tuple[str, ...]
) -> Iterator[Unexplained]:
    """Every flavour names the data of the judged one, by options whose meaning is known."""
    for name, options in flavours.items():
        if name == PYFUNC:
            continue
        if name not in FLAVOURS:
            yield _stated(f"the flavour `{_shown(name)}`")
            continue
        found = find_flavour(folder, name, options)
        if found.source.path != judged.source.path:
            yield _stated(f"the flavour `{name}` with `{_shown(found.value)}`")
        assert isinstance(options, dict), "else it is not found"  # noqa: S101 (our own logic)
        known = {**OPTIONS[name], found.option: _is(found.value)}
        stated = {key: value for key, value in options.items() if key not in others}
        yield from _statements(f"the flavour `{name}` has", stated, known)


def _pyfunc(
    options: object, flavours: Mapping[str, object], judged: Found, others: tuple[str, ...]
) -> Iterator[Unexplained]:
    """MLflow serves the same data by its own module of that flavour."""
    if not isinstance(options, dict):
        yield _stated(f"the flavour `{PYFUNC}` without options")
        return
    loaders = {loader for name in FLAVOURS if name in flavours for loader in LOADERS[name]}
    known: dict[str, Check] = {
        **PYFUNC_OPTIONS,
        "loader_module": lambda value: isinstance(value, str) and value in loaders,
        "data": _is(judged.value),
        "model_path": _is(judged.value),
    }
    stated = {key: value for key, value in options.items() if key not in others}
    yield from _statements(f"the flavour `{PYFUNC}` has", stated, known)


def _statements(
    who: str, stated: Mapping[str, object], known: Mapping[str, Check]
) -> Iterator[Unexplained]:
    """What is stated beside the known; an empty value states nothing."""
    for key, value in stated.items():
        if value and not (key in known and known[key](value)):
            yield _stated(f"{who} `{_shown(key)}: {_shown(value)}`")


def _is(expected: str) -> Check:
    return lambda value: value == expected


def _stated(what: str) -> Unexplained:
    return Unexplained(file=FILE, what=f"in `{FILE}` {what}")


def _file(name: str) -> Unexplained:
    return Unexplained(file=name, what=f"the file `{_shown(name)}`")


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
