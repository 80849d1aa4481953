"""Names and numbers that no honest file holds."""

from __future__ import annotations

import math

NAMES = ("", "__class__", "import os", "a\nb", "\x1b[2J", "x" * 5000, "../../x", "∞", "None")
INTEGERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 255, 2**16, 2**24, 2**31, 2**40, 2**63 - 1)
SIZES = (0, 1, 2**10, 2**20, 2**26, 2**29, 2**31, 2**40, 2**62)
FLOATS = (0.0, -1.0, 1e38, -1e38, 1e-45, math.inf, -math.inf, math.nan)
DOMAINS = ("ai.onnx", "ai.onnx.ml", "com.microsoft", "evil", "ai.onnx.training")
