"""What calls ``promote`` on this machine: how often it comes, and as whom."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.lease import LeaseUntil
from botdeploy.core.rollout.promote_schedule import cron_gap_s, cron_user, timer_gap_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.model.inventory import Inventory

_USER = re.compile(r"^[ \t]*User[ \t]*=[ \t]*(\S+)[ \t]*$", re.MULTILINE)
CRON = Path("/etc/cron.d")
TIMERS = Path("/etc/systemd/system")


def too_seldom(inventory: Inventory, project: Path) -> list[dict[str, object]]:
    """Give each schedule of this machine whose steps are further apart than the lease is long.

    Only a lease that lasts until the verdict is renewed by steps. Looked at are the project's
    ``schedule`` folder, ``/etc/cron.d``, this user's crontab and systemd's timers, where they
    name ``promote`` of this environment; what can't be read or understood is passed over.
    """
    lease = inventory.policy.lease
    if lease.until is not LeaseUntil.VERDICT:
        return []
    ttl_s = round(lease.ttl.total_seconds())
    return [
        {
            "where": where,
            "every_s": gap_s,
            "ok": False,
            "message": f"it runs every {gap_s} s, but a lease lasts {ttl_s} s: hosts of a ring "
            "that soaks would revert between two runs",
            "mend": f"let it run more often, or set rollout.lease.ttl to more than {2 * gap_s}s",
        }
        for where, gap_s, _ in _found(inventory.environment, project)
        if gap_s is not None and gap_s >= ttl_s
    ]


def without_user(inventory: Inventory, project: Path) -> list[dict[str, object]]:
    """Give each schedule whose steps would run as a user that this machine does not have.

    Cron passes such a line over and systemd starts nothing, and neither tells anybody.
    """
    return [
        {
            "where": where,
            "user": user,
            "ok": False,
            "message": f"it runs as the user '{user}', who does not exist on this machine: it "
            "never runs",
            "mend": f"name a user who exists, such as {user_name()}",
        }
        for where, _, user in _found(inventory.environment, project)
        if user is not None and not _is_there(user)
    ]


def user_name() -> str:
    """Name the user of this process; by number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _is_there(user: str) -> bool:
    try:
        pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return False
    return True


def _found(environment: str, project: Path) -> Iterator[tuple[str, int | None, str | None]]:
    """Give each schedule that takes steps: where it is, how often it comes, and as whom."""
    is_step = re.compile(rf"\bpromote\s+(?:-\S+\s+)*{re.escape(environment)}(?:\s|$)")
    texts = [
        (str(path), _read(path), True)
        for place in (project / "schedule", CRON)
        for path in sorted(place.glob("*"))
    ]
    texts.append(("your crontab", _crontab(), False))
    for where, text, names_user in texts:
        for line in text.splitlines():
            if is_step.search(line) and (gap_s := cron_gap_s(line)) is not None:
                yield where, gap_s, cron_user(line) if names_user else None
    for place in (project / "schedule", TIMERS):
        for service in sorted(place.glob("*.service")):
            text = _read(service)
            if not is_step.search(text):
                continue
            timer = service.with_suffix(".timer")
            yield str(timer), timer_gap_s(_read(timer)), None
            if user := _USER.findall(text):
                yield str(service), None, user[-1]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _crontab() -> str:
    try:
        done = subprocess.run(
            ["crontab", "-l"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""
