"""From what people have to clean samples: pictures in folders, lists and data sets become an array.

`clean` is the door: it reads an `.npz` as it is, and makes samples of everything else. What a
person says about it is in `preparation`.

- `collection` names the pictures of a source, each with its label: `class_folders`, `csv_list` or
  `hugging_face`.
- `recipe` decides how a picture becomes an input: by options, by a name (`usual`), by torchvision's
  weights, by a `preprocessor_config.json`; `transform` does it, and `input_form` is what the model
  takes.
- `class_order` gives every label the number that the model gives its class.
- `draw` takes as many pictures of each class; `picture` opens one, within limits.
- `exact_file` writes the `.npz`, with where it came from.

`diagnosis` says what is wrong with samples that a model fails on: it tries other preprocessings
(`value_forms`) and other orders of the classes (`label_maps`). It changes nothing.

The pictures are the user's own, so Pillow opens them in this process, in a few harmless formats and
within limits on their size; models are never opened here.
"""
