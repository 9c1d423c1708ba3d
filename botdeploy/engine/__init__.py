"""The loop that acts: it alone knows about threads, time and failure."""
