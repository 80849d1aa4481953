"""Makes the plan of a sweep."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlflow_project import connection
from mlflow_project.gate import default_key
from mlflow_project.output_files import prepare_output
from mlflow_project.sweep.requests import limited
from mlflow_project.sweep.sources import (
    Found,
    Registered,
    found_in,
    is_registry,
    without_credentials,
)
from mlflow_project.uris import is_uri
from pipeline.config import ScanConfig, config_digest
from pipeline.gate.policy import policy_digest, read_policy
from pipeline.gate.verification import trusted_keys
from pipeline.sweep.keys import digest_of, path_digest
from pipeline.sweep.plan import Head, Line, Plan, Samples, Settings, id_of, in_order, write_plan
from pipeline.sweep.sample_table import SampleRule, place_for, read_rules
from pipeline.versions import versions_of
from stages.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PlanCall:
    """One call of `sweep plan`; `config` is what `settings` come to.

    `samples` is a table of rules (`.toml`), or the samples of every model; None for none.
    """

    sources: tuple[str, ...]
    folder: Path
    config: ScanConfig
    settings: Settings
    samples: str | None = None
    policy: Path | None = None
    public_keys: tuple[str, ...] = ()
    tracking_uri: str | None = None
    models: tuple[str, ...] = ()
    newest: int = 0
    requests: float = 20.0
    trust_model_code: bool = False
    python: str | None = None


def make_plan(call: PlanCall) -> Plan:
    """Lists what the sources name and writes the plan into the folder.

    Raises:
        ConfigError: a source, the samples, the policy or the folder cannot be used, or there is
            nothing to judge.
        RegistryError: the registry does not answer.
    """
    prepare_output(call.folder)
    registry = _registry(call)
    if registry:
        connection.connect(connection.Target(uri=registry))
    head = _head(call, registry)
    wanted = _wanted(call)
    with limited(call.requests):
        found = {each.source: each for source in call.sources for each in found_in(source, wanted)}
    if not found:
        raise ConfigError(
            f"there is no model in {', '.join(call.sources)}; a folder needs files such as .onnx or"
            " folders that MLflow wrote, a registry versions that `--models` fits"
        )
    rules = _rules(call)
    plan = Plan(head=head, lines=in_order(_lines(found.values(), rules, head)))
    write_plan(plan, call.folder)
    return plan


def require_policy(head: Head) -> None:
    """Raises unless the policy is still the one that was planned with.

    Raises:
        ConfigError: it is not.
    """
    path = Path(head.policy) if head.policy else None
    if path and policy_digest(read_policy(path)) != head.policy_digest:
        raise ConfigError(f"the policy `{path}` has changed since the plan was made; plan again")


def _registry(call: PlanCall) -> str | None:
    named = [each for each in call.sources if is_registry(each)]
    if len(named) > 1:
        raise ConfigError(f"{len(named)} registries are named, expected one; make a plan for each")
    if named and without_credentials(named[0]) != named[0]:
        logger.warning(
            "the plan holds no credentials; `sweep run` takes them from MLFLOW_TRACKING_USERNAME"
            " and MLFLOW_TRACKING_PASSWORD, or from `--tracking-uri`"
        )
    return named[0] if named else call.tracking_uri


def _wanted(call: PlanCall) -> Registered:
    policy = read_policy(call.policy)
    keys = trusted_keys(policy)
    with suppress(ConfigError):  # no key is known: then no attestation counts
        keys = trusted_keys(policy, *default_key.known_keys(policy, call.public_keys))
    return Registered(policy=policy, keys=keys, models=call.models, newest=call.newest)


def _head(call: PlanCall, registry: str | None) -> Head:
    policy = read_policy(call.policy)
    settings, config = call.settings, call.config
    if policy.false_alarm_rate is not None:
        rate = policy.false_alarm_rate
        added = f"judge.false_alarm_rate={rate!r}"
        settings = replace(settings, overrides=(*settings.overrides, added))
        config = replace(config, judge=replace(config.judge, false_alarm_rate=rate))
    return Head(
        scanner=versions_of(("ban-gate",)).get("ban-gate", ""),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        sources=tuple(map(without_credentials, call.sources)),
        settings=settings,
        settings_digest=config_digest(config),
        false_alarm_rate=config.judge.false_alarm_rate,
        samples=tuple(map(_samples, _rules(call))),
        tracking_uri=without_credentials(registry) if registry else None,
        policy=str(call.policy.absolute()) if call.policy else None,
        policy_digest=policy_digest(policy) if call.policy else None,
        trust_model_code=call.trust_model_code,
        python=call.python,
    )


def _rules(call: PlanCall) -> tuple[SampleRule, ...]:
    """The rules, with their paths absolute."""
    if call.samples is None:
        return ()
    if not call.samples.endswith(".toml"):
        return (SampleRule(models="*", path=_located(call.samples, Path.cwd())),)
    folder = Path(call.samples).absolute().parent
    return tuple(
        replace(
            each,
            path=_located(each.path, folder),
            class_names=_located(each.class_names, folder) if each.class_names else "",
            reference=tuple(_located(one, folder) for one in each.reference),
        )
        for each in read_rules(Path(call.samples))
    )


def _located(path: str, folder: Path) -> str:
    """A path beside the table made absolute; a URI as it is.

    Raises:
        ConfigError: there is nothing there.
    """
    if is_uri(path):
        return path
    place = folder / path
    if not place.exists():
        raise ConfigError(f"`{path}` is not in `{folder}`; correct the table of samples")
    return str(place)


def _samples(rule: SampleRule) -> Samples:
    places = (rule.path, *filter(None, (rule.class_names,)), *rule.reference)
    local = not any(map(is_uri, places))
    facts = [*map(path_digest, map(Path, places)), rule.preprocess] if local else []
    return Samples(
        path=rule.path,
        preprocess=rule.preprocess,
        class_names=rule.class_names,
        reference=rule.reference,
        digest=digest_of(facts) if local else "",
    )


def _lines(found: Iterable[Found], rules: Sequence[SampleRule], head: Head) -> Iterable[Line]:
    for each in found:
        place = place_for(each.name, rules)
        samples = None if place is None else head.samples[place]
        registry = head.tracking_uri if is_uri(each.source) else None
        yield Line(
            id=id_of(each.source, registry),
            name=each.name,
            version=each.version,
            source=each.source,
            standing=each.standing,
            why=each.why,
            content_digest=each.content_digest,
            samples=place,
            samples_path=samples.path if samples else None,
            samples_digest=(samples.digest or None) if samples else None,
            policy_digest=head.policy_digest,
        )
