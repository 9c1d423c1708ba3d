"""The report: one self-contained HTML page of a rollout. It loads nothing and runs nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from botdeploy import __version__
from botdeploy.core.evidence.counts import summed
from botdeploy.core.report.report_model import Period, Report
from botdeploy.core.rollout.next_step import Result
from botdeploy.core.text.phrases import few
from botdeploy.views import sentences
from botdeploy.views.local_time import duration
from botdeploy.views.report import charts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOTHING = "\N{EN DASH}"
MOST_CLASSES = 40
MOST_HOSTS = 500
MOST_ACTS = 500
_TONES = {None: "busy", Result.DONE: "good", Result.STOPPED: "busy"}
"""How a result looks; all others are bad."""


def page(report: Report, *, now: datetime, mask: Callable[[str], str] = lambda text: text) -> str:
    """Write the page. Everything that came from a host is escaped, and masked by ``mask``."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # A macro's output is Markup: made of parts that were masked and escaped already.
        finalize=lambda value: mask(value) if type(value) is str else value,
    )
    environment.filters |= {
        "when": _when,
        "span": lambda length: duration(length.total_seconds()),
        "rate": _rate,
        "number": _number,
        "names": few,
        "times": _times,
        "standing": sentences.host_standing,
    }
    text = resources.files("botdeploy.views.report").joinpath("report.html.j2").read_text("utf-8")
    after = [host.after for host in report.hosts if host.after is not None]
    before = [host.before for host in report.hosts if host.after and host.before]
    return environment.from_string(text).render(
        report=report,
        ended=sentences.ended(report.result),
        tone=_TONES.get(report.result, "bad"),
        timeline=charts.timeline(report),
        errors=charts.errors(report),
        is_read=any(host.before or host.after for host in report.hosts),
        new=[one for one in report.errors if one.is_new],
        known=[one for one in report.errors if not one.is_new],
        after=_together(after),
        before=_together(before),
        has_switched=[host for host in report.hosts if host.switched_at is not None],
        machines=len({host.machine or host.name for host in report.hosts}),
        incidents=sum(len(host.incidents) for host in report.hosts),
        most_classes=MOST_CLASSES,
        most_hosts=MOST_HOSTS,
        most_acts=MOST_ACTS,
        now=now,
        version=__version__,
        width=charts.WIDTH,
    )


def _together(periods: Sequence[Period]) -> Period | None:
    """Unite hosts: the rate is that of an average host."""
    if not periods:
        return None
    return Period(summed(one.counts for one in periods), sum(one.minutes for one in periods))


def _when(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at is not None else NOTHING


def _rate(period: Period | None) -> str:
    rate = period.errors_a_minute if period is not None else None
    return NOTHING if rate is None else _number(rate)


def _number(value: float) -> str:
    """Write a number with as many digits as say something."""
    if value == 0 or value >= 10 or value == int(value):  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")
