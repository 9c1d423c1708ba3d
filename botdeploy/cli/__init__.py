"""The command line: parses commands, and turns their result into an exit code."""
