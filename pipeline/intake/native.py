"""Exports a native model to ONNX in a process of its own, and proves the export.

The process runs the interpreter that has the framework: this one, or one the caller names whose
packages need not agree with ours. Such a process sees only the package `stages` of ban-gate. It
runs code that the user trusts, in a cage that is wider than that of an untrusted file.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import stages
from pipeline.cage import launch
from pipeline.intake.sandbox import Sandbox
from pipeline.intake.settings import ExportConfig
from stages import refusal
from stages.errors import CannotJudge, ConfigError, ConversionError
from stages.export import child
from stages.export.source import ModelSource
from stages.twin.parity import prove_export
from stages.twin.settings import ParityConfig
from stages.types import Floats, ParityResult

PACKAGE = Path(stages.__file__)
BOOTSTRAP = """
import importlib.util, pathlib, sys
package = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "stages", package, submodule_search_locations=[str(package.parent)]
)
sys.modules["stages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["stages"])
from stages.export.child import main
main(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
"""
_SHOWN_OUTPUT = 4000  # characters
_LONGEST_REASON = 300  # characters

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NativeModel:
    """A native model the caller trusts, and how to export it.

    `python` is the interpreter to use; `images` (N, *input shape) or else `shape`, that of one
    image, show what the model takes, where it does not state it itself.
    """

    source: ModelSource
    python: str = sys.executable
    images: Floats | None = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportResult:
    """An exported file, the framework and package versions it was made with, and its parity."""

    path: Path
    framework: str
    packages: dict[str, str]
    parity: ParityResult


def export(
    model: NativeModel, folder: Path, config: ExportConfig, sandbox: Sandbox
) -> ExportResult:
    """The model as an ONNX file in `folder` that gives the native model's scores.

    Raises:
        CannotJudge: the model cannot be loaded or exported, or its ONNX gives other scores.
        ConfigError: the interpreter or the framework is missing.
    """
    _run(model, folder, config, sandbox)
    facts = json.loads((folder / child.FACTS).read_text())
    path = folder / child.ONNX
    with np.load(folder / child.PROBE, allow_pickle=False) as probe:
        images, scores = probe["images"], probe["scores"]
    parity_config = ParityConfig(tolerance=config.tolerance)
    parity = sandbox.run(prove_export, path, images, scores, parity_config)
    return ExportResult(
        path=path, framework=facts["framework"], packages=facts["packages"], parity=parity
    )


def _run(model: NativeModel, folder: Path, config: ExportConfig, sandbox: Sandbox) -> None:
    """Runs the child process, which fills the folder."""
    name = model.source.path.name
    ended = _ended(_command(model, folder), name, folder, config.seconds, sandbox)
    output = ended.output.strip()
    logger.debug("the exporting process said: %s", output[-_SHOWN_OUTPUT:])
    if error := refusal.found_in(folder):
        raise error
    if ended.code != 0:
        last = (output.splitlines() or ["nothing"])[-1]
        raise ConversionError(
            f"the export of `{name}` failed: {last[:_LONGEST_REASON]}; `-v` shows all its output"
        )


def _command(model: NativeModel, folder: Path) -> tuple[str, ...]:
    """The child's command line; its request and probe images are written to the folder."""
    images, request = folder / "images.npz", folder / "request.json"
    if model.images is not None:
        np.savez(images, images=model.images)
    probe_images = images if images.exists() else None
    request.write_text(child.request_of(model.source, probe_images, model.shape))
    return (model.python, "-c", BOOTSTRAP, str(PACKAGE), str(request), str(folder))


def _ended(
    command: tuple[str, ...], name: str, folder: Path, seconds: float, sandbox: Sandbox
) -> launch.Finished:
    try:
        ended = launch.run(command, folder, seconds, sandbox.limits.without)
    except subprocess.TimeoutExpired as error:
        raise CannotJudge(
            f"the export of `{name}` took longer than {seconds:g} s and was stopped; raise"
            " `export.seconds`"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot run the Python at `{command[0]}`: {error.strerror}") from error
    sandbox.note(ended.had, ended.missing)
    return ended
