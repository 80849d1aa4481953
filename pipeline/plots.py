"""Figures of a scan: what the neuron noise did to each class, and how the mask was found.

Built as `Figure` objects without pyplot, so nothing global is touched. Colours are Okabe and Ito's,
which colour-blind readers tell apart.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipeline.drafts import write_bytes
from pipeline.result import ScanResult
from stages import pixels
from stages.types import (
    BlendResult,
    Floats,
    Integers,
    MaskResult,
    NoiseSite,
    PatchResult,
    PreconditionResult,
    Statistic,
    TargetedNoise,
    UntargetedNoise,
)

USUAL, SUSPECT, FAINT = "#0072B2", "#D55E00", "#999999"
FEW = 20
"""Up to so many classes or layers each gets its own tick."""
WIDTH, HEIGHT = 7.2, 4.0  # inches
RESOLUTION = 120  # dots per inch


def figures(result: ScanResult) -> dict[str, Figure]:
    """The figures for which the scan has evidence, by file name without ending."""
    evidence, suspected = result.evidence, result.verdict.suspected_class
    drawn = {}
    if result.verdict.statistics:
        drawn["score_per_class"] = score_per_class(result.verdict.statistics[0], suspected)
    if evidence.blend and evidence.patch and evidence.samples:
        sample = evidence.samples.images[0]
        if pixels.colour_axis(sample.shape) is not None:
            drawn["recovered_triggers"] = recovered_triggers(sample, evidence.blend, evidence.patch)
    if evidence.targeted:
        drawn["flip_rate_per_class"] = flip_rate_per_class(evidence.targeted, suspected)
        drawn["flip_sweep"] = flip_sweep(evidence.targeted, suspected)
    if evidence.targeted and evidence.twin:
        sites = evidence.twin.sites
        drawn["noise_by_layer"] = noise_by_layer(evidence.targeted, sites, suspected)
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


def score_per_class(score: Statistic, suspected: int | None) -> Figure:
    """Bars: how far each class stands out; the suspected or the highest one is marked."""
    values = np.array(score.per_class, np.float32)
    marked = score.suspected_class
    told = "suspected" if suspected is not None else "highest"
    p = "" if score.p_value is None else f", p = {score.p_value:.2g}"
    figure, axes = _panel("How easily one fixed trigger carries every image to a class")
    _bars(axes, values, USUAL)
    axes.bar(marked, values[marked], width=0.8, color=SUSPECT, label=f"{told}: {marked}{p}")
    axes.plot(marked, values[marked], "v", color=SUSPECT, markersize=7)
    axes.set(xlabel="target class", ylabel="score, in usual deviations")
    axes.set_ylim(0, 1.15 * max(float(values.max()), 1.0))
    axes.legend(frameon=False)
    return figure


def recovered_triggers(sample: Floats, blend: BlendResult, patch: PatchResult) -> Figure:
    """Pictures: a clean sample, the blended pattern, and the patch of the leading classes."""
    shown = {
        "a clean sample": sample,
        f"pattern to class {blend.leading}": blend.pattern,
        f"patch to class {patch.leading}": patch.mask * patch.pattern,
        "that patch on the sample": (1 - patch.mask) * sample + patch.mask * patch.pattern,
    }
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    places = figure.subplots(1, len(shown))
    for axes, (title, image) in zip(places, shown.items(), strict=True):
        axes.imshow(_picture(image), cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure


def _picture(image: Floats) -> Floats:
    """An image (H, W, 3) or (H, W) in [0, 1] of one in the model's own input space."""
    axis = pixels.colour_axis(image.shape)
    colours = np.moveaxis(image, axis or 0, -1)
    spread = max(float(np.ptp(colours)), 1e-6)
    told: Floats = (colours - colours.min()) / spread
    return told[..., :3] if told.shape[-1] >= 3 else told[..., 0]


def flip_rate_per_class(targeted: TargetedNoise, suspected: int | None) -> Figure:
    """Bars: how many samples of other classes the noise for each class pulls over."""
    rates = targeted.flips[targeted.chosen]
    marked, meaning = _marked(targeted, suspected)
    figure, axes = _panel(f"Targeted neuron noise at ε = {targeted.epsilon:.3g}")
    _bars(axes, rates, USUAL)
    axes.bar(marked, rates[marked], width=0.8, color=SUSPECT, label=meaning)
    axes.axhline(float(np.median(rates)), color="black", ls="--", lw=1, label="median class")
    axes.plot(marked, rates[marked], "v", color=SUSPECT, markersize=7)
    axes.set(xlabel="target class", ylabel="samples of other classes flipped")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1.15 * max(float(rates.max()), 0.05))
    axes.legend(frameon=False)
    return figure


def flip_sweep(targeted: TargetedNoise, suspected: int | None) -> Figure:
    """Lines: the flip rate of every class as the bound of the noise grows."""
    marked, meaning = _marked(targeted, suspected)
    figure, axes = _panel("Targeted neuron noise as its bound grows")
    others = np.delete(targeted.flips, marked, axis=1)
    axes.plot(targeted.epsilons, others, color=FAINT, lw=0.8, alpha=0.6)
    axes.plot([], [], color=FAINT, label="other classes")
    axes.plot(targeted.epsilons, np.median(targeted.flips, axis=1), "k--", label="median class")
    axes.plot(targeted.epsilons, targeted.flips[:, marked], "o-", color=SUSPECT, label=meaning)
    axes.axvline(targeted.epsilon, color=USUAL, ls=":", label=f"chosen ε = {targeted.epsilon:.3g}")
    axes.set(xscale="log", xlabel="noise bound ε", ylabel="samples of other classes flipped")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False)
    return figure


def noise_by_layer(
    targeted: TargetedNoise, sites: tuple[NoiseSite, ...], suspected: int | None
) -> Figure:
    """Lines: how much each site's noise pulls, for the marked class and for the others."""
    marked, meaning = _marked(targeted, suspected)
    others = np.delete(targeted.by_site, marked, axis=0)
    figure, axes = _panel(f"Where the targeted noise acts, at ε = {targeted.epsilon:.3g}")
    layers = np.arange(len(sites))
    low, middle, high = np.percentile(others, [5, 50, 95], axis=0)
    axes.fill_between(layers, low, high, color=FAINT, alpha=0.3, lw=0, label="5–95 % of others")
    axes.plot(layers, middle, "s--", color=USUAL, markersize=4, label="median of other classes")
    axes.plot(layers, targeted.by_site[marked], "o-", color=SUSPECT, label=meaning)
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


def _marked(targeted: TargetedNoise, suspected: int | None) -> tuple[int, str]:
    """The class to mark: the suspected one, or the one that flips most."""
    if suspected is not None:
        return suspected, f"suspected class {suspected}"
    highest = int(targeted.flips[targeted.chosen].argmax())
    return highest, f"highest: class {highest}"


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
