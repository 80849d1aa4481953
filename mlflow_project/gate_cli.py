"""The commands around a registry's gate: options, what is printed, and the exit code."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlflow_project import options
from mlflow_project.logs import log_to_stderr
from pipeline import isolation
from pipeline.printable import printable

if TYPE_CHECKING:
    from mlflow_project.gating import GateOutcome
    from mlflow_project.standing import Standing

PASSED, BLOCKED, UNKNOWN = 0, 1, 3
"""Exit codes of a gate's answers; see `mlflow_project.exits` for those of failures."""

policy_option = click.option(
    "--policy",
    cls=options.GivenOption,
    type=options.EXISTING_FILE,
    metavar="FILE.toml",
    help="What is asked of a version.  [default: only clean passes]",
)
key_option = click.option(
    "--signing-key",
    cls=options.GivenOption,
    envvar="BAN_GATE_SIGNING_KEY",
    type=options.EXISTING_FILE,
    metavar="FILE.pem",
    help="Ed25519 private key.  [default: $BAN_GATE_SIGNING_KEY, else one made once]",
)
public_key_option = click.option(
    "--public-key",
    "public_keys",
    cls=options.GivenOption,
    multiple=True,
    type=options.EXISTING_FILE,
    metavar="FILE.pem",
    help="A key whose attestations count.  May be repeated.  [default: those of the policy, else"
    " the own one]",
)
tracking_uri_option = options.tracking_options[0]


@click.command(short_help="Judge a registered version and promote it if it passes.")
@click.argument("model", metavar="MODEL_URI")
@options.options(
    options.samples_option,
    click.option(
        "--promote",
        cls=options.GivenOption,
        metavar="ALIAS",
        help="Move this alias to the version if it passes.",
    ),
    policy_option,
    key_option,
    click.option("--dry-run", is_flag=True, help="Change nothing in the registry; say what would."),
    options.reference_option,
    *options.native_options,
    options.output_option,
    *options.settings_options,
    *options.tracking_options,
    options.json_option,
    options.fresh_option,
    options.verbose_option,
)
def gate(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    model: str,
    samples: str,
    promote: str | None,
    policy: Path | None,
    signing_key: Path | None,
    dry_run: bool,
    references: tuple[str, ...],
    trust_model_code: bool,
    python: str | None,
    output: Path | None,
    seed: int | None,
    device: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    tracking_uri: str | None,
    experiment: str | None,
    as_json: bool,
    fresh: bool,
    verbose: bool,
) -> None:
    """Judge a version of a registered model, tag it with the verdict, and promote it on a pass.

    MODEL_URI is models:/NAME/VERSION or models:/NAME@ALIAS. The newest earlier versions in good
    standing are compared with. The alias moves last, only on a pass, and never away from a newer
    version.

    \b
      ban-gate gate models:/digits/3 --samples clean.npz --promote champion
      ban-gate gate models:/digits/3 --samples runs:/RUN/clean.npz --policy policy.toml --dry-run

    stdout gets one line, or JSON with --json. Exit code 0: passed, 1: blocked or overtaken by a
    newer version, 3: cannot judge, and the policy blocks that; 4: MLflow failed, nothing was
    promoted, run the same command again.
    """  # noqa: D301 (click wants the backspace character itself)
    log_to_stderr(verbose)
    isolation.warm_up()
    from mlflow_project import commands, gating, own_key, track  # noqa: PLC0415 (heavy: see `cli`)
    from pipeline.config import load_config  # noqa: PLC0415 (same)
    from pipeline.policy import read_policy  # noqa: PLC0415 (same)

    scan = commands.ScanCall(
        model=model,
        uri=model,
        samples=samples,
        config=load_config(config, overrides, seed=seed, device=device),
        trusted=trust_model_code,
        python=python or sys.executable,
        references=references,
        output=output,
        target=track.Target(uri=tracking_uri, experiment=experiment),
        fresh=fresh,
        environment=os.environ,
    )
    rules, key = read_policy(policy), own_key.signing_key(signing_key)
    call = gating.GateCall(scan=scan, policy=rules, key=key, promote=promote, dry_run=dry_run)
    outcome = gating.gate(call)
    click.echo(json.dumps(_document(outcome), indent=2) if as_json else _line(outcome))
    sys.exit(_code(outcome))


