"""The prober: asks bots at their intervals for what their journals do not tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.core.evidence.proven_past import RECENT_S
from botdeploy.core.lines.line import moved
from botdeploy.core.model.bot import Probe, ProbeKind
from botdeploy.core.probes import probe as probes
from botdeploy.core.probes import probe_trial
from botdeploy.errors import ActFailed, HostError, Unreachable
from botdeploy.hosts.acts.faults import ProgramMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from concurrent.futures import Future

    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.probes.probe import ProbeReading
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts

HOLD_S = 6.0
"""How long what a canary answered waits for the baseline's answers to the same question: what
fails on both is not the release's doing, and the judge must hear of the baseline first."""
_HOPELESS = frozenset(("no-client", "no-user", "usage", "no-root"))


@dataclass(slots=True)
class _Asked:
    """One host, and where its probe stands."""

    probe: Probe
    offset_us: int
    """By how much the host's clock is ahead of ours."""
    turn: int = -1
    """Number of the interval in which it was asked last."""
    asked_at: float = 0.0
    pending: Future[ProbeReading] | None = None
    first: ProbeReading | None = None
    """The first good answer: its counters tell of the time before."""
    before: ProbeReading | None = None
    lines: list[LogLine] = field(default_factory=list)
    """What is held back until the baseline has answered."""
    held_since: float = 0.0
    has_tried: bool = False
    trouble: str = ""
    is_hopeless: bool = False


class Prober:
    """Asks in the executor's threads; used from one thread, and never waits."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        """Ask nobody yet."""
        self._fleet = fleet
        self._clock = clock
        self._hosts: dict[str, _Asked] = {}

    def add(self, host: str, offset_us: int = 0) -> None:
        """Begin to ask a host whose bot has a probe; cheap to repeat."""
        probe = self._fleet.host(host).bot.probe
        if probe is not None and host not in self._hosts:
            self._hosts[host] = _Asked(probe, offset_us)

    def drop(self, host: str) -> None:
        """Stop asking a host; an answer that is on its way is lost."""
        self._hosts.pop(host, None)

    def has_tried(self, hosts: Iterable[str]) -> bool:
        """Whether each of these hosts that has a probe was asked at least once, to the end."""
        return all(one.has_tried for name in hosts if (one := self._hosts.get(name)) is not None)

    def poll(self, canary: Collection[str] = ()) -> list[tuple[str, list[LogLine]]]:
        """Take answers in, ask whoever is due, and give what happened, the baseline's first.

        Times of the lines are our clock's.
        """
        now = self._clock.monotonic()
        out: list[tuple[str, list[LogLine]]] = []
        for name, one in self._hosts.items():
            if one.pending is not None and one.pending.done():
                one.held_since = one.held_since if one.lines else now
                one.lines += self._taken(one, one.pending)
                one.pending = None
            if one.lines and name not in canary:
                out.append((name, one.lines))
                one.lines = []
        waiting = [
            one.asked_at
            for name, one in self._hosts.items()
            if one.pending is not None and name not in canary
        ]
        for name in canary:
            held = self._hosts.get(name)
            if held is None or not held.lines:
                continue
            is_awaited = any(asked_at <= held.asked_at for asked_at in waiting)
            if not is_awaited or now - held.held_since >= HOLD_S:
                out.append((name, held.lines))
                held.lines = []
        self._ask(now)
        return out

    def _ask(self, now: float) -> None:
        for name, one in self._hosts.items():
            # All hosts are asked together: their answers are to be compared.
            turn = int(now / one.probe.interval.total_seconds())
            if one.pending is None and not one.is_hopeless and turn != one.turn:
                one.turn = turn
                one.asked_at = now
                one.pending = self._fleet.submit(
                    lambda name=name, probe=one.probe: (  # type: ignore[misc]
                        probes.read(probe.kind, self._fleet.acts(name).probe.ask(probe))
                    )
                )

    def _taken(self, one: _Asked, pending: Future[ProbeReading]) -> list[LogLine]:
        one.has_tried = True
        try:
            reading = pending.result()
        except HostError as error:
            # We could not ask: that says nothing of the bot.
            one.trouble = error.message
            one.is_hopeless = isinstance(error, ActFailed) and error.code in _HOPELESS
            return []
        one.trouble = ""
        if one.first is None and not reading.failure:
            one.first = reading
        one.before, lines = probes.lines_of(one.before, reading, about=about(one.probe))
        return self._ours(one, lines)

    def first(self, host: str) -> ProbeReading | None:
        """Give the first good answer of a host, in its own clock; None where there was none."""
        one = self._hosts.get(host)
        return one.first if one is not None else None

    def before(self, host: str, switched_at_us: int, oldest_us: int) -> list[LogLine]:
        """Give what the first answer of a host tells of the time before it, in our clock.

        ``switched_at_us``: when the release that is judged began there, 0 on a baseline host.
        What an older process says is its past and, back to ``oldest_us`` (an hour at most), what
        the past was like; what a process says that began since, the release did.
        """
        one = self._hosts.get(host)
        if one is None or one.first is None:
            return []
        switched_us = switched_at_us + one.offset_us if switched_at_us else 0
        text = about(one.probe)
        if switched_us and probes.is_of(one.first, switched_us):
            untold = replace(one.first, took_ms=())
            _, lines = probes.lines_of(None, untold, about=text, since_us=switched_us)
        else:
            at_us = one.first.at_us
            begun_us = at_us - round(one.first.up_s * 1e6)
            from_us = max(at_us - RECENT_S * 1_000_000, min(begun_us, oldest_us + one.offset_us))
            lines = probes.past_of(one.first, from_us, at_us, about=text)
        return self._ours(one, lines)

    def _ours(self, one: _Asked, lines: Sequence[LogLine]) -> list[LogLine]:
        return list(moved(lines, -one.offset_us))

    def troubles(self) -> list[str]:
        """Say what nobody knows since probes could not be asked, and why."""
        return [
            f"what the probe on {name} measures: it could not be asked: {one.trouble}"
            for name, one in self._hosts.items()
            if one.trouble
        ]


def about(probe: Probe) -> str:
    """Name a probe in a line's text."""
    return "probe" if probe.kind is ProbeKind.COMMAND else f"probe {probe.value}"


def try_probe(acts: Acts, probe: Probe) -> probe_trial.Item:
    """Ask a bot once where it runs, and tell what came of it; changes nothing.

    Raises Unreachable where the host is; any other fault is told in the item.
    """
    try:
        state = acts.state.observe()
        if not state.is_running:
            return probe_trial.not_tried("the bot does not run here")
        return probe_trial.tried(probe, acts.probe.ask(probe))
    except Unreachable:
        raise
    except ProgramMissing:
        return probe_trial.not_tried("this version of botdeploy was not on the host yet")
    except ActFailed as error:
        return probe_trial.untold(error.code, error.message)
    except HostError as error:
        return probe_trial.untold("", error.message)
