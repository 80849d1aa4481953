"""Scan a classifier for backdoors from Python.

    import ban_gate

    result = ban_gate.scan(model, images, labels)
    result.verdict, result.suspected_class, result.p_value
    result.trigger.apply(images)
    result.save_html("report.html")

`scan` takes a file, an MLflow URI, an ONNX model or a live one of torch or Keras, and clean samples
as arrays, a DataLoader or a path. Nothing of MLflow is touched unless a tracking URI is given.
"""

from mlflow_project.errors import RegistryError, TrackingError
from mlflow_project.python.result import Result
from mlflow_project.python.scanning import scan
from stages.errors import BanGateError, CannotJudge, ConfigError

__all__ = [
    "BanGateError",
    "CannotJudge",
    "ConfigError",
    "RegistryError",
    "Result",
    "TrackingError",
    "scan",
]
