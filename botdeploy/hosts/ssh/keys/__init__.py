"""Host keys, and the user's keys to log in."""
