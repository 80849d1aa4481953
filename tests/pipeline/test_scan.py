"""All steps on real files: a verdict, or a reason why there is none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.cache.store import Store
from pipeline.config import ScanConfig, load_config
from pipeline.evidence import ScanResult
from pipeline.intake import starter
from pipeline.intake.request import Request
from pipeline.intake.untrusted import describe
from pipeline.request import ScanRequest
from pipeline.scan import choose_device, scan
from pipeline.steps import STEPS, Step, steps_of
from stages.errors import CannotJudge, ConfigError, NoNoiseSites
from stages.searches import SEARCHES
from tests.support import twins, zoo
from tests.support.graph_logic_models import branch_on_pixel, checksum_where
from tests.support.places import DEMO

ONE_SEED = "judge.near=1"
"""Near the limit, too: three scans would show nothing more."""
QUICK = [
    "blend.faint_steps=2", "blend.strong_steps=1", "patch.place_steps=4", "patch.pattern_steps=2",
    "small_patch.first_steps=1", "small_patch.place_steps=2", "small_patch.pattern_steps=2",
    "warp.steps=2", "tone.steps=2", "neuron_noise.sweep=3", "neuron_noise.samples=20",
    "head_probe.draws=100", "permutation.first_steps=1", "permutation.place_steps=1",
    "permutation.pattern_steps=1", "permutation.blend_steps=1", "judge.min_working=0",
]  # fmt: skip
MASK = [
    *("feature_mask.enabled=true", "feature_mask.epochs=2", "feature_mask.batches=3"),
    "untargeted_noise.steps=3",
]
BAN = ["enabled=true", "epochs=1", "batches=2", "noise_batches=1", "steps=2", "batch=16"]
PUBLISHED = [f"published_ban.{each}" for each in BAN]


def asked(
    model: Path, samples: Path, *settings: str, references: tuple[str, ...] = ()
) -> ScanRequest:
    """A request for a quick scan, with further settings."""
    return ScanRequest(
        model=str(model),
        samples=samples,
        uri=model.name,
        config=load_config(None, [*QUICK, ONE_SEED, *settings]),
        references=references,
    )


def answered(request: ScanRequest, store: Store | None = None) -> ScanResult:
    """The result of a scan in a workspace of its own."""
    with tempfile.TemporaryDirectory() as workspace:
        return scan(request, store or Store(None), Path(workspace))


def scanned(
    model: Path, samples: Path, config: ScanConfig | None = None, store: Store | None = None
) -> ScanResult:
    request = asked(model, samples)
    return answered(replace(request, config=config or request.config), store)


WHOLE = ["judge.until_certain=false"]
OTHER_NETS = ("mobilenet", "densenet", "vgg_bn", "vit", "mlp")


@pytest.fixture(
    params=["resnet", *(pytest.param(each, marks=pytest.mark.nightly) for each in OTHER_NETS)]
)
def net_files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A net as the default exporter writes it, and samples it classifies."""
    samples = twins.samples(request.param)
    np.savez(tmp_path / "samples.npz", images=samples.images, labels=samples.labels)
    (tmp_path / "model.onnx").write_bytes(zoo.exported(request.param, "dynamo"))
    return tmp_path / "model.onnx", tmp_path / "samples.npz"


def test_every_architecture_comes_to_a_verdict(net_files: tuple[Path, Path]) -> None:
    """Default exports of all supported architectures are judged, with all their evidence."""
    settings = [*QUICK, *WHOLE, "precondition.min_samples=50", "precondition.min_coverage=0.2"]

    result = scanned(*net_files, load_config(None, settings))

    assert result.verdict.label in ("clean", "backdoored"), result.verdict.reasons
    assert list(result.evidence.searches) == [search.name for search in SEARCHES]
    spoken = [
        f"{name}.{each}"
        for name, found in result.evidence.searches.items()
        for each in found.statistics
        if not found.silent
    ]
    assert [each.name for each in result.verdict.statistics] == spoken
    assert result.evidence.sweep is not None
    assert set(result.done) == set(result.seconds)
    labels, said = np.load(net_files[1])["labels"], " ".join(result.verdict.reasons)
    covered = len(np.unique(labels))
    assert (f"the samples are of {covered} of 10 classes" in said) == (covered < 10)
    assert {"precision", "layout"} <= set(result.environment)


def test_the_clean_demo_model_passes() -> None:
    """At default settings the clean model gets `clean`."""
    result = scanned(DEMO / "clean.onnx", DEMO / "samples.npz", ScanConfig())

    assert result.verdict.label == "clean"


def test_the_blended_demo_model_is_blocked_with_the_right_class() -> None:
    """At default settings the blended model gets `backdoored`, and its target is named."""
    result = scanned(DEMO / "blended.onnx", DEMO / "samples.npz", ScanConfig())

    assert result.verdict.label == "backdoored"
    assert result.verdict.suspected_class == 7


