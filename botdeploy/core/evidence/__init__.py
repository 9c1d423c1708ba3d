"""Counts of a host's lines for each release and minute, and the past to compare with."""
