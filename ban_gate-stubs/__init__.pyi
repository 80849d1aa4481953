# The types of ban_gate.py, in the only form that type checkers take for a single module (PEP 561).
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
