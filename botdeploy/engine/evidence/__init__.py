"""Journals read on from where the last reader stopped."""
