"""What a registry demands of a version before it may be promoted, read from a TOML file."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

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
    max_age: str = "30d"
    """How long a verdict holds: a number of hours (h), days (d) or weeks (w)."""
    protected_aliases: tuple[str, ...] = ("champion", "production")
    """Aliases that a server with this policy gives only to versions that pass verification."""
    references: int = 3
    """How many earlier accepted versions of the same registered model a gate compares with."""
    trusted_keys: tuple[str, ...] = ()
    """Public keys whose attestations count: PEM texts, or in a policy file also paths beside it."""
    waiver: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        rate = self.false_alarm_rate
        if rate is not None and not 0 < rate < 1:
            raise ConfigError(f"setting `false_alarm_rate` is {rate}, expected between 0 and 1")
        if self.references < 0:
            raise ConfigError(f"setting `references` is {self.references}, expected 0 or more")
        for digest in self.accepted_files:
            if not _SHA256.fullmatch(digest):
                raise ConfigError(
                    f"setting `accepted_files` has {digest[:80]!r}, expected the sha256 of a file,"
                    " 64 hexadecimal digits in lower case"
                )
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


def read_policy(path: Path | None) -> Policy:
    """The policy in a TOML file; the default one without a file.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, a value is wrong, or a trusted key
            is not a key.
    """
    if path is None:
        return Policy()
    try:
        policy = structured(read_toml(path, "policy", EXAMPLE), Policy)
    except ConfigError as error:
        raise ConfigError(f"policy `{path}`: {error}") from error
    return replace(policy, trusted_keys=tuple(_key(each, path) for each in policy.trusted_keys))


def policy_text(policy: Policy) -> str:
    """The policy as JSON, with sorted keys: the same text for equal policies."""
    return json.dumps(asdict(policy), default=str, indent=1, sort_keys=True) + "\n"


def policy_digest(policy: Policy) -> str:
    """The sha256 of the policy's text."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def _key(text_or_path: str, policy: Path) -> str:
    """The PEM text of a trusted key that is given as text or as a path beside the policy."""
    if text_or_path.lstrip().startswith("-----BEGIN"):
        return signing.public_pem(signing.parse_public(text_or_path, f"a key in policy `{policy}`"))
    return signing.public_pem(signing.read_public(policy.parent / text_or_path))
