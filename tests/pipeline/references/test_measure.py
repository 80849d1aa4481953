"""References as they are measured: from real models, from files, and where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.cache.store import Store
from pipeline.config import load_config
from pipeline.intake.sandbox import Sandbox
from pipeline.note import unnoted
from pipeline.pace.course import Course
from pipeline.references.measure import (
    Measured,
    Selected,
    measure,
    measured_of,
    select_references,
    selection_of,
)
from pipeline.references.profile_file import profile_text
from pipeline.request import ScanRequest
from pipeline.run import Run
from pipeline.scan import scan
from stages.errors import ConfigError
from stages.settings import unchecked
from stages.verdict.profile import ClassProfile
from stages.verdict.settings import VettingConfig
from stages.verdict.vetting import own_p_value
from tests.support.brief_searches import MANY
from tests.support.places import DEMO
from tests.support.profiles import BLEND, CLASSES, SETTINGS, values_of

CPU = torch.device("cpu")
LAX = unchecked(VettingConfig(), suspicious=0.0)
"""Keeps a reference whatever stands out in it."""
QUICK = (
    *("blend.samples=20", "blend.faint_steps=3", "blend.strong_steps=2"),
    *("patch.samples=20", "patch.first_steps=2", "patch.place_steps=2", "warp.steps=3"),
    *("small_patch.first_steps=2", "small_patch.place_steps=2", "small_patch.pattern_steps=2"),
    *("neuron_noise.samples=20", "neuron_noise.sweep=3", "tone.steps=3", "head_probe.draws=100"),
    *("permutation.first_steps=2", "permutation.place_steps=2"),
    *("permutation.pattern_steps=2", "permutation.blend_steps=2"),
    *("feature_mask.enabled=false", "published_ban.enabled=false"),
)


def request(**changes: object) -> ScanRequest:
    asked = ScanRequest(
        model=str(DEMO / "blended.onnx"),
        samples=DEMO / "samples.npz",
        uri="blended",
        config=load_config(None, QUICK),
    )
    return replace(asked, **changes)  # type: ignore[arg-type] # tests name real fields


def run_of(asked: ScanRequest, folder: Path) -> Run:
    """A run of a request in an empty folder, with nothing kept."""
    folder.mkdir()
    return Run(
        request=asked,
        store=Store(None),
        device=CPU,
        workspace=folder,
        sandbox=Sandbox(limits=asked.config.isolation),
        note=unnoted,
        course=Course(),
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a file that is no model."""
    path = tmp_path_factory.mktemp("broken") / "broken.onnx"
    path.write_bytes(b"not a model")
    return str(path)


