"""The calibration file is written from clean models, and what was not asked for stays."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.calibration import Origin, command_line, fitted, main, row, written
from benchmarks.calibration_file import NULL_TABLES, parsed, rewritten, text_before
from benchmarks.profiles import SAMPLES, Known, known, measure, place_of
from pipeline.config import ScanConfig
from pipeline.references.profile_file import profile_text, read_profiles
from stages.errors import ConfigError
from stages.searches import STATISTICS
from stages.types import Floats
from stages.verdict.calibration import FILE, Calibration, shipped
from stages.verdict.score import critical_value
from tests.support.known_models import clean_models, known_model
from tests.support.places import DEMO

ORIGIN = Origin(date="2026-11-27", command="python -m benchmarks.calibration --zoo zoo")
SHIPPED = FILE.read_text(encoding="utf-8")
NEW = "tint.margin"


def of(text: str, name: str) -> str:
    """One table of a file as text, with its header."""
    (found,) = re.findall(rf"^\[{re.escape(name)}\]\n(?:.+\n)*", text, re.MULTILINE)
    return str(found)


def numbers(calibration: Calibration, name: str) -> tuple[float, float, float, int]:
    found = calibration.rows[name]
    return found.weight, found.spread, found.gap, found.n


def write_zoo(folder: Path, models: list[Known]) -> Path:
    """A zoo in which these models have been measured."""
    (folder / "profiles").mkdir(parents=True)
    for each in models:
        truth = {
            "name": each.name,
            "task": each.task,
            "architecture": each.architecture,
            "attack": each.attack,
            "target": 3,
        }
        (folder / f"{each.name}.json").write_text(json.dumps(truth))
        place = place_of(folder, each.name, 0, SAMPLES)
        place.write_text(profile_text((each.profile,), ScanConfig()))
    return folder


def test_the_shipped_file_is_in_the_form_that_is_written() -> None:
    """Writing every table of the shipped file with its own values gives the same file."""
    assert rewritten(SHIPPED, shipped(), (*NULL_TABLES, *STATISTICS)) == SHIPPED


def test_what_is_written_is_read_back() -> None:
    """Every statistic and both nulls have a table, with its number of models, date and command."""
    models = clean_models(6)

    found = parsed(written(SHIPPED, models, {}, ORIGIN))

    assert tuple(found.rows) == STATISTICS
    assert {each.n for each in found.rows.values()} == {found.alone.n} == {6}
    assert found.referenced.n == 6
    everything = (*found.rows.values(), found.alone, found.referenced)
    assert {(each.date, each.command) for each in everything} == {(ORIGIN.date, ORIGIN.command)}
    assert found.shared == shipped().shared
    assert found.alone.location != shipped().alone.location


def test_weights_stay() -> None:
    """Weights are those of the file that is there, whatever the models are."""
    text = SHIPPED.replace("weight = 0.25", "weight = 0.75")

    found = parsed(written(text, clean_models(6), {}, ORIGIN))

    weights = {name: each.weight for name, each in found.rows.items()}
    before = {name: each.weight for name, each in shipped().rows.items()}
    assert weights == before | {"blend.standardised_margin": 0.75}


def test_same_models_and_date_same_file() -> None:
    """Writing a file anew with the same models changes nothing, and it keeps its comments."""
    once = written(SHIPPED, clean_models(6), {}, ORIGIN)

    assert written(once, clean_models(6), {}, ORIGIN) == once
    assert once.startswith(SHIPPED[: SHIPPED.index("[")])


def test_spread_and_gap_are_twice_the_deviation_of_an_uneven_model() -> None:
    """They are two deviations between classes, of a model and of the difference of two."""
    steps = np.array([-1, 1] * 5, np.float32)
    sizes = [0.1, 0.2, 0.3, 0.4, 0.9]
    models = [known_model(f"{size}", {NEW: np.float32(size) * steps}) for size in sizes]
    differences = [abs(one - other) for one in sizes for other in sizes if one != other]

    found = row(models, NEW, 0.5, ORIGIN)

    assert found.spread == pytest.approx(2 * 0.4)
    assert found.gap == pytest.approx(2 * np.quantile(differences, 0.75), abs=1e-3)
    assert (found.weight, found.n) == (0.5, 5)


def test_only_what_is_asked_for_is_written() -> None:
    """One table is new, all else is the same text, comments and all."""
    text = SHIPPED.replace("[patch.", "# of the patch\n[patch.")
    name = "blend.strong_margin"  # it has no weight

    found = written(text, clean_models(6), {}, ORIGIN, (name,))

    assert of(found, name) != of(text, name)
    assert found.replace(of(found, name), of(text, name)).replace(
        "\n\n[patch.", "\n\n# of the patch\n[patch."
    ) == text.replace("\n\n# of", "\n\n# of")


def test_a_new_statistic_gets_a_row() -> None:
    """It has no weight at first; the tables of the others, and the nulls, are the same text."""
    models = clean_models(6, statistics=(*STATISTICS, NEW))

    found = written(SHIPPED, models, {}, ORIGIN, (NEW,))

    assert found.startswith(SHIPPED)
    weight, spread, gap, n = numbers(parsed(found), NEW)
    assert (weight, n) == (0.0, 6)
    assert spread > 0
    assert gap > spread


def test_a_new_statistic_can_have_a_weight() -> None:
    """A weight that is given is written, and the nulls are those of the scores with it."""
    models = clean_models(6, statistics=(*STATISTICS, NEW))

    without = parsed(written(SHIPPED, models, {}, ORIGIN))
    weighted = parsed(written(SHIPPED, models, {NEW: 2.0}, ORIGIN))

    assert weighted.rows == {**without.rows, NEW: replace(without.rows[NEW], weight=2.0)}
    assert weighted.alone.location > without.alone.location
    assert weighted.referenced.location > without.referenced.location


def test_the_row_of_a_statistic_that_is_gone() -> None:
    """It is left out where the whole file is written anew, and stays where one table is."""
    text = written(SHIPPED, clean_models(6, statistics=(*STATISTICS, NEW)), {}, ORIGIN)
    models = clean_models(6)

    partly = written(text, models, {}, ORIGIN, ("blend.strong_margin",))

    assert of(partly, NEW) == of(text, NEW)
    assert NEW not in written(text, models, {}, ORIGIN)


def test_no_row_is_missing() -> None:
    """A file without the row of a statistic is not written."""
    models = clean_models(6, statistics=(*STATISTICS, NEW))

    with pytest.raises(ConfigError, match=f"`{NEW}` has no row"):
        written(SHIPPED, models, {}, ORIGIN, ("blend.strong_margin",))


def test_nulls_follow_the_scores() -> None:
    """A row that changes scores is written with both nulls or not at all."""
    name, models = "patch.standardised_margin", clean_models(6)

    with pytest.raises(click.ClickException, match=f"`{name}` changes the scores") as refusal:
        written(SHIPPED, models, {}, ORIGIN, (name,))

    for null in NULL_TABLES:
        assert f"`--only {null}`" in refusal.value.message
    found = written(SHIPPED, models, {}, ORIGIN, (name, *NULL_TABLES))
    assert of(found, "warp.standardised_margin") == of(SHIPPED, "warp.standardised_margin")
    assert of(found, "null.alone") != of(SHIPPED, "null.alone")


def test_a_weight_is_for_what_is_written() -> None:
    """A weight of a row that stays is refused."""
    with pytest.raises(click.ClickException, match=r"add `--only blend\.margin`"):
        written(SHIPPED, clean_models(6), {"blend.margin": 1.0}, ORIGIN, NULL_TABLES)


def test_nulls_need_a_model_and_a_reference() -> None:
    """One model, or two of different tasks, are refused."""
    one, other = clean_models(2)

    for models in ([], [one], [one, replace(other, task="mnist")]):
        with pytest.raises(click.ClickException, match="no two measured clean models"):
            written(SHIPPED, models, {}, ORIGIN)


@pytest.mark.parametrize("outliers", [0, 3, 12])
def test_the_null_does_not_exceed_its_false_alarm_rate(
    outliers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The critical value at 5 % is not below the score that 5 % exceed, and the fit is printed."""
    random = np.random.default_rng(0)
    values: Floats = np.concatenate([random.gumbel(0.9, 0.2, 100), np.full(outliers, 4.0)])

    null = fitted("alone", values, len(values), ORIGIN)

    assert critical_value(0.05, null, 1.0) >= np.quantile(values, 0.95) - 2e-3
    assert null.n == 100 + outliers
    assert "Kolmogorov–Smirnov p = " in capsys.readouterr().out


