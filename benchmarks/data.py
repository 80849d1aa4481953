"""Real images that are available offline: scikit-learn's digits and Debian's Fashion-MNIST."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_images
from torch.nn import functional

DEMO = Path(__file__).parent.parent / "mlflow_project" / "demo"
"""Where the demo models lie, with samples and what is true of each."""
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SPLIT_SEED = 0


class Split(NamedTuple):
    """Training and held-out images (N, C, H, W) in [0, 1] float32 with labels (N,) int64."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def digits() -> Split:
    """1 797 digits, enlarged from 8×8 to 16×16, 1 100 of them for training."""
    bunch = load_digits()
    images = torch.from_numpy(bunch.images.astype(np.float32) / 16.0)[:, None]
    images = functional.interpolate(images, size=16, mode="bilinear", align_corners=False)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    images, labels = images[order], labels[order]
    return Split(images[:1100], labels[:1100], images[1100:], labels[1100:])


def pairs() -> Split:
    """Two digits side by side, 32×32, 100 classes: 20 000 training and 4 000 held-out images.

    Both halves come from the digits of the same part, so none is in both parts.
    """
    full = digits()
    return Split(
        *_side_by_side(full.train_images, full.train_labels, 20000, seed=1),
        *_side_by_side(full.test_images, full.test_labels, 4000, seed=2),
    )


def _side_by_side(
    images: torch.Tensor, labels: torch.Tensor, count: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    left, right = torch.randint(len(labels), (2, count), generator=generator)
    both = torch.cat([images[left], images[right]], dim=-1)
    tall = functional.interpolate(both, size=32, mode="bilinear", align_corners=False)
    return tall, 10 * labels[left] + labels[right]


def fashion() -> Split:
    """Fashion-MNIST 28×28: 60 000 training and 10 000 held-out images.

    Raises:
        FileNotFoundError: when Debian's `dataset-fashion-mnist` is not installed.
    """
    train = _read("train-images-idx3-ubyte.gz"), _read("train-labels-idx1-ubyte.gz")
    test = _read("t10k-images-idx3-ubyte.gz"), _read("t10k-labels-idx1-ubyte.gz")
    return Split(_images(train[0]), _labels(train[1]), _images(test[0]), _labels(test[1]))


def _read(name: str) -> np.ndarray:
    raw = gzip.decompress((FASHION_FOLDER / name).read_bytes())
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _images(raw: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(raw.astype(np.float32) / 255.0)[:, None]


def _labels(raw: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(raw.astype(np.int64))


def colour() -> Split:
    """Clothes on photographs, 32×32 in colour: 20 000 training and 4 000 held-out images.

    Every Fashion-MNIST item is dyed and laid on a random cut-out of one of scikit-learn's two
    photographs, so that colour and background vary and only the shape tells the class.
    """
    full = fashion()
    return Split(
        _on_photographs(full.train_images[:20000], seed=1),
        full.train_labels[:20000],
        _on_photographs(full.test_images[:4000], seed=2),
        full.test_labels[:4000],
    )


def _on_photographs(items: torch.Tensor, seed: int) -> torch.Tensor:
    """Items (N, 1, 28, 28) in [0, 1] as images (N, 3, 32, 32)."""
    generator = torch.Generator().manual_seed(seed)
    items = functional.pad(items, (2, 2, 2, 2))
    dye = 0.3 + 0.7 * torch.rand(len(items), 3, 1, 1, generator=generator)
    cover = (4 * items).clamp(0, 1)
    return cover * items * dye + (1 - cover) * _cut_outs(len(items), generator)


def _cut_outs(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random 32×32 cut-outs (count, 3, 32, 32) in [0, 1] of the two photographs, at half size."""
    raw = np.stack(load_sample_images().images).astype(np.float32) / 255.0
    photographs = functional.avg_pool2d(torch.from_numpy(raw).permute(0, 3, 1, 2), 2)
    height, width = photographs.shape[2:]
    which = torch.randint(2, (count,), generator=generator).tolist()
    tops = torch.randint(height - 31, (count,), generator=generator).tolist()
    lefts = torch.randint(width - 31, (count,), generator=generator).tolist()
    places = zip(which, tops, lefts, strict=True)
    return torch.stack([photographs[i, :, y : y + 32, x : x + 32] for i, y, x in places])
