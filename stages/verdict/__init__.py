"""From statistics to a verdict."""
