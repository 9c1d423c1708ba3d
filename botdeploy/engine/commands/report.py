"""The report of the last rollout: read it from its hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.report.audit_log import acts_of, frame_of, read_acts
from botdeploy.core.report.report_model import HostAnswers, JournalRead
from botdeploy.core.report.rollout_report import rollout_report
from botdeploy.core.rollout.rollout_records import newest, newest_under_way
from botdeploy.engine.fleet.observe import clock_note, observe_timed
from botdeploy.engine.fleet.ownership import own
from botdeploy.engine.fleet.release_sources import release_sources
from botdeploy.errors import Hint, HostError, NoneReached, Todo, UserError
from botdeploy.hosts.journal_reader import JournalReader
from botdeploy.sources.secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.core.host.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.report.report_model import Act, Frame, Report
    from botdeploy.core.text.secret_mask import Mask
    from botdeploy.engine.fleet.clock import Clock
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts

MOST_OTHERS = 8
"""Hosts that did not switch and are read all the same, for comparison."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a host said of itself."""

    state: HostState
    audit: list[dict[str, Any]]
    ahead: timedelta
    """How far its clock is ahead of ours."""


def report(inventory: Inventory, fleet: Fleet, clock: Clock, environ: Mapping[str, str]) -> Report:
    """Read the last rollout; raises UserError where there was none, NoneReached without a host."""
    notes = _learn_secrets(inventory, fleet.mask, environ)
    seen = _ask(fleet, [host.name for host in inventory.hosts], clock)
    errors = {name: one for name, one in seen.items() if isinstance(one, HostError)}
    answers = {name: one for name, one in seen.items() if not isinstance(one, HostError)}
    if not answers:
        raise NoneReached(errors)
    states = {name: one.state for name, one in answers.items()}
    record = newest(own(inventory, states))
    if record is None:
        raise UserError(
            f"no host of {inventory.environment} knows of a rollout",
            hint=Hint(Todo.CANARY),
        )
    is_open = newest_under_way(own(inventory, states), inventory.policy) is not None
    acts = acts_of(
        record,
        [act for name, one in answers.items() for act in read_acts(name, one.audit, one.ahead)],
    )
    now = clock.now()
    frame = frame_of(record, acts, now, is_open=is_open)
    rules = LineRules.from_policy(inventory.policy.judge)
    chosen = _read_hosts(states, acts, record)
    readings = fleet.each(
        chosen,
        lambda name: _read(
            fleet.acts(name), record, frame, now, answers[name].ahead, Assembler(rules, fleet.mask)
        ),
    )
    notes += [clock_note(name, one.ahead) for name, one in answers.items() if one.ahead]
    notes += [
        f"The journal of {name} could not be read: {one.message}"
        for name, one in readings.items()
        if isinstance(one, HostError)
    ]
    if unread := len(states) - len(chosen):
        notes.append(f"The journals of {unread} hosts that did not switch were not read.")
    found = HostAnswers(
        states,
        {name: error.message for name, error in errors.items()},
        acts,
        {name: one for name, one in readings.items() if not isinstance(one, HostError)},
        release_sources(fleet, states, record.release),
    )
    return rollout_report(inventory, record, found, frame, is_open=is_open, notes=notes)


def _ask(fleet: Fleet, names: Iterable[str], clock: Clock) -> dict[str, _Answer | HostError]:
    seen = observe_timed(fleet, names, clock)
    states = {name: one for name, one in seen.items() if not isinstance(one, HostError)}

    def answer(name: str) -> _Answer:
        state, ahead = states[name]
        return _Answer(state, fleet.acts(name).state.audit() if state.is_prepared else [], ahead)

    errors = {name: one for name, one in seen.items() if isinstance(one, HostError)}
    told = {**errors, **fleet.each(states, answer)}
    return {name: told[name] for name in seen}


def _read_hosts(
    states: Mapping[str, HostState], acts: list[Act], record: RolloutRecord
) -> list[str]:
    switched = {act.host for act in acts if act.what == "switch" and act.release == record.release}
    others = [name for name in states if name not in switched and states[name].is_running]
    return [name for name in states if name in switched or name in others[:MOST_OTHERS]]


def _read(
    acts: Acts,
    record: RolloutRecord,
    frame: Frame,
    now: datetime,
    ahead: timedelta,
    assembler: Assembler,
) -> JournalRead:
    """Read a host's journal for the frame's time, and what was kept of it during the soak."""
    since = int((now - frame.usual_from).total_seconds()) + 1
    until = max(0, int((now - frame.to).total_seconds()) - 1)
    reader = JournalReader(assembler, ahead_us=ahead // timedelta(microseconds=1))
    read = reader.read(
        acts.journal.entries(f"since:{since}:{until}" if until else f"since:{since}")
    )
    until_us = int(frame.to.timestamp() * 1e6)
    return JournalRead(
        lines=[line for line in read.lines if line.at_us <= until_us],
        kept=None if ahead else _kept(acts, record.release),  # it is by the host's clock
        notes=[unread] if (unread := read.unread()) else [],
        ahead_us=reader.ahead_us,
    )


def _kept(acts: Acts, release: str) -> Evidence | None:
    try:
        text = acts.rollout.evidence(release)
        return Evidence.from_json(text) if text is not None else None
    except (HostError, ValueError):
        return None


def _learn_secrets(inventory: Inventory, mask: Mask, environ: Mapping[str, str]) -> list[str]:
    """Read what must not stand in the report; gives a note of what could not be read."""
    place = Path(inventory.path)
    folder = place if place.is_dir() else place.parent
    references = {
        (name, reference)
        for host in inventory.hosts
        for name, reference in host.bot.secrets.items()
    }
    values, unread = [], []
    for name, reference in sorted(references):
        try:
            values.append(read_secret(name, reference, folder, environ).reveal())
        except UserError:
            unread.append(name)
    mask.learn(values)
    if not unread:
        return []
    names = ", ".join(dict.fromkeys(unread))
    return [
        f"{names} could not be read here. Its values are hidden only if they look like a token."
    ]
