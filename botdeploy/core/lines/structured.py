"""Structured log lines (JSON): level, message, error and latency, by loggers' usual names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines.durations import latency_of_fields
from botdeploy.core.lines.level import (
    NO_WORDS,
    Level,
    level_of_number,
    level_of_priority,
    level_of_word,
)
from botdeploy.core.text.untrusted import json_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Structured:
    """What a JSON log line says, with its fields under one name each."""

    level: Level | None
    message: str
    logger: str
    error: str
    """What its error field says, in one line, when it is not a trace."""
    trace: str
    """Text of its stack trace, if it has one."""
    latency_ms: float | None
    is_summary: bool = False
    """Whether it has no message: then its fields are named instead."""


_LEVEL_KEYS = (
    "level",
    "levelname",
    "severity",
    "lvl",
    "log.level",
    "loglevel",
    "log_level",
    "@l",
    "Level",
    "LogLevel",
    "level_name",
    "severity_text",
    "severityText",
    "SeverityText",
    "priority",
    "levelno",
    "severityNumber",
    "severity_number",
    "SeverityNumber",
    "at",
)
_TIME_KEYS = frozenset(
    (
        *("time", "ts", "timestamp", "@timestamp", "t", "@t", "asctime", "datetime", "date"),
        *("Timestamp", "eventTime", "timeMillis", "instant", "created", "timeUnixNano"),
        *("observedTimeUnixNano", "ObservedTimestamp"),
    )
)
_SHIPPED_KEYS = frozenset(["pid", "hostname", "short_message", "version", "host", "v"])
"""Keys that pino, bunyan and GELF write beside a numeric level."""
_PURE_KEYS = frozenset({"level", "severity", "msg", "message"})
_STATES = frozenset(["error", "err", "exception", "fail", "failed", "failure", "fatal", "critical"])
_STEPS = (Level.TRACE, Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.CRITICAL)
_TOP = 70
"""Greatest number that a logger gives a level."""
_NOTHING = frozenset({"", "none", "null", "nil", "false", "0", "ok", "no", "n/a", "-", "undefined"})
"""What an error's field says where there was none."""
_MESSAGE_KEYS = (
    "message",
    "msg",
    "event",
    "@m",
    "@mt",
    "Message",
    "RenderedMessage",
    "MessageTemplate",
    "text",
    "@message",
    "short_message",
    "log",
    "body",
)
_LOGGER_KEYS = (
    "logger",
    "name",
    "logger_name",
    "loggerName",
    "log.logger",
    "target",
    "Category",
    "module",
    "SourceContext",
    "component",
)
_TRACE_KEYS = (
    "exc_info",
    "exception",
    "stack_trace",
    "stacktrace",
    "stack",
    "traceback",
    "exc_text",
    "error.stack_trace",
    "error.stack",
    "errorVerbose",
    "@x",
    "Exception",
    "full_message",
    "stackTrace",
    "exc",
    "backtrace",
)
_ERROR_KEYS = ("err", "error", "exception", "error.message", "exc_value")
_CAUSE_KEYS = ("cause", "reason", "details")
"""What says more of an error, and of anything else too."""
_ERRORISH = frozenset(
    {*_TRACE_KEYS, *_ERROR_KEYS, *_CAUSE_KEYS, "error", "exc_type", "errorType", "error.type"}
)
_OWN_KEYS = frozenset(
    {*_MESSAGE_KEYS, *_LOGGER_KEYS, *_ERROR_KEYS, "fields", "levelname", "levelno"}
)
"""Keys of a logger's record: an object without any, and without a time, is somebody's data."""


def read_structured(text: str, declared: Mapping[str, Level] = NO_WORDS) -> Structured | None:
    """Read a JSON log line; None when the text is no JSON object.

    ``declared``: words of the user's, in lower case, that are levels.
    """
    try:
        fields = json_of(text, is_lenient=True)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not fields:
        return None
    record = fields.get("record")
    if isinstance(record, dict) and "message" in record:
        return _loguru(fields, record)
    return _of_fields(fields, declared)


