#!/usr/bin/env bash
# What a CUDA machine can tell, in six minutes at most and without a network: the tests that need one,
# verdicts beside those of its processor, and what a scan, BAN and BTI-DBF take there.
#
#   bash benchmarks/on_gpu.sh [FOLDER]
#
# It takes the torch and onnxruntime that are there; FOLDER (.wheels) holds wheels of what is missing
# beside them: onnx2torch, pydantic with pydantic_core and annotated_types, cattrs (5 MB together,
# by `pip download --no-deps --dest .wheels`). PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
wheels=${1:-.wheels}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$wheels/*.whl" > /dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD:$site" PYTHONUNBUFFERED=1
status=0
# Other versions than the pinned ones may warn of other things.
timeout 90 "$python" -m pytest -q -W default -p no:cacheprovider --noconftest -m cuda tests/stages/cuda || status=$?
timeout 260 "$python" -m benchmarks.on_gpu || status=$?
exit "$status"
