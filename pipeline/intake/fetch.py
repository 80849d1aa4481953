"""Brings the model into the scan's own folder, as one ONNX file that nobody else can change."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.intake.native import ExportResult, NativeModel, export
from pipeline.intake.sandbox import Places, Sandbox
from pipeline.intake.settings import ExportConfig
from stages.errors import ModelRefused
from stages.export.source import ModelSource
from stages.onnx_file.external_data import inline_weights
from stages.onnx_file.inspection import require_readable

MOST_NEIGHBOURS = 10_000
"""Files beside a model that its reader may see, as any of them may hold weights."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An ONNX file in the scan's own folder, and how it was exported if it had to be."""

    path: Path
    export: ExportResult | None = None


def fetch(
    model: NativeModel,
    folder: Path,
    *,
    trusted: bool,
    config: ExportConfig,
    sandbox: Sandbox,
) -> Fetched:
    """A copy of an ONNX model, or the export of a native model that is trusted to run its code.

    Raises:
        CannotJudge: the file is unreadable, the model is not trusted, or it cannot be exported.
        ConfigError: the interpreter or the framework is missing.
    """
    source = model.source
    if source.framework == "onnx":
        return Fetched(path=_copied(source, folder, sandbox))
    if not trusted:
        raise ModelRefused(
            f"`{source.path.name}` is a {source.framework or 'native'} model, and loading it can"
            " run code of its author; if you trust where it comes from, add `--trust-model-code`,"
            " else export it to ONNX elsewhere"
        )
    exported = export(model, folder, config, sandbox)
    return Fetched(path=exported.path, export=exported)


def _copied(source: ModelSource, folder: Path, sandbox: Sandbox) -> Path:
    """The model as one file, with the weights that lie beside it; read in a child process."""
    require_readable(source.path)
    path = source.path.resolve()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        own = Path(name)
        places = Places(reads=tuple(_beside(path)), writes=(own,))
        made = sandbox.run_in(places, inline_weights, path, own / source.path.name)
        if made != own / source.path.name or made.is_symlink() or not made.is_file():
            raise ModelRefused(
                f"the process that reads `{source.path.name}` made no plain file of it; export the"
                " model again"
            )
        return made.rename(folder / source.path.name)


def _beside(path: Path) -> Iterator[Path]:
    """The plain files directly beside a model, none of them hidden, as these hold secrets."""
    for each in islice(path.parent.iterdir(), MOST_NEIGHBOURS):
        if not each.name.startswith(".") and each.is_file() and not each.is_symlink():
            yield each
