"""What a registry demands of a version before it may be promoted, read from a TOML file."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pipeline.gate import signing
from pipeline.structure import read_toml, structured
from stages.errors import ConfigError

EXAMPLE = "\"max_age = '30d'\""
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Lets one version, or one content, of a registered model pass whatever its verdict is.

    It holds to the end of the day `expires`, in UTC.
    """

    model: str
    reason: str
    expires: date
    version: int | None = None
    content_digest: str | None = None

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ConfigError(f"the waiver for `{self.model}` has no reason; say why it is safe")
        if (self.version is None) == (self.content_digest is None):
            raise ConfigError(
                f"the waiver for `{self.model}` names both or neither of `version` and"
                " `content_digest`, expected exactly one"
            )
        if self.content_digest is not None and not _SHA256.fullmatch(self.content_digest):
            raise ConfigError(
                f"the waiver for `{self.model}` has the content digest {self.content_digest!r},"
                " expected 64 hexadecimal digits, as in `verdict.json`"
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


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The conditions of a promotion. The defaults are those without a policy file."""

    required_verdict: Literal["clean", "any"] = "clean"
    """`any` lets a backdoored version pass with a remark, to try a gate out."""
    false_alarm_rate: float | None = None
    """Largest p-value that blocks; None takes the scan's own `judge.false_alarm_rate`."""
    inconclusive: Literal["block", "warn"] = "block"
    """`warn` lets a version that cannot be judged pass with a remark."""
    outside_calibration: bool = False
    """Whether a pass counts for a model unlike those that the calibration was measured on."""
    unscanned_outputs: tuple[str, ...] = ()
    """Outputs that a model may have beside the judged scores without following from them."""
    accepted_files: tuple[str, ...] = ()
    """The sha256 of files that a version may hold although they were not judged."""
    settings: tuple[str, ...] = ()
    """Settings that a scan may have beside the shipped ones, each as `NAME=VALUE`."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of accepted scans: the shipped one alone, so that nobody scans until a seed passes."""
    scanner_versions: str = ""
    """Accepted versions of ban-gate, as a specifier of PEP 440; empty: the own series."""
    samples: tuple[str, ...] = ()
    """The sha256 of accepted samples; empty: any."""
    least_samples: int = 0
    """Fewest samples of a clean verdict, beyond what the scan's own settings ask for."""
    least_accuracy: float = 0.0
    """Smallest clean accuracy in [0, 1], beyond what the scan's own settings ask for."""
    given_references: tuple[str, ...] = ()
    """The sha256 of references that a caller may bring beside the registry's own versions."""
    require_isolation: bool = False
    """Whether a verdict counts only where the child processes lacked no isolation there is."""
    max_age: str = "30d"
    """How long a verdict holds: a number of hours (h), days (d) or weeks (w)."""
    protected_aliases: tuple[str, ...] = ("champion", "production")
    """Aliases that a server with this policy gives only to versions that pass verification."""
    not_before: datetime | None = None
    """Moment, with its offset, before which no decision counts."""
    revoked: tuple[str, ...] = ()
    """The sha256 of attestations that do not count, as `ban-gate revoke` prints them."""
    approvals: int = 0
    """How many other trusted keys than the gate's must have approved an attestation."""
    references: int = 3
    """How many earlier accepted versions of the same registered model a gate compares with."""
    trusted_keys: tuple[str, ...] = ()
    """Public keys whose attestations count: PEM texts, or in a policy file also paths beside it."""
    waiver: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        rate = self.false_alarm_rate
        if rate is not None and not 0 < rate < 1:
            raise ConfigError(f"setting `false_alarm_rate` is {rate}, expected between 0 and 1")
        for name in ("references", "approvals", "least_samples"):
            if (number := getattr(self, name)) < 0:
                raise ConfigError(f"setting `{name}` is {number}, expected 0 or more")
        if not 0 <= self.least_accuracy <= 1:
            raise ConfigError(
                f"setting `least_accuracy` is {self.least_accuracy}, expected from 0 to 1"
            )
        for digest in (
            *self.samples,
            *self.given_references,
            *self.accepted_files,
            *self.revoked,
        ):
            _require_digest(digest)
        for setting in self.settings:
            accepted_setting(setting)
        _require_specifier(self.scanner_versions)
        if self.age_limit <= timedelta(0):
            raise ConfigError(f"setting `max_age` is {self.max_age!r}, expected more than nothing")

    @property
    def age_limit(self) -> timedelta:
        """`max_age` as a time span."""
        parts = re.fullmatch(r"(\d{1,5})([hdw])", self.max_age)
        if not parts:
            raise ConfigError(
                f"setting `max_age` is {self.max_age!r}, expected hours, days or weeks such as"
                " '12h', '30d' or '8w'"
            )
        return timedelta(**{_UNITS[parts[2]]: int(parts[1])})


def accepted_setting(text: str) -> tuple[str, object]:
    """Name and value of an accepted setting such as `blend.faint=0.2`, as `--set` reads it.

    Raises:
        ConfigError: it is no setting.
    """
    name, separator, value = (part.strip() for part in text.partition("="))
    if not separator or not name or not value:
        raise ConfigError(
            f"setting `settings` names {text!r}, expected NAME=VALUE such as 'blend.faint=0.2'"
        )
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # a text without quotes
        return name, value


def policy_of(document: dict[str, Any], path: Path) -> Policy:
    """The policy in a document that was read from a file.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or a trusted key is not a key.
    """
    try:
        policy = structured(document, Policy)
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
    try:
        document = read_toml(path, "policy", EXAMPLE)
    except ConfigError as error:
        raise ConfigError(f"policy `{path}`: {error}") from error
    return policy_of(document, path)


def policy_text(policy: Policy) -> str:
    """The policy as JSON, with sorted keys: the same text for equal policies."""
    return json.dumps(asdict(policy), default=str, indent=1, sort_keys=True) + "\n"


def policy_digest(policy: Policy) -> str:
    """The sha256 of the policy's text."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def _require_digest(text: str) -> None:
    if not _SHA256.fullmatch(text):
        raise ConfigError(f"the policy names the digest {text!r}, expected 64 hexadecimal digits")


def _require_specifier(text: str) -> None:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ConfigError(
            f"setting `scanner_versions` is {text!r}, expected versions such as '>=0.1,<0.3'"
        ) from error


def _key(text_or_path: str, policy: Path) -> str:
    """The PEM text of a trusted key that is given as text or as a path beside the policy."""
    if text_or_path.lstrip().startswith("-----BEGIN"):
        return signing.public_pem(signing.parse_public(text_or_path, f"a key in policy `{policy}`"))
    return signing.public_pem(signing.read_public(policy.parent / text_or_path))
