"""The search for all-to-all triggers: the assignment by hand, and nets that learnt a trigger."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages import progress
from stages.searches import margins
from stages.searches.permutation import PermutationConfig, assigned, permutation
from stages.searches.probe import balanced
from stages.searches.screen import run
from stages.searches.search import SearchResult, Subject
from stages.searches.squares import Grid
from stages.searches.trigger import Overlay, Patch
from tests.support import twins
from tests.support.planted import SHAPES, corner, planted
from tests.support.subjects import demo_subject, next_class, planted_subject

QUICK = PermutationConfig(first_steps=2, place_steps=2, pattern_steps=2, blend_steps=2)
NEXT = next_class(torch.arange(10)).tolist()


def find(subject: Subject, config: PermutationConfig = QUICK, seed: int = 0) -> SearchResult:
    """What the search says."""
    return run(permutation, subject, config, subject.classes.numpy(), seed)


@cache
def whole(kind: type) -> SearchResult:
    """What it says by its default settings of a net that an all-to-all trigger was planted in."""
    return find(planted_subject(kind, all_to_all=True), PermutationConfig())


def said(found: SearchResult) -> dict[str, float]:
    """The margins of the patch and of the pattern, each one number."""
    return {name: float(values[0]) for name, values in found.statistics.items()}


def mapping(found: SearchResult) -> list[int]:
    """The class that each class is carried to."""
    assert found.mapping is not None
    return found.mapping.tolist()  # type: ignore[no-any-return] # a list of int


@given(st.integers(2, 6), st.integers(0, 200))
def test_the_assignment_is_the_best_of_all(classes: int, seed: int) -> None:
    """No other permutation without a fixed class has a larger sum of mean logits."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3 * classes) % classes
    logits = torch.randn(len(labels), classes, generator=generator)
    means = torch.stack([logits[labels == each].mean(0) for each in range(classes)])

    found = assigned(logits[None], labels)[0]

    assert sorted(found.tolist()) == list(range(classes))
    assert (found != torch.arange(classes)).all()
    sums = [
        sum(float(means[source, target]) for source, target in enumerate(order))
        for order in permutations(range(classes))
        if all(source != target for source, target in enumerate(order))
    ]
    reached = sum(float(means[source, target]) for source, target in enumerate(found.tolist()))
    assert reached == pytest.approx(max(sums), abs=1e-4)


def test_a_class_without_samples_is_assigned_what_is_left() -> None:
    """Every class still has another one, and those with samples get what they want."""
    logits = torch.tensor([[0.0, 5.0, 1.0, 0.0], [9.0, 0.0, 1.0, 0.0]])

    found = assigned(logits[None], torch.tensor([0, 1]))[0].tolist()

    assert found == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("kind", "leading", "other"),
    [(Patch, "patch_margin", "blend_margin"), (Overlay, "blend_margin", "patch_margin")],
)
def test_an_all_to_all_trigger_is_found_with_its_mapping(
    kind: type, leading: str, other: str
) -> None:
    """By the trigger of its kind, which wins from every class and beats the other kind."""
    found = whole(kind)

    assert mapping(found) == list(found.targets) == NEXT
    assert said(found)[leading] > max(0.0, said(found)[other])
    assert isinstance(found.trigger, kind)
    assert found.success is not None
    assert found.success.rate > 0.6


@pytest.mark.parametrize("model", ["clean", "patch", "blended"])
def test_no_other_net_maps_every_class_to_another(model: str) -> None:
    """Neither a clean one nor one whose trigger leads to a single class: nobody is accused, and the
    margin is far below that of a planted trigger.
    """
    found = find(demo_subject(model), PermutationConfig())

    assert found.targets == ()
    assert max(said(found).values()) < -0.2 < 0 < max(said(whole(Patch)).values())


