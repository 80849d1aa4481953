"""Where the scan meets the world: the command line, and MLflow runs.

`cli` holds options and help, `commands` what they do, `exits` the exit codes, `track` the run that
keeps a verdict and its evidence, `ci` what a CI job is told, and `evaluator` the same scan within
`mlflow.models.evaluate`.
"""