@pytest.fixture(scope="module")
def measured(broken: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """The clean demo model as a reference, beside one that cannot be measured."""
    models = str(DEMO / "clean.onnx"), broken
    return measure(request(), models, Store(None), CPU, tmp_path_factory.mktemp("measured"))


@pytest.fixture
def file(measured: Measured, tmp_path: Path) -> str:
    """The path of a profile file of that reference."""
    path = tmp_path / "clean.json"
    path.write_text(profile_text(measured.profiles, request().config))
    return str(path)


def test_a_model_is_measured_as_a_scan_measures_it(measured: Measured) -> None:
    """Ten finite values of every search, its digest and accuracy, under the name it was given."""
    (clean,) = measured.profiles

    assert clean.name == str(DEMO / "clean.onnx")
    assert clean.clean_accuracy > 0.95
    assert len(clean.digest) == 64
    assert all(row.shape == (CLASSES,) for row in values_of(clean))
    assert np.isfinite(values_of(clean)).all()


def test_a_reference_that_cannot_be_judged_is_left_out_with_a_remark(
    measured: Measured, broken: str
) -> None:
    """The rest is measured all the same, and the remark names file and reason."""
    (remark,) = measured.remarks

    assert remark.startswith(f"reference `{broken}` is left out: ")
    assert "ONNX" in remark


def test_a_profile_file_stands_for_its_model(measured: Measured, file: str, tmp_path: Path) -> None:
    """Measured from the file, the reference is what it was, to the bit."""
    (clean,) = measured.profiles

    found = measure(request(), (file, file), Store(None), CPU, tmp_path)

    assert found.remarks == ()
    assert len(found.profiles) == 2
    for each in found.profiles:
        assert np.array_equal(values_of(each), values_of(clean))
        assert (each.name, each.digest, each.samples, each.clean_accuracy) == (
            *(clean.name, clean.digest, clean.samples, clean.clean_accuracy),
        )
        assert each.side == clean.side == 16
        assert each.ordinary.tolist() == clean.ordinary.tolist() == list(range(CLASSES))


def test_a_profile_of_other_settings_is_refused(file: str, tmp_path: Path) -> None:
    """What was measured otherwise cannot be compared; that is the caller's fault, not a remark."""
    other = replace(request(), config=load_config(None, [*QUICK, "patch.place_steps=5"]))

    with pytest.raises(ConfigError, match="other settings"):
        measure(other, (file,), Store(None), CPU, tmp_path)


def test_a_reference_that_is_not_there_is_the_callers_fault(tmp_path: Path) -> None:
    """A path that leads nowhere is a slip, and the scan should not go on without it."""
    with pytest.raises(ConfigError, match="does not exist"):
        measure(request(), (str(tmp_path / "none.onnx"),), Store(None), CPU, tmp_path)


def test_of_every_measured_reference_is_told_whether_it_was_used(
    measured: Measured, file: str, tmp_path: Path
) -> None:
    """Used beside another model; beside itself it is told of, but not used."""
    (clean,) = measured.profiles
    lax = replace(request().config, vetting=LAX, calibration=SETTINGS)
    asked = request(config=lax, references=(file,))
    stranger = replace(clean, digest="another model")

    def selected(subject: ClassProfile, folder: str) -> Selected:
        run = run_of(asked, tmp_path / folder)
        return select_references(subject, measured_of(run), run)

    used, told = selected(stranger, "one")
    unused, told_too = selected(clean, "two")

    assert (len(used.kept), used.remarks, told[0].used) == (1, (), True)
    assert (unused.kept, told_too[0].used) == ((), False)
    assert "it is the model that is judged" in unused.remarks[0]
    assert told[0].digest == told_too[0].digest == clean.digest
    assert 0 < told[0].p_value <= 1
    assert told[0].p_value == told_too[0].p_value
    assert told[0].p_value >= SETTINGS.alone.smallest_p
    assert told[0].p_is_bound == (own_p_value(clean, SETTINGS)[1] < SETTINGS.alone.smallest_p)


def test_of_many_classes_a_reference_is_searched_for_what_stands_out(
    measured: Measured, tmp_path: Path
) -> None:
    """A class that its own looks leave out is searched in it where it would block the model, and
    only there.
    """
    (clean,) = measured.profiles
    asked = request(
        config=replace(request().config, vetting=LAX, screen=MANY),
        references=(str(DEMO / "clean.onnx"),),
    )
    select = selection_of(run_of(asked, tmp_path / "run"))
    usual = replace(
        clean,
        digest="another model",
        statistics={name: np.zeros_like(each) for name, each in clean.statistics.items()},
    )

    (plain,) = select(usual)[0].kept
    left = int(np.flatnonzero(np.isnan(plain.statistics[BLEND]))[0])
    outstanding = np.where(np.arange(CLASSES) == left, np.float32(99), np.float32(0))
    again = select(replace(usual, statistics={**usual.statistics, BLEND: outstanding}))
    (searched,) = again[0].kept

    known = ~np.isnan(plain.statistics[BLEND])
    assert again[0].remarks == ()
    assert np.isfinite(searched.statistics[BLEND][left])
    assert np.isnan(searched.statistics[BLEND]).sum() == (~known).sum() - 1
    assert np.array_equal(searched.statistics[BLEND][known], plain.statistics[BLEND][known])


def test_a_scan_goes_on_without_a_reference_that_cannot_be_judged(
    file: str, broken: str, tmp_path: Path
) -> None:
    """There is a verdict, it says what was left out, and it tells of the reference it used."""
    usual = request().config
    whole = replace(usual.judge, until_certain=False)
    asked = request(config=replace(usual, vetting=LAX, judge=whole), references=(broken, file))

    result = scan(asked, Store(None), tmp_path)

    assert result.verdict.label in ("clean", "backdoored"), result.verdict.reasons
    assert [each.used for each in result.evidence.references] == [True]
    assert "against 1 reference(s)" in result.verdict.reasons[0]
    assert sum("broken.onnx" in reason for reason in result.verdict.reasons) == 1
