"""What computes faster is taken, where it computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from stages.twin.arithmetic import choose_arithmetic, computing, logits
from stages.twin.settings import ArithmeticConfig
from stages.types import Arithmetic, CleanSamples, TorchTwin
from tests.support.planted import by_hand

WIDE, SIDE = 64, 32


def _twin(*layers: nn.Module) -> TorchTwin:
    torch.manual_seed(5)
    return by_hand(nn.Sequential(*layers))


def _net() -> TorchTwin:
    body = [nn.Conv2d(3, WIDE, 3), nn.ReLU(), nn.Conv2d(WIDE, WIDE, 3), nn.ReLU()]
    return _twin(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDE, 5))


def _samples() -> CleanSamples:
    images = np.random.default_rng(3).random((40, 3, SIDE, SIDE), np.float32)
    return CleanSamples(images=images, labels=np.arange(40) % 5)


def _images() -> torch.Tensor:
    return torch.tensor(_samples().images)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_given_is_taken(layout: str, precision: str) -> None:
    """However long it takes."""
    config = ArithmeticConfig(layout=layout, precision=precision)  # type: ignore[arg-type]

    chosen = choose_arithmetic(_net(), _samples(), config)

    assert (chosen.layout, chosen.precision) == (layout, precision)


def test_a_small_net_always_computes_the_same() -> None:
    """However fast it may be otherwise, so that scans of it can be compared to the last bit."""
    small = _twin(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    assert choose_arithmetic(small, _samples(), ArithmeticConfig()) == Arithmetic()
    forced = ArithmeticConfig(precision="bfloat16")
    assert choose_arithmetic(small, _samples(), forced).precision == "bfloat16"


def test_the_choice_leaves_the_twin_as_it_was() -> None:
    """In values and in memory."""
    twin = _net()
    before = {name: (each.clone(), each.stride()) for name, each in twin.module.named_parameters()}

    choose_arithmetic(twin, _samples(), ArithmeticConfig(precision="auto"))

    for name, each in twin.module.named_parameters():
        assert torch.equal(each, before[name][0])
        assert each.stride() == before[name][1]


def test_a_layout_changes_no_logit() -> None:
    """Beyond what sums in another order do, with a gradient and without."""
    twin = _net()
    plain = logits(twin, _images())

    other = logits(computing(twin, Arithmetic(layout="channels_last")), _images())

    torch.testing.assert_close(other, plain)


def test_what_is_reported_is_never_computed_shortly() -> None:
    """What is asked for exactly is float32 to the last bit."""
    twin, short = _net(), replace(_net(), arithmetic=Arithmetic(precision="bfloat16"))
    moving = _images().requires_grad_()

    with torch.no_grad():
        assert torch.equal(logits(short, moving, exact=True), logits(twin, moving))
    led = logits(short, moving)

    assert led.dtype == torch.float32
    assert not torch.equal(led, logits(twin, moving))
    torch.testing.assert_close(led, logits(twin, moving), rtol=0.05, atol=0.05)


class _Vast(nn.Module):
    """Sums that only come out in float32."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        shifted = nn.functional.linear(values, torch.eye(5)) + 1e4
        return nn.functional.linear(shifted, torch.eye(5)) - 1e4


def test_where_short_numbers_lose_the_scores_they_are_not_taken() -> None:
    """Whatever they would save."""
    twin = _twin(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 5), _Vast())

    chosen = choose_arithmetic(twin, _samples(), ArithmeticConfig(precision="auto"))

    assert chosen.precision == "float32"


class _Strict(nn.Module):
    """Takes float32 alone."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + torch.matmul(values, torch.eye(5)).view(torch.int32).view(torch.float32)


def test_where_a_layer_does_not_compute_shortly_it_is_not_taken() -> None:
    """And the choice is no error."""
    twin = _twin(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 5), _Strict())

    chosen = choose_arithmetic(twin, _samples(), ArithmeticConfig(precision="auto"))

    assert chosen.precision == "float32"


class _Viewing(nn.Module):
    """Takes images as they lie in memory by default."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.view(-1, WIDE * (SIDE - 2) ** 2)[:, :5]


def test_where_a_layer_needs_the_usual_layout_it_keeps_it() -> None:
    """And the choice is no error."""
    twin = _twin(nn.Conv2d(3, WIDE, 3), nn.Conv2d(WIDE, WIDE, 1), _Viewing())

    chosen = choose_arithmetic(twin, _samples(), ArithmeticConfig(precision="float32"))

    assert chosen.layout == "contiguous"


def test_inputs_that_are_no_images_have_no_layout() -> None:
    """They keep theirs."""
    twin = _twin(nn.Flatten(), nn.Linear(12, 5))
    samples = CleanSamples(
        images=np.random.default_rng(3).random((40, 12), np.float32), labels=np.arange(40) % 5
    )

    chosen = choose_arithmetic(twin, samples, ArithmeticConfig(precision="auto"))

    assert chosen.layout == "contiguous"
    given = choose_arithmetic(twin, samples, ArithmeticConfig(layout="channels_last"))
    assert logits(computing(twin, given), torch.rand(3, 12)).shape == (3, 5)
