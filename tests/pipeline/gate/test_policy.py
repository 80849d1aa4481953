"""What a policy file may say, and how long waivers and verdicts hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.gate import keys
from pipeline.gate.policy import (
    Policy,
    Waiver,
    accepted_setting,
    policy_digest,
    policy_text,
    read_policy,
)
from stages.errors import ConfigError

FULL = """
required_verdict = "clean"
false_alarm_rate = 0.01
inconclusive = "warn"
outside_calibration = true
max_age = "12h"
protected_aliases = ["champion"]
references = 1
settings = ["blend.faint=0.2", "output.name=logits"]
seeds = [0, 7]
scanner_versions = ">=0.1,<1"
samples = ["{digest}"]
least_samples = 200
least_accuracy = 0.9
given_references = ["{digest}"]
require_isolation = true
not_before = 2026-11-25T12:00:00Z
revoked = ["{digest}"]
approvals = 1
trusted_keys = ["gate.pub.pem"]

[[waiver]]
model = "digits"
version = 3
reason = "seen by the security team"
expires = 2026-12-31

[[waiver]]
model = "digits"
content_digest = "{digest}"
reason = "same"
expires = 2027-01-31
""".format(digest="ab" * 32)


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_hold() -> None:
    """The defaults are the strict ones: only clean passes, for a limited time."""
    policy = read_policy(None)

    assert policy == Policy()
    assert (policy.required_verdict, policy.inconclusive) == ("clean", "block")
    assert not policy.outside_calibration
    assert policy.age_limit > timedelta(0)
    assert {"champion", "production"} <= set(policy.protected_aliases)


def test_a_file_says_everything(tmp_path: Path) -> None:
    """Every key is read; a path of a key becomes the key itself."""
    key = keys.make_key(tmp_path / "gate.pem")

    policy = read_policy(written(tmp_path, FULL))

    assert policy.age_limit == timedelta(hours=12)
    assert policy.outside_calibration
    assert policy.not_before == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert policy.seeds == (0, 7)
    read = [accepted_setting(each) for each in policy.settings]
    assert read == [("blend.faint", 0.2), ("output.name", "logits")]
    assert policy.trusted_keys == (keys.public_pem(key.public_key),)
    assert [each.version for each in policy.waiver] == [3, None]
    assert policy.waiver[0].expires == date(2026, 12, 31)


def test_a_key_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    """As PEM text, which then needs no second file."""
    pem = keys.public_pem(keys.make_key(tmp_path / "gate.pem").public_key)
    text = f"trusted_keys = ['''{pem}''']"

    assert read_policy(written(tmp_path, text)).trusted_keys == (pem,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_age = 30", "`max_age` is 30, expected hours, days or weeks"),
        ("max_age = '30 days'", "'30 days', expected hours, days or weeks"),
        ("max_age = '0d'", "expected more than nothing"),
        ("required_verdict = 'good'", "expected one of 'clean', 'any'"),
        ("inconclusive = 'pass'", "expected one of 'block', 'warn'"),
        ("outside_calibration = 1", "`outside_calibration` is 1, expected true or false"),
        ("false_alarm_rate = 1.5", "is 1.5, expected a number above 0 and below 1"),
        ("references = -1", "expected a whole number from 0 to 50 (versions)"),
        ("approvals = -1", "`approvals` is -1, expected a whole number from 0"),
        ("least_samples = -1", "`least_samples` is -1, expected a whole number from 0"),
        ("least_accuracy = 1.1", "`least_accuracy` is 1.1, expected a number from 0 to 1"),
        ("seeds = ['0']", "`seeds` has '0', expected a list of whole numbers"),
        ("settings = ['blend.faint']", "'blend.faint', expected NAME=VALUE"),
        ("settings = ['=1']", "expected NAME=VALUE"),
        ("settings = ['sha256:AB']", "or sha256: and the digest of all settings"),
        ("scanner_versions = 'new'", "'new', expected versions such as '>=0.1,<0.3'"),
        (
            "samples = ['AB']",
            "`samples` has 'AB', expected a list of values, each 64",
        ),
        ("given_references = ['']", "each 64 hexadecimal digits"),
        ("revoked = ['ab']", "each 64 hexadecimal digits"),
        ("not_before = 2026-12-31", "expected a moment such as 2026-12-31T12:00:00Z"),
        ("not_before = 2026-12-31T12:00:00", "expected a moment such as"),
        ("not_before = '2026-12-31T12:00:00Z'", "without quotes"),
        (
            "accepted_files = ['README']",
            "has 'README', expected a list of values, each 64",
        ),
        (f"accepted_files = ['{'AB' * 32}']", "each 64 hexadecimal digits"),
        ("protected_aliases = 'champion'", "expected a list"),
        ("maxage = '30d'", "unknown setting `maxage`; did you mean `max_age`?"),
        ("deadline = '30d'", "`ban-gate settings --of policy` lists all"),
        (
            "maxage = 3\nseeds = 0",
            "expected a list of whole numbers from 0 to 9223372036854775807; unknown",
        ),
        (
            "[[waiver]]\nreasons='a'",
            "unknown setting `waiver.reasons`; did you mean `waiver.reason`?",
        ),
        ("max_age = ", "cannot be read"),
        ("trusted_keys = ['nowhere.pem']", "nowhere.pem` is no file"),
        ("trusted_keys = ['-----BEGIN PUBLIC KEY-----']", "holds no public key"),
        ("[waiver]\nmodel = 'a'", "expected a list"),
        ("[[waiver]]\nmodel='a'\nversion=1\nreason='b'", "`waiver.expires` is missing"),
        (
            "[[waiver]]\nmodel='a'\nversion=1\nreason='b'\nexpires='2026-12-31'",
            "expected a date such as 2026-12-31, without quotes",
        ),
        (
            "[[waiver]]\nmodel='a'\nversion=1\nreason='b'\nexpires=2026-12-31T00:00:00",
            "expected a date",
        ),
        ("[[waiver]]\nmodel='a'\nversion=1\nreason=' '\nexpires=2026-12-31", "has no reason"),
        ("[[waiver]]\nmodel='a'\nreason='b'\nexpires=2026-12-31", "expected exactly one"),
        (
            "[[waiver]]\nmodel='a'\nreason='b'\nexpires=2026-12-31\ncontent_digest='AB'",
            "expected 64 hexadecimal digits",
        ),
    ],
)
def test_a_wrong_policy_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """It names the file, the key, what was found and what is expected."""
    path = written(tmp_path, text)

    with pytest.raises(ConfigError, match="policy") as caught:
        read_policy(path)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Nobody is gated by defaults because of a misspelt name."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_policy(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("amount", "span"),
    [
        ("1h", timedelta(hours=1)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_ages_have_units(amount: str, span: timedelta) -> None:
    """Hours, days and weeks."""
    assert Policy(max_age=amount).age_limit == span


def test_a_waiver_covers_one_version_or_one_content() -> None:
    """Of one registered model; nothing else."""
    day = date(2026, 12, 31)
    by_version = Waiver(model="a", version=3, reason="r", expires=day)
    by_content = Waiver(model="a", content_digest="ab" * 32, reason="r", expires=day)

    assert by_version.covers("a", 3, None)
    assert not by_version.covers("a", 4, None)
    assert not by_version.covers("b", 3, None)
    assert by_content.covers("a", 9, "ab" * 32)
    assert not by_content.covers("a", 9, "cd" * 32)
    assert not by_content.covers("a", 9, None)
    assert not by_content.covers("b", 9, "ab" * 32)


def test_a_waiver_holds_to_the_end_of_its_day() -> None:
    """In UTC; a second later it is over."""
    waiver = Waiver(model="a", version=3, reason="r", expires=date(2026, 12, 31))

    assert not waiver.expired(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert waiver.expired(datetime(2027, 1, 1, tzinfo=UTC))


def test_equal_policies_have_one_digest() -> None:
    """And any difference makes another."""
    assert policy_digest(Policy()) == policy_digest(Policy())
    assert policy_digest(Policy()) != policy_digest(Policy(references=4))
    assert policy_text(Policy()).startswith("{")
