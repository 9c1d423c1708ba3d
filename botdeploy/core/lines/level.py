"""How bad a line says that it is: levels, and the words by which loggers write them."""

from __future__ import annotations

import re
from enum import IntEnum

from botdeploy.core.text.printable import without_escapes


class Level(IntEnum):
    """How bad a line is, in the steps of Python's ``logging``; they compare as one expects."""

    TRACE = 5
    DEBUG = 10
    INFO = 20
    NOTICE = 25
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


_WORDS: dict[str, Level] = {
    "trace": Level.TRACE,
    "trc": Level.TRACE,
    "trce": Level.TRACE,
    "finest": Level.TRACE,
    "finer": Level.TRACE,
    "silly": Level.TRACE,
    "verbose": Level.DEBUG,
    "debug": Level.DEBUG,
    "dbg": Level.DEBUG,
    "dbug": Level.DEBUG,
    "debu": Level.DEBUG,
    "fine": Level.DEBUG,
    "config": Level.DEBUG,
    "info": Level.INFO,
    "inf": Level.INFO,
    "information": Level.INFO,
    "informational": Level.INFO,
    "success": Level.INFO,
    "log": Level.INFO,
    "http": Level.INFO,
    "default": Level.INFO,
    "notice": Level.NOTICE,
    "note": Level.NOTICE,
    "warn": Level.WARNING,
    "wrn": Level.WARNING,
    "warning": Level.WARNING,
    "error": Level.ERROR,
    "err": Level.ERROR,
    "eror": Level.ERROR,
    "erro": Level.ERROR,
    "fail": Level.ERROR,
    "failure": Level.ERROR,
    "severe": Level.ERROR,
    "exception": Level.ERROR,
    "critical": Level.CRITICAL,
    "crit": Level.CRITICAL,
    "fatal": Level.CRITICAL,
    "ftl": Level.CRITICAL,
    "fata": Level.CRITICAL,
    "panic": Level.CRITICAL,
    "pnc": Level.CRITICAL,
    "dpanic": Level.CRITICAL,
    "pani": Level.CRITICAL,
    "alert": Level.CRITICAL,
    "emerg": Level.CRITICAL,
    "emergency": Level.CRITICAL,
}

_PRIORITIES = (
    Level.CRITICAL,
    Level.CRITICAL,
    Level.CRITICAL,
    Level.ERROR,
    Level.WARNING,
    Level.NOTICE,
    Level.INFO,
    Level.DEBUG,
)

_LETTERS = {
    "T": Level.TRACE,
    "V": Level.DEBUG,
    "D": Level.DEBUG,
    "I": Level.INFO,
    "W": Level.WARNING,
    "E": Level.ERROR,
    "F": Level.CRITICAL,
    "C": Level.CRITICAL,
    "A": Level.CRITICAL,
}


def level_of_priority(priority: object) -> Level | None:
    """Read a syslog priority (0 to 7, as number or text); None when it is none."""
    try:
        number = int(priority)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return _PRIORITIES[number] if 0 <= number < len(_PRIORITIES) else None


def level_of_word(word: str) -> Level | None:
    """Read a level word in any case, with slog's offset (``ERROR+2``) dropped."""
    word = word.strip().lower()
    found = _WORDS.get(word)
    if found is None and ("+" in word or "-" in word):
        found = _WORDS.get(re.split(r"[+-]", word, maxsplit=1)[0])
    return found


def level_of_number(number: float) -> Level | None:
    """Read a numeric level: syslog's below 8, else the steps of pino, bunyan and Python.

    10, 20 … 60 are pino's and bunyan's (30 is info there); who has Python's numbers has a name
    beside them, which is read first.
    """
    if number < 8:  # noqa: PLR2004 -- syslog has eight
        return level_of_priority(number)
    steps = (
        (60, Level.CRITICAL),
        (50, Level.ERROR),
        (40, Level.WARNING),
        (30, Level.INFO),
        (20, Level.DEBUG),
    )
    return next((level for step, level in steps if number >= step), Level.TRACE)


