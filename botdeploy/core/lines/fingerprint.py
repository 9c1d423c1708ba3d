"""Fingerprints: one short name for all lines that are the same error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from botdeploy.core.lines.timestamps import DATE, DAY, HEADER_TIME, MONTH, TIME, ZONE

if TYPE_CHECKING:
    from botdeploy.core.lines.stack_trace import Trace

MAX_FINGERPRINT = 200
"""Characters that a fingerprint may have."""
TRACE = "Traceback!"
"""What the fingerprint of a stack trace begins with: ``Traceback!TYPE FRAME MESSAGE``."""
SAME = "same!"
"""What the fingerprint of a class of the user's own begins with."""
PROBE = "probe!"
"""What the fingerprint of an error that a probe told of begins with."""
NO_FRAME = "-"
"""Stands for the frame of a stack trace that has none."""
_MAX_TOKENS = 40
_MAX_BODY = 1000
"""Characters of a line that its fingerprint is made from."""
_LONGEST = 120
"""Letters from which on a word is taken for data."""
_LONG = 8
"""Letters from which on a word of the letters a to f only is taken for a hex number."""

# -- the front of a line --------------------------------------------------------------------------

_LEVELS = (
    "TRACE|DEBUG|VERBOSE|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|CRITICAL|CRIT"
    "|FATAL|PANIC|ALERT|EMERG|EMERGENCY|TRC|DBG|INF|WRN|FTL|PNC|FAIL|TRAC|DEBU|ERRO|FATA|PANI"
)
_HEADER_LEVEL = re.compile(
    rf"\s*(?:[\[(<|]\s*(?:\w+\.)?(?i:{_LEVELS})\s*[\])>|]"
    rf"|(?:\w+\.)?(?:{_LEVELS})(?=[\s:|\[-]|$)|(?i:{_LEVELS})\s*[:|])[\s|:-]*"
    rf"|(?:{_LEVELS})(?:/[\w.:-]+)?\]\s*"
    r"|\[[IWEFDC] \d{6} \d\d:\d\d:\d\d [\w.-]+:\d+\]\s*"
    r"|[IWEFDC](?= \d{4}-\d\d-\d\d )"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ |[VDIWEFA]/(?=[\w.$-]+\s*(?:\(\s*\d+\))?:)"
    r"|[EWIDFA], \[[^\]]*\]\s+[A-Z]+ -- [^:]*: |<[0-7]>"
    r"|(?:level|lvl|severity)=\"?\w+\"?\s+|(?:ts|time|timestamp|@timestamp)=(?:\"[^\"]*\"|\S+)\s+"
)
_HEADER_NUMBER = re.compile(
    r"\s*[\[(]\s*(?:pid[ :=])?#?\d+\s*[\])][\s:|-]*|\s*\d{1,7}\s+(?=[\[A-Z-])|\s*--+\s+"
)


# ``[main] ERROR logger - text``, ``root - ERROR - text``: at most six words before the level.
_LATE_LEVEL = re.compile(
    rf"((?:[\[(]?[\w.:@/#+-]+[\])]?,?\s+(?:[-|]\s+)?){{1,6}})(?:{_LEVELS})(?=[\s:|-])[\s|:-]*"
)
_CAPITALS = re.compile(r"[A-Z]{3}")
_HEAD = 80
_TIMED = re.compile(rf"(?<!\S){DATE}?,?\s*{TIME}(?: ?[AP]M)?{ZONE}\s*")


def strip_header(text: str) -> str:
    """Cut time, level and process number from the front of a line; the logger's name stays."""
    text = text.strip()
    for _ in range(4):
        at = 0
        for form in (HEADER_TIME, _HEADER_LEVEL, _HEADER_NUMBER):
            if (at or form is not _HEADER_NUMBER) and (found := form.match(text, at)):
                at = found.end()
        if at == 0 or at >= len(text):
            break
        text = text[at:]
    if _CAPITALS.search(text, 0, _HEAD) and (found := _LATE_LEVEL.match(text)):
        text = f"{_TIMED.sub('', found[1])}{text[found.end() :]}"
    return text.lstrip(" \t|:-")


# -- what varies ----------------------------------------------------------------------------------

