"""Charts: where on a page the marks of a report are. Numbers only; the page draws them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botdeploy.core.report.report_model import instant
from botdeploy.core.rollout.host_standing import HOLDING, Standing
from botdeploy.views import sentences
from botdeploy.views.local_time import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.report.report_model import Act, HostReport, Report

WIDTH = 1000.0
GUTTER = 132.0
"""Room for the hosts' names, left."""
MARGIN = 12.0
MOST_ROWS = 60
MOST_BARS = 140
ROW = 30.0
PLOT = 44.0
TOP = 26.0
"""Room for the hours, above."""
MOST_NAME = 18

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY_S = 86_400
_SPANS = {
    Standing.BEHIND: "previous release",
    Standing.PENDING: "pending: reverts unless confirmed",
    Standing.CONFIRMED: "confirmed, no verdict yet",
    Standing.PROVEN: "proven",
    Standing.RETURNED: "back on the previous release",
}
_MARKS = {
    "stage": ("dot", "staged"),
    "switch": ("switch", "switched"),
    "confirm": ("dot", "confirmed"),
    "prove": ("good", "passed"),
    "revert": ("bad", "reverted"),
    "quarantine": ("dot", "quarantined"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle with its style's name, and what is said when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign at a place."""

    x: float
    y: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place."""

    x: float
    y: float
    text: str
    style: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """All marks of one drawing, in units of which its width is ``WIDTH``."""

    height: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    hours: tuple[Label, ...]
    left_out: int = 0
    """Hosts for which there was no room."""


def timeline(report: Report) -> Chart:
    """Draw what each host ran when, ring by ring, and each act on it."""
    hosts, left_out = _shown(report)
    at = _Scale(report.from_, report.to)
    bars: list[Bar] = []
    marks: list[Mark] = []
    labels: list[Label] = []
    y = TOP
    ring = None
    for host in hosts:
        if host.ring != ring:
            ring = host.ring
            y += 16
            labels.append(Label(0, y - 4, f"ring {ring}" if ring else "in no ring", "ring"))
        middle = y + ROW / 2
        labels.append(Label(GUTTER - 8, middle + 4, _short(host.name), "host", host.name))
        for span in host.spans:
            begin, end = at.x(span.begin), at.x(span.end)
            when = f"{clock(span.begin)} to {clock(span.end)}"
            is_nothing = not host.was and span.standing in (Standing.BEHIND, Standing.RETURNED)
            ran = "nothing" if is_nothing else _SPANS[span.standing]
            style = "unknown" if is_nothing else span.standing.value
            title = f"{host.name}: {ran}, {when}"
            bars.append(Bar(begin, middle - 8, max(1.0, end - begin), 16, style, title))
        if not host.spans:
            bars.append(
                Bar(
                    GUTTER,
                    middle - 8,
                    at.x(report.to) - GUTTER,
                    16,
                    "unknown",
                    sentences.host_standing(host),
                )
            )
        signs = [
            Mark(at.x(act.at), middle, _MARKS[act.what][0], _act_words(act))
            for act in host.acts
            if act.what in _MARKS and report.from_ <= act.at <= report.to
        ]
        marks += sorted(signs, key=lambda sign: sign.style != "dot")  # the small ones below
        y += ROW
    return Chart(y + 6, tuple(bars), tuple(marks), tuple(labels), at.hours(), left_out)


def errors(report: Report) -> Chart:
    """Draw errors a minute of each host that wrote any, on one scale for all."""
    loud = [host for host in report.hosts if host.ticks or host.incidents]
    hosts, left_out = _shown(report, loud)
    at = _Scale(report.from_, report.to)
    step_us = _bin_us(report)
    counted = {host.name: _bins(host, step_us) for host in hosts}
    minutes, lasts = step_us / 6e7, duration(step_us / 1e6)
    top = max((sum(bins) / minutes for one in counted.values() for bins in one.values()), default=0)
    scale = nice(top)
    bars: list[Bar] = []
    marks: list[Mark] = []
    labels: list[Label] = []
    y = TOP
    for host in hosts:
        base = y + PLOT
        labels.append(Label(GUTTER - 8, base - PLOT / 2 + 4, _short(host.name), "host", host.name))
        if y == TOP:
            labels.append(Label(WIDTH - MARGIN, y + 9, f"{scale:g}/min", "scale"))
        bars += [
            Bar(at.x(span.begin), y, at.x(span.end) - at.x(span.begin), PLOT, "ran")
            for span in host.spans
            if span.standing in HOLDING
        ]
        bars.append(Bar(GUTTER, base, WIDTH - GUTTER - MARGIN, 0.75, "base"))
        for start, (old, new) in sorted(counted[host.name].items()):
            x, end = at.x_us(start), at.x_us(start + step_us)
            width = max(1.0, end - x - 0.8)
            bottom = base
            for count, style in ((old, "old-errors"), (new, "new-errors")):
                if not count:
                    continue
                height = max(1.0, count / minutes / scale * (PLOT - 4))
                bottom -= height
                title = f"{host.name}, {clock(instant(start))}: {count} errors in {lasts}"
                bars.append(Bar(x, bottom, width, height, style, title))
        if host.switched_at is not None and report.from_ <= host.switched_at <= report.to:
            x = at.x(host.switched_at)
            bars.append(Bar(x - 0.5, y, 1, PLOT, "cut", f"switched {clock(host.switched_at)}"))
        marks += [
            Mark(at.x_us(one.at_us), y + 8, "trouble", f"{clock(instant(one.at_us))} {one.text}")
            for one in host.incidents
            if report.from_ <= instant(one.at_us) <= report.to
        ]
        y += PLOT + 12
    return Chart(y + 4, tuple(bars), tuple(marks), tuple(labels), at.hours(), left_out)


def clock(at: datetime) -> str:
    """Write an instant (UTC) as a reader wants it."""
    return f"{at.astimezone(UTC):%d %b %H:%M:%S}"


def nice(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten; at least 1."""
    if value <= 1:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1)
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power)


