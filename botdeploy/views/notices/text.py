"""The text of a notice: a few events in, one short message out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.phrases import few
from botdeploy.core.text.printable import visible
from botdeploy.errors import ExitCode
from botdeploy.views.notices.channel import Message, Severity
from botdeploy.views.sentences import on_machines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST_BODY = 1800
"""Characters of a message: chat services refuse or cut those of 2,000."""
MOST_LINE = 500

_MENTION = re.compile(r"(?<![\w.+-])@(?=[\w&!])|<(?=[!@#&])")
_RANK = (Severity.INFO, Severity.SUCCESS, Severity.WARNING, Severity.FAILURE)

_ENDS: Mapping[ExitCode, tuple[str, Severity, str]] = {
    ExitCode.DONE: ("done", Severity.SUCCESS, ""),
    ExitCode.FAILED: ("failed and reverted", Severity.FAILURE, "botdeploy report {env}"),
    ExitCode.USAGE: ("stopped by wrong usage", Severity.WARNING, ""),
    ExitCode.FAULT: ("stopped by a fault in botdeploy", Severity.FAILURE, "botdeploy status {env}"),
    ExitCode.LOCKED: (
        "stopped: another command has the lock",
        Severity.WARNING,
        "botdeploy status {env}",
    ),
    ExitCode.HELD: ("needs a decision", Severity.WARNING, "botdeploy status {env}"),
    ExitCode.UNREACHABLE: ("hosts cannot be reached", Severity.FAILURE, "botdeploy status {env}"),
    ExitCode.NEEDS_PERSON: ("needs a person NOW", Severity.FAILURE, "botdeploy status {env}"),
    ExitCode.INTERRUPTED: ("was interrupted", Severity.WARNING, "the same command goes on"),
}
_WAITS: Mapping[str, tuple[str, Severity]] = {
    "gate": ("needs an approval", Severity.WARNING),
    "hold": ("is held", Severity.WARNING),
    "soak": ("soaks", Severity.INFO),
    "window": ("waits for its allowed hours", Severity.INFO),
    "verdict": ("waits for its verdict", Severity.INFO),
}


@dataclass(slots=True)
class _Line:
    """One line of a message; what happened alike on many hosts is one line."""

    headline: str
    severity: Severity
    text: str
    hosts: list[str] = field(default_factory=list)


_NOTHING = _Line("", Severity.INFO, "")


def compose(
    bot: str, events: Sequence[Event], mask: Callable[[str], str] = lambda text: text
) -> Message:
    """Put these events into one message: what, which release, where, why, what to type next."""
    lines: dict[tuple[object, ...], _Line] = {}
    for event in events:
        _add(lines, event)
    newest_first = list(lines.values())[::-1]
    worst = max(newest_first, key=lambda line: _RANK.index(line.severity), default=_NOTHING)
    head = next((_line_of(lines, one) for one in events[-1:] if one.kind is Kind.OUTCOME), worst)
    release = next((one.release for one in reversed(events) if one.release), "")
    body = [f"release {release}"] if release else []
    body += [_text(line, mask) for line in lines.values()]
    title = f"{bot} {events[-1].environment}: {head.headline}" if events else bot
    return Message(
        harmless(mask(title)).replace("\n", " ")[:200],
        _fit(body),
        _worst_of(head.severity, worst.severity),
    )


def harmless(text: str) -> str:
    """Take from a text what a service would act on: mentions that ring everybody's phone."""
    return _MENTION.sub(lambda found: found[0] + "\u200b", visible(text))


def _add(lines: dict[tuple[object, ...], _Line], event: Event) -> None:
    key, line = _line_for(event)
    known = lines.setdefault(key, line)
    if event.host is not None and event.host not in known.hosts:
        known.hosts.append(event.host)


def _line_of(lines: dict[tuple[object, ...], _Line], event: Event) -> _Line:
    return lines[_line_for(event)[0]]


