"""Figures exist where their evidence does, and stay readable for any number of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from pipeline.plots import figures, write_figures
from pipeline.result import ScanResult
from stages.types import MaskResult, PreconditionResult, TargetedNoise, UntargetedNoise, Verdict

ALL = {
    "flip_rate_per_class", "flip_sweep", "noise_by_layer", "predictions_under_noise", "mask_loss",
}  # fmt: skip
PNG = b"\x89PNG"

Make = Callable[..., ScanResult]


def _with_classes(result: ScanResult, classes: int) -> ScanResult:
    """The scan of a model with so many classes."""
    evidence, random = result.evidence, np.random.default_rng(0)
    flips = random.random((3, classes), np.float32)
    counts = random.integers(0, 9, classes)
    evidence.targeted = TargetedNoise(
        epsilons=np.array([0.01, 0.1, 1.0], np.float32),
        flips=flips,
        worst_source=flips,
        pull=np.log(flips),
        chosen=1,
        by_site=random.random((classes, 2), np.float32),
    )
    evidence.precondition = PreconditionResult(
        logits=np.eye(classes, dtype=np.float32),
        clean_accuracy=1.0,
        covered_classes=classes,
        reasons=(),
    )
    assert isinstance(evidence.untargeted, UntargetedNoise)
    assert isinstance(evidence.mask, MaskResult)
    evidence.untargeted = replace(evidence.untargeted, predictions=counts)
    evidence.mask = replace(evidence.mask, predictions=counts)
    return result


def test_a_full_scan_has_every_figure(make_result: Make) -> None:
    """One figure per kind of evidence."""
    assert set(figures(make_result())) == ALL


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        ("targeted", {"predictions_under_noise", "mask_loss"}),
        ("twin", ALL - {"noise_by_layer"}),
        ("untargeted", ALL - {"predictions_under_noise"}),
        ("precondition", ALL - {"predictions_under_noise"}),
        ("mask", ALL - {"mask_loss"}),
    ],
)
def test_no_evidence_no_figure(make_result: Make, lost: str, left: set[str]) -> None:
    """A figure is left out, not drawn empty."""
    result = make_result()
    setattr(result.evidence, lost, None)

    assert set(figures(result)) == left


def test_a_refused_model_has_no_figures(refused: ScanResult, tmp_path: Path) -> None:
    """Nothing known, nothing drawn, nothing written."""
    assert write_figures(refused, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [2, 5, 150])
def test_figures_are_written_whole(make_result: Make, tmp_path: Path, classes: int) -> None:
    """PNG files and no drafts, for few and for many classes."""
    result = _with_classes(make_result(verdict=Verdict(label="clean", reasons=())), classes)

    paths = write_figures(result, tmp_path)

    assert {path.stem for path in paths} == ALL
    assert set(tmp_path.iterdir()) == set(paths)
    assert all(path.read_bytes().startswith(PNG) for path in paths)


def test_every_axis_says_what_it_shows(make_result: Make) -> None:
    """Each figure names its x axis, and its y axis once."""
    for name, figure in figures(make_result()).items():
        assert figure.axes[-1].get_xlabel(), name
        assert figure.get_supylabel() or figure.axes[0].get_ylabel(), name


@pytest.mark.parametrize("classes", [5, 150])
def test_ticks_never_crowd(make_result: Make, classes: int) -> None:
    """At most twenty labels stand on an axis of classes."""
    figure = figures(_with_classes(make_result(), classes))["flip_rate_per_class"]

    assert len(figure.axes[0].get_xticks()) <= 20


@pytest.mark.parametrize(
    ("suspected", "text"), [(3, "suspected class 3"), (None, "highest: class 3")]
)
def test_the_class_that_matters_is_marked(
    make_result: Make, suspected: int | None, text: str
) -> None:
    """The suspected class, or the highest one if none is suspected."""
    verdict = replace(make_result().verdict, suspected_class=suspected)

    legend = figures(make_result(verdict=verdict))["flip_rate_per_class"].axes[0].get_legend()

    assert legend is not None
    assert text in [label.get_text() for label in legend.get_texts()]


def test_nothing_global_is_touched(make_result: Make) -> None:
    """Figures are not known to pyplot, so they need no closing."""
    figures(make_result())

    assert plt.get_fignums() == []
