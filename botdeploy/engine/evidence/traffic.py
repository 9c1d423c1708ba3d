"""Traffic: how much the old release says now, and how much of it is errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.evidence.counts import Counts
from botdeploy.core.evidence.proven_past import HISTORY_S, RECENT_S
from botdeploy.core.judge import JudgeOptions, Preset
from botdeploy.core.judge.pass_caveats import FEW
from botdeploy.core.judge.power import power_of
from botdeploy.core.judge.rates import BLOCK_MIN
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.probes.probe import YOUNG_S, read
from botdeploy.core.text.phrases import duration
from botdeploy.engine.watch.watch import MOST_BASELINE
from botdeploy.errors import HostError
from botdeploy.hosts.journal_reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.line import LineRules
    from botdeploy.core.model.bot import Probe
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Policy, Ring
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts

MOST_HOSTS = 2
"""Hosts that are asked: what they say is alike."""
MOST_LINES = 3000
"""Journal entries that are read of each: the last ones of the last hour."""


LAST_LINES = 200
"""Journal entries in which a level is looked for, the last ones."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was seen on some hosts."""

    hosts: tuple[str, ...]
    lines_per_minute: float
    """Of one host on the mean: lines, and units of work that a probe counts."""
    error_rate: float
    """Errors a line."""
    known_s: float
    """How much of the last hour is known of each."""
    states_levels: bool = True
    """Whether a line says how bad it is, where there are enough to tell."""

    def record(self) -> dict[str, object]:
        """Give it as plain data."""
        return {
            "hosts": list(self.hosts),
            "lines_per_minute": round(self.lines_per_minute, 2),
            "error_rate": round(self.error_rate, 5),
            "known_s": round(self.known_s),
            "states_levels": self.states_levels,
        }


def traffic(
    fleet: Fleet, states: Mapping[str, HostState], rules: LineRules, hosts: Iterable[str]
) -> Traffic | None:
    """Look at the last hour of some of these hosts; None where none runs or can be read.

    Bounded: two hosts, 3,000 journal entries each, and one question to each bot's probe.
    """
    running = [name for name in hosts if name in states and states[name].running][:MOST_HOSTS]
    seen = fleet.each(
        running,
        lambda name: _seen(
            fleet.acts(name), states[name], Assembler(rules), fleet.host(name).bot.probe
        ),
    )
    found = {name: one for name, one in seen.items() if not isinstance(one, HostError)}
    known_s = sum(one.known_s for one in found.values())
    lines = sum(one.a_minute * one.known_s for one in found.values())
    errors = sum(one.errors_a_minute * one.known_s for one in found.values())
    if known_s <= 0.0:
        return None
    rate = min(1.0, errors / lines) if lines > 0.0 else 0.0
    seen_lines = sum(one.lines for one in found.values())
    states_levels = seen_lines < FEW or any(one.states_levels for one in found.values())
    return Traffic(tuple(found), lines / known_s, rate, known_s / len(found), states_levels)


def states_no_level(acts: Acts, rules: LineRules) -> bool:
    """Tell whether none of a bot's last lines says how bad it is; False where they are few."""
    read = JournalReader(Assembler(rules)).read(acts.journal.lines(LAST_LINES))
    own = [line for line in read.lines if line.system is None]
    return len(own) >= FEW and not any(line.states_level for line in own)


@dataclass(frozen=True, slots=True)
class _Seen:
    a_minute: float
    errors_a_minute: float
    known_s: float
    lines: int
    states_levels: bool


def _seen(acts: Acts, state: HostState, assembler: Assembler, probe: Probe | None) -> _Seen:
    now_us = state.at_us
    begin_us = now_us - RECENT_S * 1_000_000
    read = JournalReader(assembler).read(acts.journal.lines(MOST_LINES))
    if read.entries >= MOST_LINES or read.is_cut:
        begin_us = max(begin_us, read.first_us)
    elif read.first_us:
        # a bot that is younger than an hour
        begin_us = max(begin_us, min(read.first_us, now_us - 10_000_000))
    minutes = max(1e-3, (now_us - begin_us) / 6e7)
    counts, levels = Counts(), 0
    for line in read.lines:
        if begin_us <= line.at_us:
            counts.add(line)
            levels += line.states_level
    work, wrong = _by_probe(acts, probe) if probe is not None else (0.0, 0.0)
    return _Seen(
        counts.lines / minutes + work,
        counts.error_lines / minutes + wrong,
        60.0 * minutes,
        counts.lines,
        levels > 0,
    )


def _by_probe(acts: Acts, probe: Probe) -> tuple[float, float]:
    """Give work and errors a minute since the bot's process began, by its counters."""
    try:
        reading = read(probe.kind, acts.probe.ask(probe))
    except HostError:
        return 0.0, 0.0
    if reading.failure or reading.up_s < YOUNG_S:
        return 0.0, 0.0
    minutes = reading.up_s / 60.0
    return sum(reading.handled.values()) / minutes, sum(reading.errors.values()) / minutes


def forecast(
    inventory: Inventory,
    rings: Mapping[str, Sequence[str]],
    seen: Traffic | None,
) -> dict[str, dict[str, object]]:
    """Say for each ring with a soak what it would find with this traffic."""
    policy = inventory.policy
    out: dict[str, dict[str, object]] = {}
    total = len(inventory.hosts)
    so_far = 0
    for ring in policy.rings:
        members = rings[ring.name]
        so_far += len(members)
        if not ring.soak or not members:
            continue
        known_s = seen.known_s if seen is not None else 0.0
        if ring.soak > policy.attended_soak and known_s >= RECENT_S:
            known_s = float(HISTORY_S)
        options = JudgeOptions.from_policy(policy.judge, ring.soak)
        it = power_of(
            options,
            seen.lines_per_minute if seen is not None else 0.0,
            seen.error_rate if seen is not None else 0.0,
            len(members),
            baseline=min(MOST_BASELINE, total - so_far),
            history_s=known_s,
        )
        out[ring.name] = {
            "text": str(it),
            "lacking": _lacking(policy, ring, options, known_s),
            "preset": it.preset.value,
            "finds": {f"{ratio:g}": round(chance, 2) for ratio, chance in it.finds},
            "new_error_every_s": None if it.new_s is None else round(it.new_s),
            "silence_s": None if it.silence_s is None else round(it.silence_s),
        }
    return out


def _lacking(policy: Policy, ring: Ring, options: JudgeOptions, known_s: float) -> str:
    """Say beforehand that a preset's proof can't be had by the soak's end; else empty."""
    least_s = BLOCK_MIN * 60
    if options.preset is Preset.QUICK or known_s >= least_s:
        return ""
    known = f"{duration(known_s)} of the old release are known" if known_s else "no past is known"
    until_s = min(options.deadline_s, max(policy.attended_soak, ring.soak).total_seconds())
    return (
        f"{options.preset.value} asks for proof, and {known}, less than {duration(least_s)}: "
        f"canary waits up to {duration(until_s)} for it and leaves the rest to promote, until "
        f"{duration(options.deadline_s)} after the switch; then it is inconclusive"
    )
