"""Pictures in a folder with a subfolder for each class, as torchvision's `ImageFolder` reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.samples.collection import Collection, collected, require_inside
from pipeline.samples.picture import SUFFIXES, Picture, content_of
from stages.errors import SamplesError

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder

SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
EXPECTED = "expected a subfolder for each class, such as `cat/1.png` and `dog/1.png`"


def read_class_folders(folder: Path) -> Collection:
    """The pictures in a folder of class folders, whose names are their labels.

    Raises:
        SamplesError: there are no such folders or no pictures, it is a data set of several parts,
            or a link leads out of the folder.
    """
    from torchvision.datasets import ImageFolder  # noqa: PLC0415 (heavy)

    names = sorted(each.name for each in folder.iterdir() if each.is_dir())
    _require_classes(folder, names)
    for path in folder.rglob("*"):
        if path.is_symlink():
            require_inside(path, folder)
    found = ImageFolder(str(folder), is_valid_file=_is_picture, allow_empty=True)
    pictures = list(_pictures(folder, found))
    if not pictures:
        raise SamplesError(
            f"the class folders in `{folder}` hold no pictures, expected files that end with"
            f" {', '.join(SUFFIXES)}"
        )
    return collected("class folders", pictures, tuple(found.classes))


def _pictures(folder: Path, found: ImageFolder) -> Iterator[Picture]:
    for name, number in found.samples:
        path = Path(name)
        yield Picture(
            name=path.relative_to(folder).as_posix(),
            label=found.classes[number],
            content=content_of(path),
        )


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not Path(name).name.startswith(".")


def _require_classes(folder: Path, names: list[str]) -> None:
    if not names:
        loose = sum(_is_picture(each.name) for each in folder.iterdir())
        what = f"{loose} pictures without labels" if loose else "no subfolders"
        raise SamplesError(
            f"samples `{folder}` is a folder with {what}, {EXPECTED}; or give a table of paths and"
            " labels as a `.csv`"
        )
    if {name.lower() for name in names} <= SPLITS:
        raise SamplesError(
            f"samples `{folder}` has the parts {', '.join(f'`{name}`' for name in names)} and no"
            f" class folders; name one of them, such as `--samples {folder / names[-1]}`"
        )
