"""The commands by which people decide about a gated version: revoke, approve and promote."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn

import click

from mlflow_project.alias_names import require_alias
from mlflow_project.cli.gate import BLOCKED, PASSED, SigningKey, TrustOptions
from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import TrackingOptions, TrackingUri, Verbose, VersionUri
from mlflow_project.cli.parameters import argument, option, taking
from pipeline.printable import printable

if TYPE_CHECKING:
    from mlflow_project.gate.decisions import Decided

Reason = Annotated[
    str, option("--reason", required=True, metavar="TEXT", help="Why; signed and shown.")
]


@dataclass(frozen=True, kw_only=True)
class RevokeOptions:
    """The options of `revoke`."""

    model: VersionUri
    reason: Reason
    signing_key: SigningKey
    trust: TrustOptions
    tracking: TrackingOptions
    verbose: Verbose


@click.command(short_help="Revoke the decision on a registered version.")
@taking(RevokeOptions)
def revoke(options: RevokeOptions) -> None:
    """Revoke the newest decision on MODEL_URI: a signed block, until a gate passes it again.

    stdout gets the sha256 of the attestation that was revoked, for `revoked` in a policy, and the
    aliases that the version still holds. Exit code 0: revoked, 3: never gated; 4: MLflow failed.
    """
    log_to_stderr(options.verbose)
    from mlflow_project.gate import decisions, default_key  # noqa: PLC0415 (heavy: see `main`)

    key = default_key.signing_key(options.signing_key)
    target = options.tracking.target()
    keys = options.trust.keys(options.trust.rules(options.model, target))
    _tell(decisions.revoke(options.model, keys, key, options.reason, target))


@dataclass(frozen=True, kw_only=True)
class ApproveOptions:
    """The options of `approve`."""

    model: VersionUri
    reason: Reason
    signing_key: SigningKey
    trust: TrustOptions
    tracking_uri: TrackingUri
    verbose: Verbose


@click.command(short_help="Approve the pass of a registered version with a second key.")
@taking(ApproveOptions)
def approve(options: ApproveOptions) -> None:
    """Approve the newest pass of MODEL_URI with a key other than the one that signed it.

    A policy asks for such approvals by `approvals`. A newer decision needs new ones. Exit code 0:
    approved, 1: refused, 3: never gated; 4: the registry failed.
    """
    log_to_stderr(options.verbose)
    from mlflow_project import connection  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import decisions, default_key  # noqa: PLC0415 (same)

    key = default_key.signing_key(options.signing_key)
    target = connection.Target(uri=options.tracking_uri)
    keys = options.trust.keys(options.trust.rules(options.model, target))
    connection.connect(target)
    _tell(decisions.approve(options.model, keys, key, options.reason))


@dataclass(frozen=True, kw_only=True)
class PromoteOptions:
    """The options of `promote`."""

    model: VersionUri
    to: Annotated[str, argument(metavar="ALIAS|models:/NAME[@ALIAS]")]
    to_tracking_uri: Annotated[
        str | None,
        option(
            "--to-tracking-uri",
            metavar="URI",
            help="The MLflow server to copy the version to.  [default: the one it is in]",
        ),
    ]
    to_workspace: Annotated[
        str | None,
        option(
            "--to-workspace",
            metavar="NAME",
            help="The workspace to copy the version to.  [default: the one it is in]",
        ),
    ]
    signing_key: SigningKey
    trust: TrustOptions
    tracking: TrackingOptions
    verbose: Verbose


@click.command(
    short_help="Move an alias to a version that passes verification, or copy the version."
)
@taking(PromoteOptions)
def promote(options: PromoteOptions) -> None:
    """Move ALIAS to MODEL_URI if that passes verification now, and never away from a newer version.

    Or copy the version to the registered model NAME, in another workspace or on another server if
    these are given, and attest the copy there without a new scan, if the old attestation meets the
    policy of that place. The copy is as old as the verdict. --experiment is that of the run there;
    variables named BAN_GATE_TO_... hold there, such as BAN_GATE_TO_MLFLOW_TRACKING_TOKEN.

    \b
      ban-gate promote models:/digits/3 champion
      ban-gate promote models:/digits/3 models:/digits-prod@champion --policy prod.toml \\
        --to-tracking-uri https://mlflow.prod.example.org

    Exit code 0: moved or copied, 1: refused; 4: a registry failed.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    from mlflow_project import connection  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import carry, decisions, default_key  # noqa: PLC0415 (same)

    name, alias = _destination(options)
    source = connection.Target(uri=options.tracking.tracking_uri)
    if name is None:
        rules = options.trust.rules(options.model, source)
        keys = options.trust.keys(rules)
        connection.connect(source)
        _tell(decisions.promote(options.model, alias or "", rules, keys))
    key = default_key.signing_key(options.signing_key)
    connection.connect(source)
    to = carry.Destination(
        name=name,
        alias=alias,
        target=connection.Target(
            uri=options.to_tracking_uri, experiment=options.tracking.experiment
        ),
        workspace=options.to_workspace,
    )
    with carry.at(to):
        rules = options.trust.rules(name, to.target)
    _tell(carry.carry(options.model, to, rules, options.trust.keys(rules), key))


def _destination(options: PromoteOptions) -> tuple[str | None, str | None]:
    """The model to copy to, None if it is to be the same version, and the alias to move."""
    path = options.to.removeprefix("models:/")
    elsewhere = options.to_tracking_uri or options.to_workspace
    if path == options.to and elsewhere:
        raise click.UsageError("a copy needs the name of its model; expected models:/NAME[@ALIAS]")
    if path == options.to:
        require_alias(options.to)
        return None, options.to
    name, _, alias = path.partition("@")
    if not name or "/" in name or (not alias and "@" in path):
        raise click.UsageError(f"{options.to!r} is no model; expected models:/NAME[@ALIAS]")
    if alias:
        require_alias(alias)
    return name, alias or None


def _tell(decided: Decided) -> NoReturn:
    click.echo(printable(decided.line))
    sys.exit(PASSED if decided.done else BLOCKED)
