"""Noise at the sites: silence is exact, and noise on a folded graph is BAN's noise on BatchNorm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.searches.noisy_tail import NoisyTail, sign_gradient_step
from tests.support import twins, zoo

EXPORTERS = ("dynamo", "legacy", "legacy-preserve", "dynamo-baked")


def tail_of(architecture: str, exporter: str, count: int = 5, memory_mb: int = 512) -> NoisyTail:
    """The tail of a twin on a few images."""
    twin = twins.twin(architecture, exporter)
    return NoisyTail(twin, twins.statistics(architecture, exporter), zoo.images(count), memory_mb)


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_zero_noise_changes_nothing(architecture: str, exporter: str) -> None:
    """Every copy under zero noise has the twin's own logits, but for the rounding of a batch."""
    tail = tail_of(architecture, exporter)

    with torch.no_grad():
        silent = tail.logits(tail.silence(3))
        own = twins.twin(architecture, exporter).module(zoo.images(5))

    # a batch three times as large may be summed in another order
    torch.testing.assert_close(silent, own.expand(3, -1, -1), rtol=1e-5, atol=1e-5)


def test_zero_noise_is_bit_exact_at_equal_batch() -> None:
    """With one copy, silence gives the twin's own logits bit for bit."""
    tail = tail_of("resnet", "dynamo")

    with torch.no_grad():
        silent = tail.logits(tail.silence(1))[0]

        assert torch.equal(silent, twins.twin("resnet", "dynamo").module(zoo.images(5)))


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_copies_do_not_mix(architecture: str) -> None:
    """Noise in one copy leaves the logits of the others alone."""
    tail = tail_of(architecture, "dynamo")
    noise = tail.silence(2)
    for each in noise:
        each[1] = 0.3

    with torch.no_grad():
        mixed, silent = tail.logits(noise), tail.logits(tail.silence(2))

    torch.testing.assert_close(mixed[0], silent[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(mixed[1], silent[1], atol=1e-2)


@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_images_in_parts_have_the_same_logits_and_slopes(architecture: str) -> None:
    """Where even the images of one copy do not fit, whatever the tail begins with."""
    whole, parts = (tail_of(architecture, "dynamo", memory_mb=room) for room in (2048, 0))
    torch.manual_seed(0)
    noise = [(0.1 * torch.randn(each.shape)).requires_grad_() for each in whole.silence(2)]

    logits, again = whole.logits(noise), parts.logits(noise)
    slopes, others = (torch.autograd.grad(each.square().sum(), noise) for each in (logits, again))

    assert (len(whole.starts), len(parts.starts)) == (1, 5)
    torch.testing.assert_close(again, logits, rtol=1e-4, atol=1e-5)
    for one, other in zip(others, slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("exporter", ["dynamo", "legacy-preserve"])
def test_noise_equals_ban_noise_on_batchnorm(exporter: str) -> None:
    """γ(1 + δ), β(1 + ξ) in the original net and noise at the sites give the same logits.

    On a kept BatchNorm the clean mean is β up to sampling; on a folded one it is all there is. The
    clean samples are those that set the BatchNorm statistics, so the means agree.
    """
    torch.manual_seed(3)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    norms = [part for part in net if isinstance(part, nn.BatchNorm2d)]
    images = zoo.images(256)
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        norm.momentum = None
    net.train()
    with torch.no_grad():
        net(images)
    net.eval()
    twin, statistics = twins.make(net, exporter, images)
    tail = NoisyTail(twin, statistics, images[:16])
    noise = [0.3 * (2 * torch.rand(each.shape) - 1) for each in tail.silence(1)]

    with torch.no_grad():
        found = tail.logits(noise)[0]
        for norm, (scale, shift) in zip(norms, (each[0] for each in noise), strict=True):
            norm.weight.mul_(1 + scale)
            norm.bias.mul_(1 + shift)
        expected = net(images[:16])

    # measured 0.03 %; perturbing the folded weights instead is off by 18 %
    assert (found - expected).norm() <= 2e-3 * expected.norm()


def test_a_sign_gradient_step_stays_in_the_ball() -> None:
    """However long the step, no noise leaves ±bound."""
    start = [torch.rand(2, 2, 5) - 0.5]

    moved = sign_gradient_step(start, [torch.randn(2, 2, 5)], length=10.0, bound=0.2)

    assert moved[0].abs().max() <= 0.2
