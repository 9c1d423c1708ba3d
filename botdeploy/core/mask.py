"""A mask: hides the secrets of a deploy, and what looks like one, in any text."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from botdeploy.core.redact import STARS, mask_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORT = 4  # characters; a shorter value is hidden only where it stands alone
_LINE = 8  # characters; shorter lines of a longer secret say too little to be hidden alone


class Mask:
    """Replaces secrets in text by stars; calling it twice changes nothing more.

    It can learn of more while several threads use it: what a host still runs may have secrets
    that nobody here can read any more.
    """

    __slots__ = ("_count", "_forms", "_known")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Take the values to hide; how they look in JSON, URLs, base64 and quotes is hidden too."""
        self._forms: dict[str, None] = {}
        self._known: re.Pattern[str] | None = None
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
        if self._known is not None:
            text = self._known.sub(STARS, text)
        return mask_tokens(text)

    def _compile(self) -> None:
        forms = list(self._forms)  # at one instant, whatever others add meanwhile
        # The longest first, so that a value inside another one leaves no rest of it behind.
        forms.sort(key=lambda form: (-len(form), form))
        parts = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in forms
        ]
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
                repr(text)[1:-1],
                text.replace("'", "'\"'\"'"),
                quote(text, safe="", errors="replace"),
                quote_plus(text, errors="replace"),
            )
        }
        forms |= escaped
        forms.add(base64.b64encode(value.encode("utf-8", "replace")).decode())
    return forms
