"""The commands around a registry's gate: options, what is printed, and the exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mlflow_project.cli.logs import log_to_stderr
from mlflow_project.cli.options import (
    EXISTING_FILE,
    FILE,
    AsJson,
    Fresh,
    JudgingOptions,
    Samples,
    TrackingUri,
    Verbose,
    VersionUri,
)
from mlflow_project.cli.parameters import argument, flag, option, taking
from pipeline.gate.key_place import require_place
from pipeline.intake import sandbox
from pipeline.printable import printable

if TYPE_CHECKING:
    from mlflow_project.connection import Target
    from mlflow_project.gate.gate import GateOutcome
    from pipeline.gate.keys import PublicKey
    from pipeline.gate.policy import Policy
    from pipeline.gate.verification import Verification

PASSED, BLOCKED, UNKNOWN = 0, 1, 3
"""Exit codes of a gate's answers; see `mlflow_project.cli.exit_codes` for those of failures."""

PolicyFile = Annotated[
    Path | None,
    option(
        "--policy",
        type=EXISTING_FILE,
        metavar="FILE.toml",
        help="What a version must meet.  [default: only clean passes]",
    ),
]


class KeyPlace(click.ParamType[str]):
    """A PEM file that is there, or the URI of a key that a provider keeps."""

    name = "key"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        """The text as it is; nothing is asked for before the command runs."""
        return require_place(value)


SigningKey = Annotated[
    str | None,
    option(
        "--signing-key",
        envvar="BAN_GATE_SIGNING_KEY",
        type=KeyPlace(),
        metavar="KEY",
        help="Private key: a PEM file, or a URI of one that AWS (awskms:), Google (gcpkms:), Azure"
        " (azurekms:), Vault (hv:) or a token (hsm:) keeps.  [default: $BAN_GATE_SIGNING_KEY, else"
        " one made once]",
    ),
]


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """The options of `gate`."""

    model: VersionUri
    samples: Samples
    promote: Annotated[
        str | None,
        option("--promote", metavar="ALIAS", help="Move this alias to the version if it passes."),
    ]
    policy: PolicyFile
    signing_key: SigningKey
    dry_run: Annotated[
        bool, flag("--dry-run", help="Change nothing in the registry; say what would happen.")
    ]
    judging: JudgingOptions
    as_json: AsJson
    fresh: Fresh
    verbose: Verbose


@click.command(short_help="Judge a registered version and promote it if it passes.")
@taking(GateOptions)
def gate(options: GateOptions) -> None:
    """Judge a version of a registered model, tag it with the verdict, and promote it on a pass.

    MODEL_URI is models:/NAME/VERSION or models:/NAME@ALIAS. It is compared with the newest
    earlier versions that pass verification. The alias moves last, only on a pass, and never away
    from a newer version.

    \b
      ban-gate gate models:/digits/3 --samples clean.npz --promote champion
      ban-gate gate models:/digits/3 --samples runs:/RUN/clean.npz --policy policy.toml --dry-run

    stdout gets one line, or JSON with --json. Exit code 0: passed, 1: blocked or overtaken by a
    newer version, 3: cannot judge, and the policy blocks that; 4: MLflow failed, nothing was
    promoted, run the same command again.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(options.verbose)
    config = options.judging.settings.scan_config()
    from pipeline.gate.rules import read_rules  # noqa: PLC0415 (heavy: see `main`)

    rules = read_rules(options.policy)  # before anything that takes seconds
    from mlflow_project.gate import default_key  # noqa: PLC0415 (heavy: see `main`)

    key = default_key.signing_key(options.signing_key)
    sandbox.warm_up()
    from mlflow_project.gate import gate as gating  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import told  # noqa: PLC0415 (same)
    from mlflow_project.registry.model_policy import policy_for  # noqa: PLC0415 (same)

    target = options.judging.tracking.target()
    call = gating.GateCall(
        scan=options.judging.call(options.model, options.samples, config, fresh=options.fresh),
        policy=policy_for(rules, options.model, target),
        key=key,
        promote=options.promote,
        dry_run=options.dry_run,
    )
    outcome = gating.gate(call)
    as_json = options.as_json
    click.echo(
        json.dumps(told.gate_document(outcome), indent=2) if as_json else told.gate_line(outcome)
    )
    sys.exit(_code(outcome))


@dataclass(frozen=True, kw_only=True)
class TrustOptions:
    """Which versions count as verified: what `verify` and `rollback` share."""

    policy: PolicyFile
    public_keys: Annotated[
        tuple[str, ...],
        option(
            "--public-key",
            multiple=True,
            type=KeyPlace(),
            metavar="KEY",
            help="A key whose attestations count: a PEM file, or a URI as for --signing-key.  May"
            " be repeated.  [default: those of the policy, else the own one]",
        ),
    ]

    def rules(self, name_or_uri: str, target: Target) -> Policy:
        """The policy of a registered model, by its name or the URI of a version.

        Raises:
            ConfigError: its file cannot be read or holds none.
            TrackingError, RegistryError: its rules need tags, and the server does not answer.
        """
        from mlflow_project.gate import trust  # noqa: PLC0415 (heavy: see `main`)

        return trust.rules_of(self.policy, name_or_uri, target)

    def keys(self, rules: Policy) -> tuple[PublicKey, ...]:
        """The keys whose attestations count under this policy.

        Raises:
            ConfigError: a key cannot be read, or there is none.
        """
        from mlflow_project.gate import trust  # noqa: PLC0415 (heavy: see `main`)

        return trust.keys_of(rules, self.public_keys)


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The options of `verify`."""

    model: VersionUri
    trust: TrustOptions
    tracking_uri: TrackingUri
    as_json: AsJson
    verbose: Verbose


