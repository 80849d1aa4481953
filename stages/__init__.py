"""One step of the scan per file: numbers in, numbers out, nothing remembered and nothing printed.

A backdoored classifier holds neurons that push any input to the attacker's class once they are
activated. A scan activates them without knowing the trigger:

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
6. `noise` searches, for every class at once, the noise that drags clean samples to it, as the
   bound on the noise grows (`tail` runs the network under noise), and the paper's untargeted noise.
7. `mask` separates benign features from the rest.
8. `judge` asks whether one class is reached too easily to be clean, and gives the verdict.

`reference` is the published algorithm, for comparison. Values are in `types`, failures in `errors`;
`stage` marks a step, `progress` says how far it is, `graph` cuts and runs the twin's fx graph.

Source: BAN, NeurIPS 2024 (arXiv 2405.19928); every deviation stands in docs/method.md.
"""