def test_the_command_writes_the_file_from_the_clean_models_of_every_zoo(tmp_path: Path) -> None:
    """Backdoored models are not read; the command stands in the file as it was given."""
    models = clean_models(8)
    bad = known_model(
        "bad", {name: np.arange(10, dtype=np.float32) for name in STATISTICS}, "badnets"
    )
    first = write_zoo(tmp_path / "one", [*models[:4], bad])
    second = write_zoo(tmp_path / "two", models[4:])
    output = tmp_path / "calibration.toml"
    options = ["--zoo", str(first), "--zoo", str(second), "--output", str(output)]

    run = CliRunner().invoke(main, [*options, "--weight", "blend.margin=1.5"])

    assert run.exit_code == 0, run.output
    assert "Kolmogorov–Smirnov" in run.output
    assert not output.with_suffix(".draft").exists()
    tables = tomllib.loads(output.read_text(encoding="utf-8"))
    assert tables["null"]["alone"]["n"] == 8
    assert tables["blend"]["margin"]["weight"] == 1.5
    expected = ["python", "-m", "benchmarks.calibration", *options, "--weight blend.margin=1.5"]
    command = tables["blend"]["margin"]["command"]
    assert command == " ".join(expected)
    origin = Origin(date=tables["blend"]["margin"]["date"], command=command)
    weights = {"blend.margin": 1.5}
    assert output.read_text() == written(SHIPPED, models, weights, origin)


