"""The quick judge: fails what a person would see in a short soak, and lets the rest through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.error_flood import DOUBT, ErrorFlood
from botdeploy.core.judge.long_silence import LongSilence
from botdeploy.core.judge.new_errors import NewErrors
from botdeploy.core.judge.quick_facts import QuickFacts
from botdeploy.core.judge.slower import slower
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.judge_options import JudgeOptions

_EXTERNAL = (
    "such an error (name resolution, connections, TLS, answers of other services) may have an"
    " external cause; only two hosts that run the old release without such errors could exclude it"
)


class QuickRules:
    """Rules for a soak of seconds or a few minutes, asked again and again."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Judge what ``fleet`` holds at the moment of asking."""
        self._fleet = fleet
        self._facts = QuickFacts(fleet, options)
        self._new_errors = NewErrors(self._facts)
        self._flood = ErrorFlood(self._facts)
        self._silence = LongSilence(self._facts)

    def suspicion(self, now_us: int) -> Verdict | None:
        """FAIL for what is plainly worse, else None; every rule waits out the grace."""
        for tally in self._fleet.canary.values():
            ruled = self._worse(tally, now_us, is_sure=True)
            if ruled is not None:
                return Verdict(Outcome.FAIL, (ruled,), tally.name)
        return None

    def external(self, now_us: int) -> tuple[str, str] | None:
        """Give (host, reason) where a host would fail, but for errors that may be external."""
        for tally in self._fleet.canary.values():
            if not any(self._fleet.external.is_excused(name) for name in tally.quotes):
                continue
            ruled = self._worse(tally, now_us, is_sure=False)
            if ruled is not None and self._worse(tally, now_us, is_sure=True) is None:
                return tally.name, f"{ruled}; {_EXTERNAL}"
        return None

    def _worse(self, tally: HostTally, now_us: int, *, is_sure: bool) -> str | None:
        """Say what is plainly worse; ``is_sure``: without what may have an external cause."""
        ignored = {n for n in tally.quotes if is_sure and self._fleet.external.is_excused(n)}
        # What the part of the past that was read lacks may well be in the rest.
        unread = {n for n in tally.quotes if not self._fleet.is_known(n)}
        beside = ignored | unread if self._fleet.is_past_cut else ignored
        return (
            self._new_errors.coming_back(tally, now_us, beside)
            or self._flood.more_than_usual(tally, now_us, beside)
            or self._flood.mostly_errors(tally, now_us, ignored)
            or (None if ignored else self._silence.too_long(tally, now_us))
        )

    def doubt(self, now_us: int) -> tuple[str, str] | None:
        """Give (host, reason) for what is no proof but prevents a pass, else None."""
        for tally in self._fleet.canary.values():
            reason = (
                self._new_errors.any(tally)
                or self.may_be_more(tally, now_us)
                or self._flood.mostly_errors_everywhere(tally, now_us)
                or self._silence.at_the_end(tally, now_us)
                or self._slow(tally, now_us)
            )
            if reason is not None:
                return tally.name, reason
        return None

    def may_be_more(self, tally: HostTally, now_us: int) -> str | None:
        """Find more errors than usual, by what is no proof."""
        return self._flood.more_than_usual(tally, now_us, frozenset(), DOUBT)

    def usual_share(self) -> float | None:
        """Give which share of the canary's lines are errors as a rule; None where it is unknown."""
        rates = [self._facts.usual(tally) for tally in self._fleet.canary.values()]
        known = [one for one in rates if one is not None]
        lines = sum(one.lines_s for one in known)
        return sum(one.errors_s for one in known) / lines if lines else None

    def _slow(self, tally: HostTally, now_us: int) -> str | None:
        """Find work that takes plainly longer in the second half of the watch.

        Never a fail: a bot that has just started may be slow until its caches are filled, and how
        long the old release was after a start nobody has seen.
        """
        begin_us = self._facts.grace_end_us(tally)
        found = slower(
            tally, self._fleet.baseline.values(), begin_us + (now_us - begin_us) // 2, now_us
        )
        if found is None:
            return None
        beside = ", compared with the baseline" if found.is_beside else ""
        return (
            f"work takes {found.ratio:.1f} times as long as before the switch{beside}"
            f" ({found.measured} measured in the second half of the soak); this may end when"
            " the bot has warmed up"
        )
