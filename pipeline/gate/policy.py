"""What a registry demands of a version before it may be promoted, read from a TOML file."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator

from pipeline.settings_file import read_toml, settings_of
from stages.errors import ConfigError
from stages.settings import (
    Day,
    Digest,
    Moment,
    Share,
    Switch,
    Text,
    bounded,
    described,
    settings,
)

EXAMPLE = "\"max_age = '30d'\""
DIGEST = "sha256:"
"""How the digest of all settings begins, where settings are accepted by it."""
AGES = "hours, days or weeks such as '12h', '30d' or '8w'"
VERSIONS = "versions such as '>=0.1,<0.3'"
SETTINGS = "NAME=VALUE such as 'blend.faint=0.2', or sha256: and the digest of all settings"
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,5})([hdw])")


def accepted_setting(text: str) -> tuple[str, object]:
    """Name and value of an accepted setting such as `blend.faint=0.2`, as `--set` reads it.

    Raises:
        ValueError: it is no setting.
    """
    name, separator, value = (part.strip() for part in text.partition("="))
    if not separator or not name or not value:
        raise ValueError(f"names {text!r}, expected {SETTINGS}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # a text without quotes
        return name, value


def _is_setting(text: str) -> str:
    if not re.fullmatch(f"{DIGEST}[0-9a-f]{{64}}", text):
        accepted_setting(text)
    return text


def _is_age(text: str) -> str:
    if not _AGE.fullmatch(text):
        raise ValueError(f"is {text!r}, expected {AGES}")
    if not int(text[:-1]):
        raise ValueError(f"is {text!r}, expected more than nothing")
    return text


def _is_specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"is {text!r}, expected {VERSIONS}") from error
    return text


Age = Annotated[str, described(AGES), AfterValidator(_is_age)]
Versions = Annotated[str, described(VERSIONS), AfterValidator(_is_specifier)]
Accepted = Annotated[str, described(SETTINGS), AfterValidator(_is_setting)]


@settings
class Waiver:
    """Lets one version, or one content, of a registered model pass whatever its verdict is.

    It holds to the end of the day `expires`, in UTC.
    """

    model: Text
    """The registered model."""
    reason: Text
    """Why it is safe."""
    expires: Day
    """The last day."""
    version: Annotated[int, bounded(ge=1, le=2**63 - 1)] | None = None
    """The version that it covers, or"""
    content_digest: Digest | None = None
    """the content that it covers, as in `verdict.json`; one of both is given."""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ConfigError(f"the waiver for `{self.model}` has no reason; say why it is safe")
        if (self.version is None) == (self.content_digest is None):
            raise ConfigError(
                f"the waiver for `{self.model}` names both or neither of `version` and"
                " `content_digest`, expected exactly one"
            )

    def covers(self, model: str, version: int, content_digest: str | None) -> bool:
        """Whether it applies to this version of this registered model."""
        if self.version is not None:
            return (model, version) == (self.model, self.version)
        return (model, content_digest) == (self.model, self.content_digest)

    def expired(self, now: datetime) -> bool:
        """Whether its last day is over."""
        return now.date() > self.expires

    def __str__(self) -> str:
        what = self.content_digest if self.version is None else f"version {self.version}"
        return f"waiver for `{self.model}` {what}, until {self.expires}: {self.reason}"


@settings
class Policy:
    """The conditions of a promotion. The defaults are those without a policy file."""

    required_verdict: Literal["clean", "any"] = "clean"
    """`any` lets a backdoored version pass with a remark, to try a gate out."""
    false_alarm_rate: Annotated[float, bounded(gt=0, lt=1)] | None = None
    """Largest p-value that blocks; without one, the scan's own `judge.false_alarm_rate` counts."""
    inconclusive: Literal["block", "warn"] = "block"
    """`warn` lets a version that cannot be judged pass with a remark."""
    outside_calibration: Switch = False
    """Whether a pass counts for a model unlike those that the calibration was measured on."""
    unscanned_outputs: tuple[Text, ...] = ()
    """Outputs that a model may have beside the judged scores without following from them."""
    accepted_files: tuple[Digest, ...] = ()
    """The sha256 of files that a version may hold although they were not judged."""
    settings: tuple[Accepted, ...] = ()
    """Settings that a scan may have beside the shipped ones: single ones, or all of them together
    by the digest that `ban-gate settings --digest` prints, which covers the seed as well.
    """
    seeds: tuple[Annotated[int, bounded(ge=0, le=2**63 - 1)], ...] = (0,)
    """Seeds of accepted scans: the shipped one alone, so that nobody scans until a seed passes."""
    scanner_versions: Versions = ""
    """Accepted versions of ban-gate, as a specifier of PEP 440; empty: the own series."""
    samples: tuple[Digest, ...] = ()
    """The sha256 of accepted samples; empty: any."""
    least_samples: Annotated[int, bounded("samples", ge=0, le=1_000_000_000)] = 0
    """Fewest samples of a clean verdict, beyond what the scan's own settings ask for."""
    least_accuracy: Share = 0.0
    """Smallest clean accuracy, beyond what the scan's own settings ask for."""
    given_references: tuple[Digest, ...] = ()
    """The sha256 of references that a caller may bring beside the registry's own versions."""
    require_isolation: Switch = False
    """Whether a verdict counts only where the child processes lacked no isolation there is."""
    max_age: Age = "30d"
    """How long a verdict holds: a number of hours (h), days (d) or weeks (w)."""
    protected_aliases: tuple[Text, ...] = ("champion", "production")
    """Aliases that a server with this policy gives only to versions that pass verification."""
    not_before: Moment | None = None
    """Moment, with its offset, before which no decision counts."""
    revoked: tuple[Digest, ...] = ()
    """The sha256 of attestations that do not count, as `ban-gate revoke` prints them."""
    approvals: Annotated[int, bounded("keys", ge=0, le=1000)] = 0
    """How many other trusted keys than the gate's must have approved an attestation."""
    references: Annotated[int, bounded("versions", ge=0, le=50)] = 3
    """How many earlier accepted versions of the same registered model a gate compares with."""
    trusted_keys: tuple[Text, ...] = ()
    """Public keys whose attestations count: PEM texts, or in a policy file also paths beside it and
    URIs of providers.
    """
    waiver: tuple[Waiver, ...] = ()
    """Versions that pass whatever their verdict is."""

    @property
    def age_limit(self) -> timedelta:
        """`max_age` as a time span."""
        return timedelta(**{_UNITS[self.max_age[-1]]: int(self.max_age[:-1])})


