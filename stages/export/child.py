"""The process that loads a native model: it reads a request, writes the ONNX and a probe.

It runs in an interpreter that has the framework. The folder it writes to holds `model.onnx`,
`probe.npz` with `images` (N, *input shape) and `scores` (N, K) of the native model, and
`facts.json`; where the model cannot be exported, `refusal.json` alone.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from importlib import metadata
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np

from stages import refusal
from stages.errors import BanGateError, ConfigError
from stages.export.keras_backend import choose_backend
from stages.export.registry import exporter_of, framework_of
from stages.export.source import Floats, ModelSource

ONNX, PROBE, FACTS = "model.onnx", "probe.npz", "facts.json"
PROBES = 8
"""How many images the native model classifies as a probe."""


def main(request: Path, folder: Path) -> None:
    """Exports what the JSON file `request` asks for into `folder`."""
    try:
        _export(json.loads(request.read_text()), folder)
    except BanGateError as error:
        refusal.leave(error, folder)


def request_of(source: ModelSource, images: Path | None, shape: tuple[int, ...] | None) -> str:
    """The request as JSON: what to export, and the probe images or their shape where known."""
    return json.dumps(
        {
            "framework": source.framework,
            "path": str(source.path),
            "kind": source.kind,
            "factory": source.factory,
            "code": [str(folder) for folder in source.code],
            "images": images and str(images),
            "shape": shape,
        }
    )


def _export(request: Mapping[str, Any], folder: Path) -> None:
    source = ModelSource(
        framework=request["framework"],
        path=Path(request["path"]),
        kind=request["kind"],
        factory=request["factory"],
        code=tuple(Path(one) for one in request["code"]),
    )
    sys.path[:0] = [str(one) for one in source.code]
    built = _build(source.path, source.factory) if source.factory else None
    framework = source.framework if built is None else framework_of(built)
    exporter = exporter_of(framework)
    model = exporter.prepare(exporter.load(source) if built is None else built)
    images = _probe(request, exporter.input_shape(model))
    scores = exporter.predict(model, images)
    exporter.write_onnx(model, images, folder / ONNX)
    np.savez(folder / PROBE, images=images, scores=np.asarray(scores, np.float32))
    facts = {"framework": framework, "packages": _versions(exporter.packages)}
    (folder / FACTS).write_text(json.dumps(facts))


def _build(path: Path, factory: str) -> object:
    """What the function called `factory` in the Python file returns."""
    choose_backend()
    sys.path.insert(0, str(path.parent))
    loader = SourceFileLoader(path.stem, str(path.absolute()))
    spec = ModuleSpec(path.stem, loader, origin=loader.path)
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader.exec_module(module)
    build = getattr(module, factory, None)
    if not callable(build):
        raise ConfigError(
            f"`{path.name}` has no function `{factory}`; name one that returns a model"
        )
    return build()


def _probe(request: Mapping[str, Any], model_shape: tuple[int, ...] | None) -> Floats:
    """Probe images: the caller's, else standard normal ones of the known shape."""
    if request["images"]:
        with np.load(request["images"], allow_pickle=False) as stored:
            images: Floats = stored["images"]
            return images
    shape = request["shape"] or model_shape
    if shape is None:
        raise ConfigError(
            "the model does not state the shape of its input; give `--samples` or `--input-shape`,"
            " and with pictures as samples their size by `--crop`"
        )
    return np.random.default_rng(0).standard_normal((PROBES, *shape), dtype=np.float32)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    named = metadata.packages_distributions()
    distributions = {name: named.get(name, [name])[0] for name in packages}
    return {name: metadata.version(distribution) for name, distribution in distributions.items()}
