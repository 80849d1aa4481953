"""What is found without a search, and whether wide spreads tell anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import leaving_out, spreads
from benchmarks.calibration import Origin, calibrated
from benchmarks.profiles import Known
from stages.searches import SEARCHES, SPECS
from stages.verdict.score import scores
from tests.support.known_models import (
    TARGET,
    clean_models,
    few_models,
    with_class_above,
    write_zoo,
)
from tests.support.profiles import ONLY_BESIDE, SETTINGS

ORIGIN = Origin(date="", command="")


def above_by(search: str) -> Known:
    """A backdoored model whose target stands out by one search alone."""
    model = with_class_above("backdoored", 0.0)
    values = {name: each.copy() for name, each in model.profile.statistics.items()}
    for name, each in values.items():
        if name.partition(".")[0] == search:
            each[TARGET] += 9
    return replace(model, profile=replace(model.profile, statistics=values))


@pytest.mark.parametrize("search", [each.name for each in SEARCHES if each.name != "permutation"])
def test_what_one_search_alone_sees_is_lost_without_it(search: str) -> None:
    """And without any other it is seen as before."""
    other = "warp" if search != "warp" else "tone"
    (model,), (kept,) = (leaving_out.without([above_by(search)], each) for each in (search, other))
    counts_beside = any(name.startswith(f"{search}.") for name in ONLY_BESIDE)
    beside = (with_class_above("reference", 0.0).profile,) if counts_beside else ()
    whole = scores(above_by(search).profile, beside, SETTINGS)[TARGET]

    assert scores(model.profile, beside, SETTINGS)[TARGET] < 2 < whole
    assert scores(kept.profile, beside, SETTINGS)[TARGET] > 0.9 * whole


def test_tails_and_nulls_are_fitted_of_what_is_left() -> None:
    """A search that says the same of every class has a tail, in which nothing stands out."""
    models = [*clean_models(12), *few_models()]

    found = calibrated(leaving_out.without(models, "blend"), ORIGIN)

    assert found.alone.location < calibrated(models, ORIGIN).alone.location
    assert scores(leaving_out.without(models, "blend")[0].profile, (), found).max() > 0


def test_a_row_for_every_search(tmp_path: Path) -> None:
    """And one for all of them, first."""
    own, others = clean_models(5), clean_models(12, seed=1, task="fashion")
    attacked = [with_class_above(f"badnets-{each}", 9.0) for each in range(3)]
    zoo = write_zoo(tmp_path / "zoo", [*own, *attacked])
    clean = write_zoo(tmp_path / "clean", [*others, *few_models()])

    result = CliRunner().invoke(
        leaving_out.main, ["--zoo", str(zoo), "--calibrate-on", str(clean)], catch_exceptions=False
    )
    rows = [line for line in result.stdout.splitlines() if line.startswith("| ")]

    assert [row.split("|")[1].strip() for row in rows[1:]] == [
        "none",
        *(each.name for each in SEARCHES),
    ]
    assert all("| 3 of 3 |" in row for row in rows[1:])


def wider(model: Known, factor: float) -> Known:
    """The model with its classes so many times further apart."""
    values = {
        name: (each * factor).astype(np.float32) for name, each in model.profile.statistics.items()
    }
    return replace(model, profile=replace(model.profile, statistics=values))


def test_models_whose_classes_lie_further_apart_than_ever_are_counted_apart() -> None:
    """None of those that the limits were read off is among them."""
    measured = clean_models(20)
    limits = spreads.widest(measured)
    wide = [replace(wider(each, 50), name=f"wide-{each.name}") for each in clean_models(4, seed=9)]

    within, beyond = spreads.lines([*measured, *wide], limits)

    assert set(limits) == {name for name, spec in SPECS.items() if not spec.whole}
    assert "of 20 (" in within
    assert "of 4 (" in beyond
    assert within.endswith("| none |")
