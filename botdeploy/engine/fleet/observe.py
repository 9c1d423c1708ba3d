"""Observing: ask hosts, all at once, what they say of themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.engine.fleet.by_machine import each_machine, observe_machine
from botdeploy.errors import HostError, NoneReached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet


def observe(
    fleet: Fleet, names: Iterable[str], *, patience_s: float | None = None
) -> tuple[dict[str, HostState], dict[str, HostError]]:
    """Give what each host said, and why the others did not; changes nothing, takes no lock.

    With ``patience_s`` nobody waits longer than that: who has not answered is ``StillAtWork``.
    """
    seen = each_machine(
        fleet, names, lambda names: observe_machine(fleet, names), patience_s=patience_s
    )
    return (
        {name: one for name, one in seen.items() if not isinstance(one, HostError)},
        {name: one for name, one in seen.items() if isinstance(one, HostError)},
    )


def observe_some(
    fleet: Fleet, names: Iterable[str]
) -> tuple[dict[str, HostState], dict[str, HostError]]:
    """Observe for a command that has nothing to tell where no host answers: raises NoneReached."""
    states, away = observe(fleet, names)
    if not states:
        raise NoneReached(away)
    return states, away


def observe_timed(
    fleet: Fleet, names: Iterable[str], clock: Clock
) -> dict[str, tuple[HostState, timedelta] | HostError]:
    """Observe hosts; gives also how far the clock of each is ahead of ours."""

    def observe_at(names: tuple[str, ...]) -> dict[str, tuple[HostState, timedelta] | HostError]:
        asked = clock.now()
        states = observe_machine(fleet, names)
        answered = clock.now()
        return {
            name: one if isinstance(one, HostError) else (one, one.ahead_between(asked, answered))
            for name, one in states.items()
        }

    return each_machine(fleet, names, observe_at)


def clock_note(name: str, ahead: timedelta) -> str:
    """Say that a host's clock is wrong, and by which its times are shown."""
    way = "fast" if ahead > timedelta(0) else "slow"
    return (
        f"The clock of {name} is {abs(ahead.total_seconds()):.0f} s {way}. "
        "Its times are shown by the clock of this machine."
    )
