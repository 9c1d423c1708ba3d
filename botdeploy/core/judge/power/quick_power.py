"""What the rules of ``quick`` find, which look at each canary host by itself."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

from botdeploy.core.judge.error_flood import FLOOD, is_flood
from botdeploy.core.judge.host_tally import ROUND_S
from botdeploy.core.judge.long_silence import LEAST_QUIET_S, USUAL_QUIET
from botdeploy.core.judge.new_errors import LONG_S, OFTEN
from botdeploy.core.judge.power.scenario import BURST_LINES, MOST_LINES, rarest
from botdeploy.core.judge.tails import at_least, bursts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.judge.power.scenario import Scenario

_LOOKS = 12
_STEPS = 40
_NEVER = 1e-12
"""A chance that is none."""


class QuickPower:
    """The rules of ``quick``, which look at each canary host by itself."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.watch_s = scenario.options.soak_s
        self._grace_s = min(scenario.options.grace_s, self.watch_s)

    def chance(self, ratio: float) -> float:
        """Give how likely a flood of the usual errors is found on one host at least.

        Follows, over twelve looks, how many lines came without being too many.
        """
        scenario = self._scenario
        errors_s = scenario.errors / 60.0
        known_s = max(1.0, scenario.history_s)
        known = errors_s * known_s
        # what the judge would learn of bursts: lines squared over lines, drawn towards 3
        spread = 2.0 * BURST_LINES - 1.0
        burst = (spread * known + 30.0) / (known + 10.0)
        step_s = (self.watch_s - self._grace_s) / _LOOKS
        if step_s <= 0.0:
            return 0.0
        each = bursts_of(ratio * errors_s * step_s / BURST_LINES, BURST_LINES, MOST_LINES)
        quiet = [1.0]
        for look in range(1, _LOOKS + 1):
            mean = look * step_s * (errors_s + burst / known_s)
            limit = _least(lambda n, m=mean: is_flood(n, m, burst, scenario.options.worse))  # type: ignore[misc]
            quiet = _added(quiet, each, limit)
        return 1.0 - sum(quiet) ** scenario.hosts

    def new_s(self) -> float | None:
        """Give how rarely a new error may come and still be found coming back by the deadline."""
        scenario = self._scenario
        known_s = scenario.history_s * (scenario.hosts + scenario.baseline)
        more = 1 if known_s >= LONG_S else OFTEN - 1
        watch_s, deadline_s = self.watch_s, scenario.options.deadline_s
        step_s = watch_s / _STEPS

        def found(every_s: float) -> float:
            # by the second of the soak at which it comes first
            steps = (step_s * step for step in range(_STEPS))
            return sum(
                (exp(-first / every_s) - exp(-(first + step_s) / every_s))
                * at_least(more, left / every_s)
                for first in steps
                if (left := deadline_s - first - ROUND_S) > 0.0
            )

        return rarest(found, watch_s)

    def silence_s(self) -> float | None:
        """Give the quiet that is taken for silence at the end of the soak, if lines come by chance.

        It prevents a pass.
        """
        quiet_s = max(LEAST_QUIET_S, log(1.0 / USUAL_QUIET) * 60.0 / self._scenario.lines)
        return quiet_s if quiet_s <= self.watch_s - self._grace_s else None


def _added(some: list[float], more: list[float], below: int) -> list[float]:
    """Add two counts up; only sums below a limit are kept.

    What is less likely than a billionth of a thousandth is left out on both sides: of many lines
    nearly all counts are, and their products would take seconds.
    """
    out = [0.0] * min(below, len(some) + len(more) - 1)
    likely = [k for k, one in enumerate(more) if one > _NEVER]
    first, last = (likely[0], likely[-1] + 1) if likely else (0, 0)
    for n, one in enumerate(some[:below]):
        if one > _NEVER:
            for k, other in enumerate(more[first : min(last, below - n)], n + first):
                out[k] += one * other
    return out


def _least(is_enough: Callable[[int], bool]) -> int:
    """Find the least count that is enough."""
    high = FLOOD
    while not is_enough(high) and high < MOST_LINES:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
