"""What an untrusted ONNX file is, found out without running it.

`inspection` refuses what is not a classifier or not safe to open, `external_data` moves weights
stored beside the file into it, `graph_logic` finds decisions on the input that no weight makes and
`batch_logic` those on the size of the batch, and `content_digest` identifies a model whatever the
layout of its file.
"""
