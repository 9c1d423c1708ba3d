"""Complaints: lines that state no level and still read like an error to a person."""

from __future__ import annotations

import re

_LOOKS_BAD = re.compile(
    r"""(?xi)
    ^[^\w"'`“«>@]*(?:
        (?:[\w$]+\.)*(?-i:[\w$]*(?:Error|Exception)|error|exception|ERROR|EXCEPTION)\b
        (?:\s?\[[^\]]*\]|\s\w+)?:\s  # ValueError:
      | (?:[\w$]+\.)*(?:errors?|exceptions?|exc)\.[A-Z]\w*:\s  # discord.errors.NotFound:
      | (?:[\w$]+\.)+(?-i:[A-Z]\w*(?:Failure|Invalid\w*|Denied|Forbidden|Unauthorized)):\s
      | \w*LoginFailure:\s | InvalidToken:\s
      | (?:an?\s|the\s|unexpected\s|unknown\s|internal\s|uncaught\s|unhandled\s|fatal\s)+
        (?:\w+\s){0,2}?(?:error|exception|rejection)\b
      | (?:error|exception)\s(?:code\b|ignored\sin\b|while|when|during|in|on|at|from|with|for
         |occurred|handling|processing|sending|connecting|opening|reading|writing|loading|parsing|executing|running
         |calling|fetching)\b
      | (?:failed|failure|unable)\s(?:to|in|while|during)\b
      | (?:could\snot|couldn't|cannot|can't)\s\w
      | error\s[RHL]\d+\s\(  # Heroku's
      | fatal:\s | panic:\s | segmentation\sfault
    )
    | \bexception\swas\snever\sretrieved | \bpanic\s(?:serving|recovered|in|while)\b
    | \bwas\snever\sawaited\b | \bUnhandledPromiseRejection
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
    "awaited",
    "denied",
    "invalid",
)
_NOT_ONE = re.compile(
    r"(?i)\b(?:no|0|zero|without|any|non|not an?|ignore[ds]?|last|previous|latest)[\s-]+$"
)
_IS_NONE = re.compile(
    r"(?i)\(?s?\)?\s*(?:count|rate|total)?\s*[=:]?\s*[\"']?(?:0+(?:\.0+)?|none|null|nil|false|ok|n/a|-)"
    r"[\"']?\s*(?=$|[,;.)\]}|]|\w+[=:])"
)
# What stands behind them is what somebody said, sang or wrote.
_SAID = re.compile(
    r"""(?xi)(?:
      \b(?:said|says?|wrote|writes|asked|asks|replied|replies|answered|sent|typed|posted|quoted
        |message|msg|dm|chat|text|content|title|playing|played|plays|song|track|quote|reply|caption
        |subject|topic|comment|user(?:name)?|nick(?:name)?|name|author|prompt|input|query|search
        |schrieb|sagt|sagte|spielt|nachricht|écrit|dit|joue|dijo|dice|escribió|mensaje|disse|diz
        |escreveu|mensagem|пишет|написал|сказал|сообщение|さん|说|說)\b
      (?:\s(?:from|by|in|of|to|von|de|от)\s\S+(?:\s\S+)?)?\s*[:»>→-]+
    | <[^<>\s]+>
    | ["'“«`]
    )\s*["'“«`]?$"""
)
_DATA = re.compile(r"\S{60,}")
_MARKS = re.compile(r"[:|\]>)]")
_MARKED = 12
"""Characters at the front of a long word that may tell something: ``ERROR:name:…``."""
_HEAD = 80
"""Characters of a text that are looked at."""


def looks_bad(text: str, start: int = 0) -> bool:
    """Whether a line that states no level reads like an error to a person.

    ``start``: where its text begins, behind the header. Said of the first 80 characters of the text
    only, not of denials (``no error: …``, ``last error: None``), and not of what is quoted.
    """
    if start:
        text = text[start : start + 2 * _HEAD]
    head = _head(text)
    low = text[:head].lower()
    if not any(map(low.__contains__, _HINTS)):
        return False
    found = _LOOKS_BAD.search(text, 0, head)
    if found is None:
        return False
    begin, end = found.span()
    return not (
        _NOT_ONE.search(text, max(0, begin - 12), begin)
        or _IS_NONE.match(text, end)
        or _SAID.search(text, 0, begin)
    )


def _head(text: str) -> int:
    """Give how many characters of a text may tell how bad it is.

    A word of 60 letters or more is data (base64, hex, minified code), and what it spells is chance.
    """
    found = _DATA.search(text, 0, _HEAD + 60) if len(text) >= 60 else None  # noqa: PLR2004
    if found is None:
        return _HEAD
    start = found.start()
    marked = _MARKS.search(text, start, start + _MARKED)
    return min(_HEAD, start + _MARKED if marked else start)