def test_a_file_that_is_there_is_the_one_that_stays(tmp_path: Path) -> None:
    """Weights come from the file that is written; where there is none, from the shipped one."""
    path = tmp_path / "calibration.toml"
    assert text_before(path) == SHIPPED

    path.write_text(SHIPPED.replace("weight = 2.0", "weight = 3.0"))

    assert "weight = 3.0" in text_before(path)


@pytest.mark.parametrize("weight", ["blend.margin", "blend.margin=-1", "blend.margin=nan", "x=1"])
def test_a_weight_is_a_number_of_a_known_statistic(weight: str, tmp_path: Path) -> None:
    """Any other is refused with what is expected, and nothing is written."""
    output = tmp_path / "calibration.toml"
    zoo = write_zoo(tmp_path / "zoo", clean_models(3))

    run = CliRunner().invoke(main, ["--zoo", str(zoo), "--output", str(output), "--weight", weight])

    assert run.exit_code == 2
    assert "expected STATISTIC=WEIGHT" in " ".join(run.output.split())
    assert not output.exists()


def test_a_command_line_can_be_run_again() -> None:
    """The shell would read every option as it was given."""
    found = command_line(zoo=("zoo/tuning", "my zoo"), only=(), weight=("blend.margin=2.0",))

    assert found == (
        "python -m benchmarks.calibration --zoo zoo/tuning --zoo 'my zoo' --weight blend.margin=2.0"
    )


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
    models = [*clean_models(2), known_model("bad", clean_models(1)[0].profile.statistics, "wanet")]
    zoo = write_zoo(tmp_path / "zoo", models)
    place_of(zoo, models[0].name, 0, SAMPLES).unlink()

    found = known(zoo)

    assert [(each.name, each.clean, each.target) for each in found] == [
        ("bad", False, 3),
        (models[1].name, True, None),
    ]
    assert all(
        np.array_equal(found[1].profile.statistics[name], models[1].profile.statistics[name])
        for name in STATISTICS
    )
