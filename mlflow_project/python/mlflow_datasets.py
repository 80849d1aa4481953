"""Clean samples that a data set of MLflow holds, or names the place of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.data

from mlflow_project.registry.versions import explained
from mlflow_project.uris import is_uri
from stages.errors import SamplesError

ADVICE = (
    "give arrays of images and labels, or log the samples as an artifact and give its URI, such as"
    " `runs:/RUN/clean.npz`"
)


def samples_in(dataset: Any, folder: Path) -> str | tuple[object, object]:
    """The features and targets of one in memory; of any other the path of its source.

    `dataset` is one of `mlflow.data`, or the input of a run.

    Raises:
        SamplesError: it has features without targets, or a source that cannot be read.
        RegistryError: the storage of its source failed.
    """
    targets = getattr(dataset, "targets", None)
    if hasattr(dataset, "features") and not isinstance(dataset.features, dict):
        if targets is None:
            raise SamplesError(
                f"the data set `{dataset.name}` has no targets; make it with"
                " `mlflow.data.from_numpy(images, targets=labels)`"
            )
        return dataset.features, targets
    return _source(dataset, folder)


def _source(dataset: Any, folder: Path) -> str:
    """Where the source of a data set lies on this machine."""
    name = getattr(dataset, "name", type(dataset).__name__)
    with explained(f"cannot read the data set `{name}`"):
        try:
            source: Any = mlflow.data.get_source(dataset)
            found = source.load(dst_path=str(folder)) if _is_remote(source) else source.load()
        except (NotImplementedError, TypeError, AttributeError) as error:
            raise SamplesError(
                f"the data set `{name}` names no place that samples can be read from; {ADVICE}"
            ) from error
    if not isinstance(found, str) or not Path(found).exists():
        raise SamplesError(f"the source of the data set `{name}` is not there; {ADVICE}")
    return found


def _is_remote(source: Any) -> bool:
    return is_uri(str(getattr(source, "uri", "")))
