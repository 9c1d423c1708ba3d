"""The commands: parse, wire, turn an outcome into an exit code."""
