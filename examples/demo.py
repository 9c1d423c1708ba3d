"""The demo: three releases of a small bot go to four real hosts, and the third one is caught.

``make demo`` runs it; by hand: ``python -m examples.demo`` as root on Debian or Ubuntu. It starts
the lab, uses nothing but the ``botdeploy`` command that everybody uses, proves what it says from
the hosts' own journals, and takes the lab down again, whatever happens. It ends with 0 only where
everything came as foretold.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from examples import lives
from tests.lab import lab as labs
from tests.lab import registry
from tests.lab.shell import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host
    from tests.lab.lab import Lab

PROJECT = Path(__file__).resolve().parents[1]
HOSTS = 4
DATA = "/opt/echobot/shared/data"
QUEUE = """
import json, sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}/queue.sqlite?mode=ro", uri=True)
print(json.dumps(dict(db.execute("SELECT state, count(*) FROM job GROUP BY state"))))
"""


class Unexpected(Exception):
    """Something did not come as the demo foretold."""


@dataclass
class Teller:
    """Tells what is done and why, with the seconds since the start."""

    began: float = field(default_factory=time.monotonic)
    is_bright: bool = field(
        default_factory=lambda: sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    )

    def _print(self, text: str, style: str = "") -> None:
        stamp = f"{time.monotonic() - self.began:5.1f} s"
        for line in textwrap.wrap(text, 88) or [""]:
            shown = f"\033[{style}m{line}\033[0m" if style and self.is_bright else line
            sys.stdout.write(f"{stamp} │ {shown}\n")
            stamp = " " * len(stamp)
        sys.stdout.flush()

    def chapter(self, text: str) -> None:
        """Begin a part."""
        sys.stdout.write("\n")
        self._print(text, "1;36")

    def say(self, text: str) -> None:
        """Tell what is done and why."""
        self._print(text)

    def command(self, text: str) -> None:
        """Show what is typed."""
        self._print(f"$ {text}", "1")

    def proof(self, text: str) -> None:
        """Tell what was found, where the opposite would have ended the demo."""
        self._print(f"✓ {text}", "32")

    def fault(self, text: str) -> None:
        """Tell what went otherwise than foretold."""
        self._print(f"✗ {text}", "1;31")


def expect(is_so: bool, otherwise: str) -> None:  # noqa: FBT001
    """Go on only where it is so; raises Unexpected."""
    if not is_so:
        raise Unexpected(otherwise)


# --- the command, as everybody uses it -----------------------------------------------------------


def botdeploy(tell: Teller, *arguments: str, code: int = 0) -> None:
    """Run botdeploy in the terminal; raises Unexpected for another exit code than ``code``."""
    tell.command(shlex.join(("botdeploy", *arguments)))
    sys.stdout.flush()
    done = subprocess.run([sys.executable, "-m", "botdeploy", *arguments], cwd=PROJECT, check=False)
    expect(done.returncode == code, f"it ended with {done.returncode}, not with {code}")


# --- what the hosts themselves have written ------------------------------------------------------


def journal(host: Host) -> list[str]:
    """Read all that the bot ever printed on a host."""
    return host.root("journalctl -q -m -u echobot -o cat").stdout.splitlines()


def lives_of(host: Host) -> tuple[list[lives.Life], list[str]]:
    """Read the bot's own record of its starts and ends."""
    return lives.read(host.root(f"cat {DATA}/lives.log").stdout.splitlines())


def running(lab: Lab) -> dict[str, str]:
    """Tell which release each host's living process is, by the bots' own records."""
    last = {host.name: lives_of(host)[0][-1] for host in lab}
    dead = [name for name, life in last.items() if life.end_ns is not None]
    expect(not dead, f"no bot lives on {', '.join(dead)}")
    return {name: life.release for name, life in last.items()}


def versions_of(host: Host) -> list[str]:
    """List the versions that ever ran on a host, in order."""
    return [life.version for life in lives_of(host)[0]]


def first_job_of(host: Host, version: str) -> int:
    """Find the number of the first job that a version answered on a host; 1 in a new queue."""
    entries = [json.loads(line) for line in journal(host) if line.startswith('{"ts"')]
    began = next(
        number
        for number, entry in enumerate(entries)
        if entry["event"] == "started" and entry["version"] == version
    )
    job: int = next(entry["job"] for entry in entries[began:] if entry["event"] == "replied")
    return job


def queue_of(host: Host) -> dict[str, int]:
    """Count the bot's jobs by state."""
    command = shlex.join(("python3", "-c", QUEUE, DATA))
    counts: dict[str, int] = json.loads(host.root(command).stdout)
    return counts


# --- the story -----------------------------------------------------------------------------------


def first_deploy(tell: Teller, lab: Lab) -> None:
    """Deploy version 1 where nothing ran before."""
    tell.chapter("1 · The first deploy")
    tell.say(
        "Version 1 of a chat bot: a queue in SQLite, reminders, JSON log lines. It is staged on"
        f" all {HOSTS} hosts, started on one, watched for 12 s, and only then on the others."
    )
    botdeploy(tell, "canary", "lab")
    for host in lab:
        expect(versions_of(host) == ["1"], f"{host.name} has run versions {versions_of(host)}")
    tell.proof(f"version 1 runs on {', '.join(host.name for host in lab)}")


