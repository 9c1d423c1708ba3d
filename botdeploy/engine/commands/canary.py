"""Canary and promote: take the lock, find out what the rollout is, run it, give the lock back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host_state import what_is_wrong
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.rollout import decision as decisions
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.decision import Standing
from botdeploy.core.rollout.running import Runs, Seen
from botdeploy.engine.commands import target as targets
from botdeploy.engine.commands.leftovers import revert_leftovers
from botdeploy.engine.commands.next_step import next_decision
from botdeploy.engine.commands.ownership import refuse_others
from botdeploy.engine.commands.target import Target
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.outcome import Ended
from botdeploy.engine.rollout.loop import Run
from botdeploy.engine.watch.watch import Watch
from botdeploy.errors import BotdeployError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host_state import HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.rollout.loop import Options
    from botdeploy.sources.build import Build


class TooFew(BotdeployError):
    """Less than a majority of the hosts can be reached; nothing was touched."""

    exit_code = ExitCode.UNREACHABLE


def canary(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
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
    with dependencies.lock(names, "rollout", options.message or "canary") as lock:
        _need_majority(inventory, lock, dependencies)
        target = targets.named(
            inventory, lock.states, build, release, dependencies.clock, is_forced=is_forced
        )
        if not is_forced:
            targets.refuse_quarantined(inventory, lock.states, target)
        if build is not None:
            build = build.under(target.release)
        revert_leftovers(inventory, dependencies, lock, besides=target.release)
        return _run(inventory, build, dependencies, options, target, lock)


def _run(
    inventory: Inventory,
    build: Build | None,
    dependencies: Dependencies,
    options: Options,
    target: Target,
    lock: EnvironmentLock,
) -> Ended:
    rules = LineRules.from_policy(inventory.policy.judge)
    if build is not None:
        dependencies.mask.add(build.mask)
    watch = (dependencies.make_watch or Watch)(
        dependencies.fleet,
        dependencies.clock,
        lambda: Assembler(rules, dependencies.mask),
        inventory.policy.judge,
        dependencies.on_line,
    )
    try:
        run = Run(inventory, dependencies, lock, watch, target=target, build=build, options=options)
        wrong = _wrong(inventory, run, lock) if options.is_attended else {}
        # A new rollout would find every host proven, and say that it passed.
        if run.members.is_over or (wrong and not run.members.without(Standing.PROVEN)):
            return _nothing_due(target, wrong)
        return _with_wrong(run.go(), wrong)
    finally:
        watch.close()


def _wrong(inventory: Inventory, run: Run, lock: EnvironmentLock) -> dict[str, Seen]:
    """Say what is wrong with bots that have the release already and are not started by this run.

    A bot that ended by itself is started; one that a person stopped is not.
    """
    env, bot, members = inventory.environment, inventory.bot_name, run.members
    return {
        name: Seen(members[name].view.seen.runs, told)
        for name in members.within(Standing.PROVEN)
        if (told := what_is_wrong(env, bot, name, lock.states[name]))
    }


def _told(wrong: Mapping[str, Seen]) -> str:
    return "; ".join(f"{name}: {one.why}" for name, one in wrong.items())


def _nothing_due(target: Target, wrong: Mapping[str, Seen]) -> Ended:
    if not wrong:
        return Ended(ExitCode.DONE, f"{target.release} runs everywhere already; nothing was due")
    told = f"{target.release} is everywhere already and nothing was due, but {_told(wrong)}"
    return _with_wrong(Ended(ExitCode.DONE, told), wrong, is_told=True)


def _with_wrong(ended: Ended, wrong: Mapping[str, Seen], *, is_told: bool = False) -> Ended:
    """Let no run end well where a bot that has the release does not run."""
    if not wrong or ended.code is not ExitCode.DONE:
        return ended
    summary = ended.summary if is_told else f"{ended.summary}; but {_told(wrong)}"
    is_down = any(one.runs is not Runs.RUNNING for one in wrong.values())
    return Ended(ExitCode.HELD if is_down else ExitCode.DONE, summary)


def _need_majority(inventory: Inventory, lock: EnvironmentLock, dependencies: Dependencies) -> None:
    total = len(inventory.hosts)
    if len(lock.entered) * 2 > total:
        return
    emit = dependencies.emitter(inventory.environment)
    for name, error in lock.away.items():
        emit(Kind.HOST_FAILED, host=name, error=error.message)
    told = "; ".join(str(error) for error in lock.away.values())
    raise TooFew(
        f"{len(lock.entered)} of {total} hosts can be worked on, and a rollout needs more than "
        f"half of them, so that two controllers can't both begin. Nothing was changed. {told}"
    )


def promote(inventory: Inventory, dependencies: Dependencies, options: Options) -> Ended:
    """Do what is due now of the rollout that is under way; silent when nothing is.

    Reads everything from the hosts, so that any controller takes the same next step. Hosts that
    were away when a release failed are taken back from it first.
    """
    names = [host.name for host in inventory.hosts]
    states, away = observe(dependencies.fleet, names)
    if len(states) * 2 <= len(names):
        told = "; ".join(str(error) for error in away.values())
        raise TooFew(
            f"{len(states)} of {len(names)} hosts can be reached. Nothing was changed. {told}"
        )
    refuse_others(inventory, states)
    if not _is_due(inventory, states):
        return Ended(ExitCode.DONE, "")
    with dependencies.lock(names, "rollout", "promote") as lock:
        _need_majority(inventory, lock, dependencies)
        swept = revert_leftovers(inventory, dependencies, lock)
        record = rollout_records.newest_under_way(lock.states, inventory.policy)
        if record is None:
            return swept or Ended(ExitCode.DONE, "")
        options = replace(options, is_attended=False)
        ended = _run(inventory, None, dependencies, options, Target.of(record), lock)
    if swept is None:
        return ended
    code = swept.code if ended.code is ExitCode.DONE else ended.code
    return Ended(code, "; ".join(one for one in (swept.summary, ended.summary) if one))


def _is_due(inventory: Inventory, states: Mapping[str, HostState]) -> bool:
    policy = inventory.policy
    return bool(
        rollout_records.newest_under_way(states, policy)
        or rollout_records.leftovers(states, policy)
    )


def due(inventory: Inventory, dependencies: Dependencies) -> Ended:
    """Say what ``promote`` would do; changes nothing."""
    states, unreached = observe(dependencies.fleet, [host.name for host in inventory.hosts])
    policy = inventory.policy
    left = [
        f"take {name} back from a release that failed: {why}"
        for name, (_, why) in rollout_records.leftovers(states, policy).items()
    ]
    record = rollout_records.newest_under_way(states, policy)
    if record is not None:
        decision = next_decision(inventory, states, unreached, record, dependencies.clock.now())
        left.append(f"{record.release}: {decisions.describe(decision)}")
    return Ended(ExitCode.DONE, "; ".join(left) or "nothing is due")
