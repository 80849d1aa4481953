"""Scan classifiers for backdoors from Python, and gate their promotion in an MLflow registry.

    >>> import ban_gate
    >>> result = ban_gate.scan("model.onnx", images, labels)
    >>> result.verdict, result.suspected_class, result.p_value < 0.05
    ('backdoored', 4, True)
    >>> result.trigger.apply(images).shape == images.shape
    True
    >>> result.save_html("report.html").name
    'report.html'

`scan` takes a file, an MLflow URI, an ONNX model or a live one of torch or Keras, and clean samples
as arrays, a DataLoader or a path. `calibrate` measures models known to be clean, which scans then
compare with; `gate` decides on a registered version, and `verify` says whether it may be promoted
now, both as true or false:

    >>> if ban_gate.verify("models:/digits/1", tracking_uri=uri):
    ...     print("may be promoted")

Nothing of MLflow is touched unless a URI is given.

Every failure is a `BanGateError` of one sentence: what failed, what was expected, what to do.
"""

from mlflow_project.calibrating import Calibrated
from mlflow_project.errors import PlaceError, RegistryError, TrackingError
from mlflow_project.python.calibration import calibrate
from mlflow_project.python.decisions import Gated, Verified
from mlflow_project.python.gating import gate, verify
from mlflow_project.python.result import Result
from mlflow_project.python.scanning import scan
from mlflow_project.python.trigger import Trigger
from stages.errors import AttestationError, BanGateError, CannotJudge, ConfigError

__all__ = [
    "AttestationError",
    "BanGateError",
    "Calibrated",
    "CannotJudge",
    "ConfigError",
    "Gated",
    "PlaceError",
    "RegistryError",
    "Result",
    "TrackingError",
    "Trigger",
    "Verified",
    "calibrate",
    "gate",
    "scan",
    "verify",
]
