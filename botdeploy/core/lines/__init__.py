"""Journal entries in, log lines out, and which errors among them are the same."""
