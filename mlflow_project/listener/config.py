"""The listener's configuration: whose webhooks it takes, and how each model is gated."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from mlflow_project.alias_names import require_alias
from mlflow_project.listener.webhook import ModelVersionName
from pipeline.settings_file import read_settings
from stages.errors import ConfigError
from stages.settings import Seconds, Text, bounded, settings

SECRET_VARIABLE = "BAN_GATE_WEBHOOK_SECRET"  # noqa: S105 (the name of the variable)
FIRST_WORKSPACE = "default"
"""The workspace that every server has which has any."""
SHORTEST_SECRET = 16  # characters
GATE_COMMAND = (sys.executable, "-m", "mlflow_project", "gate")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
EXAMPLE = """'[models.net]' followed by 'samples = "clean.npz"'"""
LISTEN_FILES = ("secret_file", "tls_certificate", "tls_key")
GATE_FILES = ("samples", "policy", "signing_key", "config")


@settings
class GateSettings:
    """How versions of one registered model are gated: the options of `ban-gate gate`.

    Relative paths are relative to the folder of the configuration. An empty text means "not given".
    """

    samples: Text
    """Clean samples, as for `--samples`."""
    promote: Text = ""
    """The alias that a pass moves."""
    policy: Text = ""
    """The policy's file."""
    signing_key: Text = ""
    """A key as for `--signing-key`: a file, or the URI of a provider."""
    tracking_uri: Text = ""
    """MLflow's server."""
    experiment: Text = ""
    """The experiment of the runs."""
    config: Text = ""
    """A file of settings of the scan."""
    set: tuple[Text, ...] = ()
    """Settings as for `--set`; the policy has to name what they change."""
    reference: tuple[Text, ...] = ()
    """References as for `--reference`; the policy has to name them."""

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


@settings
class ListenSettings:
    """The settings of the listener itself."""

    secret_file: Text = ""
    """File with the webhook's secret; `BAN_GATE_WEBHOOK_SECRET` takes precedence."""
    max_age: Seconds = 300.0
    """How much the time of a delivery may differ from now, in either direction."""
    max_body: Annotated[int, bounded("bytes", ge=1, le=2**30)] = 1_048_576
    """The largest delivery."""
    gate_seconds: Seconds = 14_400.0
    """Time after which a gate is stopped."""
    attempts: Annotated[int, bounded("starts", ge=1, le=1000)] = 6
    """How often a gate is started that hangs, is killed, or ends with an internal error."""
    backoff: Seconds = 30.0
    """Time before the second start; doubled each time, at most an hour, and up to a quarter more or
    less by chance.
    """
    give_up_after: Seconds = 259_200.0
    """Time after which a gate that still finds no server or storage is given up."""
    catch_up: Annotated[float, bounded("s", ge=0, le=604_800)] = 3_600.0
    """Time between two looks for versions that were never gated; the first is at the start, and
    with 0 there is none.
    """
    command: tuple[Text, ...] = ()
    """Words that start a gate, such as `["nice", "ban-gate", "gate"]`; the model's address and the
    options follow. Empty: this ban-gate.
    """
    tls_certificate: Text = ""
    """PEM file; without it and its key the listener speaks http."""
    tls_key: Text = ""
    """PEM file of the certificate's key."""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("`tls_certificate` and `tls_key` go together; give both or neither")


@settings
class Gates:
    """The models of one workspace that are gated, and how any other there is, if it is."""

    models: dict[str, GateSettings] = field(default_factory=dict)
    """How versions of each registered model are gated, by its name."""
    default: GateSettings | None = None
    """How versions of all others are; without it they are ignored and logged."""


@settings
class ListenFile(ListenSettings):
    """What a file of settings of the listener may hold."""

    models: dict[str, GateSettings] = field(default_factory=dict)
    """How versions of each registered model are gated, by its name."""
    default: GateSettings | None = None
    """How versions of all others are; without it they are ignored and logged."""
    workspaces: dict[str, Gates] = field(default_factory=dict)
    """The models of other workspaces than `default`, by the workspace."""


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
    found, folder = read_settings(path, ListenFile, "listener", EXAMPLE), path.parent
    config = ListenConfig(
        settings=_located(found, folder, LISTEN_FILES),
        gates=_gates(Gates(models=found.models, default=found.default), "", folder),
        workspaces={
            name: _gates(each, f"workspaces.{name}.", folder)
            for name, each in found.workspaces.items()
        },
    )
    if not any(each.models or each.default for each in (config.gates, *config.workspaces.values())):
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


def _gates(given: Gates, place: str, folder: Path) -> Gates:
    models = {
        name: _gate(each, f"{place}models.{name}", folder) for name, each in given.models.items()
    }
    return Gates(
        models=models, default=given.default and _gate(given.default, f"{place}default", folder)
    )


def _gate(given: GateSettings, section: str, folder: Path) -> GateSettings:
    try:
        return _located(given, folder, GATE_FILES)
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
