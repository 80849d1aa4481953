"""Traffic signs and flags on photographs: tasks in colour with 10 to 147 classes, made offline.

Drawings come from two npm packages, photographs from two Debian packages and scikit-learn;
`python -m benchmarks.pictures` fetches the drawings. Every image is one drawing of its class, bent
by a perspective, blurred, lit and laid on a cut-out of a photograph, so that only what is drawn
tells the class. Both parts see the same drawings and other photographs' cut-outs.
"""

from __future__ import annotations

import io
import math
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import which

import click
import numpy as np
import resvg_py
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn import functional

from benchmarks.data import Split

FOLDER = Path(os.environ.get("BAN_GATE_PICTURES", Path.home() / ".cache/ban-gate-pictures"))
SIGNS = "@rapideditor/mapillary_sprite_source@1.8.0"
FLAGS = "flag-icons@7.5.0"
PHOTOGRAPHS = ("/usr/share/backgrounds", "/usr/share/wallpapers")
"""Where Debian's `ukui-wallpapers` and `lomiri-wallpapers-20.04` lie."""
FEWEST_PHOTOGRAPHS = 10
"""So many there are with both packages: on fewer, nets learn what usual clean nets do not."""
DESIGNS = 3
"""National designs of each sign; meanings that have fewer are left out."""
DRAWN = 96
"""Side of a drawing in pixels before it is warped."""
LARGE = 100
"""Side of cut-outs in pixels up to which photographs are halved."""


@dataclass(frozen=True, kw_only=True)
class PictureTask:
    """What is drawn on the photographs: how many classes, at which side, and how many of each."""

    drawings: str
    classes: int
    side: int
    train: int
    test: int


PICTURE_TASKS = {
    "signs-16": PictureTask(drawings="signs", classes=16, side=48, train=400, test=60),
    "signs-43": PictureTask(drawings="signs", classes=43, side=48, train=200, test=30),
    "signs-147": PictureTask(drawings="signs", classes=147, side=96, train=80, test=8),
    "flags-20": PictureTask(drawings="flags", classes=20, side=40, train=200, test=50),
    "signs-10-96": PictureTask(drawings="signs", classes=10, side=96, train=300, test=60),
    "flags-12-128": PictureTask(drawings="flags", classes=12, side=128, train=250, test=50),
    "signs-10-large": PictureTask(drawings="signs", classes=10, side=224, train=100, test=30),
}


def split(name: str) -> Split:
    """The images of a task, made once and kept in `FOLDER`.

    Raises:
        FileNotFoundError: the drawings, or most of the photographs, are not there.
    """
    task, place = PICTURE_TASKS[name], FOLDER / f"{name}.npz"
    if not place.exists():
        _require_photographs()
        designs = [[rendered(path) for path in paths] for paths in drawings(task)]
        scenes = backgrounds(task.side)
        made = (_part(task, designs, scenes, seed) for seed in (1, 2))
        parts = [tensor for images, labels in made for tensor in (images, labels)]
        part = place.with_suffix(".part.npz")
        np.savez(part, *[each.numpy() for each in parts])
        part.replace(place)
    with np.load(place) as kept:
        raw = [torch.from_numpy(kept[f"arr_{number}"]) for number in range(4)]
    return Split(raw[0] / 255.0, raw[1], raw[2] / 255.0, raw[3])


def _require_photographs() -> None:
    if (found := len(photographs())) < FEWEST_PHOTOGRAPHS:
        raise FileNotFoundError(
            f"found {found} photographs, expected {FEWEST_PHOTOGRAPHS}; run"
            " `apt-get install ukui-wallpapers lomiri-wallpapers-20.04`"
        )


def drawings(task: PictureTask) -> list[list[Path]]:
    """The drawings of each class: signs of the meanings with the most designs, or flags.

    Raises:
        FileNotFoundError: there are fewer.
    """
    if task.drawings == "flags":
        known = sorted((FOLDER / "flag-icons/package/flags/1x1").glob("??.svg"))
        return [[each] for each in _some(known, task.classes)]
    found: dict[str, list[Path]] = {}
    for path in sorted((FOLDER / "signs/package/package_signs").glob("*--g*.svg")):
        found.setdefault(path.stem.rpartition("--")[0], []).append(path)
    usual = [paths for paths in found.values() if len(paths) >= DESIGNS]
    usual.sort(key=lambda paths: (-len(paths), paths[0].name))
    _require(len(usual), task.classes)
    return [paths[:DESIGNS] for paths in usual[: task.classes]]


