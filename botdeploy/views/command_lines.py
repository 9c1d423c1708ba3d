"""Commands to copy stand whole on lines of their own, however narrow the terminal is."""

from __future__ import annotations

import re

_NAMES = (
    *("init", "check", "setup", "plan", "canary", "promote", "rollback", "status", "releases"),
    *("history", "logs", "report", "approve", "hold", "resume", "unlock", "retire"),
)
COMMANDS = rf"(?:{'|'.join(_NAMES)})\b"
"""A regular expression for the name of a command of ours that may be typed next."""
_COMMAND = re.compile(
    rf"(?<=:)[ ]+(botdeploy (?:--inventory-dir (?:'[^']*'|\S+) )?{COMMANDS}[^;\n]*?)[.]?"
    r"(?=;|\n|$|\.[ ]|[ ]\()[ ;.]*"
)


def with_commands_apart(text: str) -> str:
    """Put each command of ours that follows a colon on a line of its own, the rest behind it."""
    return _COMMAND.sub(r"\n\1\n", text).rstrip("\n") if text else text
