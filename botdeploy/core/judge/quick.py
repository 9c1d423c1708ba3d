"""The quick judge: fails what a person would see in a short soak, and lets the rest through."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log, log1p
from typing import TYPE_CHECKING

from botdeploy.core.judge.fleet_tally import ENOUGH_S, FleetTally
from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US, HostTally, Quote
from botdeploy.core.judge.slower import slower
from botdeploy.core.judge.tails import upper_tail
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration, listing
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.judge.options import JudgeOptions

HOUR_S = ENOUGH_S
_YOUNG_S = 10.0
BURST_CHANCE = 1e-3
FLOOD = 5
_NOVEL_CHANCE = 0.02
QUIET_CHANCE = 0.02
"""How often in a soak the old release may have been as quiet as what is taken for silence."""
STEADY = 7.0
CLEARLY_STEADY = 20.0
LEAST_QUIET_S = 5.0
"""A bot may well need some seconds to log in again after its start."""
_HEARD_S = 3.0
"""How long after its first line an error convicts: what all hosts meet is heard of all by then."""
FEW = 10
"""Lines from which on it is no accident that none states a level."""
NO_LEVELS = (
    "errors that do not look like one: no line of the bot states a level (INFO, ERROR …), so only"
    " stack traces and words such as “failed to” can be told from other lines"
)
_ALONE = 0.01
"""Chance that hosts which meet an error of the world as often show none meanwhile."""
_WORLD = (
    "such an error (names, connects, TLS, others' answers) may be the world's doing: only two"
    " hosts of the old release that are spared of it could tell"
)


@dataclass(frozen=True, slots=True)
class UsualRates:
    """What is usual for a host by its own past, or by the baseline where it has none."""

    errors_s: float
    """Error lines a second."""
    lines_s: float
    """Lines a second."""
    burst: float
    """Lines that come together, at least 1.5."""
    known_s: float
    """Host-seconds this rests on."""
    own: bool


class QuickRules:
    """Rules for a soak of seconds or a few minutes, asked again and again."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Judge what ``fleet`` holds at the moment of asking."""
        self._fleet = fleet
        self._options = options
        self._usual: dict[str, UsualRates | None] = {}

    def suspicion(self, now_us: int) -> Verdict | None:
        """FAIL for what is plainly worse, else None; every rule waits out the grace."""
        for tally in self._fleet.canary.values():
            ruled = self._worse(tally, now_us, is_sure=True)
            if ruled is not None:
                return Verdict(Outcome.FAIL, (ruled,), tally.name)
        return None

    def of_world(self, now_us: int) -> tuple[str, str] | None:
        """Give (host, reason) where a host would fail, were it not for errors of the world."""
        for tally in self._fleet.canary.values():
            if not any(self._fleet.external.is_excused(name) for name in tally.quotes):
                continue
            ruled = self._worse(tally, now_us, is_sure=False)
            if ruled is not None and self._worse(tally, now_us, is_sure=True) is None:
                return tally.name, f"{ruled}; {_WORLD}"
        return None

    def _worse(self, tally: HostTally, now_us: int, *, is_sure: bool) -> str | None:
        """Say what is plainly worse; ``is_sure``: beside what may be the world's doing."""
        spared = {n for n in tally.quotes if is_sure and self._fleet.external.is_excused(n)}
        # What the part of the past that was read lacks may well be in the rest.
        unread = {n for n in tally.quotes if not self._fleet.is_known(n)}
        beside = spared | unread if self._fleet.is_past_cut else spared
        return (
            self._comes_back(tally, now_us, beside)
            or self._burst(tally, now_us, beside)
            or self._mostly_errors(tally, now_us, spared)
            or (None if spared else self._silent(tally, now_us))
        )

    def doubt(self, now_us: int) -> tuple[str, str] | None:
        """Give (host, reason) for what is no proof but should not pass unseen, else None."""
        for tally in self._fleet.canary.values():
            for _, said in self._unknown_errors(tally):
                if self._is_telling(tally, said, now_us):
                    return tally.name, (
                        f"an error never seen {self._known_span()} came once: {quote(said.text)}"
                    )
            lines = tally.lines_after
            usual = self._usual_of(tally)
            span_s = self._watched_s(tally, tally.start_us, now_us)
            if lines == 0 and usual is not None and usual.lines_s * span_s >= 2 * STEADY:
                return tally.name, (
                    f"not one line in {duration(span_s)}, where about"
                    f" {usual.lines_s * span_s:.0f} were usual"
                )
            slow = self._slow(tally, now_us)
            if slow is not None:
                return tally.name, slow
        return None

    def _slow(self, tally: HostTally, now_us: int) -> str | None:
        """Find work that takes plainly longer in the second half of the watch.

        Never a fail: a bot that has just started may be slow until its caches are filled, and how
        long the old release was after a start nobody has seen.
        """
        begin_us = self._grace_end(tally)
        found = slower(
            tally, self._fleet.baseline.values(), begin_us + (now_us - begin_us) // 2, now_us
        )
        if found is None:
            return None
        beside = ", beside the baseline" if found.is_beside else ""
        return (
            f"work takes {found.ratio:.1f} times as long as before the switch{beside}"
            f" ({found.measured} measured lately); if that is the start"
            " alone, it gets better"
        )

    def _grace_end(self, tally: HostTally) -> int:
        return tally.start_us + round(self._options.grace_s * SECOND_US)

    def _known_span(self) -> str:
        known_s = self._fleet.history_s
        return f"in {duration(known_s)} of the old release" if known_s else "before"

    def _unknown_errors(self, tally: HostTally) -> Iterator[tuple[str, Quote]]:
        is_known = self._fleet.is_known
        return ((name, said) for name, said in tally.quotes.items() if not is_known(name))

    def _comes_back(self, tally: HostTally, now_us: int, spared: set[str]) -> str | None:
        """Find a new error that came back after the grace; three times where little is known.

        Where next to nothing is known of the old release, no error is new: it must come so often
        that a past of this length would not lack it by chance, or every minute, and be a tenth of
        all lines.
        """
        known_s = self._fleet.history_s
        least = 2 if known_s >= HOUR_S else 3
        by_chance = self._by_chance(tally, now_us)
        for name, said in self._unknown_errors(tally):
            heard_us = round(_HEARD_S * SECOND_US) if self._fleet.baseline else 0
            if name in spared or now_us - said.first_us < heard_us:
                continue
            if said.last_us < self._grace_end(tally):
                continue
            needed = max(least, self._occasions(name))
            often = said.occasions - 1 >= (said.last_us - said.first_us) / MINUTE_US
            often = often and 10 * said.lines >= tally.lines_after
            if said.occasions >= (needed if often else max(needed, by_chance)):
                is_news = said.occasions >= by_chance
                what = f"an error never seen {self._known_span()}" if is_news else "one error"
                return (
                    f"{what} came {said.lines} times within"
                    f" {duration((said.last_us - said.first_us) / 1e6)}: {quote(said.text)}"
                )
        return None

    def _by_chance(self, tally: HostTally, now_us: int) -> float:
        """Tell how often an error has to come before its lack in so short a past is no chance."""
        known_s = self._fleet.history_s
        if known_s <= 0.0:
            return inf
        watched_s = self._watched_s(tally, tally.start_us, now_us)
        known_s += watched_s * len(self._fleet.baseline)
        return log(_NOVEL_CHANCE) / -log1p(known_s / max(watched_s, 1.0))

    def _occasions(self, name: str) -> int:
        """Tell how often an error of the world has to come before others would show it as well."""
        if not self._fleet.external.is_of_world(name) or not self._fleet.external.has_witnesses:
            return 0
        return ceil(log(_ALONE) / -log(1 + len(self._fleet.baseline)))

    def _is_telling(self, tally: HostTally, said: Quote, now_us: int) -> bool:
        """Tell whether one new error is news: only where the past is long enough."""
        known_s = self._fleet.history_s
        if known_s <= 0.0 or self._fleet.is_past_cut:
            return False
        if said.first_us < self._grace_end(tally):
            # What the old release says while it starts is only known where a start of it is.
            return said.is_traced and any(one.starts_before for one in self._fleet.parts())
        watched_s = min(self._options.soak_s, (now_us - tally.start_us) / 1e6)
        return watched_s / (known_s + watched_s) <= _NOVEL_CHANCE

    def _burst(self, tally: HostTally, now_us: int, spared: set[str]) -> str | None:
        """Find far more errors than usual, unless the baseline errs as much."""
        usual = self._usual_of(tally)
        if usual is None:
            return None
        from_us = self._grace_end(tally)
        seen = sum(_errors(bucket, spared) for bucket in tally.between(from_us, now_us))
        if seen < FLOOD:
            return None
        span_s = self._watched_s(tally, from_us, now_us)
        swing = self._swing(from_us, now_us)
        # the rate itself is only known to within a burst more than was seen
        mean = span_s * swing * (usual.errors_s + usual.burst / usual.known_s)
        # what the old release meets meanwhile, however little it met before
        mean = max(mean, span_s * self._met_by_others(tally, from_us, now_us))
        if not is_flood(seen, mean, usual.burst, self._options.worse):
            return None
        said = _loudest(tally, spared)
        whose = "usual here" if usual.own else "usual on the baseline"
        return (
            f"{count(seen, 'error')} in {duration(span_s)}, where"
            f" {mean:.2g} are {whose}; most often {quote(said.text)}"
        )

    def _mostly_errors(self, tally: HostTally, now_us: int, spared: set[str]) -> str | None:
        """Find that most lines are errors, where there is nothing to compare with."""
        if self._usual_of(tally) is not None:
            return None
        buckets = list(tally.between(self._grace_end(tally), now_us))
        errors = sum(_errors(bucket, spared) for bucket in buckets)
        lines = sum(bucket.events for bucket in buckets)
        occasions = sum(said.occasions for name, said in tally.quotes.items() if name not in spared)
        if errors < FLOOD or occasions < 3 or 2 * errors < lines:
            return None
        others = self._fleet.baseline.values()
        sick = sum(self._errs_mostly(one, now_us) for one in others)
        if sick and 2 * sick >= len(others):
            return None  # nor is the old release well: it is not the new one's doing
        said = _loudest(tally, spared)
        return f"{errors} of {count(lines, 'line')} are errors, most often {quote(said.text)}"

    def _errs_mostly(self, tally: HostTally, now_us: int) -> bool:
        """Tell whether a host of the old release errs as a failed one would, in the same time."""
        from_us = min(self._grace_end(one) for one in self._fleet.canary.values())
        buckets = list(tally.between(from_us, now_us))
        errors = sum(bucket.error_lines for bucket in buckets)
        return errors >= 2 and 2 * errors >= sum(bucket.events for bucket in buckets)

    def _silent(self, tally: HostTally, now_us: int) -> str | None:
        """Find quiet for longer than the old release ever was, while the baseline is not."""
        usual = self._usual_of(tally)
        is_down = tally.is_stopping or tally.is_between_lives
        if usual is None or tally.unheard.is_broken or tally.dropped or is_down:
            return None
        last_us = tally.last_us if tally.last_us is not None else tally.start_us
        from_us = max(last_us, self._grace_end(tally))
        quiet_s = self._watched_s(tally, from_us, now_us)
        expected = quiet_s * usual.lines_s
        if expected < STEADY or quiet_s < LEAST_QUIET_S:
            return None
        rare = tally.quiet_spells(quiet_s, self._options.soak_s) <= QUIET_CHANCE
        far = expected >= CLEARLY_STEADY and quiet_s > 2.5 * tally.pauses.longest_s
        if not (rare or far) or self._baseline_quiet(from_us):
            return None
        longest_s = tally.pauses.longest_s
        before = f"; its longest pause before was {duration(longest_s)}" if longest_s else ""
        return (
            f"silent for {duration(quiet_s)}, where about {expected:.0f} lines were usual{before}"
        )

    def _baseline_quiet(self, from_us: int) -> bool:
        """Tell whether the baseline is quiet too: then the world is, and not the release."""
        watched = [
            tally
            for tally in self._fleet.baseline.values()
            if tally.lines_before and not tally.unheard.is_broken
        ]
        if not watched:
            return False
        talking = [tally for tally in watched if tally.last_us and tally.last_us >= from_us]
        return 2 * len(talking) < len(watched)

    def _watched_s(self, tally: HostTally, from_us: int, now_us: int) -> float:
        return max(0.0, (now_us - from_us - tally.unheard.between(from_us, now_us)) / 1e6)

    def _swing(self, from_us: int, now_us: int) -> float:
        """Tell how many times its usual the baseline errs now, at least 1."""
        seen = expected = 0.0
        burst = 1.5
        for tally in self._fleet.baseline.values():
            usual = self._usual_of(tally)
            if usual is None:
                continue
            burst = max(burst, usual.burst)
            expected += usual.errors_s * self._watched_s(tally, from_us, now_us)
            seen += sum(bucket.error_lines for bucket in tally.between(from_us, now_us))
        return max(1.0, (1.0 + seen / burst) / (1.0 + expected / burst))

    def _met_by_others(self, tally: HostTally, from_us: int, now_us: int) -> float:
        """Tell how many errors a second the baseline meets now, for as much traffic as here.

        The rate is known to within a burst; nothing where the baseline errs as little as ever.
        """
        met = seconds = traffic = 0.0
        burst = 1.5
        others = 0
        for other in self._fleet.baseline.values():
            met += sum(bucket.error_lines for bucket in other.between(from_us, now_us))
            seconds += self._watched_s(other, from_us, now_us)
            usual = self._usual_of(other)
            if usual is not None:
                burst = max(burst, usual.burst)
                traffic += usual.lines_s
                others += 1
        own = self._usual_of(tally)
        if not met or seconds <= 0.0:
            return 0.0
        share = 1.0
        if own is not None and own.own and traffic > 0.0:
            share = max(1.0, own.lines_s * others / traffic)
        return share * (met + burst) / seconds

    def _usual_of(self, tally: HostTally) -> UsualRates | None:
        if tally.name not in self._usual:
            self._usual[tally.name] = self._learn(tally)
        return self._usual[tally.name]

    def _learn(self, tally: HostTally) -> UsualRates | None:
        """Take the host's own past; else all hosts' past; else nothing.

        A past of seconds is mostly a start, which prints more than is usual: it counts only
        where a baseline tells whether the old release still goes on like that.
        """
        baseline = self._fleet.baseline.values()
        needed_s = (
            _YOUNG_S if any(one.is_known_before for one in baseline) else MINUTE_US / SECOND_US
        )
        if tally.history_s >= needed_s and tally.is_known_before:
            return _usual([tally], own=True)
        others = [one for one in baseline if one.history_s >= needed_s and one.is_known_before]
        return _usual(others, own=False) if others else None