@click.command(short_help="Say whether a registered version is in good standing.")
@click.argument("model", metavar="MODEL_URI")
@options.options(
    policy_option,
    public_key_option,
    tracking_uri_option,
    options.json_option,
    options.verbose_option,
)
def verify(
    *,
    model: str,
    policy: Path | None,
    public_keys: tuple[Path, ...],
    tracking_uri: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Check the attestation of MODEL_URI against its files as they are now, a policy and keys.

    Exit code 0: in good standing, 1: not, 3: never gated; 4: the registry failed.
    """
    log_to_stderr(verbose)
    from mlflow_project import gating, own_key, track  # noqa: PLC0415 (heavy: see `cli`)
    from mlflow_project.standing import trusted_keys  # noqa: PLC0415 (same)
    from pipeline.policy import read_policy  # noqa: PLC0415 (same)

    rules = read_policy(policy)
    keys = trusted_keys(rules, *own_key.known_keys(rules, public_keys))
    track.connect(track.Target(uri=tracking_uri))
    told = gating.standing_now(model, rules, keys)
    answer = {"valid": told.valid, "model": model, "reasons": told.reasons}
    line = f"{'valid' if told.valid else 'invalid':<8}  {model}  {'; '.join(told.reasons)}"
    click.echo(json.dumps({"schema": 1, **answer}, indent=2) if as_json else printable(line))
    sys.exit(_standing_code(told))


@click.command(short_help="Return an alias to the version that held it before.")
@click.argument("name")
@click.argument("alias")
@options.options(
    policy_option,
    public_key_option,
    click.option("--force", is_flag=True, help="Also to a version in no good standing."),
    click.option("--reason", cls=options.GivenOption, metavar="TEXT", help="Why; noted."),
    tracking_uri_option,
    options.verbose_option,
)
def rollback(  # noqa: PLR0913 (one parameter per option, as click hands them over)
    *,
    name: str,
    alias: str,
    policy: Path | None,
    public_keys: tuple[Path, ...],
    force: bool,
    reason: str | None,
    tracking_uri: str | None,
    verbose: bool,
) -> None:
    """Return ALIAS of the registered model NAME to the version that held it before.

    Only to a version in good standing, else with --force and a --reason, which is noted. Exit code
    0: returned, 1: refused; 4: the registry failed.
    """
    log_to_stderr(verbose)
    from mlflow_project import gating, own_key, track  # noqa: PLC0415 (heavy: see `cli`)
    from mlflow_project.standing import trusted_keys  # noqa: PLC0415 (same)
    from pipeline.policy import read_policy  # noqa: PLC0415 (same)

    if force and not reason:
        raise click.UsageError("--force needs a --reason, which is noted in the registry")
    rules = read_policy(policy)
    keys = () if force else trusted_keys(rules, *own_key.known_keys(rules, public_keys))
    track.connect(track.Target(uri=tracking_uri))
    told = gating.roll_back(name, alias, rules, keys, forced=force, reason=reason or "")
    click.echo(printable(told.line))
    sys.exit(PASSED if told.returned else BLOCKED)


@click.command(short_help="Make a key to sign attestations with.")
@click.option(
    "--output",
    required=True,
    cls=options.GivenOption,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.pem",
    help="The private key to write; its public half goes beside it, as FILE.pub.pem.",
)
def keygen(*, output: Path) -> None:
    """Make an Ed25519 key pair; an existing file is never replaced."""
    from pipeline import signing  # noqa: PLC0415 (heavy: see `cli`)

    key = signing.make_key(output)
    click.echo(f"{signing.public_path(output)}  {signing.key_id(key.public_key())}")


def _code(outcome: GateOutcome) -> int:
    if outcome.passed:
        return PASSED
    blocked = outcome.decision.action == "block"
    inconclusive = outcome.result.verdict.label == "inconclusive"
    return UNKNOWN if blocked and inconclusive else BLOCKED


def _standing_code(told: Standing) -> int:
    if told.valid:
        return PASSED
    return BLOCKED if told.gated else UNKNOWN


def _line(outcome: GateOutcome) -> str:
    from pipeline.report import summary  # noqa: PLC0415 (heavy: see `cli`)

    waiver = [str(outcome.decision.waiver)] if outcome.decision.waiver else []
    parts = [f"{outcome.decision.action:<5}", summary(outcome.result), *waiver]
    if outcome.promotion and outcome.promotion.moved:
        parts.append(_move(outcome))
    if outcome.dry_run:
        parts.append("(dry run)")
    return printable("  ".join((*parts, *outcome.objections)))


def _move(outcome: GateOutcome) -> str:
    promotion = outcome.promotion
    assert promotion is not None, "the caller has one"  # noqa: S101 (our own logic)
    before = "none" if promotion.previous is None else promotion.previous
    return f"{promotion.alias}: {before} → {outcome.version.version}"


def _document(outcome: GateOutcome) -> dict[str, object]:
    promotion, claim = outcome.promotion, outcome.claim
    return {
        "schema": 1,
        "gate": claim.action,
        "passed": outcome.passed,
        "model": claim.model,
        "version": claim.version,
        "verdict": claim.verdict,
        "p_value": claim.p_value,
        "suspected_class": claim.suspected_class,
        "reasons": [*outcome.objections, *claim.reasons],
        "waiver": claim.waiver,
        "content_digest": claim.content_digest,
        "references": claim.references,
        "run_id": claim.run_id,
        "alias": promotion.alias if promotion else None,
        "moved": bool(promotion and promotion.moved and not outcome.dry_run),
        "previous": promotion.previous if promotion else None,
        "dry_run": outcome.dry_run,
    }
