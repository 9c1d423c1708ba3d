"""What people see while a rollout runs: a line for each event, and below it what is going on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.phrases import hosts_on
from botdeploy.views import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

_MARKS = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


class Progress:
    """Prints events; on a terminal it also keeps a live table of the hosts at the bottom."""

    def __init__(
        self,
        console: Console,
        mask: Callable[[str], str] = lambda text: text,
        *,
        verbose: bool,
        is_step: bool = False,
    ) -> None:
        """``verbose`` prints evidence events too, which a terminal shows in the table.

        With ``is_step`` what waits is not printed where nobody watches.
        """
        self._console = console
        self.mask = mask
        self._verbose = verbose
        self._shows_waiting = verbose or not is_step or console.is_terminal
        self._rows: dict[str, _Row] = {}
        self._machine_of: dict[str, str] = {}
        self._live: Live | None = None
        self._guard = threading.RLock()
        self._begun = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        with self._guard:
            self._update(event)
            line = self._line(event)
            if line is not None:
                self._console.print(line, highlight=False, soft_wrap=True)
            if self._live is not None:
                self._live.update(self._table())

    def __enter__(self) -> Self:
        """Begin the live table where the output is a terminal."""
        if self._console.is_terminal:
            self._live = Live(
                self._table(),
                console=self._console,
                refresh_per_second=4,
                transient=True,
                get_renderable=self._table,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # --- lines ------------------------------------------------------------------------------

    def _line(self, event: Event) -> Text | None:
        words = self._words(event)
        if words is None:
            return None
        text, style = words
        line = Text()
        line.append(_clock(event.at), style="dim")
        line.append(f"  {event.host or '·':<12} ", style="bold" if event.host else "dim")
        line.append(self.mask(text).replace("\n", " "), style=style)
        return line

    def _words(self, event: Event) -> tuple[str, str] | None:
        data = event.data
        match event.kind:
            case Kind.ROLLOUT_STARTED:
                rings = " → ".join(f"{one['name']} ({len(one['hosts'])})" for one in data["rings"])
                told = f"{event.release} through {rings}{sentences.on_machines(data)}"
                names = data.get("not_in_inventory", ())
                others = sentences.not_in_inventory(names, event.environment)
                changes = sentences.changes_of_form(data.get("changes_of_form", ()))
                numbers = sentences.renumbering(data.get("renumbers", ()))
                return "; ".join([told, *changes, *numbers, *others]), "bold"
            case Kind.STAGED:
                size = _size(data["bytes_sent"]) if data["bytes_sent"] else "there already"
                if "same_as" in data:
                    return f"unchanged  keeps {data['same_as']}, which is the same here", ""
                values = sentences.values_changed(data.get("values_changed"))
                return f"staged     {size}, {data['seconds']:.2f} s{values}", ""
            case Kind.SWITCHED:
                text = f"switched   {event.ring}, ready after {data['downtime_s']:.2f} s"
                return _with_unseen(text, data), "cyan"
            case Kind.EVIDENCE:
                return (_evidence(data), "dim") if self._verbose else None
            case Kind.VERDICT:
                reasons = "; ".join(data["reasons"]) or "no problems were found"
                return (
                    f"verdict    {event.ring}: {data['outcome']} — {reasons}",
                    _MARKS.get(str(data["outcome"]), ""),
                )
            case Kind.PROMOTED:
                return f"passed     {event.ring}: {', '.join(data['hosts'])}", "green"
            case Kind.REVERTED:
                where = (
                    f"back on {data['to']}{sentences.of_unit(data)}"
                    if data.get("to")
                    else "stopped, there is no previous release"
                )
                text = f"reverted   {where} in {data['seconds']:.2f} s, by {data['by']}"
                return _with_unseen(text, data), "yellow"
            case Kind.HOST_FAILED:
                return f"failed     {data['error']}", "red"
            case Kind.WAITING if not self._shows_waiting:
                return None
            case Kind.WAITING:
                until = f" until {data['until']}" if data.get("until") else ""
                return f"waiting    {data['why']}{until}", "yellow"
            case Kind.OUTCOME:
                return None

    # --- the table --------------------------------------------------------------------------

    def _update(self, event: Event) -> None:
        data = event.data
        if event.kind is Kind.ROLLOUT_STARTED:
            self._machine_of = sentences.machine_of(data)
            for ring in data["rings"]:
                for host in ring["hosts"]:
                    self._rows.setdefault(host, _Row(ring["name"]))
        if event.host is None:
            return
        row = self._rows.setdefault(event.host, _Row(event.ring or ""))
        match event.kind:
            case Kind.STAGED:
                row.state = "staged"
            case Kind.SWITCHED:
                row.state = "soaks"
                row.since = time.monotonic()
            case Kind.EVIDENCE:
                row.evidence = _evidence(data)
            case Kind.REVERTED:
                row.state = "reverted"
                row.since = 0.0
            case Kind.HOST_FAILED:
                row.state = "failed"
                row.since = 0.0
            case _:
                pass

    def _table(self) -> Group:
        table = Table.grid(padding=(0, 2))
        shown = [(name, row) for name, row in self._rows.items() if row.since]
        for name, row in shown[:12]:
            table.add_row(
                Text("  " + name, style="bold"),
                row.ring,
                f"{row.state} {time.monotonic() - row.since:.0f} s",
                Text(row.evidence, style="dim"),
            )
        elapsed = f"{time.monotonic() - self._begun:.0f} s"
        return Group(table, Text(f"  {self._hosts()} · {elapsed}", style="dim"))

    def _hosts(self) -> str:
        return hosts_on(len(self._rows), len({self._machine_of.get(n, n) for n in self._rows}))


class _Row:
    """One host in the live table."""

    def __init__(self, ring: str) -> None:
        self.ring = ring
        self.state = ""
        self.evidence = ""
        self.since = 0.0


def _with_unseen(text: str, data: Mapping[str, object]) -> str:
    return f"{text}; {data['unseen']}" if data.get("unseen") else text


def _evidence(data: Mapping[str, object]) -> str:
    text = f"{data['lines']} lines, {data['errors']} errors"
    if data.get("restarts"):
        text += f", {data['restarts']} restarts"
    new = data.get("new_fingerprints")
    if isinstance(new, list) and new:
        text += f", new: {new[0]}"
    return text


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _size(count: int) -> str:
    if count < 1000:  # noqa: PLR2004
        return f"{count} B"
    if count < 1_000_000:  # noqa: PLR2004
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"
