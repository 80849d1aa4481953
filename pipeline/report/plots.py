"""Figures of a scan: scores, recovered triggers, and what neuron noise did to each class.

Built as `Figure` objects without pyplot, so nothing global is touched. Colours are Okabe and Ito's,
which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.atomic_files import write_bytes
from pipeline.evidence import ScanResult
from pipeline.report.pictures import alone, can_be_shown
from pipeline.report.wording import WORDING, p_text
from stages import image_layout
from stages.published.results import MaskResult, UntargetedNoise
from stages.searches.search import SearchResult, Sweep
from stages.types import (
    CleanSamples,
    Floats,
    Integers,
    NoiseSite,
    PreconditionResult,
    Verdict,
)

USUAL, SUSPECT, FAINT = "#0072B2", "#D55E00", "#999999"
FEW = 20
"""Up to so many classes or layers each gets its own tick."""
WIDTH, HEIGHT = 7.2, 4.0  # inches
RESOLUTION = 120  # dots per inch
Mark = tuple[int, str]
"""A class to mark, and what it is called."""


def figures(result: ScanResult) -> dict[str, Figure]:
    """The figures for which the scan has evidence, by file name without ending."""
    evidence, suspected = result.evidence, result.verdict.suspected_class
    drawn = {}
    if result.verdict.class_scores:
        drawn["anomaly_score_per_class"] = anomaly_score_per_class(result.verdict)
    recovered = {
        name: each for name, each in evidence.searches.items() if each.trigger and each.targets
    }
    if recovered and evidence.samples and can_be_shown(evidence.samples):
        drawn["recovered_triggers"] = recovered_triggers(evidence.samples, recovered)
    if evidence.swept and evidence.sweep:
        marked = _marked(evidence.swept, suspected)
        drawn["success_rate_per_class"] = success_rate_per_class(evidence.sweep, marked)
        drawn["success_sweep"] = success_sweep(evidence.sweep, marked)
        if evidence.twin:
            drawn["noise_by_layer"] = noise_by_layer(evidence.sweep, evidence.twin.sites, marked)
    if evidence.precondition and evidence.untargeted:
        drawn["predictions_under_noise"] = predictions_under_noise(
            evidence.precondition, evidence.untargeted, evidence.mask
        )
    if evidence.mask:
        drawn["mask_loss"] = mask_loss(evidence.mask)
    return drawn


def write_figures(result: ScanResult, folder: Path) -> list[Path]:
    """Writes the figures as PNG into an existing folder, each in one step; returns their paths."""
    return [write_bytes(folder / f"{name}.png", png) for name, png in _drawn(result).items()]


@lru_cache(maxsize=1)
def _drawn(result: ScanResult) -> dict[str, bytes]:
    """The figures as PNG by name; drawn once for a folder and a run alike."""
    return {name: _png(figure) for name, figure in figures(result).items()}


def _png(figure: Figure) -> bytes:
    with BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=RESOLUTION)
        return stream.getvalue()


def anomaly_score_per_class(verdict: Verdict) -> Figure:
    """Bars: the anomaly score of each class; the suspected or the highest one is marked."""
    values = np.array(verdict.class_scores, np.float32)
    marked = int(values.argmax())
    meaning = "suspected" if verdict.suspected_class is not None else "highest"
    p = f", p {p_text(verdict.p_value, verdict.p_is_bound)}" if verdict.p_value else ""
    figure, axes = _panel("How easily one fixed trigger carries every image to a class")
    _bars(axes, values, USUAL)
    axes.bar(marked, values[marked], width=0.8, color=SUSPECT, label=f"{meaning}: {marked}{p}")
    axes.plot(marked, values[marked], "v", color=SUSPECT, markersize=7)
    if verdict.critical_value is not None:
        level = verdict.critical_value
        axes.axhline(level, color="black", ls="--", lw=1, label=f"critical value {level:.2f}")
    axes.set(xlabel="target class", ylabel="anomaly score")
    axes.set_ylim(0, 1.15 * max(float(values.max()), verdict.critical_value or 1.0))
    axes.legend(frameon=False)
    return figure


def recovered_triggers(samples: CleanSamples, searches: Mapping[str, SearchResult]) -> Figure:
    """Pictures, a column for each search: its trigger by itself, and on a clean sample."""
    columns = len(searches) + 1
    figure = Figure(figsize=(max(WIDTH, 1.5 * columns), 4.4), layout="constrained")
    places = figure.subplots(2, columns, squeeze=False)
    sample = samples.images[0]
    _show(places[0, 0], sample, "a clean sample")
    places[1, 0].set_axis_off()
    for column, (name, found) in enumerate(searches.items(), start=1):
        assert found.trigger is not None, "the caller chose those with one"  # noqa: S101 (our logic)
        aim = "each class to another" if found.permuted else f"to class {found.targets[0]}"
        title = f"{WORDING[name].title.lower()}\n{aim}"
        _show(places[0, column], alone(found.trigger, samples.images), title)
        _show(places[1, column], found.trigger.apply(sample[None])[0], _rate(found))
    return figure


def _rate(found: SearchResult) -> str:
    """The attack success rate under a picture."""
    if found.success is None:
        return ""
    return f"success {found.success.rate:.0%}\nof {found.success.samples} samples"


def _show(axes: Axes, image: Floats, title: str) -> None:
    axes.imshow(_picture(image), cmap="gray", interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _picture(image: Floats) -> Floats:
    """An image (H, W, 3) or (H, W) in [0, 1] of one in the model's own input space."""
    axis = image_layout.colour_axis(image.shape)
    colours = np.moveaxis(image, axis or 0, -1)
    spread = max(float(np.ptp(colours)), 1e-6)
    shares: Floats = (colours - colours.min()) / spread
    return shares[..., :3] if shares.shape[-1] >= 3 else shares[..., 0]


