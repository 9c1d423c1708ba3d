"""What tests of a change of form share: a plain bot and named instances of the same code."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.hosts.acts.actkit import BOT, Actor, Release, unit_text
from tests.hosts.acts.instancekit import HOME, Instance, TreeRelease, named
from tests.lab.shell import HANG_S, looks

if TYPE_CHECKING:
    from tests.hosts.acts.actkit import Reply
    from tests.lab.host import Host

#: A bot that looks for its data beside its resolved path, or through the link there; it holds two
#: locks of the kernel by name: one on its data, and one that all copies on the machine share.
#: A copy that gets neither says so where nothing can hide it.
ONLY_ONE = """\
import fcntl, os, signal, socket, sys, time
from pathlib import Path
HERE = Path(__file__).resolve().parent
NAME = os.environ["BOTDEPLOY_RELEASE"]
def note(what):
    row = f"{time.monotonic_ns()} {what} {os.getpid()} {NAME}\\n"
    try:
        with open(HERE / "data" / "deep" / "life", "a") as log:
            log.write(row)
    except OSError:
        pass  # a full disk; the locks tell more
def twice(what):
    with open("/dev/shm/echobot-twice", "a") as log:
        log.write(f"{what} {NAME}\\n")
    sys.exit(9)
held = open(HERE / "data" / "deep" / "lock", "a")
try:
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    twice("data")
if os.environ.get("ALONE", "yes") == "yes":
    alone = socket.socket(socket.AF_UNIX)
    try:
        alone.bind("\\0echobot-alone")
    except OSError:
        twice("machine")
def end(*_):
    note("end")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
if FAILS:
    sys.exit(3)
print("READY", NAME, flush=True)
while True:
    time.sleep(0.02)
    note("alive")
"""
MAKE = """\
from pathlib import Path
(Path(__file__).resolve().parent / 'data' / 'deep').mkdir(exist_ok=True)
"""


def code(name: str, *, fails: bool = False) -> str:
    """Give the bot's code, of which no two releases have the same."""
    return f"# {name}\nFAILS = {fails}\n{MAKE}{ONLY_ONE}"


def plain(name: str, **more: Any) -> Release:
    """Make a release of the plain form."""
    files = {"bot.py": code(name, **more).encode()}
    return Release(name, files, unit_text(name), extra={"shared": b"data\n"})


def of(instance: str, name: str, *, alone: bool = True, **more: Any) -> TreeRelease:
    """Make a release of an instance; ``alone``: no other copy may live on the machine."""
    service = f"Environment=ALONE={'yes' if alone else 'no'}"
    return named(name, instance, code=code(name, **more), service=service)


class Plain(Actor):
    """Calls the program for the plain form."""

    def enter(self, kind: str = "rollout", ttl: int = 60, form: str = "") -> Reply:
        """Take the lock; ``form`` "-": it succeeds an instance."""
        more = ("", "", form) if form else ()
        return self("enter", self.token, ttl, kind, BOT, "tester", "why", "prod", *more)

    def deploy(self, made: Release, run: str) -> None:
        """Take a release all the way."""
        assert not (said := self.stage(made)).fault, said.records
        said = self.switch(run, made.id)
        assert "switched" in said, said.records
        assert "confirmed" in self("confirm", self.token, run)
        assert "proven" in self("prove", self.token, made.id, 5, "roll1")


def change(host: Host, name: str = "1") -> Instance:
    """Give an instance that has entered to take the plain one's place."""
    made = Instance(host, name, environment="prod")
    said = made.enter(form=name)
    assert "state" in said, said.records
    return made


def data_of(host: Host, name: str) -> str:
    """Read what stands in the data of a form: "-" the plain one."""
    folder = HOME if name == "-" else f"{HOME}/instances/{name}"
    return host.root(f"cat {folder}/shared/data/mark", check=False).stdout.strip()


def copies(host: Host) -> list[str]:
    """Tell every life that found another one."""
    return host.root("cat /dev/shm/echobot-twice", check=False).stdout.splitlines()


def lives_of(host: Host) -> list[str]:
    """Give the release of each life that the data knows, in order; none met another."""
    text = host.root(
        f"cat {HOME}/shared/data/deep/life {HOME}/instances/*/shared/data/deep/life", check=False
    )
    seen: dict[tuple[str, int], tuple[int, int, str]] = {}
    starts: dict[str, int] = {}  # after a reboot a process may get a number again
    rows = [row.strip("\0").split() for row in text.stdout.splitlines()]  # zeros: a power cut
    whole = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    for stamp, what, pid, name in sorted(whole, key=lambda row: int(row[0])):
        if what == "start" or pid not in starts:
            starts[pid] = int(stamp)
        key = (pid, starts[pid])
        seen[key] = (starts[pid], int(stamp), name)
    found = sorted(seen.values())
    for one, other in pairwise(found):
        assert one[1] < other[0], f"two at once: {one} {other}"
    return [name for *_, name in found]


def until(
    actor: Actor, release: str, seconds: float = HANG_S, *, is_pending: bool = False
) -> dict[str, Any]:
    """Wait until a release runs, and nothing is open or it is under lease."""
    state: dict[str, Any] = {}
    for _ in looks(seconds):
        state = actor.state()
        is_open = bool(state["phase"]) and state["phase"]["phase"] in {"pending", "reverting"}
        runs = state["running"] == release and state["active_state"] == "active"
        if runs and is_open is is_pending:
            return state
    raise AssertionError(state)
