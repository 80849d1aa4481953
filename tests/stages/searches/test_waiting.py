"""No step of a search asks for a number of the device: a GPU would be waited for each time."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from stages.published.feature_mask import find_mask
from stages.published.settings import FeatureMaskConfig, UntargetedNoiseConfig
from stages.published.untargeted_noise import find_untargeted_noise
from stages.searches import SEARCHES
from stages.searches.search import Search
from tests.support.subjects import planted_subject

ASKS = "aten::_local_scalar_dense"
stepwise = pytest.mark.parametrize(
    "search",
    [each for each in SEARCHES if each.settings().steps > 2],
    ids=lambda search: search.name,
)


def is_own(event: FunctionEvent) -> bool:
    """Whether it is no part of an optimiser's step, whose count of steps lies on the processor."""
    parent = event.cpu_parent
    while parent is not None:
        if parent.name.startswith("Optimizer.step"):
            return False
        parent = parent.cpu_parent
    return True


def asked(profiled: profile) -> int:
    """How often a number was asked for."""
    events = profiled.events() or []
    assert any(event.name == "aten::convolution" for event in events)
    return sum(
        event.name == ASKS and event.device_type == DeviceType.CPU and is_own(event)
        for event in events
    )


@stepwise
def test_no_step_of_a_search_asks_for_a_number(search: Search) -> None:
    """Two steps ask as often as one."""
    subject = planted_subject(None)
    counts = []
    for steps in (1, 2):
        state = search.start(subject, search.settings(), 0)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            search.advance(state, torch.arange(3), steps)
        counts.append(asked(profiled))

    assert counts[0] == counts[1]


def test_no_step_of_the_published_noise_and_mask_asks_for_a_number() -> None:
    """Their losses are read when all steps are done."""
    subject = planted_subject(None)
    counts = []
    for steps in (2, 3):
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            noise = find_untargeted_noise(subject, UntargetedNoiseConfig(steps=steps), 0.3, 0)
            config = FeatureMaskConfig(epochs=steps, batches=2)
            find_mask(subject.twin, subject.samples, subject.sites, noise, config, 0)
        counts.append(asked(profiled))

    assert counts[0] == counts[1]
