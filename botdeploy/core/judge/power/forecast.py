"""A forecast of what a soak can find.

Nothing is drawn by chance: counts are compound Poisson (errors come in bursts of three lines on
the mean, as the judge assumes where it knows nothing), and their distributions are summed up.
What the judge would say of a count is asked of the judge's own streams and limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

from botdeploy.core.judge.judge_options import Preset
from botdeploy.core.judge.power.quick_power import QuickPower
from botdeploy.core.judge.power.scenario import SURE, Scenario
from botdeploy.core.judge.power.sentence import sentence
from botdeploy.core.judge.power.sequential_power import SequentialPower

if TYPE_CHECKING:
    from botdeploy.core.judge.judge_options import JudgeOptions

RATIOS = (1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0)
"""How many times the usual errors may come; the ratios that are tried."""


@dataclass(frozen=True, slots=True)
class Power:
    """What a soak finds with a certain traffic."""

    preset: Preset
    lines_per_minute: float
    """Of one host."""
    error_rate: float
    """Errors for each line."""
    finds: tuple[tuple[float, float], ...]
    """(ratio, chance): how likely it is that so many times the usual errors fail a release."""
    new_s: float | None
    """A new error that comes every so many seconds is found in 8 of 10 cases; None: no rate is."""
    silence_s: float | None
    """Seconds until a bot that stopped talking is found; None: the soak is too short for that."""

    def chance(self, ratio: float) -> float:
        """Give the chance to find so many times the usual errors, between the ratios tried."""
        known = ((1.0, 0.0), *self.finds)
        for (low, before), (high, after) in pairwise(known):
            if ratio <= high:
                share = (log(max(1.0, ratio)) - log(low)) / (log(high) - log(low))
                return before + share * (after - before)
        return known[-1][1]

    @property
    def sure_ratio(self) -> float | None:
        """The least ratio tried that is found in 8 of 10 cases; None where none is."""
        return next((ratio for ratio, chance in self.finds if chance >= SURE), None)

    def __str__(self) -> str:
        return sentence(self)


def power_of(
    options: JudgeOptions,
    lines_per_minute: float,
    error_rate: float,
    hosts: int = 1,
    *,
    baseline: float = 0,
    history_s: float = 3600.0,
) -> Power:
    """Compute what the judge finds within its time, with so much traffic.

    ``lines_per_minute`` and ``error_rate`` (errors a line, 0 to 1) are of one host of the old
    release; ``hosts`` run the new one, ``baseline`` hosts the old one beside them; ``history_s``
    of each are known. The world is taken to be quiet meanwhile, and a host's errors to come as
    often as they did, but for the doubt that the judge itself has. Beside the simulation of
    ``make bench-judge`` (60 runs a case, 12 h of history) it was right within 8 points of a
    hundred in a quiet world, and in the rough one 2 to 9 too hopeful. Takes up to about a second.
    """
    lines = max(0.0, lines_per_minute)
    rate = min(1.0, max(0.0, error_rate))
    scenario = Scenario(options, lines, rate, max(1, hosts), max(0, round(baseline)), history_s)
    is_quick = options.preset is Preset.QUICK
    seen = QuickPower(scenario) if is_quick else SequentialPower(scenario)
    chances: list[tuple[float, float]] = []
    before = 0.0
    if lines * rate > 0.0:
        for ratio in RATIOS:
            before = max(before, seen.chance(ratio))
            chances.append((ratio, min(1.0, before)))
    return Power(
        options.preset,
        lines,
        rate,
        tuple(chances),
        seen.new_s(),
        seen.silence_s() if lines > 0.0 else None,
    )
