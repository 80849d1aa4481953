"""Small classifiers with a known truth: clean, or backdoored by a known attack.

`python -m benchmarks.zoo --split tuning --output FOLDER` trains what is missing there.
"""
