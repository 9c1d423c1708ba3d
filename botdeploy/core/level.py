"""How bad a line says that it is: levels, and the words by which loggers write them."""

from __future__ import annotations

import re
from enum import IntEnum


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
        return _PRIORITIES[int(priority)]  # type: ignore[call-overload]
    except (TypeError, ValueError, IndexError):
        return None


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


_UPPER = (
    "TRACE|DEBUG|VERBOSE|INFO|INFORMATION|SUCCESS|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE"
    "|CRITICAL|CRIT|FATAL|PANIC|ALERT|EMERG|EMERGENCY|TRAC|DEBU|ERRO|FATA|PANI"
)
_ANY = (
    "trace|trce|debug|dbug|verbose|info|information|success|notice|warn|warning|error|err|eror|fail"
    "|severe|critical|crit|fatal|panic|alert|emerg|emergency"
)
_SHORT = "TRC|DBG|INF|WRN|FTL|PNC"

# Upper case anywhere, any case in brackets, bars or after a key: the first one decides.
_MARKED = re.compile(
    rf"(?:(?<![\w./-])|(?<=\w\.))(?P<upper>{_UPPER}|{_SHORT})(?![\w/])(?!-\w)"
    rf"|[\[(<|]\s*(?P<any>{_ANY}|(?i:{_ANY}))\s*[\])>|]"
    rf"|\b(?i:level|lvl|severity|loglevel)[\"']?\s*[=:]\s*[\"']?(?P<key>[A-Za-z]+)"
)
_CLOCK = r"[\[(]?(?:\d{4}[-/.]\d\d[-/.]\d\d[T ]+)?\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:[AP]M|Z|[+-]\d\d:?\d\d)?[\])]?"
# Any case, but only where a header ends: ``error: text``, ``2026-01-01 10:00:00 warn text``.
_LEADING = re.compile(
    rf"\s*(?:{_CLOCK}\s*[-:|]?\s*(?P<timed>{_ANY}|(?i:{_ANY}))(?=[\s:\]|-])"
    rf"|(?:PHP )?(?P<first>{_ANY}|(?i:{_ANY}))\s*(?:\[[^\]]*\]|\([^)]*\))?:(?=\s|$)"
    r"|(?P<klog>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+\s"
    r"|(?P<logcat>[VDIWEFA])/[\w.$-]+\s*(?:\(\s*\d+\))?:"
    r"|<(?P<syslog>[0-7])>)"
)
_NOT_ONE = re.compile(r"(?i)\b(?:no|0|zero|without|any|non|not an?|ignore[ds]?)[\s-]+$")
_IS_COUNT = re.compile(
    r"(?i)\(?s?\)?\s*(?:count|rate|total)?\s*[=:]\s*(?:0+\b(?!\.[0-9]*[1-9])|none\b|null\b|false\b)"
)

_LOOKS_BAD = re.compile(
    r"""(?xi)
    ^[\W_]*(?:
        (?:[\w$]+\.)*[\w$]*(?:error|exception)\b(?:\s?\[[^\]]*\])?:\s   # ValueError: text
      | (?:an?\s|the\s|unexpected\s|unknown\s|internal\s|uncaught\s|unhandled\s|fatal\s)+
        (?:\w+\s){0,2}?(?:error|exception|rejection)\b
      | (?:error|exception)\s(?:while|when|during|in|on|at|from|with|for|occurred|handling|processing|
         sending|connecting|opening|reading|writing|loading|parsing|executing|running|calling|fetching)\b
      | (?:failed|failure|unable)\s(?:to|in|while|during)\b
      | (?:could\snot|couldn't|cannot|can't)\s\w
      | fatal:\s | panic:\s | segmentation\sfault
    )
    | \bexception\swas\snever\sretrieved | \bpanic\s(?:serving|recovered|in|while)\b
    | \brecovered\s(?:from\s)?(?:a\s)?panic | \b(?:error|exception)\s(?:occurred|raised|was\sthrown|while\s\w+ing)\b
    | \b(?:error|exception):\s
    | \b(?:failed|crashed)\swith\b
    | \b(?:unhandled|uncaught)\s(?:\w+\s)?(?:error|exception|rejection)\b
    """
)

HEAD = 80
"""Characters of a line in which a level word is looked for."""


def level_of_text(text: str) -> Level | None:
    """Find the level that a line of plain text states in its first 80 characters, if any.

    ``no errors``, ``0 ERROR`` and ``error_count=0`` state none.
    """
    at = 0
    while found := _MARKED.search(text, at, HEAD):
        word = found[found.lastgroup or 0]
        level = _WORDS.get(word.lower())
        if level is None or (level >= Level.ERROR and _is_denied(text, found.start(), found.end())):
            at = found.end()
            continue
        return level
    found = _LEADING.match(text)
    if found is None or found.lastgroup is None:
        return None
    word = found[found.lastgroup]
    if found.lastgroup == "syslog":
        return level_of_priority(word)
    if found.lastgroup in {"klog", "logcat"}:
        return _LETTERS[word]
    if _IS_COUNT.match(text, found.end(found.lastgroup)):
        return None
    return _WORDS.get(word.lower())


def looks_bad(text: str) -> bool:
    """Whether a line that states no level reads like an error to a person.

    Said of the first 80 characters only, and not of denials (``no error: …``).
    """
    found = _LOOKS_BAD.search(text, 0, HEAD)
    return found is not None and not _is_denied(text, found.start(), found.end())


def _is_denied(text: str, start: int, end: int) -> bool:
    return bool(_NOT_ONE.search(text, max(0, start - 12), start) or _IS_COUNT.match(text, end))
