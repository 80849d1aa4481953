"""Native models of other frameworks become ONNX: one framework per file, imported only there.

1. `detect` tells from names and first bytes what lies at a path; nothing is loaded.
2. `child` runs in an interpreter that has the framework, this one or another, loads the model,
   writes its ONNX and what the model itself says about a few probe images.
3. `registry` knows the framework files: `pytorch`, `keras`, `tensorflow`, `sklearn`, `flax`,
   `paddle` and `transformers`, each an `Exporter`.

Loading a native model can run code that its author chose, so a caller must ask for the user's trust
first. These modules import nothing of `stages` but `errors` and `refusal`, because another
interpreter may have nothing but numpy and the framework.
"""
