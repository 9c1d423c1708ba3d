"""What tests of renumbering share: shards that hold a kernel lock by their index, and see a mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hosts.acts.actkit import BOT, Actor, Release, unit_text
from tests.hosts.acts.instancekit import RUN, STATE, Instance, TreeRelease, named
from tests.lab.shell import HANG_S, looks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.hosts.acts.actkit import Reply
    from tests.lab.host import Host

#: A shard. Its name in the kernel goes with its process and is seen by all on the machine, whatever
#: their file systems: two of one index can't live, and one of another count is a mix.
SHARD = """\
import os, socket, sys, time
INDEX, COUNT = os.environ["SHARD"].split("/")
def twice(what):
    with open("/dev/shm/echobot-twice", "a") as log:
        log.write(f"{what} {INDEX}/{COUNT}\\n")
mine = socket.socket(socket.AF_UNIX)
try:
    mine.bind("\\0echobot-index-" + INDEX)
except OSError:
    twice("index")
    sys.exit(9)
other = socket.socket(socket.AF_UNIX)
other.bind(f"\\0echobot-count-{COUNT}-{INDEX}")
def look():
    for row in open("/proc/net/unix"):
        if "@echobot-count-" in row and f"@echobot-count-{COUNT}-" not in row:
            twice("count")
look()
if FAILS == INDEX:
    sys.exit(3)
print("READY", flush=True)
while True:
    time.sleep(0.02)
    look()
"""


def shard(instance: str, name: str, numbers: str, *, fails: str = "") -> TreeRelease:
    """Make a release of a shard; ``fails``: the index of the one that never gets ready."""
    code = f"# {name}\nFAILS = {fails!r}\n{SHARD}"
    return named(
        name,
        instance,
        code=code,
        env=f"SHARD={numbers}\n",
        extra={"numbers": f"numbers={numbers}\n".encode()},
    )


def plain_shard(name: str, numbers: str) -> Release:
    """Make a release of the plain bot as a shard."""
    text = f"# {name}\nFAILS = ''\nimport os\nos.environ.setdefault('SHARD', {numbers!r})\n{SHARD}"
    extra = {"numbers": f"numbers={numbers}\n".encode(), "shared": b"data\n"}
    return Release(name, {"bot.py": text.encode()}, unit_text(name), extra=extra)


class Group:
    """A controller of several instances of one machine."""

    def __init__(self, host: Host, names: Sequence[str], form: str = "") -> None:
        """Enter all of them, with one token; ``form``: the one that succeeds the plain bot."""
        self.host = host
        self.names = tuple(names)
        self.of = {name: Instance(host, name, environment="prod") for name in names}
        for one in self.of.values():
            one.token = next(iter(self.of.values())).token
            assert "state" in one.enter(ttl=600, form=form)

    @property
    def word(self) -> str:
        """Its members, as an act takes them."""
        return " ".join(self.names)

    def send(self, release: str, numbers: Mapping[str, str], **more: Any) -> None:
        """Stage a release everywhere."""
        for at, (name, one) in enumerate(numbers.items()):
            made = shard(name, release, one, **more)
            said = self.of[name].send(made, "=" if at else "-")
            assert not said.fault, said.records

    def deploy(self, release: str, run: str, numbers: Mapping[str, str]) -> None:
        """Bring a first release all the way, one instance after the other."""
        self.send(release, numbers)
        for name in numbers:
            one = self.of[name]
            assert "switched" in one.switch(run, release)
            assert "confirmed" in one("confirm", one.token, run)
            assert "proven" in one("prove", one.token, release, 5, "roll1")

    def switch(self, run: str, release: str, ttl: int = 60, *more: str) -> Reply:
        """Switch all; the first one tells."""
        one = self.of[self.names[0]]
        return one("switch", one.token, run, release, ttl, self.word, *more, timeout=120)

    def told(self, run: str, release: str, ttl: int = 60) -> dict[str, Reply]:
        """Ask each how its switch went."""
        return {
            name: one("switch", one.token, run, release, ttl, self.word)
            for name, one in self.of.items()
        }

    def running(self) -> dict[str, tuple[str, bool]]:
        """Say of each what runs, and whether anything is open."""
        found = {}
        for name, one in self.of.items():
            state = one.state()
            phase = (state["phase"] or {}).get("phase")
            runs = state["running"] if state["active_state"] == "active" else ""
            found[name] = (runs, phase in {"pending", "reverting"})
        return found

    def until(self, releases: Mapping[str, str], seconds: float = HANG_S) -> None:
        """Wait until all run these releases, and nothing is open."""
        wanted = {name: (release, False) for name, release in releases.items()}
        found: dict[str, tuple[str, bool]] = {}
        for _ in looks(seconds):
            if (found := self.running()) == wanted:
                return
        raise AssertionError(found)


def mixed(host: Host) -> list[str]:
    """Tell every life that met one of its own index, or of another count."""
    return host.root("cat /dev/shm/echobot-twice", check=False).stdout.splitlines()


def left(host: Host, *, beside: Sequence[str] = (), folder: str = "") -> list[str]:
    """List what a group leaves behind, once its last member has taken that along; empty at best.

    ``beside``: what may lie in ``folder`` of a change of form.
    """
    look = f"find {STATE}/together {RUN}/barriers -name 'run*'"
    if folder:
        look += f"; ls {folder} | grep .left"
    found: list[str] = []
    for _ in looks():
        found = host.root(look, check=False).stdout.split()
        if found == list(beside):
            return []
    return found


def kill_in_forming_a_return(group: Group, asked: str, marked: str) -> None:
    """Ask one to take the change back, and kill that act when another one has its mark."""
    one, host = group.of[asked], group.host
    path = host.root(f"ls /usr/local/lib/botdeploy/*/{BOT}").stdout.strip()
    host.root(
        f"{path} n revert@{asked} {one.token} run3 - why >/dev/null 2>&1 </dev/null & pid=$!;"
        f" until [ -e {STATE}/instances/{marked}/reverting ]; do :; done; kill -9 $pid"
    )


def prepared(host: Host) -> Host:
    """Put the program there, and nothing else."""
    assert "installed" in Actor(host).install()
    host.root("rm -f /dev/shm/echobot-*")
    return host
