"""The report of a chaos run: docs/reliability.md, made from its rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.lives import FAULTS, LIVES, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[2] / "docs/reliability.md"

_HEAD = """\
# Reliability: what was interrupted, and the results

`make chaos` wrote these tables from its measurements. It runs each act again and again on real
hosts of the [lab](../tests/lab/README.md), and each time causes a fault before another step of the
act. Each host has its own disk (ext4, which loses data that was not synced at a power cut).

**The steps are not chosen by hand.** The test stops before every program that an act calls.
Programs that only read between two changes count as one step, because the disk is the same. In
the name of a step, "…after X" is the last command that changed something. A new line in an act
makes a new step here.

**Checked each time**, right after the fault, when the host is safe, and at the end: `current`
names a complete release, whose every file has its hash; two processes of the bot never ran at once
(the bot records its starts and ends by the kernel's clock); releases are not writable and secrets
not readable by others; shared data is unchanged; nothing is pending. Then the same commands must
stage, switch, confirm and revert again without a fault, and leave no files behind.

A cell says how long it took from the fault until a release ran and nothing was pending, and which
releases ran one after the other meanwhile: `o` the old one, `n` the new one, `s` one that never
becomes ready, `l` one whose lines are dropped. (A power cut may lose the record of the last one.)
Most of the time is the lease of {lease} s or the boot of the host.
`(…)`: the act took another path this time and did not reach the step.
`-`: {left_out}. Each of these faults can be made in the lab at each step. Two
faults can't be made there and are missing: a changed clock of a host (all hosts use the machine's),
and a unit that runs out of its memory where the machine has cgroup v1.

| fault | means |
| --- | --- |
| SIGKILL | the guard with all its children, or the act, is killed; no controller comes back |
| stopped | `systemctl stop` of the guard, and its controller is killed too; SIGTERM to an act |
| power cut | the whole host stops, data that was not synced is lost, and it boots |
| reboot | a normal reboot in the middle of the step |
| network cut | the network is cut and the controller is killed; repaired when the host is safe |
| controller killed | its ssh gets SIGKILL |
| sshd killed | the sshd process of the connection gets SIGKILL |
| disk full, inodes used up | the one disk that has everything; repaired when safe, or after 25 s |
| /opt or state read-only | as after a disk error; repaired when safe, or after 25 s |
| /opt read-only at boot | a power cut, then a disk that is read-only until it is repaired |
| /run full | the file system of lock and lease; repaired when the host is safe |
| second rollback | another controller takes the lock and rolls back in the middle |

