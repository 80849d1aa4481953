"""Settings with which all searches together take a second: what they find is worth little."""

from __future__ import annotations

from typing import Any

from pipeline.config import load_config
from stages.searches.screen import ScreenConfig
from stages.searches.search import Search

BRIEF = (
    "blend.samples=4;blend.faint_steps=3;blend.strong_steps=2;tone.steps=3;warp.steps=3",
    "patch.first_steps=1;patch.place_steps=1;patch.pattern_steps=2;patch.first_samples=2",
    "small_patch.first_steps=2;small_patch.place_steps=2;small_patch.pattern_steps=2",
    "patch.place_samples=3;small_patch.first_samples=2;small_patch.place_samples=3",
    "small_patch.samples=4;head_probe.draws=50",
    "permutation.first_steps=2;permutation.place_steps=2",
    "permutation.pattern_steps=2;permutation.blend_steps=2",
)
"""Overrides, as `--set` takes them."""
MANY = ScreenConfig(all_up_to=4, leading=1, ordinary=3)
"""As if the demo models' ten classes were too many to search all of them."""


def of(search: Search) -> Any:
    """The settings of a search with every phase of it, in few steps."""
    return load_config(None, BRIEF).searches[search.name]
