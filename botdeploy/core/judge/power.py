"""Power: what a soak can find, foretold from the judge's own rules and the traffic there is.

Nothing is drawn by chance: counts are compound Poisson (errors come in bursts of three lines on
the mean, as the judge assumes where it knows nothing), and their distributions are summed up.
What the judge would say of a count is asked of the judge's own streams and limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, lgamma, log, log2, sqrt
from typing import TYPE_CHECKING

from botdeploy.core.judge import bet, quick, rates, streams
from botdeploy.core.judge.comparison import SHARES
from botdeploy.core.judge.count_table import LINES, WEIGHED, WORK, YOUNG, YOUNG_MIN
from botdeploy.core.judge.options import Preset
from botdeploy.core.judge.sequential import (
    ENOUGH_REPLAYS,
    MOST_PAST_MIN,
    REPLAY_MIN,
    REPLAYS,
    least_bar,
)
from botdeploy.core.judge.streams import Stream
from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botdeploy.core.judge.options import JudgeOptions

RATIOS = (1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0)
"""How many times the usual errors may come; the ratios that are tried."""
SURE = 0.8
"""What "finds" means: in so many of all cases."""
BURST_LINES = 3.0
"""Lines of an error, on the mean (geometric)."""
KINDS = 4
"""Kinds of errors that the lines are taken to be of; damping counts each by itself."""
_ONE_BURST = 1.75
"""What a burst weighs where hardly any comes: the mean of log2(1 + lines)."""
_MOST_BURSTS = 1_000_000
_STEPS = 60
"""Pieces that a long watch is cut into."""
_QUICK_STEPS = 12
_MOST_LINES = 4000
_NEVER = 1e-12
"""A chance that is none."""
_LONGEST_NEW_S = 86_400.0
_REST = 0.15
"""What all other kinds of evidence are worth together while nothing shows in them."""


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
        return _sentence(self)


def foretell(
    options: JudgeOptions,
    lines_per_minute: float,
    error_rate: float,
    hosts: int = 1,
    *,
    baseline: float = 0,
    history_s: float = 3600.0,
) -> Power:
    """Foretell what the judge finds within its time, with so much traffic.

    ``lines_per_minute`` and ``error_rate`` (errors a line, 0 to 1) are of one host of the old
    release; ``hosts`` run the new one, ``baseline`` hosts the old one beside them; ``history_s``
    of each are known. The world is taken to be quiet meanwhile, and a host's errors to come as
    often as they did, but for the doubt that the judge itself has. Beside the simulation of
    ``make bench-judge`` (60 runs a case, 12 h of history) it was right within 8 points of a
    hundred in a quiet world, and in the rough one 2 to 9 too hopeful. Takes up to about a second.
    """
    lines = max(0.0, lines_per_minute)
    rate = min(1.0, max(0.0, error_rate))
    scene = _Scene(options, lines, rate, max(1, hosts), max(0, round(baseline)), history_s)
    seen: _Quick | _Weighed = _Quick(scene) if options.preset is Preset.QUICK else _Weighed(scene)
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


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is known beforehand."""

    options: JudgeOptions
    lines: float
    error_rate: float
    hosts: int
    baseline: int
    history_s: float

    @property
    def errors(self) -> float:
        """Usual error lines a minute and host."""
        return self.lines * self.error_rate


# --- quick ----------------------------------------------------------------------------------------


