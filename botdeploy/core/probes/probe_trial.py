"""A probe's trial: what one answer told, or how to mend that it told nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdeploy.core.model.bot import ProbeKind
from botdeploy.core.probes.probe import read
from botdeploy.core.text.token_patterns import mask_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.model.bot import Probe
    from botdeploy.core.probes.probe import Answer, Histogram, ProbeReading

Item = dict[str, Any]
"""One item of a check: name, ok, message, mend."""
_NAMED = 3
_FORMS = "docs: inventory, probes: which names count"


def item(message: str, mend: str = "", *, ok: bool) -> Item:
    """Give an item of a check as the host's own items are."""
    return {"name": "probe", "ok": ok, "message": message, "mend": mend}


def not_tried(why: str) -> Item:
    """Tell why the bot was not asked; no fault of the host's."""
    return item(f"not asked: {why}", ok=True)


def untold(code: str, message: str) -> Item:
    """Tell why the host could not put the question; ``code`` is the act's fault code."""
    mends = {
        "no-client": "install curl on the host, or use probe: {command: …}",
        "no-user": "botdeploy setup",
        "no-root": "botdeploy setup, with an administrator's user",
        "sudo": "botdeploy setup, with an administrator's user",
    }
    return item(message, mends.get(code, ""), ok=False)


def tried(probe: Probe, answer: Answer) -> Item:
    """Tell what the judge would take from an answer, or why it is worth nothing to it."""
    reading = read(probe.kind, answer)
    if reading.failure:
        said = mask_tokens(answer.said.strip().rpartition("\n")[2])[:200]
        words = f": {said}" if said and probe.kind is ProbeKind.COMMAND else ""
        return item(f"{_asked(probe)} {reading.failure}{words}", _mend(probe, answer), ok=False)
    seen = list(_seen(reading))
    if not seen:
        nothing = "answered, but nothing in it is work, an error or a latency that counts"
        return item(f"{_asked(probe)} {nothing}", _FORMS, ok=False)
    return item(f"saw {'; '.join(seen)}", ok=True)


def _asked(probe: Probe) -> str:
    return "the command" if probe.kind is ProbeKind.COMMAND else probe.value


def _mend(probe: Probe, answer: Answer) -> str:
    if probe.kind is ProbeKind.COMMAND:
        match answer.code:
            case 126 | 127:
                return "the command runs as the bot's user in the release's folder, with sh -c"
            case 124 | 137:
                return "it may take 10 s: let it print counters that are kept elsewhere"
            case _:
                return "try it on the host: as the bot's user, in the release's folder, with sh -c"
    if answer.status == 0:
        return "does the bot listen there? on the host: ss -ltn; the bot's configuration; bot.probe"
    if answer.status >= 500:  # noqa: PLR2004 (server errors)
        return "the bot answers that it is not well: see botdeploy logs"
    return "is the path right? see bot.probe"


def _seen(reading: ProbeReading) -> Iterable[str]:
    if reading.handled:
        yield f"work {_number(sum(reading.handled.values()))} ({_names(reading.handled)})"
    if reading.errors:
        yield f"errors {_number(sum(reading.errors.values()))} ({_names(reading.errors)})"
    if reading.latency:
        many = sum(one.count for one in reading.latency.values())
        mean = sum(one.sum_ms for one in reading.latency.values()) / max(1.0, many)
        yield f"latencies of {_number(many)}, {mean:.3g} ms on the mean ({_names(reading.latency)})"
    if reading.took_ms:
        middle = sorted(reading.took_ms)[len(reading.took_ms) // 2]
        yield f"an answer after {middle:.3g} ms"


def _names(found: Mapping[str, float] | Mapping[str, Histogram]) -> str:
    names = sorted(found)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _number(value: float) -> str:
    return f"{value:,.0f}"
