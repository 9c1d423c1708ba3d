"""Liveness: tells a bot that is silent from a host that cannot be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet

ASK_AFTER_S = 2.0
"""Quiet for so long, a host is asked whether it is there: sooner than silence is judged."""
ANSWER_WITHIN_S = 2.0
LONGEST_S = 15.0


class Liveness:
    """Asks quiet hosts, never waiting for an answer; used from one thread."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        """Begin with nothing asked."""
        self._fleet = fleet
        self._clock = clock
        self._asked: dict[str, tuple[float, Future[None]]] = {}
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
                continue
            asked = self._asked.get(name)
            if asked is None:
                self._asked[name] = (now, self._fleet.submit(lambda name=name: self._ask(name)))  # type: ignore[misc]
                continue
            begun, answer = asked
            if not answer.done():
                if now - begun > ANSWER_WITHIN_S:
                    lost.append(name)
                continue
            del self._asked[name]
            if answer.exception() is None:
                self._answered[name] = now
            else:
                lost.append(name)
        return lost

    def _ask(self, name: str) -> None:
        done = self._fleet.acts(name).connection.run("true", timeout_s=LONGEST_S)
        if done.exit_status != 0:
            raise OutcomeUnknown(name, "no answer")
