"""Which ONNX files of real exporters the pipeline reads, and whether it reads them rightly."""