class _Quick:
    """The rules of ``quick``, which look at each canary host by itself."""

    def __init__(self, scene: _Scene) -> None:
        self._scene = scene
        self.watch_s = scene.options.soak_s
        self._grace_s = min(scene.options.grace_s, self.watch_s)

    def chance(self, ratio: float) -> float:
        """Give how likely a flood of the usual errors is found on one host at least.

        Follows, over twelve looks, how many lines came without being too many.
        """
        scene = self._scene
        errors_s = scene.errors / 60.0
        known_s = max(1.0, scene.history_s)
        known = errors_s * known_s
        # what the judge would learn of bursts: lines squared over lines, drawn towards 3
        spread = 2.0 * BURST_LINES - 1.0
        burst = (spread * known + 30.0) / (known + 10.0)
        step_s = (self.watch_s - self._grace_s) / _QUICK_STEPS
        if step_s <= 0.0:
            return 0.0
        each = bursts_of(ratio * errors_s * step_s / BURST_LINES, BURST_LINES, _MOST_LINES)
        quiet = [1.0]
        for look in range(1, _QUICK_STEPS + 1):
            mean = look * step_s * (errors_s + burst / known_s)
            limit = _least(lambda n, m=mean: quick.is_flood(n, m, burst, scene.options.worse))  # type: ignore[misc]
            quiet = _added(quiet, each, limit)
        return 1.0 - sum(quiet) ** scene.hosts

    def new_s(self) -> float | None:
        """Give how rarely a new error may come and still be found coming back."""
        scene = self._scene
        hosts = scene.hosts + scene.baseline
        needed = 2 if scene.history_s * hosts >= quick.HOUR_S else 3
        watch_s, early = self.watch_s, self._grace_s / max(self.watch_s, 1e-9)

        def found(every_s: float) -> float:
            mean = watch_s / every_s
            out = 1.0 - exp(-(watch_s - self._grace_s) / every_s)
            for n in range(1, needed):
                out -= exp(-mean + n * log(mean) - lgamma(n + 1)) * (1.0 - early**n)
            return out

        return _rarest(found, watch_s)

    def silence_s(self) -> float | None:
        """Give the first quiet that is taken for silence, if lines come by chance."""
        a_second = self._scene.lines / 60.0
        known_s = max(1.0, self._scene.history_s)
        longest_s = log(max(2.0, known_s * a_second)) / a_second
        far_s = max(quick.LEAST_QUIET_S, quick.CLEARLY_STEADY / a_second, 2.5 * longest_s)
        quiet_s = max(quick.LEAST_QUIET_S, quick.STEADY / a_second)
        while quiet_s < far_s:
            spells = known_s * a_second * exp(-a_second * quiet_s) + 1.0
            soak_s = self._scene.options.soak_s
            if spells * soak_s / (known_s + soak_s) <= quick.QUIET_CHANCE:
                break
            quiet_s += max(0.5, 0.02 * far_s)
        quiet_s = min(quiet_s, far_s)
        return quiet_s if quiet_s <= self.watch_s - self._grace_s else None


# --- normal and careful ---------------------------------------------------------------------------


