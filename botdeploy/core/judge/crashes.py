"""Crashes and restarts of the canary hosts, compared with those of the old release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US
from botdeploy.core.judge.judge_options import Preset
from botdeploy.core.lines.quote import quote
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.text.phrases import count, duration, listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally, ProcessEvent
    from botdeploy.core.judge.judge_options import JudgeOptions

_WITHIN_US = 10 * MINUTE_US
_EXITS = (SystemKind.CRASHED, SystemKind.COREDUMP)
CRASHES = (*_EXITS, SystemKind.RESTART)


class Crashes:
    """Counts crashes and says when they condemn the release."""

    def __init__(self, fleet: FleetTally, options: JudgeOptions) -> None:
        """Count what ``fleet`` was given at the moment of asking."""
        self._fleet = fleet
        self._is_quick = options.preset is Preset.QUICK

    def total(self) -> int:
        """Crashes of the release on all canary hosts, without what was excused."""
        return sum(crashes_in(tally.not_excused()) for tally in self._fleet.canary.values())

    @property
    def are_usual(self) -> bool:
        """Whether the old release crashed now and then, too."""
        return any(crashes_in(tally.process_events_before) for tally in self._fleet.parts())

    @property
    def is_first_fatal(self) -> bool:
        """Whether a first crash condemns: in quick, where the old release never crashed."""
        return self._is_quick and not self.are_usual

    def too_many(self) -> str | None:
        """Say why the crashes so far condemn the release, or None if they do not yet."""
        parts = list(self._fleet.canary.values())
        shown = [one for tally in parts for one in tally.not_excused() if _is_crash(one)]
        last = max(shown, key=lambda one: one.at_us, default=None)
        if last is None:
            return None
        exits = [one.text for one in shown if one.kind in _EXITS]
        text = quote(exits[-1] if exits else last.text)
        if not self.are_usual:
            total = self.total()
            if total < 2 and not self._is_quick:
                return None
            names = [tally.name for tally in parts if crashes_in(tally.not_excused())]
            where = f" ({listing(names)})" if len(names) > 1 else ""
            known_s = self._fleet.history_s
            past = f", and not once in {duration(known_s)} of the old release" if known_s else ""
            often = f" {total} times since the switch" if total >= 2 else ""
            return f"crashed{often}{where}{past}: {text}"
        most = max((_most_crashes(tally.not_excused()) for tally in parts), default=0)
        usual = max(
            (_most_crashes(tally.process_events_before) for tally in self._fleet.parts()), default=0
        )
        if most <= max(1, usual):
            return None
        return (
            f"crashed {most} times within {duration(_WITHIN_US / 1e6)}"
            f" (the old release at most {count(usual, 'time')}): {text}"
        )

    def faultless_loop(self, tally: HostTally) -> str | None:
        """Say that a bot which ends without an error does so again and again, unlike before."""
        often = _most_faultless(tally.not_excused())
        usual = max(_most_faultless(other.process_events_before) for other in self._fleet.parts())
        if often < 2 or often <= usual:
            return None
        return (
            f"ended without an error and was started again {often} times within"
            f" {duration(_WITHIN_US / 1e6)} (the old release at most {count(usual, 'time')})"
        )


def _is_crash(event: ProcessEvent) -> bool:
    return event.kind in CRASHES and not event.is_faultless


def crashes_in(events: Iterable[ProcessEvent]) -> int:
    """Count crashes once, though an exit and the restart after it are two records.

    A restart after an end without an error is none, and systemd's counter counts those as well.
    """
    exits = restarts = counter = faultless = 0
    for one in events:
        if one.is_faultless:
            faultless += 1
            counter = max(counter, one.count - faultless)
        elif one.kind is SystemKind.RESTART:
            restarts += 1
            counter = max(counter, one.count - faultless)
        elif one.kind in _EXITS:
            exits += 1
    return max(exits, restarts, counter)


def _most_crashes(events: Iterable[ProcessEvent]) -> int:
    """Count the most crashes within ten minutes."""
    seen = [one for one in events if _is_crash(one)]
    restarts = _most_within(one.at_us for one in seen if one.kind is SystemKind.RESTART)
    return max(restarts, _most_within(one.at_us for one in seen if one.kind in _EXITS))


def _most_faultless(events: Iterable[ProcessEvent]) -> int:
    return _most_within(one.at_us for one in events if one.is_faultless)


def _most_within(instants: Iterable[int]) -> int:
    """Count the most of these that lie within ten minutes."""
    times, most, first = sorted(instants), 0, 0
    for index, at_us in enumerate(times):
        while at_us - times[first] > _WITHIN_US:
            first += 1
        most = max(most, index - first + 1)
    return most
