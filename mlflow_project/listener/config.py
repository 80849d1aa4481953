"""The listener's configuration: whose webhooks it takes, and how each model is gated."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mlflow_project.alias_names import require_alias
from mlflow_project.listener.webhook import ModelVersionName
from pipeline.structure import read_toml, structured
from stages.errors import ConfigError

SECRET_VARIABLE = "BAN_GATE_WEBHOOK_SECRET"  # noqa: S105 (the name of the variable)
FIRST_WORKSPACE = "default"
"""The workspace that every server has which has any."""
SHORTEST_SECRET = 16  # characters
GATE_COMMAND = (sys.executable, "-m", "mlflow_project", "gate")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
EXAMPLE = """'[models.net]' followed by 'samples = "clean.npz"'"""
LISTEN_FILES = ("secret_file", "tls_certificate", "tls_key")
ABOVE_ZERO = (*("max_age", "max_body", "gate_seconds", "attempts", "backoff", "give_up_after"),)
GATE_FILES = ("samples", "policy", "signing_key", "config")


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """How versions of one registered model are gated: the options of `ban-gate gate`.

    Relative paths are relative to the folder of the configuration. An empty text means "not given".
    """

    samples: str
    promote: str = ""
    policy: str = ""
    signing_key: str = ""
    tracking_uri: str = ""
    experiment: str = ""
    config: str = ""
    set: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.promote:
            require_alias(self.promote)

    def arguments(self, target: ModelVersionName) -> list[str]:
        """The command line of the gate, after its name."""
        single = {
            "--samples": self.samples,
            "--promote": self.promote,
            "--policy": self.policy,
            "--signing-key": self.signing_key,
            "--tracking-uri": self.tracking_uri,
            "--experiment": self.experiment,
            "--config": self.config,
        }
        pairs = [(option, value) for option, value in single.items() if value]
        pairs += [("--set", each) for each in self.set]
        pairs += [("--reference", each) for each in self.reference]
        return [target.uri, *(f"{option}={value}" for option, value in pairs)]


@dataclass(frozen=True, kw_only=True)
class ListenSettings:
    """The settings of the listener itself.

    A delivery may be `max_age` seconds old and `max_body` bytes long. `command` starts a gate,
    which may take `gate_seconds`. One that finds no server or a wrong setting is started again,
    after `backoff` seconds at first and then after about twice as long each time, until
    `give_up_after` seconds are over; one that hangs, dies or ends with an error of its own up to
    `attempts` times. At the start and every `catch_up` seconds the registry is asked for versions
    that were never gated; with 0 never.
    """

    secret_file: str = ""
    max_age: float = 300.0
    max_body: int = 1_048_576
    gate_seconds: float = 14_400.0
    attempts: int = 6
    backoff: float = 30.0
    give_up_after: float = 259_200.0
    catch_up: float = 3_600.0
    command: tuple[str, ...] = GATE_COMMAND
    tls_certificate: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        for name in ABOVE_ZERO:
            if getattr(self, name) <= 0:
                raise ConfigError(f"setting `{name}` is {getattr(self, name)}, expected above 0")
        if self.catch_up < 0:
            raise ConfigError(f"setting `catch_up` is {self.catch_up}, expected 0 or more")
        if not self.command:
            raise ConfigError("setting `command` is empty, expected the words that start a gate")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("`tls_certificate` and `tls_key` go together; give both or neither")


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The models of one workspace that are gated, and how any other there is, if it is."""

    models: dict[str, GateSettings] = field(default_factory=dict)
    default: GateSettings | None = None


@dataclass(frozen=True, kw_only=True)
class ListenConfig:
    """A listener's settings, and the gates of its models.

    `gates` are those of a server without workspaces and of its workspace `default`; their own
    default is that of all other workspaces, too, but for those that `workspaces` names.
    """

    settings: ListenSettings
    gates: Gates = field(default_factory=Gates)
    workspaces: dict[str, Gates] = field(default_factory=dict)

    def gate_for(self, target: ModelVersionName) -> GateSettings | None:
        """How a version is gated; None if it is not."""
        if own := self.workspaces.get(target.workspace):
            return own.models.get(target.name, own.default)
        if target.workspace in ("", FIRST_WORKSPACE):
            return self.gates.models.get(target.name, self.gates.default)
        return self.gates.default