def _of_fields(fields: Mapping[str, Any], declared: Mapping[str, Level]) -> Structured:
    level = _level(fields, declared)
    message = _text_of(fields, _MESSAGE_KEYS)
    inner = fields.get("fields")
    if not message and isinstance(inner, dict):  # Rust's tracing-subscriber
        message = _text_of(inner, _MESSAGE_KEYS)
    trace, error = _error(fields)
    if trace and error and error not in trace:  # ECS writes the frames alone
        trace = f"{trace.rstrip()}\n{error}"
    if not error and isinstance(inner, dict):
        _, error = _error(inner)
    if level is None and error:
        level = Level.ERROR
    if not error and (level or 0) >= Level.ERROR:
        error = _text_of(fields, _CAUSE_KEYS)
    is_summary = not (message or error)
    if not message:
        message, error = error or _summary(fields), ""
    elif error and error in message:
        error = ""
    return Structured(
        level, message, _logger(fields), error, trace, latency_of_fields(fields), is_summary
    )


def _loguru(fields: Mapping[str, Any], record: Mapping[str, Any]) -> Structured:
    level = record.get("level")
    word = level.get("name") if isinstance(level, dict) else level
    number = level.get("no") if isinstance(level, dict) else None
    found = level_of_word(str(word))
    if found is None and isinstance(number, int):
        found = max((one for one in Level if one <= number), default=Level.TRACE)
    exception = record.get("exception")
    trace = error = ""
    if isinstance(exception, dict):
        whole = str(fields.get("text") or "")
        if "Traceback (most recent" in whole or "\n" in whole.rstrip("\n"):
            trace = whole
        kind, value = exception.get("type"), exception.get("value")
        error = f"{kind}: {value}" if value else str(kind or "")
    extra = record.get("extra")
    latency = latency_of_fields(extra) if isinstance(extra, dict) else None
    return Structured(
        found, str(record.get("message")), str(record.get("name") or ""), error, trace, latency
    )


def _level(fields: Mapping[str, Any], declared: Mapping[str, Level]) -> Level | None:
    """Find a record's level; ``{"level": 60, "user": "bob"}`` is no logger's record."""
    has_time = not _TIME_KEYS.isdisjoint(fields)
    is_record = has_time or not _OWN_KEYS.isdisjoint(fields)
    for key in _LEVEL_KEYS if is_record else ():
        value = fields.get(key)
        if value is None and "." in key:
            value = _nested(fields, key)
        if isinstance(value, str):
            found = declared.get(value.lower()) or level_of_word(value)
            if found is None and len(value) < 4 and value.isdecimal():  # noqa: PLR2004
                found = _numbered(fields, key, int(value), has_time=has_time)
        elif isinstance(value, dict):
            found = level_of_word(str(value.get("name") or value.get("level") or ""))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = _numbered(fields, key, value, has_time=has_time)
        else:
            continue
        if found is not None and (key != "priority" or has_time):
            return found
    for key in ("status", "type", "kind"):
        value = fields.get(key)
        if isinstance(value, str) and value.lower() in _STATES:
            return Level.ERROR
    log = fields.get("log")
    if isinstance(log, dict) and isinstance(log.get("level"), str):
        return level_of_word(log["level"])
    return None


def _numbered(
    fields: Mapping[str, Any], key: str, number: float, *, has_time: bool
) -> Level | None:
    """Read a number as a level, where the other fields are a logger's: players have levels too."""
    if key == "levelno":
        return max((one for one in Level if one <= number), default=Level.TRACE)
    if key in {"severityNumber", "severity_number", "SeverityNumber"}:  # OpenTelemetry's 1 to 24
        return _STEPS[min(int(number) - 1, 23) // 4] if number >= 1 else None
    is_pure = fields.keys() <= _PURE_KEYS and not isinstance(fields[key], str)
    if not (is_pure or has_time or not _SHIPPED_KEYS.isdisjoint(fields)):
        return None
    if key == "priority" or number < 10:  # noqa: PLR2004 -- syslog's, from 0 to 7
        is_syslog = is_pure or key != "level" or not _SHIPPED_KEYS.isdisjoint(fields)
        return level_of_priority(number) if is_syslog else None
    found = level_of_number(number) if number <= _TOP else None
    if found is Level.CRITICAL and not is_pure and _SHIPPED_KEYS.isdisjoint(fields):
        return Level.ERROR
    return found


def _nested(fields: Mapping[str, Any], dotted: str) -> Any:
    head, _, rest = dotted.partition(".")
    inner = fields.get(head)
    return inner.get(rest) if isinstance(inner, dict) else None


def _text_of(fields: Mapping[str, Any], keys: Iterable[str]) -> str:
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, dict) and isinstance(value.get("stringValue"), str):  # OpenTelemetry
            return str(value["stringValue"])
    return ""


