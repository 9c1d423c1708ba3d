"""What a host says of itself, and whether its bot runs."""
