"""What calls ``promote`` on this machine, and whether it comes often enough for the lease."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model import LeaseUntil
from botdeploy.core.schedule import cron_gap_s, timer_gap_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.model import Inventory

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
            "message": f"it comes every {gap_s} s, but a lease lasts {ttl_s} s: a ring that soaks "
            "would go back between two steps",
            "mend": "let it come more often, or set rollout.lease.ttl to more than twice that",
        }
        for where, gap_s in _found(inventory.environment, project)
        if gap_s >= ttl_s
    ]


def _found(environment: str, project: Path) -> Iterator[tuple[str, int]]:
    is_step = re.compile(rf"\bpromote\s+(?:-\S+\s+)*{re.escape(environment)}(?:\s|$)")
    texts = [
        (str(path), _read(path))
        for place in (project / "schedule", CRON)
        for path in sorted(place.glob("*"))
    ]
    texts.append(("your crontab", _crontab()))
    for where, text in texts:
        for line in text.splitlines():
            if is_step.search(line) and (gap_s := cron_gap_s(line)) is not None:
                yield where, gap_s
    for place in (project / "schedule", TIMERS):
        for service in sorted(place.glob("*.service")):
            if not is_step.search(_read(service)):
                continue
            timer = service.with_suffix(".timer")
            if (gap_s := timer_gap_s(_read(timer))) is not None:
                yield str(timer), gap_s


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
