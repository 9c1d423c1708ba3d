"""Observing: ask hosts, all at once, what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import HostError, NoneReached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.host.host_state import HostState
    from botdeploy.engine.fleet.fleet import Fleet


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
