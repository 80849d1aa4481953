"""Does a policy accept how a verdict came about? Whatever it does not name is refused, by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from pipeline.gate.policy import DIGEST, Policy, accepted_setting
from pipeline.gate.provenance import ChangedSetting, Provenance
from pipeline.versions import versions_of

PACKAGE = "ban-gate"


def way_objections(found: Provenance, policy: Policy) -> Iterator[str]:
    """A sentence on everything about the way to a verdict that the policy does not accept."""
    if found.unfinished:
        yield f"the scan was not done to its end, and only a whole one passes: {found.unfinished}"
    yield from _scanner_objections(found.scanner, policy)
    if f"{DIGEST}{found.settings_digest}" not in policy.settings:
        yield from _settings_objections(found, policy)
    if strangers := sorted(set(found.given_references) - set(policy.given_references)):
        yield (
            f"it was compared with the given reference sha256 `{strangers[0]}`, which no registry"
            " vouches for; gate again without `--reference`, or name it in `given_references`"
        )
    if found.isolation_missing and policy.require_isolation:
        yield (
            "the model was read with less than full isolation"
            f" ({'; '.join(found.isolation_missing)}), which the policy requires; gate on a machine"
            " that has it, or unset `require_isolation`"
        )


def sample_objections(found: Provenance, policy: Policy) -> Iterator[str]:
    """A sentence on whatever the policy does not accept about the samples of a clean verdict."""
    if policy.samples and found.samples_digest not in policy.samples:
        yield (
            f"the samples have the digest `{found.samples_digest}`, which the policy does not name"
            " in `samples`; gate again on those it names"
        )
    if found.samples < policy.least_samples:
        yield (
            f"it was judged on {found.samples} samples, the policy requires"
            f" {policy.least_samples}; gate again on more"
        )
    if (found.clean_accuracy or 0.0) < policy.least_accuracy:
        yield (
            f"the clean accuracy is {found.clean_accuracy or 0:.3f}, the policy requires"
            f" {policy.least_accuracy:g}"
        )


def accepts_version(scanner: str, specifier: str, own: str) -> bool:
    """Whether a verdict of that version of ban-gate counts.

    Without a specifier of PEP 440, versions of the `own` series count: the same major version, and
    before 1.0, where a minor version may change anything, the same minor version as well.
    """
    try:
        version = Version(scanner)
        if specifier:
            return SpecifierSet(specifier).contains(version, prereleases=True)
        return _series(version) == _series(Version(own))
    except InvalidVersion:
        return False


def _scanner_objections(scanner: str, policy: Policy) -> Iterator[str]:
    own = versions_of([PACKAGE]).get(PACKAGE, "")
    if not accepts_version(scanner, policy.scanner_versions, own):
        accepted = policy.scanner_versions or f"the series of its own version {own or '(unknown)'}"
        yield (
            f"it was judged by ban-gate {scanner or '(unknown version)'}, accepted is {accepted};"
            " gate again with such a version, or set `scanner_versions`"
        )


def _settings_objections(found: Provenance, policy: Policy) -> Iterator[str]:
    """What a policy says of single settings and of the seed, where it does not accept them all."""
    for setting in found.changed_settings:
        yield from _setting_objections(setting, policy)
    if found.seed not in policy.seeds:
        yield (
            f"the seed is {found.seed}, the policy accepts {_listed(policy.seeds)}; gate again"
            " without `--seed`, or name it in `seeds`"
        )


def _setting_objections(setting: ChangedSetting, policy: Policy) -> Iterator[str]:
    value, others = json.loads(setting.value), [json.loads(setting.shipped)]
    single = (each for each in policy.settings if not each.startswith(DIGEST))
    others += [each for name, each in map(accepted_setting, single) if name == setting.name]
    if setting.name == "judge.false_alarm_rate" and policy.false_alarm_rate is not None:
        others.append(policy.false_alarm_rate)
    if value not in others:
        yield (
            f"the setting `{setting.name}` is {setting.value}, the policy accepts"
            f" {_listed(json.dumps(each) for each in others)}; gate again as shipped, or name"
            f" '{setting}' in `settings`"
        )


def _series(version: Version) -> tuple[int, ...]:
    return (version.epoch, version.major) if version.major else (version.epoch, 0, version.minor)


def _listed(accepted: Iterable[object]) -> str:
    return " or ".join(str(each) for each in accepted) or "none"
