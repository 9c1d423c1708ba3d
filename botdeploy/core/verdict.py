"""A verdict: what the evidence says of a release, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a judge may say; ``wait`` until it knows."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with its reasons, in sentences that a person can check."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    host: str | None = None
    """The host that shows it, where one does."""
    errors: tuple[tuple[str, str], ...] = ()
    """Of a fail, the release's own errors that it names: fingerprint, and first words."""

    machine: str | None = None
    """The machine whose instances all show it, or may: such a wait becomes no pass."""

    def __str__(self) -> str:
        """Tell the outcome and its first reason."""
        return f"{self.outcome.value}: {self.reasons[0]}" if self.reasons else self.outcome.value
