"""The user's name, home, shell and cache folder, and files that are written whole."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def home_of(environ: Mapping[str, str]) -> Path | None:
    """Give the user's home, also where HOME is unset (cron, systemd); None for a nameless uid."""
    home = environ.get("HOME")
    try:
        return Path(home or pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


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


def cache_folder(environ: Mapping[str, str], home: Path | None = None) -> Path | None:
    """Give botdeploy's part of the user's cache folder: ``XDG_CACHE_HOME`` or ``~/.cache``.

    ``home`` is the user's home where HOME is unset. None where no folder is known.
    """
    above = environ.get("HOME") or home
    base = environ.get("XDG_CACHE_HOME") or (above and Path(above, ".cache"))
    return Path(base, "botdeploy") if base else None


def write_whole(place: Path, text: str, mode: int = 0o666) -> None:
    """Write a file; raises OSError, and what was there before then stays.

    ``mode`` is the file's, less the umask.
    """
    aside = place.with_name(f".{place.name}.{token_hex(4)}")
    try:
        aside.touch(mode, exist_ok=False)
        aside.write_text(text, encoding="utf-8")
        aside.replace(place)
    finally:
        aside.unlink(missing_ok=True)
