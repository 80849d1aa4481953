"""The work of `calibrate`: models known to be clean become one profile that scans compare with.

Nothing of MLflow is loaded unless something lies there, or the profile shall be logged.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlflow_project.local_files import local
from mlflow_project.output_files import put
from mlflow_project.own_store import own_store
from pipeline.allocation import kept_memory
from pipeline.config import ScanConfig
from pipeline.references.measure import Measured, measure
from pipeline.references.profile_file import profile_text
from pipeline.request import ScanRequest
from pipeline.samples.preparation import Preparation
from pipeline.scan import choose_device
from stages.errors import CannotJudge

if TYPE_CHECKING:
    import torch

    from mlflow_project.connection import Target


@dataclass(frozen=True, kw_only=True)
class CalibrateCall:
    """One call of `calibrate`: models known to be clean, their samples, and where the profile goes.

    `models` and `samples` may be URIs of MLflow; `names` are what models that lie in temporary
    files are called. Without a target the profile is not logged to MLflow.
    """

    models: tuple[str, ...]
    samples: str
    output: Path
    config: ScanConfig
    trusted: bool = False
    python: str = sys.executable
    target: Target | None = None
    fresh: bool = False
    preparation: Preparation = field(default_factory=Preparation)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The profile of models known to be clean: where it was written, the models in it, and a
    sentence on each that is not.

    It stands for its path, so a scan takes it as a reference.
    """

    path: Path
    models: tuple[str, ...]
    remarks: tuple[str, ...]

    def __fspath__(self) -> str:
        return str(self.path)


def calibrate(call: CalibrateCall) -> Calibrated:
    """Measures models known to be clean and writes their class profiles, which scans compare with.

    Raises:
        CannotJudge: none of the models can be measured on the samples.
        ConfigError: the output cannot be written, or there is no such device.
        TrackingError: the profile could not be logged.
        RegistryError: something in MLflow cannot be fetched.
    """
    device = choose_device(call.config.device)
    with _recorded(call.target), TemporaryDirectory(prefix="ban-gate-") as name:
        folder = Path(name)
        measured = _measured(call, device, folder)
        if not measured.profiles:
            raise CannotJudge("; ".join(measured.remarks))
        draft = folder / "profile.json"
        draft.write_text(profile_text(measured.profiles, call.config), encoding="utf-8")
        put(draft, call.output)
        if call.target:
            from mlflow_project import tracking  # noqa: PLC0415 (MLflow, where wanted)

            tracking.log_profile(call.output)
    names = tuple(each.name for each in measured.profiles)
    return Calibrated(path=call.output, models=names, remarks=measured.remarks)


@kept_memory()
def _measured(call: CalibrateCall, device: torch.device, folder: Path) -> Measured:
    """The profiles of the call's models, which are downloaded if need be."""
    models = {
        str(local(each, folder / f"model-{number}")): call.names.get(each, each)
        for number, each in enumerate(call.models)
    }
    request = ScanRequest(
        model=next(iter(models)),
        samples=local(call.samples, folder / "samples"),
        uri=call.models[0],
        config=call.config,
        preparation=call.preparation,
        trusted=call.trusted,
        python=call.python,
        names=models,
    )
    with redirect_stdout(sys.stderr):  # what a library prints is no result
        return measure(request, tuple(models), own_store(call.fresh), device, folder)


def _recorded(target: Target | None) -> AbstractContextManager[None]:
    """A run for the profile, if there is a target."""
    if target is None:
        return nullcontext()
    from mlflow_project import tracking  # noqa: PLC0415 (MLflow, where wanted)

    return tracking.open_run("calibrate", target)
