"""The command prints what was found, by the calibration that it is told to use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.calibration import Origin, calibrated, text_of
from benchmarks.detection import main
from benchmarks.leave_one_out import (
    FEWEST,
    auroc_table,
    clean_table,
    found_table,
    judged_apart,
    sections,
)
from benchmarks.outcomes import alone
from benchmarks.profiles import Known
from benchmarks.zoo.recipe import CLEAN
from pipeline.config import ScanConfig
from tests.support.known_models import (
    clean_models,
    drawn,
    few_models,
    known_model,
    outcome,
    with_class_above,
    write_zoo,
)

ORIGIN = Origin(date="2026-11-27", command="")


def zoo_of_two_tasks() -> list[Known]:
    """Three clean models of two tasks each, and one attack on each task."""
    bad = [with_class_above(f"bad-{task}", 9.0, task=task) for task in ("digits", "fashion")]
    return [*clean_models(3), *clean_models(3, seed=1, task="fashion"), *bad]


def output_of(*options: object) -> str:
    run = CliRunner().invoke(main, [str(each) for each in options])
    assert run.exit_code == 0, run.output
    return run.output


def test_it_reads_every_zoo(tmp_path: Path) -> None:
    """Models of all zoos that are given stand in one table; a task can be chosen."""
    models = zoo_of_two_tasks()
    one, other = write_zoo(tmp_path / "1", models[:4]), write_zoo(tmp_path / "2", models[4:])

    everything = output_of("--zoo", one, "--zoo", other)
    digits = output_of("--zoo", one, "--zoo", other, "--task", "digits")

    assert "| ban-gate | 6 | 2 | " in everything
    assert "| ban-gate | 3 | 1 | " in digits


def test_it_judges_by_the_calibration_that_it_is_given(tmp_path: Path) -> None:
    """By a file with a null far out nothing is blocked that the shipped one blocks."""
    models = zoo_of_two_tasks()
    zoo, file = write_zoo(tmp_path / "zoo", models), tmp_path / "calibration.toml"
    clean = [each for each in models if each.clean]
    text = text_of(calibrated([*clean, *few_models()], ORIGIN))
    location = text.split("[null.alone]")[1].split()[2]
    file.write_text(text.replace(f"location = {location}", "location = 500.0", 1))

    assert "| badnets | 2 | 2 | " in output_of("--zoo", zoo)
    assert "| badnets | 2 | 0 | " in output_of("--zoo", zoo, "--calibration", file)


def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path) -> None:
    """The error names the file, and what was expected."""
    zoo, file = write_zoo(tmp_path / "zoo", clean_models(2)), tmp_path / "calibration.toml"
    file.write_text("[null")

    run = CliRunner().invoke(main, ["--zoo", str(zoo), "--calibration", str(file)])

    assert run.exit_code == 1
    assert "is no TOML" in run.output


@pytest.mark.parametrize("options", [["--leave-one-out"], ["--calibrate-on"]])
def test_leaving_out_needs_models_to_calibrate_on(tmp_path: Path, options: list[str]) -> None:
    """Neither option goes without the other."""
    zoo = write_zoo(tmp_path / "zoo", clean_models(2))
    given = [*options, str(zoo)] if options == ["--calibrate-on"] else options

    run = CliRunner().invoke(main, ["--zoo", str(zoo), *given])

    assert run.exit_code == 2
    assert "expected --leave-one-out with --calibrate-on" in run.output


def test_leaving_out_prints_all_tasks_and_each(tmp_path: Path) -> None:
    """There are tables over all tasks and of each, and few models are marked."""
    zoo = write_zoo(tmp_path / "zoo", zoo_of_two_tasks())
    few = write_zoo(tmp_path / "few", few_models())

    found = output_of("--zoo", zoo, "--leave-one-out", "--calibrate-on", zoo, "--calibrate-on", few)

    for title in ("All tasks", "Task digits", "Task fashion"):
        assert f"\n{title}: clean models that are blocked\n" in found
    assert "\n| badnets, alone (too few) | 2 | " in found


def test_a_task_is_judged_by_the_others() -> None:
    """No clean model of a task changes how the task is judged; those of other tasks do."""
    models = zoo_of_two_tasks()
    clean = [*(each for each in models if each.clean), *few_models()]
    of_digits = [each for each in models if each.task == "digits"]
    fashion = [each for each in clean if each.task != "digits"]
    config = ScanConfig()

    found = judged_apart(of_digits, clean, config)["alone"]

    expected = ScanConfig(calibration=calibrated(fashion, ORIGIN))
    assert found == alone(of_digits, expected)
    assert found != alone(of_digits, ScanConfig(calibration=calibrated(clean, ORIGIN)))


def test_tasks_of_the_same_drawings_are_left_out_together() -> None:
    """Who judges clothes in grey has not seen clothes in colour either."""
    models = [*zoo_of_two_tasks(), *few_models()]
    of_fashion = [each for each in models if each.task == "fashion"]
    coloured = [replace(each, name=f"{each.name}-c", task="colour") for each in of_fashion]

    with_it = judged_apart(of_fashion, [*models, *coloured], ScanConfig())["alone"]

    assert with_it == judged_apart(of_fashion, models, ScanConfig())["alone"]


def test_a_backdoored_model_never_calibrates() -> None:
    """Backdoored models among those to calibrate on change nothing."""
    models = zoo_of_two_tasks()
    wild = known_model("wild", drawn(np.random.default_rng(5)), "wanet", task="fashion")

    with_it, without = (
        judged_apart(models[:3], calibrating, ScanConfig())
        for calibrating in (
            [*models, wild, *few_models()],
            [*(each for each in models if each.clean), *few_models()],
        )
    )

    assert with_it == without


def test_rows_of_few_models_are_marked() -> None:
    """A row is marked where it is of fewer than ten models, and has no mark from ten on."""
    clean = [outcome(CLEAN, score=-1.0)] * FEWEST
    few = [outcome("wanet", blocked=True, suspected=3)] * (FEWEST - 1)

    verdicts = {"alone": [*clean, *few]}

    assert clean_table(verdicts)[2] == "| alone | 10 | 0 | 0–31 % | 0 |"
    assert found_table(verdicts)[2].startswith("| all with a single target, alone (too few) | 9 |")
    assert found_table(verdicts)[3].startswith("| wanet, alone (too few) | 9 | 9 | ")
    assert auroc_table(verdicts)[2].startswith("| alone (too few) | 10 | 9 | 1.000 |")


def test_only_the_right_class_is_found() -> None:
    """A model that is blocked for another class is not found, nor one that is not blocked."""
    group = [
        outcome("wanet", blocked=True, suspected=3),
        outcome("wanet", blocked=True, suspected=4),
        outcome("wanet", suspected=3),
    ]

    lines = found_table({"alone": group})

    assert [line for line in lines if "| 3 | 1 |" in line] == lines[2:]
    assert len(lines) == 4


def test_attacks_without_a_single_target_are_in_no_total() -> None:
    """They have rows of their own; without clean models there is no AUROC."""
    group = [outcome("two-targets", blocked=True, suspected=3), outcome("wanet")]

    lines = found_table({"alone": group})

    assert lines[2].startswith("| all with a single target, alone (too few) | 1 | 0 |")
    assert auroc_table({"alone": group})[2:] == []
    assert len(list(sections({"alone": group}))) == 6
