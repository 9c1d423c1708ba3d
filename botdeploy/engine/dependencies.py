"""Dependencies: what every command that changes something is handed where the program starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdeploy.core.text.secret_mask import Mask

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Sequence

    from botdeploy.core.events import Listener
    from botdeploy.engine.event_emitter import EventEmitter
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.fleet.locked_fleet import LockedFleet
    from botdeploy.engine.manifest_cache import ManifestCache
    from botdeploy.engine.watch.watch import Watch
    from botdeploy.sources.build import Build


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a run needs from where the program starts."""

    fleet: Fleet
    clock: Clock
    emit: Listener
    manifests: ManifestCache
    owner: str
    stop: threading.Event
    mask: Mask = field(default_factory=Mask)
    """Hides secrets in all that is told; the fleet's, which learns from hosts."""
    required: Callable[[], Fleet | None] = lambda: None
    """Gives the hosts of the environment that ``rollout.requires`` names, not reached yet."""
    take_over: str = ""
    """Another environment whose hosts a person takes for this one."""
    check_copy: Callable[..., Build] | None = None
    """What checks a release that a host gave, where it is not ``peer_copy``; for tests."""
    make_watch: Callable[..., Watch] | None = None
    """What judges a run, where it is not the journals; for tests."""

    def lock(
        self,
        names: Sequence[str],
        kind: str,
        why: str,
        *,
        patience_s: float | None = None,
        last: Collection[str] = (),
    ) -> EnvironmentLock:
        """Take the lock on hosts, for a ``with`` block; raises LockedError (see ``lock.take``)."""
        from botdeploy.engine.fleet.lock_taking import take
        from botdeploy.hosts.acts.lock import LockRequest

        return take(
            self.fleet,
            names,
            LockRequest(kind, self.owner, why, take_over=self.take_over),
            self.clock,
            patience_s=patience_s,
            last=last,
        )

    def locked_fleet(self, lock: EnvironmentLock) -> LockedFleet:
        """Give what does acts under a lock and keeps it meanwhile."""
        from botdeploy.engine.fleet.locked_fleet import LockedFleet

        return LockedFleet(self.fleet, lock, self.clock, self.stop)

    def emitter(
        self, environment: str, *, rollout: str | None = None, release: str | None = None
    ) -> EventEmitter:
        """Give what tells everybody who listens."""
        from botdeploy.engine.event_emitter import EventEmitter

        return EventEmitter(self.emit, self.clock, self.fleet.host, environment, rollout, release)
