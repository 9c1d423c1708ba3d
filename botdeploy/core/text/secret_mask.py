"""A mask: hides the secrets of a deploy, and what looks like one, in any text."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from botdeploy.core.text.token_patterns import STARS, mask_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHORT = 4  # characters; a shorter value is hidden only where it stands alone
_CORE = 6  # characters of base64; fewer stand in many words
_ESCAPED = re.compile(r"%[0-9A-F]{2}")
_LINE = 8  # characters; shorter lines of a longer secret say too little to be hidden alone


class Mask:
    """Replaces secrets in text by stars; calling it twice changes nothing more.

    It can learn of more while several threads use it: what a host still runs may have secrets
    that nobody here can read any more.
    """

    __slots__ = ("_count", "_forms", "_known", "_needles")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Take the values to hide; how they look in JSON, URLs, base64 and quotes is hidden too."""
        self._forms: dict[str, None] = {}
        self._known: re.Pattern[str] | None = None
        self._needles: list[str] = []
        self._count = 0
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Hide these from now on as well."""
        for value in values:
            for form in _forms(value) - {"", STARS}:
                self._forms[form] = None

    def add(self, other: Mask) -> None:
        """Hide what the other one hides as well."""
        self._forms.update(other._forms)

    def __call__(self, text: str) -> str:
        """Give the text with every known value and everything that looks like a token hidden."""
        if self._count != len(self._forms):
            self._compile()
        known = self._known
        # an expression of many words is tried only where one of them is there
        if known is not None and any(map(text.__contains__, self._needles)):
            text = known.sub(STARS, text)
        return mask_tokens(text)

    def piece(self, text: str) -> str:
        """Mask a piece of a line that was cut: also what its ends have of a known value.

        At least four characters of it: less tells little, and stands at the end of many words.
        """
        text = self(text)
        end = start = 0
        for form in list(self._forms):
            for length in range(min(len(form) - 1, len(text)), _SHORT - 1, -1):
                if length > end and text.endswith(form[:length]):
                    end = length
                if length > start and text.startswith(form[-length:]):
                    start = length
        if start:
            text = STARS + text[start:]
        return text[: len(text) - end] + STARS if end else text

    def _compile(self) -> None:
        forms = list(self._forms)  # at one instant, whatever others add meanwhile
        # The longest first, so that a value inside another one leaves no rest of it behind.
        forms.sort(key=lambda form: (-len(form), form))
        parts = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in forms
        ]
        # Where a form stands inside another one, that it is there tells of both.
        self._needles = []
        for form in reversed(forms):
            if not any(map(form.__contains__, self._needles)):
                self._needles.append(form)
        self._known = re.compile("|".join(parts)) if parts else None
        self._count = len(forms)


def _forms(value: str) -> set[str]:
    """Give the ways in which a value may stand in a log, a diff or an error."""
    forms = {value, value.strip()}
    forms |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _LINE}
    if len(value) >= _SHORT:
        escaped = {
            form
            for text in forms
            for form in (
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
                json.dumps(text)[1:-1].replace("/", "\\/"),
                repr(text)[1:-1],
                text.replace("'", "'\"'\"'"),
                *_quoted(text),
                *_in_html(text),
                *_in_bytes(text.encode("utf-8", "replace")),
            )
        }
        forms |= escaped
    return forms


def _quoted(text: str) -> Iterator[str]:
    """Give a text as URLs have it, with large and with small digits."""
    for safe in ("", "/", "/:@"):
        for quoted in (
            quote(text, safe=safe, errors="replace"),
            quote_plus(text, safe=safe, errors="replace"),
        ):
            yield quoted
            yield _ESCAPED.sub(lambda found: found[0].lower(), quoted)


def _in_html(text: str) -> Iterator[str]:
    plain = html.escape(text, quote=False)
    yield plain
    yield html.escape(text)
    yield html.escape(text).replace("&#x27;", "&#39;")
    yield plain.replace('"', "&quot;")
    yield plain.replace('"', "&#34;").replace("'", "&#39;")


def _in_bytes(raw: bytes) -> Iterator[str]:
    """Give bytes in hex, as Python shows them, and as base64 has them among others.

    Of ``user:token`` the token begins at any of three places in a group of four letters: the
    letters that are the token's alone are what is looked for.
    """
    yield raw.hex()
    yield raw.hex().upper()
    yield raw.hex(":")
    yield repr(raw)[2:-1]
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(bytes(before) + raw).decode()[first:end]
            if len(core) >= _CORE:
                yield core
    yield base64.b64encode(raw).decode()
