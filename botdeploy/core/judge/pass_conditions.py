"""What a pass needs when nothing condemns the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.judge.pass_caveats import rarest_s
from botdeploy.core.judge.quarantined_errors import TWICE
from botdeploy.core.lines.quote import quote
from botdeploy.core.text.phrases import count, duration, listing, percent
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from botdeploy.core.judge.fleet_tally import FleetTally
    from botdeploy.core.judge.hard_rules import HardRules
    from botdeploy.core.judge.judge_options import JudgeOptions
    from botdeploy.core.judge.quick import QuickRules
    from botdeploy.core.judge.sequential import SequentialTest


class PassConditions:
    """Decides between wait, pass and inconclusive."""

    def __init__(
        self,
        fleet: FleetTally,
        options: JudgeOptions,
        hard: HardRules,
        quick: QuickRules,
        sequential: SequentialTest | None,
    ) -> None:
        """``sequential``: None for ``quick``, which asks for no proof."""
        self._fleet = fleet
        self._options = options
        self._hard = hard
        self._quick = quick
        self._sequential = sequential

    def _ran_s(self, now_us: int) -> float:
        return (now_us - self._fleet.last_switch_us) / 1e6

    def late(self, waiting: Verdict, now_us: int) -> Verdict:
        """Turn a wait into inconclusive once the deadline is over."""
        if self._ran_s(now_us) < self._options.deadline_s:
            return waiting
        over = f"still undecided after {duration(self._options.deadline_s)}"
        return Verdict(Outcome.INCONCLUSIVE, (*waiting.reasons, over), waiting.host)

    def verdict(self, now_us: int) -> Verdict:
        """Wait for the soak's end, then pass unless something is in doubt."""
        ran_s = self._ran_s(now_us)
        if ran_s < self._options.soak_s:
            left = f"{duration(self._options.soak_s - max(0.0, ran_s))} of the soak are left"
            return Verdict(Outcome.WAIT, (f"nothing bad so far: {self._seen()}; {left}",))
        for tally in self._fleet.canary.values():
            if tally.unheard.is_broken:
                unread_why = "its journal can't be read, so it is not known what the bot does"
                return self.late(Verdict(Outcome.WAIT, (unread_why,), tally.name), now_us)
            torn_us = tally.unheard.between(tally.start_us, now_us)
            if 2 * torn_us > now_us - tally.start_us:
                unread_why = f"{duration(torn_us / 1e6)} of its journal could not be read"
                return self.late(Verdict(Outcome.WAIT, (unread_why,), tally.name), now_us)
        unread = self._unread_news()
        if unread is not None:
            return self.late(unread, now_us)
        crashed = self._hard.crashes.total()
        if crashed and not self._hard.crashes.are_usual:
            once = f"it crashed {count(crashed, 'time')}, which the old release never did"
            return self.late(Verdict(Outcome.WAIT, (once,)), now_us)
        doubt = self._quick.external(now_us)
        if doubt is not None:
            host, reason = doubt
            return self.late(Verdict(Outcome.WAIT, (reason,), host), now_us)
        if self._sequential is not None:
            lacking = self._sequential.missing(now_us)
            if lacking:
                lacking = (*lacking, *self._sequential.unweighed(), self._seen())
                return self.late(Verdict(Outcome.WAIT, lacking), now_us)
            beside = [f"but {one}" for one in self._sequential.unweighed()]
            proved = (f"{self._seen()}; {self._sequential.figures()}", *beside, *self._caveats())
            return Verdict(Outcome.PASS, proved)
        doubt = self._quick.doubt(now_us)
        if doubt is not None:
            host, reason = doubt
            return self.late(Verdict(Outcome.WAIT, (reason,), host), now_us)
        seen = f"nothing bad was seen: {self._seen()}; {self._not_excluded(now_us)}"
        return Verdict(Outcome.PASS, (seen, *self._caveats()))

    def _not_excluded(self, now_us: int) -> str:
        rarest = duration(rarest_s(self._fleet, now_us))
        return f"what shows less often than once in {rarest} is not excluded"

    def _unread_news(self) -> Verdict | None:
        """WAIT for an error that comes again and that may be in the past that was not read."""
        if not self._fleet.is_past_cut:
            return None
        for tally in self._fleet.canary.values():
            for name, said in tally.quotes.items():
                if said.lines < TWICE or self._fleet.is_known(name):
                    continue
                known_s = self._fleet.history_s
                why = (
                    f"an error came {count(said.lines, 'time')} and may be new: it is not in the"
                    f" {duration(known_s)} of the old release that could be read, and there was"
                    f" more to read: {quote(said.text)}"
                )
                return Verdict(Outcome.WAIT, (why,), tally.name)
        return None

    def _seen(self) -> str:
        lines = errors = probed = 0
        for tally in self._fleet.canary.values():
            for bucket in tally.after.values():
                lines += bucket.lines
                probed += bucket.probed
                errors += bucket.error_lines
        names = listing(list(self._fleet.canary))
        work = f" and {probed} units of work by its probe" if probed else ""
        seen = f"{count(lines, 'line')}{work} on {names}, {count(errors, 'error')} among them"
        if not errors or not lines:
            return seen
        usual = self._quick.usual_share()
        beside = "" if usual is None else f"; {percent(usual)} is usual"
        return f"{seen} ({percent(min(1.0, errors / lines))}{beside})"

    def _caveats(self) -> list[str]:
        said = []
        for tally in self._fleet.canary.values():
            if not tally.lines_after:
                said.append(f"but {tally.name} printed nothing, which is no proof that it works")
            if tally.dropped:
                said.append(
                    f"but journald dropped {count(tally.dropped, 'line')} on {tally.name}:"
                    " they were not judged"
                )
        if self._fleet.history_s <= 0.0:
            said.append(
                "but there was nothing to compare with: no release that passed here has left lines"
            )
        elif self._fleet.is_past_cut:
            said.append(
                f"but only {duration(self._fleet.history_s)} of the old release could be read,"
                " and there was more"
            )
        return said
