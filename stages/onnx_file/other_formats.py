"""What a file is that was given in the place of an ONNX file, and what to do about it."""

from __future__ import annotations

import json
from pathlib import PurePath

_LFS = b"version https://git-lfs.github.com/spec/"
_ZIP, _BEGINNING = b"PK\x03\x04", 4096
_TFLITE = b"TFL3"  # at byte 4: the identifier of the FlatBuffer
_LARGEST_HEADER = 100 * 1024**2  # bytes; what safetensors itself allows


def named(content: bytes, name: str) -> str | None:
    """A sentence on a file of a known other format, by its content; None for any other file.

    `name` is the file's name, as the sentence gives it.
    """
    if content.startswith(_LFS):
        return (
            f"`{name}` is a pointer of Git LFS, not the model itself; fetch it with `git lfs pull`"
        )
    if content.startswith(_ZIP) and b"images.npy" in content[:_BEGINNING]:
        return (
            f"`{name}` holds arrays, such as clean samples, and no model; the model comes first and"
            " the samples after `--samples`"
        )
    if content[4:8] == _TFLITE:
        return (
            f"`{name}` is a TensorFlow Lite model, whose operators are made for devices; export the"
            " model it was made from to ONNX, or convert it with `python -m tf2onnx.convert"
            " --tflite`"
        )
    if _is_safetensors(content):
        return (
            f"`{name}` holds weights alone (safetensors), no network; name the folder that"
            " `save_pretrained` wrote, or a function that builds the model (`FILE.py:FUNCTION`)"
        )
    if PurePath(name).suffix == ".pb" or _is_frozen_graph(content):
        return (
            f"`{name}` looks like a frozen graph of TensorFlow 1; convert it with `python -m"
            " tf2onnx.convert --graphdef` and scan the ONNX file, or name a SavedModel's folder"
        )
    return None


def _is_safetensors(content: bytes) -> bool:
    """Eight bytes of length, then that much JSON with an object per tensor."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(len(content) - 8, _LARGEST_HEADER) or content[8:9] != b"{":
        return False
    try:
        return isinstance(json.loads(content[8 : 8 + length]), dict)
    except (ValueError, RecursionError):
        return False


def _is_frozen_graph(content: bytes) -> bool:
    """A GraphDef begins with a node (field 1), which begins with its name (field 1).

    Its first node is a placeholder or a constant in nearly every file.
    """
    return content[:1] == b"\n" and any(
        one in content[:400] for one in (b"\x12\x0bPlaceholder", b"\x12\x05Const")
    )