def success_rate_per_class(sweep: Sweep, mark: Mark) -> Figure:
    """Bars: how many samples of other classes the noise for each class carries to it."""
    rates = sweep.success_rate[sweep.chosen]
    marked, meaning = mark
    figure, axes = _panel(f"Targeted neuron noise at ε = {sweep.epsilon:.3g}")
    _bars(axes, rates, USUAL)
    axes.bar(marked, rates[marked], width=0.8, color=SUSPECT, label=meaning)
    axes.axhline(float(np.nanmedian(rates)), color="black", ls="--", lw=1, label="median class")
    axes.plot(marked, rates[marked], "v", color=SUSPECT, markersize=7)
    axes.set(xlabel="target class", ylabel="probe samples of other classes carried")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.15 * max(float(np.nanmax(rates)), 0.05))
    axes.legend(frameon=False)
    return figure


def success_sweep(sweep: Sweep, mark: Mark) -> Figure:
    """Lines: the success rate of every class as the bound of the noise grows."""
    marked, meaning = mark
    figure, axes = _panel("Targeted neuron noise as its bound grows")
    others = sweep.success_rate[:, np.setdiff1d(sweep.searched, [marked])]
    axes.plot(sweep.bounds, others, color=FAINT, lw=0.8, alpha=0.6)
    axes.plot([], [], color=FAINT, label="other classes")
    axes.plot(sweep.bounds, np.nanmedian(sweep.success_rate, axis=1), "k--", label="median class")
    axes.plot(sweep.bounds, sweep.success_rate[:, marked], "o-", color=SUSPECT, label=meaning)
    axes.axvline(sweep.epsilon, color=USUAL, ls=":", label=f"verdict at ε = {sweep.epsilon:.3g}")
    axes.set(xscale="log", xlabel="noise bound ε", ylabel="probe samples of other classes carried")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False)
    return figure


