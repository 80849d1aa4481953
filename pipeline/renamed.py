"""Settings that had another name in the release before, and what they are called now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stages.errors import ConfigError

RENAMED = {
    "noise.level": "neuron_noise.median_margin",
    "noise.epsilon": "untargeted_noise.epsilon",
    "noise.steps": "untargeted_noise.steps",
    "noise.untargeted_samples": "untargeted_noise.samples",
    "noise": "neuron_noise",
    "blend.judged_samples": "blend.evaluation_samples",
    "patch.judged_samples": "patch.evaluation_samples",
    "warp.judged_samples": "warp.evaluation_samples",
    "mask": "feature_mask",
    "reference": "published_ban",
    "score.spreads": "calibration.<search>.<statistic>.alone.least",
    "score.gaps": "calibration.<search>.<statistic>.referenced.least",
    "score.alone_location": "calibration.null.alone.location",
    "score.alone_scale": "calibration.null.alone.scale",
    "score.referenced_location": "calibration.null.referenced.location",
    "score.referenced_scale": "calibration.null.referenced.scale",
    "score": "calibration",
}
"""The present name of a setting, or of a section whose settings kept theirs."""
GONE = {
    "precondition.min_classes": "is gone: models of up to `calibration.range.few_classes` classes"
    " are judged beside references only",
    "noise.typical_flip": "is gone: the report shows the bound that the verdict looks at,"
    " `neuron_noise.median_margin`",
    "score.weights": "is gone: all statistics have an equal say, by how unlikely each is",
    "score.against": "is gone: beside references the smaller of two scores counts",
}


def refuse_renamed(settings: Mapping[str, object]) -> None:
    """Says what a renamed setting is called now.

    Raises:
        ConfigError: there is one.
    """
    for name in _names(settings):
        if name in GONE:
            raise ConfigError(f"setting `{name}` {GONE[name]}")
        section, _, rest = name.partition(".")
        if name in RENAMED:
            raise ConfigError(f"setting `{name}` is now `{RENAMED[name]}`")
        if section in RENAMED:
            present = f"{RENAMED[section]}.{rest}" if rest else RENAMED[section]
            raise ConfigError(f"setting `{name}` is now `{present}`")


def _names(settings: Mapping[str, object]) -> Iterator[str]:
    """The full names of settings in sections, and of those outside any."""
    for section, values in settings.items():
        if isinstance(values, Mapping) and values:
            yield from (f"{section}.{key}" for key in values)
        else:
            yield section
