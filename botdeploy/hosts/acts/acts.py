"""A typed function for each act on a host: arguments in, parsed outcome back."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core import host_state
from botdeploy.core.release.manifest import Manifest, parse_manifest
from botdeploy.core.rollout.running import unit_of
from botdeploy.core.text.printable import visible
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.untrusted import LATEST_US, instant, real, told, whole
from botdeploy.errors import ActFailed, HostError, OutcomeUnknown
from botdeploy.hosts import host_program
from botdeploy.hosts.acts.records import (
    NameTaken,
    ProgramMissing,
    Record,
    Reply,
    believed,
    raise_fault,
    read_record,
    read_reply,
    unit_in,
    unsaid,
)
from botdeploy.hosts.host_secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from botdeploy.core.host_state import HostState, RefusedError
    from botdeploy.core.model.address import Address
    from botdeploy.core.rollout.running import Unit
    from botdeploy.hosts.process.program import Completed, HostConnection, Session

QUICK_S = 60.0
"""Longest time for an act that only reads or writes state."""
CHECK_S = 180.0
"""Longest time for a check, which tries a unit's settings one by one where not all work."""
SWITCH_S = 930.0
"""Longest time for a stop (which a unit may take 15 minutes for) and a start."""
MOST_REFUSED = 950
"""Bytes of an error that a release was refused for, as an argument."""
STAGE_S = 1900.0
"""Longest time for an upload and the release's own build."""
MOST_BYTES = 1 << 31
"""Bytes of a release, packed, that are taken from a host."""
MOST_SAID = 900
"""Bytes of a text that an act takes down."""
MOST_AUDITED = 1000
"""Entries of the audit log that are read."""
MOST_MANIFEST = 64 * 1024 * 1024
"""Bytes of a manifest: half a million files."""


@dataclass(frozen=True, slots=True)
class Switched:
    """The host runs the new release and it showed that it is ready."""

    old: str
    downtime_s: float
    """From the order to stop until ready."""
    at_us: int
    """When the old process was told to stop: microseconds UTC, by the host's clock."""
    unseen: str = ""
    """Why it counts as ready although its sign was not seen; else empty."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """The host went back."""

    old: str
    by: str
    why: str
    cause: str
    seconds: float
    is_running: bool
    """False when the release it went back to did not become ready: a person is needed."""
    unseen: str = ""
    """Why that release counts as ready although its sign was not seen; else empty."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A revert found that the host runs its target already."""

    release: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A release as one host has it, to be staged on another."""

    meta: bytes
    """The packed tar of what becomes ``.botdeploy/``; it holds the release's secrets."""
    files: bytes
    """The packed tar of all files."""
    size_bytes: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Entries:
    """What stood in a host's journal, as far back as it was read."""

    rows: Sequence[bytes]
    """journald's JSON, oldest first."""
    is_cut: bool = False
    """Whether older entries were asked for and left out: they were too many, or took too long."""

    @classmethod
    def of(cls, newest_first: list[bytes], record: Record) -> Entries:
        """Put in order what a host sent, with what it said of it."""
        read = record.get("read")
        is_cut = bool(read.get("cut")) if isinstance(read, dict) else True
        return cls(newest_first[::-1], is_cut)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a release on a host says of itself."""

    unit: str
    environment: str
    """With stars for secrets."""


def _switched(record: Record) -> Switched:
    return Switched(
        old=told(record.get("old", "")),
        downtime_s=real(record.get("downtime_s", 0)),
        at_us=whole(record.get("at_us", 0), most=LATEST_US),
        unseen=told(record.get("unseen", "")),
    )


def _reverted(record: Record) -> Reverted:
    return Reverted(
        old=told(record.get("old", "")),
        by=told(record.get("by", "")),
        why=told(record.get("why", "")),
        cause=told(record.get("cause", "")),
        seconds=real(record.get("seconds", 0)),
        is_running=bool(record.get("runs", True)),
        unseen=told(record.get("unseen", "")),
    )


def _item(record: Record) -> Record:
    """Read an item of a check: name, ok, message, mend."""
    return {**_plain(record), "name": told(record["name"]), "ok": bool(record.get("ok"))}


def _entry(record: Record) -> Record:
    """Read an entry of an audit log; one with an impossible time has none."""
    try:
        return {**_plain(record), "at": instant(record.get("at"))}
    except ValueError:
        return {**_plain(record), "at": ""}


def _plain(record: Record) -> Record:
    """Give a record of texts, each on one line; numbers and truths stay."""
    return {
        told(name): value if isinstance(value, bool | int | float | None) else told(value)
        for name, value in record.items()
    }


def _within(size: int) -> int:
    if size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 30} GiB")
    return size


def _unzipped(packed: bytes) -> bytes:
    """Unpack gzip within bounds; raises ValueError or zlib.error."""
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(packed, MOST_MANIFEST)
    if not unpacker.eof:
        raise ValueError("it is cut off, or too large")
    return content


def _not_ok(error: ActFailed) -> Record:
    """Make an item of a check of what kept the check itself from root's rights."""
    said, _, mend = error.message.removeprefix("check: ").partition("; ")
    return {"name": error.code, "ok": False, "message": said, "mend": mend}


