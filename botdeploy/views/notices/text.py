"""The text of a notice: a few events in, one short message out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.phrases import few
from botdeploy.core.text.printable import visible
from botdeploy.errors import ExitCode
from botdeploy.views.notices.channel import Message, Mood

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST_BODY = 1800
"""Characters of a message: chat services refuse or cut those of 2,000."""
MOST_LINE = 500

_MENTION = re.compile(r"(?<![\w.+-])@(?=[\w&!])|<(?=[!@#&])")
_RANK = (Mood.INFO, Mood.SUCCESS, Mood.WARNING, Mood.FAILURE)

_ENDS: Mapping[ExitCode, tuple[str, Mood, str]] = {
    ExitCode.DONE: ("done", Mood.SUCCESS, ""),
    ExitCode.FAILED: ("failed and reverted", Mood.FAILURE, "botdeploy report {env}"),
    ExitCode.USAGE: ("stopped by wrong usage", Mood.WARNING, ""),
    ExitCode.FAULT: ("stopped by a fault in botdeploy", Mood.FAILURE, "botdeploy status {env}"),
    ExitCode.LOCKED: (
        "stopped: another command has the lock",
        Mood.WARNING,
        "botdeploy status {env}",
    ),
    ExitCode.HELD: ("needs a decision", Mood.WARNING, "botdeploy status {env}"),
    ExitCode.UNREACHABLE: ("hosts cannot be reached", Mood.FAILURE, "botdeploy status {env}"),
    ExitCode.NEEDS_PERSON: ("needs a person NOW", Mood.FAILURE, "botdeploy status {env}"),
    ExitCode.INTERRUPTED: ("was interrupted", Mood.WARNING, "the same command goes on"),
}
_WAITS: Mapping[str, tuple[str, Mood]] = {
    "gate": ("needs an approval", Mood.WARNING),
    "hold": ("is held", Mood.WARNING),
    "soak": ("soaks", Mood.INFO),
    "window": ("waits for its allowed hours", Mood.INFO),
    "verdict": ("waits for its verdict", Mood.INFO),
}


@dataclass(slots=True)
class _Line:
    """One line of a message; what happened alike on many hosts is one line."""

    headline: str
    mood: Mood
    text: str
    hosts: list[str] = field(default_factory=list)


_NOTHING = _Line("", Mood.INFO, "")


def compose(
    bot: str, events: Sequence[Event], mask: Callable[[str], str] = lambda text: text
) -> Message:
    """Put these events into one message: what, which release, where, why, what to type next."""
    lines: dict[tuple[object, ...], _Line] = {}
    for event in events:
        _add(lines, event)
    newest_first = list(lines.values())[::-1]
    worst = max(newest_first, key=lambda line: _RANK.index(line.mood), default=_NOTHING)
    head = next((_line_of(lines, one) for one in events[-1:] if one.kind is Kind.OUTCOME), worst)
    release = next((one.release for one in reversed(events) if one.release), "")
    body = [f"release {release}"] if release else []
    body += [_text(line, mask) for line in lines.values()]
    title = f"{bot} {events[-1].environment}: {head.headline}" if events else bot
    return Message(
        harmless(mask(title)).replace("\n", " ")[:200], _fit(body), _worse(head.mood, worst.mood)
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
            text = f"{begins}{by}: {rings}{why}{stop}"
            return key, _Line(f"{event.release} {begins}", Mood.INFO, text)
        case Kind.VERDICT:
            outcome = str(data["outcome"])
            reasons = "; ".join(map(str, data["reasons"])) or "no problems were found"
            mood = Mood.SUCCESS if outcome == "pass" else Mood.FAILURE
            words = {"pass": "passed", "fail": "failed"}.get(outcome, f"is {outcome}")
            return key, _Line(
                f"ring {event.ring} {words}", mood, f"ring {event.ring} {words}: {reasons}"
            )
        case Kind.PROMOTED:
            hosts = list(map(str, data["hosts"]))
            text = f"ring {event.ring} passed on {few(hosts)}"
            return key, _Line(f"ring {event.ring} passed", Mood.SUCCESS, text)
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
            return (*key[:1], text), _Line("reverted", Mood.FAILURE, text)
        case Kind.HOST_FAILED:
            text = f"failed: {data['error']}"
            return (*key[:1], text), _Line("a host failed", Mood.WARNING, text)
        case Kind.OUTCOME:
            return (event.kind,), _outcome(event)
        case _:
            return key, _Line(event.kind.value, Mood.INFO, event.kind.value)


def _outcome(event: Event) -> _Line:
    data: Mapping[str, Any] = event.data
    code = ExitCode(int(data["code"]))
    headline, mood, step = _ENDS[code]
    if code in (ExitCode.DONE, ExitCode.HELD) and data.get("waits") in _WAITS:
        words, mood = _WAITS[str(data["waits"])]
        headline = f"ring {event.ring} {words}" if event.ring else words
    summary = str(data["summary"])
    if code is ExitCode.DONE and data.get("was_reverted"):
        headline = f"rolled back by {data['by']}" if data.get("by") else "rolled back"
    if step and "next:" not in summary.lower():
        step = step.format(env=event.environment)
        summary = f"{summary.rstrip('.; ')}; next: {step}" if summary else f"next: {step}"
    return _Line(headline, mood, summary or headline)


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


def _worse(one: Mood, other: Mood) -> Mood:
    return max(one, other, key=_RANK.index)
