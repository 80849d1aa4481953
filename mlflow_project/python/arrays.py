"""Images and labels of any usual type as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.intake.sample_labels import whole_numbers
from stages.errors import SamplesError

Array = npt.NDArray[Any]


def as_array(values: object, what: str) -> Array:
    """Numbers, or texts, as an array on the CPU; `what` they are called in a sentence.

    Raises:
        SamplesError: they are not all of one shape, or neither numbers nor texts.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if isinstance(values, list | tuple) and any(isinstance(each, torch.Tensor) for each in values):
        values = [as_array(each, what) for each in values]
    try:
        found = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SamplesError(
            f"the {what} are not all of one shape; bring them to the size that the model takes"
        ) from error
    if found.dtype == object and all(isinstance(each, str) for each in found.flat):
        found = found.astype(str)
    if found.dtype.kind not in "biufUS":
        raise SamplesError(
            f"the {what} are a `{type(values).__name__}` of {found.dtype}, expected an array or"
            " tensor of numbers"
        )
    return found


def class_numbers(labels: object, names: Sequence[str]) -> Array:
    """Labels as int64 where they are whole numbers; texts by their place among these names.

    Raises:
        SamplesError: a text is none of the names.
    """
    found = whole_numbers(as_array(labels, "labels"))
    if found.dtype.kind not in "US" or not names:
        return found
    places = {name: number for number, name in enumerate(names)}
    missing = sorted(set(map(str, found.flat)) - set(places))
    if missing:
        raise SamplesError(
            f"the label `{missing[0][:40]}` is none of the {len(names)} class names, such as"
            f" `{names[0][:40]}`; give all names in the model's order as `class_names`"
        )
    return np.array([places[str(each)] for each in found], np.int64)
