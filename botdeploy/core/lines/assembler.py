"""Journal entries in, log lines out: one line for each thing that a bot or systemd said."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from botdeploy.core.lines import fingerprint as fingerprints
from botdeploy.core.lines.durations import latency_of_text, plausible_ms, read_span_ms
from botdeploy.core.lines.level import (
    Level,
    is_binary,
    level_of_priority,
    level_of_text,
    looks_bad,
)
from botdeploy.core.lines.line import MAX_MESSAGE, LineKind, LineRules, LogLine
from botdeploy.core.lines.multiline import Block, Fit, Loose
from botdeploy.core.lines.stack_trace import begins_trace, read_trace
from botdeploy.core.lines.structured import read_logfmt, read_structured
from botdeploy.core.lines.systemd_record import (
    DUMPED_CORE,
    SystemKind,
    SystemRecord,
    read_system_record,
)
from botdeploy.core.text.credentials import mask_tokens
from botdeploy.core.text.printable import bare
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.untrusted import whole
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botdeploy.core.lines.stack_trace import Trace
    from botdeploy.core.lines.structured import Structured


_MAX_PARTIAL = 1_048_576
_MAX_OPEN = 256


_LATENCY_GROUPS = {"ms": 1.0, "s": 1000.0, "us": 1e-3}
"""Names of a latency's group, and what a bare number in it is in milliseconds."""


class _Rules:
    """Compiled rules."""

    def __init__(self, rules: LineRules) -> None:
        self.ignore = [_compiled("ignore", one) for one in rules.ignore]
        self.fatal = [_compiled("fatal", one) for one in rules.fatal]
        self.same = [(one, _compiled("same", one)) for one in rules.same]
        self.latency = _compiled("latency", rules.latency) if rules.latency else None
        self.handled = _compiled("handled", rules.handled) if rules.handled else None
        if self.latency and not self.latency.groupindex.keys() & _LATENCY_GROUPS.keys():
            raise UserError(
                f"rollout.judge.latency: {rules.latency!r} needs a group named ms, s or us, "
                "as in (?P<ms>[0-9.]+)"
            )

    # An expression sees what is kept of a line: what it takes grows faster than the text.

    def is_ignored(self, text: str) -> bool:
        text = _shortened(text)
        return any(form.search(text) for form in self.ignore)

    def is_fatal(self, text: str) -> bool:
        text = _shortened(text)
        return any(form.search(text) for form in self.fatal)

    def same_as(self, text: str) -> str | None:
        """Name the class that the user made for a text."""
        text = _shortened(text)
        for expression, form in self.same:
            if found := form.search(text):
                return " ".join([f"{fingerprints.SAME}{expression}", *filter(None, found.groups())])
        return None

    def is_handled(self, text: str, latency: float | None) -> bool:
        if self.handled is None:
            return latency is not None
        return self.handled.search(_shortened(text)) is not None


