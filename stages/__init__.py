"""One step of the scan per file: numbers in, numbers out, nothing remembered and nothing printed.

A backdoored classifier has a class to which one fixed, small change carries samples of every other
class. A scan looks for such a change without knowing the trigger:

0. `export` turns a native model of another framework into ONNX, in a process of its own.
1. `inspection` refuses what is not an ONNX classifier or is not safe to open; `external_data` puts
   weights that lie beside the file into it.
2. `normalise` rewrites the graph into a plain form; `converters` and `convert` make it a torch
   module, with every weight a Parameter.
3. `parity` proves that this module computes what the file computes. No verdict on a twin that is
   not the model.
4. `sites` finds where neuron noise may enter (BatchNorm outputs, or the outputs of convolutions
   that swallowed their BatchNorm), where features end, and what the channels do on clean samples;
   `twin` puts it together.
5. `precondition` asks whether model and samples fit at all.
6. Four searches, each for every class at once: `blend` for a faint pattern, `patch` for a small
   square, `warp` for a smooth bend (all on a `canvas` of clean samples), `noise` for neuron noise
   as its bound grows (`tail` runs the network under noise). `ascent`, `targets` and `pixels` hold
   what they share.
7. `score` makes one score per class of them, beside `references` of models known to be clean.
8. `judge` asks whether one class is reached too easily to be clean, and gives the verdict.

`mask` and the untargeted half of `noise` are the paper's, off unless asked for.
`reference` is the published algorithm, for comparison. Values are in `types`, failures in `errors`;
`stage` marks a step, `progress` says how far it is, `graph` cuts and runs the twin's fx graph.

Source: BAN, NeurIPS 2024 (arXiv 2405.19928); every deviation stands in docs/method.md.
"""
