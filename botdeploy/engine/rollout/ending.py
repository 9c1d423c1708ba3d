"""The ending: how a run ends, for now or for good, and what a person is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.events import Kind
from botdeploy.core.host.host_state import BotFault
from botdeploy.core.host.running import Runs
from botdeploy.core.rollout import rollout_records
from botdeploy.core.rollout.host_standing import HOLDING, UNPROVEN, Standing
from botdeploy.core.rollout.next_step import Blame, Reason, Result
from botdeploy.core.text.phrases import few
from botdeploy.engine.outcome import Ended, hint_for
from botdeploy.errors import ExitCode, Hint, Todo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.rollout.next_step import End, Wait
    from botdeploy.engine.rollout.lease_renewal import Leases
    from botdeploy.engine.rollout.rollout_hosts import RolloutHosts
    from botdeploy.engine.rollout.rollout_recorder import RolloutRecorder
    from botdeploy.engine.rollout.soak_evidence import SoakEvidence

_EXIT: Mapping[Result, ExitCode] = {
    Result.DONE: ExitCode.DONE,
    Result.STOPPED: ExitCode.DONE,
    Result.FAILED: ExitCode.FAILED,
    Result.INCONCLUSIVE: ExitCode.HELD,
    Result.UNREACHABLE: ExitCode.UNREACHABLE,
    Result.STUCK: ExitCode.NEEDS_PERSON,
    Result.ABANDONED: ExitCode.HELD,
}


@dataclass(slots=True)
class RunEnd:
    """Leaves hosts so that anybody can go on, and says where they are and what to type next."""

    _hosts: RolloutHosts
    _leases: Leases
    _soak_evidence: SoakEvidence
    _recorder: RolloutRecorder

    # --- for now ----------------------------------------------------------------------------

    def wait(self, wait: Wait, *, has_acted: bool) -> Ended:
        """Leave a rollout that goes on later; a run that did nothing says nothing."""
        self._leases.renew_all()
        is_idle = wait.reason in (Reason.SOAK, Reason.WINDOW, Reason.VERDICT, Reason.WATCH)
        until = wait.until.isoformat(timespec="seconds") if wait.until else None
        due = f", due {until}" if until else ""
        if is_idle and not has_acted:
            return Ended(ExitCode.DONE, self._leases.shortage(), f"{wait.why}{due}")
        if self._hosts.is_attended and wait.reason in (Reason.SOAK, Reason.VERDICT):
            self._soak_evidence.hand_over(self._hosts.ring(wait.ring))
        self._hosts.emit(
            Kind.WAITING,
            ring=wait.ring or None,
            until=until,
            why=wait.why,
            reason=wait.reason.value,
        )
        where = f". {self._where_they_are()}" if wait.reason is Reason.LAPSED else ""
        told = [f"{wait.why}{due}{where}", self._leases.shortage()]
        code = ExitCode.HELD if self._needs_person(wait) else ExitCode.DONE
        steps = [step] if (step := hint_for(wait, self._hosts.release)) is not None else []
        if wait.reason is Reason.REQUIRES:
            steps.append(Hint(Todo.FORCE, name=self._hosts.release))
        return Ended(code, "; ".join(one for one in told if one), hints=tuple(steps))

    def _needs_person(self, wait: Wait) -> bool:
        asks = (
            *(Reason.HOLD, Reason.QUARANTINE, Reason.REQUIRES, Reason.LAPSED),
            Reason.RENUMBERS,
        )
        return wait.reason in asks or (wait.reason is Reason.GATE and not self._hosts.is_attended)

    # --- for good ---------------------------------------------------------------------------

    def end(self, end: End, *, has_acted: bool) -> Ended:
        """Write down how the rollout ended, and say it."""
        code, why = _EXIT[end.result], end.why
        match end.result:
            case Result.FAILED | Result.STUCK if not has_acted and self._hosts.outcome:
                return Ended.silent()  # an earlier run told it and wrote it down
            case Result.FAILED | Result.STUCK if end.blame is Blame.HOST:
                return Ended(code, f"{why}; {self._hosts.release} had passed every ring before")
            case Result.FAILED | Result.STUCK:
                self._recorder.condemn(why)
                if end.result is Result.FAILED and self._may_hold():
                    code = ExitCode.UNREACHABLE
                told = f"{self._hosts.release} failed: {why}. {self._where_they_are()}"
                return Ended(code, told, hints=self._where_to_look(why))
            case Result.ABANDONED:
                self._recorder.end(rollout_records.ABANDONED, why)
                over = f"the rollout of {self._hosts.release} is over: {why}. "
                return Ended(code, over + self._where_they_are(), hints=(Hint(Todo.CANARY),))
            case Result.UNREACHABLE:
                where = self._where_they_are()
                told = f"{why}. {where}. The same command goes on from there"
                is_asked = end.reason is Reason.REQUIRES
                steps = (Hint(Todo.FORCE, name=self._hosts.release),) if is_asked else ()
                return Ended(code, told, hints=steps)
            case Result.INCONCLUSIVE:
                self._leases.renew_all()
                return Ended(
                    code,
                    f"inconclusive: {why}; nothing was promoted",
                    hints=self._on_or_back(),
                )
            case Result.STOPPED:
                self._recorder.end(rollout_records.ABANDONED, why)
                return Ended(code, f"{self._hosts.release}: {why}")
            case Result.DONE:
                return self._done(why, has_acted=has_acted)

    def _where_to_look(self, why: str) -> tuple[Hint, ...]:
        """Give the logs of the host that a failure begins with, and of those that are stuck."""
        members = self._hosts
        stuck = members.within(Standing.STUCK)
        hosts = [name for name in members.within() if why.startswith(f"{name}: ") or name in stuck]
        return (Hint(Todo.LOGS, tuple(hosts)),) if hosts else ()

    def _done(self, why: str, *, has_acted: bool) -> Ended:
        """Write down that every ring passed; hosts that are away are behind, and told so."""
        has_ended = self._hosts.outcome == rollout_records.PASSED
        if not has_ended and self._hosts.policy.only is None:
            self._recorder.end(rollout_records.PASSED, why)
        elif not has_ended and (others := self._beyond_limit()):
            over = "the chosen hosts have passed; the rollout goes on with"
            told = f"{self._hosts.release}: {over} {few(others)}"
            if not has_acted:
                return Ended.silent(told)
            return Ended(ExitCode.DONE, told, hints=(Hint(Todo.PROMOTE),))
        elif not has_ended:
            self._recorder.end(rollout_records.ABANDONED, "it was limited to some hosts, as asked")
        if has_ended and not has_acted:
            return Ended.silent()
        behind = self._hosts.within(Standing.AWAY)
        told = f"; behind: {', '.join(behind)}" if behind else ""
        faults = {
            name: BotFault(Runs.RUNNING, "", self._hosts.release)
            for name in self._hosts.within(Standing.PROVEN)
            if not self._hosts[name].is_enabled
        }
        return Ended(ExitCode.DONE, f"{self._hosts.release}: {why}{told}", faults=faults)

    def _beyond_limit(self) -> list[str]:
        """Name the other hosts of a rollout that this run was limited in; none if it began so."""
        chosen, rollout = self._hosts.within(), self._hosts.target.rollout
        others = {name: one for name, one in self._hosts.states.items() if name not in chosen}
        is_theirs = all(
            one.rollout is not None and one.rollout.id == rollout for one in others.values()
        )
        return list(others) if is_theirs else []

    def _on_or_back(self) -> tuple[Hint, ...]:
        """Give what may follow an inconclusive verdict; a bot that is down has to be started."""
        members, back = self._hosts, Hint(Todo.ROLLBACK)
        down = [
            name
            for name in members.within(*UNPROVEN)
            if members[name].view.seen.runs in (Runs.STOPPED, Runs.OTHER, Runs.UNKNOWN, Runs.ENDED)
        ]
        if not down:
            return Hint(Todo.APPROVE), back
        is_known = any(members[name].view.seen.runs is not Runs.UNKNOWN for name in down)
        unit = Todo.START_UNIT if is_known else Todo.SHOW_UNIT
        return Hint(unit, tuple(down)), Hint(Todo.PROMOTE), back

    def _may_hold(self) -> bool:
        """Tell whether a host that can't be reached may still run the release.

        A run that did not begin the rollout can't know of any host of a ring that has begun.
        """
        members = self._hosts
        has_begun = False
        for ring in reversed(members.policy.rings):
            hosts = members.rings[ring.name]
            has_begun = has_begun or any(members[name].has_held for name in hosts)
            for name in members.of_ring(ring.name, Standing.AWAY):
                if members[name].has_held or (has_begun and not self._hosts.is_attended):
                    return True
        return False

    def _where_they_are(self) -> str:
        """Tell what runs where after a failure: the state that the hosts are in now."""
        by_state: dict[str, list[str]] = {}
        for name in self._hosts.within():
            by_state.setdefault(self._where(name), []).append(name)
        return "; ".join(f"{', '.join(hosts)}: {text}" for text, hosts in by_state.items())

    def _where(self, name: str) -> str:
        member, state = self._hosts[name], self._hosts.states.get(name)
        runs = (state.running or "nothing") if state is not None else ""
        match member.standing:
            case Standing.AWAY if not member.is_back:
                return f"ran {runs} when last reached" if runs else "not reached"
            case Standing.STUCK:
                return "needs a person"
            case standing if standing in HOLDING:
                return f"runs {self._hosts.release}"
            case _:
                return f"runs {runs or 'nothing'}"
