"""One module for each command, after it is parsed."""