class _Weighed:
    """The scales of ``normal`` and ``careful``, which weigh all canary hosts together."""

    def __init__(self, scene: _Scene) -> None:
        self._scene = scene
        options = scene.options
        self.watch_s = options.deadline_s
        self._minutes = max(1.0, (options.deadline_s - options.grace_s) / 60.0)
        self._past_min = min(MOST_PAST_MIN, scene.history_s / 60.0)
        self._usual = _Damped(scene.errors / BURST_LINES / KINDS)
        self._limit = _limit(scene, self._past_min, self._burst)
        self._needed: float | None = None

    @property
    def _mean(self) -> float:
        """Weighed errors a minute that are usual on the canary hosts together."""
        return self._usual.mean * KINDS * self._scene.hosts

    @property
    def _burst(self) -> float:
        usual = self._usual
        return min(60.0, max(1.05, usual.squares / usual.mean if usual.mean > 0.0 else 1.75))

    def _stream(self) -> tuple[Stream, float, float]:
        """Open the stream of weighed errors as the judge would; with its burst and its doubt."""
        burst = self._burst
        doubt = rates.doubt(self._mean * self._past_min, burst, rates.WANDER)
        steps = self._steps
        size = self._minutes / steps
        return (
            Stream(
                burst=burst,
                swing=10.0,
                doubt=doubt,
                ratios=streams.WORSE,
                stakes=bet.stakes(self._mean * self._minutes / burst, doubt, list(streams.WORSE)),
                ceiling=min(1e12, bet.ceiling_of(self._mean) ** size),
                minutes=steps,
            ),
            burst,
            doubt,
        )

    @property
    def _steps(self) -> int:
        return max(1, min(_STEPS, ceil(self._minutes)))

    def _worth(self, bursts: int) -> float:
        """Give all evidence after a watch with so many bursts, evenly spread over it."""
        opened, _, _ = self._stream()
        steps = self._steps
        mean = self._mean * self._minutes / steps
        rest = mean * self._scene.baseline / self._scene.hosts
        for step in range(steps):
            if rest > 0.0:
                opened.baseline(rest, rest)
            now = bursts * (2 * step + 3) // (2 * steps) - bursts * (2 * step + 1) // (2 * steps)
            opened.canary(now * self._usual.each, mean)
        return (SHARES[WEIGHED] + SHARES[WORK]) * opened.worth + _REST

    def _enough(self) -> float:
        """Find the least count of weighed errors that condemns; a burst is the least step."""
        if self._needed is None:
            low = int(self._mean * self._minutes / self._usual.each)
            high = low + 2
            while self._worth(high) < self._limit and high < _MOST_BURSTS:
                low, high = high, 2 * high
            while high - low > max(1, high // 100):
                middle = (low + high) // 2
                low, high = (low, middle) if self._worth(middle) >= self._limit else (middle, high)
            self._needed = high * self._usual.each
        return self._needed

    def chance(self, ratio: float) -> float:
        """Give how likely the count of a worse release is enough, whatever the host's bias."""
        _, burst, doubt = self._stream()
        damped = _Damped(ratio * self._scene.errors / BURST_LINES / KINDS)
        size = KINDS * self._scene.hosts * self._minutes
        needed = self._enough()
        out = 0.0
        for z, weight in enumerate(bet.node_weights()):
            bias = exp((z - (bet.NODES - 1) // 2) * doubt / 3.0 - 0.5 * doubt * doubt)
            spread = max(1.0, damped.squares / max(damped.mean, 1e-12)) if damped.mean else burst
            out += weight * at_least(needed / spread, damped.mean * size * bias / spread)
        return out

    def new_s(self) -> float | None:
        """Give how rarely a new error may come and still be found: by how often it must come."""
        scene = self._scene
        hosts = scene.hosts + scene.baseline
        usual = 0.5 / max(60.0, hosts * self._past_min / 2.0) * scene.hosts
        minutes = min(240, max(1, round(self._minutes)))

        def worth(times: int) -> float:
            opened = Stream.of_new_errors(minutes)
            for minute in range(minutes):
                came = times * (minute + 1) // minutes - times * minute // minutes
                opened.canary(float(came), usual)
            return SHARES[YOUNG] * opened.worth + _REST

        needed = next((n for n in range(1, minutes // 2 + 1) if worth(n) >= self._limit), None)
        if needed is None:
            return None

        def found(every_s: float) -> float:
            # a minute without it must lie between, or it has not come back; and an error is young
            # for so long only
            apart_s = every_s + 60.0
            if self.watch_s <= 60.0 * YOUNG_MIN:
                return at_least(float(needed), self.watch_s / apart_s)
            first = at_least(1.0, (self.watch_s - 60.0 * YOUNG_MIN) / apart_s)
            return first * at_least(needed - 1.0, 60.0 * YOUNG_MIN / apart_s)

        return _rarest(found, self.watch_s)

    def silence_s(self) -> float | None:
        """Give how many seconds without a line are enough."""
        scene = self._scene
        mean = scene.lines * scene.hosts
        past = mean * self._past_min
        opened = Stream(
            burst=1.5,
            swing=10.0,
            doubt=rates.doubt(past, 1.5, rates.WANDER),
            ratios=streams.LESS,
            stakes=streams.LESS_STAKES,
            ceiling=7.39,
            minutes=max(1, round(self._minutes)),
        )
        rest = scene.lines * scene.baseline
        for minute in range(1, min(240, max(1, int(self._minutes))) + 1):
            if rest > 0.0:
                opened.baseline(rest, rest)
            opened.canary(0.0, mean)
            if SHARES[LINES] * opened.worth >= self._limit:
                return scene.options.grace_s + 60.0 * minute
        return None


def _limit(scene: _Scene, past_min: float, burst: float) -> float:
    """Give the evidence that condemns; less where replays of the past can back it."""
    rate = scene.options.false_abort_rate
    least = least_bar(rate, burst)
    hosts = scene.hosts + scene.baseline
    windows = min(int(past_min) // REPLAY_MIN - 2, ceil(REPLAYS / hosts))
    is_backed = past_min >= 3 * REPLAY_MIN and windows * hosts >= ENOUGH_REPLAYS
    if not is_backed or scene.options.deadline_s > 90.0 * REPLAY_MIN:
        return max(least, 1.0 / rate)
    return least


class _Damped:
    """What bursts of one kind of error weigh in a minute: the moments of log2(1 + lines)."""

    def __init__(self, bursts: float) -> None:
        most = min(_MOST_LINES, 64 + round(8.0 * BURST_LINES * (bursts + 2.0 * sqrt(bursts) + 4.0)))
        self.mean = self.squares = 0.0
        for n, chance in enumerate(bursts_of(bursts, BURST_LINES, most)):
            weight = log2(1.0 + n)
            self.mean += chance * weight
            self.squares += chance * weight * weight
        # the variance, so that squares / mean is the size of a burst in weighed errors
        self.squares -= self.mean * self.mean
        self.each = self.mean / bursts if self.mean > 0.0 else _ONE_BURST
        """What one burst weighs."""


# --- sums -----------------------------------------------------------------------------------------


def bursts_of(mean: float, size: float, most: int) -> list[float]:
    """Give the chances of 0, 1, 2 … ``most`` lines in Poisson many bursts of geometric size.

    Johnson, Kemp & Kotz, Univariate Discrete Distributions, 9.7 (Pólya-Aeppli). Ends where what
    is left is less than a billionth.
    """
    more = 1.0 - 1.0 / size
    out = [exp(-mean)]
    total = out[0]
    if out[0] <= 0.0:
        # so many that none is out of the question: a normal distribution in their place
        middle, spread = mean * size, sqrt(mean * size * (2.0 * size - 1.0))
        curve = [exp(-0.5 * ((n - middle) / spread) ** 2) for n in range(most + 1)]
        whole = spread * sqrt(2.0 * 3.141592653589793)
        return [one / whole for one in curve]
    for n in range(1, most + 1):
        value = (mean * (1.0 - more) + 2.0 * more * (n - 1)) * out[n - 1]
        if n > 1:
            value -= more * more * (n - 2) * out[n - 2]
        out.append(max(0.0, value / n))
        total += out[n]
        if total > 1.0 - 1e-9 and n > mean * size:
            break
    return out


def at_least(count: float, mean: float) -> float:
    """Give the chance of ``count`` or more Poisson events; ``count`` may lie between numbers.

    It is the lower incomplete gamma function, regularised (DLMF 8.7.1, 8.9.2).
    """
    if count <= 0.0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    scale = count * log(mean) - mean - lgamma(count + 1.0)
    if mean < count + 1.0:
        term = total = 1.0
        step = count
        while term > 1e-12 * total:
            step += 1.0
            term *= mean / step
            total += term
        return min(1.0, total * exp(scale))
    # the other tail, by continued fraction (Lentz)
    b = mean + 1.0 - count
    c = 1e300
    d = 1.0 / b
    out = d
    for i in range(1, 500):
        a = -i * (i - count)
        b += 2.0
        d = 1.0 / (a * d + b)
        c = b + a / c
        out *= d * c
        if abs(d * c - 1.0) < 1e-12:
            break
    return max(0.0, 1.0 - exp(scale) * count * out)


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
    high = quick.FLOOD
    while not is_enough(high) and high < _MOST_LINES:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _rarest(found: Callable[[float], float], watch_s: float) -> float | None:
    """Find the longest time between two events with which they are found in 8 of 10 cases."""
    low, high = 1.0, max(2.0, min(watch_s, _LONGEST_NEW_S))
    if found(low) < SURE:
        return None
    for _ in range(40):
        middle = sqrt(low * high)
        low, high = (middle, high) if found(middle) >= SURE else (low, middle)
    return low


# --- words ----------------------------------------------------------------------------------------


def _sentence(it: Power) -> str:
    if it.lines_per_minute > 0.0:
        about = _number(it.lines_per_minute)
        begin = f"with about {about} {'line' if about == '1' else 'lines'} a minute"
        if it.error_rate > 0.0:
            begin += f" ({_number(100.0 * it.error_rate)} % errors)"
    else:
        begin = "with nothing known of the old release's lines"
    finds = [*_errors(it)]
    if it.new_s is not None:
        finds.append(f"a new error that comes at least every {_span(it.new_s)}")
    if it.silence_s is not None:
        finds.append(f"silence within {_span(it.silence_s)}")
    said = [f"{begin} this soak"]
    if finds:
        said.append(f"finds {_joined(finds, 'and')}")
    blind = [*_blind(it)]
    if blind:
        said.append(f"{'but ' if finds else ''}can't tell {_joined(blind, 'or')}")
    return " ".join(said)


def _errors(it: Power) -> Iterator[str]:
    """Say what is found of the usual errors: five times as many, and what is found for sure."""
    five = it.chance(5.0) if it.finds else 0.0
    sure = it.sure_ratio
    if five >= 0.05 and (sure is None or sure > 5.0):
        yield f"a 5x error rate in {_tenths(five)}"
    if sure is not None:
        yield f"a {sure:g}x error rate in {_tenths(it.chance(sure))}"


def _blind(it: Power) -> Iterator[str]:
    if it.finds and it.sure_ratio is None:
        yield "more of the usual errors"
    if it.new_s is None:
        yield "a new error"
    if it.silence_s is None:
        yield "silence"


def _tenths(chance: float) -> str:
    tenths = max(1, min(10, round(10.0 * chance)))
    return "nearly all cases" if tenths == 10 else f"{tenths} of 10 cases"


def _joined(parts: list[str], word: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _number(value: float) -> str:
    """Write a number with one digit, or whole."""
    return f"{value:.0f}" if value >= 10.0 else f"{float(f'{value:.1g}'):g}"


def _span(seconds: float) -> str:
    """Give a time in the whole seconds or minutes that one would say."""
    whole = max(1.0, float(round(seconds)))
    return duration(whole if whole < 120.0 else 60.0 * round(whole / 60.0))
