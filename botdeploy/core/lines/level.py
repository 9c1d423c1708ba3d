"""Levels: how bad a line is, and the words, letters and numbers by which loggers write it."""

from __future__ import annotations

import re
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Level(IntEnum):
    """How bad a line is, in the steps of Python's ``logging``; they compare as one expects."""

    TRACE = 5
    DEBUG = 10
    INFO = 20
    NOTICE = 25
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


NO_WORDS: Mapping[str, Level] = MappingProxyType({})
"""Words that a user declared to be levels, where there are none."""
LEVEL_NAMES = {one.name.lower(): one for one in Level}
"""How people name the levels."""

WORDS: dict[str, Level] = {
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
"""Words by which loggers name levels, in lower case."""

FOREIGN: dict[str, Level] = {
    **dict.fromkeys(("infos", "información", "informazioni", "情報", "信息"), Level.INFO),
    **dict.fromkeys(("warnung", "avertissement", "advertencia", "aviso", "avviso"), Level.WARNING),
    **dict.fromkeys(("avvertenza", "предупреждение", "попередження"), Level.WARNING),
    **dict.fromkeys(("waarschuwing", "ostrzeżenie", "警告", "경고"), Level.WARNING),
    **dict.fromkeys(("fehler", "schwerwiegend", "erreur", "grave", "errore"), Level.ERROR),
    **dict.fromkeys(("fout", "fejl", "feil", "błąd", "chyba", "hata", "virhe"), Level.ERROR),
    **dict.fromkeys(("ошибка", "помилка", "错误", "錯誤", "严重", "重大"), Level.ERROR),
    **dict.fromkeys(("エラー", "오류"), Level.ERROR),
}
"""What localized runtimes and tools write (``SCHWERWIEGEND:`` of Java's own logger)."""
WORDS |= FOREIGN

UPPER_WORDS: dict[str, Level] = {
    word: WORDS[word.lower()]
    for words in (
        "TRACE TRC DEBUG DEBU DBG VERBOSE INFO INFORMATION INF SUCCESS NOTICE WARN WARNING WRN",
        "ERROR ERRO ERR EROR SEVERE CRITICAL CRIT FATAL FATA FTL PANIC PANI PNC DPANIC ALERT EMERG",
        "EMERGENCY FINE FINER FINEST",
    )
    for word in words.split()
}
"""Words that are levels when they are written in capitals, whatever parts them from the text."""

PLAIN_WORDS = FOREIGN.keys() | {
    word
    for words in (
        "trace trce debug dbug verbose info information success notice warn warning error err eror",
        "fail severe critical crit fatal panic alert emerg emergency",
    )
    for word in words.split()
}
"""Words that are levels in small letters too, where a mark or a time parts them from the text."""

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

LETTERS: dict[str, Level] = {
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
"""Levels of one letter: logcat's, klog's, Tornado's."""


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
    found = WORDS.get(word)
    if found is None and ("+" in word or "-" in word):
        found = WORDS.get(re.split(r"[+-]", word, maxsplit=1)[0])
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
