"""Observing: ask hosts, all at once, what they say of themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from botdeploy.errors import HostError, NoneReached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts


def observe(
    fleet: Fleet, names: Iterable[str], *, patience_s: float | None = None
) -> tuple[dict[str, HostState], dict[str, HostError]]:
    """Give what each host said, and why the others did not; changes nothing, takes no lock.

    With ``patience_s`` nobody waits longer than that: who has not answered is ``StillAtWork``.
    """
    seen = fleet.each(names, lambda name: fleet.acts(name).state.observe(), patience_s=patience_s)
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


def observe_timed(acts: Acts, clock: Clock) -> tuple[HostState, timedelta]:
    """Observe one host; gives also how far its clock is ahead of ours. Raises HostError."""
    begun = clock.now()
    state = acts.state.observe()
    return state, state.ahead(begun + (clock.now() - begun) / 2)


def clock_note(name: str, ahead: timedelta) -> str:
    """Say that a host's clock is wrong, and by which its times are shown."""
    way = "fast" if ahead > timedelta(0) else "slow"
    return (
        f"The clock of {name} is {abs(ahead.total_seconds()):.0f} s {way}. "
        "Its times are shown by the clock of this machine."
    )
