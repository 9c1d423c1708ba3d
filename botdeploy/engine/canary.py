"""Canary and promote: take the lock, find out what the rollout is, run it, give the lock back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core import plan, rollout
from botdeploy.core.events import Event, Kind
from botdeploy.core.logline import Assembler, LineRules
from botdeploy.core.rollout import Standing
from botdeploy.engine import lock as locking
from botdeploy.engine.outcome import Ended
from botdeploy.engine.run import Run, Target
from botdeploy.engine.underway import (
    UNDER_WAY,
    is_under_way,
    new_rollout,
    newest_under_way,
    records,
)
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
            _staged_target(lock.states, release, tools.clock)
            if release is not None
            else _target(inventory, lock.states, build, tools.clock)
        )
        if not is_forced:
            _refuse_quarantined(inventory, lock.states, target)
        if build is not None:
            build = build.under(target.release)
        return _run(inventory, build, tools, options, target, lock)
    finally:
        lock.leave(tools.fleet)


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
    watch = Watch(
        tools.fleet,
        tools.clock,
        (lambda: Assembler(rules, mask)) if mask is not None else (lambda: Assembler(rules)),
        inventory.policy.judge,
        tools.on_line,
    )
    options = replace(
        options,
        owner=tools.owner,
        approved=options.approved | _approved(lock.states, target.release),
    )
    try:
        run = Run(
            inventory,
            tools.fleet,
            lock,
            watch,
            tools.clock,
            target=target,
            build=build,
            manifests=tools.manifests,
            emit=tools.emit,
            options=options,
            stop=tools.stop,
        )
        standings = {member.view.standing for member in run.hosts.values()}
        if standings == {Standing.PROVEN}:
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
    for name, error in lock.away.items():
        tools.emit(
            Event(
                Kind.HOST_FAILED,
                tools.clock.now(),
                inventory.environment,
                host=name,
                data={"error": error.message},
            )
        )
    told = "; ".join(str(error) for error in lock.away.values())
    raise TooFew(
        f"{len(lock.entered)} of {total} hosts can be worked on, and a rollout needs more than "
        f"half of them, so that two controllers can't both begin. Nothing was changed. {told}"
    )


def _target(
    inventory: Inventory, states: Mapping[str, HostState], build: Build | None, clock: Clock
) -> Target:
    """Name the rollout: one that is under way with the same release goes on."""
    if build is None:
        raise UserError("nothing to release: neither a source nor a release was named")
    digest = build.release.digest
    for record in sorted(records(states), key=lambda one: one.since, reverse=True):
        if record.digest == digest and is_under_way(states, record):
            return Target(record.id, record.release, digest)
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
        last = next((one for one in records(states) if one.release == running), None)
        return Target(last.id if last else new_rollout(clock), running, digest)
    return Target(new_rollout(clock), release, digest)


def _is_everywhere(inventory: Inventory, states: Mapping[str, HostState], release: str) -> bool:
    return all(
        (state := states.get(host.name)) is not None
        and state.running == release
        and state.is_proven(release)
        for host in inventory.hosts
    )


def _staged_target(states: Mapping[str, HostState], release: str, clock: Clock) -> Target:
    found = [one for state in states.values() if (one := state.release(release)) is not None]
    if not found:
        raise UserError(
            f"--release {release}: no host has it; see: botdeploy releases. Nothing was changed"
        )
    for record in records(states):
        if record.release == release and is_under_way(states, record):
            return Target(record.id, release, found[0].digest)
    return Target(new_rollout(clock), release, found[0].digest)


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
        still_there = any(view in (*UNDER_WAY, Standing.PROVEN) for view in views)
        if Standing.RETURNED in views and still_there:
            return  # a failing rollout was cut off half-way: go on taking it back
        raise Quarantined(
            f"{target.release} is in quarantine: it failed before on {name} ({why}). Nothing was "
            "changed. Mend the bot and release again, or insist with --force"
        )


def promote(inventory: Inventory, tools: Tools, options: Options) -> Ended:
    """Do what is due now of the rollout that is under way; silent when nothing is.

    Reads everything from the hosts, so that any controller takes the same next step.
    """
    names = [host.name for host in inventory.hosts]
    seen = tools.fleet.each(names, lambda name: tools.fleet.acts(name).observe())
    states = {name: one for name, one in seen.items() if not isinstance(one, Exception)}
    if len(states) * 2 <= len(names):
        told = "; ".join(str(one) for one in seen.values() if isinstance(one, Exception))
        raise TooFew(
            f"{len(states)} of {len(names)} hosts can be reached. Nothing was changed. {told}"
        )
    if newest_under_way(states) is None:
        return Ended(ExitCode.DONE, "")
    lock = locking.take(
        tools.fleet, names, "rollout", owner=tools.owner, why="promote", clock=tools.clock
    )
    try:
        _need_majority(inventory, lock, tools)
        record = newest_under_way(lock.states)
        if record is None:
            return Ended(ExitCode.DONE, "")
        target = Target(record.id, record.release, record.digest)
        try:
            _refuse_quarantined(inventory, lock.states, target)
        except Quarantined as refused:
            return Ended(ExitCode.HELD, str(refused))
        return _run(inventory, None, tools, replace(options, is_attended=False), target, lock)
    finally:
        lock.leave(tools.fleet)


def due(inventory: Inventory, tools: Tools) -> Ended:
    """Say what ``promote`` would do; changes nothing."""
    names = [host.name for host in inventory.hosts]
    seen = tools.fleet.each(names, lambda name: tools.fleet.acts(name).observe())
    states = {name: one for name, one in seen.items() if not isinstance(one, Exception)}
    record = newest_under_way(states)
    if record is None:
        return Ended(ExitCode.DONE, "nothing is due")
    rings = plan.members(inventory, states, rollout=record.id, release=record.release)
    facts = rollout.Facts(
        policy=inventory.policy,
        members=rings,
        hosts={
            name: rollout.standing_of(states[name], record.release, record.id)
            if name in states
            else rollout.HostView(Standing.AWAY, why=str(seen[name]))
            for hosts in rings.values()
            for name in hosts
        },
        now=tools.clock.now(),
        approved=_approved(states, record.release),
        hold=next((state.hold for state in states.values() if state.hold), ""),
        is_attended=False,
    )
    return Ended(ExitCode.DONE, f"{record.release}: {rollout.describe(rollout.decide(facts))}")


def _approved(states: Mapping[str, HostState], release: str) -> frozenset[str]:
    return frozenset(
        approval.ring
        for state in states.values()
        for approval in state.approvals
        if approval.release == release
    )
