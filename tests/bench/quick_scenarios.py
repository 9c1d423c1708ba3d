"""Simulated minutes for `quick`: lines, by the microsecond, of a bot that was restarted just now.

Written for these measurements alone. Two worlds: in `EVEN` the habits are those of
``judge_scenarios`` (traffic is a Poisson process, a burst of errors lies within seconds); in
`ROUGH` traffic comes in crowds, a burst is spread over three minutes, hosts stray and have
incidents, the fleet has outages, and an error never seen before brings companions and returns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, islice
from math import exp, log
from random import Random
from typing import TYPE_CHECKING

from botdeploy.core.judge import Judge, JudgeOptions, PastFacts
from botdeploy.core.lines.fingerprint import TRACE
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND
OLD_STARTS_S = (-5 * 86400.0, -3 * 86400.0)
"""When the old release was started: long before the past that is read."""
KINDS = 6
BURST = 3.0
_KNOWN = ("Key", "Value", "Lookup", "Timeout", "Parse", "Quota")
_BOOTS = ("CacheCold", "NotReady", "Handshake")


@dataclass(frozen=True, slots=True)
class World:
    """Habits of the fleets."""

    crowds: float = 0.0
    """Variance of a minute's traffic beyond chance, as a share of its mean squared."""
    burst_s: float = 2.0
    """How long a burst of errors lasts."""
    host_sd: float = 0.4
    drift: float = 0.15
    outage_h: float = 1 / 6
    """Outages of the fleet an hour: errors times 15 for 5 minutes."""
    incident_h: float = 1 / 24
    """The same of one host, for 3 minutes."""
    unseen_h: float = 0.5 / 24
    """Errors never seen before, a host and hour."""
    companions: float = 0.0
    """Other new errors that such a one brings, and times that it returns, on the mean."""
    noisy: float = 0.5
    """Share of bots whose start prints an error within ten seconds, nine times in ten."""
    odd_start: float = 0.02
    """How often a start prints another."""


