"""Journal entries become log lines; errors that are the same get one fingerprint."""