@click.command(short_help="Say whether a registered version passes verification.")
@taking(VerifyOptions)
def verify(options: VerifyOptions) -> None:
    """Check the attestation of MODEL_URI against its files as they are now, a policy and keys.

    Exit code 0: it passes, 1: it does not, 3: never gated; 4: the registry failed.
    """
    log_to_stderr(options.verbose)
    from mlflow_project import connection  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import gate as gating  # noqa: PLC0415 (same)
    from mlflow_project.gate import told  # noqa: PLC0415 (same)

    model, target = options.model, connection.Target(uri=options.tracking_uri)
    rules = options.trust.rules(model, target)
    keys = options.trust.keys(rules)
    connection.connect(target)
    found = gating.verify(model, rules, keys)
    document = told.verification_document(model, found)
    click.echo(
        json.dumps(document, indent=2) if options.as_json else told.verification_line(model, found)
    )
    sys.exit(_verification_code(found))


@dataclass(frozen=True, kw_only=True)
class RollbackOptions:
    """The options of `rollback`."""

    name: Annotated[str, argument()]
    alias: Annotated[str, argument()]
    trust: TrustOptions
    force: Annotated[
        bool, flag("--force", help="Also to a version that does not pass verification.")
    ]
    reason: Annotated[str | None, option("--reason", metavar="TEXT", help="Why; it is kept.")]
    tracking_uri: TrackingUri
    verbose: Verbose


@click.command(short_help="Return an alias to the version that held it before.")
@taking(RollbackOptions)
def rollback(options: RollbackOptions) -> None:
    """Return ALIAS of the registered model NAME to the version that held it before.

    Only to a version that passes verification, or with --force and a --reason, which is kept.
    Exit code 0: returned, 1: refused; 4: the registry failed.
    """
    log_to_stderr(options.verbose)
    from mlflow_project import connection  # noqa: PLC0415 (heavy: see `main`)
    from mlflow_project.gate import rollback as returning  # noqa: PLC0415 (same)

    if options.force and not options.reason:
        raise click.UsageError("--force needs a --reason, which is kept in the registry")
    target = connection.Target(uri=options.tracking_uri)
    rules = options.trust.rules(options.name, target)
    keys = () if options.force else options.trust.keys(rules)
    connection.connect(target)
    outcome = returning.roll_back(
        options.name,
        options.alias,
        rules,
        keys,
        forced=options.force,
        reason=options.reason or "",
    )
    click.echo(printable(outcome.line))
    sys.exit(PASSED if outcome.returned else BLOCKED)


@dataclass(frozen=True, kw_only=True)
class KeygenOptions:
    """The options of `keygen`."""

    output: Annotated[
        Path,
        option(
            "--output",
            required=True,
            type=FILE,
            metavar="FILE.pem",
            help="The private key to write; its public half goes beside it, as FILE.pub.pem.",
        ),
    ]
    public_of: Annotated[
        str | None,
        option(
            "--public-of",
            type=KeyPlace(),
            metavar="KEY",
            help="Make no key, but write the public half of this one, as a provider states it.",
        ),
    ]


@click.command(short_help="Make a key to sign attestations with.")
@taking(KeygenOptions)
def keygen(options: KeygenOptions) -> None:
    """Make an Ed25519 key pair; an existing file is never replaced.

    \b
      ban-gate keygen --output gate.pem
      ban-gate keygen --public-of awskms:alias/gate --output gate.pub.pem
    """  # noqa: D301 (click wants the backspace character itself)
    from mlflow_project.gate import default_key  # noqa: PLC0415 (heavy: see `main`)
    from pipeline.gate import keys  # noqa: PLC0415 (same)

    if options.public_of:
        key = keys.public_of(options.public_of, default_key.secret)
        path = keys.write_public(options.output, key)
    else:
        key, path = keys.make_key(options.output).public_key, keys.public_path(options.output)
    click.echo(f"{path}  {key.keyid}")


def _code(outcome: GateOutcome) -> int:
    if outcome.passed:
        return PASSED
    blocked = outcome.decision.action == "block"
    inconclusive = outcome.result.verdict.label == "inconclusive"
    return UNKNOWN if blocked and inconclusive else BLOCKED


def _verification_code(verification: Verification) -> int:
    if verification.valid:
        return PASSED
    return BLOCKED if verification.gated else UNKNOWN
