"""A replay: the verdict as it would have come, from journals that were written before."""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING

from botdeploy.core.judge.host_tally import MINUTE_US, SECOND_US
from botdeploy.core.judge.judge import Judge
from botdeploy.core.judge.judge_options import JudgeOptions, Preset
from botdeploy.core.lines.systemd_record import SystemKind
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botdeploy.core.lines.line import LogLine

_RESTARTED_WITHIN_US = MINUTE_US


def find_switch(lines: Iterable[LogLine]) -> int | None:
    """Give the time of the first start that no crash explains; None where there is none."""
    restart_us: int | None = None
    for line in lines:
        record = line.system
        if record is None:
            continue
        if record.kind is SystemKind.RESTART:
            restart_us = line.at_us
        elif record.is_new_process:
            if restart_us is None or line.at_us - restart_us > _RESTARTED_WITHIN_US:
                return line.at_us
            restart_us = None if record.kind is SystemKind.STARTED else restart_us
    return None


def replay(
    canary: Mapping[str, Iterable[LogLine]],
    baseline: Mapping[str, Iterable[LogLine]],
    options: JudgeOptions,
    *,
    switched_at_us: int | None = None,
) -> Iterator[tuple[float, Verdict]]:
    """Judge journals minute by minute; in ``quick``, every five seconds.

    Yields minutes since the switch with the verdict at that time, and ends with the first one
    that is not WAIT, or with the journals. The switch of each canary host is its first start that
    no crash explains, unless ``switched_at_us`` tells; lines before it are its past. Raises
    ValueError where neither is known.
    """
    lines = {name: sorted(some, key=_time) for name, some in (*canary.items(), *baseline.items())}
    switches: dict[str, int] = {}
    for name in canary:
        found = switched_at_us if switched_at_us is not None else find_switch(lines[name])
        if found is None:
            raise ValueError(
                f"{name}: the journal holds no start of the bot; name its switch by --at"
            )
        switches[name] = found
    judge = Judge(options, canary=list(canary), baseline=list(baseline), switched_at_us=switches)
    first = min(switches.values())
    step_us = 5 * SECOND_US if options.preset is Preset.QUICK else MINUTE_US
    ask_us = first + step_us
    last_us = first
    named = (((line.at_us, name, line) for line in some) for name, some in lines.items())
    for at_us, name, line in merge(*(list(one) for one in named), key=lambda one: one[:2]):
        while ask_us <= at_us:
            verdict = judge.verdict(ask_us)
            yield (ask_us - first) / MINUTE_US, verdict
            if verdict.outcome is not Outcome.WAIT:
                return
            ask_us += step_us
        ruled = judge.feed(name, line)
        if ruled is not None and ruled.outcome is Outcome.FAIL:
            yield (at_us - first) / MINUTE_US, ruled
            return
        last_us = max(last_us, at_us)
    if last_us > first:
        yield (last_us - first) / MINUTE_US, judge.verdict(last_us)


def _time(line: LogLine) -> int:
    return line.at_us
