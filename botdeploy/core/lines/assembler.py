"""Assemble log lines from journal entries: one for each thing that a bot or systemd said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.entry_text import is_binary, message_of
from botdeploy.core.lines.level import Level, level_of_priority
from botdeploy.core.lines.line import LineRules, LogLine
from botdeploy.core.lines.line_reader import LineReader, Origin
from botdeploy.core.lines.lines_above import LinesAbove
from botdeploy.core.lines.multiline import Block, Fit, block_of
from botdeploy.core.lines.systemd_record import DUMPED_CORE, SystemKind
from botdeploy.core.lines.unit_state import UnitState
from botdeploy.core.text.printable import bare
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.token_patterns import mask_tokens
from botdeploy.core.text.untrusted import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_MAX_PARTIAL = 1_048_576
_MAX_OPEN = 256
_NO_RULES = LineRules()
_IDLE_US = 2_000_000
"""How long an unfinished trace waits for its next entry."""
_SETTLED_US = 500_000
"""The same for what looks complete."""


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
        self._reader = LineReader(rules)
        self._mask = mask
        self._open: dict[str, Block] = {}
        self._partial: dict[str, tuple[str, int, int]] = {}
        self._last_us = 0
        self._due_us = 0
        self._above = LinesAbove()
        self._unit = UnitState()

    # -- what comes in --------------------------------------------------------------------------

    def feed(self, entry: Mapping[str, Any]) -> list[LogLine]:
        """Take one entry of ``journalctl -o json``; give the lines that are complete by now."""
        at_us = self._time_of(entry)
        pid = entry.get("_PID") or ""
        text = message_of(entry)
        out = self._expired(at_us) if self._open and at_us >= self._due_us else []
        if pid == "1" or entry.get("MESSAGE_ID"):
            if pid != "1" and entry.get("MESSAGE_ID") == DUMPED_CORE:
                said = self._cleaned(text.partition("\n")[0])
                origin = Origin(at_us, self._unit.invocation, entry.get("__CURSOR") or "")
                return [*out, self._reader.core_dump(said, origin)]
            record = self._unit.read(entry, text)
            if record is not None:
                if record.kind is SystemKind.CRASHED:
                    self._were_last_words()
                return [*out, self._unit.line(entry, record, self._cleaned(text), at_us)]
        if entry.get("_LINE_BREAK") == "line-max":
            self._keep(pid, text, at_us)
            return out
        return out + self._written(entry, text, at_us, pid)

    def _written(self, entry: Mapping[str, Any], text: str, at_us: int, pid: str) -> list[LogLine]:
        """Take a line of the bot's; give the lines that are complete by it."""
        if self._partial and pid in self._partial:
            before, at_us, _ = self._partial.pop(pid)
            text = before + text
        raw, text = text, self._cleaned(text)
        invocation = entry.get("_SYSTEMD_INVOCATION_ID") or self._unit.invocation
        origin = Origin(at_us, invocation, entry.get("__CURSOR") or "", pid)
        priority = entry.get("PRIORITY")
        if is_binary(raw):
            # of what is no text, only its priority, or a rule of the user's, is meant
            return [self._reader.plain_line(text, level_of_priority(priority), origin)]
        out: list[LogLine] = []
        block = self._open.get(pid)
        if block is not None:
            if _goes_on(block, priority, text, origin):
                return out
            out += self._closed(pid)
        found = self._reader.read(text, priority, origin)
        if isinstance(found, Block):
            found.level = self._above.level_of(found, pid)
            self._begin(pid, found)
        elif found is not None:
            self._above.note(found, text)
            out.append(found)
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
            text = self._cleaned(text, is_cut=True)
            origin = Origin(at_us, self._unit.invocation, "", pid)
            found = self._reader.read(text, None, origin)
            if isinstance(found, Block):
                line = self._reader.plain_line(text, found.level, origin)
                found = replace(line, states_level=found.is_stated)
            if found is not None:
                out.append(found)
        return out

    @property
    def has_waiting(self) -> bool:
        """Whether the beginning of something waits for more."""
        return bool(self._open or self._partial)

    # -- to go on in another process -----------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """Give what waits, as plain data, so that another Assembler goes on as this one would."""
        return {
            **self._unit.save(),
            "partial": {
                pid: [self._mask(text), at_us, last_us]
                for pid, (text, at_us, last_us) in self._partial.items()
            },
            "open": {pid: block.save() for pid, block in self._open.items()},
            **self._above.save(),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``save`` gave; an empty mapping changes nothing.

        Raises ValueError for anything else.
        """
        try:
            partial = {
                str(pid): (str(text), whole(at_us), whole(last_us))
                for pid, (text, at_us, last_us) in (saved.get("partial") or {}).items()
            }
            blocks = {
                str(pid): block_of(values) for pid, values in (saved.get("open") or {}).items()
            }
            above = LinesAbove()
            above.load(saved)
            self._unit.load(saved)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"nothing to go on from: {error!r}") from error
        self._partial.update(partial)
        self._open.update(blocks)
        self._above = above
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

    # -- blocks -----------------------------------------------------------------------------------

    def _begin(self, pid: str, block: Block) -> None:
        self._open[pid] = block
        due = block.at_us + _SETTLED_US
        self._due_us = due if len(self._open) == 1 else min(self._due_us, due)

    def _were_last_words(self) -> None:
        """Take a trace for an error whatever stands above it: the process died of it."""
        for block in self._open.values():
            if block.level is not None:
                block.level = max(block.level, Level.ERROR)

    def _closed(self, pid: str) -> list[LogLine]:
        """Give a block as its line, and the loose lines after it as their own."""
        return self._reader.block_line(self._open.pop(pid), pid)

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


def _goes_on(block: Block, priority: str | None, text: str, origin: Origin) -> bool:
    """Tell whether a line belongs to the block before it, and take it in."""
    gap_us = origin.at_us - block.last_us
    if gap_us > _IDLE_US:
        return False
    level = level_of_priority(priority)
    is_bad = level is not None and level >= Level.ERROR
    match block.fit(text, gap_us, is_bad=is_bad):
        case Fit.FIRM:
            block.append(text, origin.at_us, origin.cursor)
        case Fit.LOOSE:
            block.wait(text, origin.at_us, origin.cursor, priority)
        case Fit.NO:
            return False
    return True


def feed_all(assembler: Assembler, entries: Iterable[Mapping[str, Any]]) -> Iterable[LogLine]:
    """Feed entries and flush at their end."""
    for entry in entries:
        yield from assembler.feed(entry)
    yield from assembler.flush()
