"""Power: what a soak can find, told beforehand."""

from __future__ import annotations

from math import ceil, exp, lgamma, log, sqrt
from typing import TYPE_CHECKING

from botdeploy.core.judge import bet, quick
from botdeploy.core.judge.options import Preset
from botdeploy.core.judge.play import SHARES
from botdeploy.core.judge.scales import PROVED
from botdeploy.core.judge.stream import WORSE
from botdeploy.core.judge.table import WEIGHED
from botdeploy.core.judge.tails import upper_tail
from botdeploy.core.judge.words import count, duration, times

if TYPE_CHECKING:
    from botdeploy.core.judge.options import JudgeOptions

_BURST = 3.0
"""Lines that an error prints, where nobody knows better."""
_HISTORY_MIN = 720.0
_OFTEN = 0.8
_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0)


def power(options: JudgeOptions, lines_per_minute: float, error_rate: float, hosts: int) -> str:
    """Say what this soak can find, in a sentence or two, for ``plan``.

    ``lines_per_minute``: of one host; ``error_rate``: share of lines that are errors, 0 to 1;
    ``hosts``: all that print, canary included. An estimate: a Poisson one of bursts of three
    lines, with the doubt that half a day of history leaves.
    """
    watched_s = max(1.0, options.soak_s - options.grace_s)
    about = f"with about {count(round(lines_per_minute, 1), 'line')} a minute"
    if options.preset is Preset.QUICK:
        return f"{about} {_quick(options, lines_per_minute, error_rate, watched_s)}"
    ratio = least_ratio(options, lines_per_minute, error_rate, hosts)
    if ratio is None:
        found = "this soak finds no rise of the error rate reliably, be it 50 times"
    else:
        found = f"this soak finds {times(ratio)} the error rate in 8 of 10 cases"
    again_s = watched_s / 3.0
    return f"{about} {found}, and a new error that comes once in {duration(again_s)} or oftener"


def least_ratio(
    options: JudgeOptions, lines_per_minute: float, error_rate: float, hosts: int
) -> float | None:
    """Give the least ratio of error rates that is found in 8 of 10 cases; None beyond 50."""
    minutes = max(1.0, (options.soak_s - options.grace_s) / 60.0)
    bursts = lines_per_minute * error_rate * minutes / _BURST
    if bursts <= 0.0:
        return None
    known = bursts * _HISTORY_MIN / minutes
    doubt = sqrt(0.0225 + 0.02 + 1.0 / (known + 4.0) + 1.0 / (10.0 + bursts * max(0, hosts - 1)))
    needed = PROVED / options.false_abort_rate / SHARES[WEIGHED] / (1.0 - bet.LATE)
    stakes = bet.stakes(bursts, doubt, list(WORSE))
    least = 1
    while _worth(least, bursts, doubt, stakes) < needed:
        least = least + 1 if least < 50 else ceil(least * 1.1)
    for ratio in _RATIOS:
        if _chance(least, bursts * ratio, doubt) >= _OFTEN:
            return ratio
    return None


def _biases(doubt: float) -> list[tuple[float, float]]:
    weights = bet.node_weights()
    middle = (bet.NODES - 1) // 2
    return [
        (exp((z - middle) / 3.0 * doubt - 0.5 * doubt * doubt), weight)
        for z, weight in enumerate(weights)
    ]


def _worth(many: int, bursts: float, doubt: float, stakes: list[float]) -> float:
    """Give the evidence of so many bursts in the whole watch."""
    biases = _biases(doubt)
    null = sum(weight * _poisson(many, bursts * bias) for bias, weight in biases)
    worse = sum(
        stake * sum(weight * _poisson(many, bursts * ratio * bias) for bias, weight in biases)
        for ratio, stake in zip(WORSE, stakes, strict=True)
    )
    return worse / null if null > 0.0 else bet.MOST


def _chance(least: int, mean: float, doubt: float) -> float:
    """Give the chance of that many bursts or more."""
    return sum(weight * upper_tail(least, mean * bias, 1e6) for bias, weight in _biases(doubt))


def _poisson(many: int, mean: float) -> float:
    return exp(max(-700.0, many * log(mean) - mean - lgamma(many + 1.0)))


def _quick(
    options: JudgeOptions, lines_per_minute: float, error_rate: float, watched_s: float
) -> str:
    """Say what a person would see in so short a soak."""
    first = (
        f"this soak of {duration(options.soak_s)} sees a crash, and a new error that comes at"
        f" least once in {duration(watched_s / 3.0)}"
    )
    said = [first]
    if lines_per_minute * watched_s / 60.0 >= 2.0 * quick.STEADY:
        said.append("it sees that the bot falls silent")
    else:
        said.append("it can't tell silence from quiet")
    mean = lines_per_minute * error_rate * watched_s / 60.0
    shape = max(1e-6, mean) / (_BURST - 1.0)
    least = quick.FLOOD
    while upper_tail(least, mean, shape) > quick.BURST_CHANCE:
        least += 1
    for ratio in _RATIOS:
        if mean > 0.0 and upper_tail(least, mean * ratio, mean * ratio / (_BURST - 1.0)) >= _OFTEN:
            said.append(f"known errors must become {times(ratio)} as many")
            break
    else:
        said.append("more of the known errors it does not find")
    return "; ".join(said)