_DOUBLE_QUOTED = re.compile(
    r"(?P<named>=|value: |\b(?:relation|column|table|constraint|key|index|database|schema|function"
    r"|type|module|package|attribute|field|parameter|argument|variable|property|method|class) )?"
    r"\"(?P<inner>(?:[^\"\\\n]|\\.){0,400})\""
)
_QUOTED = re.compile(r"(?<![A-Za-z0-9])(['`])([^'`\n]{0,200})['`](?![A-Za-z0-9])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}")
_CODE = re.compile(r"[A-Za-z_:.()<>&!, -]{1,60}")
_REQUEST = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT) \S+")
_DATED = re.compile(
    rf"(?:{DAY},? )?(?:{MONTH} +\d\d?|\d\d?[ -]{MONTH})[, -]+(?:\d{{4}}[ :])?{TIME}"
    rf"{ZONE}(?: \d{{4}})?"
)
_CLOCKISH = re.compile(r"\d:\d\d")
# What a server says is wrong with a request: a small set of numbers, each another error. 5xx, 408
# and 429 are trouble of the server's own, and one error: which of them comes is chance.
_REFUSAL = re.compile(
    r"""(?xi)\b((?:status(?:[\s_-]?code)?|http(?:/\d(?:\.\d)?)?(?:\s(?:status|error|code))*
      |response(?:\s(?:code|status))?|(?:returned|responded|answered|replied|gave|got|failed)
      (?:\swith)?(?=\s4\d\d(?:$|[:;,.)\]]|\s(?:for|from|on|at|while|when)\b)))
      ['"]?\s?[:=(]?\s?['"]?)
    (4(?!08|29)\d\d)(?![\w.])"""
)
_HELD = 0xE000
"""Where codes are kept while numbers are masked: among characters for private use."""
_HELD_CODE = re.compile(f"[{chr(_HELD + 400)}-{chr(_HELD + 499)}]")
_UNITS = (
    "ns|us|µs|ms|msecs?|millis(?:econds?)?|microseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?"
    "|hours?|days?|[KMGT]i?B|[kMGT]B|[kKMG]b|bytes?|B"
)
_MEASURE = re.compile(
    rf"(?<![\w.])<?\d+(?:[.,:]\d+)*\s?(?:{_UNITS})(?:\s?\d+(?:\.\d+)?\s?(?:{_UNITS}))*(?![\w/])"
)
_VALUE = re.compile(
    r"(?<=[\w\]])(\s?=\s*)(?:true|false|null|none|nil|undefined|True|False|None|NaN)\b"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s\"'<>)\]]+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SOURCE = "py|js|mjs|cjs|ts|tsx|go|rs|java|kt|rb|php|cs|c|cc|cpp|h|ex|exs|lua|scala|swift"
_PLACE = re.compile(rf"(?:[\w.@-]*[/\\])*([\w.-]+\.(?:{_SOURCE})):\d+(?::\d+)?")
_PATH = re.compile(
    r"(?<![\w#])(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][\w.@%+:=#~$-]+){2,}[/\\]?"
    r"|(?<![\w#])/[\w.-]+\.\w+|(?<![\w#])[A-Za-z]:\\[\w.-]+"
)
# Names of machines, not of files, loggers or packages (``com.example.bot`` is upside down).
_HOST = re.compile(
    r"(?<![\w.-])(?!(?:com|org|net|io|java|javax|discord|self)\.)(?:(?:[A-Za-z0-9-]+\.)+"
    r"(?:com|net|org|edu|gov|mil|int|info|biz|arpa|local|internal|lan)"
    r"|(?:[A-Za-z0-9-]+\.){2,}(?!(?:py|js|ts|go|rs|rb|cs|cc|so|db|sh|md)\b)[a-z]{2})"
    r"\b(?::\d+)?(?![\w(.])"
)
_PORTED = re.compile(r"(?<![\w.-])(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+:\d{2,5}(?!\w)")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX = re.compile(
    r"0[xX][0-9a-fA-F]+|(?<![A-Za-z0-9])(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{6,}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9])[0-9a-f]{8,}(?![A-Za-z0-9])"
)
# MAC and IPv6 addresses: hex digits with two colons or more among them.
_MAC = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]*"
    r"(?:[0-9A-Fa-f]|::)(?:\.\d+\.\d+\.\d+)?(?!\w)"
)
# Made-up ids: letters after digits (``xK9dQ2mZ``), or very long; ``worker12`` is none.
_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:(?=[A-Za-z]+\d+[A-Za-z]|\d+[A-Za-z]+\d)[A-Za-z0-9]{8,}"
    r"|(?=[A-Za-z]*\d)[A-Za-z0-9]{20,})(?![A-Za-z0-9])"
)
_NUMBER = re.compile(r"[+-]?\d+(?:[.,:]\d+)*")
_RUN = re.compile(r"(?<![A-Za-z0-9\])])[+-]?#(?:[-./:,x*+_@]?#)*|#(?:[-./:,x*+_@]?#)+")
_TYPE = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Warning)\b[:;,.)]?$")
_LIST = re.compile(r"#(?:(?:, ?|; ?| )#)+(?![\w%])")
_AGAIN = re.compile(r"# [(\[]#[)\]]")