def noise_by_layer(sweep: Sweep, sites: tuple[NoiseSite, ...], mark: Mark) -> Figure:
    """Lines: how much each site's noise adds, for the marked class and for the others."""
    marked, meaning = mark
    others = sweep.by_site[np.setdiff1d(sweep.searched, [marked])]
    figure, axes = _panel(f"Where the targeted noise acts, at ε = {sweep.epsilon:.3g}")
    layers = np.arange(len(sites))
    low, middle, high = np.percentile(others, [5, 50, 95], axis=0)
    axes.fill_between(layers, low, high, color=FAINT, alpha=0.3, lw=0, label="5–95 % of others")
    axes.plot(layers, middle, "s--", color=USUAL, markersize=4, label="median of other classes")
    axes.plot(layers, sweep.by_site[marked], "o-", color=SUSPECT, label=meaning)
    axes.set(
        xlabel="noise site, from input to output", ylabel="added to the mean margin of the target"
    )
    _name_layers(axes, sites)
    axes.legend(frameon=False)
    return figure


def predictions_under_noise(
    precondition: PreconditionResult, untargeted: UntargetedNoise, mask: MaskResult | None
) -> Figure:
    """Bars, one panel each: predicted classes of the clean samples, under noise, and with mask."""
    clean = np.bincount(precondition.logits.argmax(1), minlength=len(untargeted.predictions))
    panels = {"no noise": clean, f"noise, ε = {untargeted.epsilon:.3g}": untargeted.predictions}
    if mask:
        panels["noise, and only the features the mask leaves out"] = mask.predictions
    figure = Figure(figsize=(WIDTH, 1.0 + 1.6 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, counts) in zip(rows, panels.items(), strict=True):
        _predictions(axes, title, counts)
    rows[-1].set_xlabel("predicted class")
    figure.supylabel("share of samples", fontsize="medium")
    return figure


def mask_loss(mask: MaskResult) -> Figure:
    """Lines: the two losses while the feature mask is found."""
    figure, axes = _panel("Finding the feature mask")
    epochs = np.arange(1, len(mask.benign_loss) + 1)
    axes.plot(epochs, mask.benign_loss, "-", color=USUAL, label="features kept by the mask")
    axes.plot(epochs, mask.other_loss, "--", color=SUSPECT, label="features left out by the mask")
    axes.set(xlabel="epoch", ylabel="cross entropy, nats")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return figure


def _panel(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _marked(found: SearchResult, suspected: int | None) -> Mark:
    """The suspected class, or the one that the noise leads to, also where it never sought that."""
    if suspected is not None and found.sweep and suspected in found.sweep.searched:
        return suspected, f"suspected class {suspected}"
    return found.targets[0], f"highest: class {found.targets[0]}"


def _bars(axes: Axes, heights: Floats, colour: str) -> None:
    classes = np.arange(len(heights))
    axes.bar(classes, heights, width=0.8, color=colour)
    axes.set_xlim(-0.7, len(heights) - 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(heights) <= FEW:
        axes.set_xticks(classes)


def _predictions(axes: Axes, title: str, counts: Integers) -> None:
    """One panel of predicted classes, the most frequent one named."""
    shares = (counts / max(1, counts.sum())).astype(np.float32)
    _bars(axes, shares, USUAL)
    top = int(shares.argmax())
    axes.bar(top, shares[top], width=0.8, color=SUSPECT)
    axes.set_title(f"{title}: most often class {top}, {shares[top]:.0%}", loc="left", fontsize=10)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.spines[["top", "right"]].set_visible(False)


def _name_layers(axes: Axes, sites: tuple[NoiseSite, ...]) -> None:
    if len(sites) > FEW:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    names = [site.node if len(site.node) <= 16 else f"…{site.node[-15:]}" for site in sites]
    axes.set_xticks(
        range(len(sites)), names, rotation=45, ha="right", fontsize="small", parse_math=False
    )
