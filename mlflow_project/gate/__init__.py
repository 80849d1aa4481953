"""The gate in front of a registry's aliases."""
