"""Brings models and samples in, and keeps untrusted files away from the scanning process.

`fetch` copies the model to the scan's own folder, or exports it with `native` if it is not ONNX;
`samples` reads the clean samples. `untrusted` is what is done to a file before it is trusted, and
`sandbox` does it in a child process with limits on time and memory.
"""
