"""Patterns of tokens and passwords in any text, which are replaced by stars."""

from __future__ import annotations

import re

STARS = "********"

_EDGE = r"(?<![\w-])"
_DISCORD = re.compile(
    _EDGE + r"(?:mfa\.[\w-]{20,}|[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)(?!\w)"
)
_TELEGRAM = re.compile(r"(?:(?<![\w-])|(?<=/bot))\d{6,12}:[A-Za-z0-9_-]{30,}(?!\w)")
_PREFIXED = re.compile(
    _EDGE + r"(?:xox[a-z](?:-[\w-]+|\.[\w.-]+)|xapp-[\w-]{8,}|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16})(?!\w)"
)
_IN_URL = re.compile(
    r"(?<=/webhooks/)\d+/[\w-]{20,}|(?<=hooks\.slack\.com/services/)[\w/]+"
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
)
_AUTHORISED = re.compile(
    r"(?i)(?:(?<=bearer\s)|(?<=authorization:\sbot\s)|(?<=authorization:\sbasic\s))[\w.~+/=-]{8,}"
)
_NAMED = re.compile(
    r"""(?xi)
    (?P<name>(?:passw(?:or)?d|secret|api[_-]?key|access[_-]?key)["']?\s?[=:]\s?["']?)
    (?P<value>(?!\*|(?:env|file|command):)[^\s"',;&)}\]]{6,})
    | (?P<name2>token["']?\s?[=:]\s?["']?)
    (?P<value2>(?!\*|(?:env|file|command):)(?=[^\s"',;&)}\]]*\d|[^\s"',;&)}\]]{20})[^\s"',;&)}\]]{8,})
    """
)
# What a text must hold for its expression to be tried: ordinary lines are passed over fast.
_DOTTED = re.compile(r"\.[\w-]{6,}\.|mfa\.[\w-]{20}|" + _EDGE + r"eyJ[\w-]{8,}\.")
_COLON = re.compile(r":[\w-]{30}")


def mask_tokens(text: str) -> str:
    """Put stars in the place of Discord, Slack, Telegram and like credentials in a text.

    Known formats are masked wherever they stand, other values after a telling name
    (``password=``, ``api_key: ``) when they are six characters or longer. Where a value is to be
    read (``env:NAME``) is no secret: who has to mend it must see it.
    """
    if "." in text and _DOTTED.search(text):
        text = _DISCORD.sub(STARS, text)
    if ":" in text:
        if _COLON.search(text):
            text = _TELEGRAM.sub(STARS, text)
        if "://" in text:
            text = _IN_URL.sub(STARS, text)
    if (
        "xox" in text
        or "xapp-" in text
        or "gh" in text
        or "glpat" in text
        or "sk-" in text
        or "AKIA" in text
    ):
        text = _PREFIXED.sub(STARS, text)
    lower = text.lower()
    if "bearer " in lower or "authorization" in lower:
        text = _AUTHORISED.sub(STARS, text)
    if "passw" in lower or "token" in lower or "secret" in lower or "key" in lower:
        text = _NAMED.sub(_keep_name, text)
    return text


def _keep_name(found: re.Match[str]) -> str:
    return f"{found['name'] or found['name2']}{STARS}"