def test_same_seed_same_verdict_and_the_store_agrees(tmp_path: Path) -> None:
    """Running again, from scratch or from the store, gives the same statistics."""
    files = DEMO / "clean.onnx", DEMO / "samples.npz"

    first = scanned(*files, store=Store(tmp_path))
    again = scanned(*files, store=Store(tmp_path))
    anew = scanned(*files)

    assert first.reused == ()
    spared = {name for name, each in first.evidence.searches.items() if not each.effort.steps}
    kept = {search.name for search in SEARCHES} - spared
    assert {f"find_{name}" for name in kept} <= set(again.reused)
    assert first.verdict == again.verdict == anew.verdict


def test_the_published_algorithm_is_told_and_does_not_decide() -> None:
    """With it on, its statistic is reported and the verdict stays."""
    files = DEMO / "clean.onnx", DEMO / "samples.npz"

    plain, compared = answered(asked(*files)), answered(asked(*files, *PUBLISHED))

    assert replace(compared.verdict, published=()) == plain.verdict
    assert [each.name for each in compared.verdict.published] == ["published_ban"]
    assert plain.verdict.published == ()
    assert compared.evidence.ban is not None
    assert plain.evidence.ban is None


def test_the_feature_mask_is_told_and_does_not_decide() -> None:
    """With untargeted noise and mask on, the verdict stays and their statistics are told."""
    files = DEMO / "clean.onnx", DEMO / "samples.npz"

    plain, full = answered(asked(*files)), answered(asked(*files, *MASK))

    assert replace(full.verdict, published=()) == plain.verdict
    assert [each.name for each in full.verdict.published] == ["untargeted_noise", "feature_mask"]
    assert full.evidence.mask is not None
    assert plain.evidence.mask is None


@pytest.mark.parametrize("given", [None, 0.125])
def test_untargeted_noise_takes_the_bound_that_the_verdict_looks_at(given: float | None) -> None:
    """Unless another one is set."""
    settings = [*MASK, *([] if given is None else [f"untargeted_noise.epsilon={given}"])]

    result = answered(asked(DEMO / "clean.onnx", DEMO / "samples.npz", *settings))

    assert result.evidence.sweep is not None
    assert result.evidence.untargeted is not None
    expected = result.evidence.sweep.epsilon if given is None else given
    assert result.evidence.untargeted.epsilon == expected


@pytest.mark.parametrize(
    ("settings", "references"),
    [
        pytest.param((), (), id="nothing more"),
        pytest.param((*MASK, *PUBLISHED), (str(DEMO / "clean.onnx"),), id="everything"),
        *(
            pytest.param(each, references, marks=pytest.mark.nightly)
            for each in (MASK, PUBLISHED)
            for references in ((), (str(DEMO / "clean.onnx"),))
        ),
        pytest.param((), (str(DEMO / "clean.onnx"),), marks=pytest.mark.nightly),
        pytest.param((*MASK, *PUBLISHED), (), marks=pytest.mark.nightly),
    ],
)
def test_the_table_of_steps_is_what_a_scan_does(
    settings: tuple[str, ...], references: tuple[str, ...]
) -> None:
    """Each step of the table once, and no other, whatever is enabled: in its order but for the
    searches, of which those come first that tell most for their cost.
    """
    files = DEMO / "patch.onnx", DEMO / "samples.npz"
    request = asked(*files, *settings, *WHOLE, references=references)
    watched: list[str] = []

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        watched.append(name)
        yield

    result = answered(request, Store(None, watch))

    expected = [step.name for step in steps_of(request)]
    searches = {f"find_{each.name}" for each in SEARCHES}
    assert list(result.seconds) == list(result.done) == watched
    assert set(watched) == set(expected)
    assert _without(searches, watched) == _without(searches, expected)
    assert [each.uri for each in result.evidence.references] == list(references)


def _without(some: set[str], steps: Sequence[str]) -> list[str]:
    return [each for each in steps if each not in some]


def test_every_step_of_the_table_can_be_asked_for() -> None:
    """With everything enabled, and with references, a request has all of them, in order."""
    files = DEMO / "patch.onnx", DEMO / "samples.npz"
    plain, full = asked(*files), asked(*files, *MASK, *PUBLISHED, references=("another.onnx",))

    assert steps_of(full) == STEPS
    assert set(steps_of(plain)) < set(STEPS)
    assert len({step.name for step in STEPS}) == len(STEPS)


@pytest.mark.parametrize("step", [each for each in STEPS if each.setting], ids=lambda it: it.name)
def test_the_setting_that_a_step_names_turns_it_on(step: Step) -> None:
    """And without it a request lacks the step."""
    files = DEMO / "patch.onnx", DEMO / "samples.npz"

    assert step not in steps_of(asked(*files))
    assert step in steps_of(asked(*files, f"{step.setting}=true"))


