"""New errors in a short soak: which come back, and which leave a doubt."""

from __future__ import annotations

from math import ceil, inf, log, log1p
from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.lines.quote import quote
from botdeploy.core.probes.probe import FAILED
from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from botdeploy.core.judge.host_tally import HostTally
    from botdeploy.core.judge.quick_facts import QuickFacts

LONG_S = 4 * 3600.0
"""Host-seconds of the old release from which on an error need come back once only."""
OFTEN = 4
"""Times that it must come where less is known."""
_BY_CHANCE = 0.02
"""How often a past may lack an error of the old release where the watch shows it so often."""
_HEARD_S = 3.0
"""How long after its first line an error can fail a release: one that all hosts have shows on all
of them by then."""
_ALONE = 0.01
"""Chance that hosts which have an external error as often show none meanwhile."""


def least_occasions(known_s: float, watched_s: float) -> float:
    """Give how often an error has to come in a watch before its lack in the past is no chance."""
    return log(_BY_CHANCE) / -log1p(known_s / max(watched_s, 1.0)) if known_s > 0.0 else inf


class NewErrors:
    """Finds errors that the old release never had."""

    def __init__(self, facts: QuickFacts) -> None:
        self._facts = facts

    def coming_back(self, tally: HostTally, now_us: int, ignored: AbstractSet[str]) -> str | None:
        """Find a new error that came back after the grace; three times where little is known.

        Where next to nothing is known of the old release, no error is new: it must come so often
        that a past of this length would not lack it by chance, or every minute, and be a tenth of
        all lines.
        """
        if self._facts.is_outage(now_us):
            return None
        known_s = self._facts.fleet.history_s
        least = 2 if known_s >= LONG_S else OFTEN if known_s > 0.0 else OFTEN + 1
        by_chance = self._by_chance(tally, now_us)
        for name, said in self._facts.new_errors(tally):
            heard_us = round(_HEARD_S * SECOND_US) if self._facts.fleet.baseline else 0
            if name in ignored or now_us - said.first_us < heard_us or not said.is_back:
                continue
            if said.last_us < self._facts.start_end_us(tally, name):
                continue
            needed = max(least, self._occasions(name))
            often = said.occasions - 1 >= (said.last_us - said.first_us) / MINUTE_US
            often = often and 10 * said.lines >= tally.lines_after
            if said.occasions >= (needed if often else max(needed, by_chance)):
                is_news = said.occasions >= by_chance
                what = f"an error never seen {self._facts.known_span()}" if is_news else "one error"
                return (
                    f"{what} came {said.lines} times within"
                    f" {duration((said.last_us - said.first_us) / 1e6)}: {quote(said.text)}"
                )
        return None

    def any(self, tally: HostTally) -> str | None:
        """Find a new error, however rare, whenever it came: it is not proven to stay or to end."""
        if self._facts.fleet.is_past_cut:
            return None
        is_known = self._facts.fleet.history_s > 0.0
        what = f"an error never seen {self._facts.known_span()}" if is_known else "an error"
        rest = "" if is_known else ", and nothing is known of an older release"
        for name, one in self._facts.new_errors(tally):
            if one.lines == 1 and name.startswith(FAILED):
                continue  # a busy machine may leave one of our own questions unanswered
            often = "once" if one.lines == 1 else f"{one.lines} times"
            return f"{what} came {often}{rest}: {quote(one.text)}"
        return None

    def _by_chance(self, tally: HostTally, now_us: int) -> float:
        """Tell how often an error has to come before its lack in so short a past is no chance."""
        known_s = self._facts.fleet.history_s
        if known_s <= 0.0:
            return inf
        watched_s = self._facts.watched_s(tally, tally.start_us, now_us)
        return least_occasions(known_s + watched_s * len(self._facts.fleet.baseline), watched_s)

    def _occasions(self, name: str) -> int:
        """Give how often an external error has to come before others would show it as well."""
        if (
            not self._facts.fleet.external.is_external(name)
            or not self._facts.fleet.external.has_enough_hosts
        ):
            return 0
        return ceil(log(_ALONE) / -log(1 + len(self._facts.fleet.baseline)))
