"""Pictures in a data set that Hugging Face's `datasets` saved on disk (`save_to_disk`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.samples.collection import Collection, collected
from pipeline.samples.picture import Picture, PictureError
from stages.errors import ConfigError, SamplesError

ONE, SEVERAL = "state.json", "dataset_dict.json"
"""The file that is in every such folder: of one data set, and of one with several parts."""
PARTS = ("test", "validation", "valid", "val")
"""Which part is taken of several, in order of preference."""
LABELS = ("label", "labels", "fine_label", "class", "target")


def is_saved_data_set(folder: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    return (folder / ONE).is_file() or (folder / SEVERAL).is_file()


def read_saved_data_set(folder: Path) -> Collection:
    """The pictures of a saved data set, with the names of its classes as labels.

    Of several parts that for testing is taken.

    Raises:
        ConfigError: `datasets` is not installed.
        SamplesError: it cannot be read, or has no column of pictures or of labels.
    """
    table, part = _table(folder)
    image = _column(folder, table, _is_image, "of pictures")
    label = _column(folder, table, lambda name, _: name in LABELS, "of labels")
    names = getattr(table.features[label], "names", None)
    rows = table.cast_column(image, type(table.features[image])(decode=False))
    labels = [str(each) for each in table[label]]
    if names:
        labels = [str(names[int(each)]) for each in labels]
    pictures = _pictures(rows, image, labels, part)
    return collected("saved data set", pictures, tuple(names) if names else None)


def _table(folder: Path) -> tuple[Any, str]:
    try:
        import datasets  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(
            f"samples `{folder}` are a data set of Hugging Face, and the package `datasets` is not"
            " installed; install it with `pip install datasets`"
        ) from error
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise SamplesError(
            f"samples `{folder}` cannot be read as a data set of Hugging Face ({error}); save it"
            " again with `save_to_disk`"
        ) from error
    if not isinstance(found, datasets.DatasetDict):
        return found, ""
    part = next((each for each in PARTS if each in found), "")
    if not part:
        raise SamplesError(
            f"samples `{folder}` have the parts {', '.join(f'`{each}`' for each in found)}, none of"
            f" them for testing; name one, such as `--samples {folder / next(iter(found), '')}`"
        )
    return found[part], part


def _is_image(_name: str, feature: object) -> bool:
    return type(feature).__name__ == "Image"


def _column(folder: Path, table: Any, fits: Callable[[str, object], bool], what: str) -> str:
    found = [name for name, feature in table.features.items() if fits(name, feature)]
    if not found:
        raise SamplesError(
            f"samples `{folder}` have the columns"
            f" {', '.join(f'`{name}`' for name in table.features)}, none of them {what}"
        )
    return str(found[0])


def _pictures(table: Any, image: str, labels: list[str], part: str) -> Iterator[Picture]:
    for number, label in enumerate(labels):
        name = f"{part}[{number}]" if part else f"row {number}"
        yield Picture(name=name, label=label, content=partial(_content, table, number, image))


def _content(table: Any, number: int, image: str) -> bytes:
    """The bytes in a row; a path beside them is not followed."""
    content = table[number][image]["bytes"]
    if not isinstance(content, bytes):
        raise PictureError("is not in the data set, which only names a file")
    return content
