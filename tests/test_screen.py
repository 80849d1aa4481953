"""The screen over many classes: what it spares, and what it must not lose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_targets import by_hand
from torch import fx, nn

from stages.blend import BlendConfig, find_blend
from stages.patch import PatchConfig, find_patch
from stages.precondition import PreconditionConfig, check_preconditions
from stages.screen import ScreenConfig, Screened, screen
from stages.types import CleanSamples, PreconditionResult, TorchTwin
from stages.warp import WarpConfig, find_warp

MANY = 60
SIDE = 16
TARGET = 41
EVERY = ScreenConfig(all_up_to=MANY)
SCREENED = ScreenConfig()
Subject = tuple[TorchTwin, CleanSamples, PreconditionResult]


class Counting(nn.Module):
    """A net that counts the images it was shown."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.shown = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The net's logits."""
        self.shown += len(images)
        logits: torch.Tensor = self.net(images)
        return logits


def many_classes() -> Subject:
    """A linear net of 60 random templates, with a trigger for class 41 in one corner."""
    generator = torch.Generator().manual_seed(4)
    templates = torch.rand(MANY, SIDE, SIDE, generator=generator)
    templates[:, -3:, -3:] = 0
    labels = torch.arange(4 * MANY) % MANY
    noise = 0.1 * torch.rand(len(labels), SIDE, SIDE, generator=generator)
    images = (0.9 * templates[labels] + noise)[:, None]
    images[:, :, -3:, -3:] = 0
    head = nn.Linear(SIDE * SIDE, MANY)
    weights = templates - templates.mean(0)
    weights[TARGET, -3:, -3:] += 6.0
    head.weight.data = weights.flatten(1)
    head.bias.data = -(weights.flatten(1) * templates.flatten(1)).sum(1) / 2
    twin = by_hand(nn.Sequential(nn.Flatten(), head), MANY)
    samples = CleanSamples(images=images.numpy(), labels=labels.numpy())
    return twin, samples, check_preconditions(twin, samples, PreconditionConfig())


def counted(inputs: Subject) -> tuple[Subject, Counting]:
    """The same with a twin that counts."""
    twin, samples, clean = inputs
    counting = Counting(twin.module)

    class Whole(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, Counting) or super().is_leaf_module(m, module_qualified_name)

    holder = nn.Sequential(counting)
    module = fx.GraphModule(holder, Whole().trace(holder))
    return (TorchTwin(**{**vars(twin), "module": module}), samples, clean), counting


SEARCHES: dict[str, Callable[..., Any]] = {
    "blend": lambda inputs, few: find_blend(*inputs, BlendConfig(), few, 0),
    "patch": lambda inputs, few: find_patch(*inputs, PatchConfig(), few, 0),
    "warp": lambda inputs, few: find_warp(*inputs, WarpConfig(), few, 0),
}


@pytest.mark.parametrize("classes", [2, 14, 24])
def test_few_classes_are_all_searched(classes: int) -> None:
    """Then there is no brief search, and what is found stands as it is."""
    twin = by_hand(nn.Linear(4, classes), classes)

    screened = screen(twin, _never, SCREENED, 0)

    assert screened.chosen.tolist() == list(range(classes))
    found = torch.rand(classes)
    assert torch.equal(screened.of_all(found), found)


def _never(classes: torch.Tensor) -> torch.Tensor:
    raise AssertionError(classes)


@given(st.integers(25, 300), st.integers(0, 50))
def test_the_leading_classes_and_some_others_are_chosen(classes: int, seed: int) -> None:
    """Each once: those with the largest brief margins, then as many of the rest as are wanted."""
    brief = torch.randn(classes, generator=torch.Generator().manual_seed(seed))

    screened = screen(by_hand(nn.Linear(2, classes), classes), lambda _: brief, SCREENED, seed)

    chosen = screened.chosen.tolist()
    assert len(set(chosen)) == len(chosen) == SCREENED.searched(classes) == 14
    assert chosen[:8] == brief.argsort(descending=True)[:8].tolist()


def test_a_seed_draws_the_ordinary_classes() -> None:
    """The same seed the same ones, another seed others."""
    twin = by_hand(nn.Linear(2, MANY), MANY)
    brief = torch.arange(MANY).float()

    one, again, other = (screen(twin, lambda _: brief, SCREENED, seed).chosen for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@given(st.integers(0, 50))
def test_nothing_that_was_not_searched_leads(seed: int) -> None:
    """Chosen classes keep what was found; no other exceeds the largest of it."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(14, generator=generator)
    chosen = torch.randperm(MANY, generator=generator)[:14]

    margins = Screened(chosen=chosen, classes=MANY, ordinary=6).of_all(found)

    assert margins.shape == (MANY,)
    assert torch.equal(margins[chosen], found)
    assert margins.max() == found.max()


def test_what_is_said_of_the_others_is_what_the_ordinary_reached() -> None:
    """Each of the ordinary classes stands for as many, so their median is that of all others."""
    chosen = torch.cat([torch.arange(MANY - 8, MANY), torch.arange(6)])
    found = torch.cat([torch.full((8,), 9.0), torch.arange(6.0)])

    margins = Screened(chosen=chosen, classes=MANY, ordinary=6).of_all(found)

    others = margins[6 : MANY - 8]
    assert set(others.tolist()) == set(range(6))
    assert np.ptp(np.unique(others, return_counts=True)[1]) <= 1


@pytest.mark.parametrize("name", ["blend", "patch"])
def test_a_planted_trigger_survives_the_screen(name: str) -> None:
    """Its class leads as it does without a screen, with the same margin."""
    inputs = many_classes()

    screened, every = (SEARCHES[name](inputs, few) for few in (SCREENED, EVERY))

    assert screened.leading == every.leading == TARGET
    assert screened.margins[TARGET] == pytest.approx(every.margins[TARGET], rel=0.02, abs=0.02)
    assert screened.margins.shape == (MANY,)
    assert np.isfinite(screened.margins).all()


@pytest.mark.parametrize("name", list(SEARCHES))
def test_the_screen_spares_most_of_the_work(name: str) -> None:
    """60 classes cost less than half of what all of them would."""
    costs = []
    for few in (SCREENED, EVERY):
        inputs, counting = counted(many_classes())
        SEARCHES[name](inputs, few)
        costs.append(counting.shown)

    assert costs[0] < costs[1] / 2


@pytest.mark.parametrize("name", list(SEARCHES))
def test_two_hundred_classes_cost_at_most_three_times_ten(name: str) -> None:
    """Counted in images shown, which is what a search costs."""
    costs = []
    for classes in (200, 10):
        labels = torch.arange(2 * classes) % classes
        images = torch.rand(len(labels), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
        head = nn.Linear(SIDE * SIDE, classes)
        twin = by_hand(nn.Sequential(nn.Flatten(), head), classes)
        with torch.no_grad():
            labels = twin.module(images).argmax(1)
        samples = CleanSamples(images=images.numpy(), labels=labels.numpy())
        clean = check_preconditions(twin, samples, PreconditionConfig())
        inputs, counting = counted((twin, samples, clean))
        SEARCHES[name](inputs, SCREENED)
        costs.append(counting.shown)

    assert costs[0] <= 3 * costs[1], costs[0] / costs[1]
