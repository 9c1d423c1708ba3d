"""A running program, on a host or on this machine."""
