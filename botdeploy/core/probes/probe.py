"""Probes: what a running bot answers when it is asked, as log lines for the judge.

An answer becomes a *reading*: counters that only grow, latencies, or a failure. Two readings of
one process become lines of kind ``probe``, each standing for so many equal events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import ceil, inf, isfinite, sqrt
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.fingerprint import PROBE
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.model.bot import ProbeKind
from botdeploy.core.probes.metrics import Metrics, Sample, read_metrics
from botdeploy.core.text.token_patterns import mask_tokens
from botdeploy.core.text.untrusted import LARGEST, object_of, real, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_BYTES = 262_144
"""Bytes of an answer; a longer one is a failure, for half an answer looks like falling counters."""
MOST_CLASSES = 64
"""Kinds of errors that are kept apart; the others are one."""
MOST_SPANS = 1000
"""Latencies that one answer may bring one by one."""
OWN_URL = re.compile(
    r"https?://(?:127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(?::[0-9]{1,5})?"
    r"(?:[/?][A-Za-z0-9._~:/?@!$&()*+,;=%-]{0,900})?"
)
"""A URL that a host may be told to ask: its own loopback's. The host checks by itself, too."""
FAILED = f"{PROBE}failed: "
"""What the fingerprint of a probe begins with that brought no good answer."""
MORE_ERRORS = "(more errors)"
MINUTE_US = 60_000_000
YOUNG_S = 60.0
"""A process younger than this has no past to speak of: its start is most of it."""
_MOST_EVENTS = 10_000_000
_LUMP = 3
"""Errors of the past are taken to come in threes, as the judge assumes where it knows nothing."""
_BEGUN_TOLERANCE_US = 2_000_000

# --- which metrics are what -----------------------------------------------------------------------