def _compiled(name: str, expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise UserError(f"rollout.judge.{name}: {expression!r}: {error}") from error


_FATAL = re.compile(
    r"(?i)\b(?:ImportError|ModuleNotFoundError|SyntaxError|IndentationError|TabError|MemoryError"
    r"|LoginFailure|PrivilegedIntentsRequired|TokenInvalid|TokenValidationError|UnrecognizedKeyError"
    r"|NoClassDefFoundError|ClassNotFoundException|OutOfMemoryError|UnsupportedClassVersionError"
    r"|LoadError)\b"
)
_FATAL_TEXT = re.compile(
    r"Fatal Python error|Improper token|Cannot find module|ERR_MODULE_NOT_FOUND|heap out of memory"
    r"|Segmentation fault|cannot import name|No module named|error while loading shared libraries"
    r"|(?i:invalid (?:bot )?token|token (?:is )?invalid)|An invalid token was provided"
)
_LOGFMT = re.compile(r"[a-z@_]+=")


_NO_RULES = LineRules()


class _Origin(NamedTuple):
    """Where a line is from."""

    at_us: int
    invocation: str | None
    cursor: str
    pid: str = ""


_IDLE_US = 2_000_000
"""How long an unfinished trace waits for its next entry."""
_SETTLED_US = 500_000
"""The same for what looks complete."""


def _is_fatal(level: Level | None, text: str, trace: Trace | None) -> bool:
    """Whether a person would call an error fatal: by its level, its type or its words."""
    if level is not None and level >= Level.CRITICAL:
        return True
    if trace is None:
        return _FATAL.search(text) is not None or _FATAL_TEXT.search(text) is not None
    return (
        trace.is_fatal
        or _FATAL.search(trace.type) is not None
        or _FATAL_TEXT.search(trace.message) is not None
    )


class Assembler:
    """Turns one host's journal entries, in the journal's order, into log lines.

    An error line waits for a stack trace that may follow it, and a trace for its end: until the
    same process says something else, or ``flush`` finds that nothing came for two seconds.
    """

    def __init__(
        self,
        rules: LineRules = _NO_RULES,
        mask: Callable[[str], str] = mask_tokens,
    ) -> None:
        """Take the user's rules and the mask of credentials.

        Raises UserError for an expression that does not compile.
        """
        self._rules = _Rules(rules)
        self._mask = mask
        self._open: dict[str, Block] = {}
        self._partial: dict[str, tuple[str, int, int]] = {}
        self._last_us = 0
        self._due_us = 0
        self._invocation: str | None = None
        self._is_stopping = False
        self._has_ended_well = False

    # -- what comes in --------------------------------------------------------------------------

    def feed(self, entry: Mapping[str, Any]) -> list[LogLine]:
        """Take one entry of ``journalctl -o json``; give the lines that are complete by now."""
        at_us = self._time_of(entry)
        cursor = entry.get("__CURSOR") or ""
        pid = entry.get("_PID") or ""
        text = _decoded(entry.get("MESSAGE"))
        out = self._expired(at_us) if self._open and at_us >= self._due_us else []
        if pid == "1" or entry.get("MESSAGE_ID"):
            if pid != "1" and entry.get("MESSAGE_ID") == DUMPED_CORE:
                origin = _Origin(at_us, self._invocation, cursor)
                return [*out, self._core_dumped(text, origin)]
            record = read_system_record(
                entry,
                text,
                is_stopping=self._is_stopping,
                has_ended_well=self._has_ended_well,
            )
            if record is not None:
                out.append(self._system_line(entry, record, text, at_us, cursor))
                return out
        invocation = entry.get("_SYSTEMD_INVOCATION_ID") or self._invocation
        if entry.get("_LINE_BREAK") == "line-max":
            self._keep(pid, text, at_us)
            return out
        if self._partial and pid in self._partial:
            before, at_us, _ = self._partial.pop(pid)
            text = before + text
        raw, text = text, self._cleaned(text)
        if is_binary(raw):
            return [*out, self._noise(entry, text, _Origin(at_us, invocation, cursor, pid))]
        block = self._open.get(pid)
        if block is not None:
            if self._goes_on(block, entry, text, at_us, cursor):
                return out
            out += self._closed(pid)
        line = self._line(entry, text, _Origin(at_us, invocation, cursor, pid), pid)
        if line is not None:
            out.append(line)
        if len(self._open) > _MAX_OPEN:
            out += self._closed(min(self._open, key=lambda one: self._open[one].last_us))
        return out

    def flush(self, now_us: int | None = None) -> list[LogLine]:
        """Give what waited long enough by ``now_us`` (the host's clock); without it, everything."""
        if now_us is not None:
            out = self._expired(now_us) if self._open else []
            late = [pid for pid, one in self._partial.items() if one[2] + _IDLE_US <= now_us]
        else:
            out = [line for pid in list(self._open) for line in self._closed(pid)]
            late = list(self._partial)
        for pid in late:
            text, at_us, _ = self._partial.pop(pid)
            origin = _Origin(at_us, self._invocation, "", pid)
            line = self._line({}, self._cleaned(text, is_cut=True), origin, None)
            if line is not None:
                out.append(line)
        return out

    # -- to go on in another process -----------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """Give what waits, as plain data, so that another Assembler goes on as this one would."""
        return {
            "invocation": self._invocation,
            "stopping": self._is_stopping,
            "ended_well": self._has_ended_well,
            "partial": {
                pid: [self._mask(text), at_us, last_us]
                for pid, (text, at_us, last_us) in self._partial.items()
            },
            "open": {
                pid: {
                    **{name: getattr(block, name) for name in Block.__slots__},
                    "lines": list(block.lines),
                    "tail": list(block.tail),
                    "loose": [list(one) for one in block.loose],
                }
                for pid, block in self._open.items()
            },
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``save`` gave; an empty mapping changes nothing.

        Raises ValueError for anything else.
        """
        try:
            invocation = saved.get("invocation", self._invocation)
            partial = {
                str(pid): (str(text), whole(at_us), whole(last_us))
                for pid, (text, at_us, last_us) in (saved.get("partial") or {}).items()
            }
            blocks = {
                str(pid): _block_of(values) for pid, values in (saved.get("open") or {}).items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"nothing to go on from: {error!r}") from error
        self._invocation = None if invocation is None else str(invocation)
        self._is_stopping = bool(saved.get("stopping", self._is_stopping))
        self._has_ended_well = bool(saved.get("ended_well", self._has_ended_well))
        self._partial.update(partial)
        self._open.update(blocks)
        self._due_us = 0

    # -- within ---------------------------------------------------------------------------------

    def _time_of(self, entry: Mapping[str, Any]) -> int:
        """Read an entry's time; of one without, that of the entry before it."""
        try:  # noqa: SIM105 -- contextlib.suppress costs more than all else here, for each entry
            self._last_us = int(entry["__REALTIME_TIMESTAMP"])
        except (KeyError, TypeError, ValueError):
            pass
        return self._last_us

    def _keep(self, pid: str, text: str, at_us: int) -> None:
        """Keep a piece of a line that journald split, until its last piece comes."""
        before, since, _ = self._partial.pop(pid, ("", at_us, at_us))
        if len(self._partial) >= _MAX_OPEN:
            self._partial.pop(next(iter(self._partial)))
        if len(before) < _MAX_PARTIAL:
            before += text
        self._partial[pid] = (before, since, at_us)

    def _cleaned(self, text: str, *, is_cut: bool = False) -> str:
        if not text.isprintable():
            text = bare(text).rstrip()
        if is_cut and isinstance(self._mask, Mask):
            return self._mask.piece(text)
        return self._mask(text)

    def _system_line(
        self, entry: Mapping[str, Any], record: SystemRecord, text: str, at_us: int, cursor: str
    ) -> LogLine:
        invocation = entry.get("INVOCATION_ID") or entry.get("_SYSTEMD_INVOCATION_ID")
        kind = record.kind
        if record.is_new_process:
            self._invocation = invocation or self._invocation
            self._is_stopping = self._has_ended_well = False
        elif kind is SystemKind.DEACTIVATED:
            self._has_ended_well = True
        elif kind in {SystemKind.CRASHED, SystemKind.COREDUMP}:
            self._has_ended_well = False
        elif kind is SystemKind.STOPPING:
            self._is_stopping = True
        elif kind is SystemKind.LIFETIME:
            self._is_stopping = self._has_ended_well = True
        elif kind in {SystemKind.STOPPED, SystemKind.FAILED, SystemKind.RESTART}:
            self._is_stopping = False
        return LogLine(
            at_us,
            LineKind.DROPPED if kind is SystemKind.DROPPED else LineKind.SYSTEMD,
            level_of_priority(entry.get("PRIORITY")),
            self._cleaned(text)[:MAX_MESSAGE],
            None,
            None,
            invocation or self._invocation,
            cursor,
            system=record,
        )

    def _core_dumped(self, text: str, origin: _Origin) -> LogLine:
        """Make an error of what systemd-coredump says: of the main process systemd tells itself."""
        said = self._cleaned(text.partition("\n")[0])
        is_fatal = self._rules.is_fatal(said)
        return self._error_line(LineKind.LOG, said, Level.ERROR, origin, is_fatal=is_fatal)

    def _line(
        self, entry: Mapping[str, Any], text: str, origin: _Origin, pid: str | None
    ) -> LogLine | None:
        """Make a line, or open a block for it and give None; ``pid`` None: never a block."""
        if not text:
            return None
        structured = None
        if text[0] == "{" and text[-1] == "}":
            structured = read_structured(text)
        elif "=" in text and _LOGFMT.match(text):
            structured = read_logfmt(text)
        if structured is not None:
            return self._structured_line(entry, structured, origin)
        level = level_of_text(text)
        is_stated = level is not None
        is_trace = begins_trace(text) or "\nTraceback (most recent" in text
        if level is None:
            level = level_of_priority(entry.get("PRIORITY"))
            if (level is None or Level.DEBUG < level < Level.ERROR) and (
                is_trace or looks_bad(text)
            ):
                level = Level.ERROR
        if level is not None and level >= Level.ERROR and pid is not None:
            at_us, invocation, cursor, _ = origin
            self._begin(pid, Block(at_us, at_us, level, invocation, cursor, is_stated), text)
            return None
        line = self._plain_line(text, level, origin)
        return replace(line, states_level=True) if is_stated else line

    def _noise(self, entry: Mapping[str, Any], text: str, origin: _Origin) -> LogLine:
        """Make a line of what is no text: only its priority, or a rule of the user's, is meant."""
        return self._plain_line(text, level_of_priority(entry.get("PRIORITY")), origin)

    def _plain_line(self, text: str, level: Level | None, origin: _Origin) -> LogLine:
        is_fatal = self._rules.is_fatal(text)
        if is_fatal or (level is not None and level >= Level.ERROR):
            return self._error_line(LineKind.LOG, text, level, origin, is_fatal=is_fatal)
        return self._good_line(text, level, origin, self._latency(text))

    def _structured_line(
        self, entry: Mapping[str, Any], it: Structured, origin: _Origin
    ) -> LogLine:
        message = it.message if not it.error else f"{it.message}: {it.error}"
        level = it.level
        if level is None:
            level = level_of_text(it.message) or level_of_priority(entry.get("PRIORITY"))
            if (level is None or level < Level.ERROR) and (it.trace or looks_bad(it.message)):
                level = Level.ERROR
        latency = it.latency_ms
        if latency is None or self._rules.latency is not None:
            latency = self._latency(message)
        is_fatal = self._rules.is_fatal(message)
        if is_fatal or (level is not None and level >= Level.ERROR):
            kind = LineKind.TRACEBACK if it.trace else LineKind.LOG
            return self._error_line(
                kind,
                message,
                level,
                origin,
                is_fatal=is_fatal,
                trace=it.trace,
                logger=it.logger,
                latency=latency,
            )
        line = self._good_line(message, level, origin, latency)
        return replace(line, states_level=True) if it.level is not None else line

    def _good_line(
        self, text: str, level: Level | None, origin: _Origin, latency: float | None
    ) -> LogLine:
        at_us, run, cursor, pid = origin
        return LogLine(
            at_us,
            LineKind.LOG,
            level,
            text[:MAX_MESSAGE],
            None,
            latency,
            run,
            cursor,
            is_handled=self._rules.is_handled(text, latency),
            pid=pid,
        )

    def _error_line(
        self,
        kind: LineKind,
        text: str,
        level: Level | None,
        origin: _Origin,
        *,
        is_fatal: bool,
        trace: str = "",
        logger: str = "",
        latency: float | None = None,
    ) -> LogLine:
        """Make an error's line; ``trace``: what its record holds beside its text."""
        rules = self._rules
        whole = f"{text}\n{trace}" if trace else text
        name = None
        if rules.is_ignored(whole):
            is_fatal = False
        else:
            read = read_trace(trace or text)
            if read is not None and read.is_bare:
                read = replace(read, message=fingerprints.strip_header(text.partition("\n")[0]))
            if read is not None and "\n" in whole:
                kind = LineKind.TRACEBACK
            of_class = (
                fingerprints.of_text(text, logger) if read is None else fingerprints.of_trace(read)
            )
            name = rules.same_as(whole) or of_class
            is_fatal = is_fatal or _is_fatal(level, text, read)
        at_us, run, cursor, pid = origin
        return LogLine(
            at_us,
            kind,
            level,
            _shortened(whole),
            name,
            latency,
            run,
            cursor,
            is_fatal,
            is_handled=rules.is_handled(text, latency),
            pid=pid,
        )

    def _latency(self, text: str) -> float | None:
        head = text[:MAX_MESSAGE]
        form = self._rules.latency
        if form is None:
            return latency_of_text(head)
        found = form.search(head)
        for name, factor in _LATENCY_GROUPS.items():
            if found and name in form.groupindex and found[name] is not None:
                return plausible_ms(read_span_ms(found[name], factor))
        return None

    # -- blocks -----------------------------------------------------------------------------------

    def _begin(self, pid: str, block: Block, text: str) -> None:
        self._open[pid] = block
        block.append(text, block.at_us, block.cursor)
        due = block.at_us + _SETTLED_US
        self._due_us = due if len(self._open) == 1 else min(self._due_us, due)

    def _goes_on(
        self, block: Block, entry: Mapping[str, Any], text: str, at_us: int, cursor: str
    ) -> bool:
        gap_us = at_us - block.last_us
        if gap_us > _IDLE_US:
            return False
        priority = entry.get("PRIORITY")
        level = level_of_priority(priority)
        is_bad = level is not None and level >= Level.ERROR
        match block.fit(text, gap_us, is_bad=is_bad):
            case Fit.FIRM:
                block.append(text, at_us, cursor)
            case Fit.LOOSE:
                block.wait(text, at_us, cursor, priority)
            case Fit.NO:
                return False
        return True

    def _closed(self, pid: str) -> list[LogLine]:
        """Give a block as its line, and the loose lines after it as their own."""
        block = self._open.pop(pid)
        text, run = block.text, block.invocation
        kind = LineKind.TRACEBACK if block.is_trace and "\n" in text else LineKind.LOG
        origin = _Origin(block.at_us, run, block.cursor, pid)
        is_fatal = self._rules.is_fatal(text)
        line = self._error_line(kind, text, block.level, origin, is_fatal=is_fatal)
        return [line] + [
            self._plain_line(
                one.text,
                level_of_priority(one.priority),
                _Origin(one.at_us, run, one.cursor, pid),
            )
            for one in block.loose
        ]

    def _expired(self, now_us: int) -> list[LogLine]:
        out: list[LogLine] = []
        self._due_us = now_us + _IDLE_US
        for pid in list(self._open):
            block = self._open[pid]
            due = block.last_us + (_SETTLED_US if block.is_complete else _IDLE_US)
            if due <= now_us:
                out += self._closed(pid)
            else:
                self._due_us = min(self._due_us, due)
        return out


def _block_of(values: Mapping[str, Any]) -> Block:
    """Read a block as ``Assembler.save`` gives it."""
    block = Block(
        whole(values["at_us"]),
        whole(values["last_us"]),
        None if values["level"] is None else Level(values["level"]),
        None if values["invocation"] is None else str(values["invocation"]),
        str(values["cursor"]),
        size=whole(values["size"]),
        loose=[
            Loose(str(text), whole(at_us), str(cursor), None if rank is None else str(rank))
            for text, at_us, cursor, rank in values["loose"]
        ],
        lines=[str(one) for one in values["lines"]],
        tail=[str(one) for one in values["tail"]],
    )
    for name in ("is_stated", "is_trace", "is_go", "is_preamble", "is_complete"):
        setattr(block, name, bool(values[name]))
    return block


def message_of(entry: Mapping[str, Any]) -> str:
    """Read an entry's MESSAGE as text, in whatever form journald gives it."""
    return _decoded(entry.get("MESSAGE"))


def _decoded(message: Any) -> str:
    """Read MESSAGE in every form that journald gives it: text, bytes, null, or several of them."""
    if isinstance(message, str):
        return message
    if message is None:
        return ""
    if isinstance(message, list):
        if all(isinstance(one, int) for one in message):
            return bytes(one & 0xFF for one in message).decode("utf-8", "replace")
        return "\n".join(_decoded(one) for one in message)
    return str(message)


def _shortened(text: str) -> str:
    if len(text) <= MAX_MESSAGE:
        return text
    head = MAX_MESSAGE // 2
    return f"{text[:head]}\n…\n{text[head + 3 - MAX_MESSAGE :]}"


def feed_all(assembler: Assembler, entries: Iterable[Mapping[str, Any]]) -> Iterable[LogLine]:
    """Feed entries and flush at their end."""
    for entry in entries:
        yield from assembler.feed(entry)
    yield from assembler.flush()
