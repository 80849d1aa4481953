"""The calibration is written whole, from the clean models that are given and from nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import gumbel_r

from benchmarks.calibration import (
    Origin,
    calibrated,
    few_tail,
    fitted,
    main,
    pairs,
    row,
    tail,
    text_of,
)
from stages.searches import SPECS, STATISTICS
from stages.types import Floats
from stages.verdict.calibration import FILE, Null, from_tables, shipped
from stages.verdict.score import UPPER, critical_value
from tests.support.known_models import clean_models, drawn, few_models, known_model, write_zoo

ORIGIN = Origin(date="2026-11-27", command="python -m benchmarks.calibration --zoo zoo")
ORDINARY = next(name for name, spec in SPECS.items() if not spec.whole)
WHOLE = next(name for name, spec in SPECS.items() if spec.whole)


def test_the_shipped_file_is_in_the_form_that_is_written() -> None:
    """Writing the shipped calibration gives the shipped file."""
    assert text_of(shipped()) == FILE.read_text(encoding="utf-8")


def test_what_is_written_is_read_back() -> None:
    """Every statistic and null has a table, with its number of models, date and command."""
    made = calibrated([*clean_models(6), *few_models(3)], ORIGIN)

    found = from_tables(tomllib.loads(text_of(made)))

    assert found == made
    assert tuple(found.rows) == STATISTICS
    everything = (*found.rows.values(), found.alone, found.referenced)
    assert {each.n for each in everything} == {6}
    assert found.few.n == 3
    everything = (*everything, found.few)
    assert {(each.date, each.command) for each in everything} == {(ORIGIN.date, ORIGIN.command)}


def test_same_models_same_file() -> None:
    """The order of the models does not matter, and nothing is drawn."""
    models = [*clean_models(6), *few_models()]

    first, again = (text_of(calibrated(each, ORIGIN)) for each in (models, models[::-1]))

    assert first == again


def test_the_range_is_that_of_the_models() -> None:
    """The fewest and most classes and the smallest and largest side are those that were seen, but
    for models of few classes, which have a bound of their own.
    """
    large = [
        known_model(f"large-{seed}", drawn(np.random.default_rng(seed), 43), task="signs")
        for seed in range(2)
    ]
    large = [replace(each, profile=replace(each.profile, side=48)) for each in large]

    found = calibrated([*clean_models(3), *large, *few_models()], ORIGIN).range

    assert (found.fewest_classes, found.most_classes, found.few_classes) == (10, 43, 3)
    assert (found.smallest_side, found.largest_side) == (16, 48)


def test_a_tenth_of_the_classes_lies_in_the_tail() -> None:
    """A tail begins where a tenth of the clean classes lies beyond, and its scale is their mean."""
    random = np.random.default_rng(0)
    values: list[Floats] = [random.exponential(1.0, 10).astype(np.float32) for _ in range(400)]

    found = tail(values, whole=False)

    middles = [np.median(each) for each in values]
    deviations = [
        1.4826 * np.median(np.abs(each - middle))
        for each, middle in zip(values, middles, strict=True)
    ]
    least = float(np.median(deviations))
    index = np.concatenate(
        [
            (each - middle) / np.hypot(deviation, least)
            for each, middle, deviation in zip(values, middles, deviations, strict=True)
        ]
    )
    assert found.least == pytest.approx(least, rel=1e-3)
    assert (index > found.upper).mean() == pytest.approx(UPPER, abs=0.01)
    beyond = index[index > found.upper] - found.upper
    assert found.scale == pytest.approx(beyond.mean(), rel=0.02)
    assert found.centre == 0.0


def test_the_tail_of_a_whole_model_is_that_of_other_models() -> None:
    """A statistic of the whole model is centred on the median of the models, one value each."""
    values: list[Floats] = [np.full(10, each, np.float32) for each in (1.0, 2.0, 3.0, 4.0, 9.0)]

    found = tail(values, whole=True)

    assert found.centre == 3.0
    assert found.least == pytest.approx(1.4826, rel=1e-3)


def test_a_row_has_the_differences_of_models_of_one_task() -> None:
    """Differences are those of every two models of a task, and of no others."""
    one, other = clean_models(2)
    stranger = clean_models(1, task="fashion")[0]

    found = row([one, other, stranger], few_models(), ORDINARY, ORIGIN)

    assert found.n == 3
    assert [(a.name, b.name) for a, b in pairs([one, other, stranger])] == [
        (one.name, other.name),
        (other.name, one.name),
    ]
    both = row([one, other], few_models(seed=8), ORDINARY, ORIGIN)
    assert both.referenced == found.referenced
    assert both.few != found.few
    assert both.alone != found.alone


def test_classes_of_which_nothing_is_said_do_not_count() -> None:
    """A class that was not searched to the end changes no tail."""
    (model,) = clean_models(1)
    values = {
        name: each if SPECS[name].whole else np.append(each, np.float32(np.nan))
        for name, each in model.profile.statistics.items()
    }
    values[WHOLE] = np.resize(values[WHOLE], 11)
    more = replace(model, profile=replace(model.profile, statistics=values))

    few = few_models()
    assert row([more], few, ORDINARY, ORIGIN).alone == row([model], few, ORDINARY, ORIGIN).alone


def test_nulls_need_a_model_and_a_reference() -> None:
    """One model, or two of different tasks, are refused; so are two of one kind of task alone, of
    few classes or of more.
    """
    one, other = clean_models(2)

    for models in ([], [one], [one, replace(other, task="fashion")]):
        with pytest.raises(click.ClickException, match=r"no two .* of more than 3 classes"):
            calibrated([*models, *few_models()], ORIGIN)
    for few in ([], few_models(1)):
        with pytest.raises(click.ClickException, match=r"no two .* of up to 3 classes"):
            calibrated([one, other, *few], ORIGIN)


def test_differences_of_few_classes_are_counted_as_they_are() -> None:
    """Every two classes' differences lie around 0, by the usual size of one; nothing is centred."""
    random = np.random.default_rng(0)
    differences: list[Floats] = [random.normal(0, 2.0, 2).astype(np.float32) for _ in range(4000)]

    found = few_tail(differences)
    moved = few_tail([each + 2.0 for each in differences])

    assert found.centre == moved.centre == 0.0
    assert found.least == pytest.approx(2.0, rel=0.05)
    assert found.upper == pytest.approx(1.28, abs=0.05)
    assert moved.least > found.least