While the state's file system cannot be written, an unconfirmed release stays where it is, and the
guard tries again every two seconds; the same holds for /opt, where a link cannot be moved. The bot
is not stopped for a revert that the disk would refuse. `p` in a cell: a person was needed. Either
the old release did not start on the broken disk (it can't write to its shared data), the host
reported that, and the next `revert` started it when the disk was repaired. Or nothing was pending
and the bot itself could not run on that disk until systemd no longer restarted it; `status` said so
with the command to type (`rollback --to` that same release), and that started it.

"""

_ORDINAL = {2: "2nd", 3: "3rd"}
_RACES = "<!-- races -->\n"
_FORMS = "<!-- changes of form -->\n"
_NEIGHBOURS = "<!-- neighbours -->\n"
_MARKS = (_RACES, _FORMS, _NEIGHBOURS)
"""What the page's parts begin with, in order; the first part has no mark."""


_FORM_TEXT = """
## A bot changes its form

An instance takes the place of the plain bot with its data, or the plain bot that of an instance,
and nobody confirms it: after {lease_s} s the host goes back. Each time a fault came before another
step of the guard, there or back. Then the bot that stood there before had to run again by itself
and be enabled, with its data in its place; no two copies ever ran (each holds a lock of the kernel
on the data, and one on the machine), and no other files were left. All held each time.

Faults came before the acts' own steps, too. If the act `switch` is killed, the host is as above.
`prove` of the next release removes what stood there before: if it is killed, the new form runs on
with its data, and the same command again removes the rest.

| change | fault | steps |
| --- | --- | --- |
{rows}
"""


_NEIGHBOUR_TEXT = """
## One of two instances on a host

The same faults before the steps of the acts of one instance, while another one of the same bot runs
on the host. Where the host does not restart, the neighbour's own release waits under a lease
meanwhile. The promises above hold for both. After each fault, when the host was safe and the
broken instance had switched and returned again, the neighbour had the same process, links, files,
lock and lease as before, and its own rollout went on (after a restart: its confirmed release ran
again). Then the neighbour was switched itself.

**{reached} combinations, {kept} with every promise kept.** Each fault came before every {nth} step,
beginning at another one each. A cell says before how many steps it came, and how long it took at
most until the host was safe (the lease is {lease_s} s).

{table}
"""


def _put(page: Path, part: int, text: str) -> None:
    """Write one part of the page; the others stay."""
    rest = page.read_text("utf-8") if page.exists() else ""
    parts = []
    for mark in _MARKS:
        before, _, rest = rest.partition(mark)
        parts.append(before)
    parts.append(rest)
    parts[part] = text
    page.write_text(
        parts[0] + "".join(a + b for a, b in zip(_MARKS, parts[1:], strict=True)), "utf-8"
    )


def put_steps(page: Path, text: str) -> None:
    """Write the page's tables; what another run has told stays below them."""
    _put(page, 0, text)


def put_races(page: Path, text: str) -> None:
    """Write what is told of races."""
    _put(page, 1, text)


_NUMBERS = """
## Instances that change their numbers

Where a release [changes the numbers](inventory.md#when-numbers-change) of instances, processes of
the old numbers and of the new ones never live at the same time on one machine: not forward, and not
back by a verdict, by a person, by a lease that ends, or after a reboot. What stands on the disk of
the machine holds this, without a controller.

Between machines only a controller can hold it. On the way forward it does: it starts none before
all of them are dead on all machines. On the way back it does not. Old and new numbers run side by
side on different machines

- after a fail or with a `rollback`: from the first machine that is back to the last one, for the
  time of a stop and a start;
- when the lease ends on a machine that is cut off, or a machine restarts, while others are pending:
  until the controller learns of it and takes those back; without one, until their leases end;
- when a machine can't be reached while others go back: until its lease ends; if it was confirmed
  before, until it is reached.
"""


def put_forms(page: Path, text: str) -> None:
    """Write what is told of changes of the bot's form."""
    _put(page, 2, text)


def put_neighbours(page: Path, text: str) -> None:
    """Write what is told of the other instance on a host."""
    _put(page, 3, text)


def of_neighbours(rows: Sequence[Row], lease_s: int, every: int) -> str:
    """Tell of each fault in each act: before how many steps it came, and the longest time."""
    reached = [row for row in rows if row.is_reached]
    lives = [life for life in LIVES if any(row.life == life.name for row in reached)]
    table = ["| fault | " + " | ".join(life.name for life in lives) + " |"]
    table.append("| --- |" + " --- |" * len(lives))
    for fault in FAULTS:
        cells = []
        for life in lives:
            mine = [row for row in reached if (row.life, row.fault) == (life.name, fault)]
            longest = max((row.safe_s for row in mine), default=0.0)
            broken = " **broken**" if any(row.wrong for row in mine) else ""
            cells.append(f"{len(mine)}, {longest:.1f} s{broken}" if mine else "-")
        table.append(f"| {fault} | " + " | ".join(cells) + " |")
    kept = sum(not row.wrong for row in reached)
    return _NEIGHBOUR_TEXT.format(
        reached=len(reached),
        kept=kept,
        lease_s=lease_s,
        nth=_ORDINAL.get(every, f"{every}th"),
        table="\n".join(table),
    )


def of_forms(rows: Sequence[tuple[str, str, int]], lease_s: int) -> str:
    """Tell of changes of form: direction, fault, and before how many steps it came."""
    lines = [f"| {form} | {fault} | {many} |" for form, fault, many in rows]
    return _FORM_TEXT.format(lease_s=lease_s, rows="\n".join(lines)) + _NUMBERS


def write(rows: Sequence[Row], lease_s: int, every: int) -> str:
    """Give the page."""
    reached = [row for row in rows if row.is_reached]
    kept = [row for row in reached if not row.wrong]
    slowest = max((row.safe_s for row in reached), default=0)
    middle = sorted(row.safe_s for row in reached)[len(reached) // 2] if reached else 0
    left_out = "not in this run" + (
        f", in which each fault was made at every {_ORDINAL.get(every, f'{every}th')} step, each"
        "\nbeginning at another one"
        if every > 1
        else ""
    )
    out = [_HEAD.format(lease=lease_s, left_out=left_out)]
    out.append(
        f"**{len(reached)} combinations, {len(kept)} with every promise kept.** Until the host was"
        f" safe: median {middle:.1f} s, longest {slowest:.1f} s.\n\n"
    )
    for life in LIVES:
        mine = [row for row in rows if row.life == life.name]
        if not mine:
            continue
        who = "the guard's" if life.scope == "guard" else "the act's"
        out.append(f"## {life.name[0].upper()}{life.name[1:]} ({who} steps)\n\n")
        faults = life.faults or tuple(FAULTS)
        out.append("| step | " + " | ".join(faults) + " |\n")
        out.append("| --- |" + " --- |" * len(faults) + "\n")
        by = {(row.step, row.fault): row for row in mine}
        for step in dict.fromkeys(row.step for row in mine):
            cells = [_cell(by.get((step, fault))) for fault in faults]
            out.append(f"| {_step(step)} | " + " | ".join(cells) + " |\n")
        out.append("\n")
    broken = [row for row in reached if row.wrong]
    if broken:
        out.append("## What was not kept\n\n")
        for row in broken:
            told = "; ".join(Counter(row.wrong))
            out.append(f"- {row.life}, {row.fault} before {_step(row.step)}: {told}\n")
    return "".join(out)


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if not row.is_reached:
        return "(…)"
    ran = "".join(name[0].lower() for name in row.between.split(" → ") if name)
    return f"{row.safe_s:.1f} s {ran}" + (" **broken**" if row.wrong else "")


def _step(step: str) -> str:
    name, _, after = step.partition(" after ")
    for long, short in (
        ("/var/lib/botdeploy/echobot", "STATE"),
        ("/run/botdeploy/echobot", "RUN"),
        ("/etc/systemd/system", "UNITS"),
        ("/opt/echobot", "/opt/BOT"),
        ("echobot", "BOT"),
    ):
        name, after = name.replace(long, short), after.replace(long, short)
    return f"`{_short(name)}` after `{_short(after)}`".replace("|", "\\|")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