_ANY = (
    "trace|trce|debug|dbug|verbose|info|information|success|notice|warn|warning|error|err|eror|fail"
    "|severe|critical|crit|fatal|panic|alert|emerg|emergency"
)
_UPPER_WORDS = {
    word: _WORDS[word.lower()]
    for word in (
        "TRACE",
        "TRC",
        "DEBUG",
        "DEBU",
        "DBG",
        "VERBOSE",
        "INFO",
        "INFORMATION",
        "INF",
        "SUCCESS",
        "NOTICE",
        "WARN",
        "WARNING",
        "WRN",
        "ERROR",
        "ERRO",
        "ERR",
        "SEVERE",
        "CRITICAL",
        "CRIT",
        "FATAL",
        "FATA",
        "FTL",
        "PANIC",
        "PANI",
        "PNC",
        "ALERT",
        "EMERG",
        "EMERGENCY",
    )
}
_ANY_WORDS = frozenset(_ANY.split("|"))
# Upper case anywhere, any case in brackets, bars or after a key: the first one decides.
_CAPITALS = re.compile(r"[A-Z]{3,}")
_BRACKETED = re.compile(r"[\[(<|]\s*([A-Za-z]{3,11})\s*[\])>|]")
_KEYED = re.compile(r"\b(?i:level|lvl|severity|loglevel)[\"']?\s*[=:]\s*[\"']?([A-Za-z]+)")
_CLOCK = (
    r"[\[(]?(?:\d{4}[-/.]\d\d[-/.]\d\d[T ]+)?\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?"
    r"\s?(?:[AP]M|Z|[+-]\d\d:?\d\d)?[\])]?"
)
# Any case, but only where a header ends: ``error: text``, ``2026-01-01 10:00:00 warn text``.
_LEADING = re.compile(
    rf"\s*(?:{_CLOCK}\s*[-:|]?\s*(?P<timed>{_ANY}|(?i:{_ANY}))(?=[\s:\]|-])"
    rf"|(?:PHP )?(?P<first>{_ANY}|(?i:{_ANY}))\s*(?:\[[^\]]*\]|\([^)]*\))?:(?=\s|$)"
    r"|(?P<klog>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+\s"
    r"|(?P<logcat>[VDIWEFA])/[\w.$-]+\s*(?:\(\s*\d+\))?:"
    r"|<(?P<syslog>[0-7])>)"
)
_NOT_ONE = re.compile(r"(?i)\b(?:no|0|zero|without|any|non|not an?|ignore[ds]?)[\s-]+$")
# What loggers are told to write, not how bad a line is: ``log level set to ERROR``.
_SETTING = re.compile(
    r"(?i)(?:\blog(?:ging|ger|s)?[\s_-]?level|\b(?:at|min(?:imum)?|verbosity|threshold)\slevel"
    r"|\blevel\s(?:is|set|changed|now)|\blevel(?=\s+to\b))"
    r"(?:\s+(?:is|set|changed|now|to|at))*\s*[=:]?\s*[\"'`\[(]?$"
)
_IS_COUNT = re.compile(
    r"(?i)\(?s?\)?\s*(?:count|rate|total)?\s*[=:]\s*(?:0+(?:\.0+)?|none|null|false)\b"
    r"(?=\s*(?:$|[,;.)\]}|]|\w+[=:]))"
)

_LOOKS_BAD = re.compile(
    r"""(?xi)
    ^[\W_]*(?:
        (?:[\w$]+\.)*[\w$]*(?:error|exception)\b(?:\s?\[[^\]]*\]|\s\w+)?:\s  # ValueError:
      | (?:[\w$]+\.)*(?:errors?|exceptions?|exc)\.[A-Z]\w*:\s  # discord.errors.NotFound:
      | \w*LoginFailure:\s
      | (?:an?\s|the\s|unexpected\s|unknown\s|internal\s|uncaught\s|unhandled\s|fatal\s)+
        (?:\w+\s){0,2}?(?:error|exception|rejection)\b
      | (?:error|exception)\s(?:code\b|ignored\sin\b|while|when|during|in|on|at|from|with|for
         |occurred|handling|processing|sending|connecting|opening|reading|writing|loading|parsing|executing|running
         |calling|fetching)\b
      | (?:failed|failure|unable)\s(?:to|in|while|during)\b
      | (?:could\snot|couldn't|cannot|can't)\s\w
      | fatal:\s | panic:\s | segmentation\sfault
    )
    | \bexception\swas\snever\sretrieved | \bpanic\s(?:serving|recovered|in|while)\b
    | \brecovered\s(?:from\s)?(?:a\s)?panic
    | \b(?:error|exception)\s(?:occurred|raised|was\sthrown|while\s\w+ing)\b
    | (?<!["'`])\b(?:error|exception):\s
    | \bignoring\sexception\sin\b | \b(?:unhandled\s?rejection|uncaught\s?exception)\b
    | \b(?:failed|crashed)\swith\b
    | \b(?:unhandled|uncaught)\s(?:\w+\s)?(?:error|exception|rejection)\b
    """
)