def _decoded(text: object) -> str:
    try:
        return base64.b64decode(str(text or "")).decode("utf-8", "replace")
    except ValueError:
        return ""


class Acts:
    """The acts of one bot on one host, over one connection."""

    def __init__(
        self, connection: HostConnection, bot: str, address: Address, mask: Mask | None = None
    ) -> None:
        """Bind the acts to an open connection; ``mask`` learns what its lines must not show."""
        self.mask = Mask() if mask is None else mask
        self.connection = connection
        self.host = connection.host
        self.bot = bot
        self.address = address

    # --- the way there ----------------------------------------------------------------------

    def call(
        self,
        act: str,
        *arguments: object,
        stdin: bytes | Iterable[bytes] = b"",
        timeout_s: float = QUICK_S,
    ) -> Reply:
        """Run one act to its end; raises HostError subclasses, never an exit code."""
        nonce = secrets.token_hex(8)
        command = self._command(nonce, act, arguments)
        done = self.connection.run(command, stdin=self._input(stdin), timeout_s=timeout_s)
        return read_reply(
            self.host, act, done.stdout.split(b"\n"), nonce, done.stderr, user=self._user
        )

    def _command(self, nonce: str, act: str, arguments: Sequence[object]) -> str:
        return host_program.call(
            self.bot,
            nonce,
            act,
            [str(one) for one in arguments],
            with_password=self.address.become_password is not None,
            become_user=self.address.become_user,
        )

    @property
    def _user(self) -> str:
        return str(getattr(self.connection, "user", "") or self.address.user or "")

    def _input(self, stdin: bytes | Iterable[bytes]) -> bytes | Iterable[bytes]:
        password = self.address.become_password
        if password is None:
            return stdin
        first = f"{password}\n".encode()
        if isinstance(stdin, bytes):
            return first + stdin
        return (piece for pieces in ((first,), stdin) for piece in pieces)

    def install(self) -> None:
        """Put this version of the program on the host; repeatable."""
        nonce = secrets.token_hex(8)
        command = host_program.install_command(
            self.bot,
            nonce,
            with_password=self.address.become_password is not None,
            become_user=self.address.become_user,
        )
        done = self.connection.run(
            command, stdin=self._input(host_program.PROGRAM), timeout_s=QUICK_S
        )
        read_reply(self.host, "install", done.stdout.split(b"\n"), nonce, done.stderr)

    # --- look -------------------------------------------------------------------------------

    def observe(self) -> HostState:
        """Read the host's state; changes nothing, also where botdeploy was never before."""
        return self._state(self._look("observe"))

    def check(self, user: str = "", wanted: str = "") -> list[Record]:
        """Try what a rollout needs; one record an item: name, ok, message, mend (and fault).

        The bot is to run as ``user``; ``wanted`` is what a release wants of a host, see
        `botdeploy.core.release.required_programs.encoded`.

        With the rights that a rollout would have: where sudo allows the installed program alone,
        by that one, and where it allows nothing, without root's rights. Raises OutcomeUnknown where
        the host tells of nothing.
        """
        items: list[Record] = []
        words = (user, wanted)
        try:
            try:
                reply = self.call("check", *words, stdin=b"arrived\n", timeout_s=CHECK_S)
            except ProgramMissing:
                reply = self._ephemeral("check", *words, timeout_s=CHECK_S)
        except ActFailed as error:
            if error.code not in {"sudo", "input"}:
                raise
            items = [_not_ok(error)]
            reply = self._unprivileged("check", *words)
        with believed(self.host, "check"):
            items += [_item(record["check"]) for record in reply.records if "check" in record]
            items += [
                self._running(record)
                for record in reply.records
                if "unit" in record and "current" in record
            ]
        if not items:
            raise OutcomeUnknown(self.host, "check: the host told of nothing")
        return items

    def _running(self, record: Record) -> Record:
        """Say whether the bot that should run does, as an item of a check."""
        state = host_state.HostState(current=told(record["current"]), unit=unit_of(record["unit"]))
        fault = host_state.bot_fault(state)
        seen = state.sees(state.current)
        message = fault.why if fault else f"{state.current}: {seen.why or seen.runs.value}"
        item = {"name": "running", "ok": fault is None, "message": message, "mend": ""}
        return {**item, "fault": fault} if fault else item

    def _unprivileged(self, act: str, *arguments: object) -> Reply:
        nonce = secrets.token_hex(8)
        command = host_program.unprivileged_command(
            self.bot, nonce, act, [str(one) for one in arguments]
        )
        done = self.connection.run(command, stdin=host_program.PROGRAM, timeout_s=QUICK_S)
        return read_reply(self.host, act, done.stdout.split(b"\n"), nonce, done.stderr)

    def _look(self, act: str, *arguments: object) -> Reply:
        """Run an act that changes nothing; the program is sent along where it is not installed."""
        try:
            return self.call(act, *arguments)
        except ProgramMissing:
            return self._ephemeral(act, *arguments)

    def _ephemeral(self, act: str, *arguments: object, timeout_s: float = QUICK_S) -> Reply:
        nonce = secrets.token_hex(8)
        done = self._sent_along(nonce, act, *arguments, timeout_s=timeout_s)
        return read_reply(self.host, act, done.stdout.split(b"\n"), nonce, done.stderr)

    def _sent_along(
        self, nonce: str, act: str, *arguments: object, timeout_s: float = QUICK_S
    ) -> Completed:
        command = host_program.ephemeral_command(
            self.bot,
            nonce,
            act,
            [str(one) for one in arguments],
            with_password=self.address.become_password is not None,
            become_user=self.address.become_user,
        )
        return self.connection.run(
            command, stdin=self._input(host_program.PROGRAM), timeout_s=timeout_s
        )

    def _state(self, reply: Reply) -> HostState:
        record = reply.get("state")
        if not isinstance(record, dict):
            raise OutcomeUnknown(self.host, "observe: the host sent no state")
        with believed(self.host, "observe", ActFailed):
            state = host_state.from_record(record)
            if not state.at:
                raise ValueError("it does not say what time it is")
            return state

    def manifest(self, release: str) -> Manifest:
        """Read what a staged release consists of."""
        packed = self.call("manifest", release).get("manifest")
        try:
            return parse_manifest(_unzipped(base64.b64decode(str(packed), validate=True)).decode())
        except (ValueError, zlib.error) as error:
            raise ActFailed(self.host, "manifest", f"{release} is damaged: {error}") from error

    def show(self, release: str) -> Shown:
        """Read what a release says of itself: origin, unit, environment. No secrets."""
        reply = self.call("about", release)
        return Shown(_decoded(reply.get("unit")), _decoded(reply.get("shown")))

    def setup(self, user: str, deployer: str, *, is_dry: bool) -> list[str]:
        """Prepare the host with an administrator's rights; gives what changed or is odd, in words.

        The bot runs as ``user``; ``deployer`` may deploy it afterwards, and nothing else.
        """
        reply = self._ephemeral("setup", *(["--dry-run"] if is_dry else []), user, deployer)
        return [
            told(record[kind])
            for record in reply.records
            for kind in ("change", "note")
            if kind in record
        ]

    def audit(self) -> list[Record]:
        """Read the last entries of the host's audit log."""
        reply = self._look("audit", MOST_AUDITED)
        with believed(self.host, "audit"):
            return [_entry(record["audit"]) for record in reply.records if "audit" in record]

    # --- lock -------------------------------------------------------------------------------

    def enter(
        self,
        token: str,
        ttl_s: int,
        kind: str,
        *,
        user: str,
        owner: str,
        why: str,
        environment: str = "",
        take_over: str = "",
    ) -> tuple[Entered, HostState]:
        """Take the lock, prepare the host and read its state; installs the program if need be.

        Raises OtherEnvironment where the bot there belongs neither to ``environment`` nor to
        the one that is taken over, and NameTaken where the bot's name is that of somebody else's
        unit or folder; that never on the way back, of which one host's word must not keep others.
        """
        about = (user, one_line(owner), one_line(why), environment, take_over)
        try:
            try:
                return self._enter(token, ttl_s, kind, about)
            except ProgramMissing:
                self.install()
                return self._enter(token, ttl_s, kind, about)
        except ActFailed as error:
            if kind != "rollback" and error.code in {"foreign-unit", "foreign-folder"}:
                raise NameTaken(str(error)) from error
            raise

    def _enter(
        self, token: str, ttl_s: int, kind: str, about: Sequence[str]
    ) -> tuple[Entered, HostState]:
        nonce = secrets.token_hex(8)
        arguments = (token, ttl_s, kind, *about)
        command = self._command(nonce, "enter", arguments)
        stdin = self._input(b"")
        session = self.connection.start(command, stdin=stdin if isinstance(stdin, bytes) else b"")
        records: list[Record] = []
        heard = b""
        try:
            for line in session.lines(timeout_s=QUICK_S):
                record = read_record(line, nonce)
                if record is None:
                    heard = line if line.strip() else heard
                    continue
                if "fault" in record:
                    raise_fault(self.host, "enter", record)
                records.append(record)
                if "state" in record:
                    state = self._state(Reply(tuple(records)))
                    return Entered(session, nonce), state
        except TimeoutError as error:
            session.close()
            reason = unsaid(self._user, heard, session.read_error())
            raise OutcomeUnknown(
                self.host, f"enter: the host did not answer in time{reason}"
            ) from error
        except (
            BaseException
        ):  # a refusal too: whoever asks again and again would run out of channels
            session.close()
            raise
        session.close()
        reason = unsaid(self._user, b"" if records else heard, session.read_error())
        raise OutcomeUnknown(self.host, f"enter: the connection ended first{reason}")

    def renew(self, token: str, ttl_s: int) -> None:
        """Renew the lock over whatever connection there is; raises LockedError when it is gone."""
        self.call("renew", token, ttl_s)

    def leave(self, token: str) -> None:
        """Give the lock back over whatever connection there is; harmless when it is gone."""
        self.call("leave", token)

    def unlock(self, who: str) -> Record | None:
        """Take the lock away from whoever has it; gives its holder, or None."""
        found = self.call("unlock", one_line(who)).get("unlocked")
        return _plain(found) if isinstance(found, dict) else None

    # --- release ----------------------------------------------------------------------------

    def stage(
        self,
        token: str,
        release: str,
        base: str | None,
        meta: bytes,
        files: Iterable[bytes],
        *,
        need_bytes: int,
        need_inodes: int,
        rollout: str,
        ring: str,
    ) -> bool:
        """Send a release; gives False when it was there already. Repeatable."""
        reply = self.call(
            "stage",
            token,
            release,
            base or "-",
            len(meta),
            need_bytes,
            need_inodes,
            rollout,
            ring,
            stdin=(piece for pieces in ((meta,), files) for piece in pieces),
            timeout_s=STAGE_S,
        )
        return not any(record.get("already") for record in reply.records)

    def fetch(self, token: str, release: str) -> Fetched:
        """Read a release as it was sent here, to be staged on another host."""
        nonce = secrets.token_hex(8)
        stdin = self._input(b"")
        session = self.connection.start(
            self._command(nonce, "fetch", (token, release)),
            stdin=stdin if isinstance(stdin, bytes) else b"",
        )
        parts: list[list[bytes]] = [[], []]
        about: Record = {}
        part = size = 0
        try:
            for line in session.lines(timeout_s=QUICK_S):
                record = read_record(line, nonce)
                if record is None and not about:
                    continue  # what a login shell prints before anything of ours
                if record is None:
                    parts[part].append(base64.b64decode(line, validate=True))
                elif "fault" in record:
                    raise_fault(self.host, "fetch", record)
                elif "part" in record:
                    part = 1
                elif record.get("final"):
                    return Fetched(
                        b"".join(parts[0]),
                        b"".join(parts[1]),
                        whole(about["size_bytes"]),
                        whole(about["inodes"]),
                    )
                elif isinstance(record["fetch"], dict):
                    about = record["fetch"]
                size = _within(size + len(line))
        except TimeoutError as error:
            raise OutcomeUnknown(self.host, "fetch: the release took too long") from error
        except (ValueError, KeyError) as error:
            raise ActFailed(self.host, "fetch", f"{release} came damaged: {error}") from error
        finally:
            session.close()
        raise OutcomeUnknown(self.host, "fetch: the connection ended in the middle")

    def begin(self, token: str, rollout: str, release: str, ring: str) -> None:
        """Note the rollout on a host that has the release already."""
        self.call("begin", token, rollout, release, ring)

    def end(self, token: str, rollout: str, outcome: str, why: str) -> None:
        """Note how the rollout ended."""
        self.call("end", token, rollout, outcome, one_line(why))

    def switch(self, token: str, run: str, release: str, ttl_s: int) -> Switched | Reverted:
        """Stop the old release and start the new one, under lease. Repeatable by ``run``."""
        reply = self.call("switch", token, run, release, ttl_s, timeout_s=SWITCH_S)
        return self._outcome(reply, "switch")

    def confirm(self, token: str, run: str) -> Unit:
        """Let the host keep what it runs, unless that ended; gives what is known of the unit.

        Raises LeaseLost when it went back already, NotRunning where the bot does not run and
        no person stopped it.
        """
        return self._unit("confirm", self.call("confirm", token, run))

    def extend(self, token: str, run: str, ttl_s: int) -> Unit:
        """Renew the lease; raises LeaseLost when it went back already."""
        return self._unit("extend", self.call("extend", token, run, ttl_s))

    def _unit(self, act: str, reply: Reply) -> Unit:
        return unit_in(self.host, act, next((one for one in reply.records if "unit" in one), {}))

    def revert(
        self,
        token: str,
        run: str,
        target: str | None,
        why: str,
        digest: str = "",
        cause: str = "",
        refused: Sequence[RefusedError] = (),
    ) -> Reverted | Unchanged:
        """Take the host back; ``target`` None means what its last switch recorded.

        ``digest`` is put into quarantine, with the errors that it was ``refused`` for.
        """
        reply = self.call(
            "revert",
            token,
            run,
            target or "-",
            one_line(why),
            digest or "-",
            cause or "person",
            *_refused(refused),
            timeout_s=SWITCH_S,
        )
        unchanged = reply.get("unchanged")
        if isinstance(unchanged, dict):
            return Unchanged(told(unchanged.get("release", "")))
        outcome = self._outcome(reply, "revert")
        if isinstance(outcome, Switched):
            raise ActFailed(self.host, "revert", "the host said that it switched")
        return outcome

    def _outcome(self, reply: Reply, act: str) -> Switched | Reverted:
        with believed(self.host, act):
            switched, reverted = reply.get("switched"), reply.get("reverted")
            if isinstance(switched, dict):
                return _switched(switched)
            if isinstance(reverted, dict):
                return _reverted(reverted)
        raise OutcomeUnknown(self.host, f"{act}: the host did not say how it went")

    def prove(self, token: str, release: str, keep: int, rollout: str, why: str = "") -> None:
        """Note that the release passed on this host and why, and prune old ones.

        Raises NotRunning where it does not run now.
        """
        self.call("prove", token, release, keep, rollout, one_line(why))

    def condemn(
        self, token: str, digest: str, why: str, refused: Sequence[RefusedError] = ()
    ) -> None:
        """Put a release into this host's quarantine, with the errors that it was refused for."""
        self.call("condemn", token, digest, one_line(why), *_refused(refused))

    def gate(self, act: str, who: str, why: str, release: str = "", ring: str = "") -> None:
        """Record a person's ``hold``, ``resume`` or ``approve``."""
        arguments = [act, one_line(who), one_line(why)]
        if act == "approve":
            arguments += [release, ring]
        self.call("gate", *arguments)

    def note(self, who: str, what: str) -> None:
        """Write a line into the host's audit log that is no act on it; repeating it repeats it."""
        self.call("note", one_line(who), one_line(what))

    def follow(self, position: str, most_bytes: int | None = None) -> Session:
        """Start reading the journal from a cursor, or from ``since:SECONDS``.

        What stands there comes newest first, then a ``read`` record, then what is new.
        ``most_bytes`` bounds what stands there, below the host's own bound.
        """
        nonce = secrets.token_hex(8)
        stdin = self._input(b"")
        bound = () if most_bytes is None else (most_bytes,)
        return self.connection.start(
            self._command(nonce, "follow", (position, "hidden", *bound)),
            stdin=stdin if isinstance(stdin, bytes) else b"",
        )

    def entries(self, position: str) -> Entries:
        """Read the journal once, from a cursor (that entry first) or ``since:SECONDS`` on.

        ``since:SECONDS:SECONDS`` leaves out what is younger than the second number of them.
        No more than 16 MB and what comes in five seconds, the newest of it. Raises OutcomeUnknown
        when the connection ended early.
        """
        return self._read("entries", position)

    def lines(self, count: int) -> Entries:
        """Read the last ``count`` journal entries, once, within the same bounds."""
        return self._read("lines", count)

    def _read(self, act: str, what: str | int) -> Entries:
        try:
            return self._read_by_program(act, (what, "hidden"))
        except ProgramMissing:  # told before the first entry
            nonce = secrets.token_hex(8)
            done = self._sent_along(nonce, act, what, "hidden")
            found = done.stdout.split(b"\n")
            reply = read_reply(self.host, act, found, nonce, done.stderr)
            for record in reply.records:
                self.hide(record)
            told = next((one for one in reply.records if "read" in one), {})
            return Entries.of([line for line in found if line.startswith(b"{")], told)

    def _read_by_program(self, act: str, arguments: Sequence[object]) -> Entries:
        nonce = secrets.token_hex(8)
        stdin = self._input(b"")
        session = self.connection.start(
            self._command(nonce, act, arguments),
            stdin=stdin if isinstance(stdin, bytes) else b"",
        )
        rows: list[bytes] = []
        told: Record = {}
        try:
            for line in session.lines(timeout_s=QUICK_S):
                record = read_record(line, nonce)
                if record is None:
                    if line.startswith(b"{"):
                        rows.append(line)
                elif "fault" in record:
                    raise_fault(self.host, act, record)
                elif record.get("final"):
                    return Entries.of(rows, told)
                elif "read" in record:
                    told = record
                else:
                    self.hide(record)
        except TimeoutError as error:
            raise OutcomeUnknown(self.host, f"{act}: the journal took too long") from error
        finally:
            session.close()
        raise OutcomeUnknown(self.host, f"{act}: the connection ended in the middle")

    def hide(self, record: Record) -> None:
        """Learn from a record of a journal's reader which secrets its lines may show."""
        if "hidden" in record:
            self.mask.learn(secret_values(record["hidden"]))

    def evidence(self, release: str) -> bytes | None:
        """Read what was kept of the journal for a release; None when nothing was."""
        packed = self._look("evidence", release).get("evidence")
        if not packed:
            return None
        try:
            return base64.b64decode(str(packed), validate=True)
        except ValueError as error:
            raise ActFailed(self.host, "evidence", f"it is damaged: {error}") from error

    def keep(self, token: str, release: str, evidence: bytes) -> None:
        """Keep evidence on the host, whole or not at all."""
        self.call("keep", token, release, stdin=evidence)


