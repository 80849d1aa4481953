"""A scan that ended because its block was certain is as good as the whole one to a gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mlflow_project.gate.statement import provenance_of
from pipeline.evidence import ScanResult
from pipeline.pace.extent import Extent

WHY = "the scan ended as soon as this was certain"


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "cut short"])
def test_only_what_is_open_is_unfinished(
    make_result: Callable[..., ScanResult], settled: bool
) -> None:
    """So a waiver may let a certain block pass, and never one of a first look."""
    result = make_result()
    extent = Extent(unfinished=WHY, settled=settled)
    ended = replace(result, evidence=replace(result.evidence, extent=extent))

    assert provenance_of(ended, ()).unfinished == ("" if settled else WHY)
