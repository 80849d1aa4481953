"""`ban_gate.gate` and `ban_gate.verify`: decisions on versions of registered models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlflow_project.python import given_samples
from mlflow_project.python.decisions import Gated, Verified
from mlflow_project.python.given import models_in
from mlflow_project.python.given_models import Model
from mlflow_project.python.given_samples import Labels, Samples, is_place
from mlflow_project.python.options import (
    Call,
    Device,
    Preprocess,
    config_of,
    preparation_of,
    seconds_of,
)
from mlflow_project.python.recording import connected, target_of
from mlflow_project.python.result import Result
from pipeline.pace.extent import Extent

if TYPE_CHECKING:
    from mlflow_project.commands import ScanCall

KEY_VARIABLE = "BAN_GATE_SIGNING_KEY"
Place = str | os.PathLike[str]


def gate(  # noqa: PLR0913 (all but three by keyword)
    model_uri: str,
    images: Samples,
    labels: Labels = None,
    *,
    promote: str | None = None,
    policy: Place | None = None,
    signing_key: Place | None = None,
    dry_run: bool = False,
    references: Sequence[Model] = (),
    class_names: Sequence[str] = (),
    preprocess: Preprocess = None,
    settings: Mapping[str, object] | None = None,
    seed: int = 0,
    device: Device = "auto",
    output_name: str = "",
    trust_model_code: bool = False,
    quick: bool = False,
    budget: float | str | None = None,
    fresh: bool = False,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Gated:
    """Judges a registered version, tags it with the signed verdict, and promotes it on a pass.

    As `ban-gate gate`: `promote` is the alias that a pass moves, `policy` the file of what a
    version must meet, `signing_key` a PEM file or the URI of a key, by default that of
    `BAN_GATE_SIGNING_KEY` or one made once. The rest is as for `scan`.

    Raises:
        ConfigError: the URI names no version, or a setting, the policy or the key is wrong.
        PlaceError: MLflow failed; nothing was promoted.
    """
    call = Call(
        config=config_of(settings, seed, device, output_name),
        preparation=preparation_of(preprocess, class_names, seed),
        target=target_of(tracking_uri, experiment, always=True),
        trusted=trust_model_code,
        fresh=fresh,
    )
    scan = _Scan(call, model_uri, references, Extent(quick=quick, budget=seconds_of(budget)))
    return _gated(scan, images, labels, _Terms(policy, signing_key, promote, dry_run))


def verify(
    model_uri: str,
    *,
    policy: Place | None = None,
    public_keys: Sequence[Place] = (),
    tracking_uri: str | None = None,
) -> Verified:
    """Whether a registered version may be promoted now, by its attestation and its current files.

    As `ban-gate verify`: `policy` is the file of what a version must meet, `public_keys` are PEM
    files or URIs of the keys whose attestations count, by default those of the policy or the own
    one.

    Raises:
        ConfigError: the URI names no version, or the policy or a key is wrong.
        PlaceError: MLflow failed.
    """
    from mlflow_project.connection import Target  # noqa: PLC0415 (MLflow, where wanted)
    from mlflow_project.gate import gate as gating  # noqa: PLC0415 (same)
    from mlflow_project.gate import trust  # noqa: PLC0415 (same)

    target = Target(uri=tracking_uri)
    with connected(target):
        rules = trust.rules_of(_path(policy), model_uri, target)
        keys = trust.keys_of(rules, [os.fspath(each) for each in public_keys])
        return Verified(model=model_uri, found=gating.verify(model_uri, rules, keys))


@dataclass(frozen=True)
class _Scan:
    """How the version is judged."""

    call: Call
    uri: str
    references: Sequence[Model]
    extent: Extent


@dataclass(frozen=True)
class _Terms:
    """What the verdict decides."""

    policy: Place | None
    key: Place | None
    promote: str | None
    dry_run: bool


def _gated(scan: _Scan, images: Samples, labels: Labels, terms: _Terms) -> Gated:
    from mlflow_project.gate import default_key, trust  # noqa: PLC0415 (MLflow, where wanted)
    from mlflow_project.gate import gate as gating  # noqa: PLC0415 (same)

    target = scan.call.target
    assert target is not None, "a gate always has one"  # noqa: S101 (our own logic)
    key = terms.key or os.environ.get(KEY_VARIABLE)
    with TemporaryDirectory(prefix="ban-gate-") as name, connected(target):
        folder = Path(name)
        samples = given_samples.written(images, labels, scan.call.preparation, folder)
        outcome = gating.gate(
            gating.GateCall(
                scan=_scan_call(scan, samples, folder, repeatable=is_place(images)),
                policy=trust.rules_of(_path(terms.policy), scan.uri, target),
                key=default_key.signing_key(os.fspath(key) if key else None),
                promote=terms.promote,
                dry_run=terms.dry_run,
            )
        )
    return Gated(outcome=outcome, result=Result(scan=outcome.result, page=outcome.page))


def _scan_call(scan: _Scan, samples: str, folder: Path, *, repeatable: bool) -> ScanCall:
    from mlflow_project.commands import ScanCall  # noqa: PLC0415 (MLflow, where wanted)

    call = scan.call
    references = models_in(scan.references, samples, call, folder)
    return ScanCall(
        model=scan.uri,
        uri=scan.uri,
        samples=samples,
        config=call.config,
        preparation=call.preparation,
        trusted=call.trusted,
        references=tuple(each.place for each in references),
        target=call.target,
        fresh=call.fresh,
        quick=scan.extent.quick,
        budget=scan.extent.budget,
        repeatable=repeatable,
    )


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)
