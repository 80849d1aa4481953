"""The listener's configuration: whose webhooks it takes, and how each model is gated."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mlflow_project.listener.webhook import ModelVersionName
from pipeline.structure import read_toml, structured
from stages.errors import ConfigError

SECRET_VARIABLE = "BAN_GATE_WEBHOOK_SECRET"  # noqa: S105 (the name of the variable)
SHORTEST_SECRET = 16  # characters
GATE_COMMAND = (sys.executable, "-m", "mlflow_project", "gate")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
EXAMPLE = """'[models.net]' followed by 'samples = "clean.npz"'"""
LISTEN_FILES = ("secret_file", "tls_certificate", "tls_key")
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

    A delivery may be `max_age` seconds old and `max_body` bytes long. A gate may take
    `gate_seconds`; one that finds no server, or dies, is started up to `attempts` times, after
    `backoff` seconds at first and then after twice as long each time. `command` starts a gate.
    """

    secret_file: str = ""
    max_age: float = 300.0
    max_body: int = 1_048_576
    gate_seconds: float = 14_400.0
    attempts: int = 6
    backoff: float = 30.0
    command: tuple[str, ...] = GATE_COMMAND
    tls_certificate: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        for name in ("max_age", "max_body", "gate_seconds", "attempts", "backoff"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"setting `{name}` is {getattr(self, name)}, expected above 0")
        if not self.command:
            raise ConfigError("setting `command` is empty, expected the words that start a gate")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("`tls_certificate` and `tls_key` go together; give both or neither")


@dataclass(frozen=True, kw_only=True)
class ListenConfig:
    """A listener's settings, the models it gates, and how it gates any other, if it does."""

    settings: ListenSettings
    models: dict[str, GateSettings] = field(default_factory=dict)
    default: GateSettings | None = None

    def gate_for(self, name: str) -> GateSettings | None:
        """How versions of a registered model are gated; None if they are not."""
        return self.models.get(name, self.default)


Settings = TypeVar("Settings", GateSettings, ListenSettings)


def load_listen_config(path: Path) -> ListenConfig:
    """The configuration in a TOML file.

    Raises:
        ConfigError: it is not TOML, a key is unknown, a value is wrong, or a file is missing.
    """
    document = read_toml(path, "config", EXAMPLE)
    models = document.pop("models", {})
    default = document.pop("default", None)
    if not isinstance(models, dict):
        raise ConfigError('`models` is no section; write [models."NAME"]')
    folder = path.parent
    config = ListenConfig(
        settings=_located(structured(document, ListenSettings), folder, LISTEN_FILES),
        models={name: _gate(each, f"models.{name}", folder) for name, each in models.items()},
        default=None if default is None else _gate(default, "default", folder),
    )
    if not config.models and config.default is None:
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
