"""A policy accepts no way to a verdict that it does not name, and names what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.changed_settings import changed_settings
from pipeline.config import ScanConfig, config_digest, flat_settings, load_config
from pipeline.gate.acceptance import accepts_version
from pipeline.gate.attestation import Attestation, attest
from pipeline.gate.policy import Policy
from pipeline.gate.provenance import ChangedSetting, Provenance
from pipeline.gate.verification import (
    ATTESTATION_TAG,
    Verification,
    VersionFacts,
    verify_version,
)
from stages.errors import ConfigError
from tests.support.attestations import KEY, PUBLIC, claim, provenance

NOW = datetime(2026, 11, 25, 13, tzinfo=UTC)
SHIPPED = flat_settings(ScanConfig())
RESOURCES = {
    name
    for name in SHIPPED
    if name.split(".")[0] in ("device", "isolation")
    or name.endswith((".seconds", ".memory_mb", ".until_certain"))
}
"""Settings of where a scan runs and what it may take: at such a limit it ends without a pass."""


def others(name: str) -> list[str]:
    """Values on both sides of the shipped one, as `--set` takes them."""
    match SHIPPED[name]:
        case bool() as given:
            return [str(not given).lower()]
        case int() | float() as given:
            step = 1 if isinstance(given, int) else abs(given) / 10 or 0.01
            return [str(given - step), str(given + step)]
        case list() as given:
            return [str(given[:1]), str([*given, 9])]
        case None:
            return ["0.5"]
    given = {"arithmetic.precision": ["float32", "bfloat16"], "arithmetic.layout": ["contiguous"]}
    return given.get(name, ["cpu"])


def changed(name: str) -> Iterator[ScanConfig]:
    """The shipped settings with one changed to both sides, where its range allows that."""
    for value in others(name):
        with suppress(ConfigError):
            yield load_config(None, [f"{name}={value}"])


def way(config: ScanConfig) -> Provenance:
    """How a verdict with these settings came about."""
    return provenance(
        seed=config.seed,
        settings_digest=config_digest(config),
        changed_settings=changed_settings(config),
    )


def verified(found: Provenance, policy: Policy | None = None) -> Verification:
    """What `verify` and a server say of a version that was found clean in that way."""
    clean = {"verdict": "clean", "action": "pass", "outcome": "PASSED", "p_value": 0.4}
    files = {"MLmodel": "11" * 32}
    envelope = attest(Attestation(claim=claim(**clean, provenance=found), files=files), KEY)
    facts = VersionFacts(name="digits", version=3, tags={ATTESTATION_TAG: envelope}, files=files)
    return verify_version(facts, policy or Policy(), [PUBLIC], NOW)


def test_shipped_settings_pass() -> None:
    """Under the default policy, whose seed is the shipped one."""
    assert changed_settings(ScanConfig()) == ()
    assert ScanConfig().seed in Policy().seeds
    assert len(Policy().seeds) == 1
    assert verified(way(ScanConfig())).valid


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - RESOURCES))
def test_no_setting_that_affects_a_verdict_can_be_changed_unseen(name: str) -> None:
    """Whichever and to whichever side: refused by default with its name, accepted where named."""
    configs = list(changed(name))

    assert configs
    for config in configs:
        found = way(config)
        refused = verified(found)
        value = flat_settings(config)[name]
        assert not refused.valid
        if name == "seed":
            assert refused.reasons[0].startswith(f"the seed is {value}, the policy accepts 0;")
            assert verified(found, Policy(seeds=(0, config.seed))).valid
            continue
        (setting,) = found.changed_settings
        assert setting.name == name
        told = f"the setting `{name}` is {setting.value}, the policy accepts {setting.shipped};"
        assert refused.reasons[0].startswith(told)
        assert verified(found, Policy(settings=(str(setting),))).valid
        assert not verified(found, Policy(settings=(f"{name}=123456",))).valid


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_where_and_how_a_scan_runs_is_free(name: str) -> None:
    """Device, time and memory: they are no setting of what is found."""
    for config in changed(name):
        assert config_digest(config) == config_digest(ScanConfig())
        assert verified(way(config)).valid


def test_settings_of_another_digest_are_always_named() -> None:
    """Several at once, each in a sentence of its own."""
    config = load_config(None, ["blend.faint=0.2; judge.near=2; precondition.min_samples=1"])

    found = verified(way(config))

    assert [each.split("`")[1] for each in found.reasons] == [
        "blend.faint",
        "judge.near",
        "precondition.min_samples",
    ]


def test_the_policys_own_rate_is_accepted_and_no_other() -> None:
    """The gate scans with it, so the scan's rate is not the shipped one then."""
    found = way(load_config(None, ["judge.false_alarm_rate=0.01"]))

    assert verified(found, Policy(false_alarm_rate=0.01)).valid
    assert not verified(found, Policy(false_alarm_rate=0.02)).valid
    assert not verified(found).valid


