"""Registered models: their versions and aliases."""
