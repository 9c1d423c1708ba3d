"""The command that writes a report: reads the last rollout from its hosts, makes one HTML page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.report import report_model as accounts
from botdeploy.core.report.report_model import JournalRead
from botdeploy.core.rollout.rollout_records import newest, newest_under_way
from botdeploy.core.text.printable import visible
from botdeploy.core.text.untrusted import entry_of
from botdeploy.engine.outcome import Ended
from botdeploy.errors import ExitCode, HostError, NoneReached, UserError
from botdeploy.user_dirs import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.cli.context import Context
    from botdeploy.core.host_state import HostState, RolloutRecord
    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.report.report_model import Act, Frame
    from botdeploy.engine.fleet.fleet import Fleet
    from botdeploy.hosts.acts.acts import Acts

MOST_OTHERS = 8
"""Hosts that did not switch and are read all the same, for comparison."""


def report(context: Context, environment: str, out: Path | None) -> int:
    """Write the report of the last rollout; raises UserError where there was none."""
    from botdeploy.views.report.page import page

    inventory = context.load(environment)
    notes = _mask(context, inventory)
    with context.fleet(inventory) as fleet:
        account = _account(context, inventory, fleet, notes)
    place = out or Path(f"botdeploy-report-{inventory.environment}.html")
    _write(
        place, page(account, now=context.clock.now(), mask=lambda text: visible(context.mask(text)))
    )
    failed = [host.name for host in account.hosts if host.runs == "unknown"]
    told = f"; without {', '.join(failed)}: out of reach" if failed else ""
    code = ExitCode.UNREACHABLE if failed else ExitCode.DONE
    return context.ended(Ended(code, f"{place}: {account.release} {account.ending.value}{told}"))


def _account(
    context: Context, inventory: Inventory, fleet: Fleet, notes: list[str]
) -> accounts.Report:
    names = [host.name for host in inventory.hosts]

    def look(name: str) -> tuple[HostState, list[dict[str, Any]], datetime]:
        acts = fleet.acts(name)
        begun = context.clock.now()
        state = acts.observe()
        now = begun + (context.clock.now() - begun) / 2
        return state, acts.audit() if state.is_prepared else [], now

    seen = fleet.each(names, look)
    states = {name: one[0] for name, one in seen.items() if not isinstance(one, HostError)}
    away = {name: one.message for name, one in seen.items() if isinstance(one, HostError)}
    if not states:
        raise NoneReached({name: one for name, one in seen.items() if isinstance(one, HostError)})
    record = newest(states)
    if record is None:
        raise UserError(
            f"no host of {inventory.environment} knows of a rollout; "
            f"next: botdeploy canary {inventory.environment}"
        )
    is_open = newest_under_way(states, inventory.policy) is not None
    ahead = {
        name: one[0].ahead(one[2]) for name, one in seen.items() if not isinstance(one, HostError)
    }
    entries = [
        act
        for name, one in seen.items()
        if not isinstance(one, HostError)
        for act in accounts.read_acts(name, one[1], ahead[name])
    ]
    acts = accounts.acts_of(record, entries)
    now = context.clock.now()
    frame = accounts.frame_of(record, acts, now, is_open=is_open)
    rules = LineRules.from_policy(inventory.policy.judge)
    chosen = _read_hosts(states, acts, record)
    readings = fleet.each(
        chosen,
        lambda name: _read(
            fleet.acts(name), record, frame, now, ahead[name], Assembler(rules, context.mask)
        ),
    )
    notes += [
        f"The clock of {name} is {abs(off.total_seconds()):.0f} s "
        f"{'ahead' if off > timedelta(0) else 'behind'}; its times are shown by this machine's."
        for name, off in ahead.items()
        if off
    ]
    notes += [
        f"The journal of {name} could not be read: {one.message}"
        for name, one in readings.items()
        if isinstance(one, HostError)
    ]
    unread = len(states) - len(chosen)
    if unread:
        notes.append(f"The journals of {unread} hosts that did not switch were not read.")
    return accounts.account(
        inventory,
        record,
        states,
        away,
        acts,
        {name: one for name, one in readings.items() if not isinstance(one, HostError)},
        frame,
        is_open=is_open,
        notes=notes,
    )


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
    reading = JournalRead()
    since = int((now - frame.usual_from).total_seconds()) + 1
    until_us = int((frame.to + ahead).timestamp() * 1e6)
    lines = []
    until = max(0, int((now - frame.to).total_seconds()) - 1)
    entries = acts.entries(f"since:{since}:{until}" if until else f"since:{since}")
    for row in entries.rows:
        entry = entry_of(row)
        if entry is None:
            continue
        at_us = int(entry.get("__REALTIME_TIMESTAMP", 0))
        if at_us > until_us:
            break
        lines += assembler.feed(entry)
    lines += assembler.flush()
    reading.lines = lines
    if entries.is_cut:
        since_when = f" (from {_when(lines[0].at_us) - ahead:%H:%M:%S} UTC on)" if lines else ""
        reading.notes.append(
            f"only the last {len(entries.rows):,} journal entries could be read{since_when}"
        )
    reading.kept = _kept(acts, record.release)
    return accounts.shifted(reading, ahead)


def _when(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC)


def _kept(acts: Acts, release: str) -> Evidence | None:
    try:
        text = acts.evidence(release)
        return Evidence.from_json(text) if text is not None else None
    except (HostError, ValueError):
        return None


def _mask(context: Context, inventory: Inventory) -> list[str]:
    """Read what must not stand in the report; tells what could not be read."""
    from botdeploy.sources.secrets import read_secret

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
            values.append(read_secret(name, reference, folder, context.environ).reveal())
        except UserError:
            unread.append(name)
    context.mask.learn(values)
    if not unread:
        return []
    told = ", ".join(dict.fromkeys(unread))
    return [f"{told} could not be read here: of it, only what looks like a token is hidden."]


def _write(place: Path, text: str) -> None:
    """Write the page whole or not at all, for whom the umask says; raises UserError."""
    try:
        write_whole(place, text)
    except OSError as error:
        raise UserError(
            f"--out {place} cannot be written: {(error.strerror or '').lower()}"
        ) from error
