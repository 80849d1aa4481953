"""The algorithm of a scan, a step or an idea per file: numbers in, numbers out.

A backdoored classifier has a class to which one fixed, small change sends samples of every other
class. A scan looks for such a change without knowing the trigger. Its steps, by folder:

1. `export` turns a native model of another framework into ONNX, in a process of its own.
2. `onnx_file` decides without running it whether the file is a classifier that is safe to open
   (`inspection`), and whether its graph contains a trigger made of operators (`graph_logic`).
3. `passes` rewrite the graph into a plain form; `converters` and `twin.convert` turn it into the
   *twin*, a torch module in which every weight is a Parameter.
4. `twin.parity` proves that the twin computes what the file computes: no proof, no verdict.
   `twin.sites` finds where neuron noise can enter and where features end; `twin.precondition`
   checks that model and samples fit together.
5. `searches` look for a trigger of every class at once: `blend` for a faint pattern, `patch` for
   squares of two sizes, `warp` for a smooth bending, `tone` for a filter, `neuron_noise` for noise
   inside the twin; `head_probe` asks the last layer alone, and `permutation` looks for one trigger
   that sends each class to another. Each returns one or more statistics per class, of which larger
   values are more suspicious; `screen` chooses the classes where there are many.
6. `verdict` compares the classes. `profile` gathers the statistics, `score` joins those of a class
   into its anomaly score, beside clean references that passed `vetting`, and `decide` compares the
   largest score with its critical value. What clean models show is in `calibration.toml`.

`published` has the paper's own algorithm, for comparison; it never decides.

All folders share `types` (the values that steps pass on), `errors` (why a scan ends early),
`stage` (a function with a version, whose result can be cached), `progress` (how far a step is),
`refusal` (an error that crosses processes), `image_layout`, `verdict_label`, and `later` and
`seldom` (libraries that take long to import).
Nothing here prints, remembers anything, or knows MLflow.

Source: BAN, NeurIPS 2024 (arXiv 2405.19928); docs/method.md explains every deviation.
"""

import os

from stages import seldom

seldom.install()
# Before anything imports onnxruntime, whose builds for GPUs queue telemetry in the user's cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
