"""Decisions: pure values and functions; no clock, no files, no network, no randomness."""
