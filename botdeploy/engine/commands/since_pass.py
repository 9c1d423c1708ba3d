"""Since the pass: what came to rings that passed, for a person who is to open the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.evidence.proven_past import HISTORY_S
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.text.phrases import count, duration
from botdeploy.engine.evidence.collect import collect
from botdeploy.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.fleet.fleet import Fleet


def since_pass(
    fleet: Fleet, inventory: Inventory, states: Mapping[str, HostState], record: RolloutRecord
) -> list[str]:
    """Say of each host that this rollout has proven what its journal told since, and its uptime.

    The journal is read on from where the last reader stopped; nothing is kept.
    """
    passed = {
        name: staged.proven_us
        for name, state in states.items()
        if (staged := state.release(record.release)) is not None
        and staged.is_proven
        and staged.proven_in == record.id
        and staged.proven_us
        and state.current == record.release
    }

    def read(name: str) -> Evidence:
        rules = LineRules.from_policy(inventory.policy.judge)
        return collect(
            fleet.acts(name),
            record.release,
            states[name],
            Assembler(rules, fleet.mask),
            since_s=HISTORY_S,
            bucket_us=60_000_000,
        )

    seen = fleet.each(passed, read)
    return [
        _describe(name, states[name], seen[name], record.release, passed[name]) for name in passed
    ]


def _describe(
    name: str, state: HostState, evidence: Evidence | HostError, release: str, passed_us: int
) -> str:
    staged = state.release(release)
    passed_s = staged.proven_for_s(state.at) if staged is not None else 0.0
    where = f"{name}, passed {duration(passed_s)} ago"
    if isinstance(evidence, HostError):
        return f"{where}: {evidence.message}"
    since_us = passed_us - passed_us % evidence.bucket_us
    counts = evidence.totals(release, since_us)
    up = _up(state, passed_s)
    errors = f"{count(counts.error_lines, 'error')} in {count(counts.lines, 'line')}"
    crashes = "1 crash" if counts.crashes == 1 else f"{counts.crashes} crashes"
    return f"{where}: {errors}, {crashes}, {up}"


def _up(state: HostState, passed_s: float) -> str:
    if not state.is_running:
        return f"not running now ({state.unit.active_state})"
    for_s = max(0.0, state.uptime_s - state.active_since_us / 1e6)
    return "running all the time" if for_s >= passed_s else f"running for {duration(for_s)}"
