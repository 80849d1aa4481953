"""A GPU gives what the processor gives, the same each time, and is never waited for in a step."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.scan import choose_device
from stages.searches import SEARCHES
from stages.searches.search import Search, SearchResult, Subject
from stages.twin.arithmetic import choose_arithmetic, computing, logits
from stages.twin.settings import ArithmeticConfig
from tests.support.subjects import demo_subject, planted_subject

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
stepwise = pytest.mark.parametrize(
    "search",
    [each for each in SEARCHES if each.settings().steps > 1],
    ids=lambda search: search.name,
)
CLASSES = np.arange(10)
PER_ASSIGNMENT = 2
"""Logits go to the processor, and the assignment back."""


def on_cuda(subject: Subject) -> Subject:
    """The same subject with its twin on the GPU."""
    device = choose_device("cuda")
    module = copy.deepcopy(subject.twin.module).to(device)
    return replace(subject, twin=replace(subject.twin, module=module, device=device))


def searched(search: Search, subject: Subject) -> SearchResult:
    """What a search says of ten classes."""
    state = search.start(subject, search.settings(), 0)
    classes = torch.tensor(CLASSES, device=subject.twin.device)
    return search.result(search.advance(state, classes, search.settings().steps))


def waits(search: Search, subject: Subject, steps: int) -> int:
    """How often the processor waits for the GPU while a search of ten classes takes some steps."""
    state = search.start(subject, search.settings(), 0)
    classes = torch.tensor(CLASSES, device=subject.twin.device)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            search.advance(state, classes, steps)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(each.message) for each in found)


def test_logits_are_those_of_the_processor() -> None:
    """To float32's own precision: nothing is rounded on the way."""
    subject = demo_subject("clean")
    images = torch.tensor(subject.samples.images)

    with torch.no_grad():
        found = logits(on_cuda(subject).twin, images.cuda()).cpu()

    expected = torch.tensor(subject.clean.logits)
    assert functional.l1_loss(found, expected) < 1e-6 * expected.abs().mean()


@every_search
@pytest.mark.parametrize("name", ["clean", "patch"])
def test_statistics_are_those_of_the_processor(search: Search, name: str) -> None:
    """Within a fifth of how far the classes lie apart: a search goes its own way after the first
    rounding.
    """
    subject = demo_subject(name)
    here, there = searched(search, subject), searched(search, on_cuda(subject))

    for key, values in here.statistics.items():
        others = there.statistics[key]
        assert np.abs(values - others).mean() <= 0.2 * max(np.std(values), 1e-3), key


@every_search
def test_a_search_on_a_gpu_is_the_same_each_time(search: Search) -> None:
    """To the last bit."""
    first, second = (searched(search, on_cuda(demo_subject("patch"))) for _ in range(2))

    for key, values in first.statistics.items():
        assert np.array_equal(values, second.statistics[key], equal_nan=True), key


@stepwise
def test_no_step_waits_for_the_gpu(search: Search) -> None:
    """Two steps wait as often as one; only an assignment of classes is solved on the processor."""
    subject = on_cuda(planted_subject(None))
    waits(search, subject, 2)  # the first time libraries are loaded

    more = waits(search, subject, 2) - waits(search, subject, 1)

    assert more == 0 or (search.name == "permutation" and more <= PER_ASSIGNMENT)


def test_a_way_to_compute_is_chosen_on_a_gpu() -> None:
    """bfloat16 can be forced, and its gradient leads where that of float32 does."""
    subject = on_cuda(planted_subject(None))
    short = choose_arithmetic(subject.twin, subject.samples, ArithmeticConfig(precision="bfloat16"))
    assert short.precision == "bfloat16"
    slopes = []
    for twin in (subject.twin, computing(subject.twin, short)):
        images = torch.tensor(subject.samples.images[:8], device=twin.device, requires_grad=True)
        slopes.append(torch.autograd.grad(logits(twin, images).square().sum(), images)[0])
    assert functional.cosine_similarity(*(each.flatten() for each in slopes), dim=0) > 0.98
