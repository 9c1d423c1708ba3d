"""Carries out commands: threads, waiting, locks, failures."""
