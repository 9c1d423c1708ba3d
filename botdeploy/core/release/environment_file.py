"""Environment files, as botdeploy writes them and as systemd reads them."""

from __future__ import annotations

import shlex

MOST_CHARACTERS = 4 * 1024 * 1024
"""Of one environment: systemd takes no longer ones."""


def variables(text: str) -> dict[str, str]:
    """Read an environment file as botdeploy quotes it, which a shell reads alike; else nothing."""
    try:
        words = shlex.split(text[:MOST_CHARACTERS], comments=True)
    except ValueError:
        return {}
    return {name: value for name, _, value in (word.partition("=") for word in words)}
