"""Standing: where one host stands with the release of a rollout, by what it says of itself.

Whoever decides, acts or shows asks here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import Phase
from botdeploy.core.host.running import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.host.host_state import HostState

OWN_DOING = frozenset({"lease", "boot", "person", "host"})
"""Causes of a revert that are no verdict: nobody confirmed it in time, a person took it back, or
something of the host kept it from being seen (its journal, a port that is another's)."""
MOST_AGAIN = 3
"""How often one rollout switches a host again that went back before anybody confirmed it."""


class Standing(StrEnum):
    """Where one host stands with the release of the rollout."""

    UNSTAGED = "unstaged"
    """It does not have the release, or was not told of this rollout yet."""
    BEHIND = "behind"
    """Staged, but it runs another release (or none)."""
    BUSY = "busy"
    """An act is under way there."""
    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROVEN = "proven"
    SAME = "same"
    """It keeps a proven release that is the same here; nothing is switched, nothing goes back."""
    RETURNED = "returned"
    """It failed here and went back."""
    LAPSED = "lapsed"
    """It went back by itself, for no controller confirmed it in time; it is tried again."""
    STUCK = "stuck"
    """It went back, and what it went back to does not run."""
    AWAY = "away"
    """It cannot be worked on."""


HOLDING = (Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN)
"""Standings in which a host runs the release."""
SATISFIED = (Standing.PROVEN, Standing.SAME)
"""Standings that ask for nothing more."""
UNPROVEN = (Standing.PENDING, Standing.CONFIRMED)
"""Standings in which a host runs the release and waits for its ring's verdict."""


@dataclass(frozen=True, slots=True)
class HostStanding:
    """One host as the decision sees it."""

    standing: Standing
    age_s: float = 0.0
    """Seconds since it was switched (pending), confirmed or proven; 0 in other standings."""
    why: str = ""
    has_given_up: bool = False
    """It has lapsed, and this rollout has tried it again as often as it may: a person is asked."""
    seen: Seen = field(default_factory=Seen)
    """Of a host that has the release: whether it runs."""
    has_passed: bool = False
    """It was proven by this very rollout, and is watched."""
    up_s: float = 0.0
    """Of a host that has the release: seconds since its bot was started; 0 where it is down."""
    machine_up_s: float = 0.0
    """Of a host that has the release: seconds since its machine was started."""


def later(view: HostStanding, seconds: float) -> HostStanding:
    """Give where a host that has the release stands so many seconds later."""
    return replace(
        view,
        age_s=view.age_s + seconds,
        up_s=view.up_s + seconds,
        machine_up_s=view.machine_up_s + seconds,
    )


def standing_in(
    name: str,
    states: Mapping[str, HostState],
    away: Mapping[str, str],
    release: str,
    digest: str,
    rollout: str,
) -> HostStanding:
    """Say where one host of the inventory stands; ``away`` tells why some can't be asked."""
    if name in away or name not in states:
        return HostStanding(Standing.AWAY, why=away.get(name, "not observed"))
    return standing_of(states[name], release, digest, rollout)


def has_run(state: HostState, release: str) -> bool:
    """Tell whether a host runs a release, or was switched to it last and went back."""
    return state.running == release or (state.switch is not None and state.switch.new == release)


def standing_of(state: HostState, release: str, digest: str, rollout: str) -> HostStanding:
    """Say where a host stands with ``release`` in ``rollout``, and whether it runs there.

    What has another ``digest`` (empty: unknown) under this id is another release: a host that was
    away may have given the same number to other values.
    """
    view = _standing(state, release, digest, rollout)
    if view.standing not in HOLDING:
        return view
    return replace(
        view, seen=state.sees(release), up_s=state.up_s, machine_up_s=float(state.uptime_s)
    )


def _standing(state: HostState, release: str, digest: str, rollout: str) -> HostStanding:
    switch = state.switch
    ours = switch is not None and is_try_of(switch.try_id, rollout) and switch.new == release
    if switch is not None and switch.phase is Phase.REVERTING:
        return HostStanding(Standing.BUSY, why="is being reverted")
    staged = state.release(release)
    if staged is not None and staged.digest and digest and staged.digest != digest:
        return _same(state, rollout) or HostStanding(Standing.UNSTAGED)
    if switch is not None and switch.phase is Phase.PENDING and switch.new == release:
        return HostStanding(Standing.PENDING, _runs_for_s(state, release))
    if switch is not None and switch.phase is Phase.REVERTED and ours:
        if state.stuck:
            return HostStanding(Standing.STUCK, why=state.stuck)
        if switch.cause not in OWN_DOING:
            return HostStanding(Standing.RETURNED, why=switch.why)
    if (same := _same(state, rollout)) is not None:
        return same
    if staged is None:
        return HostStanding(Standing.UNSTAGED)
    # A bot that is down at the moment still has the release: its journal tells the judge why.
    if state.current == release and state.running in (release, ""):
        is_of_another = staged.proven_in != rollout
        if staged.is_proven and not (is_of_another and (ours or staged.digest in state.quarantine)):
            age_s = staged.proven_for_s(state.at)
            return HostStanding(Standing.PROVEN, age_s, has_passed=staged.proven_in == rollout)
        return HostStanding(Standing.CONFIRMED, _runs_for_s(state, release))
    if switch is not None and switch.phase is Phase.REVERTED and ours:
        return lapsed(switch.try_id, rollout, switch.why)
    if state.rollout is None or state.rollout.id != rollout:
        return HostStanding(Standing.UNSTAGED)
    return HostStanding(Standing.BEHIND)


def _same(state: HostState, rollout: str) -> HostStanding | None:
    if not keeps(state, rollout):
        return None
    return HostStanding(Standing.SAME, why=f"same as {state.current}")


def keeps(state: HostState, rollout: str) -> bool:
    """Tell whether a host keeps what it runs in a rollout, because that is the same there."""
    record = state.rollout
    if record is None or record.id != rollout or not record.same:
        return False
    return state.current == state.running == record.same and state.is_proven(record.same)


def lapsed(try_id: str, rollout: str, why: str) -> HostStanding:
    """Say that a host went back by itself after this try of a rollout, unconfirmed."""
    return HostStanding(Standing.LAPSED, why=why, has_given_up=_tries(try_id, rollout) > MOST_AGAIN)


def _runs_for_s(state: HostState, release: str) -> float:
    """Seconds since it was confirmed (or armed) here, else since its bot was started.

    The second one never jumps, and is what is left where the first lies in the host's future.
    """
    if state.switch is not None and state.switch.new == release and state.switch.age_s > 0:
        return state.switch.age_s
    since = state.active_since
    if since is None or state.at is None:
        return 0.0
    return max(0.0, (state.at - since).total_seconds())


def is_try_of(try_id: str, rollout: str) -> bool:
    """Match one try of a rollout on one host: ``ROLLOUT`` or ``ROLLOUT.N``."""
    return try_id == rollout or try_id.startswith(f"{rollout}.")


def next_try_id(rollout: str, state: HostState | None) -> str:
    """Name the next try of a rollout on a host; a try that is over is never reused."""
    switch = state.switch if state is not None else None
    earlier = (switch.try_id, switch.earlier) if switch is not None else ()
    last = max((_tries(one, rollout) for one in earlier if is_try_of(one, rollout)), default=0)
    return f"{rollout}.{last + 1}" if last else rollout


def next_try_of_all(rollout: str, states: Iterable[HostState | None]) -> str:
    """Name the next try of several hosts, where they make it under one name."""
    return max((next_try_id(rollout, state) for state in states), key=lambda t: _tries(t, rollout))


def _tries(try_id: str, rollout: str) -> int:
    """Count the tries of a rollout on a host up to this one."""
    number = try_id.removeprefix(rollout).removeprefix(".")
    return int(number) if number.isdecimal() else 1
