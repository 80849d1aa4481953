"""The evidence behind every number in the documentation; not installed with the product."""
