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
# What was broken, and what came of it

Made by `make chaos`: nobody wrote these rows. Real hosts of the [lab](../tests/lab/README.md),
each with a disk of its own (ext4, which forgets at a power cut what was not synced), live through
an act again and again; each time something else is broken before another step of it.

**The steps are not chosen.** A stop stands before every program that an act calls; what only
reads between two changes counts as one step, because on the disk nothing is different. In the
name of a step, "…after X" is the last command that changed something. A new line in an act is a
new step here.

**Checked each time**, right after the fault, when the host is safe, and at the end: `current`
names a whole release, whose every file has its sum; never two processes of the bot at once (it
writes its own life down by the kernel's clock); releases are not writable and secrets not
readable by others; shared data is as it was; nothing is pending. Then the same commands again
must stage, switch, confirm and revert without a fault, and leave no litter.

A cell says how long it took from the fault until a release ran with nothing open, and which
releases ran one after the other meanwhile: `o` the old one, `n` the new one, `s` one that is
never ready, `l` one whose lines are dropped (what the disk had forgotten of its notes is missing).
Most of the time is the lease of {lease} s or the time that a host takes to boot.
`(…)`: this time the act went another way and did not come to the step.
`-`: {left_out}. Each of these faults can be made in the lab at each step. What
can't be made there, and so is in no row: another time on a host's clock (it is the machine's), and
a unit that runs out of its memory where the machine has cgroup v1.

| fault | is |
| --- | --- |
| SIGKILL | the guard with all its children, or the act, is killed; nobody tells it anything again |
| stopped | `systemctl stop` of the guard, its controller is killed, too; SIGTERM to an act |
| power cut | the whole host stops, unsynced data is lost, and it boots |
| reboot | in good order, in the middle of the step |
| network cut | the link is pulled and the controller is killed; mended when the host is safe |
| controller killed | its ssh gets SIGKILL |
| sshd killed | the sshd process of the connection gets SIGKILL |
| disk full, inodes used up | the one disk that has everything; mended when safe, or after 25 s |
| /opt or state read-only | as a disk that finds itself broken; mended when safe, or after 25 s |
| /opt read-only at boot | a power cut, then a disk that can only be read, until it is mended |
| /run full | where lock and lease are; mended when the host is safe |
| second rollback | somebody else takes the lock and rolls back, from another place, in the middle |

While the state's file system cannot be written, an unconfirmed release stays where it is, and the
guard tries again every two seconds; the same for /opt, where a link cannot be moved. The bot is
not stopped for a return that the disk would refuse. `p` in a cell: the old release did not start
on the broken disk (it can't write to its shared data), the host said that it needs a person, and
the next `revert` brought it up when the disk was mended; or, with nothing pending, the bot itself
could not live on that disk until systemd gave it up, `status` said so with the command to type
(`rollback --to` that same release), and that brought it up.

"""

_ORDINAL = {2: "2nd", 3: "3rd"}
_RACES = "<!-- races -->\n"


def put_steps(page: Path, text: str) -> None:
    """Write the page's tables; what another run has told of races stays below them."""
    races = page.read_text("utf-8").partition(_RACES)[2] if page.exists() else ""
    page.write_text(text + _RACES + races, "utf-8")


def put_races(page: Path, text: str) -> None:
    """Write what is told of races; the tables above stay."""
    steps = page.read_text("utf-8").partition(_RACES)[0] if page.exists() else ""
    page.write_text(steps + _RACES + text, "utf-8")


def write(rows: Sequence[Row], lease_s: int, every: int) -> str:
    """Give the page."""
    reached = [row for row in rows if row.is_reached]
    kept = [row for row in reached if not row.wrong]
    slowest = max((row.safe_s for row in reached), default=0)
    middle = sorted(row.safe_s for row in reached)[len(reached) // 2] if reached else 0
    left_out = "not in this run" + (
        f", in which each fault met every {_ORDINAL.get(every, f'{every}th')} step, each beginning"
        "\nat another one"
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
