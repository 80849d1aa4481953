"""Calls of `ban-gate scan` with something wrong in them, and the files they name."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, helper, numpy_helper
from onnx.parser import parse_model

from tests.support.places import DEMO

IMAGE = "float[N,1,16,16]"
PIXELS = 16 * 16
Shapes = dict[str, tuple[int, ...]]


def _model(graph: str, weights: Shapes | None = None) -> bytes:
    """The ONNX bytes of a graph in onnx's own notation, with random weights of these shapes."""
    random = np.random.default_rng(0)
    model: ModelProto = parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {graph}')
    for name, shape in (weights or {}).items():
        values = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return bytes(model.SerializeToString())


def _with_name(name: str) -> bytes:
    """A classifier of wrongly shaped images whose input has that name."""
    model = ModelProto.FromString(MODELS["linear"])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info(name, 1, ["N", 3, 8, 8]))
    model.graph.node[0].input[0] = name
    return bytes(model.SerializeToString())


HOSTILE = "x\n\x1b[2J\rclean         p 0.9  score 0.1  fine"
WEIGHT: Shapes = {"w": (PIXELS, 10)}
HEADS: Shapes = {"u": (PIXELS, 8), "v": (8, 10), "w": (8, 10)}
MODELS = {
    "empty": b"",
    "text": b"these are not the bytes you are looking for\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "pickle": pickle.dumps({"weights": [1.0, 2.0]}),
    "two_inputs": _model(
        f"({IMAGE} a, {IMAGE} b) => (float[N,10] y) {{ s=Add(a,b) f=Flatten(s) y=MatMul(f,w) }}",
        WEIGHT,
    ),
    "two_outputs": _model(
        f"({IMAGE} a) => (float[N,10] y, float[N,10] z)"
        "{ f=Flatten(a) h=MatMul(f,u) r=Relu(h) y=MatMul(r,v) z=MatMul(r,w) }",
        HEADS,
    ),
    "rank_4": _model(f"({IMAGE} a) => ({IMAGE} y) {{ y=Relu(a) }}"),
    "integers": _model(f"({IMAGE} a) => (int64[N,1] y) {{ f=Flatten(a) y=ArgMax<axis=1>(f) }}"),
    "no_output": _model(f"({IMAGE} a) => () {{ y=Relu(a) }}"),
    "linear": _model(
        f"({IMAGE} a) => (float[N,10] y) {{ f=Flatten(a) y=MatMul(f,w) }}", WEIGHT
    ),
    "foreign": _model(f"({IMAGE} a) => (float[N,10] y) {{ f=Flatten(a) y=MatMul(f,w) }}", WEIGHT)
    .replace(b"MatMul", b"MatMuh"),
    "cut": (DEMO / "clean.onnx").read_bytes()[:70_000],
}  # fmt: skip
MODELS["forged"] = _with_name(HOSTILE)


def _arrays() -> dict[str, dict[str, object]]:
    """What may stand in a samples file, nearly all of it wrong."""
    with np.load(DEMO / "samples.npz") as stored:
        everything, images, labels = (
            stored["labels"],
            stored["images"][:200],
            stored["labels"][:200],
        )
        half = {"images": stored["images"][everything < 5], "labels": everything[everything < 5]}
    broken = images.copy()
    broken[3, 0, :2, 0] = np.nan, np.inf
    fractions = labels.astype(np.float32)
    return {
        "good": {"images": images, "labels": labels},
        "no_channel": {"images": images[:, 0], "labels": labels},
        "channels_last": {"images": images.transpose(0, 2, 3, 1), "labels": labels},
        "three_channels": {"images": images.repeat(3, axis=1), "labels": labels},
        "small": {"images": images[:, :, :8, :8], "labels": labels},
        "negative": {"images": images, "labels": labels - 1},
        "beyond": {"images": images, "labels": labels + 1},
        "fractions": {"images": images, "labels": fractions},
        "float64": {"images": images.astype(np.float64), "labels": labels},
        "uint8": {"images": (images * 255).astype(np.uint8), "labels": labels},
        "not_finite": {"images": broken, "labels": labels},
        "one_class": {"images": images, "labels": np.full_like(labels, 3)},
        "lengths": {"images": images, "labels": labels[:-1]},
        "nothing": {"images": images[:0], "labels": labels[:0]},
        "no_labels": {"images": images},
        "other_keys": {"x": images, "y": labels},
        "objects": {"images": images.astype(object), "labels": labels},
        "unscaled": {"images": (1 - images) * -9, "labels": labels},
        "few": {"images": images[:20], "labels": labels[:20]},
        "few_classes": half,
    }


def _damaged(good: bytes) -> dict[str, bytes]:
    middle = len(good) // 2
    return {
        "note": b"no numbers here",
        "void": b"",
        "truncated": good[:middle],
        "corrupt": good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1 :],
        "headless": b"PK\x03\x04" + good[200:],
    }


def _bomb(path: Path) -> None:
    """Samples of a few bytes that claim to be petabytes."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 1, 16, 16)}
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("images.npy", "labels.npy"):
            with archive.open(name, "w") as member:
                np.lib.format.write_array_header_1_0(member, header)


def make_world(folder: Path) -> None:
    """Fills a folder with every model, every samples file and every configuration."""
    for name, content in MODELS.items():
        (folder / f"{name}.onnx").write_bytes(content)
    (folder / "good.onnx").write_bytes((DEMO / "clean.onnx").read_bytes())
    for name, arrays in _arrays().items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type] # wrong on purpose
    for name, content in _damaged((folder / "good.npz").read_bytes()).items():
        (folder / f"{name}.npz").write_bytes(content)
    _bomb(folder / "bomb.npz")
    os.mkfifo(folder / "pipe.npz")
    (folder / "folder").mkdir()
    (folder / "malformed.toml").write_text("[noise\nsteps = ")
    (folder / "nested.toml").write_text("seed = " + "[" * 5000)
    (folder / "unknown.toml").write_text("[nose]\nsteps = 1\n")


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A call of `ban-gate scan` with something wrong, and the sentence that says what."""

    sentence: str
    model: str = "good.onnx"
    samples: str = "good.npz"
    options: tuple[str, ...] = ()

    def arguments(self, world: Path) -> list[str]:
        """The command line, with `{world}` in its options filled in."""
        options = [each.format(world=world) for each in self.options]
        return ["scan", str(world / self.model), "--samples", str(world / self.samples), *options]


PICTURE = Scan(model="png.onnx", sentence="`png.onnx` is not an ONNX file")
MALFORMED_TOML = Scan(
    options=("--config", "{world}/malformed.toml"), sentence="expected a TOML file such as"
)

EVIDENCE = [
    "bom.cdx.json", "junit.xml", "report.html", "summary.md", "verdict.json", "verdict.sarif",
]  # fmt: skip
"""What a scan without a verdict leaves in its output folder."""


def sentences(stderr: str) -> list[str]:
    """The lines that say what is wrong, without the steps of the scan and click's usage."""
    starts = ("Error: ", "ban-gate: ", "INFO    cannot judge: ")
    return [line for line in stderr.splitlines() if line.startswith(starts)]