_WORK = frozenset(
    (
        *("request", "requests", "handled", "processed", "command", "commands", "message"),
        *("messages", "update", "updates", "event", "events", "job", "jobs", "task", "tasks"),
        *("interaction", "interactions", "call", "calls", "completed", "done"),
    )
)
_ERROR = frozenset(
    (
        *("error", "errors", "failure", "failures", "failed", "fails", "exception", "exceptions"),
        *("panic", "panics", "crash", "crashes", "timeouts", "aborted", "err", "errs"),
    )
)
_TIME = frozenset(("duration", "latency", "latencies", "time", "seconds", "milliseconds", "ms"))
_UNITS = {
    **dict.fromkeys(("seconds", "second", "s"), 1000.0),
    **dict.fromkeys(("milliseconds", "millis", "ms"), 1.0),
    **dict.fromkeys(("microseconds", "micros", "us"), 1e-3),
    **dict.fromkeys(("nanoseconds", "nanos", "ns"), 1e-6),
}
"""What a time is in milliseconds, by the last word of its name; Prometheus' own unit: seconds."""
_DISTRIBUTIONS = frozenset(("histogram", "summary"))
_PARTS = frozenset(("bucket", "sum", "count"))
_STATUS_LABELS = frozenset(
    ("code", "status", "status_code", "http_status", "http_response_status_code", "statuscode")
)
_OUTCOME_LABELS = frozenset(("outcome", "result", "status", "state"))
_BAD_OUTCOMES = frozenset(("error", "errors", "failed", "failure", "fail", "exception", "timeout"))
_CAUSE_LABELS = frozenset(("exception", "error", "exception_type", "error_type"))
_NO_CAUSE = frozenset(("", "none", "null", "false", "0", "no", "ok"))
_PLACE_LABELS = frozenset(("handler", "path", "endpoint", "route", "uri", "view", "url"))
_RUNTIME = re.compile(
    r"(?:go|python|nodejs|jvm|promhttp|prometheus|scrape|net_conntrack|dotnet)_"
    r"|process_(?:cpu|open|max|virtual|resident|start|network|threads|files|heap)"
)
"""Metrics of the language and of the metrics library themselves."""
_VARIABLE = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]{4,})*|\d{4,}", re.IGNORECASE)
_SERVER_ERROR = re.compile(r"5(?:\d\d|xx)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host brought back from one question."""

    at_us: int
    """When it was there: microseconds UTC, by the host's clock."""
    body: bytes = b""
    took_ms: float = 0.0
    code: int = 0
    """Exit status of the command, or of the program that asked the URL; -1: nobody knows."""
    status: int = 0
    """HTTP status; 0 where there was no answer, and for commands."""
    said: str = ""
    """The last words on standard error."""
    invocation: str = ""
    """systemd's name for the run of the bot that was asked."""
    up_s: float = 0.0
    """For how long that run had been active; 0 where it was not."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies counted since the process began."""

    count: float
    sum_ms: float
    bounds: Mapping[float, float] = field(default_factory=dict)
    """Upper bound in milliseconds to how many were not slower; infinity is the last."""


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """What one answer told of a bot: counters since its process began, or a failure."""

    at_us: int
    invocation: str = ""
    up_s: float = 0.0
    failure: str = ""
    """Why the answer is worth nothing: it did not come, or the bot said that it is not well."""
    handled: Mapping[str, float] = field(default_factory=dict)
    """Units of work done, by metric."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Errors by metric and labels."""
    latency: Mapping[str, Histogram] = field(default_factory=dict)
    took_ms: tuple[float, ...] = ()
    """Latencies that were measured just now, one by one."""

    def to_record(self) -> dict[str, Any]:
        """Write the counters as plain data, to go on from in another process."""
        return {
            "at_us": self.at_us,
            "invocation": self.invocation,
            "up_s": self.up_s,
            "handled": dict(self.handled),
            "errors": dict(self.errors),
            "latency": {
                name: [
                    one.count,
                    one.sum_ms,
                    [[b if isfinite(b) else None, n] for b, n in sorted(one.bounds.items())],
                ]
                for name, one in self.latency.items()
            },
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ProbeReading | None:
        """Read what ``to_record`` wrote; None for anything else.

        A bound of None is the one above all others: JSON knows no infinity.
        """
        try:
            return cls(
                at_us=whole(record["at_us"]),
                invocation=str(record["invocation"]),
                up_s=real(record["up_s"]),
                handled={str(name): real(n) for name, n in record["handled"].items()},
                errors={str(name): real(n) for name, n in record["errors"].items()},
                latency={
                    str(name): Histogram(
                        real(count),
                        real(total),
                        {inf if b is None else real(b): real(n) for b, n in bounds},
                    )
                    for name, (count, total, bounds) in record["latency"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


# --- an answer, read ------------------------------------------------------------------------------


def read(kind: ProbeKind, answer: Answer) -> ProbeReading:
    """Read an answer; one that can't be read is a reading with a ``failure``, never an error."""
    plain = ProbeReading(answer.at_us, answer.invocation, answer.up_s)
    failure = _failure(kind, answer)
    if failure:
        return replace(plain, failure=failure)
    text = answer.body.decode("utf-8", "replace")
    if kind is ProbeKind.PROMETHEUS:
        metrics = read_metrics(text)
        if not metrics.samples:
            return replace(plain, failure="answered with no metrics")
        return _of_metrics(plain, metrics, is_typed=True)
    numbers = _of_json(plain, text)
    if kind is ProbeKind.HTTP:
        took = (answer.took_ms,) if answer.took_ms > 0.0 else ()
        if numbers is None:
            return replace(plain, took_ms=took)
        return replace(numbers, took_ms=numbers.took_ms or took)
    if numbers is None:
        numbers = _of_metrics(plain, read_metrics(text), is_typed=False)
    return numbers


def _failure(kind: ProbeKind, answer: Answer) -> str:
    if len(answer.body) > MOST_BYTES:
        return f"answered with more than {MOST_BYTES // 1024} kB"
    if kind is ProbeKind.COMMAND:
        match answer.code:
            case 0:
                return ""
            case 124 | 137:
                return "took too long"
            case -1:
                return "left something running that holds its output"
            case _:
                return f"ended with {answer.code}"
    if answer.status >= 500:  # noqa: PLR2004 (server errors)
        return f"answered {answer.status}"
    if answer.status == 0:
        return "took too long to answer" if answer.code == 28 else "did not answer"  # noqa: PLR2004
    if answer.code != 0:
        return "broke off in the middle of its answer"
    if kind is ProbeKind.PROMETHEUS and answer.status >= 300:  # noqa: PLR2004
        return f"answered {answer.status}"
    return ""


def _of_json(plain: ProbeReading, text: str) -> ProbeReading | None:
    """Read ``{"handled": 12, "errors": {"timeout": 1}, "latency_ms": [12, 30]}``."""
    text = text.strip()
    if not text.startswith("{"):
        return None
    try:
        data = object_of(text)
    except ValueError:
        return None
    handled = _number(data.get("handled"))
    found = data.get("errors")
    errors: dict[str, float] = {}
    if isinstance(found, dict):
        for name, value in found.items():
            number = _number(value)
            if number is not None:
                _add(errors, _steady(f"errors.{name}"), number)
    elif (number := _number(found)) is not None:
        errors["errors"] = number
    spans = data.get("latency_ms")
    took = [_number(one) for one in (spans if isinstance(spans, list) else [spans])[:MOST_SPANS]]
    return replace(
        plain,
        handled={} if handled is None else {"handled": handled},
        errors=_bounded(errors),
        took_ms=tuple(one for one in took if one is not None and one > 0.0),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = real(value)
    except ValueError:
        return None
    return number if number >= 0.0 else None


def _of_metrics(plain: ProbeReading, metrics: Metrics, *, is_typed: bool) -> ProbeReading:
    """Sort samples into work, errors and latencies, by what their names and labels say.

    ``is_typed``: without a type, only names that end in ``_total`` are counters.
    """
    handled: dict[str, float] = {}
    errors: dict[str, float] = {}
    took: list[float] = []
    latency: dict[str, _Parts] = {}
    for sample in metrics.samples:
        if not 0.0 <= sample.value < LARGEST or _RUNTIME.match(sample.name):
            continue
        if any(k in _PLACE_LABELS and v.rstrip("/").endswith("metrics") for k, v in sample.labels):
            continue  # our own questions
        if sample.name == "latency_ms" and not is_typed:
            if sample.value > 0.0:
                took.append(sample.value)
        elif _take_latency(latency, sample, metrics.types):
            continue
        elif _is_counter(sample.name, metrics.types, is_typed=is_typed):
            words = _words(sample.name)
            if not words.isdisjoint(_WORK):
                _add(handled, sample.name, sample.value)
            if not words.isdisjoint(_ERROR) or _is_bad(sample.labels):
                _add(errors, _error_name(sample), sample.value)
    histograms = {name: parts.whole() for name, parts in latency.items() if parts.count > 0.0}
    if not handled:
        handled = {f"{name}_count": one.count for name, one in histograms.items()}
    return replace(
        plain,
        handled=handled,
        errors=_bounded(errors),
        latency=histograms,
        took_ms=tuple(took[:MOST_SPANS]),
    )


def _add(counts: dict[str, float], name: str, value: float) -> None:
    counts[name] = counts.get(name, 0.0) + value


def _words(name: str) -> set[str]:
    return set(re.split(r"[_:.-]+", name.lower()))


def _is_counter(name: str, types: Mapping[str, str], *, is_typed: bool) -> bool:
    stated = types.get(name) or types.get(name.removesuffix("_total"))
    if stated is not None and stated not in {"untyped", "unknown"}:
        return stated == "counter"
    return not name.endswith("_created") and (not is_typed or name.endswith("_total"))


def _is_bad(labels: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether labels say that this counts what went wrong."""
    for name, value in labels:
        key, word = name.lower(), value.lower()
        if key in _STATUS_LABELS and _SERVER_ERROR.fullmatch(word):
            return True
        if key in _OUTCOME_LABELS and word in _BAD_OUTCOMES:
            return True
        if key in _CAUSE_LABELS and word not in _NO_CAUSE:
            return True
        if key in {"success", "ok"} and word in {"false", "0", "no"}:
            return True
    return False


def _error_name(sample: Sample) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels))
    return _steady(f"{sample.name}{{{inside}}}" if inside else sample.name)


def _steady(name: str) -> str:
    """Take out of a name what would make a new one of it each time: ids and credentials."""
    return mask_tokens(_VARIABLE.sub("#", " ".join(name.split())))[:160]


def _bounded(errors: dict[str, float]) -> dict[str, float]:
    if len(errors) <= MOST_CLASSES:
        return errors
    kept = sorted(errors, key=lambda name: (-errors[name], name))[: MOST_CLASSES - 1]
    out = {name: errors[name] for name in kept}
    out[MORE_ERRORS] = sum(errors.values()) - sum(out.values())
    return out


class _Parts:
    """A histogram or summary while its samples come, of all labels together."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.count = self.total = 0.0
        self.bounds: dict[float, float] = {}

    def whole(self) -> Histogram:
        return Histogram(self.count, self.total * self.factor, dict(sorted(self.bounds.items())))


def _take_latency(found: dict[str, _Parts], sample: Sample, types: Mapping[str, str]) -> bool:
    """Take a sample that belongs to a histogram or summary; False where it does not."""
    base, _, part = sample.name.rpartition("_")
    if part not in _PARTS or types.get(base) not in _DISTRIBUTIONS:
        # a summary's quantiles are of a window that nobody states
        return types.get(sample.name) in _DISTRIBUTIONS
    words = re.split(r"[_:.-]+", base.lower())
    if set(words).isdisjoint(_TIME):
        return True
    parts = found.setdefault(base, _Parts(_UNITS.get(words[-1], 1000.0)))
    match part:
        case "count":
            parts.count += sample.value
        case "sum":
            parts.total += sample.value
        case _:
            bound = dict(sample.labels).get("le", "")
            try:
                edge = float(bound) * parts.factor
            except ValueError:
                return True
            if edge != edge:  # noqa: PLR0124 -- not a number
                return True
            parts.bounds[edge] = parts.bounds.get(edge, 0.0) + sample.value
    return True


def is_failure(line: LogLine) -> bool:
    """Tell whether a line says that a probe brought no good answer."""
    return line.fingerprint is not None and line.fingerprint.startswith(FAILED)


def is_of(reading: ProbeReading, since_us: int) -> bool:
    """Tell whether the process that was read began after this instant (host's clock, ± 2 s)."""
    if reading.up_s <= 0.0:
        return False
    return reading.at_us - round(reading.up_s * 1e6) >= since_us - _BEGUN_TOLERANCE_US


# --- readings, as lines ---------------------------------------------------------------------------


def lines_of(
    before: ProbeReading | None,
    after: ProbeReading,
    *,
    about: str = "probe",
    since_us: int | None = None,
) -> tuple[ProbeReading | None, list[LogLine]]:
    """Give what to go on from with the next reading, and what happened between two of them.

    A counter that fell, or belongs to another run of the bot, began anew at 0. Without a reading
    before, counters tell nothing, unless the process began after ``since_us`` (microseconds, by
    the host's clock): then all that they count happened since. Work is spread evenly over the
    minutes between, errors come together at the end: nobody knows when within they came.
    ``about`` begins each line's text.
    """
    if after.failure:
        failed = _line(
            after, after.at_us, f"{about} {after.failure}", fingerprint=f"{FAILED}{after.failure}"
        )
        return before, [failed]
    begun_us = after.at_us - round(after.up_s * 1e6) if after.up_s > 0.0 else after.at_us
    if before is None:
        if since_us is None or not is_of(after, since_us):
            return replace(after, took_ms=()), _spans(after, about)
        before = ProbeReading(max(begun_us, since_us))
    elif before.invocation and after.invocation and before.invocation != after.invocation:
        before = ProbeReading(max(before.at_us, begun_us))
    kept = replace(
        after,
        handled=_carried(before.handled, after.handled),
        errors=_carried(before.errors, after.errors),
        latency={**before.latency, **after.latency},
        took_ms=(),
    )
    from_us = min(before.at_us, after.at_us)
    out = list(_work(after, _risen(before.handled, after.handled), from_us, about))
    for name, value in after.latency.items():
        out += _latencies(after, about, before.latency.get(name), value)
    out += _spans(after, about)
    for name in sorted(after.errors):
        count = _count(_rise(before.errors.get(name, 0.0), after.errors[name]))
        if count:
            out.append(
                _line(
                    after,
                    after.at_us,
                    f"{about}: {name} rose by {count}",
                    count=count,
                    fingerprint=f"{PROBE}{name}",
                )
            )
    return kept, out


def past_of(
    reading: ProbeReading, from_us: int, to_us: int, *, about: str = "probe"
) -> list[LogLine]:
    """Give what a process's counters tell of this stretch: its mean rates since it began.

    What is older than the process is taken to have been like it. A process of less than a minute
    tells only which errors there are. Latencies have no past: a mean shows nothing of how they
    stray.
    """
    if reading.failure or to_us <= from_us:
        return []
    if reading.up_s < YOUNG_S:
        return [
            _line(reading, to_us, f"{about}: {name}", fingerprint=f"{PROBE}{name}")
            for name, value in sorted(reading.errors.items())
            if value >= 1.0
        ]
    share = (to_us - from_us) / 1e6 / reading.up_s
    handled = sum(reading.handled.values()) * share
    out = [
        _handled(reading, at_us, n, about) for at_us, n in _spread(_count(handled), from_us, to_us)
    ]
    for name, value in sorted(reading.errors.items()):
        if value < 1.0:
            continue
        count = max(1, _count(value * share))
        for at_us, n in _spread(count, from_us, to_us, lump=_LUMP):
            text = f"{about}: {name} rose by {n}"
            out.append(_line(reading, at_us, text, count=n, fingerprint=f"{PROBE}{name}"))
    return sorted(out, key=lambda line: line.at_us)


def _rise(old: float, new: float) -> float:
    """Tell by how much a counter rose; one that fell by half or more began anew.

    A little less than before is no new beginning: a part of the answer was missing.
    """
    if new >= old:
        return new - old
    return new if 2.0 * new <= old else 0.0


def _risen(old: Mapping[str, float], new: Mapping[str, float]) -> float:
    return sum(_rise(old.get(name, 0.0), value) for name, value in new.items())


def _carried(old: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
    """Keep counters that are missing in an answer, or fell a little: they have not begun anew."""
    out = dict(old)
    for name, value in new.items():
        known = old.get(name, 0.0)
        out[name] = known if value < known < 2.0 * value else value
    return out


def _count(value: float) -> int:
    return min(_MOST_EVENTS, round(value))


def _spread(count: int, from_us: int, to_us: int, lump: int = 1) -> Iterator[tuple[int, int]]:
    """Spread a count evenly, once a minute at most: times, and how many then."""
    if count <= 0:
        return
    minutes = max(1, ceil((to_us - from_us) / MINUTE_US))
    pieces = min(minutes, max(1, count // lump))
    before = 0
    for piece in range(1, pieces + 1):
        upto = count * piece // pieces
        yield from_us + (to_us - from_us) * piece // pieces, upto - before
        before = upto


def _work(reading: ProbeReading, risen: float, from_us: int, about: str) -> Iterator[LogLine]:
    for at_us, count in _spread(_count(risen), from_us, reading.at_us):
        yield _handled(reading, at_us, count, about)


def _handled(reading: ProbeReading, at_us: int, count: int, about: str) -> LogLine:
    return _line(reading, at_us, f"{about}: {count} handled", count=count, is_handled=True)


def _spans(reading: ProbeReading, about: str) -> list[LogLine]:
    return [
        _line(reading, reading.at_us, f"{about}: took {one:.3g} ms", latency_ms=one)
        for one in reading.took_ms
    ]


def _latencies(
    reading: ProbeReading, about: str, old: Histogram | None, new: Histogram
) -> Iterator[LogLine]:
    """Give the latencies that a histogram counted since: by bucket, scaled to fit their sum."""
    if old is None or new.count < old.count:
        old = Histogram(0.0, 0.0)
    count, total = new.count - old.count, new.sum_ms - old.sum_ms
    if count < 1.0 or total <= 0.0:
        return
    middles = list(_middles(old, new))
    if middles:
        guessed = sum(middle * n for middle, n in middles)
        factor = min(2.0, max(0.5, total / guessed)) if guessed > 0.0 else 1.0
    else:
        middles, factor = [(total / count, count)], 1.0
    for middle, n in middles:
        if (number := _count(n)) > 0:
            span = middle * factor
            text = f"{about}: {number} took about {span:.3g} ms"
            yield _line(reading, reading.at_us, text, count=number, latency_ms=span)


def _middles(old: Histogram, new: Histogram) -> Iterator[tuple[float, float]]:
    """Give each bucket's middle and how many it counted since."""
    low = below = 0.0
    for bound in sorted(new.bounds):
        upto = max(below, new.bounds[bound] - old.bounds.get(bound, 0.0))
        if upto > below:
            if not isfinite(bound):
                middle = low * sqrt(2.0)
            else:
                middle = sqrt(low * bound) if low > 0.0 else bound / 2.0
            yield middle, upto - below
        below = upto
        low = bound


def _line(
    reading: ProbeReading,
    at_us: int,
    text: str,
    *,
    count: int = 1,
    fingerprint: str | None = None,
    latency_ms: float | None = None,
    is_handled: bool = False,
) -> LogLine:
    return LogLine(
        at_us,
        LineKind.PROBE,
        Level.INFO if fingerprint is None else Level.ERROR,
        text,
        fingerprint,
        latency_ms,
        reading.invocation or None,
        is_handled=is_handled,
        count=count,
    )
