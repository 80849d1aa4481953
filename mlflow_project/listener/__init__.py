"""Gates every new version that MLflow's webhooks report."""
