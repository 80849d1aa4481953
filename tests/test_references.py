"""Which references may be used, told by their profiles, and measured on the real demo models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_score import CLASSES, SETTINGS, drawn, profile

from mlflow_project.commands import DEMO
from pipeline.config import ScanConfig, load_config
from pipeline.profiles import profile_text
from pipeline.references import Measured, measure, weigh
from pipeline.scan import scan
from pipeline.store import Store
from pipeline.walk import ScanRequest
from stages.errors import ConfigError
from stages.references import Vetted, VettingConfig, vet
from stages.score import values_of
from stages.types import ClassProfile

VETTING = VettingConfig(min_accuracy=0.5, suspicious=0.01, disagreeing=0.01)
SUBJECT = profile("subject")
SUSPICIOUS = 8.0
"""Added to one class, in units of the spread, it makes a model stand out by itself."""
CONTRADICTED = 2.0
"""Added to one margin it is natural in a model by itself, but not where references lack it."""

CPU = torch.device("cpu")
QUICK = (
    *("blend.samples=20", "blend.faint_steps=3", "blend.strong_steps=2"),
    *(
        "patch.samples=20",
        "patch.first_steps=2",
        "patch.place_steps=2",
        "warp.steps=3",
        "noise.samples=20",
        "noise.sweep=3",
    ),
    *("mask.enabled=false", "reference.enabled=false"),
)


def vetted(*references: ClassProfile, config: VettingConfig = VETTING) -> Vetted:
    return vet(SUBJECT, references, config, SETTINGS)


def test_agreeing_references_are_all_kept() -> None:
    """In their order, and nothing is said."""
    references = tuple(drawn(seed, f"reference {seed}", spread=0.05) for seed in range(4))

    found = vetted(*references)

    assert found.kept == references
    assert found.remarks == ()


def test_without_references_nothing_is_kept_and_nothing_said() -> None:
    """None in, none out."""
    assert vetted() == Vetted(kept=(), remarks=())


def test_a_single_reference_has_nobody_to_contradict_it() -> None:
    """What would differ from others is used where there are no others."""
    alone = profile("alone", blend={1: CONTRADICTED})

    assert vetted(alone).kept == (alone,)


@pytest.mark.parametrize(
    ("unfit", "fault"),
    [
        (replace(SUBJECT, name="unfit"), "it is the model that is judged"),
        (profile("unfit", classes=7), "it has 7 classes, the model has 10"),
        (profile("unfit", accuracy=0.49), "its clean accuracy on these samples is 0.49"),
        (profile("unfit", patch={4: SUSPICIOUS * 0.25}), "class 4 stands out in it too (p = "),
        (profile("unfit", blend={7: SUSPICIOUS * 0.5}), "class 7 stands out in it too (p = "),
        (profile("unfit", noise={2: SUSPICIOUS}), "class 2 stands out in it too (p = "),
    ],
)
def test_an_unfit_reference_is_left_out_and_named(unfit: ClassProfile, fault: str) -> None:
    """It is gone, the others stay, and one remark names it with its fault."""
    fit = profile("fit"), profile("fit too")

    found = vetted(fit[0], unfit, fit[1])

    assert found.kept == fit
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith(f"reference `unfit` is left out: {fault}")


def test_the_accuracy_that_is_needed_suffices() -> None:
    """At least is at least."""
    assert vetted(profile("just", accuracy=0.5)).kept
    assert not vetted(profile("short of it", accuracy=0.499)).kept


def test_the_model_itself_is_known_by_its_bytes() -> None:
    """Under another name it is still itself; under the same name another model is not."""
    itself, namesake = replace(SUBJECT, name="renamed"), replace(SUBJECT, digest="another")

    assert vetted(itself, namesake).kept == (namesake,)


@pytest.mark.parametrize("place", range(3))
def test_one_that_two_others_contradict_is_left_out(place: int) -> None:
    """Wherever it stands among them; the two that agree stay."""
    odd = profile("odd", blend={1: CONTRADICTED})
    references = [profile("one"), profile("two")]
    kept = tuple(references)
    references.insert(place, odd)

    found = vetted(*references)

    assert found.kept == kept
    assert found.remarks == ("reference `odd` is left out: the other references contradict it",)


def test_two_that_contradict_each_other_are_both_left_out() -> None:
    """Who is right cannot be told, so neither is used."""
    one = profile("one", blend={1: CONTRADICTED})
    other = profile("other", blend={2: CONTRADICTED})

    found = vetted(one, other)

    assert found.kept == ()
    assert [remark.split("`")[1] for remark in found.remarks] == ["one", "other"]


def test_what_is_left_out_contradicts_nobody() -> None:
    """An unfit reference has no say about the others, whatever it holds."""
    backdoored = profile("backdoored", blend=dict.fromkeys(range(1, CLASSES), -50.0))
    fit = profile("fit"), profile("fit too")

    found = vetted(*fit, backdoored)

    assert found.kept == fit
    assert "class 0 stands out" in found.remarks[0]


def test_everything_left_out_has_one_remark_of_its_own() -> None:
    """Kept or remarked on, each exactly once, and the caller's settings decide."""
    references = (
        replace(SUBJECT, name="itself"),
        profile("other task", classes=4),
        profile("inaccurate", accuracy=0.2),
        profile("suspicious", patch={4: SUSPICIOUS}),
        profile("contradicted", blend={1: CONTRADICTED}),
        profile("fit"),
        profile("fit too"),
    )

    found = vetted(*references)

    kept = [each.name for each in found.kept]
    remarked = [remark.split("`")[1] for remark in found.remarks]
    assert kept == ["fit", "fit too"]
    assert sorted(kept + remarked) == sorted(each.name for each in references)


