"""The command that repeats a scan, as a reader of its report would type it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow_project.uris import is_uri, without_secrets
from pipeline.config import ScanConfig, flat_settings
from pipeline.evidence import ScanResult
from pipeline.printable import printable
from pipeline.samples.preparation import Preparation

if TYPE_CHECKING:
    from mlflow_project.commands import ScanCall

NOT_SETTINGS = ("seed", "device", "output.name")
"""Settings that have options of their own, or say where a scan runs."""


def repeat_command(call: ScanCall, result: ScanResult) -> str:
    """The `ban-gate scan` that gives the same verdict, quoted for a shell.

    It has the settings that were used, whether they came from options, a file or a policy, and the
    references that were compared with; no credentials, and nothing about where results go.
    """
    config = result.config
    words = ["ban-gate", "scan", call.uri if is_uri(call.uri) else call.model]
    words += ["--samples", call.samples]
    for each in dict.fromkeys((*call.references, *(one.uri for one in result.evidence.references))):
        words += ["--reference", each]
    if call.trusted:
        words.append("--trust-model-code")
    words += _preparation(call.preparation)
    if config.seed:
        words += ["--seed", str(config.seed)]
    if config.output.name:
        words += ["--output-name", config.output.name]
    words += _settings(config)
    if call.target and call.target.uri and any(map(is_uri, words)):
        words += ["--tracking-uri", call.target.uri]
    return printable(shlex.join(map(without_secrets, words)))


def _preparation(asked: Preparation) -> Iterator[str]:
    """The options that made samples of pictures."""
    names = asked.class_names
    options = {
        "--preprocess": asked.preprocess,
        "--resize": _listed(asked.resize),
        "--crop": _listed(asked.crop or ()),
        "--range": asked.range,
        "--mean": _listed(asked.mean),
        "--std": _listed(asked.std),
        "--channels": asked.channels,
        "--layout": asked.layout,
        "--per-class": asked.per_class,
        "--class-names": None if isinstance(names, tuple) else names,
    }
    for option, value in options.items():
        if value not in (None, ""):
            yield from (option, str(value))


def _settings(config: ScanConfig) -> Iterator[str]:
    usual = flat_settings(ScanConfig())
    for name, value in flat_settings(config).items():
        if name not in NOT_SETTINGS and value is not None and value != usual.get(name):
            yield from ("--set", f"{name}={json.dumps(value)}")


def _listed(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{each:g}" for each in numbers)
