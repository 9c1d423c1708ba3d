"""What the rules of ``quick`` find, which look at each canary host by itself."""

from __future__ import annotations

from math import exp, lgamma, log
from typing import TYPE_CHECKING

from botdeploy.core.judge.error_flood import FLOOD, is_flood
from botdeploy.core.judge.fleet_tally import ENOUGH_S
from botdeploy.core.judge.long_silence import CLEARLY_STEADY, LEAST_QUIET_S, QUIET_CHANCE, STEADY
from botdeploy.core.judge.power.scenario import BURST_LINES, MOST_LINES, rarest
from botdeploy.core.judge.tails import bursts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.judge.power.scenario import Scenario

_LOOKS = 12
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
        """Give how rarely a new error may come and still be found coming back."""
        scenario = self._scenario
        hosts = scenario.hosts + scenario.baseline
        needed = 2 if scenario.history_s * hosts >= ENOUGH_S else 3
        watch_s, early = self.watch_s, self._grace_s / max(self.watch_s, 1e-9)

        def found(every_s: float) -> float:
            mean = watch_s / every_s
            out = 1.0 - exp(-(watch_s - self._grace_s) / every_s)
            for n in range(1, needed):
                out -= exp(-mean + n * log(mean) - lgamma(n + 1)) * (1.0 - early**n)
            return out

        return rarest(found, watch_s)

    def silence_s(self) -> float | None:
        """Give the first quiet that is taken for silence, if lines come by chance."""
        a_second = self._scenario.lines / 60.0
        known_s = max(1.0, self._scenario.history_s)
        longest_s = log(max(2.0, known_s * a_second)) / a_second
        far_s = max(LEAST_QUIET_S, CLEARLY_STEADY / a_second, 2.5 * longest_s)
        quiet_s = max(LEAST_QUIET_S, STEADY / a_second)
        while quiet_s < far_s:
            quiets = known_s * a_second * exp(-a_second * quiet_s) + 1.0
            soak_s = self._scenario.options.soak_s
            if quiets * soak_s / (known_s + soak_s) <= QUIET_CHANCE:
                break
            quiet_s += max(0.5, 0.02 * far_s)
        quiet_s = min(quiet_s, far_s)
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
