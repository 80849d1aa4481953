"""Class profiles as a file: what was written is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_score import drawn, profile

from pipeline.config import ScanConfig, load_config
from pipeline.profiles import profile_text, read_profiles
from stages.errors import ConfigError
from stages.score import SEARCHES, values_of
from stages.types import ClassProfile

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


def settings(section: str, **changes: float) -> str:
    """A profile file that was measured with other settings."""
    found = json.loads(whole())["settings"]
    return whole(settings=found | {section: found[section] | changes})


def lacking(key: str) -> str:
    """A profile file without a key, at its top level or in its model."""
    document = json.loads(whole())
    for place in (document, *document.get("models", [])):
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
    told = ((each.name, each.digest, each.samples, each.clean_accuracy) for each in (one, other))
    return len(set(told)) == 1 and np.array_equal(values_of(one), values_of(other))


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
    assert not any(getattr(each, name).flags.writeable for each in found for name in SEARCHES)


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
        profile(),
        name=name,
        clean_accuracy=accuracy,
        **{search: values.copy() for search in SEARCHES},
    )
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(profile_text((written,), ScanConfig()), encoding="utf-8")

    (found,) = read_profiles(path, ScanConfig())

    assert same(written, found)


def test_the_text_is_written_the_same_again() -> None:
    """No time, no place and no order of the day gets into a file."""
    profiles = drawn(0), drawn(1)

    assert profile_text(profiles, ScanConfig()) == profile_text(profiles, ScanConfig())


def test_memory_does_not_matter(tmp_path: Path) -> None:
    """A profile fits a scan that may hold more or less at once, or that judges otherwise."""
    path = tmp_path / "profiles.json"
    path.write_text(profile_text((profile(),), ScanConfig()))
    other = load_config(
        None,
        [
            *("blend.memory_mb=1", "patch.memory_mb=2", "noise.memory_mb=3", "noise.steps=2"),
            *("noise.epsilon=0.1", "judge.false_alarm_rate=0.2", "mask.epochs=1"),
        ],
    )

    (found,) = read_profiles(path, other)

    assert same(found, profile())


@pytest.mark.parametrize(
    "override",
    ["blend.samples=1", "blend.rate=0.5", "patch.side=0.5", "warp.steps=1", "noise.sweep=3"],
)
def test_other_settings_are_refused(tmp_path: Path, override: str) -> None:
    """A profile measured otherwise does not compare, whichever search was changed."""
    path = tmp_path / "profiles.json"
    path.write_text(profile_text((profile(),), ScanConfig()))

    with pytest.raises(ConfigError, match=r"other settings of .* and the same settings"):
        read_profiles(path, load_config(None, [override]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (settings("blend", rate=99.0), "other settings"),
        (whole(ban_gate_profile=2), "has schema 2, expected 3"),
        (entry(blend=[1.0]), "no finite value for every class of `model`"),
        (entry(patch=[]), "no finite value for every class of `model`"),
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
        for key in ("ban_gate_profile", "settings", "models", "name", "clean_accuracy", *SEARCHES)
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
        f"blend {each}": entry(blend=each)
        for each in (None, 3, "1" * 10, ["a"] * 10, [[1]] * 10, [None] * 10, [True] * 10)
    },
    **{f"margins {each}": entry(noise=[each] * 10) for each in (float("nan"), float("inf"))},
    "a margin beyond any float": entry(blend=[HUGE] * 10),
    "a margin beyond float32": entry(blend=[1e39] * 10),
    **{
        f"accuracy {each}": entry(clean_accuracy=each)
        for each in (None, "high", float("nan"), float("inf"))
    },
    "an accuracy beyond any float": entry(clean_accuracy=HUGE),
    "a name that is none": entry(name=["a"]),
    "no classes": entry(**{name: [] for name in SEARCHES}),
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
    for content in (json.dumps(value), whole(settings=value), whole(models=value)):
        path.write_text(content)
        with pytest.raises(ConfigError):
            read_profiles(path, ScanConfig())
