"""`python -m mlflow_project` is `ban-gate`."""

from __future__ import annotations

from mlflow_project.cli.main import main

if __name__ == "__main__":
    main()