def _logger(fields: Mapping[str, Any]) -> str:
    name = _text_of(fields, _LOGGER_KEYS) or str(_nested(fields, "log.logger") or "")
    return name if len(name) <= 80 else ""  # noqa: PLR2004


def _error(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Find the trace and the one-line error among the fields."""
    if not (_ERRORISH & fields.keys()):
        return "", ""
    trace = ""
    for key in _TRACE_KEYS:
        value = fields.get(key)
        if value is None and "." in key:
            value = _nested(fields, key)
        trace = _trace_text(value)
        if trace:
            break
    error = ""
    for key in _ERROR_KEYS:
        value = fields.get(key)
        if value is None and "." in key:
            value = _nested(fields, key)
        if isinstance(value, dict):
            trace = trace or _trace_text(
                value.get("stack") or value.get("stack_trace") or value.get("stacktrace")
            )
            kind = value.get("type") or value.get("name") or value.get("code") or ""
            said = value.get("message") or value.get("msg") or value.get("value") or ""
            error = f"{kind}: {said}" if kind and said else str(kind or said)
        elif isinstance(value, str) and "\n" not in value.strip():
            error = "" if value.strip().lower() in _NOTHING else value.strip()
        elif isinstance(value, str) and not trace:
            trace = value
        if error:
            break
    kind = fields.get("exc_type") or fields.get("error.type") or fields.get("errorType")
    if isinstance(kind, str) and kind and error and not error.startswith(kind):
        error = f"{kind}: {error}"
    return trace, error


def _trace_text(value: object) -> str:
    """Give a trace as text, whatever its form: text, structlog's dictionaries, a list of lines."""
    if isinstance(value, str):
        return value if "\n" in value.strip() else ""
    if isinstance(value, list) and value:
        if all(isinstance(one, str) for one in value):
            return "\n".join(one.rstrip("\n") for one in value)
        if isinstance(value[0], dict) and "exc_type" in value[0]:
            return _of_dicts(value)
    if isinstance(value, dict):
        return _trace_text(value.get("stack") or value.get("stack_trace") or value.get("traceback"))
    return ""


def _of_dicts(value: list[Any]) -> str:
    """Write structlog's ``dict_tracebacks`` (last exception first) as Python would print them."""
    parts: list[str] = []
    for at, one in enumerate(reversed(value)):
        if not isinstance(one, dict):
            continue
        if at:
            previous = value[len(value) - at]
            is_cause = isinstance(previous, dict) and previous.get("is_cause")
            parts.append(
                "The above exception was the direct cause of the following exception:"
                if is_cause
                else "During handling of the above exception, another exception occurred:"
            )
        parts.append("Traceback (most recent call last):")
        parts += [
            f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
            for frame in one.get("frames") or []
            if isinstance(frame, dict)
        ]
        parts.append(f"{one.get('exc_type')}: {one.get('exc_value')}")
    return "\n".join(parts)


def _summary(fields: Mapping[str, Any]) -> str:
    """Name a line that has no message by its plain fields."""
    plain = [
        f"{key}={value}" for key, value in fields.items() if isinstance(value, str | int | float)
    ]
    return " ".join(plain)[:400]


_LOGFMT = re.compile(
    r"""(?x) ([A-Za-z_@][\w.@-]*)
    = ("(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s"']*) (?:\s+|$)"""
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t"}
_LOGFMT_KEYS = frozenset(
    {"level", "lvl", "severity", "msg", "message", "ts", "time", "t", "timestamp"}
)


def read_logfmt(text: str, declared: Mapping[str, Level] = NO_WORDS) -> Structured | None:
    """Read a line of ``key=value`` pairs, as Go's loggers write it; None when it is none."""
    fields: dict[str, Any] = {}
    at = 0
    while found := _LOGFMT.match(text, at):
        key, value = found.groups()
        if value[:1] in "\"'" and len(value) > 1:
            value = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), value[1:-1])
        fields[key] = value
        at = found.end()
    if at < len(text) or not ({"msg", "message", "event", "err", "error"} & fields.keys()):
        return None
    if not _LOGFMT_KEYS & fields.keys():
        return None
    return _of_fields(fields, declared)
