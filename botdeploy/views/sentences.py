"""Sentences for people: what a command did, what is wrong, and what to type next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from botdeploy.core.rollout.host_standing import Standing
from botdeploy.core.rollout.next_step import (
    Confirm,
    End,
    Prove,
    Result,
    Revert,
    Stage,
    SwitchOver,
    Wait,
)
from botdeploy.core.text.phrases import few, hosts_on
from botdeploy.errors import Hint, Todo
from botdeploy.views.status import fault_sentence, login

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from botdeploy.core.model.inventory import Host, Inventory
    from botdeploy.core.report.report_model import HostReport
    from botdeploy.core.rollout.next_step import Decision
    from botdeploy.engine.commands.promote import Due
    from botdeploy.engine.outcome import Ended


def outcome(ended: Ended, environment: str, hosts: Mapping[str, Host]) -> str:
    """Say how a command ended: what happened, what is wrong on which host, what to type next."""
    parts = [ended.summary] if ended.summary else []
    parts += [
        f"{name}: {fault_sentence(fault, environment, hosts[name])}"
        for name, fault in ended.faults.items()
    ]
    return with_hints("; ".join(parts), ended.hints, environment, hosts)


def with_hints(
    sentence: str, hints: Iterable[Hint], environment: str, hosts: Mapping[str, Host]
) -> str:
    """Put the commands that may follow behind what was said."""
    return "; ".join([*([sentence] if sentence else []), *_next(hints, environment, hosts)])


def _next(hints: Iterable[Hint], environment: str, hosts: Mapping[str, Host]) -> Iterable[str]:
    """Say each step with its command: the first is what to do next, others come after it."""
    is_first = True
    for step in hints:
        match step.todo:
            case Todo.LOGS:
                for host in step.hosts:
                    yield f"see: botdeploy logs {environment} --limit {host}"
                continue
            case Todo.RELEASES | Todo.STATUS | Todo.HISTORY:
                yield f"see: {command(step, environment)}"
                continue
            case Todo.ROLLBACK if not step.hosts:
                label = "to go back"
            case Todo.TAKE_OVER:
                label = f"to take it from '{step.name}' for good"
            case Todo.FORCE:
                label = "to release it all the same"
                label += "" if step.name else ", with the same options"
            case Todo.RENUMBER:
                label = "to switch all of them together, with the same options"
            case Todo.UNLOCK:
                label = "to remove the lock by hand"
            case _:
                label = "next" if is_first else "then"
        is_first = False
        for text in _commands(step, environment, hosts):
            yield f"{label}: {text}"


def _commands(step: Hint, environment: str, hosts: Mapping[str, Host]) -> Iterable[str]:
    match step.todo:
        case Todo.START_UNIT | Todo.SHOW_UNIT:
            verb = "start" if step.todo is Todo.START_UNIT else "status"
            return _by_login(verb, [hosts[name] for name in step.hosts])
        case Todo.ROLLBACK if step.hosts:
            return tuple(f"botdeploy rollback {environment} --limit {host}" for host in step.hosts)
        case _:
            return (command(step, environment),)


def _by_login(verb: str, hosts: Sequence[Host]) -> Iterable[str]:
    """Give systemctl's commands: one for all plain hosts, else one for each machine."""
    plain = [host for host in hosts if host.instance is None]
    if plain:
        names = ", ".join(host.name for host in plain)
        yield f"on {names}: systemctl {verb} {plain[0].service}"
    services: dict[str, list[str]] = {}
    for host in hosts:
        if host.instance is not None:
            services.setdefault(login(host), []).append(host.service)
    for machine, names_there in services.items():
        yield f"on {machine}: systemctl {verb} {' '.join(names_there)}"


def command(step: Hint, environment: str) -> str:
    """Give the command for a step that is one of ours, for the whole environment."""
    match step.todo:
        case Todo.FORCE:
            which = f" --release {step.name}" if step.name else ""
            return f"botdeploy canary {environment} --force{which}"
        case Todo.RENUMBER:
            return f"botdeploy canary {environment} --yes"
        case Todo.TAKE_OVER:
            return f"botdeploy canary {environment} --take-over {step.name}"
        case Todo.RETIRE:
            return f"botdeploy retire {environment} {shlex.join(step.hosts)}"
        case todo:
            return f"botdeploy {todo.value} {environment}"


_STANDINGS = {
    Standing.PROVEN: "proven",
    Standing.CONFIRMED: "runs it, not proven yet",
    Standing.SAME: "unchanged, keeps what it runs",
    Standing.RETURNED: "reverted",
    Standing.BEHIND: "staged, not switched",
    Standing.UNSTAGED: "not staged",
}


def host_standing(host: HostReport) -> str:
    """Say where a host of a report stands with the release."""
    if not host.is_reached:
        return f"cannot be reached: {host.why}"
    if host.is_refused and host.standing is Standing.CONFIRMED and not host.why:
        return "runs it, although it is in quarantine"
    return host.why or _STANDINGS[host.standing]


_RESULTS = {
    None: "under way",
    Result.DONE: "passed",
    Result.STOPPED: "partly done",
    Result.FAILED: "failed and reverted",
    Result.ABANDONED: "reverted",
    Result.STUCK: "failed, needs a person",
}


def ended(result: Result | None) -> str:
    """Say how a rollout ended; None: it did not."""
    return _RESULTS.get(result) or str(result)


def decided(decision: Decision) -> str:
    """Say what comes next in a rollout."""
    match decision:
        case Stage(hosts):
            return f"stage on {', '.join(hosts)}"
        case SwitchOver(ring, hosts):
            return f"switch {', '.join(hosts)} (ring {ring})"
        case Confirm(ring, hosts):
            return f"confirm {', '.join(hosts)} (ring {ring})"
        case Prove(ring):
            return f"ring {ring} has passed"
        case Revert(hosts, why):
            return f"revert {', '.join(hosts)}: {why}"
        case Wait(_, why, _, until):
            return why + (f", until {until:%Y-%m-%d %H:%M:%S} UTC" if until else "")
        case End(result, why):
            return f"{result.value}: {why}"