@pytest.mark.parametrize("kind", [Patch, Overlay])
def test_the_trigger_gives_the_reported_margin_and_rate(kind: type) -> None:
    """Laid by hand on samples that were not searched on, for the kind that leads."""
    config, found = PermutationConfig(), whole(kind)
    subject = planted_subject(kind, all_to_all=True)
    rows = balanced(
        *(subject.samples, subject.clean.logits, config.samples + config.evaluation_samples, 0)
    )[config.samples :]
    assert found.trigger is not None
    assert found.success is not None

    shown = torch.tensor(found.trigger.apply(subject.samples.images[rows]))
    logits = subject.twin.module(shown)

    wanted = torch.tensor(mapping(found))[torch.tensor(subject.samples.labels[rows])]
    mean = float(margins.margins(logits[:, None], wanted).mean())
    gap = margins.logit_gap(subject.clean.logits)
    assert mean / gap == pytest.approx(max(said(found).values()), rel=1e-3, abs=1e-4)
    assert found.success.samples == len(rows)
    assert found.success.rate == pytest.approx(float((logits.argmax(1) == wanted).float().mean()))


@pytest.mark.parametrize("architecture", ["small_cnn", "vit", "mlp"])
def test_every_architecture_has_two_margins(architecture: str) -> None:
    """Each finite and the same for all classes, with a mapping that leaves no class at home."""
    found = find(twins.subject(architecture))

    for values in found.statistics.values():
        assert values.shape == (10,)
        assert np.isfinite(values).all()
        assert np.ptp(values) == 0
    assert all(source != target for source, target in enumerate(mapping(found)))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_can_be_searched(shape: tuple[int, ...]) -> None:
    """Its trigger fits the images, and the margins are those of other layouts where these are
    images.
    """
    subject = planted(corner(), shape)

    found = find(subject)

    assert found.trigger is not None
    assert found.trigger.apply(subject.samples.images[:2]).shape == (2, *shape)
    assert sorted(mapping(found)) == list(range(5))


def test_only_samples_of_the_search_are_evaluated_on_where_there_are_no_others() -> None:
    """A few samples still give margins: all that are classified correctly."""
    subject = planted(corner())
    right = subject.clean.logits.argmax(1) == subject.samples.labels
    found = find(
        subject, PermutationConfig(samples=200, first_steps=1, place_steps=1, blend_steps=1)
    )

    assert found.success is not None
    assert found.success.samples == right.sum()


def test_many_classes_get_samples_of_their_own() -> None:
    """`per_class` of each at least, so that every class has a mean to be assigned by."""
    subject = demo_subject("clean")
    few = PermutationConfig(samples=10, per_class=4, evaluation_samples=10)

    state = permutation.start(subject, few, 0)

    labels = state.ground.probe.labels
    assert torch.bincount(labels, minlength=10).tolist() == [4] * 10


def test_more_classes_than_samples_cost_no_more() -> None:
    """Some of them are sources, and what is evaluated on shows these and no others."""
    subject = demo_subject("clean")
    few = PermutationConfig(samples=4, per_class=4, most_samples=6, evaluation_samples=30)

    ground = permutation.start(subject, few, 0).ground

    sources = ground.probe.labels.tolist()
    assert len(set(sources)) == len(sources) == 6
    assert set(ground.evaluation.labels.tolist()) == set(sources)
    assert len(ground.evaluation.images) == 30


def test_images_shown_are_told() -> None:
    """Half of the samples under each of the groups at first, then all under the squares that are
    kept, under one of them, and under the faint pattern.
    """
    config = PermutationConfig(
        samples=20, first_steps=2, place_steps=3, kept=2, pattern_steps=4, blend_steps=5
    )
    subject = demo_subject("clean")
    effort = find(subject, config).effort

    grid = Grid(side=config.side, stride=config.stride, along=config.along)
    groups = len(grid.groups(subject.samples.images.shape[1:]))
    assert effort.steps == 14
    assert effort.images == 2 * groups * 10 + 3 * 2 * 20 + 4 * 20 + 5 * 20


def test_progress_reaches_its_total() -> None:
    """Whoever listens hears every step up to the last."""
    heard: list[tuple[int, int]] = []

    with progress.listening(lambda done, total: heard.append((done, total))):
        find(demo_subject("clean"))

    assert heard == [(step + 1, QUICK.steps) for step in range(QUICK.steps)]