EVEN = World()
ROUGH = World(crowds=0.15, burst_s=180.0, drift=0.2, incident_h=1 / 12, companions=1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet, what is known of it, and what is wrong with the release."""

    world: World = ROUGH
    hosts: int = 4
    rate: float = 20.0
    """Lines a minute and host."""
    soak_s: float = 60.0
    past_h: float = 1.0
    """Hours of the old release that are read; 0: a first deploy."""
    knows_start: bool = True
    """Whether the lines of the old release's start were read as well."""
    errors: float = 1.0
    """Ratio of the error rate to the old one."""
    new_every_s: float = 0.0
    """A new error, as a Poisson process."""
    at_least: int = 0
    """So many of them come within the soak: other runs are left out."""
    silent_s: float = 0.0
    """From when on the bot prints nothing; 0: it goes on."""
    start_errors_s: tuple[float, float] = (0.0, 0.0)
    """Each start, the old ones as well, prints errors until some second between these."""
    start_traces: int = 0
    """Stack traces in the first ten seconds of each start."""
    new_once: int = 0
    """A new stack trace, so many times within the soak."""
    retried: int = 0
    """A new error, so many times within ten seconds and then never again."""
    outage: bool = False
    """The whole fleet's provider fails during the soak."""


@dataclass(slots=True)
class Host:
    """What is drawn of one host for its whole life."""

    share: float
    level: float
    lines: list[LogLine] = field(default_factory=list)


def _at(seconds: float) -> int:
    return SWITCH + round(seconds * SECOND)


@lru_cache(maxsize=512)
def _name(kind: str) -> str:
    return f"{TRACE}{kind}Error {kind.lower()}.py:on_{kind.lower()} {kind.lower()} it failed"


def error(seconds: float, kind: str) -> LogLine:
    """Give an error of a kind: its type, frame and text are its own."""
    text = f"{kind}Error: it failed (in {kind.lower()}.py, on_{kind.lower()})"
    return LogLine(
        _at(seconds), LineKind.TRACEBACK, Level.ERROR, text, _name(kind), states_level=True
    )


def fine(seconds: float) -> LogLine:
    """Give a line that is no error."""
    return LogLine(_at(seconds), LineKind.LOG, Level.INFO, "handled", states_level=True)


def started(seconds: float) -> LogLine:
    """Give systemd's record of a start."""
    record = SystemRecord(SystemKind.STARTED)
    return LogLine(_at(seconds), LineKind.SYSTEMD, None, "Started bot.service.", system=record)


def poisson(rng: Random, mean: float) -> int:
    """Draw how many events there are."""
    if mean > 50.0:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    limit, many, product = exp(-mean), 0, rng.random()
    while product > limit:
        many += 1
        product *= rng.random()
    return many


def _geometric(rng: Random, mean: float) -> int:
    return 1 + int(log(1.0 - rng.random()) / log(1.0 - 1.0 / mean)) if mean > 1.0 else 1


class Fleet:
    """Draws one fleet's lines, past and watch; host 0 is the canary."""

    def __init__(self, case: Case, seed: str) -> None:
        """Draw it; the same seed gives the same lines."""
        self.case = case
        self._rng = rng = Random(seed)  # noqa: S311 (a simulation)
        self._until_s = 2.0 * case.soak_s + 1.0
        self.hosts = [
            Host(exp(rng.gauss(0.0, 0.4)), exp(rng.gauss(0.0, case.world.host_sd)))
            for _ in range(case.hosts)
        ]
        self._is_noisy = rng.random() < case.world.noisy
        mean = sum(one.share for one in self.hosts) / case.hosts
        for one in self.hosts:
            one.share /= mean
        self._begin_s = -3600.0 * case.past_h
        self._outages = self._drawn(case.world.outage_h, 300.0)
        if case.outage:
            begin = rng.uniform(0.0, 0.7 * case.soak_s)
            self._outages.append((begin, begin + 300.0))
            self._outage_s = begin
        for number, host in enumerate(self.hosts):
            self._live(host, is_new=number == 0)
            host.lines.sort(key=lambda line: line.at_us)

    def _drawn(self, an_hour: float, length_s: float) -> list[tuple[float, float]]:
        span_s = self._until_s - self._begin_s + length_s
        many = poisson(self._rng, an_hour * span_s / 3600.0)
        begins = [self._begin_s - length_s + self._rng.random() * span_s for _ in range(many)]
        return [(begin, begin + length_s) for begin in begins]

    def _live(self, host: Host, *, is_new: bool) -> None:
        case, rng = self.case, self._rng
        ends_s = case.silent_s if is_new and case.silent_s else self._until_s
        troubled = self._outages + self._drawn(case.world.incident_h, 180.0)
        if case.past_h:
            for at_s in OLD_STARTS_S if case.knows_start else ():
                self._start(host, at_s, 60.0)
                self._talk(host, at_s, at_s + 60.0)
            self._talk(host, self._begin_s, 0.0)
            self._err(host, self._begin_s, 0.0, 1.0, troubled)
        host.level *= exp(rng.gauss(0.0, case.world.drift))
        if is_new:
            self._start(host, 0.0, ends_s)
        self._talk(host, 0.0, ends_s)
        self._err(host, 0.0, ends_s, case.errors if is_new else 1.0, troubled)
        self._unseen(host)
        if is_new:
            self._faults(host)
        if case.outage:
            self._every(host, 20.0, self._outage_s, "Upstream")

    def _talk(self, host: Host, from_s: float, to_s: float) -> None:
        rng, crowds = self._rng, self.case.world.crowds
        at_s = from_s
        while at_s < to_s:
            span_s = min(60.0, to_s - at_s)
            mean = self.case.rate * host.share * span_s / 60.0
            if crowds:
                mean *= rng.gammavariate(1.0 / crowds, crowds)
            host.lines += [fine(at_s + rng.random() * span_s) for _ in range(poisson(rng, mean))]
            at_s += span_s

    def _err(
        self,
        host: Host,
        from_s: float,
        to_s: float,
        ratio: float,
        troubled: list[tuple[float, float]],
    ) -> None:
        rng, world = self._rng, self.case.world
        base = 0.02 / BURST * self.case.rate * host.share * host.level * ratio / 60.0
        # A burst that began before is seen as well.
        spans = [(from_s - world.burst_s, to_s, 1.0)]
        spans += [(max(from_s, one), min(to_s, end), 14.0) for one, end in troubled]
        for begin, end, times in spans:
            if end <= begin:
                continue
            for _ in range(poisson(rng, base * times * (end - begin))):
                at_s = begin + rng.random() * (end - begin)
                kind = rng.choices(_KNOWN, [1.0 / k for k in range(1, KINDS + 1)])[0]
                for _ in range(_geometric(rng, BURST)):
                    when = at_s + rng.random() * world.burst_s
                    if from_s <= when < to_s:
                        host.lines.append(error(when, kind))

    def _unseen(self, host: Host) -> None:
        rng, world = self._rng, self.case.world
        for begin, _ in self._drawn(world.unseen_h, 0.0):
            number = rng.randrange(10**6)
            for companion in range(1 + poisson(rng, world.companions)):
                for back in range(1 + poisson(rng, world.companions)):
                    when = begin + companion * rng.random() + back * rng.expovariate(1 / 60.0)
                    if self._begin_s <= when < self._until_s:
                        host.lines.append(error(when, _odd(number + companion)))

    def _start(self, host: Host, at_s: float, to_s: float) -> None:
        """Start: systemd's record, some lines at once, and what a bot says that is not up yet."""
        case, rng = self.case, self._rng
        host.lines.append(started(at_s + 0.01))
        host.lines += [fine(at_s + 0.2 + rng.random() * 2.0) for _ in range(3)]
        said = []
        if self._is_noisy and rng.random() < 0.9:
            said.append((10.0 * rng.random(), _BOOTS[0]))
        if rng.random() < case.world.odd_start:
            said.append((10.0 * rng.random(), rng.choice(_BOOTS[1:])))
        low, high = case.start_errors_s
        if high:
            end = rng.uniform(low, high)
            said += [(rng.random() * end, "Warming") for _ in range(2 + poisson(rng, end / 4.0))]
        said += [(10.0 * rng.random(), "Boot") for _ in range(case.start_traces)]
        host.lines += [error(at_s + when, kind) for when, kind in said if at_s + when < to_s]

    def _faults(self, host: Host) -> None:
        case, rng = self.case, self._rng
        if case.new_every_s:
            self._every(host, case.new_every_s, 0.0, "Fresh")
        host.lines += [error(rng.random() * case.soak_s, "Fresh") for _ in range(case.new_once)]
        if case.retried:
            begin = rng.random() * 0.8 * case.soak_s
            offsets = [0.0, *(rng.random() * 10.0 for _ in range(case.retried - 1))]
            host.lines += [error(begin + one, "Fresh") for one in offsets]

    def _every(self, host: Host, mean_s: float, from_s: float, kind: str) -> None:
        at_s = from_s + self._rng.expovariate(1.0 / mean_s)
        while at_s < self._until_s:
            host.lines.append(error(at_s, kind))
            at_s += self._rng.expovariate(1.0 / mean_s)


def _odd(number: int) -> str:
    return "Odd" + "".join("bcdfghjklm"[int(one)] for one in str(number))


def judged(case: Case, seed: str) -> tuple[float, Verdict]:
    """Judge a fleet, asked every second: when it answered, seconds since the switch, and what."""
    fleet = Fleet(case, seed)
    names = [f"w{number}" for number in range(1, case.hosts + 1)]
    if not case.past_h:
        names = names[:1]
    said = dict(zip(names, fleet.hosts, strict=False))
    past = {name: [one for one in host.lines if one.at_us < SWITCH] for name, host in said.items()}
    begins = [*OLD_STARTS_S[1:], -3600.0 * case.past_h]
    gaps = [(_at(one + 60.0), _at(end)) for one, end in zip(OLD_STARTS_S, begins, strict=True)]
    judge = Judge(
        JudgeOptions.from_policy({}, case.soak_s),
        canary=names[:1],
        baseline=names[1:],
        switched_at_us={names[0]: SWITCH},
        history=past if case.past_h else {},
        known=PastFacts(left_out=dict.fromkeys(names, gaps) if case.knows_start else {}),
    )
    return _asked(judge, _since(said))


def is_shown(case: Case, seed: str) -> bool:
    """Tell whether the fault shows as often in the soak as the case demands."""
    if not case.at_least:
        return True
    until_us = _at(case.soak_s)
    lines = Fleet(case, seed).hosts[0].lines
    shown = sum(line.fingerprint == _name("Fresh") and line.at_us < until_us for line in lines)
    return shown >= case.at_least


def _since(said: dict[str, Host]) -> list[tuple[int, str, LogLine]]:
    since = [
        (line.at_us, name, line)
        for name, host in said.items()
        for line in host.lines
        if line.at_us >= SWITCH
    ]
    since.sort(key=lambda one: one[:2])
    return since


def _asked(judge: Judge, since: list[tuple[int, str, LogLine]]) -> tuple[float, Verdict]:
    lines = iter(since)
    line = next(lines, None)
    second = 0
    while True:
        while line is not None and line[0] <= _at(second):
            ruled = judge.feed(line[1], line[2])
            if ruled is not None and ruled.outcome is Outcome.FAIL:
                return (line[0] - SWITCH) / SECOND, ruled
            line = next(lines, None)
        ruled = judge.verdict(_at(second))
        if ruled.outcome is not Outcome.WAIT:
            return float(second), ruled
        second += 1


def runs(case: Case, name: str, many: int) -> Iterator[tuple[float, Verdict]]:
    """Judge so many fleets of a case; ``name`` seeds them."""
    seeds = (f"{name}/{number}" for number in count())
    return islice((judged(case, one) for one in seeds if is_shown(case, one)), many)
