"""Whether hostile files get anything but clean refusals: real exports, changed and judged in turn.

`python -m benchmarks.fuzz --seconds 600 --seed 0` changes bytes and graphs of real exports and of
the tests' crafted files, and lets a limited child process do with each what `ban-gate inspect` does
and, with what that accepts, what a scan does up to the first run. The n-th file of a seed is always
the same. It fails where this process sees anything but an answer or a refusal in time.
"""
