"""Class profiles as a file: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import ScanConfig, load_config
from pipeline.references.profile_file import profile_text, read_profiles
from stages.errors import ConfigError
from stages.searches import SEARCHES, STATISTICS
from stages.types import AFFECTS_RESULT
from stages.verdict.profile import ClassProfile
from tests.support.profiles import (
    BLEND,
    NOISE,
    PATCH,
    drawn,
    profile,
    searched_only,
    values_of,
    with_values,
)

Refusal = Callable[[str | bytes], str]

DEEP = "[" * 100_000 + "]" * 100_000
HUGE = 10**400


def whole(**changes: object) -> str:
    """A profile file with other values at its top level."""
    return json.dumps(json.loads(profile_text((profile(),), ScanConfig())) | changes)


def entry(**changes: object) -> str:
    """A profile file whose only model has other values."""
    (model,) = json.loads(whole())["models"]
    return whole(models=[model | changes])


def statistics(**changes: object) -> str:
    """A profile file whose only model has other values of some statistics."""
    (model,) = json.loads(whole())["models"]
    return entry(statistics=model["statistics"] | changes)


def settings(section: str, **changes: float) -> str:
    """A profile file that was measured with other settings."""
    found = json.loads(whole())["settings"]
    return whole(settings=found | {section: found[section] | changes})


def lacking(key: str) -> str:
    """A profile file without a key, at its top level or in its model."""
    document = json.loads(whole())
    models = document.get("models", [])
    for place in (document, *models, *(model.get("statistics", {}) for model in models)):
        place.pop(key, None)
    return json.dumps(document)


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """Writes a profile file and gives the sentence with which it is refused."""

    def refused(content: str | bytes) -> str:
        path = tmp_path / "reference.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ConfigError) as caught:
            read_profiles(path, ScanConfig())
        return str(caught.value)

    return refused


def same(one: ClassProfile, other: ClassProfile) -> bool:
    told = (
        (each.name, each.digest, each.samples, each.clean_accuracy, each.side, *each.ordinary)
        for each in (one, other)
    )
    alike = np.array_equal(values_of(one), values_of(other), equal_nan=True)
    return len(set(told)) == 1 and alike


@pytest.mark.parametrize("count", [1, 3])
def test_what_was_written_is_read(tmp_path: Path, count: int) -> None:
    """Every profile in its order, every number to the bit, and ready to be scored."""
    profiles = tuple(drawn(seed, f"model {seed}") for seed in range(count))
    path = tmp_path / "profiles.json"
    path.write_text(profile_text(profiles, ScanConfig()))

    found = read_profiles(path, ScanConfig())

    assert len(found) == count
    assert all(same(one, other) for one, other in zip(profiles, found, strict=True))
    assert all(values_of(each).dtype == np.float32 for each in found)
    assert all(tuple(each.statistics) == STATISTICS for each in found)
    assert not any(values.flags.writeable for each in found for values in each.statistics.values())


def test_what_was_not_searched_is_not_known_after_reading(tmp_path: Path) -> None:
    """Classes of which nothing is said stay so, as null in the file, beside the ordinary ones."""
    written = searched_only(profile({BLEND: {3: 2.0}}), [1, 3, 4, 6], [1, 4, 6])
    path = tmp_path / "profiles.json"
    path.write_text(profile_text((written,), ScanConfig()))

    (found,) = read_profiles(path, ScanConfig())

    assert same(written, found)
    assert "NaN" not in path.read_text()
    assert np.isnan(found.statistics[BLEND][[0, 2, 5, 7, 8, 9]]).all()
    assert not found.ordinary.flags.writeable


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=8),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.floats(0, 1),
)
def test_no_number_and_no_name_is_lost(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], name: str, accuracy: float
) -> None:
    """Subnormal numbers and names of any script survive the file."""
    values = np.array(numbers, np.float32)
    written = replace(
        with_values(profile(), **{each: values.copy() for each in STATISTICS}),
        name=name,
        clean_accuracy=accuracy,
        ordinary=np.arange(len(values)),
    )
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(profile_text((written,), ScanConfig()), encoding="utf-8")

    (found,) = read_profiles(path, ScanConfig())

    assert same(written, found)


def test_the_text_is_written_the_same_again() -> None:
    """No time, no place and no order of the day gets into a file."""
    profiles = drawn(0), drawn(1)

    assert profile_text(profiles, ScanConfig()) == profile_text(profiles, ScanConfig())


def test_what_no_search_depends_on_does_not_matter(tmp_path: Path) -> None:
    """A profile fits a scan that may hold more or less at once, or that judges otherwise."""
    path = tmp_path / "profiles.json"
    path.write_text(profile_text((profile(),), ScanConfig()))
    other = load_config(
        None,
        [
            *(f"{search.name}.memory_mb={1 + number}" for number, search in enumerate(SEARCHES)),
            *("untargeted_noise.steps=2", "untargeted_noise.epsilon=0.1", "feature_mask.epochs=1"),
            *("judge.false_alarm_rate=0.2", "calibration.blend.margin.alone.least=3", "device=cpu"),
        ],
    )

    (found,) = read_profiles(path, other)

    assert same(found, profile())


SETTINGS = [
    (search.name, field.name) for search in SEARCHES for field in fields(search.settings)
] + [("screen", field.name) for field in fields(ScanConfig().screen)]


@pytest.mark.parametrize(("section", "name"), SETTINGS)
def test_other_settings_are_refused(tmp_path: Path, section: str, name: str) -> None:
    """A profile measured otherwise does not compare, whichever setting of a search was changed.

    But for how much may be held at once, which changes no result.
    """
    default = ScanConfig()
    own = default.screen if section == "screen" else default.searches[section]
    (field,) = (each for each in fields(own) if each.name == name)
    path = tmp_path / "profiles.json"
    path.write_text(profile_text((profile(),), default))
    value = getattr(own, name)
    changed = value * 0.9 if isinstance(value, float) else 2 * value  # a share stays one
    other = load_config(None, [f"{section}.{name}={changed or 0.5}"])

    if field.metadata.get(AFFECTS_RESULT, True):
        with pytest.raises(ConfigError, match=r"other settings of .* and the same settings"):
            read_profiles(path, other)
    else:
        assert name == "memory_mb"
        assert same(read_profiles(path, other)[0], profile())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (settings("blend", rate=99.0), "other settings"),
        (whole(ban_gate_profile=3), "has schema 3, expected 5"),
        (statistics(**{BLEND: [1.0]}), "lacks a finite value of every statistic for every"),
        (statistics(**{PATCH: []}), "for every ordinary class of `model`"),
        (statistics(**{"new.margin": [1.0] * 10}), "for every ordinary class of `model`"),
        (statistics(**{PATCH: [1.0] * 9 + [None]}), "for every ordinary class of `model`"),
        (lacking(NOISE), "for every ordinary class of `model`"),
        (entry(ordinary=[]), "for every ordinary class of `model`"),
        (entry(ordinary=[0, 10]), "for every ordinary class of `model`"),
        (entry(ordinary=[-1, 2]), "for every ordinary class of `model`"),
    ],
)
def test_a_profile_that_does_not_fit_says_why(refusal: Refusal, content: str, reason: str) -> None:
    """What was found, what is expected, and that it must be written again."""
    sentence = refusal(content)

    assert reason in sentence
    assert "write it again with `ban-gate calibrate`" in sentence


MALFORMED: dict[str, str | bytes] = {
    "empty": "",
    "cut off": whole()[:-20],
    "no JSON": "no JSON",
    "no text": b"\xff\xfe",
    "deep": DEEP,
    "deep and cut off": '{"ban_gate_profile":' * 50_000,
    **{f"only {each}": each for each in ("null", "3", "[]", '"text"', "{}", "[{}]")},
    **{
        f"without {key}": lacking(key)
        for key in (
            *("ban_gate_profile", "settings", "models", "name", "clean_accuracy", "statistics"),
            *("side", "ordinary"),
            *STATISTICS,
        )
    },
    "an extra key": whole(extra=1),
    "an extra key in a model": entry(extra=1),
    **{
        f"schema {each}": whole(ban_gate_profile=each)
        for each in (None, [], "one", float("inf"), float("nan"))
    },
    **{
        f"settings {each}": whole(settings=each)
        for each in (None, 3, [], [1], {"blend": 3}, {"blend": [1]}, {"blend": {"rate": "fast"}})
    },
    "a setting beyond any float": whole(settings={"blend": {"rate": HUGE}}),
    **{
        f"models {each}": whole(models=each)
        for each in (None, 3, "ab", [], [1], [[]], [None], {"a": 1}, [{}])
    },
    **{
        f"statistics {each}": entry(statistics=each)
        for each in (None, 3, "ab", [], [1], {}, {"a": 1}, {"a": [1.0]}, {BLEND: [1.0] * 10})
    },
    **{
        f"blend {each}": statistics(**{BLEND: each})
        for each in (None, 3, "1" * 10, ["a"] * 10, [[1]] * 10, [None] * 10, [True] * 10)
    },
    **{
        f"margins {each}": statistics(**{NOISE: [each] * 10})
        for each in (float("nan"), float("inf"))
    },
    "a margin beyond any float": statistics(**{BLEND: [HUGE] * 10}),
    "a margin beyond float32": statistics(**{BLEND: [1e39] * 10}),
    **{
        f"accuracy {each}": entry(clean_accuracy=each)
        for each in (None, "high", float("nan"), float("inf"))
    },
    "an accuracy beyond any float": entry(clean_accuracy=HUGE),
    **{f"side {each}": entry(side=each) for each in (None, "wide", 1.5, [16])},
    **{
        f"ordinary {each}": entry(ordinary=each)
        for each in (None, 3, "012", [0.5], ["0"], [None], [[0]])
    },
    "an ordinary class beyond any number": entry(ordinary=[HUGE]),
    "a name that is none": entry(name=["a"]),
    "no classes": statistics(**{name: [] for name in STATISTICS}),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_profile_is_refused_in_a_sentence(
    refusal: Refusal, content: str | bytes
) -> None:
    """Whatever the file holds, the caller gets one line that names it, and never a traceback."""
    sentence = refusal(content)

    assert "reference.json`" in sentence
    assert "ban-gate calibrate" in sentence
    assert len(sentence.splitlines()) == 1
    assert len(sentence) < 1000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigError, match=f"profile `{path}` cannot be read"):
            read_profiles(path, ScanConfig())


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=6))
def test_no_json_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    """Whatever stands in a place of the file, it is read or refused."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    contents = (json.dumps(value), whole(settings=value), whole(models=value))
    for content in (*contents, entry(statistics=value), statistics(**{BLEND: value})):
        path.write_text(content)
        with pytest.raises(ConfigError):
            read_profiles(path, ScanConfig())