def policy_of(document: dict[str, Any], path: Path) -> Policy:
    """The policy in a document that was read from a file.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or a trusted key is not a key.
    """
    try:
        policy = settings_of(document, Policy, "`ban-gate settings --of policy` lists all")
    except ConfigError as error:
        raise ConfigError(f"policy `{path}`: {error}") from error
    return replace(policy, trusted_keys=tuple(_key(each, path) for each in policy.trusted_keys))


def read_policy(path: Path | None) -> Policy:
    """The policy in a TOML file; the default one without a file.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, a value is wrong, or a trusted key
            is not a key.
    """
    if path is None:
        return Policy()
    return policy_of(read_toml(path, "policy", EXAMPLE), path)


def policy_text(policy: Policy) -> str:
    """The policy as JSON, with sorted keys: the same text for equal policies."""
    return json.dumps(asdict(policy), default=str, indent=1, sort_keys=True) + "\n"


def policy_digest(policy: Policy) -> str:
    """The sha256 of the policy's text."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def _key(text: str, policy: Path) -> str:
    """The PEM text of a trusted key that is given as such, as a path beside the policy, or as a
    provider's URI.
    """
    from pipeline.gate import keys  # noqa: PLC0415 (slow, and most policies name none)

    if text.lstrip().startswith("-----BEGIN"):
        return keys.public_pem(keys.parse_public(text, f"a key in policy `{policy}`"))
    return keys.public_pem(keys.public_at(text, policy.parent))
