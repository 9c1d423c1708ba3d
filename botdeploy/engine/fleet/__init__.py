"""Many hosts at once: threads, the lock, what keeps both alive."""
