"""ssh's configuration: where ssh would go, as whom, and by which keys."""
