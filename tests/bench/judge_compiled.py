"""The judge's own numbers, compiled: the source of its numeric modules, run many times.

``bet``, ``rates`` and ``latency`` are loaded from the package's files and compiled with numba;
``Stream`` and ``Play`` are spelt again for arrays. A test holds both to the same evidence.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

import botdeploy.core.judge.baseline_level as level_module
import botdeploy.core.judge.bet as bet_module
import botdeploy.core.judge.latency as latency_module
import botdeploy.core.judge.rates as rates_module
from botdeploy.core.judge import history_model, past_windows, streams
from botdeploy.core.judge.comparison import SHARES
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, NEW_FOR_MIN, WEIGHED, WORK

if TYPE_CHECKING:
    from types import ModuleType

    from tests.bench.judge_scenarios import Floats, Run

_DRIVER = """
def follow(own, own_mean, rest, rest_mean, active, burst, swing, length, doubt, ratios, weights,
           ceiling, minutes, safe, out, safety_out, level_out, outages_in, outages_out, hindsight):
    good = len(safe) - 1
    steps_all = ratio_steps(np.concatenate((ratios, safe)), doubt)
    grid = Grid(doubt / 3.0, lowest_step(steps_all))
    fits = [0.0] * table_size(steps_all)
    steps = steps_all[: len(ratios)]
    safe_steps = steps_all[len(ratios) :]
    null = node_weights()
    safe_null = node_weights()
    late = LATE / minutes
    unspent = LATE
    table = [0.0] * (len(ratios) * NODES)
    for r in range(len(ratios)):
        for z in range(NODES):
            table[r * NODES + z] = (1.0 - unspent) * null[z]
    safe_table = [0.0] * (len(safe) * NODES)
    for r in range(len(safe)):
        for z in range(NODES):
            safe_table[r * NODES + z] = null[z]
    beside = [0.0] * len(outages_in)
    for t in range(len(outages_in)):
        beside[t] = outages_in[t]
    levels = [unseen_baseline(swing).level]
    if hindsight:
        levels = look_back(rest, rest_mean, burst, swing, beside)
    baseline = unseen_baseline(swing)
    for t in range(len(own)):
        if hindsight:
            level = levels[t]
        else:
            enter = enter_beside(outages_in[t]) if len(outages_in) else ENTER
            baseline = follow_baseline(rest[t], rest_mean[t], burst, swing, enter, baseline)
            level = baseline.level
        outages_out[t] = level.outage
        if active[t] and own_mean[t] > 0.0:
            middle = own_mean[t] * level.ratio * exp(-0.5 * doubt * doubt)
            likelihoods(own[t], middle, level.variance, burst, length, grid, fits)
            share = late if unspent >= late else 0.0
            trust = trust_in(level.ratio, level.outage)
            advance(table, null, fits, steps, grid.first, Stake(ceiling, 0.0, share, trust))
            unspent -= share
            if good > 0:
                stake = Stake(CLIP, 1.0 / CLIP, 0.0, 1.0)
                advance(safe_table, safe_null, fits, safe_steps, grid.first, stake)
        out[t] = min(MOST, e_value(table, weights) + unspent)
        level_out[t] = level.ratio
        if good > 0:
            fine = 0.0
            for r in range(good):
                fine += ratio_value(safe_table, r) / good
            safety_out[t] = fine / max(1e-30, ratio_value(safe_table, good))
