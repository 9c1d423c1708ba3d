"""Commands to copy stand whole on lines of their own, however narrow the terminal is."""

from __future__ import annotations

import re

_NAMES = (
    *("init", "check", "setup", "plan", "canary", "promote", "rollback", "status", "releases"),
    *("history", "logs", "report", "approve", "hold", "resume", "unlock", "retire"),
)
_COMMAND = re.compile(
    rf"(?<=:)[ ]+(botdeploy (?:{'|'.join(_NAMES)})\b[^;\n]*?)[.]?(?=;|\n|$|\.[ ]|[ ]\()[ ;.]*"
)


def with_commands_apart(text: str) -> str:
    """Put each command of ours that follows a colon on a line of its own, the rest behind it."""
    return _COMMAND.sub(r"\n\1\n", text).rstrip("\n") if text else text
