"""The settings of reading a file; here, so that they are read without onnx."""

from __future__ import annotations

from stages.settings import Text, settings


@settings
class OutputConfig:
    """Which output is judged."""

    name: Text = ""
    """Its name; needed only where others do not follow from the scores."""