def test_a_scan_that_ends_early_has_done_the_steps_before(tmp_path: Path) -> None:
    """In the order of the table; the step that ended it was begun, and not done."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    first = STEPS[0].name
    names = [step.name for step in STEPS]

    refused = scanned(broken, DEMO / "samples.npz")
    unfit = answered(
        asked(DEMO / "clean.onnx", DEMO / "samples.npz", "precondition.min_samples=100000")
    )

    assert list(refused.done) == []
    assert list(refused.seconds) == [first]
    assert list(unfit.done) == names[: names.index("compare_decisions")]
    assert list(unfit.seconds) == list(unfit.done)


def test_a_scan_tells_when_it_ended() -> None:
    """In UTC, after it began."""
    before = datetime.now(UTC)

    result = scanned(DEMO / "clean.onnx", DEMO / "samples.npz")

    assert before < result.ended <= datetime.now(UTC)
    assert result.ended.utcoffset() == timedelta(0)


def test_wrong_preprocessing_is_inconclusive(tmp_path: Path) -> None:
    """Images in another range are not judged, and the reason names preprocessing."""
    arrays = np.load(DEMO / "samples.npz")
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, images=(1 - arrays["images"]) * -9, labels=arrays["labels"])

    result = scanned(DEMO / "clean.onnx", wrong)

    assert result.verdict.label == "inconclusive"
    assert "preprocessing" in result.verdict.reasons[0]
    assert result.evidence.searches == {}


def test_refused_file_is_inconclusive_and_keeps_its_reason(tmp_path: Path) -> None:
    """What is not ONNX gets no verdict, and the result says why."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")

    result = scanned(broken, DEMO / "samples.npz")

    assert result.verdict.label == "inconclusive"
    assert "broken.onnx" in result.verdict.reasons[0]
    assert result.evidence.artifact is None


def test_the_folder_of_the_model_is_left_alone(tmp_path: Path) -> None:
    """A scan writes nothing beside the model."""
    shutil.copy(DEMO / "clean.onnx", tmp_path)

    scanned(tmp_path / "clean.onnx", DEMO / "samples.npz")

    assert [each.name for each in tmp_path.iterdir()] == ["clean.onnx"]


def test_describe_tells_sites_and_split() -> None:
    """Without samples, sites and split are those a scan finds, which also chose how to compute."""
    result = scanned(DEMO / "clean.onnx", DEMO / "samples.npz")

    told = describe(DEMO / "clean.onnx")

    assert told.twin is not None
    assert result.evidence.twin is not None
    chosen = result.evidence.twin.arithmetic
    assert replace(told.twin, arithmetic=chosen) == result.evidence.twin


def test_describe_refuses_what_a_scan_refuses(tmp_path: Path) -> None:
    """A file without neurons is refused by its reason."""
    linear = tmp_path / "linear.onnx"
    linear.write_bytes(
        zoo.export_dynamo(zoo.nn.Sequential(zoo.nn.Flatten(), zoo.nn.Linear(3072, 4)))
    )

    with pytest.raises(NoNoiseSites, match="no neurons to perturb"):
        describe(linear)


def test_unknown_device_is_a_setting_error() -> None:
    """Only auto, cpu and cuda are devices, and cuda needs one."""
    with pytest.raises(ConfigError, match="unknown device `tpu`"):
        choose_device("tpu")
    assert choose_device("cpu").type == "cpu"
    assert issubclass(NoNoiseSites, CannotJudge)


@pytest.mark.parametrize("convertible", [True, False])
def test_a_graph_backdoor_blocks_like_a_weight_backdoor(tmp_path: Path, convertible: bool) -> None:
    """Trigger logic in the graph gives `backdoored`, also where the twin cannot be built."""
    model = checksum_where() if convertible else branch_on_pixel()
    (tmp_path / "planted.onnx").write_bytes(model.SerializeToString())
    images = np.random.default_rng(0).random((100, 1, 8, 8), np.float32)
    np.savez(tmp_path / "samples.npz", images=images, labels=np.arange(100) % 10)

    result = scanned(tmp_path / "planted.onnx", tmp_path / "samples.npz")

    assert result.verdict.label == "backdoored"
    assert "looks like a trigger" in result.verdict.reasons[0]
    assert len(result.verdict.reasons) > 1


def test_whatever_any_process_lacked_is_in_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first that reads the file to the last that runs the whole of it."""
    run, works = starter.run, set()

    def lacking(asked: Request) -> starter.Ended:
        works.add(asked.work)
        ended = run(asked)
        return replace(ended, missing=(*ended.missing, asked.work))

    monkeypatch.setattr(starter, "run", lacking)
    samples = twins.samples("mlp")
    np.savez(tmp_path / "samples.npz", images=samples.images, labels=samples.labels)
    (tmp_path / "model.onnx").write_bytes(zoo.exported("mlp", "dynamo"))

    settings = [*QUICK, "precondition.min_samples=50", "precondition.min_coverage=0.2"]
    config = load_config(None, settings)

    result = scanned(tmp_path / "model.onnx", tmp_path / "samples.npz", config)

    assert result.evidence.isolation is not None
    assert works == works & set(result.evidence.isolation.missing)
    assert any("inspect_onnx" in each for each in works)
    assert any("run_whole" in each for each in works)
