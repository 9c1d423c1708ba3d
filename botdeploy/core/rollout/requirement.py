"""The requirement: has another environment proven what is to be released, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core.host.host_state import Phase, bot_fault
from botdeploy.core.host.running import Runs
from botdeploy.core.release.release_ids import in_order, made_of
from botdeploy.core.rollout.next_step import End, Reason, Result, Wait
from botdeploy.core.rollout.rollout_records import begun_at
from botdeploy.core.text.phrases import duration, few

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState, StagedRelease
    from botdeploy.core.model.policy import Requires

_MOST_TOLD = 8
"""Hosts of which it is told what they lack."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the releases on a host are made of."""

    of: Mapping[str, str]
    """Release → hash of its files and its build."""
    platform: str = ""
    """The host's kind of processor, as ``uname -m`` says it."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """What the other environment lacks, in words."""

    why: str
    until: datetime | None = None
    """When only time lacks: when that is over."""
    is_away: bool = False
    """It could not be asked."""

    def step(self, ring: str) -> Wait | End:
        """Give what becomes of a rollout at this ring."""
        if self.is_away:
            return End(Result.UNREACHABLE, self.why, ring, reason=Reason.REQUIRES)
        return Wait(Reason.REQUIRES, self.why, ring, self.until)


@dataclass(frozen=True, slots=True)
class Other:
    """The environment that must have proven it: what its hosts say."""

    name: str
    states: Mapping[str, HostState]
    contents: Mapping[str, Contents]
    foreign: Mapping[str, str]
    """Hosts of its inventory that belong to yet another environment."""


def unmet(
    requires: Requires, wanted: Mapping[str, Collection[str]], other: Other, now: datetime
) -> Unmet | None:
    """Tell what the other environment lacks; None where all of its hosts have proven it.

    ``wanted``: each content that is to be released → the hosts that get it. A release of the other
    environment is the same where it holds all of them, whatever its own id and digest.
    """
    for_s = requires.proven_for.total_seconds()
    what = f"{other.name} must have proven it" + (f" for {duration(for_s)}" if for_s else "")
    same = _same(wanted, other)
    if not same:
        return Unmet(f"{what}; {_no_such(wanted, other)}")
    lacks: list[str] = []
    left_s: list[float] = []
    for name in other.states:
        held = _held(name, other, same, now)
        if isinstance(held, str):
            lacks.append(f"{name} {held}")
        elif held.seconds < for_s:
            lacks.append(f"{name} {held.told}")
            left_s += [for_s - held.now_s] if held.goes_on else []
    if not lacks:
        return None
    is_only_time = len(left_s) == len(lacks)
    until = now + timedelta(seconds=max(left_s)) if is_only_time else None
    return Unmet(f"{what}; {'; '.join(lacks[:_MOST_TOLD])}", until)


def missing_platforms(
    own: Mapping[str, Contents], other: Mapping[str, Contents]
) -> tuple[str, ...]:
    """Name the kinds of processors that the other environment has no host of."""
    known = {one.platform for one in other.values()}
    mine = {one.platform for one in own.values() if one.platform}
    return tuple(sorted(mine - known))


def _same(wanted: Mapping[str, Collection[str]], other: Other) -> frozenset[str]:
    """Name the other environment's releases that hold everything that is wanted.

    Its hosts have one between them: a tree for each kind of host.
    """
    held: dict[str, set[str]] = {}
    for contents in other.contents.values():
        for release, content in contents.of.items():
            held.setdefault(made_of(release), set()).add(content)
    return frozenset(release for release, its in held.items() if its >= wanted.keys())


def _no_such(wanted: Mapping[str, Collection[str]], other: Other) -> str:
    known = {content for one in other.contents.values() for content in one.of.values()}
    lacking = [host for content, hosts in wanted.items() if content not in known for host in hosts]
    if len(lacking) == sum(map(len, wanted.values())):
        return f"no release on its hosts has the same files and build ({few(list(other.states))})"
    return f"it has no host of the kind of {few(lacking)}: of that release it has other files"


@dataclass(frozen=True, slots=True)
class _Held:
    """For how long a host has had something proven."""

    seconds: float
    """Without a break, at the best."""
    now_s: float
    """The same of what runs there now."""
    goes_on: bool
    """It runs there now."""

    @property
    def told(self) -> str:
        """Say it of the host."""
        if self.goes_on:
            return f"has for {duration(self.now_s)}"
        return f"had for {duration(self.seconds)}, then a newer release came"


def _held(name: str, other: Other, same: frozenset[str], now: datetime) -> _Held | str:
    """Give for how long a host has proven it, or why it does not count."""
    if name in other.foreign:
        return f"belongs to environment '{other.foreign[name]}'"
    state = other.states[name]
    mine = [one for one in state.releases if made_of(one.id) in same]
    if not mine:
        return "does not have it, or removed it since"
    for one in mine:
        if one.digest in state.quarantine:
            return f"refused it: {state.quarantine[one.digest]}"
    proven = [one for one in mine if one.is_proven]
    if not proven:
        return "has no verdict for it yet"
    is_current = made_of(state.current) in same
    spans = [(max(0.0, span), on) for one in proven for span, on in _spans(state, one, same, now)]
    return _why_not_now(state, proven, is_current=is_current) or _Held(
        max((span for span, _ in spans), default=0.0),
        max((span for span, goes_on in spans if goes_on), default=0.0),
        is_current,
    )


def _why_not_now(state: HostState, proven: Sequence[StagedRelease], *, is_current: bool) -> str:
    """Tell why a host that has proven it counts no more: it went back, or its bot is down."""
    switch = state.switch
    if switch is not None and switch.phase is Phase.REVERTING:
        return "is being reverted"
    if is_current:
        fault = bot_fault(state)
        is_down = fault is not None and fault.runs is not Runs.RUNNING  # that one is not enabled
        return f"does not run it: {fault.why}" if fault is not None and is_down else ""
    if not state.current:
        return "runs nothing"
    current = state.release(state.current)
    if current is not None and any(_is_older(current, one) for one in proven):
        return f"went back to {state.current}"
    return ""


def _is_older(one: StagedRelease, other: StagedRelease) -> bool:
    """Tell whether a release came before another: by the verdicts, else by what they are called.

    ID+2 may be years younger than ID.
    """
    if one.proven_at is not None and other.proven_at is not None:
        return one.proven_at < other.proven_at
    return in_order(one.id) < in_order(other.id)


def _spans(
    state: HostState, proven: StagedRelease, same: frozenset[str], now: datetime
) -> list[tuple[float, bool]]:
    """Seconds from the verdict until now, or until a newer release took its place; which of both.

    By the host's clock, and no more than ours allows: one that jumped ahead proves nothing. What
    came back after a newer one counts from then on.
    """
    if proven.proven_at is None or state.at is None:
        return []
    end = min(state.at, now)
    later = (one for one in state.releases if one.is_proven and _is_older(proven, one))
    newer = (one for one in later if made_of(one.id) not in same)
    ends = [at for one in newer if (at := _began(state, one)) is not None]
    if state.current != proven.id and made_of(state.current) not in same:
        ends += [at for at in [_began(state, state.release(state.current))] if at is not None]
    last = min([end, *ends])
    spans = [((last - proven.proven_at).total_seconds(), last == end)]
    since_us, runs = state.switches[-1] if state.switches else (0, "")
    if runs == proven.id == state.current and since_us:
        back = datetime.fromtimestamp(since_us / 1e6, tz=UTC)
        spans.append(((end - max(back, proven.proven_at)).total_seconds(), True))
    return spans


def _began(state: HostState, release: StagedRelease | None) -> datetime | None:
    """Give when a release began to run, or a time before that: when it was made.

    The id of ID+N does not tell when that was made: then it is when it was proven.
    """
    if release is None:
        return None
    for at_us, one in state.switches:
        if one == release.id and at_us:
            return datetime.fromtimestamp(at_us / 1e6, tz=UTC)
    made_at, is_numbered = begun_at(release.id), made_of(release.id) != release.id
    return (release.proven_at or made_at) if is_numbered else (made_at or release.proven_at)