def mask(text: str) -> str:
    """Put ``#`` in the place of what varies between lines of the same kind.

    Numbers with their units, dates, hex, ids, addresses, hosts, URLs, paths, e-mails, and quoted
    text that is not a name. What stays are the codes by which a server refuses a request (``status
    404``). The same text always gives the same result: nothing is remembered.
    """
    has_codes = _REFUSAL.search(text) is not None if "4" in text else False
    if has_codes:
        text = _REFUSAL.sub(lambda found: f"{found[1]}{chr(_HELD + int(found[2]))}", text)
    if '"' in text:
        text = _DOUBLE_QUOTED.sub(_mask_double, text)
    if "'" in text or "`" in text:
        text = _QUOTED.sub(_mask_quoted, text)
    if ":" in text and _CLOCKISH.search(text):
        text = _DATED.sub("#", text)
    text = _MEASURE.sub("#", text)
    if "=" in text:
        text = _VALUE.sub(r"\1#", text)
    words = text.split(None, _MAX_TOKENS)[:_MAX_TOKENS]
    masked = " ".join(
        [word if word.isalpha() and len(word) < _LONG else _mask_word(word) for word in words]
    )
    if "# " in masked or "#," in masked or "#;" in masked:
        masked = _LIST.sub("#", masked)
        if "# (" in masked or "# [" in masked:
            masked = _AGAIN.sub("#", masked)
    if has_codes:
        masked = _HELD_CODE.sub(lambda found: str(ord(found[0]) - _HELD), masked)
    return masked


def _mask_double(found: re.Match[str]) -> str:
    named, inner = found["named"] or "", found["inner"]
    if named in {"=", "value: "} or _REQUEST.match(inner):
        return f'{named}"{" ".join(_mask_word(word) for word in inner.split())}"'
    if named and _NAME.fullmatch(inner):
        return found[0]
    return f'{named}"#"'


def _mask_quoted(found: re.Match[str]) -> str:
    quote, inner = found[1], found[2]
    if _NAME.fullmatch(inner) or (quote == "`" and _CODE.fullmatch(inner)):
        return found[0]
    return f"{quote}#{quote}"


@lru_cache(maxsize=16384)
def _mask_word(word: str) -> str:
    """Mask one word; remembered, because words repeat."""
    if len(word) > _LONGEST:
        return "#"
    if _TYPE.match(word):
        return word
    if "://" in word:
        word = _URL.sub("#", word)
    if "@" in word:
        word = _EMAIL.sub("#", word)
    if ":" in word:
        word = _PLACE.sub(r"\1", word)
        word = _MAC.sub("#", word)
        word = _PORTED.sub("#", word)
    if "/" in word or "\\" in word:
        word = _PATH.sub("#", word)
    if "." in word:
        word = _HOST.sub("#", word)
    if not any(c.isdigit() for c in word):
        return _HEX.sub("#", word) if len(word) >= _LONG else word
    for form in (_UUID, _HEX, _ID, _NUMBER):
        word = form.sub("#", word)
    return _RUN.sub("#", word)


# -- names ----------------------------------------------------------------------------------------


def of_text(text: str, logger: str = "") -> str:
    """Make the fingerprint of an error line without a trace, from its body."""
    first, _, rest = text.strip()[: 2 * _MAX_BODY].partition("\n")
    body = strip_header(first)
    if rest and (" " not in body or body.endswith(":")):  # a header on a line of its own
        body = f"{body} {rest.strip().partition(chr(10))[0]}"
    if logger and not body.startswith(logger):
        body = f"{logger}: {body}"
    return _bounded(mask(body[:_MAX_BODY]) or "(empty)")


def of_trace(trace: Trace) -> str:
    """Make the fingerprint of a stack trace: ``Traceback!KeyError economy.py:pay 'balance'``."""
    message = mask(trace.message.split("\n", 1)[0][:_MAX_BODY])
    frame = trace.frame.replace(" ", "_") or NO_FRAME
    return _bounded(f"{TRACE}{trace.type.replace(' ', '_')} {frame} {message}".rstrip())


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_FINGERPRINT else text[: MAX_FINGERPRINT - 1] + "…"