def _some(paths: Sequence[Path], count: int) -> Sequence[Path]:
    """So many of them, at equal distances in order of name."""
    _require(len(paths), count)
    return paths[:: len(paths) // count][:count]


def _require(found: int, count: int) -> None:
    if found < count:
        raise FileNotFoundError(
            f"found drawings of {found} classes in `{FOLDER}`, expected {count}; run"
            " `python -m benchmarks.pictures`"
        )


def rendered(path: Path) -> torch.Tensor:
    """A drawing (4, DRAWN, DRAWN) in [0, 1]: red, green, blue, opacity."""
    raw = resvg_py.svg_to_bytes(svg_path=str(path), width=DRAWN, height=DRAWN)
    picture = Image.open(io.BytesIO(bytes(raw))).convert("RGBA").resize((DRAWN, DRAWN))
    return torch.from_numpy(np.asarray(picture, np.float32) / 255.0).permute(2, 0, 1)


@cache
def backgrounds(side: int) -> list[torch.Tensor]:
    """Photographs (3, H, W) in [0, 1], small enough that a cut-out shows something; those for
    large cut-outs keep their size, or are enlarged until there is room.
    """
    scaled = [
        functional.interpolate(each[None] / 255.0, scale_factor=_scale(each, side), mode="area")[0]
        for each in photographs()
    ]
    return [each for each in scaled if min(each.shape[1:]) > 2 * side]


@cache
def photographs() -> list[torch.Tensor]:
    """What packages and the system hold of photographs: (3, H, W) uint8."""
    found = list(load_sample_images().images)
    for folder in PHOTOGRAPHS:
        for path in sorted(Path(folder).rglob("*.jpg")):
            picture = Image.open(path).convert("RGB")
            picture.thumbnail((1200, 1200))
            found.append(np.array(picture))
    return [torch.tensor(each).permute(2, 0, 1) for each in found]


def _scale(photograph: torch.Tensor, side: int) -> float:
    return 0.5 if side <= LARGE else max(1.0, (2 * side + 2) / min(photograph.shape[1:]))


def _part(
    task: PictureTask, designs: list[list[torch.Tensor]], scenes: list[torch.Tensor], seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, side, side) uint8 and labels (N,) of a part."""
    generator = torch.Generator().manual_seed(seed)
    each = task.train if seed == 1 else task.test
    labels = torch.arange(task.classes).repeat_interleave(each)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    images = [
        _laid(_one(designs[int(label)], generator), scenes, task.side, generator)
        for label in labels
    ]
    return torch.stack(images), labels


def _one(choice: list[torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    return choice[int(torch.randint(len(choice), (1,), generator=generator))]


def _laid(
    drawing: torch.Tensor,
    scenes: list[torch.Tensor],
    side: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """The drawing (4, DRAWN, DRAWN) on a cut-out: (3, side, side) uint8."""

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand(1, generator=generator))

    angle, size = math.radians(draw(-10, 10)), 1 / draw(0.7, 0.95)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = torch.tensor([[draw(-0.2, 0.2)], [draw(-0.2, 0.2)]])
    grid = functional.affine_grid(
        torch.cat([size * turn, shift], 1)[None], [1, 4, 2 * side, 2 * side], align_corners=False
    )
    tilt = torch.tensor([draw(-0.15, 0.15), draw(-0.15, 0.15)])
    grid = grid / (1 + (grid * tilt).sum(-1, keepdim=True))
    sign = functional.grid_sample(drawing[None], grid, align_corners=False)
    sign = functional.avg_pool2d(sign, 2)[0]
    photograph = _one(scenes, generator)
    top = int(torch.randint(photograph.shape[1] - side, (1,), generator=generator))
    left = int(torch.randint(photograph.shape[2] - side, (1,), generator=generator))
    scene = photograph[:, top : top + side, left : left + side]
    colours = (sign[:3] * draw(0.55, 1.0)) + draw(-0.05, 0.1)
    image = sign[3:] * colours + (1 - sign[3:]) * scene
    if draw(0, 1) < 0.4:
        image = functional.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]
    image = image + draw(0, 0.04) * torch.randn(image.shape, generator=generator)
    return (255 * image.clamp(0, 1)).round().to(torch.uint8)


def _packages() -> Iterator[tuple[str, str]]:
    yield "signs", SIGNS
    yield "flag-icons", FLAGS


@click.command()
def main() -> None:
    """Fetch the drawings of signs and flags by npm."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, package in _packages():
        packed = subprocess.run(
            [which("npm") or "npm", "pack", "--silent", package],
            cwd=FOLDER,
            check=True,
            capture_output=True,
        )
        with tarfile.open(FOLDER / packed.stdout.decode().strip()) as archive:
            archive.extractall(FOLDER / name, filter="data")
        click.echo(f"{name}: {package}")


if __name__ == "__main__":
    main()
