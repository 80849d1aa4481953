"""Pictures listed in a table: a column of paths, relative to the table, and one of labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.samples.collection import Collection, collected, csv_rows, require_inside
from pipeline.samples.picture import Picture, content_of
from stages.errors import SamplesError

LARGEST = 256 * 2**20  # bytes
PATHS = ("path", "file", "file_name", "filename", "image", "image_path", "filepath")
LABELS = ("label", "class", "class_name", "target", "category", "y")


def read_csv_list(path: Path) -> Collection:
    """The pictures of a table; without a line of names the columns are path and label.

    Raises:
        SamplesError: it is no such table, or a path leads out of its folder or to nothing.
    """
    rows = csv_rows(path, LARGEST)
    (path_column, label_column), has_names = _columns(path, rows)
    pictures = list(_pictures(path, rows[has_names:], path_column, label_column))
    return collected("table", pictures)


def _columns(path: Path, rows: list[list[str]]) -> tuple[tuple[int, int], int]:
    """Which columns hold paths and labels, and whether the first row is of names (1) or not (0)."""
    if not rows:
        raise SamplesError(f"samples `{path}` is an empty table, expected paths and labels")
    names = [each.strip().lower() for each in rows[0]]
    paths = [names.index(each) for each in PATHS if each in names]
    labels = [names.index(each) for each in LABELS if each in names]
    if paths and labels:
        return (paths[0], labels[0]), 1
    if len(names) == 2 and (path.parent / rows[0][0].strip()).is_file():
        return (0, 1), 0
    raise SamplesError(
        f"samples `{path}` has the columns {', '.join(f'`{each}`' for each in names[:8])}, expected"
        " `path` and `label`, with paths relative to the table"
    )


def _pictures(
    path: Path, rows: list[list[str]], path_column: int, label_column: int
) -> Iterator[Picture]:
    missing = 0
    for number, row in enumerate(rows, start=1):
        if len(row) <= max(path_column, label_column):
            raise SamplesError(
                f"row {number} of `{path}` has {len(row)} columns, expected a path and a label"
            )
        name, label = row[path_column].strip(), row[label_column].strip()
        file = require_inside(path.parent / name, path.parent)
        if not file.is_file():
            missing += 1
        yield Picture(name=name, label=label, content=content_of(file))
    if missing == len(rows):
        raise SamplesError(
            f"none of the {missing} pictures listed in `{path}` is there; paths are relative to the"
            " folder of the table"
        )
