"""What can go wrong in a scan, explained so that the reader knows what to do next."""

from __future__ import annotations


class BanGateError(Exception):
    """A failure that one sentence explains: what failed, found against expected, what to do."""


class ConfigError(BanGateError):
    """A setting, path or option of the caller is wrong; nothing was judged."""


class CannotJudge(BanGateError):
    """The model or its samples cannot be judged; the verdict is `inconclusive`, never a pass."""


class ModelRefused(CannotJudge):
    """The file is not a usable ONNX classifier, or is not safe to open."""


class SamplesError(CannotJudge):
    """The clean samples do not fit the model or the contract of the samples file."""


class ConversionError(CannotJudge):
    """An ONNX operator has no faithful counterpart in torch."""


class ParityError(CannotJudge):
    """The torch twin does not compute what the ONNX file computes."""


class NoNoiseSites(CannotJudge):
    """The graph has no place where neuron noise or a feature mask can enter."""


class AttestationError(CannotJudge):
    """A signed statement about a model is missing, malformed, or not signed by a trusted key."""
