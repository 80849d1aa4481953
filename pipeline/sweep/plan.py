"""The plan of a sweep: what is to be judged, in a fixed order, as one file of JSON lines.

The first line holds what all have in common, each further line one version. A version's id is made
of where it is, so the same version has the same id in every plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.atomic_files import write_text
from pipeline.structure import structured
from stages.errors import ConfigError

PLAN_FILE = "plan.jsonl"
SCHEMA = 1
ID_DIGITS = 20

Standing = Literal["never gated", "stale", "attested"]
"""Whether a version was never gated, is so no more, or has an attestation that is still good."""
_ORDER: dict[Standing, int] = {"never gated": 0, "stale": 1, "attested": 2}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of all scans: the text of a TOML file, and what was given beside it."""

    config: str = ""
    overrides: tuple[str, ...] = ()
    seed: int | None = None
    device: str | None = None
    output_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of some versions: where they are, what they are prepared with, their digest.

    `digest` is the sha256 of the files, and of those beside them that the verdict depends on; empty
    while they lie in MLflow.
    """

    path: str
    preprocess: str = ""
    class_names: str = ""
    reference: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One version to judge: `source` is its URI or path, and `version` 0 where it has none.

    `samples` is the place of its samples in the plan's list, None for a model that has none; `why`
    says why it is in the plan.
    """

    id: str
    name: str
    version: int
    source: str
    standing: Standing = "never gated"
    why: str = ""
    content_digest: str | None = None
    samples: int | None = None
    samples_path: str | None = None
    samples_digest: str | None = None
    policy_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Head:
    """What all versions of a plan have in common.

    `false_alarm_rate` is that of every scan; `policy` is a path; `tracking_uri` is without
    credentials.
    """

    scanner: str
    time: str
    sources: tuple[str, ...]
    settings: Settings
    settings_digest: str
    false_alarm_rate: float
    samples: tuple[Samples, ...] = ()
    tracking_uri: str | None = None
    policy: str | None = None
    policy_digest: str | None = None
    trust_model_code: bool = False
    python: str | None = None
    kind: Literal["ban-gate sweep"] = "ban-gate sweep"
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be judged, and with what."""

    head: Head
    lines: tuple[Line, ...] = field(default=())


def id_of(source: str, registry: str | None) -> str:
    """The id of a version: where it is, in which registry."""
    return hashlib.sha256(f"{registry or ''}\0{source}".encode()).hexdigest()[:ID_DIGITS]


def in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Those never gated first, then the stale, then the attested, and at the end those without
    samples; each by name and version.
    """
    return tuple(
        sorted(
            lines,
            key=lambda each: (
                each.samples is None,
                _ORDER[each.standing],
                each.name,
                each.version,
                each.source,
            ),
        )
    )


def in_shard(line: Line, number: int, count: int) -> bool:
    """Whether a version belongs to the shard `number`, counted from 0, of `count`."""
    return int(line.id, 16) % count == number


def write_plan(plan: Plan, folder: Path) -> Path:
    """Writes the plan into an existing folder, in one step, and returns its path."""
    rows = [asdict(plan.head), *map(asdict, plan.lines)]
    return write_text(folder / PLAN_FILE, "".join(f"{json.dumps(each)}\n" for each in rows))


def read_plan(folder: Path) -> Plan:
    """The plan in a folder.

    Raises:
        ConfigError: there is none, or it is none of this version of ban-gate.
    """
    path = folder / PLAN_FILE
    try:
        head, *rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
        if head.get("schema") != SCHEMA:
            raise ValueError(f"schema {head.get('schema')!r}, expected {SCHEMA}")  # noqa: TRY301
        return Plan(
            head=structured(head, Head), lines=tuple(structured(each, Line) for each in rows)
        )
    except (OSError, ValueError, AttributeError, RecursionError, ConfigError) as error:
        raise ConfigError(
            f"`{path}` is no plan of a sweep ({error}); make one with `ban-gate sweep plan`"
        ) from error
