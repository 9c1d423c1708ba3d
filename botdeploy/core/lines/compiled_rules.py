"""The user's rules for log lines, compiled."""

from __future__ import annotations

import re

from botdeploy.core.lines import fingerprint as fingerprints
from botdeploy.core.lines.durations import latency_of_text, plausible_ms, read_span_ms
from botdeploy.core.lines.level import LEVEL_NAMES
from botdeploy.core.lines.line import MAX_MESSAGE, LineRules
from botdeploy.errors import UserError

_LATENCY_GROUPS = {"ms": 1.0, "s": 1000.0, "us": 1e-3}
"""Names of a latency's group, and what a bare number in it is in milliseconds."""


class CompiledRules:
    """``LineRules``, ready to be searched."""

    def __init__(self, rules: LineRules) -> None:
        """Compile; raises UserError for an expression that does not compile."""
        self.ignore = [_compiled("ignore", one) for one in rules.ignore]
        self.fatal = [_compiled("fatal", one) for one in rules.fatal]
        self.same = [(one, _compiled("same", one)) for one in rules.same]
        self.latency = _compiled("latency", rules.latency) if rules.latency else None
        self.handled = _compiled("handled", rules.handled) if rules.handled else None
        self.levels = {word.lower(): LEVEL_NAMES[level] for word, level in rules.levels}
        if self.latency and not self.latency.groupindex.keys() & _LATENCY_GROUPS.keys():
            raise UserError(
                f"rollout.judge.latency: {rules.latency!r} needs a group named ms, s or us, "
                "as in (?P<ms>[0-9.]+)"
            )

    # An expression sees what is kept of a line: what it takes grows faster than the text.

    def is_ignored(self, text: str) -> bool:
        """Whether a text is no error, whatever it says."""
        text = shortened(text)
        return any(form.search(text) for form in self.ignore)

    def is_fatal(self, text: str) -> bool:
        """Whether a text is a fatal error, whatever its level."""
        text = shortened(text)
        return any(form.search(text) for form in self.fatal)

    def same_as(self, text: str) -> str | None:
        """Name the class that the user made for a text."""
        text = shortened(text)
        for expression, form in self.same:
            if found := form.search(text):
                return " ".join([f"{fingerprints.SAME}{expression}", *filter(None, found.groups())])
        return None

    def is_handled(self, text: str, latency: float | None) -> bool:
        """Whether a text tells of a unit of work done."""
        if self.handled is None:
            return latency is not None
        return self.handled.search(shortened(text)) is not None

    def latency_of(self, text: str) -> float | None:
        """Read how long the work took that a text tells of, in milliseconds."""
        head = text[:MAX_MESSAGE]
        form = self.latency
        if form is None:
            return latency_of_text(head)
        found = form.search(head)
        for name, factor in _LATENCY_GROUPS.items():
            if found and name in form.groupindex and found[name] is not None:
                return plausible_ms(read_span_ms(found[name], factor))
        return None


def _compiled(name: str, expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise UserError(f"rollout.judge.{name}: {expression!r}: {error}") from error


def shortened(text: str) -> str:
    """Give what is kept of a text: its head and its end."""
    if len(text) <= MAX_MESSAGE:
        return text
    head = MAX_MESSAGE // 2
    return f"{text[:head]}\n…\n{text[head + 3 - MAX_MESSAGE :]}"
