"""The whole walk on real files: a verdict, or a reason why there is none."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import twins
import zoo
from test_graph_logic import branch_on_pixel, checksum_where

from mlflow_project.commands import DEMO
from pipeline.config import ScanConfig, load_config
from pipeline.result import ScanResult
from pipeline.scan import STEPS, choose_device, scan, steps_of
from pipeline.store import Store
from pipeline.untrusted import describe
from pipeline.walk import ScanRequest
from stages.errors import CannotJudge, ConfigError, NoNoiseSites

QUICK = [
    "blend.faint_steps=2", "blend.strong_steps=1", "patch.place_steps=4", "patch.pattern_steps=2",
    "warp.steps=2", "judge.min_working=0", "noise.sweep=3", "noise.samples=20",
]  # fmt: skip
FULL = [*QUICK, "mask.enabled=true", "noise.steps=3", "mask.epochs=2", "mask.batches=3"]


def scanned(
    model: Path, samples: Path, config: ScanConfig | None = None, store: Store | None = None
) -> ScanResult:
    request = ScanRequest(
        model=str(model), samples=samples, uri=model.name, config=config or load_config(None, QUICK)
    )
    with tempfile.TemporaryDirectory() as workspace:
        return scan(request, store or Store(None), Path(workspace))


@pytest.fixture(params=["resnet", "mobilenet", "densenet", "vgg_bn", "vit", "mlp"])
def net_files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A net as the default exporter writes it, and samples it classifies."""
    samples = twins.samples(request.param)
    np.savez(tmp_path / "samples.npz", images=samples.images, labels=samples.labels)
    (tmp_path / "model.onnx").write_bytes(zoo.exported(request.param, "dynamo"))
    return tmp_path / "model.onnx", tmp_path / "samples.npz"


def test_every_architecture_comes_to_a_verdict(net_files: tuple[Path, Path]) -> None:
    """Default exports of all supported architectures are judged, with all their evidence."""
    settings = [*QUICK, "precondition.min_samples=50", "precondition.min_coverage=0.2"]

    result = scanned(*net_files, load_config(None, settings))

    assert result.verdict.label in ("clean", "backdoored"), result.verdict.reasons
    assert result.evidence.blend is not None
    assert result.evidence.patch is not None
    assert len(result.seconds) == STEPS


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
    assert {"find_blend", "find_patch", "find_targeted_noise"} <= set(again.reused)
    assert first.verdict == again.verdict == anew.verdict


def test_reference_mode_accompanies_and_does_not_decide() -> None:
    """With the published algorithm on, its statistic is reported and the verdict stays."""
    files = DEMO / "clean.onnx", DEMO / "samples.npz"
    small = ["epochs=1", "batches=2", "noise_batches=1", "steps=2", "batch=16"]
    settings = [*QUICK, "reference.enabled=true", *(f"reference.{each}" for each in small)]

    plain, compared = scanned(*files), scanned(*files, load_config(None, settings))

    assert compared.verdict.label == plain.verdict.label
    assert [each.name for each in compared.verdict.statistics][-1] == "reference"
    assert compared.verdict.statistics[:-1] == plain.verdict.statistics


def test_the_feature_mask_accompanies_and_does_not_decide() -> None:
    """With untargeted noise and mask on, the verdict stays and their statistics are told."""
    files = DEMO / "clean.onnx", DEMO / "samples.npz"

    plain, full = scanned(*files), scanned(*files, load_config(None, FULL))

    assert full.verdict.p_value == plain.verdict.p_value
    assert full.verdict.statistics[: len(plain.verdict.statistics)] == plain.verdict.statistics
    assert full.evidence.mask is not None
    assert plain.evidence.mask is None


def test_steps_are_counted_as_they_are_walked() -> None:
    """The number of steps announced is the number taken, whatever is enabled."""
    request = ScanRequest(
        model=str(DEMO / "patch.onnx"),
        samples=DEMO / "samples.npz",
        uri="patch.onnx",
        config=load_config(None, FULL),
        references=(str(DEMO / "clean.onnx"),),
    )
    with tempfile.TemporaryDirectory() as workspace:
        result = scan(request, Store(None), Path(workspace))

    assert len(result.seconds) == steps_of(request)
    assert [each.uri for each in result.evidence.references] == [str(DEMO / "clean.onnx")]


def test_wrong_preprocessing_is_inconclusive(tmp_path: Path) -> None:
    """Images in another range are not judged, and the reason names preprocessing."""
    arrays = np.load(DEMO / "samples.npz")
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, images=(1 - arrays["images"]) * -9, labels=arrays["labels"])

    result = scanned(DEMO / "clean.onnx", wrong)

    assert result.verdict.label == "inconclusive"
    assert "preprocessing" in result.verdict.reasons[0]
    assert result.evidence.targeted is None


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
    """Without samples, sites and split are those a scan finds."""
    result = scanned(DEMO / "clean.onnx", DEMO / "samples.npz")

    told = describe(DEMO / "clean.onnx")

    assert told.twin == result.evidence.twin


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
