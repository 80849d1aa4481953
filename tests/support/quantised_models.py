"""The nets of `zoo`, quantised by onnxruntime in each way that a scan accepts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from tests.support import zoo

WAYS = ("static", "static-per-channel", "dynamic", "dynamic-per-channel")


class Images(CalibrationDataReader):  # type: ignore[misc] # has no types
    """Three batches of random images to calibrate on."""

    def __init__(self) -> None:
        self._batches: Iterator[dict[str, npt.NDArray[Any]]] = iter(
            [{"input": zoo.images(4, seed).numpy()} for seed in range(3)]
        )

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        """The next batch by input name."""
        return next(self._batches, None)


@cache
def quantised(architecture: str, way: str) -> bytes:
    """The legacy export of that net, quantised by onnxruntime."""
    per_channel = way.endswith("channel")
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantised.onnx"
        source.write_bytes(zoo.exported(architecture, "legacy"))
        if way.startswith("dynamic"):
            kind = QuantType.QInt8 if per_channel else QuantType.QUInt8
            quantize_dynamic(
                *(source, target),
                per_channel=per_channel,
                weight_type=kind,
                reduce_range=per_channel,  # else CPUs without VNNI cap sums of two 8-bit products
            )
        else:
            quantize_static(
                *(source, target, Images()), quant_format=QuantFormat.QDQ, per_channel=per_channel
            )
        return target.read_bytes()
