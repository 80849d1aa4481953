"""`ban-gate settings`: what can be set, to what, and what it is set to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import click

from mlflow_project.cli.options import SettingsOptions
from mlflow_project.cli.parameters import flag, option, taking

if TYPE_CHECKING:
    from pipeline.settings_kinds import SettingsKind

OTHERS = ("policy", "listener")
"""What else than a scan has settings in a file."""


@dataclass(frozen=True, kw_only=True)
class ListingOptions:
    """The options of `settings`."""

    of: Annotated[
        str,
        option(
            "--of",
            type=click.Choice(["scan", *OTHERS]),
            default="scan",
            show_default=True,
            help="Whose settings; --config, --set and the like are about those of a scan.",
        ),
    ]
    settings: SettingsOptions
    json_schema: Annotated[
        bool, flag("--json-schema", help="Print the JSON Schema of a file of settings instead.")
    ]
    markdown: Annotated[bool, flag("--markdown", help="Print the page of the docs instead.")]
    digest: Annotated[
        bool,
        flag(
            "--digest",
            help="Print the digest of all settings that can change a verdict, by which a policy"
            " accepts them.",
        ),
    ]


@click.command(short_help="Print every setting: meaning, range and value.")
@taking(ListingOptions)
def settings(options: ListingOptions) -> None:
    """Print a file of all settings of a scan, with what each means and what it may be.

    \b
    A file to start from:
      ban-gate settings > scan.toml
    What a file and other settings come to, or what is wrong with them:
      ban-gate settings --config scan.toml --set judge.false_alarm_rate=0.01

    What a policy names to accept all of them together:
      ban-gate settings --digest --set judge.false_alarm_rate=0.01

    What a policy or the listener's file may say:
      ban-gate settings --of policy > policy.toml

    Nothing is loaded and no model is needed. Exit code 2: a setting is unknown or wrong.
    """  # noqa: D301 (click wants the backspace character itself)
    if options.of in OTHERS:
        click.echo(_told(_kind(options.of), options), nl=False)
        return
    from pipeline import settings_page  # noqa: PLC0415 (see `main`)
    from pipeline.config import config_digest  # noqa: PLC0415 (same)

    config = options.settings.scan_config()
    if options.digest:
        click.echo(f"sha256:{config_digest(config)}")
    elif options.json_schema:
        click.echo(json.dumps(settings_page.settings_schema(), indent=2))
    elif options.markdown:
        click.echo(settings_page.settings_markdown(), nl=False)
    else:
        click.echo(settings_page.settings_file(config), nl=False)


def _kind(name: str) -> SettingsKind:
    """The settings of a policy or of the listener."""
    from pipeline.settings_kinds import SettingsKind  # noqa: PLC0415 (see `main`)

    if name == "policy":
        from pipeline.gate.policy import Policy  # noqa: PLC0415 (same)

        return SettingsKind(
            name=name,
            title="Settings of a policy",
            about="`--policy FILE.toml` and a guarded server's `BAN_GATE_POLICY` read them;"
            " [gate.md](gate.md#policy) explains what a policy decides.",
            kind=Policy,
            places={"Waiver": "[[waiver]]"},
        )
    from mlflow_project.listener.config import ListenFile  # noqa: PLC0415 (same)

    return SettingsKind(
        name=name,
        title="Settings of the listener",
        about="`ban-gate listen --config FILE.toml` reads them; [listen.md](listen.md) explains the"
        " listener.",
        kind=ListenFile,
        places={"GateSettings": '[models."NAME"] or [default]'},
    )


def _told(kind: SettingsKind, options: ListingOptions) -> str:
    if options.json_schema:
        return json.dumps(kind.schema(), indent=2) + "\n"
    return kind.markdown() if options.markdown else kind.file()
