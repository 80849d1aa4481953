"""Brings models and samples in, and keeps untrusted files away from the scanning process.

`fetch` copies the model to the scan's own folder, or exports it with `native` if it is not ONNX;
`samples` reads the clean samples, within the limits of `npz`. `untrusted` is what is done to a
file before it is trusted, and `sandbox` has it done in a child in a cage: `starter` has the
`server` fork one, in which `worker` does what a `request` asks for.
"""
