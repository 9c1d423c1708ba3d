"""Commands for tuning and trust: fingerprint, and judge --replay over exported journals."""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.judge import JudgeOptions
from botdeploy.core.judge.replay import replay
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.error_classes import classes
from botdeploy.core.lines.line import LineRules
from botdeploy.core.text.untrusted import entry_of
from botdeploy.core.verdict import Outcome
from botdeploy.errors import ExitCode, UserError
from botdeploy.views import tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from botdeploy.cli.context import Context
    from botdeploy.core.lines.line import LogLine

_GZIP = b"\x1f\x8b"


def fingerprint(context: Context, file: str, environment: str | None) -> int:
    """Print the classes of errors of a log or an exported journal, with counts."""
    judge = context.load(environment).policy.judge if environment is not None else {}
    found = classes(_rows(file), LineRules.from_policy(judge))
    if context.as_json:
        for one in found:
            context.output.json.write(
                {
                    "fingerprint": one.fingerprint,
                    "count": one.count,
                    "level": one.level.name.lower() if one.level is not None else None,
                    "fatal": one.is_fatal,
                    "sample": one.sample,
                }
            )
        return int(ExitCode.DONE)
    if not found:
        context.output.say("no errors")
        return int(ExitCode.DONE)
    context.output.console.print(
        tables.table(
            ("count", "level", "class"),
            (
                [
                    str(one.count),
                    one.level.name.lower() if one.level is not None else "",
                    one.fingerprint,
                ]
                for one in found
            ),
        )
    )
    return int(ExitCode.DONE)


@dataclass(frozen=True, slots=True)
class Journals:
    """Exported journals, by file."""

    canary: str
    baseline: tuple[str, ...] = ()
    at: str | None = None
    """When the canary was switched, where it is not seen in its journal."""


def judge(
    context: Context, journals: Journals, environment: str | None, *, preset: str | None, soak: str
) -> int:
    """Judge exported journals as a rollout would have, minute by minute."""
    from botdeploy.inventory import parse_duration

    policy: Mapping[str, Any] = context.load(environment).policy.judge if environment else {}
    if preset is not None:
        policy = {**policy, "preset": preset}
    try:
        soaks: timedelta = parse_duration(soak)
        options = JudgeOptions.from_policy(policy, soaks)
    except ValueError as error:
        raise UserError(f"judge: {error}") from error
    rules = LineRules.from_policy(policy)
    last = None
    try:
        for minutes, verdict in replay(
            {Path(journals.canary).name: _lines(journals.canary, rules)},
            {Path(name).name: _lines(name, rules) for name in journals.baseline},
            options,
            switched_at_us=None if journals.at is None else _microseconds(journals.at),
        ):
            last = verdict
            if context.as_json:
                context.output.json.write(
                    {
                        "minute": round(minutes, 2),
                        "outcome": verdict.outcome.value,
                        "reasons": list(verdict.reasons),
                    }
                )
            else:
                reasons = "; ".join(verdict.reasons)
                context.output.say(f"{minutes:7.2f} min  {verdict.outcome.value:<12} {reasons}")
    except ValueError as error:
        raise UserError(f"judge: {error}") from error
    match last.outcome if last is not None else Outcome.INCONCLUSIVE:
        case Outcome.PASS:
            return int(ExitCode.DONE)
        case Outcome.FAIL:
            return int(ExitCode.FAILED)
        case _:
            return int(ExitCode.HELD)


def _microseconds(text: str) -> int:
    """Read a time: seconds since the epoch, or ISO 8601 (UTC unless it says otherwise)."""
    try:
        return int(float(text) * 1e6)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--at {text!r} is not a time such as 2026-11-24T12:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6)


def _lines(file: str, rules: LineRules) -> list[LogLine]:
    assembler = Assembler(rules)
    lines: list[LogLine] = []
    for number, row in enumerate(_rows(file), 1):
        if not row.strip():
            continue
        entry = entry_of(row)
        if entry is None:
            raise UserError(f"{file}:{number}: not a line of 'journalctl -o json' output")
        if "__REALTIME_TIMESTAMP" in entry:
            lines += assembler.feed(entry)
    return lines + assembler.flush()


def _rows(file: str) -> Iterator[bytes]:
    """Read a file (also gzipped) or standard input line by line."""
    if file == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as plain:
            if plain.peek(2)[:2] != _GZIP:
                yield from plain
                return
            with gzip.open(plain) as unpacked:
                yield from unpacked
    except (OSError, EOFError) as error:
        raise UserError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
