"""What one text of a bot's says: its level, whether it is an error, which one, and how bad."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.lines import fingerprint as fingerprints
from botdeploy.core.lines.compiled_rules import CompiledRules, shortened
from botdeploy.core.lines.complaint import looks_bad
from botdeploy.core.lines.header import read_header
from botdeploy.core.lines.level import Level, level_of_priority
from botdeploy.core.lines.line import MAX_MESSAGE, LineKind, LineRules, LogLine
from botdeploy.core.lines.multiline import Block
from botdeploy.core.lines.stack_trace import begins_trace, is_raised, read_trace
from botdeploy.core.lines.structured import read_logfmt, read_structured

if TYPE_CHECKING:
    from botdeploy.core.lines.stack_trace import Trace
    from botdeploy.core.lines.structured import Structured

_FATAL = re.compile(
    r"ImportError|ModuleNotFoundError|SyntaxError|IndentationError|TabError|MemoryError"
    r"|LoginFailure|PrivilegedIntentsRequired|TokenInvalid|TokenValidationError|UnrecognizedKeyError"
    r"|NoClassDefFoundError|ClassNotFoundException|OutOfMemoryError|UnsupportedClassVersionError"
    r"|LoadError"
)
"""Exceptions that leave a bot unable to work, whoever catches them."""
_FATAL_TEXT = (
    r"Fatal Python error: |Improper token has been passed|Cannot find module '|ERR_MODULE_NOT_FOUND"
    r"|(?:FATAL ERROR: )?Reached heap limit|.{0,99}JavaScript heap out of memory"
    r"|Segmentation fault|cannot import name '|No module named '[^']*'$"
    r"|error while loading shared libraries: |Token is invalid!|An invalid token was provided"
    r"|(?i:invalid bot token|(?:the )?(?:bot )?token (?:is )?invalid\b)|InvalidToken: \S"
    r"|The token `[^`]*` was rejected"
)
_FATAL_SAID = re.compile(_FATAL_TEXT)
_FATAL_LINE = re.compile(
    rf"(?:[\w./-]+:\s){{0,3}}(?:[\w.]+\.)?(?:(?:{_FATAL.pattern})\b(?=:|$|\s\[)|{_FATAL_TEXT})"
)
"""The same of a line without a trace: said at its front, not quoted within it."""
_PASTED = frozenset({"SyntaxError", "IndentationError", "TabError"})
_NO_FILE = re.compile(r'^  File "<[^">]*>", line \d+$', re.MULTILINE)
"""Python raises them of code too that a bot was handed to run: its file is ``<string>`` then."""
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
        said = fingerprints.strip_header(text[:MAX_MESSAGE])
        return _FATAL_LINE.match(said) is not None
    if trace.type in _PASTED and _NO_FILE.search(text):
        return False
    return (
        trace.is_fatal
        or _FATAL.search(trace.type) is not None
        or _FATAL_SAID.match(trace.message) is not None
        or _FATAL_SAID.match(f"{trace.type}: {trace.message}") is not None
    )


def _complains(text: str, body: int) -> bool:
    """Whether a text looks bad, behind its header; ``[RangeError: no] {`` is no header."""
    return looks_bad(text, body) or (body > 0 and text[0] == "[" and is_raised(text))


def _block(text: str, level: Level | None, origin: Origin, *, is_stated: bool) -> Block:
    """Begin a block with an error's first line."""
    at_us, invocation, cursor, _ = origin
    block = Block(at_us, at_us, level, invocation, cursor, is_stated)
    block.append(text, at_us, cursor)
    return block


class LineReader:
    """Makes lines of texts, by the user's rules."""

    def __init__(self, rules: LineRules) -> None:
        """Compile the rules; raises UserError for an expression that does not compile."""
        self._rules = CompiledRules(rules)

    def read(self, text: str, priority: object, origin: Origin) -> LogLine | Block | None:
        """Make a line of a text; a block where a stack trace may follow; None of an empty text."""
        if not text:
            return None
        structured = self._structured(text)
        if structured is not None:
            line = self._structured_line(priority, structured, origin)
            if text[0] == "{" or not line.is_error or line.kind is not LineKind.LOG:
                return line
            return _block(text, line.level, origin, is_stated=structured.level is not None)
        header = read_header(text, self._rules.levels)
        level = header.level
        is_stated = level is not None
        is_trace = begins_trace(text) or "\nTraceback (most recent" in text
        if level is None:
            level = level_of_priority(priority)
            if (level is None or Level.DEBUG < level < Level.ERROR) and (
                is_trace or (not header.is_quote and _complains(text, header.body))
            ):
                level = Level.ERROR
        if level is not None and level >= Level.ERROR:
            return _block(text, level, origin, is_stated=is_stated)
        return self.plain_line(text, level, origin, is_stated=is_stated)

    def block_line(self, block: Block, pid: str) -> list[LogLine]:
        """Make a line of a block, and the loose lines after it lines of their own."""
        text, run = block.text, block.invocation
        origin = Origin(block.at_us, run, block.cursor, pid)
        line = self._of_block(block, text, origin)
        return [line] + [
            self.plain_line(
                one.text, level_of_priority(one.priority), Origin(one.at_us, run, one.cursor, pid)
            )
            for one in block.loose
        ]

    def _of_block(self, block: Block, text: str, origin: Origin) -> LogLine:
        if block.level is not None and block.level < Level.ERROR:
            return self.plain_line(text, block.level, origin)
        first, _, rest = text.partition("\n")
        if not block.is_trace or not begins_trace(first):
            structured = self._structured(first)
            if structured is not None:
                structured = replace(structured, trace=rest)
                return self._structured_line(None, structured, origin, block.level)
        kind = LineKind.TRACEBACK if block.is_trace and "\n" in text else LineKind.LOG
        is_fatal = self._rules.is_fatal(text)
        line = self._error_line(kind, text, block.level, origin, is_fatal=is_fatal)
        return replace(line, states_level=True) if block.is_stated else line

    def core_dump(self, said: str, origin: Origin) -> LogLine:
        """Make an error of what systemd-coredump says: of the main process systemd tells itself."""
        is_fatal = self._rules.is_fatal(said)
        return self._error_line(LineKind.LOG, said, Level.ERROR, origin, is_fatal=is_fatal)

    def plain_line(
        self, text: str, level: Level | None, origin: Origin, *, is_stated: bool = False
    ) -> LogLine:
        """Make a line of a text that is no record and begins no trace."""
        is_fatal = self._rules.is_fatal(text)
        if is_fatal or (level is not None and level >= Level.ERROR):
            return self._error_line(LineKind.LOG, text, level, origin, is_fatal=is_fatal)
        latency = self._rules.latency_of(text)
        return self._good_line(text, level, origin, latency, is_stated=is_stated)

    def _structured(self, text: str) -> Structured | None:
        if text[:1] == "{" and text[-1] == "}":
            return read_structured(text, self._rules.levels)
        if "=" in text and _LOGFMT.match(text):
            return read_logfmt(text, self._rules.levels)
        return None

    def _structured_line(
        self, priority: object, it: Structured, origin: Origin, level: Level | None = None
    ) -> LogLine:
        """Make a line of a record; ``level``: what was found to be its level before."""
        message = it.message if not it.error else f"{it.message}: {it.error}"
        level = level or it.level or self._level_of_record(it, priority)
        latency = it.latency_ms
        if latency is None or self._rules.latency is not None:
            latency = self._rules.latency_of(message)
        is_fatal = self._rules.is_fatal(message)
        if is_fatal or (level is not None and level >= Level.ERROR):
            kind = LineKind.TRACEBACK if it.trace else LineKind.LOG
            line = self._error_line(
                kind,
                message,
                level,
                origin,
                is_fatal=is_fatal,
                trace=it.trace,
                logger=it.logger,
                latency=latency,
            )
            return replace(line, states_level=True) if it.level is not None else line
        return self._good_line(message, level, origin, latency, is_stated=it.level is not None)

    def _level_of_record(self, it: Structured, priority: object) -> Level | None:
        """Find the level of a record that names none: what its text says is an error at worst."""
        if it.is_summary:
            return level_of_priority(priority)
        header = read_header(it.message, self._rules.levels)
        level = min(header.level, Level.ERROR) if header.level else level_of_priority(priority)
        if (level is None or level < Level.ERROR) and (
            it.trace or (not header.is_quote and _complains(it.message, header.body))
        ):
            return Level.ERROR
        return level

    def _good_line(
        self,
        text: str,
        level: Level | None,
        origin: Origin,
        latency: float | None,
        *,
        is_stated: bool,
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
            states_level=is_stated,
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
            is_fatal = is_fatal or _is_fatal(level, whole, read)
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
