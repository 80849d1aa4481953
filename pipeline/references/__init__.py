"""Models known to be clean, measured or read from a profile."""