def due(found: Due) -> str:
    """Say what ``promote`` would do."""
    parts = [
        f"revert {name}, which runs a release that failed elsewhere: {why}"
        for name, why in found.leftovers.items()
    ]
    if found.decision is not None:
        parts.append(f"{found.release}: {decided(found.decision)}")
    return "; ".join(parts) or "nothing is due"


def values_changed(names: Mapping[str, Sequence[str]] | None) -> str:
    """Say of which variables and secrets a host gets other values, where nothing else changes."""
    if names is None:
        return ""
    told = [f"{kind} {', '.join(names[kind])}" for kind in ("env", "secrets") if names[kind]]
    return f"; the same files, values changed: {', '.join(told)}"


def left_out(inventory: Inventory) -> Iterable[str]:
    """Say which hosts of the inventory are no part of the environment, and why."""
    by_why: dict[str, list[str]] = {}
    for name, why in inventory.left_out.items():
        by_why.setdefault(why, []).append(name)
    for why, names in by_why.items():
        yield f"not part of {inventory.environment}: {few(names)} ({why})"


def labels(inventory: Inventory) -> dict[str, str]:
    """Name each host in front of a line of its own, with its machine where nothing else says it.

    The name of one of several equal instances says it, and so does a single machine.
    """
    counted = {name for names in inventory.several.values() for name in names}
    if len(inventory.machines) == 1:
        return {host.name: host.name for host in inventory.hosts}
    return {
        host.name: host.name
        if host.instance is None or host.name in counted
        else f"{host.name} ({host.on_machine})"
        for host in inventory.hosts
    }


def machine_of(started: Mapping[str, Any]) -> dict[str, str]:
    """Say which machine each host of a rollout is on, as the rollout's first event has it."""
    machines: Mapping[str, Sequence[str]] = started.get("machines", {})
    return {host: machine for machine, hosts in machines.items() for host in hosts}


def on_machines(started: Mapping[str, Any]) -> str:
    """Count a rollout's hosts and machines, where these are fewer."""
    machines = machine_of(started)
    count = len(set(machines.values()))
    return f": {hosts_on(len(machines), count)}" if count < len(machines) else ""


def not_in_inventory(names: Sequence[str], environment: str) -> Iterable[str]:
    """Say which instances stand on the machines of an environment and in no inventory."""
    for name in names:
        step = Hint(Todo.RETIRE, (name,))
        yield f"{name}: not in the inventory; next: {command(step, environment)}"


def of_unit(reverted: Mapping[str, Any]) -> str:
    """Say whose release runs again, where a change of the bot's form was undone."""
    return f" of {reverted['unit']}" if reverted.get("unit") else ""


def changes_of_form(changes: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Say whose place hosts take, and what becomes of that one's data."""
    for one in changes:
        was = f"instance {one['of']}" if one["of"] else "the plain bot"
        stay = ""
        if one["stay"]:
            is_one = len(one["stay"]) == 1
            noun, until = (
                ("instance", "stays until you retire it")
                if is_one
                else ("instances", "stay until you retire them")
            )
            stay = f"; {noun} {', '.join(one['stay'])} {until}"
        yield (
            f"{one['host']} takes the place of {was} on {one['machine']}: its shared data moves "
            f"along{stay}"
        )


def renumbering(numbers: Sequence[Mapping[str, Any]], machines: int = 1) -> Iterable[str]:
    """Say which instances change their numbers, and how they are switched; nothing where none."""
    if not numbers:
        return
    yield (
        f"instances change their numbers: {_numbers(numbers)}. They are switched in one batch, "
        "after all other rings: all of them are dead before the first one starts. One verdict is "
        "about all of them"
    )
    if machines > 1:
        yield (
            f"they are on {machines} machines: if a lease ends on one of them, or on the way back, "
            "old and new numbers may run beside each other until all machines are back"
        )


def not_agreed(numbers: Sequence[Mapping[str, Any]]) -> str:
    """Say which numbers a release would change, and that a person must agree."""
    return (
        f"the release changes instance_index/instance_count of instances: {_numbers(numbers)}. By "
        "old and new numbers side by side two of them would do the same work, so all of them stop "
        "before the first one starts, and a person must agree. Nothing was changed"
    )


def _numbers(numbers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{one['host']} {one['from'] or 'none'} → {one['to'] or 'none'}" for one in numbers
    )


def ignored_arguments(inventory: Inventory) -> Iterable[str]:
    """Say which arguments of ssh are ignored, and for which hosts they were given."""
    hosts: dict[str, list[str]] = {}
    for host in inventory.hosts:
        for argument in dict.fromkeys(host.address.passed_over):
            hosts.setdefault(argument, []).append(host.name)
    for argument, names in hosts.items():
        yield f"{few(names, most=1)}: ssh's {argument} has no effect in botdeploy and is ignored"


def check_item(item: Mapping[str, Any], inventory: Inventory, host: str) -> dict[str, Any]:
    """Put the values of a check's item into its texts, and take them away."""
    shown = {key: value for key, value in item.items() if key not in ("fault", "owner")}
    if fault := item.get("fault"):
        shown["message"] = fault_sentence(fault, inventory.environment, inventory.host(host))
    if owner := item.get("owner"):
        step = Hint(Todo.TAKE_OVER, name=owner)
        shown["mend"] += (
            f". To take it from '{owner}' for good:\n{command(step, inventory.environment)}"
        )
    return shown
