"""Many hosts at once: connections, threads, the lock."""
