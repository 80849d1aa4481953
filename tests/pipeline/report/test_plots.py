"""Figures exist where their evidence does, and stay readable for any number of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt

from pipeline.evidence import ScanResult
from pipeline.report.plots import figures, write_figures
from pipeline.report.wording import WORDING
from stages.types import NoiseSite, PreconditionResult, Verdict
from tests.support.finished_scans import with_evidence, with_permutation, without_search
from tests.support.finished_searches import sweep

ALL = {
    "anomaly_score_per_class", "recovered_triggers", "success_rate_per_class", "success_sweep",
    "noise_by_layer", "predictions_under_noise", "mask_loss",
}  # fmt: skip
NOISE = {"success_rate_per_class", "success_sweep", "noise_by_layer"}
TRIGGERS = (
    *("blend", "patch", "small_patch", "warp", "tone"),
    *("wave", "fewer_colours", "source_patch"),
)
"""Searches that recover what can be laid on images."""
PNG = b"\x89PNG"

Make = Callable[..., ScanResult]


def _with_sweep(result: ScanResult, **changes: object) -> ScanResult:
    """The scan with another sweep of the noise."""
    noise = result.evidence.searches["neuron_noise"]
    assert noise.sweep is not None
    swept = replace(noise.sweep, **changes)  # type: ignore[arg-type] # real fields
    found = {**result.evidence.searches, "neuron_noise": replace(noise, sweep=swept)}
    return with_evidence(result, searches=found)


def _with_classes(result: ScanResult, classes: int) -> ScanResult:
    """The scan of a model with so many classes."""
    evidence, random = result.evidence, np.random.default_rng(0)
    counts = random.integers(0, 9, classes)
    assert evidence.untargeted is not None
    assert evidence.mask is not None
    noise = replace(
        evidence.searches["neuron_noise"],
        targets=(classes - 1,),
        sweep=sweep(random.random((3, classes), np.float32)),
    )
    return with_evidence(
        result,
        searches={**evidence.searches, "neuron_noise": noise},
        precondition=PreconditionResult(
            logits=np.eye(classes, dtype=np.float32),
            clean_accuracy=1.0,
            covered_classes=classes,
            reasons=(),
        ),
        untargeted=replace(evidence.untargeted, predictions=counts),
        mask=replace(evidence.mask, predictions=counts),
    )


def test_a_full_scan_has_every_figure(make_result: Make) -> None:
    """One figure per kind of evidence."""
    assert set(figures(make_result())) == ALL


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        ("samples", ALL - {"recovered_triggers"}),
        ("twin", ALL - {"noise_by_layer"}),
        ("untargeted", ALL - {"predictions_under_noise"}),
        ("precondition", ALL - {"predictions_under_noise"}),
        ("mask", ALL - {"mask_loss"}),
    ],
)
def test_no_evidence_no_figure(make_result: Make, lost: str, left: set[str]) -> None:
    """A figure is left out, not drawn empty."""
    assert set(figures(with_evidence(make_result(), **{lost: None}))) == left


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        (("neuron_noise",), ALL - NOISE),
        (TRIGGERS, ALL - {"recovered_triggers"}),
        ((*TRIGGERS, "neuron_noise"), ALL - {"recovered_triggers"} - NOISE),
    ],
)
def test_no_search_no_figure(make_result: Make, lost: tuple[str, ...], left: set[str]) -> None:
    """Neither is a figure of what no search found."""
    assert set(figures(without_search(make_result(), *lost))) == left


@pytest.mark.parametrize("lost", [(), ("blend",), ("patch",), ("warp",), ("blend", "patch")])
def test_every_search_with_a_trigger_has_a_column(make_result: Make, lost: tuple[str, ...]) -> None:
    """Each shows its trigger by itself, its class, and its success with the number of samples."""
    result = without_search(make_result(), *lost)
    left = [name for name in TRIGGERS if name not in lost]

    axes = figures(result)["recovered_triggers"].axes

    titles = [each.get_title() for each in axes]
    assert len(axes) == 2 * (1 + len(left))
    for column, name in enumerate(left, start=1):
        success = result.evidence.searches[name].success
        assert success is not None
        assert titles[column] == f"{WORDING[name].title.lower()}\nto class 3"
        below = titles[column + 1 + len(left)]
        assert below == f"success {success.rate:.0%}\nof {success.samples} samples"
        assert all(axes[place].images for place in (column, column + 1 + len(left)))


def test_a_permutation_has_a_column_where_it_was_found(make_result: Make) -> None:
    """It says that each class goes to another, and names none."""
    axes = figures(with_permutation(make_result()))["recovered_triggers"].axes

    titles = [each.get_title() for each in axes]
    assert len(axes) == 2 * (2 + len(TRIGGERS))
    assert titles[1 + len(TRIGGERS)] == "permutation\neach class to another"
    assert titles[-1] == "success 12%\nof 40 samples"


def test_classes_that_were_not_searched_are_left_out(make_result: Make) -> None:
    """Noise of some of many classes still gives its figures, marked at one of those."""
    known = np.arange(5) < 3
    swept = make_result().evidence.sweep
    assert swept is not None
    nothing = np.float32(np.nan)
    result = _with_sweep(
        make_result(),
        success_rate=np.where(known, swept.success_rate, nothing),
        by_site=np.where(known[:, None], swept.by_site, nothing),
    )
    noise = replace(result.evidence.searches["neuron_noise"], targets=(2,))
    result = with_evidence(result, searches={**result.evidence.searches, "neuron_noise": noise})

    drawn = figures(result)

    for name in NOISE:
        drawn[name].draw_without_rendering()
        texts = drawn[name].axes[0].get_legend().get_texts()  # type: ignore[union-attr] # it has one
        assert "highest: class 2" in [each.get_text() for each in texts]


def test_a_refused_model_has_no_figures(refused: ScanResult, tmp_path: Path) -> None:
    """Nothing known, nothing drawn, nothing written."""
    assert write_figures(refused, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [2, 5, 150])
def test_figures_are_written_whole(make_result: Make, tmp_path: Path, classes: int) -> None:
    """PNG files and no drafts, for few and for many classes."""
    result = _with_classes(make_result(verdict=Verdict(label="clean", reasons=())), classes)

    paths = write_figures(result, tmp_path)

    assert {path.stem for path in paths} == ALL - {"anomaly_score_per_class"}
    assert set(tmp_path.iterdir()) == set(paths)
    assert all(path.read_bytes().startswith(PNG) for path in paths)


def test_every_axis_says_what_it_shows(make_result: Make) -> None:
    """Each figure names its x axis, and its y axis once; pictures have titles instead."""
    drawn = figures(make_result())
    pictures = drawn.pop("recovered_triggers").axes
    assert all(axes.get_title() and axes.images for axes in pictures if axes.axison or axes.images)
    for name, figure in drawn.items():
        assert figure.axes[-1].get_xlabel(), name
        assert figure.get_supylabel() or figure.axes[0].get_ylabel(), name


@pytest.mark.parametrize("classes", [5, 150])
def test_ticks_never_crowd(make_result: Make, classes: int) -> None:
    """At most twenty labels stand on an axis of classes."""
    figure = figures(_with_classes(make_result(), classes))["success_rate_per_class"]

    assert len(figure.axes[0].get_xticks()) <= 20


@pytest.mark.parametrize(
    ("suspected", "text"), [(3, "suspected class 3"), (None, "highest: class 3")]
)
def test_the_class_that_matters_is_marked(
    make_result: Make, suspected: int | None, text: str
) -> None:
    """The suspected class, or the highest one if none is suspected."""
    verdict = replace(make_result().verdict, suspected_class=suspected)

    legend = figures(make_result(verdict=verdict))["success_rate_per_class"].axes[0].get_legend()

    assert legend is not None
    assert text in [label.get_text() for label in legend.get_texts()]


def test_nothing_global_is_touched(make_result: Make) -> None:
    """Figures are not known to pyplot, so they need no closing."""
    figures(make_result())

    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("classes", "suspected"),
    [(2, 0), (2, 1), (3, None), (20, 19), (21, None), (100, 0), (200, 199), (200, None)],
)
def test_every_figure_draws_for_any_number_of_classes(
    make_result: Make, classes: int, suspected: int | None
) -> None:
    """From two classes to two hundred, whichever stands out; warnings are errors here."""
    verdict = replace(make_result().verdict, suspected_class=suspected)

    drawn = figures(_with_classes(make_result(verdict=verdict), classes))

    assert set(drawn) == ALL
    for name, figure in drawn.items():
        figure.draw_without_rendering()
        assert all(len(axes.get_xticks()) <= 20 for axes in figure.axes), name


def _with_sites(result: ScanResult, names: list[str]) -> ScanResult:
    """The scan of a model of 5 classes with noise sites of these names."""
    assert result.evidence.twin is not None
    sites = tuple(NoiseSite(node=each, kind="conv", channels=8, axis=-3) for each in names)
    by_site = np.random.default_rng(0).random((5, len(names)), np.float32)
    result = _with_sweep(result, by_site=by_site)
    assert result.evidence.twin is not None
    return with_evidence(result, twin=replace(result.evidence.twin, sites=sites))


@pytest.mark.parametrize("count", [1, 2, 20, 21, 150])
def test_any_number_of_layers_can_be_drawn(make_result: Make, count: int) -> None:
    """One site or as many as a deep net has; few are named, many are numbered."""
    names = [f"features_{number}_Conv" for number in range(count)]

    figure = figures(_with_sites(make_result(), names))["noise_by_layer"]

    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert (labels == names) == (count <= 20)
    assert all(len(label) <= 16 for label in labels)


@pytest.mark.parametrize(
    "name",
    ["$", "$x$", "$\\frac{$", "\\", "a_{b}^c", "%s{0}", "<script>alert(1)</script>", " ", ""],
)
def test_a_hostile_name_is_only_a_name(make_result: Make, name: str) -> None:
    """Nothing in the name of a layer is read as a formula or a format."""
    result = _with_sites(make_result(), [name, f"{name}{name}"])

    figure = figures(result)["noise_by_layer"]

    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    assert labels[0].get_text() == (name if len(name) <= 16 else f"…{name[-15:]}")


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_any_outcome_can_be_drawn(make_result: Make, value: float) -> None:
    """Noise that carries nothing or everything, and numbers that are none, still give figures."""
    fill = np.float32(value)
    rate = np.float32(min(1.0, np.nan_to_num(value)))
    result = _with_sweep(
        _with_classes(make_result(), 6),
        success_rate=np.full((3, 6), rate, np.float32),
        by_site=np.full((6, 2), fill, np.float32),
    )
    evidence, nothing = result.evidence, np.zeros(6, np.int64)
    assert evidence.untargeted is not None
    assert evidence.mask is not None
    result = with_evidence(
        result,
        untargeted=replace(evidence.untargeted, predictions=nothing),
        mask=replace(evidence.mask, other_loss=np.full(2, fill), predictions=nothing),
    )

    for figure in figures(result).values():
        figure.draw_without_rendering()


def test_bars_show_the_numbers_of_the_evidence(make_result: Make) -> None:
    """The heights of the bars are the success rates at the verdict's bound, class by class."""
    result = make_result()
    sweep_ = result.evidence.sweep
    assert sweep_ is not None

    axes = figures(result)["success_rate_per_class"].axes[0]

    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == pytest.approx(list(sweep_.success_rate[1]))


def test_panels_share_one_scale(make_result: Make) -> None:
    """Clean, noisy and masked predictions stand under one another and can be compared."""
    figure = figures(make_result())["predictions_under_noise"]

    assert len(figure.axes) == 3
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0].startswith("no noise")
    assert titles[1].endswith("most often class 3, 75%")
    assert titles[2].endswith("most often class 3, 100%")
