"""The target of a rollback: to which release a host returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import Phase, Predecessor, is_same_number
from botdeploy.core.rollout.rollout_records import newest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.host.host_state import HostState


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where one host would go back to."""

    host: str
    running: str
    target: str
    """Empty: nothing newer than the proven release runs, or ``before`` says what runs then."""
    why: str = ""
    is_possible: bool = True
    before: Predecessor | None = None
    """Where it undoes a change of the bot's form: who gets its place back."""
    stops: bool = False
    """Others go back to numbers by which it has no work: it came with the new ones."""

    @property
    def goes(self) -> bool:
        """Whether the host goes back at all."""
        return bool(self.target) or self.before is not None or self.stops

    @property
    def aims_at(self) -> str:
        """The release that is to run afterwards, here or in the predecessor; empty for none."""
        return self.target if self.before is None else self.before.release

    @property
    def aim(self) -> str:
        """What runs there afterwards, for people."""
        if self.before is None:
            return self.target or ("nothing" if self.stops else "")
        return f"{self.before.release} of {self.before.unit}" if self.before.unit else "nothing"


def starts_only(ways: Iterable[WayBack]) -> bool:
    """Tell whether hosts only start what they have: that says nothing of a release."""
    going = [way for way in ways if way.goes]
    return bool(going) and all(way.target == way.running for way in going)


def way_back(
    name: str, state: HostState, to: str | None = None, newest: str | None = None
) -> WayBack:
    """Say where a host goes back to: its last proven release, as recorded at the switch.

    ``newest`` is the release of the last rollout: a host that does not run it stays.
    """
    now = state.current or state.running
    if to is not None:
        staged = state.release(to)
        if staged is None:
            return WayBack(name, now, "", f"it does not have {to}", is_possible=False)
        if now == to and state.running == to:
            return WayBack(name, now, "", f"{to} runs already")
        return WayBack(name, now, to)
    switch = state.switch
    if switch is not None and switch.phase is Phase.REVERTED and now == switch.old:
        return WayBack(name, now, "", "it was reverted already")
    if switch is not None and switch.phase is Phase.REVERTING and switch.old:
        return WayBack(name, switch.new, switch.old)
    if switch is not None and switch.phase is Phase.PENDING and now != switch.new:
        # Armed, and not done: it is called back before it starts.
        place = None if switch.old else Predecessor(switch.unit, switch.release, switch.numbers)
        return WayBack(name, switch.new, switch.old, before=place)
    if not now:
        return WayBack(name, now, "", "nothing runs")
    if newest is not None and now != newest:
        return WayBack(name, now, "", f"it does not run {newest}, the release of the last rollout")
    if state.before is not None:
        return WayBack(name, now, "", before=state.before)
    candidates = [switch.old] if switch is not None and switch.new == now else []
    candidates.append(state.previous)
    candidates += [one.id for one in state.newest_first]
    for candidate in candidates:
        if candidate and candidate != now and state.is_proven(candidate):
            return WayBack(name, now, candidate)
    return WayBack(name, now, "", "it has no proven release to return to", is_possible=False)


def ways_back(
    states: Mapping[str, HostState], hosts: Iterable[str], to: str | None
) -> dict[str, WayBack]:
    """Say where hosts go back to, those that did not answer left out; ``to``: a release."""
    record = newest(states)
    last = record.release if record is not None else None
    ways = {name: way_back(name, states[name], to, last) for name in hosts if name in states}
    if not renumbers(states, ways):
        return ways
    return {
        name: way
        if way.is_possible or not states[name].numbers_of(way.running)
        else replace(way, why="", is_possible=True, stops=True)
        for name, way in ways.items()
    }


def renumbers(states: Mapping[str, HostState], ways: Mapping[str, WayBack]) -> bool:
    """Tell whether hosts go back to another numbering of the instances."""
    return any(
        (way.target or numbers)
        and not is_same_number(numbers, states[name].numbers_of(way.running))
        for name, way in ways.items()
        for numbers in [_numbers_after(states[name], way)]
    )


def _numbers_after(state: HostState, way: WayBack) -> str:
    return state.numbers_of(way.target) if way.before is None else way.before.numbers
