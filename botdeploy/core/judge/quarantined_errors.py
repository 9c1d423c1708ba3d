"""Errors that earlier releases failed for: twice the same again is a fail, whatever the preset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.lines.error_grouping import group
from botdeploy.core.lines.quote import quote
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botdeploy.core.host.host_state import RefusedError
    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.host_tally import HostTally, Quote
    from botdeploy.core.lines.line import LogLine

TWICE = 2


class QuarantinedErrors:
    """Knows what earlier releases failed for, by class of error."""

    def __init__(self, fleet: FleetTally, errors: Iterable[RefusedError]) -> None:
        """Look for these in what ``fleet`` holds, but not for what the past turns out to know."""
        self._fleet = fleet
        self._errors = {one.fingerprint: one for one in errors}
        self._matched: dict[str, RefusedError | None] = {}

    def at_line(self, tally: HostTally, line: LogLine) -> Verdict | None:
        """FAIL where a line of the judged release brings one back for the second time."""
        error = line.fingerprint
        if error is None or not self._errors:
            return None
        said = tally.quotes.get(error)
        return None if said is None else self._ruled(tally, error, said)

    def standing(self) -> Verdict | None:
        """FAIL where one came back twice on a host."""
        if not self._errors:
            return None
        for tally in self._fleet.canary.values():
            for error, said in tally.quotes.items():
                ruled = self._ruled(tally, error, said)
                if ruled is not None:
                    return ruled
        return None

    def _ruled(self, tally: HostTally, error: str, said: Quote) -> Verdict | None:
        if said.lines < TWICE:
            return None
        back = self._same(error)
        if back is None or self._fleet.is_known(error):
            return None
        failed = back.release or "an earlier release"
        return Verdict(
            Outcome.FAIL,
            (f"the error that failed {failed} is back, {said.lines} times: {quote(said.text)}",),
            tally.name,
        )

    def _same(self, error: str) -> RefusedError | None:
        """Find what is of the same class as an error."""
        if error not in self._matched:
            classes = group({error, *self._errors})
            same = (name for name in self._errors if classes[name] == classes[error])
            found = next(same, None)
            self._matched[error] = None if found is None else self._errors[found]
        return self._matched[error]
