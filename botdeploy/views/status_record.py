"""Status in JSON and in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botdeploy.core.host.host_state import Phase
from botdeploy.core.rollout.next_step import Reason, SwitchOver, Wait
from botdeploy.core.text.phrases import few
from botdeploy.engine.outcome import hint_for
from botdeploy.errors import Hint, Todo
from botdeploy.views import sentences
from botdeploy.views.status import fault_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.model.policy import Requires
    from botdeploy.core.rollout.unnamed import Unnamed
    from botdeploy.engine.commands.status import HostStatus, RolloutStatus, Status
    from botdeploy.errors import HostError

_UNKNOWN = (
    *("current", "previous", "environment", "running", "active_state", "restarts", "since"),
    *("lease_until", "runs", "enabled"),
)
"""Keys of a host that are null where it could not be asked."""


def record(found: Status) -> dict[str, Any]:
    """Give what ``status --json`` prints."""
    inventory = found.inventory
    environment = inventory.environment
    return {
        "environment": environment,
        "bot": inventory.bot_name,
        "rollout": _rollout(found.rollout, found) if found.rollout is not None else None,
        "hosts": [_host(one, found) for one in found.hosts],
        "left_out": dict(inventory.left_out),
        "not_in_inventory": [_unnamed(one, found) for one in found.unnamed],
        "changes_of_form": [one.record() for one in found.successions],
    }


def _unnamed(one: Unnamed, found: Status) -> dict[str, Any]:
    inventory = found.inventory
    step = Hint(Todo.RETIRE, (one.name,))
    return {
        "host": one.name,
        "machine": inventory.host(one.host).machine or None,
        "instance": one.instance or None,
        "next": sentences.command(step, inventory.environment),
    }


def _asked_first(rollout: RolloutStatus, requires: Requires | None) -> str:
    """Say that another environment is asked before the ring begins that is next."""
    decision = rollout.decision
    if requires is None or not isinstance(decision, SwitchOver) or decision.ring == rollout.ring:
        return ""
    return f", unless {requires.environment} has not proven it, which is asked then"


def _rollout(rollout: RolloutStatus, status: Status) -> dict[str, Any]:
    last, decision, environment = rollout.record, rollout.decision, status.inventory.environment
    found: dict[str, Any] = {
        "id": last.id,
        "release": last.release,
        "ring": rollout.ring,
        "state": rollout.state.value,
        "since": last.since,
        "unproven": list(rollout.unproven),
        "sources": [
            {"source": source, "hosts": list(hosts)} for source, hosts in status.sources.items()
        ],
        **dict.fromkeys(("reason", "why", "until", "next")),
    }
    if decision is None:
        return found
    step = hint_for(decision, last.release)
    found["next"] = sentences.command(step, environment) if step is not None else None
    if not isinstance(decision, Wait):
        return {
            **found,
            "why": sentences.decided(decision)
            + _asked_first(rollout, status.inventory.policy.requires),
        }
    # Hosts keep what was read, not what it is worth: that is judged anew by each step.
    judged = "; the next promote judges it, and promote -v says which proof is missing"
    why = decision.why + (judged if decision.reason is Reason.VERDICT else "")
    return {
        **found,
        "reason": decision.reason.value,
        "why": why,
        "until": _stamp(decision.until),
    }


def _host(one: HostStatus, found: Status) -> dict[str, Any]:
    state, inventory = one.state, found.inventory
    about = {
        **inventory.host(one.name).place,
        "ring": one.ring or None,
        "reachable": state is not None,
    }
    if state is None:
        return {**about, **dict.fromkeys(_UNKNOWN), "error": one.error}
    switch, lease = state.switch, None
    if switch is not None and switch.phase is Phase.PENDING:
        lease = _stamp(found.at + timedelta(seconds=switch.lease_left_s))
    wrong = None
    if one.fault is not None:
        wrong = fault_sentence(one.fault, inventory.environment, inventory.host(one.name))
    return {
        **about,
        "current": state.current or None,
        "previous": state.previous or None,
        "environment": (state.rollout.environment if state.rollout else "") or None,
        "running": state.running or None,
        "active_state": state.unit.active_state,
        "restarts": state.unit.restarts,
        "since": _stamp(state.active_since),
        "lease_until": lease,
        "runs": state.sees(state.current).runs.value if state.current else None,
        "enabled": state.unit.is_enabled,
        "error": state.stuck or wrong,
    }


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def releases(
    inventory: Inventory,
    names: Iterable[str],
    states: Mapping[str, HostState],
    away: Mapping[str, HostError],
) -> dict[str, Any]:
    """Give what ``releases --json`` prints."""
    hosts: list[dict[str, Any]] = [
        {
            **inventory.host(name).place,
            "reachable": True,
            "error": None,
            "releases": [
                {
                    "id": one.id,
                    "digest": one.digest,
                    "tree": one.tree or None,
                    "current": one.id == state.current,
                    "previous": one.id == state.previous,
                    "running": one.id == state.running,
                    "proven": state.is_proven(one.id),
                    "quarantined": state.quarantine.get(one.digest),
                }
                for one in state.newest_first
            ],
        }
        if (state := states.get(name)) is not None
        else {**inventory.host(name).place, "reachable": False, "error": away[name].message}
        for name in names
    ]
    return {"environment": inventory.environment, "bot": inventory.bot_name, "hosts": hosts}


def what_comes(rollout: Mapping[str, Any]) -> Iterator[str]:
    """Say what is missing and when it is due; the command stands on a line of its own."""
    if rollout["why"]:
        due = f", due {rollout['until']}" if rollout["until"] else ""
        yield f"  {rollout['reason'] or 'next'}: {rollout['why']}{due}"
    if rollout["unproven"]:
        yield f"  no verdict yet: {', '.join(rollout['unproven'])}"
    for one in rollout["sources"]:
        yield f"  from {one['source']}: {few(one['hosts'])}"
    if rollout["next"]:
        yield "  next:"
        yield str(rollout["next"])
