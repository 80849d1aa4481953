"""The published algorithms as they are; they never decide."""
