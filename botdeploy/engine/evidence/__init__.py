"""Reads journals on from where the last reader stopped."""