def _loudest(tally: HostTally, spared: set[str]) -> Quote:
    counted = [said for name, said in tally.quotes.items() if name not in spared]
    return max(counted, key=lambda one: one.lines)


def _errors(bucket: Counts, spared: set[str]) -> int:
    if not spared:
        return bucket.error_lines
    return sum(number for name, number in bucket.errors.items() if name not in spared)


def is_flood(seen: int, mean: float, burst: float, worse: float) -> bool:
    """Tell whether so many errors are far too many where ``mean`` were expected.

    ``burst``: lines that come together, above 1.
    """
    if seen < FLOOD or seen < worse * mean:
        return False
    # compound Poisson: bursts of `burst` lines; shape grows with the mean
    return upper_tail(seen, mean, mean / (burst - 1.0)) <= BURST_CHANCE


def _usual(parts: list[HostTally], *, own: bool) -> UsualRates:
    known_s = sum(tally.history_s for tally in parts)
    lines = errors = squares = 0.0
    minutes = 0
    for tally in parts:
        minutes += max(1, round(tally.history_s / 60.0))
        for bucket in tally.before.values():
            lines += bucket.events
            bad = bucket.error_lines
            errors += bad
            squares += bad * bad
    # variance over mean of the counts by minute, drawn towards 3 by ten lines' worth
    mean = errors / minutes
    surplus = squares - minutes * mean * mean
    burst = min(60.0, max(1.5, (surplus + 30.0) / (errors + 10.0)))
    return UsualRates(errors / known_s, lines / known_s, burst, known_s, own)


