"""Who runs botdeploy: name and shell, as ssh finds them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def user_of(environ: Mapping[str, str]) -> str:
    """Give the user's name; for a uid without a passwd entry USER's or LOGNAME's, else the uid."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return environ.get("USER") or environ.get("LOGNAME") or str(os.getuid())


def shell_of(environ: Mapping[str, str]) -> str:
    """Give the shell that runs commands of ssh's config: the user's, as with ssh.

    For an account whose shell is none (a service's, under systemd) it is /bin/sh; ssh gives up.
    """
    shell = environ.get("SHELL") or "/bin/sh"
    return "/bin/sh" if Path(shell).name in {"nologin", "false"} else shell
