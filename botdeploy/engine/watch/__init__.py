"""Follows journals and probes while a ring is watched."""
