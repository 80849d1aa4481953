"""Everything that a caller in Python gives to a scan, a calibration or a gate, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlflow_project.local_files import local
from mlflow_project.python import given_models
from mlflow_project.python.given_models import Model
from mlflow_project.python.options import Call
from pipeline.intake.samples import arranged, first_images
from pipeline.samples.native_shape import native_shape
from pipeline.samples.preparation import Preparation
from pipeline.samples.source import exact_file
from stages.errors import ConfigError
from stages.export.child import PROBES
from stages.types import Floats, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Given:
    """One model: its path or URI, and what it is called."""

    place: str
    name: str


def models_in(models: Sequence[Model], samples: str, call: Call, folder: Path) -> tuple[Given, ...]:
    """Where each model lies; live ones are exported into the folder, with the first `samples`.

    Raises:
        CannotJudge: one cannot be exported, or the samples are none.
        ConfigError: a package that its export needs is not installed, or nothing says the size of
            its images.
        RegistryError: the samples cannot be fetched.
    """
    tolerance = call.config.export.tolerance

    def probes(shape: tuple[int, ...] | None) -> Floats:
        return _probes(local(samples, folder / "samples"), shape, call.preparation)

    return tuple(
        Given(
            place=given_models.written(each, probes, tolerance, folder / f"given-{number}"),
            name=given_models.name_of(each),
        )
        for number, each in enumerate(models)
    )


def _probes(samples: Path, shape: tuple[int, ...] | None, asked: Preparation) -> Floats:
    """The first samples, with their channels where the model has them; with pictures, noise of the
    model's own shape or that which is asked for.

    Raises:
        SamplesError: the samples are none.
        ConfigError: they are pictures, and nothing says the size that the model takes.
    """
    exact = exact_file(samples)
    if exact is not None:
        images = first_images(exact, PROBES)
        if shape is None:
            return images
        spec = TensorSpec(name="", shape=(None, *shape), dtype="float32")
        return arranged(images, spec).astype(np.float32)
    shape = shape or native_shape(asked, given_models.FILE, "pytorch")
    if shape is None:
        raise ConfigError(
            "a live model does not say the size of its images; with pictures as samples say it, as"
            ' in `preprocess={"crop": 32}` or `preprocess={"crop": 28, "channels": "grey"}`'
        )
    return np.random.default_rng(asked.seed).random((PROBES, *shape), np.float32)
