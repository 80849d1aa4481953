"""The commands by which people decide about a gated version: revoke, approve and promote."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import click

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
    keys = options.trust.keys(options.trust.rules())
    _tell(decisions.revoke(options.model, keys, key, options.reason, options.tracking.target()))


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
    from mlflow_project import tracking  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import decisions, default_key  # noqa: PLC0415 (same)

    key = default_key.signing_key(options.signing_key)
    keys = options.trust.keys(options.trust.rules())
    tracking.connect(tracking.Target(uri=options.tracking_uri))
    _tell(decisions.approve(options.model, keys, key, options.reason))


@dataclass(frozen=True, kw_only=True)
class PromoteOptions:
    """The options of `promote`."""

    model: VersionUri
    alias: Annotated[str, argument()]
    trust: TrustOptions
    tracking_uri: TrackingUri
    verbose: Verbose


@click.command(short_help="Move an alias to a version that passes verification.")
@taking(PromoteOptions)
def promote(options: PromoteOptions) -> None:
    """Move ALIAS to MODEL_URI if that passes verification now, and never away from a newer version.

    Exit code 0: moved, 1: refused; 4: the registry failed.
    """
    log_to_stderr(options.verbose)
    from mlflow_project import tracking  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import decisions  # noqa: PLC0415 (same)

    rules = options.trust.rules()
    keys = options.trust.keys(rules)
    tracking.connect(tracking.Target(uri=options.tracking_uri))
    _tell(decisions.promote(options.model, options.alias, rules, keys))


def _tell(decided: Decided) -> None:
    click.echo(printable(decided.line))
    sys.exit(PASSED if decided.done else BLOCKED)
