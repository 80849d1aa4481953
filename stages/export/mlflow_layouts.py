"""What MLflow writes for each flavour: the options it states in `MLmodel`, and the files it leaves.

Source: the flavours' `save_model` and `_load_pyfunc` in MLflow 3.17, and folders they wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Check = Callable[[object], bool]


def anything(_value: object) -> bool:
    """For what is told to people and changes nothing that is served."""
    return True


def _one_of(*accepted: str) -> Check:
    return lambda value: isinstance(value, str) and value in accepted


def _named(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _names(value: object) -> bool:
    """A list of plain names; options beside a name could load code or a cached engine."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _only(**checks: Check) -> Check:
    """A table that has none but these keys; an empty value says nothing."""
    return lambda value: (
        isinstance(value, dict)
        and all(not each or (key in checks and checks[key](each)) for key, each in value.items())
    )


_EXTRA = {"extra_files": anything}  # copied into the folder, where each is seen as a file
_PICKLERS = ("mlflow.pytorch.pickle_module", "pickle", "cloudpickle")
_KERAS_MODULES = ("keras", "tensorflow.keras")
_ENVIRONMENTS = _one_of("conda.yaml", "python_env.yaml")
_PREDICT = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")

STATEMENTS: Mapping[str, Check] = {
    **dict.fromkeys(("artifact_path", "databricks_runtime", "env_vars", "flavors"), anything),
    **dict.fromkeys(("is_signature_from_type_hint", "metadata", "mlflow_version"), anything),
    **dict.fromkeys(("model_id", "model_size_bytes", "model_uuid", "run_id"), anything),
    **dict.fromkeys(("signature", "type_hint_from_example", "utc_time_created"), anything),
    "saved_input_example_info": _only(
        artifact_path=_one_of("input_example.json"),
        serving_input_path=_one_of("serving_input_example.json"),
        type=anything,
        format=anything,
        pandas_orient=anything,
    ),
}
"""What an `MLmodel` file may state; `resources`, `prompts` and others name what lies elsewhere."""

PYFUNC_OPTIONS: Mapping[str, Check] = {
    "python_version": anything,
    "env": lambda value: (
        _ENVIRONMENTS(value) or _only(conda=_ENVIRONMENTS, virtualenv=_ENVIRONMENTS)(value)
    ),
    "config": _only(device=_named(r"(cpu|cuda|mps|xpu)(:\d+)?")),
    "predict_fn": _one_of(*_PREDICT),
    "pickle_module_name": _one_of(*_PICKLERS),
}
"""Options of `python_function`, beside the loader and the data, which are those of the flavour."""

LOADERS: Mapping[str, tuple[str, ...]] = {
    "onnx": ("mlflow.onnx",),
    "pytorch": ("mlflow.pytorch",),
    "keras": ("mlflow.keras", "mlflow.tensorflow"),
    "tensorflow": ("mlflow.tensorflow",),
    "sklearn": ("mlflow.sklearn",),
    "transformers": ("mlflow.transformers",),
    "paddle": ("mlflow.paddle",),
}
"""MLflow's own module that serves a flavour."""

_KERAS: Mapping[str, Check] = {
    **_EXTRA,
    **dict.fromkeys(("keras_version", "keras_backend", "save_exported_model"), anything),
    "keras_module": _one_of(*_KERAS_MODULES),
    "save_format": _one_of("h5", "tf", "keras"),
    "model_type": _one_of("keras", "tf2-module"),
    "signature_def_key": _one_of("serving_default"),
    "meta_graph_tags": lambda value: value == ["serve"],
}
OPTIONS: Mapping[str, Mapping[str, Check]] = {
    "onnx": {
        **_EXTRA,
        "onnx_version": anything,
        "providers": _names,
        "onnx_session_options": _only(
            inter_op_num_threads=anything,
            intra_op_num_threads=anything,
            execution_mode=anything,
            graph_optimization_level=anything,
        ),
    },
    "pytorch": {**_EXTRA, "pytorch_version": anything, "requirements_file": anything},
    "keras": _KERAS,
    "tensorflow": _KERAS,
    "sklearn": {
        **_EXTRA,
        **dict.fromkeys(("sklearn_version", "skops_trusted_types"), anything),
        "serialization_format": _one_of("pickle", "cloudpickle", "skops"),
    },
    "transformers": {
        **dict.fromkeys(("transformers_version", "source_model_name", "torch_dtype"), anything),
        "components": _names,
        "framework": _one_of("pt"),
        "task": _one_of("image-classification"),
        "instance_type": _one_of("ImageClassificationPipeline"),
        "pipeline_model_type": _named(r"\w+ForImageClassification"),
        "image_processor_type": _named(r"\w+ImageProcessor(Fast|Pil)?"),
        "feature_extractor_type": _named(r"\w+FeatureExtractor"),
    },
    "paddle": {**_EXTRA, "paddle_version": anything},
}
"""Options of a flavour, beside the one that names its data."""

ABOUT = (
    *("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "constraints.txt"),
    *("input_example.json", "serving_input_example.json", "registered_model_meta"),
    *("LICENSE", "LICENSE.txt", "LICENSE.md", "model_card.md", "model_card_data.yaml"),
)
"""Files of any folder that say something about it; environments are installed by whoever serves."""

_SAVED_MODEL = (
    *("saved_model.pb", "fingerprint.pb", "keras_metadata.pb"),
    *("variables/variables.index", "variables/variables.data-*", "assets/*"),
)
_PRETRAINED = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
)
FILES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("pytorch", "module"): ("{place}/pickle_module_info.txt",),
    ("pytorch", "torchscript"): ("{place}/pickle_module_info.txt",),
    ("keras", ""): ("{place}/keras_module.txt", "{place}/save_format.txt"),
    ("tensorflow", ""): (
        *("{place}/keras_module.txt", "{place}/save_format.txt"),
        *(f"{{model}}/{each}" for each in _SAVED_MODEL),
    ),
    ("transformers", ""): (
        *(f"{{model}}/{each}" for each in _PRETRAINED),
        "components/image_processor/preprocessor_config.json",
        "components/feature_extractor/preprocessor_config.json",
    ),
    ("paddle", ""): ("{stem}.pdmodel", "{stem}.json", "{stem}.pdiparams.info"),
}
"""Patterns of the files beside the model's own, by its framework and kind: `{model}` is its path,
`{stem}` the path without its ending, and `{place}` the folder it is in.
"""

CONTENTS: Mapping[str, tuple[str, ...]] = {
    "pickle_module_info.txt": _PICKLERS,
    "keras_module.txt": _KERAS_MODULES,
    "save_format.txt": ("tf", "h5", "keras"),
}
"""What a file may say whose text MLflow imports as a module, or by which it chooses a file."""
