"""Where things of this checkout lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "mlflow_project" / "demo"
SCHEMAS = Path(__file__).parent / "schemas"
