"""Whether a verdict survives a rewriting of the graph that leaves every decision as it is.

`python -m benchmarks.rewritings` scans one of the demo's backdoored models behind each rewriting,
from the file to the verdict, and prints what came of it beside the model's own verdict. It ends
with 1 where a backdoored model became clean, or fewer than 30 are still found with their class.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from benchmarks.data import DEMO
from pipeline.cache.store import Store
from pipeline.evidence import ScanResult
from pipeline.request import ScanRequest
from pipeline.scan import scan
from tests.support.graph_beginnings import BEGINNINGS, begun
from tests.support.graph_ends import KEEPING, REFUSED, at_opset_17, ended

CLASSES, TARGETS = 10, {"patch": 4, "blended": 7}
LEAST_FOUND = 30

Rewritten = tuple[str, ModelProto, Callable[[np.ndarray], np.ndarray]]

ENDS = {
    "Softplus and an identity layer": "n = Neg(z) s = Sub(n, two) p = Softplus(s) q = Neg(p) "
    "y = MatMul(q, eye)",
    "a shift by the image's best score": "m = ReduceMax <axes = [1], keepdims = 1> (z) "
    "y = Sub(z, m)",
    "a scale by the image's own scores": "l = ReduceL1 <axes = [1], keepdims = 1> (z) "
    "m = Add(l, one) y = Div(z, m)",
    "a gate by a decision": "m = ReduceMax <axes = [1], keepdims = 1> (z) g = Greater(m, two) "
    "f = Cast <to = 1> (g) h = Add(f, one) y = Mul(z, h)",
    "a shift by the batch": "s = Shape(z) c = Cast <to = 1> (s) m = ReduceMax <keepdims = 0> (c) "
    "y = Add(z, m)",
    "rounded scores": "r = Mul(z, hundred) t = Round(r) y = Div(t, hundred)",
    "a leaking head": "y = LeakyRelu <alpha = 0.01> (z)",
    "twelve classes' worth of temperature": "a = Mul(z, hundred) y = Div(a, two)",
}
"""More ends, hostile ones among them, that leave the largest score where it is."""


def last_layer(model: ModelProto) -> tuple[onnx.TensorProto, onnx.TensorProto, int]:
    """Weight and bias of the layer that gives the scores, and the weight's axis of classes."""
    node = next(n for n in model.graph.node if model.graph.output[0].name in n.output)
    known = {one.name: one for one in model.graph.initializer}
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return known[node.input[1]], known[node.input[2]], 0 if transposed else 1


def with_rows(model: ModelProto, copied: list[int], offset: float) -> ModelProto:
    """A copy with further classes: the rows of others, their bias moved by `offset`."""
    copy = ModelProto()
    copy.CopyFrom(model)
    weight, bias, axis = last_layer(copy)
    for tensor, at, moved in ((weight, axis, 0.0), (bias, 0, offset)):
        value = numpy_helper.to_array(tensor)
        more = np.take(value, copied, axis=at) + np.float32(moved)
        tensor.CopyFrom(numpy_helper.from_array(np.concatenate([value, more], at), tensor.name))
    del copy.graph.value_info[:]  # it states the former number of classes
    copy.graph.output[0].type.tensor_type.shape.dim[1].dim_value = CLASSES + len(copied)
    return copy


def rewritings(model: ModelProto, target: int) -> Iterator[Rewritten]:
    """Each rewriting's name, its model, and what it makes of the images."""

    def same(images: np.ndarray) -> np.ndarray:
        return images

    for name, text in {
        **KEEPING,
        **ENDS,
        "cube root by sign": REFUSED["cube root by sign"],
    }.items():
        yield f"end: {name}", ended(model, text, CLASSES), same
    for name, beginning in BEGINNINGS.items():
        yield f"beginning: {name}", begun(model, beginning), beginning.given
    yield "the target twice", with_rows(model, [target], 0), same
    yield "another class twice", with_rows(model, [(target + 1) % CLASSES], 0), same
    yield "every class twice", with_rows(model, list(range(CLASSES)), 0), same
    yield "a dead class", with_rows(model, [0], -1000), same


def judged(model: ModelProto, images: np.ndarray, labels: np.ndarray) -> ScanResult:
    """The verdict on a model, at the default settings."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        onnx.save(model, folder / "model.onnx")
        np.savez(folder / "samples.npz", images=images, labels=labels)
        request = ScanRequest(
            model=str(folder / "model.onnx"), samples=folder / "samples.npz", uri="model.onnx"
        )
        (folder / "workspace").mkdir()
        return scan(request, Store(None), folder / "workspace")


@click.command()
@click.option("--model", "name", type=click.Choice(sorted(TARGETS)), default="patch")
@click.option("--only", default="", help="Those whose names begin so, such as `beginning`.")
def main(name: str, only: str) -> None:
    """Print the verdict behind every rewriting of a backdoored demo model."""
    target = TARGETS[name]
    model = at_opset_17(onnx.load(DEMO / f"{name}.onnx"))
    with np.load(DEMO / "samples.npz") as stored:
        images = np.rint(stored["images"] * 255).astype(np.float32) / 255
        labels = stored["labels"]
    own = judged(model, images, labels).verdict.anomaly_score
    click.echo(f"the model itself: anomaly score {own}")
    passed, found, total = [], 0, 0
    for title, rewritten, given in rewritings(model, target):
        if not title.startswith(only):
            continue
        verdict = judged(rewritten, given(images), labels).verdict
        right = verdict.label == "backdoored" and verdict.suspected_class == target
        total, found = total + 1, found + right
        if verdict.label == "clean":
            passed.append(title)
        score = "" if verdict.anomaly_score is None else f"{verdict.anomaly_score:.2f}"
        click.echo(
            f"| {title} | {verdict.label} | {verdict.suspected_class} | {score} |"
            f" {'' if right else '; '.join(verdict.reasons)[:160]} |"
        )
    click.echo(
        f"{total} rewritings: {found} backdoored with the right class, {len(passed)} clean {passed}"
    )
    sys.exit(1 if passed or found < min(LEAST_FOUND, total) else 0)


if __name__ == "__main__":
    main()
