"""What one text of a bot's says: its level, whether it is an error, which one, and how bad."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.lines import fingerprint as fingerprints
from botdeploy.core.lines.compiled_rules import CompiledRules, shortened
from botdeploy.core.lines.level import Level, level_of_priority, level_of_text, looks_bad
from botdeploy.core.lines.line import MAX_MESSAGE, LineKind, LineRules, LogLine
from botdeploy.core.lines.multiline import Block
from botdeploy.core.lines.stack_trace import begins_trace, read_trace
from botdeploy.core.lines.structured import read_logfmt, read_structured

if TYPE_CHECKING:
    from botdeploy.core.lines.stack_trace import Trace
    from botdeploy.core.lines.structured import Structured

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


class Origin(NamedTuple):
    """Where a line is from."""

    at_us: int
    invocation: str | None
    cursor: str
    pid: str = ""


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


class LineReader:
    """Makes lines of texts, by the user's rules."""

    def __init__(self, rules: LineRules) -> None:
        """Compile the rules; raises UserError for an expression that does not compile."""
        self._rules = CompiledRules(rules)

    def read(self, text: str, priority: object, origin: Origin) -> LogLine | Block | None:
        """Make a line of a text; a block where a stack trace may follow; None of an empty text."""
        if not text:
            return None
        structured = None
        if text[0] == "{" and text[-1] == "}":
            structured = read_structured(text)
        elif "=" in text and _LOGFMT.match(text):
            structured = read_logfmt(text)
        if structured is not None:
            return self._structured_line(priority, structured, origin)
        level = level_of_text(text)
        is_stated = level is not None
        is_trace = begins_trace(text) or "\nTraceback (most recent" in text
        if level is None:
            level = level_of_priority(priority)
            if (level is None or Level.DEBUG < level < Level.ERROR) and (
                is_trace or looks_bad(text)
            ):
                level = Level.ERROR
        if level is not None and level >= Level.ERROR:
            at_us, invocation, cursor, _ = origin
            block = Block(at_us, at_us, level, invocation, cursor, is_stated)
            block.append(text, at_us, cursor)
            return block
        line = self.plain_line(text, level, origin)
        return replace(line, states_level=True) if is_stated else line

    def block_line(self, block: Block, pid: str) -> list[LogLine]:
        """Make a line of a block, and the loose lines after it lines of their own."""
        text, run = block.text, block.invocation
        kind = LineKind.TRACEBACK if block.is_trace and "\n" in text else LineKind.LOG
        origin = Origin(block.at_us, run, block.cursor, pid)
        is_fatal = self._rules.is_fatal(text)
        line = self._error_line(kind, text, block.level, origin, is_fatal=is_fatal)
        return [line] + [
            self.plain_line(
                one.text, level_of_priority(one.priority), Origin(one.at_us, run, one.cursor, pid)
            )
            for one in block.loose
        ]

    def core_dump(self, said: str, origin: Origin) -> LogLine:
        """Make an error of what systemd-coredump says: of the main process systemd tells itself."""
        is_fatal = self._rules.is_fatal(said)
        return self._error_line(LineKind.LOG, said, Level.ERROR, origin, is_fatal=is_fatal)

    def plain_line(self, text: str, level: Level | None, origin: Origin) -> LogLine:
        """Make a line of a text that is no record and begins no trace."""
        is_fatal = self._rules.is_fatal(text)
        if is_fatal or (level is not None and level >= Level.ERROR):
            return self._error_line(LineKind.LOG, text, level, origin, is_fatal=is_fatal)
        return self._good_line(text, level, origin, self._rules.latency_of(text))

    def _structured_line(self, priority: object, it: Structured, origin: Origin) -> LogLine:
        message = it.message if not it.error else f"{it.message}: {it.error}"
        level = it.level
        if level is None:
            level = level_of_text(it.message) or level_of_priority(priority)
            if (level is None or level < Level.ERROR) and (it.trace or looks_bad(it.message)):
                level = Level.ERROR
        latency = it.latency_ms
        if latency is None or self._rules.latency is not None:
            latency = self._rules.latency_of(message)
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
        self, text: str, level: Level | None, origin: Origin, latency: float | None
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
        origin: Origin,
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
            shortened(whole),
            name,
            latency,
            run,
            cursor,
            is_fatal,
            is_handled=rules.is_handled(text, latency),
            pid=pid,
        )
