"""What a pass does not exclude, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.fleet_tally import ENOUGH_S
from botdeploy.core.judge.slower import LEAST_SEEN, usual_latencies
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration, listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally

FEW = 10
"""Lines from which on it is no accident that none states a level."""
NO_LEVELS = (
    "errors without a stack trace and without words such as “failed to”: no line of the bot states"
    " a level (INFO, ERROR …), so such errors are not recognised"
)

MEND_LEVELS = (
    "declare the words that its logger writes for levels, as in"
    " rollout.judge.levels: {FEHLR: error}"
)


def unexcluded(fleet: FleetTally, now_us: int) -> tuple[str, ...]:
    """Say what a quick pass does not exclude."""
    found: list[str] = []
    parts = list(fleet.canary.values())
    found.append(
        "an error, slow work or a leak that shows less often than about once in"
        f" {duration(rarest_s(fleet, now_us))}: the soak was only"
        f" {duration(_watched_s(fleet, now_us))} long"
    )
    if fleet.history_s <= 0.0:
        found.append("whatever needs a comparison: nothing is known of an older release")
    elif fleet.is_past_cut:
        found.append(
            f"that its errors are new: only {duration(fleet.history_s)} of the old release"
            " could be read, and there was more"
        )
    elif fleet.history_s < ENOUGH_S:
        found.append(
            f"that its errors are new: only {duration(fleet.history_s)} of the old release"
            " are known"
        )
    if fleet.has_unread and not fleet.is_past_cut:
        found.append(
            "a difference to what the old release wrote before its last"
            f" {duration(fleet.history_s)}: there was more than could be read"
        )
    if not fleet.baseline:
        found.append("an external cause: no other host runs the old release")
    found.extend(_unweighed(parts))
    printed = [tally for tally in parts if tally.lines_after >= FEW]
    if printed and all(tally.states_levels is False for tally in fleet.parts()):
        found.append(NO_LEVELS)
    for tally in parts:
        if tally.lines_after == 0:
            found.append(f"that {tally.name} does not work: it printed nothing since the switch")
        for name, quoted in tally.quotes.items():
            if not fleet.is_known(name):
                found.append(
                    f"a problem behind a new error on {tally.name}, seen"
                    f" {count(quoted.lines, 'time')}: {quote(quoted.text)}"
                )
    found.extend(_unseen(fleet, now_us))
    return tuple(found)


def rarest_s(fleet: FleetTally, now_us: int) -> float:
    """Give how rarely something may show that a watch of this length would have met: 95 %."""
    return max(1.0, _watched_s(fleet, now_us) / 3.0)


def _watched_s(fleet: FleetTally, now_us: int) -> float:
    return min((now_us - tally.start_us) / 1e6 for tally in fleet.canary.values())


def _unweighed(canary: Sequence[HostTally]) -> Iterator[str]:
    """Say what there was too little of to compare."""
    for tally in canary:
        took = sum(bucket.latency_count for bucket in tally.after.values())
        if took < 2 * LEAST_SEEN:
            some = f"only {count(took, 'line')}" if took else "no line"
            yield f"that {tally.name} is slower: {some} since the switch told how long work took"
        elif usual_latencies(tally) is None:
            yield f"that {tally.name} is slower: too little is known of how long work took before"


def _unseen(fleet: FleetTally, now_us: int) -> Iterator[str]:
    """Say which lines never reached the judge."""
    for tally in fleet.canary.values():
        if tally.dropped:
            yield (
                f"a fault in {count(tally.dropped, 'line')} that journald dropped on {tally.name}"
                " (its rate limit)"
            )
        torn_s = tally.unheard.between(tally.start_us, now_us) / 1e6
        if torn_s > 0:
            yield f"a fault in {duration(torn_s)} of {tally.name}'s journal that could not be read"
    lost = [tally.name for tally in fleet.baseline.values() if tally.unheard.is_broken]
    if lost:
        yield f"a difference to {listing(lost)}: the journal there could not be read"
