"""An MLflow server that enforces the gate's policy."""