def unexcluded(fleet: FleetTally, options: JudgeOptions, now_us: int) -> tuple[str, ...]:
    """Say what a quick pass can't vouch for."""
    said: list[str] = []
    parts = list(fleet.canary.values())
    watched_s = min((now_us - tally.start_us) / 1e6 for tally in parts)
    said.append(
        "an error, slowness or leak that shows less often than about once in"
        f" {duration(max(1.0, watched_s / 3.0))}: the soak was only {duration(watched_s)} long"
    )
    if fleet.history_s <= 0.0:
        said.append("anything that needs a comparison: nothing is known of an older release")
    elif fleet.is_past_cut:
        said.append(
            f"whether its errors are new: only {duration(fleet.history_s)} of the old release"
            " could be read, and there was more"
        )
    elif fleet.history_s < HOUR_S:
        said.append(
            f"whether its errors are new: only {duration(fleet.history_s)} of the old release"
            " are known"
        )
    if fleet.has_unread and not fleet.is_past_cut:
        said.append(
            f"what the old release wrote before its last {duration(fleet.history_s)}: there was"
            " more than could be read"
        )
    if not fleet.baseline:
        said.append("whether the world changed meanwhile: no other host runs the old release")
    spoke = [tally for tally in parts if tally.lines_after >= FEW]
    if spoke and all(tally.states_levels is False for tally in fleet.parts()):
        said.append(NO_LEVELS)
    for tally in parts:
        if tally.lines_after == 0:
            said.append(f"that {tally.name} works at all: it printed nothing since the switch")
        for name, quoted in tally.quotes.items():
            if not fleet.is_known(name):
                said.append(
                    f"{tally.name}: that this is harmless (seen {count(quoted.lines, 'time')}):"
                    f" {quote(quoted.text)}"
                )
    said.extend(unseen(fleet, options, now_us))
    return tuple(said)


def unseen(fleet: FleetTally, _options: JudgeOptions, now_us: int) -> Iterator[str]:
    """Say which lines never reached the judge."""
    for tally in fleet.canary.values():
        if tally.dropped:
            yield (
                f"{count(tally.dropped, 'line')} that journald dropped on {tally.name}"
                " (its rate limit)"
            )
        torn_s = tally.unheard.between(tally.start_us, now_us) / 1e6
        if torn_s > 0:
            yield f"{duration(torn_s)} of {tally.name}'s journal that could not be read"
    lost = [tally.name for tally in fleet.baseline.values() if tally.unheard.is_broken]
    if lost:
        yield f"a comparison with {listing(lost)}: the journal there could not be read"
