"""A host's lock: taken over a call that stays open, renewed and given back over it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from botdeploy.errors import ActFailed, BotdeployError, HostError, OutcomeUnknown
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import (
    NameTaken,
    OtherVersion,
    ProgramMissing,
    is_wrong_password,
)
from botdeploy.hosts.acts.records import one_line, plain
from botdeploy.hosts.acts.state import read_state, read_states
from botdeploy.hosts.host_program import How

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.hosts.acts.call import OpenCall
    from botdeploy.hosts.acts.records import Record

_TAKEN = {"foreign-unit", "foreign-folder", "form", "other-user", "succession"}

LEAVE_S = 5.0
"""Longest wait for a host to say that it has its lock back."""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """Who wants a host's lock, and what for."""

    kind: str
    """``rollout`` or ``rollback``."""
    owner: str
    why: str
    user: str = ""
    """The user that the bot is to run as."""
    environment: str = ""
    """The environment that the bot on this host must belong to, where it belongs to any."""
    take_over: str = ""
    """Another one that it may belong to."""
    form: str = ""
    """The instance that takes the place of what stands in the other form; ``-``: the plain one."""


class Entered:
    """A lock that is held over an open call; safe to use from several threads."""

    def __init__(self, call: OpenCall) -> None:
        """Keep the call that ``enter`` left open."""
        self._call = call

    @property
    def is_open(self) -> bool:
        """Whether the call is open; without it the lock is renewed and given back by acts."""
        return self._call.is_open

    def renew(self) -> None:
        """Ask for another term; the answer shows at the next act if it was refused."""
        self._call.write(b"renew\n")

    def leave(self) -> bool:
        """Give the lock back; False when the host did not say that it has it."""
        self._call.write(b"leave\n")
        with self._call as call:
            try:
                for _ in call.items(LEAVE_S):
                    pass
            except (OutcomeUnknown, OSError):
                return False
            except BotdeployError:
                pass  # it is somebody else's already
            return True


class LockActs(Subject):
    """Takes, renews and gives back a host's lock."""

    def enter(self, ttl_s: int, request: LockRequest) -> tuple[Entered, HostState]:
        """Take the lock, prepare the host and read its state; installs the program if need be.

        Raises OtherVersion where another version's program is there and sudo allows no other,
        OtherEnvironment where the bot there belongs neither to the request's environment
        nor to the one that is taken over, and NameTaken where the bot's name is that of somebody
        else's unit or folder, or of the environment's own bot in the other form, whose place is not
        taken; that never on the way back, of which one host's word must not keep others.
        """
        call, records = self._enter(ttl_s, request)
        try:
            return Entered(call), read_state(self._host, next(iter(records), {}).get("state"))
        except BaseException:
            call.close()
            raise

    def enter_all(
        self, ttl_s: int, request: LockRequest, instances: Sequence[str]
    ) -> tuple[Entered, dict[str, HostState | HostError]]:
        """Take the locks of several instances of one machine, all or none, as ``enter`` does one.

        A state that is damaged is a HostError, unless all are: then the first one is raised.
        """
        call, records = self._enter(ttl_s, request, instances)
        states = read_states(self._host, records, instances)
        faults = [one for one in states.values() if isinstance(one, HostError)]
        if len(faults) == len(states):
            call.close()
            raise faults[0]
        return Entered(call), states

    def _enter(
        self, ttl_s: int, request: LockRequest, instances: Sequence[str] = ()
    ) -> tuple[OpenCall, list[Record]]:
        """Take the lock; gives the call that holds it, and the records of the states."""
        try:
            try:
                return self._open(ttl_s, request, instances)
            except ProgramMissing as missing:
                self._install(missing)
                return self._open(ttl_s, request, instances)
        except ActFailed as error:
            if request.kind != "rollback" and error.code in _TAKEN:
                raise NameTaken(str(error)) from error
            raise

    def _install(self, missing: ProgramMissing) -> None:
        try:
            self._caller.call("install", how=How.INSTALLING)
        except ActFailed as error:
            if error.code == "sudo" and missing.there and not is_wrong_password(error.message):
                raise OtherVersion(self._host, missing.there) from error
            raise

    def _open(
        self, ttl_s: int, request: LockRequest, instances: Sequence[str]
    ) -> tuple[OpenCall, list[Record]]:
        about = (request.user, one_line(request.owner), one_line(request.why))
        environments = (request.environment, request.take_over)
        others = (" ".join(instances), request.form) if instances or request.form else ()
        call = self._caller.open(
            "enter", self._token, ttl_s, request.kind, *about, *environments, *others
        )
        try:
            states = (one for one in call.items() if isinstance(one, dict) and "state" in one)
            return call, list(islice(states, len(instances) or 1))
        except BaseException:
            call.close()  # who asks again and again would run out of sessions
            raise

    def renew(self, ttl_s: int) -> None:
        """Renew the lock over whatever connection there is; raises LockedError when it is gone."""
        self._locked("renew", ttl_s)

    def leave(self) -> None:
        """Give the lock back over whatever connection there is; harmless when it is gone."""
        self._locked("leave")

    def unlock(self, who: str) -> Record | None:
        """Take the lock away from whoever has it; gives its holder, or None."""
        found = self._caller.call("unlock", one_line(who)).get("unlocked")
        return plain(found) if isinstance(found, dict) else None
