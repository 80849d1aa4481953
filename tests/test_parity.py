"""Laws of parity: a faithful twin passes, an unfaithful one is caught at its first wrong node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

from stages.convert import build_module
from stages.errors import ModelRefused, ParityError, SamplesError
from stages.inspection import inspect_onnx, load_proto
from stages.normalise import normalise
from stages.parity import ParityConfig, prove_parity
from stages.types import CleanSamples, OnnxArtifact

Open = Callable[[str, str], tuple[OnnxArtifact, fx.GraphModule]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Artifact and fresh twin of an export of the zoo."""

    def open_export(architecture: str, exporter: str) -> tuple[OnnxArtifact, fx.GraphModule]:
        return open_bytes(zoo.exported(architecture, exporter), tmp_path)

    return open_export


def open_bytes(content: bytes, folder: Path) -> tuple[OnnxArtifact, fx.GraphModule]:
    """Artifact and twin of a model's bytes."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    return inspect_onnx(path), build_module(normalise(load_proto(path)))


def samples(n: int = 8, shape: tuple[int, ...] = zoo.IMAGE) -> CleanSamples:
    """Standard normal images of that shape, all of class 0."""
    images = np.random.default_rng(5).standard_normal((n, *shape)).astype(np.float32)
    return CleanSamples(images=images, labels=np.zeros(n, np.int64))


@pytest.mark.parametrize("exporter", zoo.EXPORTERS)
@pytest.mark.parametrize("architecture", zoo.ARCHITECTURES)
def test_twins_compute_what_the_file_computes(
    architecture: str, exporter: str, opened: Open
) -> None:
    """Every architecture by every exporter follows onnxruntime to 1e-4 at batch 1 and 7."""
    artifact, module = opened(architecture, exporter)

    result = prove_parity(artifact, module, samples(), ParityConfig())

    assert result.max_rel <= result.tolerance == 1e-4
    assert (result.top1_agreement, result.batches, result.n) == (1.0, (1, 7), 8)


@pytest.mark.parametrize("opset", [11, 14, 20])
def test_other_legacy_opsets(opset: int, tmp_path: Path) -> None:
    """The traced residual net passes at old and new opsets."""
    content = zoo.export_legacy(zoo.net("resnet"), opset=opset, preserve=True)
    artifact, module = open_bytes(content, tmp_path)

    assert prove_parity(artifact, module, samples(), ParityConfig()).max_rel <= 1e-4


@pytest.mark.parametrize(("opset", "baked"), [(18, None), (23, None), (23, 1), (20, 2)])
def test_other_default_opsets(opset: int, baked: int | None, tmp_path: Path) -> None:
    """The transformer by the default exporter passes at other opsets and baked batches."""
    content = zoo.export_dynamo(zoo.net("vit"), opset=opset, baked=baked)
    artifact, module = open_bytes(content, tmp_path)

    assert prove_parity(artifact, module, samples(), ParityConfig()).max_rel <= 1e-4


def test_logits_are_compared_where_the_file_ends_in_a_softmax(tmp_path: Path) -> None:
    """A twin cut to the logits passes against the file cut at the same place."""
    net = nn.Sequential(zoo.net("small_cnn"), nn.Softmax(dim=1)).eval()
    artifact, module = open_bytes(zoo.export_legacy(net), tmp_path)

    result = prove_parity(artifact, module, samples(), ParityConfig())

    logits = module(torch.tensor(samples().images)).detach()
    assert result.max_rel <= 1e-4
    assert not torch.allclose(logits.sum(dim=1), torch.ones(8))


@pytest.mark.parametrize(
    ("architecture", "exporter", "kind", "index"),
    [
        ("resnet", "legacy-preserve", nn.BatchNorm2d, 2),
        ("small_cnn", "dynamo", nn.Conv2d, 1),
        ("vit", "dynamo-baked", nn.Linear, 3),
        ("mlp", "legacy", nn.Linear, 1),
    ],
)
def test_the_first_wrong_node_is_named(
    architecture: str, exporter: str, kind: type[nn.Module], index: int, opened: Open
) -> None:
    """One changed weight is found at the very node that holds it."""
    artifact, module = opened(architecture, exporter)
    names = [name for name, part in module.named_modules() if isinstance(part, kind)]
    weight = module.get_submodule(names[index]).get_parameter("weight")
    with torch.no_grad():
        weight.view(-1)[0] += 3.0

    with pytest.raises(ParityError, match=f"first at node `{names[index]}`"):
        prove_parity(artifact, module, samples(), ParityConfig())


def test_a_tolerance_of_zero_forgives_nothing(opened: Open) -> None:
    """The tolerance of the settings decides."""
    artifact, module = opened("vit", "legacy")

    with pytest.raises(ParityError, match="allowed 0"):
        prove_parity(artifact, module, samples(), ParityConfig(tolerance=0.0))


def test_logits_that_are_no_numbers_fail(opened: Open) -> None:
    """A twin that gives NaN is not the file."""
    artifact, module = opened("mlp", "legacy")
    with torch.no_grad():
        next(module.parameters()).fill_(float("nan"))

    with pytest.raises(ParityError, match="relative difference of inf"):
        prove_parity(artifact, module, samples(), ParityConfig())


def test_the_twin_is_left_as_it_was(opened: Open) -> None:
    """Proving parity changes neither weights nor buffers nor gradients."""
    artifact, module = opened("small_cnn", "legacy-preserve")
    before = {name: one.clone() for name, one in module.state_dict().items()}

    prove_parity(artifact, module, samples(), ParityConfig())

    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert all(one.grad is None for one in module.parameters())


def test_few_samples_are_used_again(opened: Open) -> None:
    """One sample is enough: it is repeated."""
    artifact, module = opened("mlp", "dynamo-baked")

    assert prove_parity(artifact, module, samples(1), ParityConfig()).n == 8


def test_no_samples_are_refused(opened: Open) -> None:
    """Without samples there is no proof."""
    artifact, module = opened("mlp", "legacy")

    with pytest.raises(SamplesError, match="found none"):
        prove_parity(artifact, module, samples(0), ParityConfig())


def fixed_batch(folder: Path) -> tuple[OnnxArtifact, fx.GraphModule]:
    """A model that mixes the two samples of its batch, so that no pass can free it."""
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["mixed"]),
            helper.make_node("Reshape", ["mixed", "back"], ["rows"]),
            helper.make_node("MatMul", ["rows", "weight"], ["logits"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (2, 4))],
        [
            numpy_helper.from_array(np.array([6], np.int64), "shape"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "back"),
            numpy_helper.from_array(np.eye(3, 4, dtype=np.float32), "weight"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return open_bytes(model.SerializeToString(), folder)


def test_a_batch_that_splits_and_merges_is_freed(tmp_path: Path) -> None:
    """Samples flattened together and parted again are still told apart at other batches."""
    artifact, module = fixed_batch(tmp_path)

    assert prove_parity(artifact, module, samples(8, (3,)), ParityConfig()).max_rel <= 1e-4


def test_a_batch_that_stays_fixed_fails(tmp_path: Path) -> None:
    """A twin that runs at one batch size only is refused with the advice to free it."""
    artifact, module = fixed_batch(tmp_path)
    for node in module.graph.nodes:
        if node.op == "call_module" and "Reshape_1_" in str(node.target):
            module.get_submodule(str(node.target))._target = [2, 3]

    with pytest.raises(ParityError, match=r"fails at batch 1: .*free batch size"):
        prove_parity(artifact, module, samples(8, (3,)), ParityConfig())


def test_a_file_onnxruntime_cannot_run_is_refused(opened: Open) -> None:
    """Images of another shape than the file takes are an error of the reference, said as such."""
    artifact, module = opened("small_cnn", "legacy")

    with pytest.raises(ModelRefused, match="onnxruntime cannot run the model"):
        prove_parity(artifact, module, samples(8, (4, 32, 32)), ParityConfig())