def _line_for(event: Event) -> tuple[tuple[object, ...], _Line]:
    """Give an event's line, under a key that is the same for events that share a line."""
    data = event.data
    key: tuple[object, ...] = (event.kind, event.ring, event.release)
    match event.kind:
        case Kind.ROLLOUT_STARTED:
            rings = " → ".join(f"{one['name']} ({len(one['hosts'])})" for one in data["rings"])
            goes_on = any(one.get("begun") for one in data["rings"])
            begins = "goes on" if goes_on else "begins"
            why = f" — {data['message']}" if data.get("message") else ""
            by = f", by {data['by']}" if data.get("by") else ""
            stop = f"; to stop it: botdeploy hold {event.environment}"
            text = f"{begins}{by}: {rings}{on_machines(data)}{why}{stop}"
            return key, _Line(f"{event.release} {begins}", Severity.INFO, text)
        case Kind.VERDICT:
            outcome = str(data["outcome"])
            reasons = "; ".join(map(str, data["reasons"])) or "no problems were found"
            severity = Severity.SUCCESS if outcome == "pass" else Severity.FAILURE
            words = {"pass": "passed", "fail": "failed"}.get(outcome, f"is {outcome}")
            return key, _Line(
                f"ring {event.ring} {words}", severity, f"ring {event.ring} {words}: {reasons}"
            )
        case Kind.PROMOTED:
            hosts = list(map(str, data["hosts"]))
            text = f"ring {event.ring} passed on {few(hosts)}"
            return key, _Line(f"ring {event.ring} passed", Severity.SUCCESS, text)
        case Kind.REVERTED:
            back = (
                f"back on {data['to']}"
                if data.get("to")
                else "stopped, there is no previous release"
            )
            # Why a controller took hosts back is what the verdict or the outcome says.
            own = data["by"] == "host" and data.get("why")
            text = (
                f"{back}, reverted by the host itself: {data['why']}"
                if own
                else f"{back}, reverted by {data['by']}"
            )
            return (*key[:1], text), _Line("reverted", Severity.FAILURE, text)
        case Kind.HOST_FAILED:
            text = f"failed: {data['error']}"
            return (*key[:1], text), _Line("a host failed", Severity.WARNING, text)
        case Kind.OUTCOME:
            return (event.kind,), _outcome(event)
        case _:
            return key, _Line(event.kind.value, Severity.INFO, event.kind.value)


def _outcome(event: Event) -> _Line:
    data: Mapping[str, Any] = event.data
    code = ExitCode(int(data["code"]))
    headline, severity, step = _ENDS[code]
    if code in (ExitCode.DONE, ExitCode.HELD) and data.get("waits") in _WAITS:
        words, severity = _WAITS[str(data["waits"])]
        headline = f"ring {event.ring} {words}" if event.ring else words
    summary = str(data["summary"])
    if code is ExitCode.DONE and data.get("was_reverted"):
        headline = f"rolled back by {data['by']}" if data.get("by") else "rolled back"
    if step and "next:" not in summary.lower():
        step = step.format(env=event.environment)
        summary = f"{summary.rstrip('.; ')}; next: {step}" if summary else f"next: {step}"
    return _Line(headline, severity, summary or headline)


def _text(line: _Line, mask: Callable[[str], str]) -> str:
    text = harmless(" ".join(mask(line.text).split()))
    if len(text) > MOST_LINE:
        keep = MOST_LINE // 2 - 2
        text = f"{text[:keep]} … {text[-keep:]}"  # the end says what to type next
    where = f"{few(line.hosts)}: " if line.hosts else ""
    return where + text


def _fit(lines: list[str]) -> str:
    """Leave lines out from the middle until the rest fits: how it began and how it ended."""
    left = list(lines)
    out = 0
    while len(left) > 3 and sum(map(len, left)) + len(left) > MOST_BODY:  # noqa: PLR2004
        left.pop(len(left) // 2)
        out += 1
    if out:
        left.insert(len(left) // 2, f"… {out} more lines; see: botdeploy history")
    return "\n".join(left)[: MOST_BODY + 100]


def _worst_of(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=_RANK.index)