def test_the_limits_are_those_of_the_settings() -> None:
    """A vetting that suspects nobody keeps what a strict one leaves out, and the other way."""
    references = tuple(drawn(seed, f"reference {seed}") for seed in range(3))
    lax = VettingConfig(min_accuracy=0.0, suspicious=0.0, disagreeing=0.0)
    strict = VettingConfig(min_accuracy=0.0, suspicious=1.0, disagreeing=1.0)

    assert vetted(*references, config=lax).kept == references
    assert vetted(*references, config=strict).kept == ()


def request(**changes: object) -> ScanRequest:
    asked = ScanRequest(
        model=str(DEMO / "blended.onnx"),
        samples=DEMO / "samples.npz",
        uri="blended",
        config=load_config(None, QUICK),
    )
    return replace(asked, **changes)  # type: ignore[arg-type] # tests name real fields


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
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    lax = replace(request().config, vetting=VettingConfig(suspicious=0.0), score=SETTINGS)
    asked = request(config=lax, references=(file,))
    stranger = replace(clean, digest="another model")

    used, told = weigh(stranger, asked, Store(None), CPU, tmp_path / "one")
    unused, told_too = weigh(clean, asked, Store(None), CPU, tmp_path / "two")

    assert (len(used.kept), used.remarks, told[0].used) == (1, (), True)
    assert (unused.kept, told_too[0].used) == ((), False)
    assert "it is the model that is judged" in unused.remarks[0]
    assert told[0].digest == told_too[0].digest == clean.digest
    assert 0 < told[0].p_value <= 1
    assert told[0].p_value == told_too[0].p_value


def test_a_scan_goes_on_without_a_reference_that_cannot_be_judged(
    file: str, broken: str, tmp_path: Path
) -> None:
    """There is a verdict, it says what was left out, and it tells of the reference it used."""
    lax = replace(request().config, vetting=VettingConfig(suspicious=0.0))
    asked = request(config=lax, references=(broken, file))

    result = scan(asked, Store(None), tmp_path)

    assert result.verdict.label in ("clean", "backdoored"), result.verdict.reasons
    assert [each.used for each in result.evidence.references] == [True]
    assert "against 1 reference(s)" in result.verdict.reasons[0]
    assert sum("broken.onnx" in reason for reason in result.verdict.reasons) == 1


def test_the_defaults_suspect_before_they_compare() -> None:
    """A reference is asked for itself at a stricter rate than the model that is judged."""
    config = ScanConfig()

    assert config.vetting.suspicious < config.judge.false_alarm_rate
