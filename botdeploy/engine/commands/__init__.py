"""What each command does once it is parsed."""