class Entered:
    """A lock that is held over an open session; safe to use from several threads."""

    def __init__(self, session: Session, nonce: str) -> None:
        """Keep the session that ``enter`` left open."""
        self._session = session
        self._nonce = nonce
        self._guard = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the session stands; without it the lock is renewed and given back by acts."""
        session = self._session
        return session.exit_status is None and not session.unknown_because

    def renew(self) -> None:
        """Ask for another term; the answer shows at the next act if it was refused."""
        self._write(b"renew\n")

    def leave(self) -> bool:
        """Give the lock back; False when the host did not say that it has it."""
        self._write(b"leave\n")
        with self._guard:
            try:
                for line in self._session.lines(timeout_s=5.0):
                    record = read_record(line, self._nonce)
                    if record is not None and (record.get("final") or "fault" in record):
                        return True
            except (TimeoutError, OSError, HostError):
                pass
            finally:
                self._session.close()
        return False

    def _write(self, word: bytes) -> None:
        with self._guard:
            try:
                self._session.write(word)
            except (OSError, HostError):
                return


def _refused(errors: Sequence[RefusedError]) -> list[str]:
    """Write errors as arguments, an object each; one that is too long for that is left out."""
    out = []
    for one in errors:
        about = {"fingerprint": one.fingerprint, "release": one.release, "text": one.text}
        text = json.dumps(about, ensure_ascii=False)
        if len(text.encode()) > MOST_REFUSED:
            text = json.dumps({**about, "text": ""}, ensure_ascii=False)
        if len(text.encode()) <= MOST_REFUSED and "\n" not in text:
            out.append(text)
    return out


def one_line(text: str) -> str:
    """Make any text fit for an argument that must be one line."""
    return " ".join(visible(text).split()).encode()[:MOST_SAID].decode("utf-8", "ignore")
