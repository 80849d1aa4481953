"""The files that are changed: real exports and crafted files, always the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import onnx
from onnx import ModelProto

from benchmarks.fuzz.mutants import CRAFTED
from tests.support import zoo
from tests.support.graph_beginnings import BEGINNINGS, begun
from tests.support.graph_ends import KEEPING, REFUSED, at_opset_17, ended
from tests.support.hostile_files import crafted
from tests.support.places import DEMO
from tests.support.quantised_models import WAYS, quantised
from tests.support.sklearn_models import exported, fitted


def seeds(names: Collection[str] | None = None) -> dict[str, bytes]:
    """The real files of these names, or all, and the crafted files."""
    real = {name: make() for name, make in _makers().items() if names is None or name in names}
    return real | {f"{CRAFTED}{name}": content for name, content in crafted().items()}


def _makers() -> dict[str, Callable[[], bytes]]:
    """What makes each of the real files, which takes seconds."""
    exports = {
        f"{net}.{exporter}": partial(zoo.exported, net, exporter)
        for net in ("small_cnn", "resnet", "mobilenet", "vit")
        for exporter in ("legacy", "dynamo")
    }
    return {
        **exports,
        "small_cnn.preserve": partial(zoo.exported, "small_cnn", "legacy-preserve"),
        "small_cnn.baked": partial(zoo.exported, "small_cnn", "dynamo-baked"),
        **{f"small_cnn.{way}": partial(quantised, "small_cnn", way) for way in WAYS},
        **{f"sklearn.{name}": partial(_sklearn, name) for name in ("mlp", "minmax")},
        **{f"demo.{path.stem}": path.read_bytes for path in sorted(DEMO.glob("*.onnx"))},
        **{f"end.{name}": partial(_ended, text) for name, text in (KEEPING | REFUSED).items()},
        **{f"begin.{name}": partial(_begun, name) for name in BEGINNINGS},
    }


def _sklearn(name: str) -> bytes:
    content: bytes = exported(fitted(name, 3)).SerializeToString()
    return content


def _plain() -> ModelProto:
    """The clean model of the demo at opset 17, as the texts of ends and beginnings want it."""
    return at_opset_17(onnx.load(DEMO / "clean.onnx"))


def _ended(text: str) -> bytes:
    content: bytes = ended(_plain(), text, 10).SerializeToString()
    return content


def _begun(name: str) -> bytes:
    content: bytes = begun(_plain(), BEGINNINGS[name]).SerializeToString()
    return content
