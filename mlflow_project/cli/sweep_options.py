"""The options of `ban-gate sweep` and its commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click

from mlflow_project.cli.gate import PolicyFile, SigningKey
from mlflow_project.cli.options import (
    AsJson,
    NativeOptions,
    Ray,
    SettingsOptions,
    TrackingOptions,
    TrackingUri,
    Verbose,
)
from mlflow_project.cli.parameters import argument, flag, option

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_SCALE = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Shard(click.ParamType[tuple[int, int]]):
    """`I/N`: one part of N, I from 0."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The two numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)/(\d+)", value)
        if not found or not int(found[1]) < int(found[2]):
            self.fail(
                f"`{value}` is no shard; give I/N with I from 0 to N-1, such as 0/8", param, ctx
            )
        return int(found[1]), int(found[2])


class Size(click.ParamType[int]):
    """Bytes, such as `20GB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if not found:
            self.fail(f"`{value}` is no size; give bytes such as 500MB or 20GB", param, ctx)
        return int(float(found[1]) * _SCALE[found[2].upper()])


Folder = Annotated[
    Path, argument(type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
]

Requests = Annotated[
    float,
    option(
        "--requests-per-second",
        cls=click.Option,
        type=click.FloatRange(min=0),
        default=20.0,
        show_default=True,
        help="At most so many requests to the server; 0: any number.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """The options of `sweep plan`."""

    sources: Annotated[tuple[str, ...], argument(nargs=-1, required=True, metavar="SOURCE...")]
    output: Annotated[
        Path,
        option(
            "-o",
            "--output",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="The sweep's folder, for plan, results and reports; made if missing.",
        ),
    ]
    samples: Annotated[
        str | None,
        option(
            "--samples",
            metavar="TABLE.toml|SOURCE",
            help="A table of name patterns and samples, or the clean samples of all models.",
        ),
    ]
    policy: PolicyFile
    public_keys: Annotated[
        tuple[str, ...],
        option(
            "--public-key",
            multiple=True,
            metavar="KEY",
            help="A key whose attestations count.  May be repeated.  [default: those of the"
            " policy, else the own one]",
        ),
    ]
    models: Annotated[
        tuple[str, ...],
        option(
            "--models",
            multiple=True,
            metavar="PATTERN",
            help="Only registered models whose name fits, such as `fraud-*`.  May be repeated.",
        ),
    ]
    newest: Annotated[
        int,
        option(
            "--newest",
            type=click.IntRange(min=1),
            metavar="N",
            default=None,
            help="Only the newest N versions of each registered model.",
        ),
    ]
    requests: Requests
    native: NativeOptions
    settings: SettingsOptions
    tracking_uri: TrackingUri
    verbose: Verbose


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Where a sweep runs if not here, and what each scan asks for."""

    ray: Ray
    cpus: Annotated[
        float,
        option(
            "--cpus-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=0.1),
            default=1.0,
            show_default=True,
            help="Cores that a scan asks a Ray cluster for.",
        ),
    ]
    gpus: Annotated[
        float,
        option(
            "--gpus-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=0),
            default=0.0,
            show_default=True,
            help="GPUs that a scan asks a Ray cluster for.",
        ),
    ]
    memory: Annotated[
        int,
        option(
            "--memory-per-scan",
            cls=click.Option,
            type=Size(),
            default="0B",
            help="Memory that a scan asks a Ray cluster for, such as 4GB.  [default: no word of"
            " it]",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What a sweep may change in the registry."""

    write: Annotated[
        bool,
        flag(
            "--write",
            help="Gate registered versions as `ban-gate gate` does: runs, tags, attestations.",
        ),
    ]
    promote: Annotated[
        str | None,
        option("--promote", metavar="ALIAS", help="With --write: move this alias to what passes."),
    ]
    signing_key: SigningKey
    tracking: TrackingOptions


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `sweep run`."""

    folder: Folder
    shard: Annotated[
        tuple[int, int] | None,
        option(
            "--shard",
            type=Shard(),
            metavar="I/N",
            help="Only the versions of part I, from 0, of N, by the hash of their ids.",
        ),
    ]
    workers: Annotated[
        int | None,
        option(
            "--workers",
            type=click.IntRange(min=1),
            help="Scans at once on this machine.  [default: a core each, fewer if memory is short;"
            " on GPUs one each]",
        ),
    ]
    ray: RayOptions
    write: WriteOptions
    requests: Requests
    patience: Annotated[
        float,
        option(
            "--patience",
            cls=click.Option,
            type=click.FloatRange(min=0),
            default=600.0,
            show_default=True,
            help="Seconds that the server may be away until the sweep ends with 4.",
        ),
    ]
    seconds: Annotated[
        float,
        option(
            "--seconds-per-scan",
            cls=click.Option,
            type=click.FloatRange(min=1),
            default=14_400.0,
            show_default=True,
            help="Seconds after which a scan is stopped, which counts as a death.",
        ),
    ]
    downloads: Annotated[
        int,
        option(
            "--max-downloads",
            cls=click.Option,
            type=Size(),
            default="20GB",
            show_default=True,
            help="Room for downloaded models that no scan needs now.",
        ),
    ]
    again: Annotated[
        bool, flag("--again", help="Try what was given up once more, its deaths forgotten.")
    ]
    exit_zero: Annotated[
        bool, flag("--exit-zero", help="Exit 0 once all is judged, whatever the verdicts are.")
    ]
    verbose: Verbose


@dataclass(frozen=True, kw_only=True)
class StatusOptions:
    """The options of `sweep status`."""

    folder: Folder
    as_json: AsJson


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of `sweep report`."""

    folder: Folder
    write: Annotated[
        bool, flag("--write", help="Record a run in MLflow, with a nested run for each version.")
    ]
    tracking: TrackingOptions
    exit_zero: Annotated[bool, flag("--exit-zero", help="Exit 0 whatever the verdicts are.")]
    verbose: Verbose
