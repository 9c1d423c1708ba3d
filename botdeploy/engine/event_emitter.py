"""Events: what happens during a command becomes one, with what is known of it anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.events import Kind, Listener
    from botdeploy.core.model.inventory import Host
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.hosts.acts.switch import Reverted, Switched


@dataclass(frozen=True, slots=True)
class EventEmitter:
    """Tells everybody who listens; it adds the time, the environment, the rollout, the machine."""

    emit: Listener
    clock: Clock
    find: Callable[[str], Host]
    """Looks a host up by its name."""
    environment: str
    rollout: str | None = None
    release: str | None = None

    def __call__(
        self,
        kind: Kind,
        *,
        host: str | None = None,
        ring: str | None = None,
        release: str | None = None,
        **data: object,
    ) -> None:
        """Tell that something happened now; ``release`` where it is not the rollout's.

        ``is_tried_again`` of a return is no part of its ``data``.
        """
        is_tried_again = bool(data.pop("is_tried_again", False))
        found = self.find(host) if host is not None else None
        self.emit(
            Event(
                kind,
                self.clock.now(),
                self.environment,
                rollout=self.rollout,
                release=release or self.release,
                ring=ring,
                host=host,
                machine=found.on_machine if found is not None else None,
                instance=found.instance if found is not None else None,
                data=data,
                is_tried_again=is_tried_again,
            )
        )


def told_unseen(result: Switched | Reverted) -> dict[str, str]:
    """Give what is told of a release that counts as ready although its sign was not seen."""
    return {"unseen": result.unseen} if result.unseen else {}
