"""Rewrites an ONNX graph into the plain form the converters read, without changing its logits.

The passes, in order:

1. `sort_nodes`: every node comes after those whose values it reads.
2. `take_known_branches`: an If that always goes the same way becomes the branch it takes.
3. `known_opset`: an older or newer opset becomes one that the converters know.
4. `cut_to_logits`: one output is left, the raw scores before all that keeps their order.
5. `default_domain`: the domain `ai.onnx` gets its short name, the empty string.
6. `lower_ml_operators`: Scaler, Normalizer and LinearClassifier become standard operators.
7. `half_to_float`: half and double precision become float32.
8. `float_input`: whole numbers at the input are taken as floats.
9. `drop_identities`: Identity and Dropout nodes are dropped.
10. `dequantise_weights`: weights stored as integers become floats.
11. `integer_products`: products of integers become products of floats.
12. `fold_constants`: what depends on constants alone becomes a constant.
13. `constants_to_initializers`: Constant nodes become initializers.
14. `drop_identities` again, for those that folding leaves behind.
15. `merge_last_layers`: linear layers at the end, with nothing between them, become one.
16. `settle_reshapes`: a Reshape whose result is known gets a constant target.
17. `flat_gathers`: a Gather of all entries of a flattened value becomes a Reshape.
18. `free_batch`: a batch size written into the graph becomes free.
19. `rename_nodes`: every node is called `<operator>_<index>_`.
20. `drop_unused_initializers`: weights that nothing reads are dropped.

Each pass is a module with one function `apply(model) -> None` that changes the model it is given.
"""

from __future__ import annotations

from onnx import ModelProto

from stages.errors import ModelRefused
from stages.passes import (
    constants_to_initializers,
    cut_to_logits,
    default_domain,
    dequantise_weights,
    drop_identities,
    drop_unused_initializers,
    flat_gathers,
    float_input,
    fold_constants,
    free_batch,
    half_to_float,
    integer_products,
    known_opset,
    lower_ml_operators,
    merge_last_layers,
    rename_nodes,
    settle_reshapes,
    sort_nodes,
    take_known_branches,
)

_PASSES = (
    sort_nodes,
    take_known_branches,
    known_opset,
    cut_to_logits,
    default_domain,
    lower_ml_operators,
    half_to_float,
    float_input,
    drop_identities,
    dequantise_weights,
    integer_products,
    fold_constants,
    constants_to_initializers,
    drop_identities,
    merge_last_layers,
    settle_reshapes,
    flat_gathers,
    free_batch,
    rename_nodes,
    drop_unused_initializers,
)
_MISFITS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What numpy and onnx raise on tensors that misstate their size or do not fit together."""
_LONGEST_REASON = 300  # characters of the library's message


def normalise(model: ModelProto, *, cut: bool = True) -> ModelProto:
    """A normalised copy of a model that passed inspection; the same model gives the same copy.

    Without `cut` its outputs stay, as they must of a part of a model that gives no scores.

    Raises:
        ModelRefused: the graph has a fault that inspection could not see.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    for one in _PASSES:
        if one is cut_to_logits and not cut:
            continue
        try:
            one.apply(copy)
        except _MISFITS as error:
            name = one.__name__.rpartition(".")[2]
            raise ModelRefused(
                f"the model's tensors do not fit together: `{name}` found {_reason(error)}; export"
                " the model again"
            ) from error
    return copy


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:_LONGEST_REASON]
