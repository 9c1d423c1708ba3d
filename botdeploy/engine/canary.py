"""Canary and promote: take the lock, find out what the rollout is, run it, give the lock back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core import plan, rollout, underway
from botdeploy.core.events import Kind
from botdeploy.core.logline import Assembler, LineRules
from botdeploy.core.rollout import Standing
from botdeploy.engine import lock as locking
from botdeploy.engine.naming import new_rollout
from botdeploy.engine.observing import observe
from botdeploy.engine.outcome import Ended
from botdeploy.engine.run import Run, Target, facts_of, view_of
from botdeploy.engine.sweep import sweep
from botdeploy.engine.watch import Watch
from botdeploy.errors import BotdeployError, ExitCode, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.hoststate import HostState
    from botdeploy.core.model import Inventory
    from botdeploy.engine.clock import Clock
    from botdeploy.engine.lock import EnvironmentLock
    from botdeploy.engine.run import Options
    from botdeploy.engine.tools import Tools
    from botdeploy.sources.build import Build

_HOLDING = (Standing.PENDING, Standing.CONFIRMED, Standing.PROVEN)


class Quarantined(BotdeployError):
    """The release failed before; nothing was touched."""

    exit_code = ExitCode.HELD


class TooFew(BotdeployError):
    """Less than a majority of the hosts can be reached; nothing was touched."""

    exit_code = ExitCode.UNREACHABLE


def canary(
    inventory: Inventory,
    build: Build | None,
    tools: Tools,
    options: Options,
    *,
    release: str | None = None,
    is_forced: bool = False,
) -> Ended:
    """Take a build (or an already staged ``release``) through the rings as far as they allow.

    The same command after an interruption goes on where the hosts say that it was. Raises
    LockedError, Quarantined, TooFew and UserError before anything is touched.
    """
    names = [host.name for host in inventory.hosts]
    lock = locking.take(
        tools.fleet,
        names,
        "rollout",
        owner=tools.owner,
        why=options.message or "canary",
        clock=tools.clock,
    )
    try:
        _need_majority(inventory, lock, tools)
        target = (
            _staged_target(inventory, lock.states, release, tools.clock, is_forced=is_forced)
            if release is not None
            else _target(inventory, lock.states, build, tools.clock, is_forced=is_forced)
        )
        if not is_forced:
            _refuse_quarantined(inventory, lock.states, target)
        if build is not None:
            build = build.under(target.release)
        sweep(inventory, tools, lock, besides=target.release)
        return _run(inventory, build, tools, options, target, lock)
    finally:
        lock.leave()


def _run(
    inventory: Inventory,
    build: Build | None,
    tools: Tools,
    options: Options,
    target: Target,
    lock: EnvironmentLock,
) -> Ended:
    rules = line_rules(inventory.policy.judge)
    mask = build.mask if build is not None else None
    watch = (tools.make_watch or Watch)(
        tools.fleet,
        tools.clock,
        (lambda: Assembler(rules, mask)) if mask is not None else (lambda: Assembler(rules)),
        inventory.policy.judge,
        tools.on_line,
    )
    try:
        run = Run(
            inventory,
            tools,
            lock,
            watch,
            target=target,
            build=build,
            options=options,
        )
        if run.is_over:
            return Ended(
                ExitCode.DONE, f"{target.release} runs everywhere already; nothing was due"
            )
        return run.go()
    finally:
        watch.close()


def line_rules(judge: Mapping[str, Any]) -> LineRules:
    """Take what the inventory's ``judge`` says of log lines."""
    return LineRules(
        ignore=tuple(judge.get("ignore", ())),
        fatal=tuple(judge.get("fatal", ())),
        same=tuple(
            one["pattern"] if isinstance(one, dict) else one for one in judge.get("same", ())
        ),
        latency=judge.get("latency"),
        handled=judge.get("handled"),
    )


def _need_majority(inventory: Inventory, lock: EnvironmentLock, tools: Tools) -> None:
    total = len(inventory.hosts)
    if len(lock.entered) * 2 > total:
        return
    tell = tools.teller(inventory.environment)
    for name, error in lock.away.items():
        tell(Kind.HOST_FAILED, host=name, error=error.message)
    told = "; ".join(str(error) for error in lock.away.values())
    raise TooFew(
        f"{len(lock.entered)} of {total} hosts can be worked on, and a rollout needs more than "
        f"half of them, so that two controllers can't both begin. Nothing was changed. {told}"
    )


def _target(
    inventory: Inventory,
    states: Mapping[str, HostState],
    build: Build | None,
    clock: Clock,
    *,
    is_forced: bool,
) -> Target:
    """Name the rollout: one that is under way with the same release goes on."""
    if build is None:
        raise UserError("nothing to release: neither a source nor a release was named")
    digest = build.release.digest
    record = _to_go_on(inventory, states, is_forced=is_forced)
    if record is not None and record.digest == digest:
        return record
    ids = sorted(
        one.id for state in states.values() for one in state.releases if one.digest == digest
    )
    running = next(
        (
            state.running
            for state in states.values()
            if (found := state.release(state.running)) is not None and found.digest == digest
        ),
        None,
    )
    release = running or (ids[-1] if ids else build.release.id)
    if running is not None and _is_everywhere(inventory, states, running):
        last = next((one for one in underway.records(states) if one.release == running), None)
        return Target(last.id if last else new_rollout(clock, states), running, digest)
    return Target(new_rollout(clock, states), release, digest)


