"""Answers of a probe become log lines for the judge."""