class _Scale:
    """Where an instant stands from left to right."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.begin = begin
        self.length_s = max(1.0, (end - begin).total_seconds())

    def x(self, at: datetime) -> float:
        share = (at - self.begin).total_seconds() / self.length_s
        return round(GUTTER + min(max(share, 0.0), 1.0) * (WIDTH - GUTTER - MARGIN), 2)

    def x_us(self, at_us: int) -> float:
        return self.x(instant(at_us))

    def hours(self) -> tuple[Label, ...]:
        step = next((one for one in _STEPS_S if self.length_s / one <= 8), None)  # noqa: PLR2004
        if step is None:
            days = 1
            while self.length_s / (days * _DAY_S) > 8:  # noqa: PLR2004
                days *= 2
            step = days * _DAY_S
        first = -(-self.begin.timestamp() // step) * step
        labels = []
        moment = first
        while moment <= self.begin.timestamp() + self.length_s:
            at = datetime.fromtimestamp(moment, tz=UTC)
            labels.append(Label(self.x(at), 12, self._hour(at, step)))
            moment += step
        return tuple(labels)

    def _hour(self, at: datetime, step: float) -> str:
        if step < 60:  # noqa: PLR2004 (seconds)
            return f"{at:%H:%M:%S}"
        if self.length_s <= _DAY_S:
            return f"{at:%H:%M}"
        return f"{at:%d %b %H:%M}" if step < _DAY_S else f"{at:%d %b}"


def _shown(
    report: Report, hosts: Sequence[HostReport] | None = None
) -> tuple[list[HostReport], int]:
    """Choose the hosts that there is room for: those with something to see, in ring order."""
    given = list(report.hosts if hosts is None else hosts)
    if len(given) <= MOST_ROWS:
        return given, 0
    ranked = sorted(
        given,
        key=lambda host: (
            not host.is_bad,
            -sum(tick.errors for tick in host.ticks if tick.is_new),
            not host.acts,
        ),
    )
    chosen = {host.name for host in ranked[:MOST_ROWS]}
    return [host for host in given if host.name in chosen], len(given) - MOST_ROWS


def _bin_us(report: Report) -> int:
    """Choose how much time one bar stands for: a multiple of what was counted."""
    length = (report.to - report.from_) / timedelta(microseconds=1)
    times = 1
    while length / (report.step_us * times) > MOST_BARS:
        times += 1
    return report.step_us * times


def _bins(host: HostReport, step_us: int) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for tick in host.ticks:
        start = tick.at_us - tick.at_us % step_us
        old, new = found.get(start, (0, 0))
        found[start] = (old, new + tick.errors) if tick.is_new else (old + tick.errors, new)
    return found


def _act_words(act: Act) -> str:
    why = f": {act.why}" if act.why else ""
    return f"{act.host} {_MARKS[act.what][1]} {clock(act.at)}{why}"


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"