def null_of(values: Floats, classes: Floats) -> Null:
    return fitted("alone", values, classes, len(values), ORIGIN)


@pytest.mark.parametrize("outliers", [0, 3, 12])
def test_the_null_does_not_exceed_its_false_alarm_rate(
    outliers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The critical value at 5 % is not below the score that 5 % exceed, and the fit is printed."""
    random = np.random.default_rng(0)
    values: Floats = np.concatenate([random.gumbel(0.9, 0.2, 100), np.full(outliers, 4.0)])

    null = null_of(values, np.full(len(values), 10.0))

    assert critical_value(0.05, null, 10) >= np.quantile(values, 0.95) - 2e-3
    assert null.n == 100 + outliers
    assert null.growth == 0.0
    assert "Kolmogorov-Smirnov p = " in capsys.readouterr().out


def test_the_null_grows_as_the_scores_do() -> None:
    """Location, scale and growth of scores that grow with the number of classes are found again."""
    classes = np.repeat([10.0, 20.0, 43.0, 100.0], 300)
    squares = gumbel_r.rvs(
        8.0 + 2.0 * np.log(classes / 10), 1.5, len(classes), random_state=np.random.default_rng(0)
    )

    null = null_of(np.sqrt(squares), classes)

    assert null.location == pytest.approx(8.0, abs=0.3)
    assert null.scale == pytest.approx(1.5, abs=0.3)
    assert null.growth == pytest.approx(2.0, abs=0.3)


def test_scores_that_shrink_with_classes_lower_no_limit() -> None:
    """The location never falls with the number of classes."""
    classes = np.repeat([10.0, 100.0], 100)
    values = gumbel_r.rvs(
        3.0 - 0.5 * np.log(classes / 10), 0.4, 200, random_state=np.random.default_rng(0)
    )

    assert null_of(values, classes).growth == 0.0


def test_the_command_writes_the_file_from_the_clean_models_of_every_zoo(tmp_path: Path) -> None:
    """Backdoored models are not read; the command stands in the file as it was given."""
    models = [*clean_models(8), *few_models()]
    bad = known_model("bad", drawn(np.random.default_rng(99)), "badnets")
    first = write_zoo(tmp_path / "one", [*models[:4], bad])
    second = write_zoo(tmp_path / "two", models[4:])
    output = tmp_path / "calibration.toml"

    run = CliRunner().invoke(
        main, ["--zoo", str(first), "--zoo", str(second), "--output", str(output)]
    )

    assert run.exit_code == 0, run.output
    assert "Kolmogorov-Smirnov" in run.output
    found = from_tables(tomllib.loads(output.read_text(encoding="utf-8")))
    assert found.alone.command == f"python -m benchmarks.calibration --zoo {first} --zoo {second}"
    origin = Origin(date=found.alone.date, command=found.alone.command)
    assert output.read_text(encoding="utf-8") == text_of(calibrated(models, origin))


def test_a_task_can_be_left_out(tmp_path: Path) -> None:
    """What is left out changes nothing, and the command says that it was."""
    models, others = clean_models(3), clean_models(3, seed=1, task="fashion")
    zoo = write_zoo(tmp_path / "zoo", [*models, *others, *few_models()])
    output = tmp_path / "calibration.toml"

    run = CliRunner().invoke(
        main, ["--zoo", str(zoo), "--without", "fashion", "--output", str(output)]
    )

    assert run.exit_code == 0, run.output
    found = from_tables(tomllib.loads(output.read_text(encoding="utf-8")))
    assert found.alone.n == 3
    assert found.alone.command.endswith("--without fashion")
