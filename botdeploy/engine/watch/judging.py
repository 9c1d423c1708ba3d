"""Judging: a ring's journals, live or as they were kept, and the verdict that they give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.past_starts import merged
from botdeploy.core.evidence.process_lives import lives_of
from botdeploy.core.evidence.proven_past import (
    ProvenReleases,
    attribution,
    counted_in,
    left_out,
    past_of,
)
from botdeploy.core.host.host_state import HostState
from botdeploy.core.judge import Judge, JudgeOptions, PastFacts
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import timedelta

    from botdeploy.core.evidence.counts import Counts
    from botdeploy.core.evidence.evidence import Evidence
    from botdeploy.core.evidence.proven_past import Past
    from botdeploy.core.lines.line import LogLine
    from botdeploy.core.model.policy import Ring
    from botdeploy.engine.watch.following import Following
    from botdeploy.engine.watch.processes import Processes

MOST_NEW = 20
"""New classes of errors that an ``evidence`` event names."""


class Judging:
    """Has one ring judged at a time."""

    def __init__(
        self,
        following: Following,
        processes: Processes,
        judge_options: Mapping[str, object],
        machines: Mapping[str, str],
    ) -> None:
        """Judge nothing yet; the last two as ``Watch`` takes them."""
        self._following = following
        self._processes = processes
        self._options = judge_options
        self._machines = machines
        self._judge: Judge | None = None
        self._ring = ""
        self._failed: Verdict | None = None
        """By a hard rule, at a line."""
        self._kept: dict[str, Evidence] = {}
        self._read_until_us = 0
        """Up to when the kept evidence was read: what came later nobody has heard; 0 live."""
        self._release = ""
        self._counted: dict[str, frozenset[str]] = {}
        """Whose kept lines are a host's past."""

    # --- what is judged ---------------------------------------------------------------------

    def judge(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        baseline: Sequence[str],
        states: Mapping[str, HostState],
    ) -> None:
        """Begin to judge these hosts by the journals that are followed.

        Their past is what came before their switch, as ``core.evidence.proven_past`` chooses it by
        what the hosts say of themselves (``states``); so is the baseline's. Times are by our clock.
        """
        followed = self._following.hosts
        canary = [name for name in switched_at_us if name in followed]
        self.rest()
        self._ring = ring.name
        self._read_until_us = 0
        if not canary:
            return
        options = JudgeOptions.from_policy(self._options, soak)
        self._following.canary = tuple(canary)
        compared = [name for name in baseline if name in followed and name not in canary]
        for name in canary:
            followed[name].begin(switched_at_us[name], round(options.grace_s * 1e6))
        first = min(switched_at_us.values())
        pasts: dict[str, Past] = {}
        later: list[tuple[int, str, LogLine]] = []
        known = ProvenReleases(states)
        for name in (*canary, *compared):
            begin_us = switched_at_us.get(name, first)
            said_by = states.get(name, HostState())
            pasts[name], since = self._parted(
                name, begin_us, said_by, known.on(name), is_new=name in canary
            )
            later += [(line.at_us, name, line) for line in since]
        self._judge = Judge(
            options,
            canary=canary,
            baseline=compared,
            switched_at_us={name: switched_at_us[name] for name in canary},
            history={name: past.lines for name, past in pasts.items()},
            known=PastFacts(
                left_out={name: past.left_out for name, past in pasts.items()},
                has_unread=any(followed[name].has_unread for name in pasts),
                refused=[one for state in states.values() for one in state.refused],
            ),
            machines=self._machines,
        )
        for name in canary:
            if not followed[name].follower.has_caught_up:
                self._judge.gap(name, switched_at_us[name])  # unread is not quiet
        for name in pasts:
            for from_us, to_us in followed[name].missed:
                self._judge.unheard(name, from_us, to_us)
        for _at, name, line in sorted(later, key=lambda item: item[:2]):
            self.feed(name, line)

    def _parted(
        self, name: str, begin_us: int, state: HostState, proven: frozenset[str], *, is_new: bool
    ) -> tuple[Past, list[LogLine]]:
        """Give a host's past, and what came since the instant at which its judgement begins."""
        host = self._following.hosts[name]
        oldest_us = min((line.at_us for line in host.lines), default=begin_us)
        attributed = attribution(state, ahead_us=host.ahead_us)
        since_us = max(oldest_us, attributed.since_us(begin_us))
        probed = self._following.prober.before(name, begin_us if is_new else 0, since_us)
        starts = host.starts
        said = [*starts.lines, *host.in_order(), *(one for one in probed if one.at_us < begin_us)]
        oldest_us = min([oldest_us, *(line.at_us for line in starts.lines[:1])])
        past = past_of(said, attributed, proven, begin_us, oldest_us)
        past = replace(past, left_out=merged((*past.left_out, *starts.unread)))
        host.past, host.past_until_us = list(past.lines), begin_us
        host.known_errors = {one.fingerprint for one in past.lines if one.fingerprint is not None}
        return past, [line for line in (*host.lines, *probed) if line.at_us >= begin_us]

    def judge_kept(
        self,
        ring: Ring,
        switched_at_us: Mapping[str, int],
        soak: timedelta,
        evidence: Mapping[str, Evidence],
        release: str,
        states: Mapping[str, HostState],
    ) -> None:
        """Judge by what was kept on the hosts; a host without evidence could not be read.

        The past is chosen as in ``judge``. Times are by the hosts' own clocks.
        """
        self._ring = ring.name
        self._failed = None
        self._kept = dict(evidence)
        for name in switched_at_us:
            if name in evidence and (lives := lives_of(evidence[name])) is not None:
                self._processes.kept[name] = lives
        self._release = release
        first = min(switched_at_us.values())
        left: dict[str, Sequence[tuple[int, int]]] = {}
        for name, one in evidence.items():
            begin = switched_at_us.get(name, first)
            until = begin if name in switched_at_us else None
            self._counted[name] = counted_in(one, states, name, until)
            spans = attribution(states.get(name, HostState())).spans(one.coverage.begin_us, begin)
            left[name] = left_out(spans, self._counted[name])
        self._judge = Judge(
            JudgeOptions.from_policy(self._options, soak),
            canary=list(switched_at_us),
            baseline=[name for name in evidence if name not in switched_at_us],
            switched_at_us=dict(switched_at_us),
            known=PastFacts(
                left_out=left,
                has_unread=any(one.reader.get("is_cut") for one in evidence.values()),
                refused=[one for state in states.values() for one in state.refused],
            ),
            machines=self._machines,
        )
        for name in switched_at_us:
            if name not in evidence:
                self._judge.gap(name, switched_at_us[name])
        for name, one in evidence.items():
            self._judge.absorb(name, one, release, self._counted[name])
        ends = {name: end for name, one in evidence.items() if (end := one.coverage.end_us)}
        self._read_until_us = max(ends.values(), default=0)
        for name, end_us in ends.items():
            self._judge.unheard(name, end_us, self._read_until_us)

    def rest(self) -> None:
        """Judge nothing until it is begun anew."""
        self._ring = ""
        self._failed = self._judge = None
        self._following.canary = ()

    def forget(self, hosts: Sequence[str]) -> None:
        """Forget what these hosts wrote since their switch: it is over, and was not judged."""
        for name in hosts:
            if name in self._following.hosts:
                self._following.hosts[name].forget()

    # --- what comes -------------------------------------------------------------------------

    def feed(self, host: str, line: LogLine) -> None:
        """Take in a line that came just now."""
        if not self._following.hosts[host].count(line) or self._judge is None:
            return
        verdict = self._judge.feed(host, line)
        if verdict is not None and verdict.outcome is Outcome.FAIL and self._failed is None:
            self._failed = verdict

    def unheard(self, host: str, from_us: int, to_us: int) -> None:
        """Note that a host was not heard for a while."""
        if self._judge is not None:
            self._judge.unheard(host, from_us, to_us)

    def gap(self, host: str, at_us: int) -> None:
        """Note that a host's stream broke."""
        if self._judge is not None:
            self._judge.gap(host, at_us)

    # --- what is found ----------------------------------------------------------------------

    def verdict(
        self, stopped: Collection[str] = (), start_due: Collection[str] = ()
    ) -> tuple[str, Verdict] | None:
        """Give the ring that is judged and its verdict now; None when nothing is judged.

        What some hosts don't say is no silence: those whose bot a person has ``stopped``, and those
        where it is ``start_due``.
        """
        if not self._ring:
            return None
        if self._judge is None:
            unread = Verdict(Outcome.INCONCLUSIVE, ("no journal of the ring could be read",))
            return self._ring, unread
        self._following.ask_quiet(self._following.judged())
        for name in stopped:
            self._judge.stopped(name)
        for name in start_due:
            self._judge.start_due(name)
        now_us = self._read_until_us or self._following.now_us()
        return self._ring, self._failed or self._judge.verdict(now_us)

    def excused(self) -> frozenset[str]:
        """Name the hosts whose bots may have ended by an external cause, or the machine's."""
        return self._judge.external_ends() if self._judge is not None else frozenset()

    def is_news(self, line: LogLine) -> bool:
        """Tell whether an error is the release's own: not of the past, and not external."""
        return self._judge is not None and self._judge.is_news(line)

    def cannot_exclude(self) -> tuple[str, ...]:
        """Give what a pass does not vouch for."""
        if self._judge is None:
            return ()
        return (*self._judge.cannot_exclude(), *self._following.prober.troubles())

    def evidence(self, host: str) -> dict[str, Any]:
        """Summarise what a host wrote since its switch, for the ``evidence`` event."""
        followed = self._following.hosts.get(host)
        if followed is not None:
            uptime = followed.lives.uptime(self._following.now_us())
            return _summary(followed.counts, followed.known_errors, uptime)
        kept = self._kept.get(host)
        if kept is None:
            return _summary(None, (), None)
        past = self._counted.get(host, frozenset()) - {self._release}
        known = {name for one in past for name in kept.totals(one).errors}
        return _summary(kept.totals(self._release), known, self._processes.uptime().get(host))


def _summary(counts: Counts | None, known: Iterable[str], uptime: float | None) -> dict[str, Any]:
    errors = counts.errors if counts is not None else {}
    return {
        "lines": counts.lines if counts is not None else 0,
        "errors": sum(errors.values()),
        "restarts": counts.restarts if counts is not None else 0,
        "new_fingerprints": sorted(set(errors) - set(known))[:MOST_NEW],
        "uptime": None if uptime is None else round(uptime, 4),
    }
