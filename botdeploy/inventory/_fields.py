"""The kinds of values that an inventory's keys take, each with its check and its JSON Schema."""

from __future__ import annotations

import re
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from botdeploy.core.model.policy import Share
from botdeploy.errors import UserError
from botdeploy.inventory.host_range import MOST_HOSTS
from botdeploy.inventory.located import short, type_name
from botdeploy.inventory.pattern import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.core.model.allowed_hours import Window

_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?[wdhms])+")
_PART = re.compile(r"([0-9.]+)([wdhms])")
_LONGEST = timedelta(days=3650)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
# What is meant as a count or percentage, right or wrong; an address has more dots.
_NUMBER = re.compile(r"[0-9.]+ ?%|(?=.)[0-9]*\.?[0-9]*")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BOT_NAME = re.compile(r"[a-z](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_RING_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_SHARED = re.compile(r"[A-Za-z0-9._+@][A-Za-z0-9._+@/-]*")
_DIRECTIVE = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_URL = re.compile(r"https?://[!-~]+")
_SECRET = re.compile(r"(env|file|command):(.+)", re.DOTALL)
_OWN_DIRECTIVES = {
    "ExecStart": "bot.command",
    "User": "bot.user",
    "TimeoutStopSec": "bot.stop_timeout",
}
_LEVEL_WORD = re.compile(r"\S{1,20}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
# What systemd does not take for UTF-8, and what no file can hold.
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# Services and users that every host has: a bot of that name would take their place.
_TAKEN_NAMES = frozenset(
    (
        *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp"),
        *("proxy", "www-data", "backup", "list", "irc", "nobody", "dbus", "messagebus", "polkit"),
        *("polkitd", "ssh", "sshd", "cron", "crond", "atd", "udev", "rsyslog", "syslog", "chrony"),
        *("chronyd", "ntp", "ntpd", "firewalld", "ufw", "networking", "auditd", "kmod", "dnsmasq"),
        *("emergency", "rescue", "docker", "containerd", "botdeploy"),
    )
)
_TAKEN_PREFIXES = ("systemd-", "botdeploy-", "getty", "dbus-", "user-", "initrd-")
_COMMAND_PREFIXES = "@-:+!|"
# Python's complaints that hold for extended regular expressions (grep -E) as well.
_BROKEN_EVERYWHERE = (
    "missing )",
    "unbalanced parenthesis",
    "unterminated character set",
    "(end of",
)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {type_name(value)}")  # noqa: TRY004 (pydantic's)
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    if _NO_CHARACTER.search(value):
        raise ValueError("must not hold half a character (a surrogate) or a noncharacter")
    return str(value)


def _line(value: object) -> str:
    text = _text(value)
    if not text.strip():
        raise ValueError("is empty")
    return _one_line(text)


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must be one line, without control characters")
    return text


def _matching(pattern: re.Pattern[str], rule: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value)
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not valid: {rule}")
        return text

    return check


def _bot_name(value: object) -> str:
    name = _matching(
        _BOT_NAME,
        "a small letter, then small letters, digits, '-' and '_', at most 32, no '-' or '_' last",
    )(value)
    if name in _TAKEN_NAMES or name.startswith(_TAKEN_PREFIXES):
        raise ValueError(
            f"'{name}' is taken: it would replace a service or a user of the system itself"
        )
    return name


def parse_duration(value: object) -> timedelta:
    """Read ``90s``, ``30m``, ``12h``, ``2d``, ``1h30m`` or 0; raises ValueError."""
    if value == 0 and isinstance(value, int) and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        shown = short(value)
        raise ValueError(f"needs a unit: write {shown}s, {shown}m or {shown}h")  # noqa: TRY004
    text = value.strip() if isinstance(value, str) else ""
    if text == "0":
        return timedelta(0)
    if not _DURATION.fullmatch(text):
        shown = repr(text) if text else type_name(value)
        hint = f": write {text}s or {text}m" if re.fullmatch(r"[0-9.]+", text) else ""
        raise ValueError(f"{shown} is not a duration such as 90s, 30m, 12h, 2d or 1h30m{hint}")
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    if sorted(set(units), key=list(_UNITS).index) != units:
        raise ValueError(f"{text!r}: give each unit once, the largest first, as in 1h30m")
    total = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    if total > _LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return total


def _positive_duration(value: object) -> timedelta:
    total = parse_duration(value)
    if not total:
        raise ValueError("must be longer than 0")
    return total


def number_of(value: object) -> object:
    """Give a whole number that is text, such as one from the environment, as a number."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else value


def share(value: object) -> Share:
    """Read a count of hosts (3) or a percentage (25%); raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MOST_HOSTS:
            raise ValueError(f"{short(value)} is not a count of hosts")
        return Share(count=value)
    text = value.strip() if isinstance(value, str) else ""
    if text.isascii() and text.isdigit() and len(text) < len(str(MOST_HOSTS)):
        return Share(count=int(text))
    match = _PERCENT.fullmatch(text)
    if match is None:
        shown = repr(text) if text else type_name(value)
        raise ValueError(f"{shown} is not a count of hosts (3) or a percentage (25%)")
    percent = float(match[1])
    if percent > 100:  # noqa: PLR2004 (percent)
        raise ValueError(f"{text} is more than all")
    return Share(percent=percent)


def _some(value: object) -> Share:
    part = share(value)
    if not (part.count or part.percent):
        raise ValueError("must be at least 1 host")
    return part


def _host_pattern(value: object) -> str:
    """Read a pattern, or a list of them: each item is split for itself, as in Ansible."""
    if not isinstance(value, list):
        return _line(value)
    try:
        return ",".join(term for item in value for term in split(_line(item)))
    except UserError as error:
        raise ValueError(str(error)) from None


def _selector(value: object) -> str | Share:
    """Read a ring's hosts: a count, a percentage, or else a pattern."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return _line(value)
    if isinstance(value, list):
        return _host_pattern(value)
    return _some(value)


def _env_name(value: object) -> str:
    name = _text(value)
    if not _ENV_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a variable's name: letters, digits and '_', no digit first"
        )
    if name.startswith("BOTDEPLOY_"):
        raise ValueError(f"{name!r} is reserved: botdeploy sets the names with BOTDEPLOY_ itself")
    return name


def _env_value(value: object) -> str:
    return _one_line(_text(value))


def _secret(value: object) -> str:
    """Check a reference; the message never shows it, for it may be the secret itself."""
    match = _SECRET.fullmatch(_line(value))
    if match is None:
        raise ValueError(
            "must refer to the secret, not hold it: env:NAME, file:PATH or command:CMD"
        )
    if match[1] == "env" and not _ENV_NAME.fullmatch(match[2]):
        raise ValueError("env: takes the name of a variable, as in env:DISCORD_TOKEN")
    return match[0]


def _notice(value: object) -> str:
    text = _line(value)
    if "://" in text or _SECRET.fullmatch(text):
        return text
    raise ValueError("must be an Apprise URL (mailto://…) or refer to one: env:NAME, file:PATH")


def _command(value: object) -> str:
    text = _line(value)
    if text[0] in _COMMAND_PREFIXES:
        raise ValueError(f"must not begin with {text[0]!r}: systemd would take it as a prefix")
    if text.endswith("\\"):
        raise ValueError("must not end with a backslash")
    return text


def _shared(value: object) -> str:
    text = _line(value).rstrip("/")
    parts = text.split("/")
    if not text or text.startswith("/"):
        raise ValueError(f"{value!r} must be a path below the release, such as data")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{value!r} must not hold '.', '..' or an empty part")
    if not _SHARED.fullmatch(text):
        raise ValueError(f"{value!r} must hold letters, digits and . _ - + @ only")
    if parts[0] == ".botdeploy":
        raise ValueError("the name .botdeploy is botdeploy's own")
    return text


def _user(value: object) -> str:
    text = _text(value)
    if not _USER_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a system user")
    if text == "root":
        raise ValueError("must not be root: a bot must not be able to change its releases")
    return text


def _directive(value: object) -> str:
    text = _text(value)
    if not _DIRECTIVE.fullmatch(text):
        raise ValueError(f"{text!r} is not a directive of [Service], such as MemoryMax")
    if text in _OWN_DIRECTIVES:
        raise ValueError(f"{text!r} is set by {_OWN_DIRECTIVES[text]}")
    return text


def _directive_values(value: object) -> tuple[str, ...]:
    """Read what a directive is set to; nothing removes it, a list repeats it."""
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    for item in items:
        text = _one_line(_text(item))
        if text.endswith("\\"):
            raise ValueError("must not end with a backslash: it would take in the next line")
    return tuple(str(item) for item in items)


def _regex(value: object) -> str:
    text = _text(value)
    if not text:
        raise ValueError("is empty, and would match every line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    from botdeploy.inventory.slow_regex import runs_away

    if runs_away(text):
        raise ValueError(
            f"{text!r} can take for ever with a line that nearly matches: repeat nothing that "
            "repeats by itself, as in (a+)+"
        )
    return text


def _latency(value: object) -> str:
    text = _regex(value)
    if not re.compile(text).groupindex.keys() & {"ms", "s", "us"}:
        raise ValueError("needs a group named ms, s or us, as in (?P<ms>[0-9.]+) ms")
    return text


def _extended_regex(value: object) -> str:
    text = _line(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        if any(part in str(error) for part in _BROKEN_EVERYWHERE):
            raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def _url(value: object) -> str:
    text = _line(value)
    if not _URL.fullmatch(text):
        raise ValueError(f"{text!r} is not an http:// or https:// URL")
    return text


def _own_url(value: object) -> str:
    text = _url(value)
    from botdeploy.core.probes.probe import OWN_URL

    if not OWN_URL.fullmatch(text):
        raise ValueError(
            f"{text!r} is not of the host itself: a probe asks http://127.0.0.1, http://localhost"
            " or http://[::1]; for another address, ask by command (curl …)"
        )
    return text


def _window(value: object) -> Window:
    from botdeploy.inventory.allowed_hours import parse_window

    return parse_window(_line(value))


def _source(value: object) -> str:
    text = _line(value)
    if text.startswith("-"):
        raise ValueError("must not begin with '-'")
    return text


_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?[wdhms])+$"},
        {"const": 0},
    ],
    "examples": ["90s", "30m", "12h", "2d", "1h30m"],
}
_SHARE_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"},
    ],
    "examples": [1, "25%"],
}
_SCALAR = {"type": ["string", "number", "boolean"]}


def _pattern(pattern: re.Pattern[str]) -> str:
    return f"^{pattern.pattern}$"


Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Line = Annotated[str, PlainValidator(_line), WithJsonSchema({"type": "string", "minLength": 1})]
Command = Annotated[
    str, PlainValidator(_command), WithJsonSchema({"type": "string", "minLength": 1})
]
Source = Annotated[str, PlainValidator(_source), WithJsonSchema({"type": "string", "minLength": 1})]
Ref = Annotated[str, PlainValidator(_source), WithJsonSchema(_SCALAR)]
BotName = Annotated[
    str,
    PlainValidator(_bot_name),
    WithJsonSchema({"type": "string", "pattern": _pattern(_BOT_NAME)}),
]
RingName = Annotated[
    str,
    PlainValidator(_matching(_RING_NAME, "letters, digits, '.', '-' and '_', at most 32")),
    WithJsonSchema({"type": "string", "pattern": _pattern(_RING_NAME)}),
]
EnvironmentName = Annotated[
    str,
    PlainValidator(_matching(_ENVIRONMENT, "letters, digits, '_', '.' and '-', at most 64")),
    WithJsonSchema({"type": "string", "pattern": _pattern(_ENVIRONMENT)}),
]
UserName = Annotated[
    str,
    PlainValidator(_user),
    WithJsonSchema({"type": "string", "pattern": _pattern(_USER_NAME)}),
]
Duration = Annotated[timedelta, PlainValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[
    timedelta, PlainValidator(_positive_duration), WithJsonSchema(_DURATION_SCHEMA)
]
AnyShare = Annotated[Share, PlainValidator(share), WithJsonSchema(_SHARE_SCHEMA)]
SomeShare = Annotated[Share, PlainValidator(_some), WithJsonSchema(_SHARE_SCHEMA)]
Selector = Annotated[
    str | Share,
    PlainValidator(_selector),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ],
            "examples": [1, "25%", "canaries", "web*:!web3"],
        }
    ),
]
HostPattern = Annotated[
    str,
    PlainValidator(_host_pattern),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ],
            "examples": ["workers", "web*:!web3"],
        }
    ),
]
LevelWord = Annotated[
    str,
    PlainValidator(_matching(_LEVEL_WORD, "one word of at most 20 characters, without blanks")),
    WithJsonSchema({"type": "string", "pattern": _pattern(_LEVEL_WORD)}),
]
LevelName = Literal["trace", "debug", "info", "notice", "warning", "error", "critical"]
EnvName = Annotated[
    str,
    PlainValidator(_env_name),
    WithJsonSchema({"type": "string", "pattern": r"^(?!BOTDEPLOY_)[A-Za-z_][A-Za-z0-9_]*$"}),
]
EnvValue = Annotated[str, PlainValidator(_env_value), WithJsonSchema(_SCALAR)]
SecretRef = Annotated[
    str,
    PlainValidator(_secret),
    WithJsonSchema({"type": "string", "pattern": r"^(env|file|command):.+$"}),
]
Notice = Annotated[
    str,
    PlainValidator(_notice),
    WithJsonSchema({"type": "string", "pattern": r"^(env|file|command):.+$|://"}),
]
SharedPath = Annotated[
    str, PlainValidator(_shared), WithJsonSchema({"type": "string", "pattern": r"^[^/]"})
]
Directive = Annotated[
    str,
    PlainValidator(_directive),
    WithJsonSchema({"type": "string", "pattern": _pattern(_DIRECTIVE)}),
]
DirectiveValues = Annotated[
    tuple[str, ...],
    PlainValidator(_directive_values),
    WithJsonSchema({"anyOf": [_SCALAR, {"type": "null"}, {"type": "array", "items": _SCALAR}]}),
]
Regex = Annotated[
    str, PlainValidator(_regex), WithJsonSchema({"type": "string", "format": "regex"})
]
LatencyRegex = Annotated[
    str, PlainValidator(_latency), WithJsonSchema({"type": "string", "format": "regex"})
]
ExtendedRegex = Annotated[
    str, PlainValidator(_extended_regex), WithJsonSchema({"type": "string", "minLength": 1})
]
Url = Annotated[
    str, PlainValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
OwnUrl = Annotated[
    str,
    PlainValidator(_own_url),
    WithJsonSchema(
        {"type": "string", "pattern": r"^https?://(127\.[0-9.]+|localhost|\[::1\])([:/?]|$)"}
    ),
]
AllowedHours = Annotated[
    Any,  # a Window: pydantic is not to look into it
    PlainValidator(_window),
    WithJsonSchema({"type": "string", "examples": ["Mo-Fr 09:00-17:00 Europe/Berlin"]}),
]
