"""Rewrites an ONNX graph into the plain form the converters read, without changing its logits.

The passes, in order:

1. `cut_to_logits`: one output is left, the class scores before any final softmax.
2. `fold_constants`: what depends on constants alone becomes a constant.
3. `default_domain`: the domain `ai.onnx` gets its short name, the empty string.
4. `constants_to_initializers`: Constant nodes become initializers.
5. `drop_identities`: Identity and Dropout nodes go.
6. `free_batch`: a batch size written into the graph becomes free.
7. `rename_nodes`: every node is called `<operator>_<index>_`.
8. `drop_unused_initializers`: what nobody reads goes.

Each pass is a module with one function `apply(model) -> None` that changes the model it is given.
"""

from __future__ import annotations

from onnx import ModelProto

from stages.normalise import (
    constants_to_initializers,
    cut_to_logits,
    default_domain,
    drop_identities,
    drop_unused_initializers,
    fold_constants,
    free_batch,
    rename_nodes,
)

_PASSES = (
    cut_to_logits,
    fold_constants,
    default_domain,
    constants_to_initializers,
    drop_identities,
    free_batch,
    rename_nodes,
    drop_unused_initializers,
)


def normalise(model: ModelProto) -> ModelProto:
    """A normalised copy of a model that passed inspection; the same model gives the same copy.

    Raises:
        ModelRefused: the graph holds something that inspection could not see is wrong.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    for one in _PASSES:
        one.apply(copy)
    return copy
