"""The settings of an export; here, so that they are read without torch and onnxruntime."""

from __future__ import annotations

from typing import Annotated

from stages.settings import Seconds, bounded, settings


@settings
class ExportConfig:
    """How long an export may take, and how close its ONNX must be to the native model."""

    seconds: Seconds = 1800.0
    """Wall time that the export may take."""
    tolerance: Annotated[float, bounded(ge=0, le=0.1)] = 1e-4
    """Largest difference, relative to max(1, largest absolute score)."""