def good_release(tell: Teller, lab: Lab) -> dict[str, str]:
    """Roll version 2 through the canary to all; give what each host runs then."""
    tell.chapter("2 · A good release")
    tell.say(
        "Version 2 answers in the user's language. Same command: the canary first, then the rest,"
        " one host after the other."
    )
    botdeploy(tell, "canary", "lab", "--source", "examples/echobot/v2")
    for host in lab:
        expect(versions_of(host) == ["1", "2"], f"{host.name} has run {versions_of(host)}")
    host = next(iter(lab))
    job = first_job_of(host, "2")
    expect(job > 1, f"on {host.name} version 2 began a new queue")
    tell.proof(
        f"version 2 runs everywhere, and goes on with the old queue: at job {job} on {host.name}"
    )
    botdeploy(tell, "status", "lab")
    return running(lab)


def bad_release(tell: Teller, lab: Lab, before: dict[str, str]) -> None:
    """Try version 3, which starts well, fails after a while, and is caught."""
    tell.chapter("3 · A release that fails only after a while")
    tell.say(
        "Version 3 keeps profiles in memory and drops them after 6 s; nothing reads them again."
        " It starts, says READY and answers, so every start-up check passes. Then users get a"
        " KeyError."
    )
    botdeploy(tell, "canary", "lab", "--source", "examples/echobot/v3", code=1)
    tell.proof("exit code 1: the verdict was fail, and the canary is reverted and verified")
    botdeploy(tell, "status", "lab")
    after = running(lab)
    expect(after == before, f"hosts run {after}, not what they ran before: {before}")
    tell.proof("every host runs exactly what it ran before version 3")

    tell.chapter("4 · What the hosts have recorded")
    errors = {host.name: sum("KeyError" in line for line in journal(host)) for host in lab}
    hit = [host for host in lab if "3" in versions_of(host)]
    expect(len(hit) == 1, f"version 3 ran on {[host.name for host in hit]}, not on one host")
    canary = hit[0]
    others = [host for host in lab if host.name != canary.name]
    expect(errors[canary.name] > 0, f"no KeyError in the journal of {canary.name}")
    expect(not any(errors[host.name] for host in others), f"lines with KeyError: {errors}")
    found, _ = lives_of(canary)
    bad = next(life for life in found if life.version == "3")
    if bad.end_ns is not None:
        length = (bad.end_ns - bad.start_ns) / 1e9
        tell.proof(
            f"{canary.name} ran version 3 for {length:.1f} s;"
            f" {errors[canary.name]} lines of its journal have the KeyError"
        )
    names = ", ".join(host.name for host in others)
    tell.proof(f"{names} never ran it: versions 1 and 2 in their records, no KeyError in journals")
    expect(
        [life.version for life in found] == ["1", "2", "3", "2"],
        f"{canary.name} has run {versions_of(canary)}",
    )


def two_at_once(tell: Teller, lab: Lab) -> None:
    """Show that no two copies were ever alive at once on a host."""
    total: Counter[str] = Counter()
    for host in lab:
        found, overlaps = lives_of(host)
        expect(not overlaps, f"{host.name}: {'; '.join(overlaps)}")
        total["lives"] += len(found)
    tell.proof(
        f"{total['lives']} starts on {len(lab)} hosts, and never two copies of the bot at once:"
        " each holds a kernel lock while it runs, and none found it taken"
    )


def nothing_lost(tell: Teller, lab: Lab) -> None:
    """Show that the queue outlived the bad release."""
    total: Counter[str] = Counter()
    for host in lab:
        total.update(queue_of(host))
    expect(not total["dead"], f"{total['dead']} jobs were given up")
    tell.proof(
        f"no message was lost: {total['done']} answered, {total['waiting']} wait for their time,"
        " 0 given up (what version 3 failed is tried again by version 2)"
    )


def play(tell: Teller) -> None:
    """Play the whole story; raises Unexpected, LabError."""
    with started(tell) as lab:
        first_deploy(tell, lab)
        before = good_release(tell, lab)
        bad_release(tell, lab, before)
        two_at_once(tell, lab)
        nothing_lost(tell, lab)


@contextlib.contextmanager
def started(tell: Teller) -> Iterator[Lab]:
    """Start the lab, and take it down whatever happens; a second Ctrl-C does not stop that."""
    tell.chapter(f"0 · {HOSTS} real hosts on this machine")
    tell.say(
        "Each is a Debian with systemd, journald and sshd of its own. The first time, their common"
        " base is made from Debian's packages (about half a minute)."
    )
    labs.down_stale(say=tell.say)
    lab = labs.up(HOSTS, owner=registry.Owner.me(), say=tell.say)
    try:
        yield lab
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        sys.stdout.write("\n")
        labs.down(lab.name, say=tell.say)


def main() -> int:
    """Play the demo and give its exit code."""
    tell = Teller()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        play(tell)
    except Unexpected as error:
        tell.fault(str(error))
        return 1
    except LabError as error:
        tell.fault(f"the lab: {error}")
        return 1
    except KeyboardInterrupt:
        tell.fault("interrupted")
        return 130
    tell.chapter("The canary was caught. No other host ever saw version 3.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
