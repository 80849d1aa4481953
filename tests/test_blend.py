"""The blended pattern on real twins, and on nets with a trigger planted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import twins
from test_targets import CLASSES, by_hand
from torch import nn

from stages import pixels, progress, targets
from stages.blend import BlendConfig, find_blend
from stages.precondition import PreconditionConfig, check_preconditions
from stages.screen import ScreenConfig
from stages.tail import balanced
from stages.targets import clean_lead
from stages.types import BlendResult, CleanSamples, Floats, PreconditionResult, TorchTwin

QUICK = BlendConfig(samples=20, faint_steps=4, strong_steps=3)
SIDE = 8
TARGET = 3
SHAPES = [(1, SIDE, SIDE), (3, SIDE, SIDE), (SIDE, SIDE, 3), (SIDE * SIDE,)]

Subject = tuple[TorchTwin, CleanSamples, PreconditionResult]


def checkerboard() -> torch.Tensor:
    """A faint trigger over the whole image (8, 8), which the rows of clean images do not excite."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return 1.0 - 2.0 * ((rows + columns) % 2)


def spread(pixel: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Values (…, 8, 8) per pixel as values (…, *shape), the same for every colour."""
    axis = pixels.colour_axis(shape)
    if axis is None:
        return pixel.reshape(*pixel.shape[:-2], *shape)
    place = axis - len(shape)
    return pixel.unsqueeze(place).expand(*pixel.shape[:-2], *shape)


def planted(
    trigger: torch.Tensor, shape: tuple[int, ...] = SHAPES[0], gain: float = 1.0, colour: float = 0
) -> Subject:
    """A linear net that tells which row is bright, with `trigger` (8, 8) in class 3's weights.

    Logits are multiplied by `gain`; the last colour of the images is brighter by `colour`.
    """
    rows = torch.zeros(CLASSES, SIDE, SIDE)
    rows[torch.arange(CLASSES), torch.arange(CLASSES)] = 1.0
    weights = rows.clone()
    weights[TARGET] += trigger
    labels = torch.arange(60) % CLASSES
    noise = 0.1 * torch.rand(60, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    images = spread(noise + 0.9 * rows[labels], shape).clone()
    axis = pixels.colour_axis(shape)
    head = nn.Linear(images[0].numel(), CLASSES)
    head.weight.data = gain * spread(weights, shape).flatten(1) / (images[0].numel() / SIDE**2)
    head.bias.data.zero_()
    if axis is not None and colour:
        images.select(axis + 1, shape[axis] - 1).add_(colour)
    twin = by_hand(nn.Sequential(nn.Flatten(), head))
    samples = CleanSamples(images=images.numpy(), labels=labels.numpy())
    return twin, samples, check_preconditions(twin, samples, PreconditionConfig())


def subject(architecture: str = "small_cnn") -> Subject:
    twin, samples = twins.twin(architecture), twins.samples(architecture)
    return twin, samples, check_preconditions(twin, samples, PreconditionConfig())


def told(inputs: Subject, images: torch.Tensor, labels: torch.Tensor) -> list[Floats]:
    """The margins of every class over the images of other classes, in clean leads."""
    twin, _, clean = inputs
    margins = targets.margins(
        twin.module(images).expand(twin.classes, -1, -1), torch.arange(twin.classes)
    )
    lead = clean_lead(clean.logits)
    return [each[labels != target].numpy() / lead for target, each in enumerate(margins)]


def leads(inputs: Subject, images: torch.Tensor, labels: torch.Tensor) -> Floats:
    """Every class's mean margin (K,) over the images of other classes, in clean leads."""
    return np.array([each.mean() for each in told(inputs, images, labels)])


def sureness(inputs: Subject, images: torch.Tensor, labels: torch.Tensor) -> Floats:
    """How surely every class wins (K,) over the images of other classes, one after the other."""
    margins = told(inputs, images, labels)
    found = [each.mean() / (each.std() if each.mean() > 0 else 0.5) for each in margins]
    return np.minimum(found, targets.SUREST)


def chosen(inputs: Subject, config: BlendConfig, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The samples that what a search with this seed found is judged on."""
    _, samples, clean = inputs
    rows = balanced(samples, clean.logits, config.judged_samples, seed)
    return torch.tensor(samples.images[rows]), torch.tensor(samples.labels[rows])


def within_range(pattern: Floats, samples: CleanSamples) -> bool:
    low, high = (each.numpy() for each in pixels.valid_range(torch.tensor(samples.images)))
    rounding = 1e-6
    return bool(((pattern >= low - rounding) & (pattern <= high + rounding)).all())


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet", "vit", "mlp"])
def test_every_architecture_has_a_margin_per_class(architecture: str) -> None:
    """K finite margins of both opacities, a leading class, and its pattern like an input."""
    inputs = subject(architecture)

    found = find_blend(*inputs, QUICK, ScreenConfig(), 0)

    assert found.margins.shape == found.strong.shape == (10,)
    assert found.margins.dtype == found.strong.dtype == np.float32
    assert np.isfinite([found.margins, found.strong]).all()
    assert found.leading == found.margins.argmax()
    assert found.pattern.shape == (3, 32, 32)
    assert within_range(found.pattern, inputs[1])


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_a_pattern_brings_samples_closer_to_every_class(architecture: str) -> None:
    """After the search every class's margin is larger than that of the clean samples."""
    inputs = subject(architecture)
    images, labels = chosen(inputs, QUICK, 0)

    found = find_blend(*inputs, QUICK, ScreenConfig(), 0)

    before = leads(inputs, images, labels)
    assert (found.margins > before).all()


def test_same_seed_same_result() -> None:
    """A seed fixes margins and pattern to the bit, and another seed changes them."""
    one, again, other = (find_blend(*subject(), QUICK, ScreenConfig(), seed) for seed in (5, 5, 6))

    assert np.array_equal(one.margins, again.margins)
    assert np.array_equal(one.strong, again.strong)
    assert np.array_equal(one.pattern, again.pattern)
    assert not np.array_equal(one.margins, other.margins)


def test_twin_is_left_as_it_was() -> None:
    """Weights, mode and gradients of the twin survive the search."""
    module = twins.twin().module
    before = {name: value.clone() for name, value in module.state_dict().items()}

    find_blend(*subject(), QUICK, ScreenConfig(), 0)

    assert not module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_all_classes_at_once_equal_one_by_one(architecture: str) -> None:
    """Groups of one class, forced by little memory, give what all classes at once give."""
    inputs = subject(architecture)

    together = find_blend(*inputs, QUICK, ScreenConfig(), 0)
    apart = find_blend(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    # batches of another size round differently, and Adam carries that on
    np.testing.assert_allclose(together.margins, apart.margins, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(together.strong, apart.strong, rtol=1e-3, atol=1e-3)
    assert together.leading == apart.leading
    np.testing.assert_allclose(together.pattern, apart.pattern, atol=0.05)


def test_an_invisible_pattern_leaves_the_clean_margins() -> None:
    """As the opacity goes to zero, the margins are those of the samples themselves."""
    inputs = subject()
    config = replace(QUICK, faint=1e-7, strong=1e-7)
    images, labels = chosen(inputs, config, 0)

    found = find_blend(*inputs, config, ScreenConfig(), 0)

    expected = leads(inputs, images, labels)
    np.testing.assert_allclose(found.margins, expected, atol=1e-3)
    np.testing.assert_allclose(found.strong, expected, atol=1e-3)
    np.testing.assert_allclose(found.sureness, sureness(inputs, images, labels), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [0, 1, 30])
def test_no_step_leaves_the_valid_range(shape: tuple[int, ...], steps: int) -> None:
    """However many steps and however long, each colour of the pattern stays within its range."""
    inputs = planted(checkerboard(), shape, colour=5.0)

    found = find_blend(
        *inputs, BlendConfig(samples=20, faint_steps=steps, rate=1.0), ScreenConfig(), 0
    )

    assert within_range(found.pattern, inputs[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_planted_trigger_is_found(shape: tuple[int, ...]) -> None:
    """Its class leads by far, in every layout of the input, and its pattern is the trigger."""
    found = find_blend(*planted(checkerboard(), shape), BlendConfig(), ScreenConfig(), 0)

    assert found.leading == found.strong.argmax() == TARGET
    others = np.delete(found.margins, TARGET)
    assert found.margins[TARGET] - others.max() > 3 * (others.max() - others.min())
    trigger = spread(checkerboard(), shape).numpy()
    assert np.corrcoef(found.pattern.ravel(), trigger.ravel())[0, 1] > 0.8


def test_without_a_trigger_no_class_leads_by_far() -> None:
    """The same net without what was planted treats its classes alike."""
    found = find_blend(*planted(torch.zeros(SIDE, SIDE)), BlendConfig(), ScreenConfig(), 0)

    assert np.ptp(found.margins) < 0.05


@pytest.mark.parametrize("memory_mb", [0, 512])
def test_the_leading_pattern_gives_the_leading_margin(memory_mb: int) -> None:
    """Blended into the samples again, it reaches what is reported, whichever group it was in."""
    inputs, config = planted(checkerboard()), replace(QUICK, memory_mb=memory_mb)
    images, labels = chosen(inputs, config, 2)

    found = find_blend(*inputs, config, ScreenConfig(), 2)

    shown = (1 - config.faint) * images + config.faint * torch.tensor(found.pattern)
    again, surely = leads(inputs, shown, labels), sureness(inputs, shown, labels)
    np.testing.assert_allclose(again[found.leading], found.margins[found.leading], rtol=1e-4)
    np.testing.assert_allclose(surely[found.leading], found.sureness[found.leading], rtol=1e-3)


@pytest.mark.parametrize("gain", [0.01, 100.0])
def test_the_scale_of_the_logits_does_not_matter(gain: float) -> None:
    """A net with all logits multiplied by a constant gets the same margins."""
    plain = find_blend(*planted(checkerboard()), BlendConfig(), ScreenConfig(), 0)

    scaled = find_blend(*planted(checkerboard(), gain=gain), BlendConfig(), ScreenConfig(), 0)

    np.testing.assert_allclose(scaled.margins, plain.margins, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled.strong, plain.strong, rtol=1e-3, atol=1e-3)
    assert scaled.leading == plain.leading


def test_more_opacity_carries_further() -> None:
    """The more of a trigger is seen, the larger its class's margin."""
    inputs = planted(checkerboard())

    reached = [
        find_blend(*inputs, BlendConfig(faint=opacity), ScreenConfig(), 0).margins[TARGET]
        for opacity in (0.02, 0.1, 0.5, 1.0)
    ]

    assert reached == sorted(reached)
    assert reached[-1] > reached[0]


def test_the_strong_pattern_goes_on_from_the_faint_one() -> None:
    """Without steps of its own it is the faint pattern seen better; steps take it further."""
    inputs = subject()
    resting = replace(QUICK, strong=QUICK.faint, strong_steps=0)

    same, stronger, further = (
        find_blend(*inputs, config, ScreenConfig(), 0)
        for config in (resting, replace(QUICK, strong_steps=0), QUICK)
    )

    assert np.array_equal(same.strong, same.margins)
    assert (stronger.strong > same.strong).all()
    assert (further.strong > stronger.strong).all()


def test_the_strong_pattern_leaves_the_faint_one_alone() -> None:
    """Margins and pattern that are reported as faint are those before the strong steps."""
    inputs = subject()

    without, beside = (
        find_blend(*inputs, replace(QUICK, strong_steps=steps), ScreenConfig(), 0)
        for steps in (0, 5)
    )

    assert np.array_equal(without.margins, beside.margins)
    assert np.array_equal(without.pattern, beside.pattern)


def test_clean_lead_is_the_median_lead() -> None:
    """First minus every other logit, in the median over samples and classes, in any order."""
    logits = np.array([[1, 5, 2], [0, 0.5, 10], [7, 6, -9]], np.float32)

    assert clean_lead(logits) == pytest.approx(6.75)
    assert clean_lead(logits[::-1, ::-1]) == pytest.approx(6.75)
    assert clean_lead(4 * logits + 100) == pytest.approx(27.0)


def test_equal_logits_have_a_margin_to_divide_by() -> None:
    """A net that tells nothing apart gives no division by zero."""
    assert clean_lead(np.zeros((3, 4), np.float32)) > 0


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step of every group up to the last."""
    heard: list[tuple[int, int]] = []
    inputs = planted(checkerboard())

    with progress.listening(lambda done, total: heard.append((done, total))):
        find_blend(*inputs, replace(QUICK, memory_mb=0), ScreenConfig(), 0)

    total = CLASSES * (QUICK.faint_steps + QUICK.strong_steps)
    assert heard == [(step + 1, total) for step in range(total)]


def test_a_result_cannot_be_changed() -> None:
    """Arrays of a result are read-only."""
    found: BlendResult = find_blend(*planted(checkerboard()), QUICK, ScreenConfig(), 0)

    assert not found.margins.flags.writeable
    assert not found.strong.flags.writeable
    assert not found.pattern.flags.writeable
