"""A zoo's models come with their truth, from folders and from the files that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import measured
from benchmarks.detection import main as detection
from benchmarks.measured import FOLDER
from benchmarks.profiles import SAMPLES, known, main, measure, place_of, read_line
from benchmarks.zoo import training
from benchmarks.zoo.recipe import Recipe
from pipeline.config import ScanConfig
from pipeline.references.profile_file import read_profiles
from stages.errors import ConfigError
from stages.searches import STATISTICS
from tests.support.known_models import clean_models, drawn, known_model, with_class_above, write_zoo
from tests.support.places import DEMO


def test_a_profile_of_another_kind_is_measured_anew(tmp_path: Path) -> None:
    """A profile that cannot be used is replaced; one that can is left as it is."""
    copyfile(DEMO / "clean.onnx", tmp_path / "clean.onnx")
    copyfile(DEMO / "samples.npz", tmp_path / "digits.npz")
    place = place_of(tmp_path, "clean", 0, 120)
    place.parent.mkdir()
    place.write_text('{"ban_gate_profile": 3}')

    measure(tmp_path, "clean", "digits", 0, 120)

    (found,) = read_profiles(place, ScanConfig())
    assert found.name == "clean"
    stamp = place.stat().st_mtime_ns
    measure(tmp_path, "clean", "digits", 0, 120)
    assert place.stat().st_mtime_ns == stamp


def test_what_is_known_is_what_was_measured(tmp_path: Path) -> None:
    """A zoo's models come with their truth and profiles, and those not measured are left out."""
    models = [*clean_models(2), known_model("bad", drawn(np.random.default_rng(3)), "wanet")]
    zoo = write_zoo(tmp_path / "zoo", models)
    place_of(zoo, models[0].name, 0, SAMPLES).unlink()

    found = known(zoo)

    assert [(each.name, each.clean, each.target, each.targets) for each in found] == [
        ("bad", False, 3, (3,)),
        (models[1].name, True, None, ()),
    ]
    assert all(
        np.array_equal(found[1].profile.statistics[name], models[1].profile.statistics[name])
        for name in STATISTICS
    )


@pytest.mark.parametrize(("fact", "rate"), [("clean_accuracy", 0.5), ("attack_success_rate", 0.7)])
def test_a_model_that_does_not_work_does_not_count(tmp_path: Path, fact: str, rate: float) -> None:
    """A model that fails its task, or an attack that fails, is in no table."""
    zoo = write_zoo(tmp_path / "zoo", clean_models(1))
    (record,) = zoo.glob("*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {fact: rate}))

    assert known(zoo) == []


def test_right_classes_are_those_that_triggers_lead_to(tmp_path: Path) -> None:
    """Two targets have two right classes, those of training; all-to-all has all of them."""
    statistics = drawn(np.random.default_rng(0))
    attacks = ("two-targets", "all-to-all", "source-specific")
    zoo = write_zoo(tmp_path / "zoo", [known_model(each, statistics, each) for each in attacks])

    targets = {each.attack: (each.target, set(each.targets)) for each in known(zoo)}

    recipe = Recipe(task="digits", architecture="vgg", attack="two-targets", seed=0, target=3)
    assert targets == {
        "two-targets": (None, {3, training.second_target(recipe)}),
        "all-to-all": (None, set(range(10))),
        "source-specific": (3, {3}),
    }


def collected(zoo: Path, output: Path) -> Path:
    """The file that `benchmarks.measured` writes of a zoo."""
    run = CliRunner().invoke(measured.main, ["--zoo", str(zoo), "--output", str(output)])
    assert run.exit_code == 0, run.output
    return output


def test_the_kept_file_says_what_the_folder_says(tmp_path: Path) -> None:
    """Models that are read from a file are those of the folder, to five digits."""
    one, other = clean_models(2)
    bad = known_model("bad", drawn(np.random.default_rng(3)), "wanet")
    seeds = tuple(each.profile for each in clean_models(2, seed=7))
    zoo = write_zoo(tmp_path / "zoo", [one, replace(other, further=seeds), bad])

    kept = known(collected(zoo, tmp_path / "kept" / "zoo.jsonl"))

    for one, other in zip(kept, known(zoo), strict=True):
        assert (one.name, one.attack, one.targets) == (other.name, other.attack, other.targets)
        assert one.profile.digest == other.profile.digest
        for name in STATISTICS:
            expected = other.profile.statistics[name]
            assert one.profile.statistics[name] == pytest.approx(expected, rel=1e-4)
    digests = [[each.digest for each in model.further] for model in kept]
    assert sorted(digests) == [[], [], [each.digest for each in seeds]]


def test_only_models_near_the_limit_are_measured_further(tmp_path: Path) -> None:
    """One far from the limit keeps its one profile."""
    zoo = write_zoo(tmp_path / "zoo", [with_class_above("far", 20.0)])

    run = CliRunner().invoke(main, ["--zoo", str(zoo), "--near"])

    assert (run.exit_code, run.output) == (0, "")
    assert len(list((zoo / "profiles").iterdir())) == 1


def test_a_kept_file_of_other_settings_is_refused(tmp_path: Path) -> None:
    """What was measured by other settings of the searches is not read."""
    path = collected(write_zoo(tmp_path / "zoo", clean_models(1)), tmp_path / "zoo.jsonl")
    path.write_text(path.read_text().replace('"faint_steps":', '"faint_steps_of_old":'))

    with pytest.raises(ConfigError, match="measured with other settings"):
        known(path)


@pytest.mark.parametrize("name", ["tuning", "calibration", "report"])
def test_what_was_measured_is_read_by_the_settings_of_today(name: str) -> None:
    """So that the calibration and the tables of results rebuild; each task's last model."""
    lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()
    of_tasks = {json.loads(line)["truth"]["task"]: line for line in lines}

    models = [read_line(line) for line in of_tasks.values()]

    assert {model.task for model in models} == set(of_tasks)
    assert all(set(model.profile.statistics) == set(STATISTICS) for model in models)


def test_only_looks_may_have_been_others(tmp_path: Path) -> None:
    """They choose which of many classes are searched, and change nothing of what is found."""
    path = collected(write_zoo(tmp_path / "zoo", clean_models(1)), tmp_path / "zoo.jsonl")
    text = path.read_text()
    (one,) = known(path)

    looks = (("patch", "brief_steps"), ("screen", "leading"), ("permutation", "most_samples"))
    for section, setting in looks:
        line = json.loads(text)
        for profile in line["profiles"]:
            assert setting in profile["settings"][section]
            profile["settings"][section][setting] = 7
        path.write_text(json.dumps(line))
        assert known(path)[0].profile.digest == one.profile.digest


FORMER = {
    "patch": {"side": 0.25, "regions": 3, "sharpest": 12.0},
    "permutation": {"side": 0.25, "places": 3},
}
"""Settings that searches had before, by their sections."""


@pytest.mark.parametrize("section", FORMER)
def test_what_searches_of_before_measured_is_marked(tmp_path: Path, section: str) -> None:
    """It is read like what those of today measure, and every table says how many models it is."""
    path = collected(write_zoo(tmp_path / "zoo", clean_models(2)), tmp_path / "zoo.jsonl")
    today, other = map(json.loads, path.read_text().splitlines())
    other["profiles"][0]["settings"][section] = FORMER[section]
    path.write_text("\n".join(map(json.dumps, (today, other))))

    assert [each.former for each in known(path)] == [False, True]
    shown = CliRunner().invoke(detection, ["--zoo", str(path)])
    assert "1 of 2 models measured by searches of before" in shown.output