# One of them is in every text that looks bad: ordinary lines are passed over fast.
_HINTS = (
    "error",
    "exception",
    "fail",
    "unable",
    "could",
    "can",
    "fatal",
    "panic",
    "fault",
    "reject",
    "crash",
)
_WARNS = re.compile(r"(?:\S+:\s)?(?:\(node:\d+\)\s(?:\[\w+\]\s)?)?[A-Z]\w*Warning:\s")

HEAD = 80
"""Characters of a line in which a level word is looked for."""


_DATA = re.compile(r"\S{60,}")
_MARKS = re.compile(r"[:|\]>)]")
_MARKED = 12
"""Characters at the front of a long word in which a level may stand: ``ERROR:name:…``."""


def is_binary(raw: str) -> bool:
    """Whether a line is no text: a tenth of it or more is controls, or bytes that are no UTF-8."""
    if raw.isprintable() and "\N{REPLACEMENT CHARACTER}" not in raw:
        return False
    plain = without_escapes(raw)
    odd = sum(not one.isprintable() and one not in "\n\t\r\f" for one in plain)
    odd += plain.count("\N{REPLACEMENT CHARACTER}")
    return odd >= 2 and 10 * odd >= len(plain)  # noqa: PLR2004 -- one may be an accident


def _head(text: str) -> int:
    """Give how many characters of a line may tell how bad it is.

    A word of 60 letters or more is data (base64, hex, minified code), and what it spells is chance.
    """
    found = _DATA.search(text, 0, HEAD + 60) if len(text) >= 60 else None  # noqa: PLR2004
    if found is None:
        return HEAD
    start = found.start()
    marked = _MARKS.search(text, start, start + _MARKED)
    return min(HEAD, start + _MARKED if marked else start)


def level_of_text(text: str) -> Level | None:
    """Find the level that a line of plain text states in its first 80 characters, if any.

    ``no errors``, ``0 ERROR`` and ``error_count=0`` state none; ``DeprecationWarning: …`` does.
    """
    at = head = _head(text)
    stated = None
    for found in _CAPITALS.finditer(text, 0, head):
        level = _UPPER_WORDS.get(found[0])
        if level is not None and _stands_alone(text, found.start(), found.end()):
            at, stated = found.start(), level
            break
    for found in _BRACKETED.finditer(text, 0, at):
        word = found[1].lower()
        if word in _ANY_WORDS and not _is_denied(text, found.start(1), found.end(1)):
            at, stated = found.start(), _WORDS[word]
            break
    if "l=" in text or "ity=" in text or "el:" in text or 'el"' in text:
        keyed = _KEYED.search(text, 0, at)
        if keyed and (word := keyed[1].lower()) in _ANY_WORDS:
            stated = _WORDS[word]
    if stated is not None:
        return stated
    leading = _LEADING.match(text) if head else None
    if leading is None or leading.lastgroup is None:
        return Level.WARNING if "Warning: " in text and _WARNS.match(text) else None
    kind = leading.lastgroup
    word = leading[kind]
    if kind == "syslog":
        return level_of_priority(word)
    if kind in {"klog", "logcat"}:
        return _LETTERS[word]
    if _IS_COUNT.match(text, leading.end(kind)):
        return None
    return _WORDS.get(word.lower())


def looks_bad(text: str) -> bool:
    """Whether a line that states no level reads like an error to a person.

    Said of the first 80 characters only, and not of denials (``no error: …``).
    """
    head = _head(text)
    low = text[:head].lower()
    if not any(map(low.__contains__, _HINTS)):
        return False
    found = _LOOKS_BAD.search(text, 0, head)
    return found is not None and not _is_denied(text, found.start(), found.end())


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a word is one of its own, not a part of a path, a name or a denial.

    ``channel.ERROR:`` is a level, ``/ERROR``, ``ERROR_CHANNEL`` and ``ERROR-PAGE`` are not.
    """
    before, after = text[start - 1 : start], text[end : end + 1]
    if before and (before.isalnum() or before in "_/-"):
        return False
    if after and (after.isalnum() or after in "_/"):
        return False
    if after == "-" and text[end + 1 : end + 2].isalnum():
        return False
    return not _is_denied(text, start, end)


def _is_denied(text: str, start: int, end: int) -> bool:
    """Whether what stands around an error word takes it back: ``no error``, ``errors=0``."""
    return bool(
        _NOT_ONE.search(text, max(0, start - 12), start)
        or _IS_COUNT.match(text, end)
        or ("evel" in text[:HEAD].lower() and _SETTING.search(text, max(0, start - 40), start))
    )
