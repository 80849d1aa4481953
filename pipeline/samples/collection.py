"""The pictures of a source, each with its label, before any is opened."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.samples.picture import Picture
from pipeline.samples.small_file import read_small
from stages.errors import SamplesError


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Pictures by their labels; `classes` are the labels in the source's own order."""

    kind: str
    pictures: Mapping[str, tuple[Picture, ...]]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(map(len, self.pictures.values()))


def collected(
    kind: str, pictures: Iterable[Picture], classes: tuple[str, ...] | None = None
) -> Collection:
    """Pictures grouped by their labels, which are sorted as text where they have no other order."""
    groups: dict[str, list[Picture]] = defaultdict(list)
    for each in pictures:
        groups[each.label].append(each)
    return Collection(
        kind=kind,
        pictures={label: tuple(group) for label, group in groups.items()},
        classes=classes or tuple(sorted(groups)),
    )


def require_inside(path: Path, folder: Path) -> Path:
    """The path, if what it leads to lies in the folder.

    Raises:
        SamplesError: it leads out of the folder.
    """
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise SamplesError(
            f"`{path}` leads out of the folder of the samples, `{folder}`; copy the pictures there"
        )
    return path


def csv_rows(path: Path, limit: int) -> list[list[str]]:
    """The rows of a table in UTF-8, separated by commas, semicolons or tabs.

    Raises:
        SamplesError: it cannot be read, or has more than `limit` bytes.
    """
    try:
        text = read_small(path, limit).decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        return [row for row in csv.reader(text.splitlines(), delimiter=separator) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise SamplesError(
            f"samples `{path}` cannot be read as a table ({error}); expected rows of a picture's"
            " path and its label, such as `cats/1.png,cat`"
        ) from error
