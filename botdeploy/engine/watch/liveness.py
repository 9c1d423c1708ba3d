"""Liveness: tells a bot that is silent from a host that cannot be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet

ASK_AFTER_S = 2.0
"""Quiet for so long, a host is asked whether it is there: sooner than silence is judged."""
ANSWER_WITHIN_S = 2.0
LONGEST_S = 15.0
"""Without an answer for so long, it is asked again."""


class Liveness:
    """Asks quiet hosts over ssh, never waiting for an answer; used from one thread.

    Nothing runs on a host for it: with a thousand hosts, that would be hundreds of programs a
    second.
    """

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        """Begin with nothing asked."""
        self._fleet = fleet
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._answered: dict[str, float] = {}

    def unheard(self, hosts: Iterable[tuple[str, float]]) -> list[str]:
        """Give the hosts of which nobody can say that they are only silent.

        ``hosts`` are names with the monotonic second of the last line.
        """
        now = self._clock.monotonic()
        lost = []
        for name, heard in hosts:
            heard_at = max(heard, self._answered.get(name, 0.0))
            if now - heard_at < ASK_AFTER_S:
                self._asked.pop(name, None)
                continue
            asked = self._asked.get(name)
            if asked is None or now - asked > LONGEST_S:
                self._asked[name] = now
                self._fleet.ask(name)
            elif self._has_answered(name, now - asked):
                del self._asked[name]
                self._answered[name] = now
            if now - self._asked.get(name, now) > ANSWER_WITHIN_S:
                lost.append(name)
        return lost

    def _has_answered(self, name: str, within_s: float) -> bool:
        ago_s = self._fleet.heard_s_ago(name)
        return ago_s is not None and ago_s < within_s
