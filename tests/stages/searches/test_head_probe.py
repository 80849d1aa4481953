"""The head probe on heads whose answers to random features are known by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from stages.searches import margins
from stages.searches.head_probe import HeadProbeConfig, head_probe
from stages.searches.screen import run
from stages.searches.search import Effort, Subject
from stages.types import Floats
from tests.support import twins
from tests.support.planted import SHAPES, TARGET, by_hand, corner, planted, subject_of

CLASSES, FEATURES = 4, 6


def shares(subject: Subject, seed: int = 0, draws: int = 4000) -> Floats:
    """What it says of every class (K,)."""
    config = HeadProbeConfig(draws=draws)
    found = run(head_probe, subject, config, subject.classes.numpy(), seed)
    return found.statistics["share"]


def head(weights: torch.Tensor, bias: torch.Tensor, low: float = 0.0, high: float = 1.0) -> Subject:
    """A linear net of the weights (4, 6) and bias (4,), and images with values in the range."""
    images = torch.rand(40, FEATURES, generator=torch.Generator().manual_seed(3))
    images[0, 0], images[0, 1] = 0.0, 1.0
    images = low + (high - low) * images
    layer = nn.Linear(FEATURES, CLASSES)
    layer.weight.data, layer.bias.data = weights, bias
    twin = by_hand(nn.Sequential(layer), CLASSES)
    return subject_of(twin, images, twin.module(images).argmax(1))


def expected(subject: Subject, weights: torch.Tensor, bias: torch.Tensor, middle: float) -> Floats:
    """The answers (4,) to features that are all in the middle of their range, in logit gaps."""
    answers = middle * weights.sum(1) + bias
    answers = answers - answers.mean()
    return (answers / margins.logit_gap(subject.clean.logits)).numpy()


@pytest.mark.parametrize(
    ("low", "high", "middle"), [(0.0, 1.0, 0.5), (-1.0, 3.0, 1.0), (0.5, 2.0, 1.0)]
)
def test_it_is_the_answer_to_features_in_the_middle(low: float, high: float, middle: float) -> None:
    """A linear head's mean answer to uniform draws is that to their mean; the range reaches from
    the smallest clean value, or 0, to the largest.
    """
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(CLASSES, FEATURES, generator=random)
    bias = torch.randn(CLASSES, generator=random)
    subject = head(weights, bias, low, high)

    found = shares(subject)

    wanted = expected(subject, weights, bias, middle)
    # 4 000 uniform draws of six features: the mean is off by 1 % of a logit or so
    np.testing.assert_allclose(found, wanted, atol=0.05 * float(np.ptp(wanted)))
    assert found.mean() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_feature_that_was_added_to_a_class_makes_it_lead(shape: tuple[int, ...]) -> None:
    """A trigger's feature comes on top of the target's own, so random features excite it more."""
    found = shares(planted(corner(), shape))

    others = np.delete(found, TARGET)
    assert found.argmax() == TARGET
    assert found[TARGET] - others.max() > 3 * np.ptp(others)


def test_the_more_a_feature_weighs_the_further_its_class_leads() -> None:
    """Share by share of the trigger."""
    reached = [shares(planted(strength * corner()))[TARGET] for strength in (0.0, 0.1, 0.5, 1.0)]

    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same shares."""
    np.testing.assert_allclose(
        shares(planted(corner(), gain=gain)), shares(planted(corner())), rtol=1e-3
    )


def test_more_draws_agree_better() -> None:
    """Two seeds differ by less the more features they draw."""
    apart = [
        np.abs(shares(twins.subject(), 0, draws) - shares(twins.subject(), 1, draws)).max()
        for draws in (40, 40_000)
    ]

    assert apart[1] < 0.2 * apart[0]


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_every_architecture_has_a_head(architecture: str) -> None:
    """K finite shares, one class that leads, nothing recovered and no image shown."""
    subject = twins.subject(architecture)

    found = run(head_probe, subject, HeadProbeConfig(), subject.classes.numpy(), 0)

    values = found.statistics["share"]
    assert values.shape == (10,)
    assert np.isfinite(values).all()
    assert found.targets == (int(values.argmax()),)
    assert found.trigger is None
    assert found.success is None
    assert found.mapping is None
    assert found.effort == Effort(steps=10, images=0)


def test_nothing_is_drawn_before_the_first_step() -> None:
    """A search that advances by no step has no answer, and no second step changes it."""
    subject = planted(corner())
    start = head_probe.start(subject, HeadProbeConfig(), 0)

    resting = head_probe.advance(start, subject.classes, 0)
    once = head_probe.advance(resting, subject.classes, 1)
    twice = head_probe.advance(once, subject.classes, 1)

    assert np.isnan(head_probe.reached(resting)).all()
    assert np.array_equal(head_probe.reached(once), head_probe.reached(twice))
    assert head_probe.effort(twice) == head_probe.effort(once)
