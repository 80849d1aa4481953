"""Which environment variables a caged process sees: those known to hold no secret.

Everything else, every token and password among it, stays with the caller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PASSED = frozenset(
    {
        *("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "USER", "LOGNAME"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV"),
        *("CONDA_PREFIX", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_MODULE_LOADING"),
        *("NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        *("VECLIB_MAXIMUM_THREADS", "KMP_DUPLICATE_LIB_OK", "KMP_AFFINITY", "GOMP_CPU_AFFINITY"),
        *("MKL_THREADING_LAYER", "MKL_SERVICE_FORCE_INTEL", "ORT_DISABLE_TELEMETRY"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"),
    }
)
"""Names of variables that say how to run; also those that begin with `LC_`."""
_OF_FRAMEWORKS = frozenset(
    {
        *("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PYTHONPATH", "XDG_CACHE_HOME"),
        *("KERAS_BACKEND", "KERAS_HOME", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XLA_FLAGS"),
        *("JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS"),
        *("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE", "FLAGS_use_mkldnn"),
    }
)
_CACHES = ("CUDA_CACHE_PATH", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")


def scrubbed(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that a caged process may see, and the places this process imports from."""
    places = [str(Path(each or ".").absolute()) for each in sys.path]
    return {**_passed(given), "PYTHONPATH": os.pathsep.join(places)}


def for_frameworks(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables for code that builds a model, and is told that there is no network.

    It reads the user's caches, and writes its own to a folder.
    """
    passed = {name: given[name] for name in _OF_FRAMEWORKS if name in given}
    written = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "TRITON_CACHE_DIR", *_CACHES), str(folder))
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    return {**_passed(given), **passed, **written, **offline}


def home_in(folder: Path) -> dict[str, str]:
    """Variables that send everything libraries would keep of a user into a folder."""
    names = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    return dict.fromkeys(names, str(folder))


def _passed(given: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in given.items() if name in PASSED or name.startswith("LC_")
    }
