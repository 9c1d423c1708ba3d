"""Credentials in text, and stars in their place."""

from __future__ import annotations

import re

STARS = "********"

# Each begins with a literal or a rare character, so that ordinary lines are passed over fast.
_HINT = re.compile(
    r"[.:][\w-]{6,}[.\w-]|xox|xapp-|mfa\.|gh[pousr]_|github_pat_|glpat-|sk-|AKIA|://|eyJ"
    r"|(?i:bearer|bot|basic)\s\S{20}|(?i:passw|token|secret|api_?key|authorization)"
)
_TOKENS = re.compile(
    r"""(?x)
    (?<![\w-])(?:
      mfa\.[\w-]{20,}                                        # Discord, two factors
    | [A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}   # Discord bot
    | xox[a-z](?:-[\w-]+|\.[\w.-]+) | xapp-[\w-]+           # Slack
    | \d{6,12}:[A-Za-z0-9_-]{34,36}                          # Telegram
    | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
    | sk-[\w-]{20,} | AKIA[0-9A-Z]{16}
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                        # JWT
    )(?![\w])
    | (?P<bot>(?<=/bot)\d{6,12}:[\w-]{30,})                   # Telegram, in a URL
    | (?P<hook>(?<=/webhooks/)\d+/[\w-]{20,})                # Discord webhook
    | (?P<slackhook>(?<=hooks\.slack\.com/services/)[\w/]+)
    | (?P<user>(?<=://)[^\s/:@]*:[^\s/@]+(?=@))              # credentials in a URL
    | (?P<auth>(?i:(?<=bearer\s)|(?<=authorization:\sbot\s)|(?<=authorization:\sbasic\s))[\w.~+/=-]{8,})
    """
)
_NAMED = re.compile(
    r"""(?xi)
    (?P<name>(?<![a-z])[\w.-]*(?:passw(?:or)?d|secret|api_?key|access_?key|token)["']?\s?[=:]\s?["']?)
    (?P<value>[^\s"',;&)}\]]{6,})
    """
)


def mask_tokens(text: str) -> str:
    """Put stars in the place of Discord, Slack, Telegram and like credentials in a text.

    Known formats are masked wherever they stand, other values after a telling name
    (``password=``, ``api_key: ``) when they are six characters or longer.
    """
    if _HINT.search(text) is None:
        return text
    text = _TOKENS.sub(STARS, text)
    return _NAMED.sub(_keep_name, text)


def _keep_name(found: re.Match[str]) -> str:
    return f"{found['name']}{STARS}"