"""


def _compiled(*modules: ModuleType, extra: str = "") -> dict[str, Any]:
    """Load the sources of modules into one space and compile each function."""
    space: dict[str, Any] = {"np": np, "CLIP": float(np.exp(2.0))}
    sources = [Path(str(module.__file__)).read_text() for module in modules]
    for source in [*sources, extra]:
        text = source.replace("from __future__ import annotations", "")
        exec(compile(text, "judge", "exec"), space)  # noqa: S102 - the project's own files
    for name, one in list(space.items()):
        if inspect.isfunction(one):
            space[name] = numba.njit(one)
    return space


_BET = _compiled(level_module, bet_module, rates_module, extra=_DRIVER)
_LATENCY = _compiled(latency_module)
_WORSE = np.array(streams.WORSE)
_NEW = np.array(streams.NEW)
_NEW_STAKES = np.full(len(_NEW), 1.0 / len(_NEW))
_LESS = np.array(streams.LESS)
_LESS_STAKES = np.array(streams.LESS_STAKES)
_NONE = np.zeros(0)
_AS_IT_COMES, _IN_HINDSIGHT = False, True


class Weighed:
    """What a watch came to, minute by minute."""

    def __init__(self, minutes: int) -> None:
        """Begin with nothing seen."""
        self.parts: dict[str, Floats] = {kind: np.ones(minutes) for kind in SHARES}
        self.safety = np.ones(minutes)
        self.traffic = np.ones(minutes)
        self.slow = np.ones(minutes)
        self.level = np.ones(minutes)
        self.kept: list[tuple[str, tuple[Floats, ...], tuple[Any, ...]]] = []

    @property
    def e_value(self) -> Floats:
        """The whole evidence."""
        return np.sum([share * self.parts[kind] for kind, share in SHARES.items()], axis=0)


class CompiledJudge:
    """The scales on a simulated run."""

    def __init__(self, run: Run, worse: float = 3.0) -> None:
        """Learn the past of all hosts."""
        self.run = run
        self.past = run.scenario.past
        self.hosts = run.scenario.hosts
        self.worse = worse
        past = self.past
        self.lines = run.events[:, :past].mean(axis=1)
        damped = np.log2(1.0 + run.errors)
        often = run.errors[:, :past].sum(axis=(0, 1)) >= 5
        self.apart = [damped[:, :, kind] for kind in range(run.scenario.kinds) if often[kind]]
        self.weighed = damped.sum(axis=2)
        self.blocks = past // rates_module.BLOCK_MIN
        everyone = list(range(self.hosts))
        self.by_traffic = self.lines[:, None] * self._swing(everyone)[None, :]
        self.by_time = np.ones_like(self.by_traffic)
        self.rest_of_kinds = damped[:, :, ~often].sum(axis=2)
        self._young_kinds()
        self.fresh = self._fresh()
        self._fits: dict[str, tuple[Floats, rates_module.Spread]] = {}
        self.length = self._burst_minutes()
        self._latency()

    def _young_kinds(self) -> None:
        """Errors that no past knew are in the total, and in the row of all other kinds."""
        for minute, host, _kind in self.run.unseen:
            self.rest_of_kinds[host, minute] += 1.0
            self.weighed[host, minute] += 1.0

    def _fresh(self) -> list[tuple[int, int, int]]:
        """List the errors that the past's first half does not know, in order."""
        fresh = list(self.run.unseen)
        for kind in range(self.run.scenario.kinds):
            hosts, minutes = np.nonzero(self.run.errors[:, :, kind])
            if not len(minutes) or minutes.min() >= self.past // 2:
                fresh += [
                    (int(minute), int(host), -1 - kind)
                    for host, minute in zip(hosts, minutes, strict=True)
                ]
        return sorted(fresh)

    def _swing(self, hosts: list[int]) -> Floats:
        width = history_model.SWING_MIN
        seen = np.cumsum(np.concatenate([[0.0], self.run.events[hosts].sum(axis=0)]))
        at = np.arange(1, len(seen))
        since = np.maximum(0, at - width)
        mean = self.lines[hosts].sum() * (at - since)
        return (seen[at] - seen[since] + 10.0) / (mean + 10.0)

    def _blocked(self, rows: Floats) -> Floats:
        width = rates_module.BLOCK_MIN
        cut = rows[:, : self.blocks * width].reshape(self.hosts, self.blocks, width)
        return np.ascontiguousarray(cut.sum(axis=2).astype(float).ravel())

    def _fit(self, name: str, rows: Floats, exposure: Floats) -> tuple[Floats, rates_module.Spread]:
        if name not in self._fits:
            rates = np.zeros(self.hosts)
            spread = _BET["learn"](self._blocked(rows), self._blocked(exposure), self.blocks, rates)
            self._fits[name] = rates, spread
        return self._fits[name]

    @property
    def burst(self) -> float:
        """How many weighed errors come together."""
        _, spread = self._fit("weighed", self.weighed, self.by_traffic)
        return float(spread.burst)

    def _burst_minutes(self) -> float:
        rates, _ = self._fit("weighed", self.weighed, self.by_traffic)
        past = slice(0, self.past)
        counts = self.weighed[:, past].astype(float).ravel()
        means = (rates[:, None] * self.by_traffic[:, past]).ravel()
        return float(_BET["burst_minutes"](counts, means, self.past))

    def _latency(self) -> None:
        run, past = self.run, self.past
        n, total, squares = run.events.astype(float), run.work, run.squares

        def flat(rows: Floats) -> Floats:
            return np.ascontiguousarray(rows[:, :past]).ravel()

        self.noise = _LATENCY["noise_of"](flat(n), flat(total), flat(squares))
        self.means = np.array(_LATENCY["usual_means"](flat(n), flat(total), self.hosts))
        self.residual = total - n * self.means[:, None]

    def _gaps(self, canary: int) -> tuple[Floats, Floats]:
        n = self.run.events.astype(float)
        others = [host for host in range(self.hosts) if host != canary]
        own_n, rest_n = n[canary], n[others].sum(axis=0)
        some = (own_n > 0) & (rest_n > 0)
        own_safe, rest_safe = np.maximum(own_n, 1.0), np.maximum(rest_n, 1.0)
        gaps = self.residual[canary] / own_safe - self.residual[others].sum(axis=0) / rest_safe
        return np.where(some, gaps, 0.0), np.where(some, 1.0 / own_safe + 1.0 / rest_safe, 0.0)

    def _slow(self, canary: int, begin: int, active: Floats, into: Weighed) -> None:
        gaps, shares = self._gaps(canary)
        past, minutes = self.past, len(active)
        model = _LATENCY["learn"](gaps[:past], shares[:past], self.noise)
        if self.noise <= 0.0 or model.minutes < latency_module.ENOUGH_MIN:
            into.parts[WORK] = into.parts[WEIGHED]
            return

        def variance(share: Floats) -> Floats:
            return (self.noise * share + model.wander) * model.inflation

        known = shares[:past][shares[:past] > 0.0]
        stakes = np.array(
            _LATENCY["stakes"]((1.0 / variance(known)).sum() / past * minutes, model.hourly)
        )
        span = slice(begin, begin + minutes)
        used = (shares[span] > 0.0) & (active > 0)
        each = np.where(used, 1.0 / variance(np.where(used, shares[span], 1.0)), 0.0)
        weight = np.cumsum(each)
        sums = np.cumsum(np.clip(gaps[span], -model.most, model.most) * each)
        for t in range(minutes):
            into.parts[WORK][t] = _LATENCY["slower_e_value"](
                sums[t], weight[t], model.hourly, stakes
            )
            into.slow[t] = _LATENCY["not_slower_e_value"](sums[t], weight[t], model.hourly)

    def _young(self, canary: int, begin: int, minutes: int, grace: int) -> tuple[Floats, float]:
        """Count young errors as the table does: the past for its rate, the watch for the canary."""
        half = self.past // 2
        first: dict[int, int] = {}
        last: dict[tuple[int, int], int] = {}
        on: dict[int, set[int]] = {}
        rows = np.zeros((self.hosts, self.past + self.run.scenario.watch))
        had = False
        unseen = self.fresh
        for minute, _host, kind in unseen:
            first.setdefault(kind, minute)
        at = 0
        while at < len(unseen):
            minute = unseen[at][0]
            now = []
            while at < len(unseen) and unseen[at][0] == minute:
                now.append(unseen[at])
                on.setdefault(unseen[at][2], set()).add(unseen[at][1])
                at += 1
            for host, kind in sorted({(host, kind) for _, host, kind in now}):
                before = last.get((host, kind))
                last[host, kind] = minute
                if before is not None and minute - before < 2:
                    continue
                if minute - first[kind] >= NEW_FOR_MIN or len(on[kind]) > 1:
                    continue
                if minute < self.past and first[kind] < half:
                    continue
                if minute >= self.past > first[kind]:
                    continue
                rows[host, minute] += 1.0
            for minute_host in {host for _, host, _ in now}:
                if minute_host == 0 and self.past <= minute < self.past + grace:
                    count = rows[0, minute]
                    rows[0, minute] = 0.0 if had or not count else 1.0
                    had = had or count > 0
        events = rows[:, half : self.past].sum()
        size = self.hosts * (self.past - half)
        return rows[canary, begin : begin + minutes], (events + 0.5) / max(60.0, size)

    def watch(self, canary: int = 0, begin: int | None = None, grace: int = 2) -> Weighed:
        """Weigh an hour; ``canary`` and ``begin`` other than given replay the past."""
        is_replay = begin is not None
        start = self.past if begin is None else begin
        minutes = past_windows.WINDOW_MIN if is_replay else self.run.scenario.watch
        out = Weighed(minutes)
        active = np.ones(minutes)
        active[: 0 if is_replay else grace] = 0.0
        others = [host for host in range(self.hosts) if host != canary]
        swing = self._swing(others)
        span = slice(start, start + minutes)
        levels = np.zeros(minutes)
        wild = np.zeros(minutes)
        unused = np.zeros(minutes)

        def follow(
            name: str,
            rows: Floats,
            safe: Floats,
            safety: Floats,
            level: Floats,
            outages_in: Floats,
            outages_out: Floats,
            *,
            is_traffic: bool = False,
        ) -> Floats:
            exposure = self.by_time if is_traffic else self.by_traffic
            rates, (burst, swings, wander) = self._fit(name, rows, exposure)
            counts = self._blocked(rows).reshape(self.hosts, self.blocks)[canary].sum()
            doubt = rates_module.doubt(counts, burst, wander)
            size = 1.0 if is_traffic else self.lines[canary]
            mean = rates[canary] * size
            if is_traffic:
                ratios, weights, ceiling = _LESS, _LESS_STAKES, streams.LESS_GAIN
                own = np.full(minutes, mean)
                rest = np.full(minutes, rates[others].sum())
            else:
                ratios = _WORSE
                weights = np.array(_BET["stakes"](mean * minutes / burst, doubt, ratios))
                ceiling = bet_module.greatest_gain(mean)
                own = mean * swing[span]
                rest = (rates[others] * self.lines[others]).sum() * swing[span]
            values = np.ones(minutes)
            counted = (
                rows[canary, span].astype(float),
                own,
                rows[others][:, span].sum(axis=0).astype(float),
                rest,
                active,
            )
            length = 1.0 if is_traffic else self.length
            about = (burst, swings, length, doubt, ratios, weights, ceiling, minutes)
            _BET["follow"](
                *counted,
                *about,
                safe,
                values,
                safety,
                level,
                outages_in,
                outages_out,
                _AS_IT_COMES,
            )
            out.kept.append((name, counted, about))
            return values

        bad = np.array([*streams.FINE, self.bad(self.worse)]) if not is_replay else _NONE
        busy = np.array([*streams.BUSY, 0.2]) if not is_replay else _NONE
        out.parts[WEIGHED] = follow(
            "weighed", self.weighed, bad, out.safety, out.level, _NONE, wild
        )
        out.parts[LINES] = follow(
            "lines", self.run.events, busy, out.traffic, levels, _NONE, unused, is_traffic=True
        )
        rows = [*self.apart, self.rest_of_kinds]
        out.parts["apart"] = np.mean(
            [
                follow(f"k{i}", row, _NONE, unused, levels, wild, unused)
                for i, row in enumerate(rows)
            ],
            axis=0,
        )
        young, rate = self._young(canary, start, minutes, grace)
        values = np.ones(minutes)
        nothing = np.zeros(minutes)
        _BET["follow"](
            young,
            np.full(minutes, rate),
            nothing,
            nothing,
            np.ones(minutes),
            2.0,
            3.0,
            1.0,
            0.5,
            _NEW,
            _NEW_STAKES,
            streams.NEW_GAIN,
            minutes,
            _NONE,
            values,
            unused,
            levels,
            _NONE,
            unused,
            _AS_IT_COMES,
        )
        out.parts[NEW_ERRORS] = values
        self.young = young
        self._slow(canary, start, active, out)
        return out

    def in_hindsight(self, out: Weighed, t: int) -> float:
        """Weigh the minutes up to ``t`` again, knowing what the baseline showed later."""
        parts = self.hindsight_parts(out, t)
        return sum(share * parts[kind] for kind, share in SHARES.items())

    def hindsight_parts(self, out: Weighed, t: int) -> dict[str, float]:
        """Give what each kind of evidence comes to then."""
        many = t + 1
        parts = {kind: float(values[t]) for kind, values in out.parts.items()}
        apart = []
        outages = _NONE
        for name, counted, about in out.kept:
            own, own_mean, rest, rest_mean, active = (one[:many] for one in counted)
            beside = outages if name.startswith("k") else _NONE
            values, unused, shares = np.ones(many), np.zeros(many), np.zeros(many)
            _BET["follow"](
                own,
                own_mean,
                rest,
                rest_mean,
                active,
                *about,
                _NONE,
                values,
                unused,
                unused,
                beside,
                shares,
                _IN_HINDSIGHT,
            )
            if name == "weighed":
                outages = shares
                parts[WEIGHED] = values[t]
            elif name == "lines":
                parts[LINES] = values[t]
            else:
                apart.append(values[t])
        parts["apart"] = float(np.mean(apart))
        return parts

    def bad(self, worse: float) -> float:
        """Give the ratio of weighed errors for ``worse`` times as many errors, or six an hour."""
        self.too_many = max(worse, self._gap_s() / history_model.FLOOR_S)
        whole = int(self.too_many)
        if whole >= 6:
            return self.too_many * self._saturation(6) / 6.0
        low, high = self._saturation(whole), self._saturation(whole + 1)
        return max(1.2, low + (self.too_many - whole) * (high - low))

    def _gap_s(self) -> float:
        errors = self.run.errors.sum(axis=2).astype(float)
        for minute, host, _ in self.run.unseen:
            errors[host, minute] += 1.0
        rates, _ = self._fit("errors", errors, self.by_traffic)
        each_min = rates[0] * self.lines[0]
        return float(60.0 / each_min) if each_min > 0.0 else 1e9

    def _saturation(self, times: int) -> float:
        third = self.past // times
        errors = self.run.errors[:, : third * times]
        parts = errors.reshape(self.hosts, times, third, -1)
        own = sum(1.0 for minute, _, _ in self.run.unseen if minute < third * times)
        single = np.log2(1.0 + parts).sum() + own
        laid = np.log2(1.0 + parts.sum(axis=1)).sum() + own
        return float(times * (laid + 1.0) / (single + 1.0)) if single else float(times)

    def replays(self) -> list[float]:
        """Give the most that each hour of the past comes to."""
        begins = (
            self.past - (window + 1) * past_windows.WINDOW_MIN
            for window in range(past_windows.windows_of(self.past, self.hosts))
        )
        return [
            float(self.watch(host, begin).e_value.max())
            for begin in begins
            for host in range(self.hosts)
        ]
