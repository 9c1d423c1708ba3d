"""What a host needs for a rollout: checked, set up by an administrator, and taken away again."""

from __future__ import annotations

from dataclasses import dataclass

from botdeploy.core.host import host_state
from botdeploy.core.host.running import unit_of
from botdeploy.core.text.untrusted import told
from botdeploy.errors import ActFailed, OutcomeUnknown
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing
from botdeploy.hosts.acts.records import Record, one_line, plain
from botdeploy.hosts.host_program import How

CHECK_S = 180.0
"""Longest time for a check, which tries a unit's settings one by one where not all work."""


RETIRE_S = 960.0
"""Longest time for a stop, which a unit may take 15 minutes for."""


@dataclass(frozen=True, slots=True)
class Retired:
    """An instance that was taken away from its machine."""

    release: str
    """What ran; empty where nothing did."""
    data: str
    """The folder of its data, which was kept; empty where there is none."""


class SetupActs(Subject):
    """Checks a host, prepares it, and takes an instance away."""

    def check(self, user: str = "", wanted: str = "", *, of_machine: bool = True) -> list[Record]:
        """Try what a rollout needs; one record an item: name, ok, message, mend (and fault).

        The bot is to run as ``user``; ``wanted`` is what a release wants of a host, see
        `botdeploy.core.release.required_programs.encoded`. Without ``of_machine`` only what an
        instance has for itself: one of a machine's instances is asked for all.

        With the rights that a rollout would have: where sudo allows the installed program alone,
        by that one, and where it allows nothing, without root's rights. Raises OutcomeUnknown where
        the host reports nothing.
        """
        items: list[Record] = []
        words = (user, wanted, *(() if of_machine else ("instance",)))
        try:
            reply = self._caller.look("check", *words, stdin=b"arrived\n", timeout_s=CHECK_S)
        except ActFailed as error:
            if error.code not in {"sudo", "input"}:
                raise
            items = [_not_ok(error)]
            reply = self._caller.call("check", *words, how=How.UNPRIVILEGED)
        with parsing(self._host, "check"):
            items += [_item(record["check"]) for record in reply.records if "check" in record]
            items += [
                _running(record)
                for record in reply.records
                if "unit" in record and "current" in record
            ]
        if not items:
            raise OutcomeUnknown(self._host, "check: the host reported nothing")
        return items

    def retire(self, who: str, *, delete_data: bool = False) -> Retired:
        """Stop an instance and take away its unit, releases and state. Repeatable.

        Its data is kept unless ``delete_data``, and the audit log always. Raises LockedError while
        somebody has its lock, ActFailed while a change is open or where it can't be stopped.
        """
        words = (one_line(who), *(("delete-data",) if delete_data else ()))
        reply = self._caller.call("retire", *words, timeout_s=RETIRE_S)
        with parsing(self._host, "retire"):
            retired = reply.get("retired")
            return Retired(told(retired["release"]), told(retired["data"]))

    def prepare(self, user: str, deployer: str, *, is_dry: bool) -> list[str]:
        """Prepare the host with an administrator's rights; gives what changed or is odd, in words.

        The bot runs as ``user``; ``deployer`` may deploy it afterwards, and nothing else.
        """
        dry = ["--dry-run"] if is_dry else []
        reply = self._caller.call("setup", *dry, user, deployer, how=How.SENT)
        return [
            told(record[kind])
            for record in reply.records
            for kind in ("change", "note")
            if kind in record
        ]


def _item(record: Record) -> Record:
    """Read an item of a check: name, ok, message, mend."""
    return {**plain(record), "name": told(record["name"]), "ok": bool(record.get("ok"))}


def _not_ok(error: ActFailed) -> Record:
    """Make an item of a check of what kept the check itself from root's rights."""
    message, _, mend = error.message.removeprefix("check: ").partition("; ")
    return {"name": error.code, "ok": False, "message": message, "mend": mend}


def _running(record: Record) -> Record:
    """Say whether the bot that should run does, as an item of a check."""
    state = host_state.HostState(current=told(record["current"]), unit=unit_of(record["unit"]))
    fault = host_state.bot_fault(state)
    seen = state.sees(state.current)
    message = fault.why if fault else f"{state.current}: {seen.why or seen.runs.value}"
    item = {"name": "running", "ok": fault is None, "message": message, "mend": ""}
    return {**item, "fault": fault} if fault else item
