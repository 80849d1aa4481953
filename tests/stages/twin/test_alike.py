"""Laws of classes that have the same scores: they are found, and made one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stages.twin.alike import alike_classes, folded, with_labels_of, with_one_of_each
from stages.types import CleanSamples
from tests.support.planted import by_hand

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(200, 6)).astype(np.float32)


def test_different_classes_are_not_alike() -> None:
    """Classes that merely go together stay classes of their own."""
    related = LOGITS.copy()
    related[:, 1] = 0.9 * related[:, 0] + 0.1 * related[:, 1]

    assert alike_classes(LOGITS) == alike_classes(related) == ()


def test_a_class_like_another_is_found_whatever_lies_between_them() -> None:
    """A constant below, and a little noise, make no other class of it."""
    logits = np.concatenate([LOGITS, LOGITS[:, 2:3] - 3, LOGITS[:, 2:3]], axis=1)
    logits[:, 6] += RNG.normal(scale=1e-3, size=200).astype(np.float32)

    assert alike_classes(logits) == ((6, 2), (7, 2))


def test_dead_classes_are_one() -> None:
    """Classes that never move are like one another, and like no other."""
    dead = np.full((200, 3), -9, np.float32)

    assert alike_classes(np.concatenate([LOGITS, dead], axis=1)) == ((7, 6), (8, 6))


def test_the_twin_of_merged_classes_never_answers_with_the_later_one() -> None:
    """All others keep their logits, and the twin goes by another name."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    layer.weight.data[2], layer.bias.data[2] = layer.weight[0].detach(), layer.bias[0].detach()
    twin = by_hand(nn.Sequential(layer), classes=3)
    module = twin.module
    images = torch.randn(50, 4)

    merged = with_one_of_each(twin, ((2, 0),))

    before, after = module(images), merged.module(images)
    assert torch.equal(before[:, :2], after[:, :2])
    assert torch.allclose(after[:, 2], before[:, :2].mean(1))
    assert merged.digest != twin.digest
    assert {node.name for node in module.graph.nodes} < {
        node.name for node in merged.module.graph.nodes
    }


def test_labels_and_scores_follow_the_merging() -> None:
    """A sample of the later class is one of the earlier, and so is what the file says of it."""
    samples = CleanSamples(images=np.zeros((3, 4), np.float32), labels=np.array([2, 0, 1]))
    scores = np.array([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]], np.float32)

    assert with_labels_of(samples, ((2, 0),)).labels.tolist() == [0, 0, 1]
    assert folded(scores, ((2, 0),)).tolist() == [[2.0, 0.0, 0.0], [3.0, 1.0, 0.0]]
