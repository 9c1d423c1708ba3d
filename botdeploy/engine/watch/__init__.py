"""Journals and probes while a ring is watched."""