@pytest.mark.parametrize(
    ("changes", "policy", "sentence"),
    [
        ({"scanner": "9.0"}, {}, "judged by ban-gate 9.0, accepted is the series of its own"),
        ({"scanner": ""}, {}, "judged by ban-gate (unknown version)"),
        ({}, {"scanner_versions": ">=7"}, "accepted is >=7; gate again"),
        ({}, {"samples": ("ab" * 32,)}, f"samples have the digest `{'ef' * 32}`"),
        ({}, {"least_samples": 401}, "judged on 400 samples, the policy requires 401"),
        ({}, {"least_accuracy": 0.99}, "clean accuracy is 0.980, the policy requires 0.99"),
        ({"clean_accuracy": None}, {"least_accuracy": 0.1}, "accuracy is 0.000"),
        ({"given_references": ("ab" * 32,)}, {}, f"given reference sha256 `{'ab' * 32}`"),
        (
            {"isolation_missing": ("the network is shared",)},
            {"require_isolation": True},
            "read with less than full isolation (the network is shared)",
        ),
    ],
)
def test_what_the_policy_does_not_accept_is_one_sentence(
    changes: dict[str, Any], policy: dict[str, Any], sentence: str
) -> None:
    """Scanner, samples, accuracy, references and isolation."""
    found = verified(provenance(**changes), Policy(**policy))

    assert not found.valid
    (reason,) = found.reasons
    assert sentence in reason


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({"scanner": "9.0"}, {"scanner_versions": ">=0.1,<10"}),
        ({}, {"samples": ("ab" * 32, "ef" * 32)}),
        ({}, {"least_samples": 400, "least_accuracy": 0.98}),
        ({"given_references": ("ab" * 32,)}, {"given_references": ("ab" * 32,)}),
        ({"isolation_missing": ("a network of its own",)}, {}),
    ],
)
def test_what_the_policy_names_passes(changes: dict[str, Any], policy: dict[str, Any]) -> None:
    """To the last sample, and isolation is asked for by those who want it."""
    assert verified(provenance(**changes), Policy(**policy)).valid


@pytest.mark.parametrize(
    ("scanner", "specifier", "own", "accepted"),
    [
        ("1.2.0", "", "1.9.1", True),
        ("2.0", "", "1.9", False),
        ("0.1.7", "", "0.1.0", True),
        ("0.2.0", "", "0.1.0", False),
        ("0.1.0", "", "", False),
        ("", "", "0.1.0", False),
        ("1.0rc1", ">=0.9", "0.1", True),
        ("1.0", "<1", "1.0", False),
        ("no version", ">=0", "1.0", False),
    ],
)
def test_versions_of_one_series_accept_each_other(
    scanner: str, specifier: str, own: str, accepted: bool
) -> None:
    """By default the same major version, before 1.0 the same minor one; else the specifier."""
    assert accepts_version(scanner, specifier, own) is accepted


def test_a_changed_setting_holds_json() -> None:
    """Whatever a signer wrote is read without surprises."""
    with pytest.raises(ValueError, match="Expecting value"):
        ChangedSetting(name="a", value="many", shipped="1")


@pytest.mark.parametrize("overrides", [("judge.near=2",), ("judge.near=2", "seed=4"), ()])
def test_the_digest_of_all_settings_accepts_these_alone(overrides: tuple[str, ...]) -> None:
    """The seed is among them; other settings are refused as if there were no digest."""
    accepted, other = load_config(None, overrides), load_config(None, ("judge.near=5", "seed=9"))
    policy = Policy(settings=(f"sha256:{config_digest(accepted)}",))

    assert verified(way(accepted), policy).valid
    found = verified(way(other), policy)
    assert not found.valid
    assert found.reasons == verified(way(other)).reasons
    assert any("`judge.near` is 5.0" in each for each in found.reasons)
    assert any("the seed is 9" in each for each in found.reasons)


def test_a_digest_stands_beside_single_settings() -> None:
    """Either accepts."""
    config = load_config(None, ("judge.near=2",))

    assert verified(way(config), Policy(settings=("sha256:" + "0" * 64, "judge.near=2"))).valid
