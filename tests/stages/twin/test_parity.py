"""Laws of parity: a faithful twin passes, an unfaithful one is caught at its first wrong node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import fx, nn

from stages.errors import ModelRefused, ParityError, SamplesError
from stages.onnx_file.inspection import inspect_onnx, load_proto
from stages.passes import normalise
from stages.twin.convert import build_module
from stages.twin.parity import prove_parity
from stages.twin.settings import ParityConfig
from stages.types import CleanSamples, OnnxArtifact
from tests.support import zoo

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


def classifier(folder: Path, *nodes: NodeProto, batch: int | str = "batch") -> Path:
    """The file of a model from `x` (batch, 4) to `logits` with a constant matrix `w` (4, 6)."""
    weight = np.random.default_rng(2).standard_normal((4, 6)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 4))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (None, None))],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    path = folder / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    return path


def test_a_batch_of_minus_one_is_free(tmp_path: Path) -> None:
    """Some exporters write a free batch as −1; the file runs at every batch size."""
    node = helper.make_node("MatMul", ["x", "w"], ["logits"])
    path = classifier(tmp_path, node, batch=-1)

    artifact, module = inspect_onnx(path), build_module(normalise(load_proto(path)))

    assert artifact.input.shape == (None, 4)
    assert prove_parity(artifact, module, samples(8, (4,)), ParityConfig()).n == 8


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("softmax", [False, True])
def test_logits_may_be_one_part_of_a_split(index: int, softmax: bool, tmp_path: Path) -> None:
    """Where one part of a Split is the output, the twin gives that part and no other."""
    parts = ["logits" if part == index and not softmax else f"part{part}" for part in range(2)]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["all"]),
        helper.make_node("Split", ["all"], parts, axis=1),
    ]
    nodes += [helper.make_node("Softmax", [parts[index]], ["logits"])] if softmax else []
    path = classifier(tmp_path, *nodes)
    artifact, module = inspect_onnx(path), build_module(normalise(load_proto(path)))

    result = prove_parity(artifact, module, samples(8, (4,)), ParityConfig())

    assert result.max_rel <= result.tolerance
    assert module(torch.ones(2, 4)).shape == (2, 3)


def test_a_twin_of_several_outputs_fails(opened: Open) -> None:
    """A module that gives a tuple is no twin of a classifier."""
    artifact, module = opened("mlp", "legacy")
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    output.args = ((output.args[0], output.args[0]),)
    module.recompile()

    with pytest.raises(ParityError, match="several outputs"):
        prove_parity(artifact, module, samples(), ParityConfig())


def test_a_wrong_rewriting_is_said_to_be_one(opened: Open) -> None:
    """Where every node agrees and the logits do not, the graph itself is blamed."""
    artifact, module = opened("mlp", "legacy")
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    with module.graph.inserting_before(output):
        output.args = (module.graph.call_function(torch.mul, (output.args[0], 2.0)),)
    module.recompile()

    with pytest.raises(ParityError, match="although every node agrees"):
        prove_parity(artifact, module, samples(), ParityConfig())


def test_a_twin_that_mixes_up_classes_fails(opened: Open) -> None:
    """The same numbers in another order are another model."""
    artifact, module = opened("mlp", "legacy")
    last = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight.flip(0))
        last.bias.copy_(last.bias.flip(0))

    with pytest.raises(ParityError, match="relative difference of"):
        prove_parity(artifact, module, samples(), ParityConfig())


@pytest.mark.parametrize("sizes", [(1,), (3, 3, 3), (5, 1)])
def test_any_batches_are_proved(sizes: tuple[int, ...], opened: Open) -> None:
    """The stated batch sizes are those compared, whatever they are."""
    artifact, module = opened("mlp", "dynamo-baked")

    result = prove_parity(artifact, module, samples(4), ParityConfig(batches=sizes))

    assert (result.batches, result.n) == (sizes, sum(sizes))


def test_the_tolerance_decides(opened: Open) -> None:
    """A difference passes a tolerance above it and fails one below it."""
    artifact, module = opened("mlp", "legacy")
    with torch.no_grad():
        next(part for part in module.modules() if isinstance(part, nn.Linear)).weight.mul_(1.001)

    assert prove_parity(artifact, module, samples(), ParityConfig(tolerance=0.1)).max_rel > 1e-5
    with pytest.raises(ParityError, match="allowed 1e-05"):
        prove_parity(artifact, module, samples(), ParityConfig(tolerance=1e-5))
