"""What ``botdeploy init`` writes: an inventory, the templates, and what runs ``promote``."""

from __future__ import annotations

import re
from importlib import resources

from botdeploy.errors import UserError
from botdeploy.sources.render import packaged_templates

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+@-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?")
_TEMPLATES = ("unit.service.j2", "environment.j2")


def files(
    name: str,
    *,
    folder: str = "/srv/bots",
    program: str = "/usr/local/bin/botdeploy",
    user: str = "deploy",
) -> dict[str, str]:
    """Give each file of a starter for environment ``name``: path relative to ``folder`` → text.

    ``folder`` is where the files will stand and ``program`` the ``botdeploy`` to call; cron and
    systemd need both absolute. ``user`` of this machine runs the steps. Raises UserError where a
    name or path would not be safe in them.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for an environment: letters, digits, '.', '_' and '-'"
        )
    for path in (folder, program):
        if not _PLAIN_PATH.fullmatch(path):
            raise UserError(
                f"{path!r} cannot stand in cron and systemd files: an absolute path of letters,"
                " digits and . _ - + @ / is needed"
            )
    if not _USER.fullmatch(user):
        raise UserError(f"{user!r} cannot stand in cron and systemd files as a user")
    values = {"@USER@": user, "@NAME@": name, "@FOLDER@": folder, "@PROGRAM@": program}
    written = {
        f"inventories/{name}.yml": "inventory.yml",
        f"schedule/{name}.cron": "promote.cron",
        f"schedule/botdeploy-{name}.service": "promote.service",
        f"schedule/botdeploy-{name}.timer": "promote.timer",
    }
    texts = {path: _filled(source, values) for path, source in written.items()}
    defaults = packaged_templates()
    return texts | {
        f"templates/{each}": (defaults / each).read_text("utf-8") for each in _TEMPLATES
    }


def _filled(source: str, values: dict[str, str]) -> str:
    text = (resources.files(__name__) / "files" / source).read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
