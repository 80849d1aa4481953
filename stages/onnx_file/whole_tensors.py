"""Whether tensors hold as many numbers as they say; onnx's checker does not count them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from onnx import TensorProto, helper, numpy_helper

from stages.errors import ModelRefused

_PACKED = {"4": 4, "2": 2}
"""Bits of a number whose type's name has this digit, where it is less than a byte."""


def require_whole(tensors: Iterable[TensorProto]) -> None:
    """Raises unless each tensor holds as many numbers as its shape says.

    Raises:
        ModelRefused: one of them does not.
    """
    for tensor in tensors:
        if tensor.ByteSize() and not _is_whole(tensor):
            raise ModelRefused(
                f"tensor `{tensor.name}` does not hold the {prod(tensor.dims)} numbers of its shape"
                f" {tuple(tensor.dims)}; export the model again"
            )


def _is_whole(tensor: TensorProto) -> bool:
    numbers, bits = int(prod(tensor.dims)), _bits(tensor.data_type)
    if bits and tensor.HasField("raw_data"):
        return len(tensor.raw_data) == -(-numbers * bits // 8)
    if bits and bits < 8:
        return len(tensor.int32_data) == -(-numbers * bits // 8)
    try:
        return bool(numpy_helper.to_array(tensor).size == numbers)
    except (ValueError, TypeError, IndexError, AttributeError):
        return False


def _bits(kind: int) -> int | None:
    """The bits of a number of a type; None for strings and what is packed across bytes."""
    name = TensorProto.DataType.Name(kind)
    if name == "STRING" or name.startswith("FLOAT6"):
        return None
    for digit, bits in _PACKED.items():
        if name in (f"INT{digit}", f"UINT{digit}") or name.startswith(f"FLOAT{digit}E"):
            return bits
    return 8 * int(helper.tensor_dtype_to_np_dtype(kind).itemsize)
