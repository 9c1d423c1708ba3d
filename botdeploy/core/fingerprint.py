"""Fingerprints: one short name for all lines that are the same error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botdeploy.core.stacktrace import Trace

MAX_FINGERPRINT = 200
"""Characters that a fingerprint may have."""
_MAX_TOKENS = 40

_QUOTED = re.compile(r"'([^'\n]{0,200})'|\"([^\"\n]{0,200})\"|`([^`\n]{0,200})`")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}")
_HEADER_TIME = re.compile(
    r"\s*[\[(<]?(?:"
    r"\d{4}[-/.]\d\d[-/.]\d\d(?:[T _]+\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?"
    r"|\d\d[-/.]\d\d[-/.]\d{2,4}[T ]+\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"|(?:[A-Z][a-z]{2},? )?(?:[A-Z][a-z]{2} +\d\d?|\d\d? [A-Z][a-z]{2})(?: \d{4})?,? \d\d:\d\d:\d\d(?:[.,]\d+)?(?: \d{4})?"
    r"|\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?[AP]M)?"
    r"|\d{10,19}(?:\.\d+)?"
    r")(?:Z| ?[+-]\d\d:?\d\d| UTC| GMT)?[\])>]?[\s,|:-]*"
)
_LEVELS = (
    "TRACE|DEBUG|VERBOSE|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|CRITICAL|CRIT|FATAL|PANIC"
    "|ALERT|EMERG|EMERGENCY|TRC|DBG|INF|WRN|FTL|PNC|FAIL"
)
_HEADER_LEVEL = re.compile(
    rf"\s*[\[(<|]?\s*(?:\w+\.)?(?i:{_LEVELS})\s*(?:\s*[\])>|]|(?=[\s:|-])|$)[\s|:-]*"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ |[VDIWEFA]/(?=[\w.$-]+\s*(?:\(\s*\d+\))?:)"
    r"|[EWIDF], (?=\[)|<[0-7]>"
)
_HEADER_PID = re.compile(r"\s*[\[(]\s*#?\d+\s*[\])][\s:|-]*|\s*\d{1,7}\s+(?=[\[A-Z-])|\s*--+\s*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://\S+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.@%+=:#~-]+){2,}[/\\]?|/[\w.-]+\.\w+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_HEX = re.compile(
    r"0[xX][0-9a-fA-F]+|(?<![A-Za-z0-9])(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{6,}(?![A-Za-z0-9])|(?<![A-Za-z0-9])[0-9a-f]{8,}(?![A-Za-z0-9])"
)
_ID = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z_-]*\d)(?=\d*[A-Za-z_-])[A-Za-z0-9_-]{8,}(?![A-Za-z0-9])"
)
_NUMBER = re.compile(r"[+-]?\d+(?:[.,:]\d+)*")
_RUN = re.compile(r"#(?:[-./:,x*+_]?#)+")
_LIST = re.compile(r"#(?:(?:,| |, )#)+(?![\w%])")


def mask(text: str) -> str:
    """Put ``#`` in the place of what varies between lines of the same kind.

    Numbers, hex, ids, addresses, URLs, paths, e-mails, durations and quoted text that is not a
    plain name. The same text always gives the same result: nothing is remembered.
    """
    if "'" in text or '"' in text or "`" in text:
        text = _QUOTED.sub(_mask_quoted, text)
    masked = " ".join([_mask_token(token) for token in text.split(None, _MAX_TOKENS)[:_MAX_TOKENS]])
    if "# #" in masked or "#," in masked:
        masked = _LIST.sub("#", masked)
    return masked


def _mask_quoted(found: re.Match[str]) -> str:
    inner = found[1] if found[1] is not None else found[2] if found[2] is not None else found[3]
    quote = found[0][0]
    if _NAME.fullmatch(inner):
        return found[0]
    return f"{quote}#{quote}"


@lru_cache(maxsize=16384)
def _mask_token(token: str) -> str:
    """Mask one word; remembered, because words repeat."""
    if token.isalpha():
        return token
    if "://" in token:
        token = _URL.sub("#", token)
    if "@" in token:
        token = _EMAIL.sub("#", token)
    if "/" in token or "\\" in token:
        token = _PATH.sub("#", token)
    if not any(c.isdigit() for c in token):
        if len(token) >= 8:  # noqa: PLR2004
            token = _HEX.sub("#", token)
        return token
    token = _UUID.sub("#", token)
    token = _HEX.sub("#", token)
    token = _ID.sub("#", token)
    token = _NUMBER.sub("#", token)
    return _RUN.sub("#", token)


def strip_header(text: str) -> str:
    """Cut time, level, process number and thread from the front of a line; the logger stays."""
    for _ in range(4):
        at = 0
        for form in (_HEADER_TIME, _HEADER_LEVEL, _HEADER_PID):
            if found := form.match(text, at):
                at = found.end()
        if at == 0:
            break
        text = text[at:]
    return text.lstrip(" \t|:-")


def of_text(text: str, logger: str = "") -> str:
    """Make the fingerprint of an error line without a trace, from its body."""
    body = strip_header(text.strip())
    if logger and not body.startswith(logger):
        body = f"{logger}: {body}"
    return _bounded(mask(body) or "(empty)")


def of_trace(trace: Trace) -> str:
    """Make the fingerprint of a stack trace: ``Traceback!KeyError economy.py:pay 'balance'``."""
    message = mask(trace.message.split("\n", 1)[0])
    return _bounded(
        " ".join(part for part in (f"Traceback!{trace.type}", trace.frame, message) if part)
    )


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_FINGERPRINT else text[: MAX_FINGERPRINT - 1] + "…"
