"""Trust and login: the host's keys and the user's."""
