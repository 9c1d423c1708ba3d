"""A controller that takes the lock of an environment when it is told to, by the real engine.

    python -m tests.chaos.racer FOLDER ENVIRONMENT OWNER

Connects to every host and says ``{"ready": true}``. Then, for each line ``at NANOSECONDS`` (of the
kernel's monotonic clock) on standard input, it tries at that instant and tells how it went; it
holds what it has until the line ``leave``, and says that it left.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.engine.fleet import lock_taking as locking
from botdeploy.engine.fleet.clock import SystemClock
from botdeploy.engine.fleet.fleet import Fleet
from botdeploy.errors import LockedError
from botdeploy.hosts.acts.lock import LockRequest
from botdeploy.hosts.ssh.connector import Connector
from botdeploy.inventory import load

if TYPE_CHECKING:
    from botdeploy.core.model.inventory import Inventory


def main(folder: str, environment: str, owner: str) -> None:
    """Race until standard input ends."""
    inventory = load(environment, Path(folder), os.environ)
    fleet = Fleet(inventory, Connector(os.environ, time.time))
    try:
        fleet.each([host.name for host in inventory.hosts], fleet.acts)
        _tell(ready=True)
        for line in sys.stdin:
            word, _, instant = line.strip().partition(" ")
            assert word == "at", line
            _race(fleet, inventory, owner, int(instant))
    finally:
        fleet.close()


def _race(fleet: Fleet, inventory: Inventory, owner: str, instant_ns: int) -> None:
    time.sleep(max(0.0, (instant_ns - time.monotonic_ns()) / 1e9))
    names = [host.name for host in inventory.hosts]
    begun = time.monotonic()
    lock = None
    try:
        lock = locking.take(fleet, names, LockRequest("rollout", owner, "race"), SystemClock())
    except LockedError as error:
        _tell(won=False, code=int(error.exit_code), said=str(error), took_s=_since(begun))
    else:
        _tell(won=True, hosts=sorted(lock.entered), took_s=_since(begun))
    assert sys.stdin.readline() == "leave\n"
    if lock is not None:
        lock.leave()
    _tell(left=True)


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 4)


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
