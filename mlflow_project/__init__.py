"""Where the scan meets the world: the command line, MLflow runs, and a model registry.

`cli` holds options, help and exit codes, `commands` what they do, `tracking` the run that keeps a
verdict and its evidence, `github` what a CI job is shown, and `evaluator` the same scan within
`mlflow.models.evaluate`. `gate` decides on a version in the `registry`, `server` enforces the
decision inside an MLflow server, and `listener` gates every version that a webhook reports.
"""
