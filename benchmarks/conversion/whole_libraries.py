"""All of timm's families and all image classifiers of transformers, each net once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from types import ModuleType

import onnx
import torch
from torch import nn

from benchmarks.conversion import timm_families, transformers_models
from benchmarks.conversion.case import Case
from benchmarks.conversion.torch_exports import Dynamo, Legacy

EXPORTER = "default-or-tracing"


def cases() -> Iterator[Case]:
    """One case for each family of timm, then one for each class of transformers."""
    for family, library, names in (
        ("timm-families", timm_families, timm_families.FAMILIES),
        ("transformers", transformers_models, transformers_models.SETTINGS),
    ):
        for name in names:
            yield Case(
                family=family, model=name, exporter=EXPORTER, write=partial(write, library, name)
            )


def write(library: ModuleType, name: str, target: Path) -> None:
    """Exports a seeded net of the library; what torch prints is lost."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        export(library.net(name), library.images(name, 2), target)


def export(module: nn.Module, images: torch.Tensor, target: Path) -> None:
    """Writes the file with torch's default exporter, or with the tracing one where that fails.

    To write a file that onnx's checker refuses is to fail, too. The opset of the file tells which
    exporter it was: the default one has its own, the tracing one writes 17.

    Raises:
        RuntimeError: both fail; the message has both reasons.
    """
    try:
        Dynamo()(module, images, target)
        require_valid(target)
    except Exception as first:  # noqa: BLE001 # exporters fail with errors of every class
        try:
            Legacy(opset=17)(module, images, target)
        except Exception as second:
            said = " ".join(str(second).split())
            raise RuntimeError(f"tracing: {said[:180]}; default: {_cause(first)[:180]}") from second


def require_valid(path: Path) -> None:
    """Raises if onnx's checker refuses the file.

    Raises:
        RuntimeError: it does.
    """
    try:
        onnx.checker.check_model(onnx.load(path))
    except onnx.checker.ValidationError as error:
        raise RuntimeError(f"invalid file: {' '.join(str(error).split())}") from None


def _cause(error: BaseException) -> str:
    """The innermost reason of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())