def _to_go_on(
    inventory: Inventory, states: Mapping[str, HostState], *, is_forced: bool
) -> Target | None:
    """Give the rollout that is under way, where a person's ``canary`` goes on with it.

    One that failed is not forced on, and one that every host has left begins anew.
    """
    record = underway.newest_under_way(states, inventory.policy)
    if record is None or (is_forced and record.outcome == underway.FAILED):
        return None
    views = [rollout.standing_of(state, record.release, record.id) for state in states.values()]
    has_lapsed = any(view.standing in (Standing.LAPSED, Standing.AWAY) for view in views)
    if has_lapsed and not any(view.standing in _HOLDING for view in views):
        return None
    return Target(record.id, record.release, record.digest)


def _is_everywhere(inventory: Inventory, states: Mapping[str, HostState], release: str) -> bool:
    return all(
        (state := states.get(host.name)) is not None
        and state.running == release
        and state.is_proven(release)
        for host in inventory.hosts
    )


def _staged_target(
    inventory: Inventory,
    states: Mapping[str, HostState],
    release: str,
    clock: Clock,
    *,
    is_forced: bool,
) -> Target:
    found = [one for state in states.values() if (one := state.release(release)) is not None]
    if not found:
        raise UserError(
            f"--release {release}: no host has it; see: botdeploy releases. Nothing was changed"
        )
    record = _to_go_on(inventory, states, is_forced=is_forced)
    if record is not None and record.release == release:
        return record
    return Target(new_rollout(clock, states), release, found[0].digest)


def _refuse_quarantined(
    inventory: Inventory, states: Mapping[str, HostState], target: Target
) -> None:
    for name, state in states.items():
        why = state.quarantine.get(target.digest)
        if why is None:
            continue
        rings = plan.members(inventory, states, rollout=target.rollout, release=target.release)
        views = [
            rollout.standing_of(states[host], target.release, target.rollout).standing
            for hosts in rings.values()
            for host in hosts
            if host in states
        ]
        has_failed = Standing.RETURNED in views or _has_failed(states, target)
        if has_failed and any(view in _HOLDING for view in views):
            return  # a failing rollout was cut off half-way: go on taking it back
        raise Quarantined(
            f"{target.release} is in quarantine: it failed before on {name} ({why}). Nothing was "
            "changed. Mend the bot and release again, or insist with --force"
        )


def _has_failed(states: Mapping[str, HostState], target: Target) -> bool:
    return any(
        record.id == target.rollout and record.outcome == underway.FAILED
        for record in underway.records(states)
    )


def promote(inventory: Inventory, tools: Tools, options: Options) -> Ended:
    """Do what is due now of the rollout that is under way; silent when nothing is.

    Reads everything from the hosts, so that any controller takes the same next step. Hosts that
    were away when a release failed are taken back from it first.
    """
    names = [host.name for host in inventory.hosts]
    states, away = observe(tools.fleet, names)
    if len(states) * 2 <= len(names):
        told = "; ".join(str(error) for error in away.values())
        raise TooFew(
            f"{len(states)} of {len(names)} hosts can be reached. Nothing was changed. {told}"
        )
    if not _is_due(inventory, states):
        return Ended(ExitCode.DONE, "")
    lock = locking.take(
        tools.fleet, names, "rollout", owner=tools.owner, why="promote", clock=tools.clock
    )
    try:
        _need_majority(inventory, lock, tools)
        swept = sweep(inventory, tools, lock)
        record = underway.newest_under_way(lock.states, inventory.policy)
        if record is None:
            return swept or Ended(ExitCode.DONE, "")
        target = Target(record.id, record.release, record.digest)
        ended = _run(inventory, None, tools, replace(options, is_attended=False), target, lock)
    finally:
        lock.leave()
    if swept is None:
        return ended
    code = swept.code if ended.code is ExitCode.DONE else ended.code
    return Ended(code, "; ".join(one for one in (swept.summary, ended.summary) if one))


def _is_due(inventory: Inventory, states: Mapping[str, HostState]) -> bool:
    policy = inventory.policy
    return bool(underway.newest_under_way(states, policy) or underway.leftovers(states, policy))


def due(inventory: Inventory, tools: Tools) -> Ended:
    """Say what ``promote`` would do; changes nothing."""
    states, unreached = observe(tools.fleet, [host.name for host in inventory.hosts])
    policy = inventory.policy
    left = [
        f"take {name} back from a release that failed: {why}"
        for name, (_, why) in underway.leftovers(states, policy).items()
    ]
    record = underway.newest_under_way(states, policy)
    if record is not None:
        away = {name: str(error) for name, error in unreached.items()}
        target = Target(record.id, record.release, record.digest)
        rings = plan.members(
            inventory, states, away, rollout=target.rollout, release=target.release
        )
        hosts = {
            name: view_of(name, states, away, target) for ring in rings.values() for name in ring
        }
        facts = facts_of(policy, rings, hosts, states, target, tools.clock.now())
        decision = rollout.decide(replace(facts, is_attended=False))
        left.append(f"{record.release}: {rollout.describe(decision)}")
    return Ended(ExitCode.DONE, "; ".join(left) or "nothing is due")