Settings = TypeVar("Settings", GateSettings, ListenSettings)


def load_listen_config(path: Path) -> ListenConfig:
    """The configuration in a TOML file.

    Raises:
        ConfigError: it is not TOML, a key is unknown, a value is wrong, or a file is missing.
    """
    document = read_toml(path, "config", EXAMPLE)
    folder = path.parent
    sections = {name: document.pop(name) for name in ("models", "default") if name in document}
    workspaces = _sections(document, "workspaces", "workspaces.NAME")
    config = ListenConfig(
        settings=_located(structured(document, ListenSettings), folder, LISTEN_FILES),
        gates=_gates(sections, "", folder),
        workspaces={
            name: _gates(each, f"workspaces.{name}.", folder) for name, each in workspaces.items()
        },
    )
    if not any(each.models or each.default for each in _all_gates(config)):
        raise ConfigError(f'`{path}` names no model to gate; add a section [models."NAME"]')
    return config


def webhook_secret(settings: ListenSettings) -> str:
    """The secret that MLflow signs with, from the environment or from its file.

    Raises:
        ConfigError: there is none, or one that could be guessed.
    """
    secret = os.environ.get(SECRET_VARIABLE, "")
    if not secret and settings.secret_file:
        secret = _secret_in(Path(settings.secret_file))
    if len(secret) < SHORTEST_SECRET:
        raise ConfigError(
            f"the webhook's secret has {len(secret)} characters, expected {SHORTEST_SECRET} or"
            f" more; set `{SECRET_VARIABLE}` or `secret_file`"
        )
    return secret


def _secret_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"`secret_file` `{path}` cannot be read ({error}); write the webhook's secret there"
        ) from error


def _all_gates(config: ListenConfig) -> tuple[Gates, ...]:
    return (config.gates, *config.workspaces.values())


def _gates(document: Any, place: str, folder: Path) -> Gates:
    """The models and the default of a section, which holds nothing else."""
    if not isinstance(document, dict):
        raise ConfigError(f"`{place.rstrip('.')}` is no section")
    models = _sections(document, "models", f'{place}models."NAME"')
    default = document.pop("default", None)
    if document:
        raise ConfigError(
            f"in [{place.rstrip('.')}]: unknown key `{next(iter(document))}`, expected `models` or"
            " `default`"
        )
    return Gates(
        models={
            name: _gate(each, f"{place}models.{name}", folder) for name, each in models.items()
        },
        default=None if default is None else _gate(default, f"{place}default", folder),
    )


def _sections(document: dict[str, Any], name: str, example: str) -> dict[str, Any]:
    found = document.pop(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"`{name}` is no section; write [{example}]")
    return found


def _gate(settings: object, section: str, folder: Path) -> GateSettings:
    if not isinstance(settings, dict):
        raise ConfigError(f"`{section}` is {settings!r}, expected a section [{section}]")
    try:
        return _located(structured(settings, GateSettings), folder, GATE_FILES)
    except ConfigError as error:
        raise ConfigError(f"in [{section}]: {error}") from error


def _located(settings: Settings, folder: Path, names: tuple[str, ...]) -> Settings:
    """The settings with their paths made absolute; each file exists."""
    values = {name: str(getattr(settings, name)) for name in names}
    paths: dict[str, Any] = {}
    for name, value in values.items():
        if value and not URI.match(value):
            paths[name] = str(folder.absolute() / value)
            if not Path(paths[name]).exists():
                raise ConfigError(f"`{name}` is `{value}`, which is not in `{folder}`")
    return replace(settings, **paths)
