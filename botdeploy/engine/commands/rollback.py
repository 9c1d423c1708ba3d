"""Rollback: revert every host of the rollout to its previous proven release, all at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host.host_state import bot_fault, meant
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.rollback_target import renumbers, starts_only, ways_back
from botdeploy.engine.event_emitter import told_unseen
from botdeploy.engine.fleet.lock import PATIENCE_S
from botdeploy.engine.fleet.observe import observe
from botdeploy.engine.fleet.ownership import refuse_others
from botdeploy.engine.outcome import Ended
from botdeploy.engine.rollout.rollout_ids import new_rollout
from botdeploy.errors import ExitCode, Hint, HostError, Todo, UserError
from botdeploy.hosts.acts.faults import is_other_form
from botdeploy.hosts.acts.switch import Reverted, Unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.host.host_state import BotFault, HostState
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.rollout.rollback_target import WayBack
    from botdeploy.engine.dependencies import Dependencies
    from botdeploy.engine.event_emitter import EventEmitter
    from botdeploy.engine.fleet.lock import EnvironmentLock
    from botdeploy.engine.fleet.locked_fleet import LockedFleet

INSIST_S = 60.0
"""How long a host whose answer was cut off is asked again whether it is back."""


def rollback(
    inventory: Inventory,
    hosts: Sequence[str],
    dependencies: Dependencies,
    *,
    to: str | None = None,
    keep: bool = False,
    why: str = "rollback",
) -> Ended:
    """Take hosts back at once and see that they run; one that hangs keeps no other waiting.

    A second rollback changes nothing. Takes the lock from a rollout, but not from another
    rollback. Raises UserError (exit 2) where there is nothing proven to return to, or the bot
    stands on every host in its other form.
    """
    with dependencies.lock(hosts, "rollback", why, patience_s=PATIENCE_S) as lock:
        locked_fleet = dependencies.locked_fleet(lock)
        if not lock.entered or to is not None:
            lock.await_late(locked_fleet.ticker.tick)
        if not lock.entered:
            told = "; ".join(str(error) for error in lock.away.values())
            if all(is_other_form(error) for error in lock.away.values()):
                raise UserError(f"{told}. Nothing was changed")
            return Ended(ExitCode.UNREACHABLE, f"no host can be reached: {told}")
        to = to and meant(to, lock.states)
        ways = ways_back(lock.states, hosts, to)
        if lock.late and not any(way.goes for way in ways.values()):
            lock.await_late(locked_fleet.ticker.tick)
            ways = ways_back(lock.states, hosts, to)
        _need_way(ways)
        _need_all(inventory, hosts, lock.states, ways)
        is_whole = set(hosts) == {host.name for host in inventory.hosts}
        is_condemned = is_whole and not keep and any(way.goes for way in ways.values())
        work = _Work(
            inventory, dependencies, locked_fleet, why, to=to, keep=keep, is_condemned=is_condemned
        )
        if starts_only(ways.values()):
            work.leave_rollout()
        results = work.go(ways)
        late = lock.await_late(locked_fleet.ticker.tick)
        if late:
            later = ways_back(lock.states, late, to)
            ways |= later
            results |= work.go(later)
        return _ended(ways, results, lock, "" if is_whole else work.ended())


class _Work:
    """Takes hosts back, each as soon as it can: none waits for another."""

    def __init__(
        self,
        inventory: Inventory,
        dependencies: Dependencies,
        locked_fleet: LockedFleet,
        why: str,
        *,
        to: str | None,
        keep: bool,
        is_condemned: bool,
    ) -> None:
        """Find out which rollout ends, and how.

        One that is condemned (on the hosts, too, that do not go back from it now) has failed:
        hosts that are away go back from it later.
        """
        lock = locked_fleet.lock
        self._locked_fleet, self._states, self._why = locked_fleet, lock.states, why
        self._to, self._keep, self._is_condemned = to, keep, is_condemned
        self._machine_of = inventory.machine_of
        self._try_id = new_rollout(dependencies.clock, lock.states)
        self._emit = dependencies.emitter(inventory.environment)
        record = rollout_records.newest(lock.states)
        ends = record is not None and record.outcome not in (
            rollout_records.FAILED,
            rollout_records.ABANDONED,
        )
        if record is not None and record.outcome == rollout_records.PASSED and not is_condemned:
            ends = False
        self._ending = record if ends else None

    def leave_rollout(self) -> None:
        """Let the rollout go on: nothing is taken from it."""
        self._ending = None

    def ended(self) -> str:
        """Say which rollout is over with it; empty for none."""
        if self._ending is None:
            return ""
        release = self._ending.release
        return f"the rollout of {release} is over, and other hosts keep what they run"

    def go(self, ways: Mapping[str, WayBack]) -> dict[str, Reverted | Unchanged | HostError]:
        """Take back every host that has a way, all at once, and tell how it went."""

        def work(name: str) -> Reverted | Unchanged | None:
            # First the end: who is interrupted on the way back leaves no promote that goes on.
            with suppress(HostError):
                self._end(name, is_going=ways[name].goes)
            return self._revert(ways[name]) if ways[name].goes else None

        results = {}
        # One that only stops goes with the others of its machine, which tell where they go.
        on = self._machine_of
        goes = [name for name, way in ways.items() if not way.stops]
        machines = {on[name] for name in goes}
        alone = [name for name in ways if on[name] not in machines]
        rest = [name for name in ways if name not in goes and name not in alone]
        for names in (alone, goes, rest):
            for name, result in self._locked_fleet.together(names, work).items():
                if ways[name].goes and result is not None:
                    results[name] = result
                    _emit(self._emit, name, result, ways[name])
        return results

    def _end(self, name: str, *, is_going: bool) -> None:
        """Write down that the rollout is over, so that no promote goes on with it."""
        record, acts = self._ending, self._locked_fleet.acts(name)
        if record is None:
            return
        if self._is_condemned and not is_going:
            acts.rollout.condemn(record.digest, self._why)
        if self._is_condemned:
            why = f"{rollout_records.ROLLED_BACK}{self._why}"
            acts.rollout.end(record.id, rollout_records.FAILED, why)
        else:
            acts.rollout.end(record.id, rollout_records.ABANDONED, self._why)

    def _revert(self, way: WayBack) -> Reverted | Unchanged:
        """Take one back to what it recorded, or to what a person named.

        Instances that change their numbers go together, each to a release of its own. So one is
        named to a host only where a person named it; one that has no work by their numbers stops.
        """
        name, locked_fleet = way.host, self._locked_fleet
        state, target = self._states[name], way.target if self._to or way.stops else None
        digest = "" if self._keep else _digest(state, way.running)
        switch, try_id = state.switch, self._try_id
        if target is None and self._keep and switch is not None and state.is_switching:
            try_id = switch.try_id  # asked again, a host that is back goes back no further
        return locked_fleet.again(
            lambda: locked_fleet.acts(name).switch.revert(
                try_id, target, self._why, digest, "person"
            ),
            INSIST_S,
        )


def _digest(state: HostState, release: str) -> str:
    found = state.release(release)
    return found.digest if found is not None else ""


def _down(state: HostState) -> BotFault | None:
    """Tell what is wrong with a bot that stays as it is and does not run; None where it does."""
    fault = bot_fault(state)
    return fault if fault is not None and fault.runs is not Runs.RUNNING else None


def _need_way(ways: Mapping[str, WayBack]) -> None:
    """Refuse when no host has anywhere to go and not all are where they should be."""
    lost = [way for way in ways.values() if not way.is_possible]
    if lost and not any(way.goes for way in ways.values()):
        told = "; ".join(f"{way.host}: {way.why}" for way in lost)
        raise UserError(f"rollback is not possible: {told}. Nothing was changed")


def _need_all(
    inventory: Inventory,
    hosts: Sequence[str],
    states: Mapping[str, HostState],
    ways: Mapping[str, WayBack],
) -> None:
    """Refuse to take some hosts to numbers beside which others run by other ones."""
    others = [one.name for one in inventory.hosts if one.numbers and one.name not in hosts]
    if others and renumbers(states, ways):
        raise UserError(
            "rollback is not possible: instances change their numbers with it, and two would do "
            f"the same work while {', '.join(others)} keeps its own. Nothing was changed. Roll "
            "all of them back, without --limit"
        )


def would_roll_back(
    inventory: Inventory, hosts: Sequence[str], dependencies: Dependencies, to: str | None
) -> Ended:
    """Tell what ``rollback`` would do; changes nothing."""
    states, away = observe(dependencies.fleet, hosts)
    refuse_others(inventory, states)
    to = to and meant(to, states)
    ways = ways_back(states, states, to).values()
    rows = [
        f"{way.host}: {way.running or 'nothing'} → {way.aim}"
        if way.goes
        else f"{way.host}: stays ({way.why})"
        for way in ways
    ]
    rows += [str(error) for error in away.values()]
    if away:
        return Ended(ExitCode.UNREACHABLE, "\n".join(rows))
    if any(not way.is_possible for way in ways):
        return Ended(ExitCode.USAGE, "\n".join(rows))
    return Ended(ExitCode.DONE, "\n".join(rows))


def _emit(
    emit: EventEmitter, name: str, result: Reverted | Unchanged | HostError, way: WayBack
) -> None:
    match result:
        case Reverted():
            emit(
                Kind.REVERTED,
                host=name,
                release=way.running,
                by="controller",
                seconds=result.seconds,
                to=result.now or None,
                **told_unseen(result),
                **({"unit": result.unit} if result.unit else {}),
            )
        case Unchanged():
            return
        case HostError():
            emit(Kind.HOST_FAILED, host=name, release=way.running, error=result.message)


def _runs(result: Reverted | Unchanged) -> str:
    """Give the release that a host says it runs now; empty for none."""
    return result.now if isinstance(result, Reverted) else result.release


def _ended(
    ways: Mapping[str, WayBack],
    results: Mapping[str, Reverted | Unchanged | HostError],
    lock: EnvironmentLock,
    over: str,
) -> Ended:
    back, bad, unready, lost, astray, away = [], [], [], [], [], lock.away
    for name, result in results.items():
        match result:
            case Reverted() | Unchanged() if (now := _runs(result)) != ways[name].aims_at:
                aim = ways[name].aim or "nothing"
                bad.append(f"{name} runs {now or 'nothing'}, and was to go back to {aim}")
                astray.append(name)
            case Reverted(is_running=True) | Unchanged():
                back.append(f"{name} runs {ways[name].aim}")
            case Reverted():
                bad.append(f"{name}: {ways[name].aim} did not become ready")
                unready.append(name)
            case HostError():
                bad.append(f"{result}; it still runs {ways[name].running} as far as is known")
                lost.append(name)
    stays = [way for way in ways.values() if not way.goes]
    bad += [f"{way.host} stays on {way.running}: {way.why}" for way in stays if not way.is_possible]
    kept = [f"{way.host}: {way.why}" for way in stays if way.is_possible]
    kept += [over] if over else []
    faults = {
        way.host: fault
        for way in stays
        if way.is_possible and (fault := _down(lock.states[way.host])) is not None
    }
    bad += [f"{name} stays on {ways[name].running}" for name in faults]
    if bad:
        steps = [Hint(Todo.LOGS, tuple(unready))] if unready else []
        steps += [Hint(Todo.ROLLBACK, tuple(lost))] if lost else []
        steps += [Hint(Todo.STATUS)] if astray else []
        told = "; ".join([*bad, *back, *([over] if over else [])])
        return Ended(ExitCode.NEEDS_PERSON, told, faults=faults, hints=tuple(steps))
    if away:
        told = "; ".join(str(error) for error in away.values())
        return Ended(ExitCode.UNREACHABLE, "; ".join([*back, *kept, told]))
    if not back:
        return Ended(ExitCode.DONE, "nothing to revert: " + "; ".join(kept))
    return Ended(ExitCode.DONE, "; ".join([*back, *kept]))
