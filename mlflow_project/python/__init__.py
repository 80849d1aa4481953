"""What `import ban_gate` gives: scans from Python, of files and of models that are in memory."""
