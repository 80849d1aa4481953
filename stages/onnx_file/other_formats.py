"""What a file is that was given in the place of an ONNX file, and what to do about it."""

from __future__ import annotations

import json
from pathlib import PurePath

_LFS = b"version https://git-lfs.github.com/spec/"
_ZIP, _BEGINNING = b"PK\x03\x04", 4096
_TFLITE = b"TFL3"  # at byte 4: the identifier of the FlatBuffer
_HDF5, _GZIP = b"\x89HDF\r\n\x1a\n", b"\x1f\x8b"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in (2, 3, 4, 5))
_MODEL_FIRST = "the model comes first and the samples after `--samples`"
_WEIGHTS_BESIDE = (".data", ".onnx_data", ".weights")
_COMPILED = {
    **dict.fromkeys((".mlmodel", ".mlpackage"), "Core ML"),
    **dict.fromkeys((".engine", ".plan", ".trt"), "TensorRT"),
    **dict.fromkeys((".xml", ".bin"), "OpenVINO"),
    ".gguf": "llama.cpp",
    ".rknn": "RKNN",
}
"""What models are compiled to, by the end of the name."""
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
        return f"`{name}` holds arrays, such as clean samples, and no model; {_MODEL_FIRST}"
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
    return _by_beginning(content, name) or _by_name(name)


def _by_beginning(content: bytes, name: str) -> str | None:
    """A sentence on a file that begins as others do that are often given."""
    other = f"`{name}` is not an ONNX file but"
    if content.startswith((_ZIP, _GZIP)):
        return f"{other} an archive; unpack it and name the model in it"
    if content.startswith(_HDF5):
        return (
            f"{other} HDF5, as Keras writes it; if it is a model of Keras, let its name end with"
            " `.h5` and add `--trust-model-code`"
        )
    if content.startswith(_PICKLES):
        return (
            f"{other} a pickle of Python; if it is a model of PyTorch or scikit-learn, let its name"
            " end with `.pt` or `.pkl` and add `--trust-model-code`"
        )
    if content.startswith(_PICTURES):
        return f"{other} a picture; {_MODEL_FIRST}"
    return None


def _by_name(name: str) -> str | None:
    """A sentence on a file whose name says what it is."""
    suffix = PurePath(name).suffix.lower()
    if suffix in _WEIGHTS_BESIDE:
        return (
            f"`{name}` holds the weights of an ONNX model that lies beside it; name the `.onnx`"
            " file, and leave this one in its folder"
        )
    if suffix in _COMPILED:
        return (
            f"`{name}` is made for {_COMPILED[suffix]} and has no network that can be searched;"
            " export the model it was made from to ONNX"
        )
    if suffix == ".ckpt":
        return (
            f"`{name}` is a checkpoint of weights, no network; name a function that builds the"
            " model and loads it (`FILE.py:FUNCTION`), and add `--trust-model-code`"
        )
    if suffix in (".csv", ".tsv"):
        return f"`{name}` is a table, such as one of samples, and no model; {_MODEL_FIRST}"
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
