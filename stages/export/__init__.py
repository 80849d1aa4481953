"""Native models of other frameworks become ONNX: one framework per file, imported only there.

1. `detect` sees from names and first bytes what is at a path; nothing is loaded.
2. `child` runs in an interpreter that has the framework, this one or another. It loads the model
   and writes its ONNX, together with the model's own scores for a few probe images.
3. `registry` lists the framework files: `pytorch`, `keras`, `tensorflow`, `sklearn`, `flax`,
   `paddle` and `transformers`, each an `Exporter` (`source`).

Loading a native model can run code that its author chose, so a caller must ask for the user's trust
first. These modules import nothing from `stages` but `errors` and `refusal`, because another
interpreter may have nothing but numpy and the framework.
"""
