"""Brings the model into the scan's own folder, as one ONNX file that nobody else can change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.intake.native import ExportConfig, ExportResult, NativeModel, export
from pipeline.intake.sandbox import IsolationConfig, isolated
from stages.errors import ModelRefused
from stages.export.source import ModelSource
from stages.onnx_file.external_data import inline_weights
from stages.onnx_file.inspection import require_readable


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
    limits: IsolationConfig,
) -> Fetched:
    """A copy of an ONNX model, or the export of a native model that is trusted to run its code.

    Raises:
        CannotJudge: the file is unreadable, the model is not trusted, or it cannot be exported.
        ConfigError: the interpreter or the framework is missing.
    """
    source = model.source
    if source.framework == "onnx":
        return Fetched(path=_copied(source, folder, limits))
    if not trusted:
        raise ModelRefused(
            f"`{source.path.name}` is a {source.framework or 'native'} model, and loading it can"
            " run code of its author; if you trust where it comes from, add `--trust-model-code`,"
            " else export it to ONNX elsewhere"
        )
    exported = export(model, folder, config, limits)
    return Fetched(path=exported.path, export=exported)


def _copied(source: ModelSource, folder: Path, limits: IsolationConfig) -> Path:
    """The model as one file, with the weights that lie beside it; read in a child process."""
    require_readable(source.path)
    return isolated(limits, inline_weights, source.path.resolve(), folder / source.path.name)
