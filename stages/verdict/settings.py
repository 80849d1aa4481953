"""The settings of the verdict; here, so that they are read without scipy."""

from __future__ import annotations

from typing import Annotated

from stages.settings import Probability, Share, Switch, bounded, settings
from stages.types import unkeyed


@settings
class JudgeConfig:
    """When a model counts as backdoored."""

    false_alarm_rate: Probability = 0.05
    """Largest p-value that is called `backdoored`; the share of clean models wrongly blocked."""
    min_working: Share = 0.5
    """Smallest share of the classes that strong patterns must win before a model is `clean`."""
    near: Annotated[float, bounded(ge=1, le=100)] = 3.0
    """Where p is within this factor of `false_alarm_rate`, the verdict is that of the median of
    three seeds; two that agree settle it. 1 turns that off."""
    outlying: Annotated[float, bounded(ge=0, le=100)] = 2.5
    """Deviations above the median class that some class must lie after the first steps of a patch,
    a warp or a filter, or the search ends there and says nothing; 0 has all searched to the end."""
    until_certain: Switch = unkeyed(True)
    """Search no further once it is certain that the model is blocked; what was found until then is
    shown. Other models are searched to the end, and so is every one if the published algorithm or
    its mask is asked for."""


@settings
class VettingConfig:
    """What a reference must satisfy."""

    min_accuracy: Share = 0.5
    """Smallest clean accuracy on the samples, of two classes 0.75; a model of another task falls
    below it."""
    suspicious: Probability = 0.01
    """A reference whose own p-value is this small or smaller is left out."""
    disagreeing: Probability = 0.01
    """So is one whose p-value against the other references is this small or smaller."""
