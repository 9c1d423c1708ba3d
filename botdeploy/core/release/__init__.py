"""A release: what it consists of, and what it needs of a host."""
