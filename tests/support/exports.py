"""Runs an exporter as a scan does, here or in another interpreter, and asks the ONNX it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

import stages
from stages import refusal
from stages.errors import ModelRefused
from stages.export import child
from stages.export.source import ModelSource

Floats = npt.NDArray[np.float32]

# Looks through all of site-packages for each export, and nothing is installed meanwhile.
metadata.packages_distributions = cache(metadata.packages_distributions)

TOLERANCE = 1e-4  # relative to max(1, largest score), as parity takes it
_START = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location(
    "stages", sys.argv[1], submodule_search_locations=[str(Path(sys.argv[1]).parent)]
)
sys.modules["stages"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from stages.export.child import main
for folder in map(Path, sys.argv[2:]):
    main(folder / "request.json", folder)
"""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What an export left: the file, the probe of the native model, and the facts about it."""

    path: Path
    images: Floats
    scores: Floats
    facts: dict[str, Any]

    @property
    def model(self) -> onnx.ModelProto:
        """The parsed ONNX file."""
        return onnx.load(self.path)

    @property
    def operators(self) -> list[str]:
        """Operator of each node, in order."""
        return [node.op_type for node in self.model.graph.node]

    @property
    def input_shape(self) -> tuple[int | str, ...]:
        """The sizes of the file's input; free ones by their names."""
        sizes = self.model.graph.input[0].type.tensor_type.shape.dim
        return tuple(size.dim_param or size.dim_value for size in sizes)

    def run(self, images: Floats) -> Floats:
        """The one float output (batch, classes) of the file in onnxruntime."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = self.path.read_bytes()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        given = session.run(None, {session.get_inputs()[0].name: images})
        (scores,) = [one for one in given if one.dtype == np.float32 and one.ndim == 2]
        return np.asarray(scores)


def export(
    source: ModelSource,
    folder: Path,
    *,
    python: str | None = None,
    images: Path | None = None,
    shape: tuple[int, ...] | None = None,
) -> Export:
    """Exports in this process, or in the interpreter `python`, and raises what was refused."""
    ask(source, folder, images=images, shape=shape)
    if python is None:
        child.main(folder / "request.json", folder)
    else:
        answer(python, [folder])
    return result_in(folder)


def ask(
    source: ModelSource,
    folder: Path,
    *,
    images: Path | None = None,
    shape: tuple[int, ...] | None = None,
) -> None:
    """Leaves the request for an export in a new folder."""
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(child.request_of(source, images, shape))


def run_foreign(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs another interpreter, which chooses its own backend of Keras."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def answer(python: str, folders: list[Path]) -> None:
    """Exports what the requests in the folders ask for, all in one process of an interpreter."""
    command = [python, "-c", _START, str(stages.__file__), *map(str, folders)]
    done = run_foreign(command)
    assert done.returncode == 0, done.stderr


def result_in(folder: Path) -> Export:
    """What an export left in its folder; raises what it refused."""
    error = refusal.found_in(folder)
    if error is not None:
        raise error
    with np.load(folder / child.PROBE) as probe:
        return Export(
            path=folder / child.ONNX,
            images=probe["images"],
            scores=probe["scores"],
            facts=json.loads((folder / child.FACTS).read_text()),
        )


def refused(source: ModelSource, folder: Path, **options: Any) -> str:
    """The sentence a model is refused with."""
    with pytest.raises(ModelRefused) as refusal:
        export(source, folder, **options)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def sentence_in(folder: Path) -> str:
    """The sentence that refused a model, which its export left in its folder."""
    with pytest.raises(ModelRefused) as refusal:
        result_in(folder)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def assert_faithful(exported: Export) -> None:
    """At batch 1, 7 and all, the file has one float32 input and gives the native scores."""
    (given,) = exported.model.graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert np.ptp(exported.scores, axis=0).max() > 1e-3, "a model that sees no difference"
    for size in (1, 7, len(exported.images)):
        scores = exported.run(exported.images[:size])
        assert scores.shape == exported.scores[:size].shape
        gap = np.abs(scores - exported.scores[:size]).max()
        assert gap <= TOLERANCE * max(1.0, float(np.abs(exported.scores).max()))


def assert_free_batch(exported: Export) -> None:
    """The file itself says that its batch is free."""
    batch, *_ = exported.model.graph.input[0].type.tensor_type.shape.dim
    assert not batch.HasField("dim_value")


def rewrite_member(path: Path, member: str, change: Callable[[str], str]) -> None:
    """Replaces the text of one member of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[member] = change(contents[member].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def python_of(framework: str) -> str:
    """The interpreter that has a framework which this one has not; skips the test without one."""
    name = f"BAN_GATE_PYTHON_{framework.upper()}"
    found = os.environ.get(name)
    if not found:
        pytest.skip(f"no interpreter with {framework}; run `make frameworks` (sets {name})")
    return found


def this_python() -> str:
    """The interpreter of the tests, for exports that must run in a process of their own."""
    return sys.executable
