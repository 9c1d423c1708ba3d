"""What tests of instances share: small releases with a tree, an actor for a named instance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.hosts import host_program
from tests.hosts.acts.actkit import BOT, Actor, Release, Reply, parse, tar_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.host import Host

HOME, STATE, RUN = f"/opt/{BOT}", f"/var/lib/botdeploy/{BOT}", f"/run/botdeploy/{BOT}"
TREES = f"{HOME}/trees"

#: A bot that notes its life in its shared data, which it finds by its own resolved path.
LIFE = """\
import os, signal, sys, time
from pathlib import Path
HERE = Path(__file__).resolve().parent
NAME = os.environ["BOTDEPLOY_RELEASE"]
def note(what):
    with open(HERE / "data" / "life", "a") as log:
        log.write(f"{time.monotonic_ns()} {what} {os.getpid()} {NAME}\\n")
def end(*_):
    note("end")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
print("READY", NAME, os.environ.get("WHO"), flush=True)
while True:
    time.sleep(0.05)
    note("alive")
"""


@dataclass
class TreeRelease(Release):
    """A small release whose files are a tree of their own."""

    shared: Sequence[str] = ("data",)
    build: bytes = b""
    instance: str = "dev"
    service: str = ""
    env: str = ""

    def __post_init__(self) -> None:
        """Render the unit as the instance has it."""
        home = f"{HOME}/instances/{self.instance}"
        folder = f"{home}/releases/{self.id}"
        self.unit = f"""[Unit]
Description={BOT}

[Service]
Type=exec
User={BOT}
WorkingDirectory={home}/current/tree
EnvironmentFile={folder}/.botdeploy/environment
Environment=BOTDEPLOY_RELEASE={self.id} PYTHONUNBUFFERED=1 WHO=%i
ExecStart=/usr/bin/python3 {home}/current/tree/bot.py
Restart=on-failure
RestartSec=2
KillMode=control-group
TimeoutStopSec=5
ProtectSystem=strict
ReadWritePaths={home}/shared
RuntimeDirectory={BOT}@{self.instance}
{self.service}
[Install]
WantedBy=multi-user.target
"""

    @property
    def digest(self) -> str:
        """What it holds, as a hash."""
        return hashlib.sha256((self.tree_digest + self.env).encode()).hexdigest()

    @property
    def of_tree(self) -> dict[str, bytes]:
        """The files of .botdeploy that belong to the tree."""
        found = {"sums": self.sums.encode(), "tree": self.tree.encode()}
        if self.shared:
            found["shared"] = "".join(f"{one}\n" for one in sorted(self.shared)).encode()
        if self.build:
            found["build"] = self.build
        return found

    @property
    def tree_digest(self) -> str:
        """The tree's name."""
        return digest_of(self.of_tree)

    def meta(self, *, has_tree: bool = True) -> bytes:
        """Pack what becomes .botdeploy, with what belongs to the tree or without."""
        entries = {
            "digest": f"{self.digest} {len(self.files)} 0\n".encode(),
            f"{BOT}@{self.instance}.service": self.unit.encode(),
            "environment": f"NAME={self.id}\nTOKEN=hush\n{self.env}".encode(),
            "ready": self.ready.encode(),
            "about": b'{"source": "a test"}\n',
            **(self.of_tree if has_tree else {}),
            **self.extra,
        }
        return tar_of(entries, mode="w:gz")


def digest_of(files: dict[str, bytes]) -> str:
    """Hash the files of .botdeploy that belong to a tree, as a host does."""
    rows = (
        f"{hashlib.sha256(files.get(name, b'')).hexdigest()}  {name}\n"
        for name in ("sums", "tree", "shared", "build")
    )
    return hashlib.sha256(("botdeploy tree 1\n" + "".join(rows)).encode()).hexdigest()


def named(name: str, instance: str = "dev", code: str = LIFE, **more: Any) -> TreeRelease:
    """Make a release for an instance; the same ``code`` makes the same tree."""
    files = {"bot.py": code.encode(), "lib/common.txt": b"the same in all\n" * 50}
    files.update(more.pop("files", {}))
    return TreeRelease(name, files, "", instance=instance, **more)


class Instance(Actor):
    """Calls the program for one named instance on one lab host."""

    def __init__(self, host: Host, name: str, user: str = "root", environment: str = "") -> None:
        super().__init__(host, user=user)
        self.name = name
        self.environment = environment

    def __call__(
        self, act: str, *arguments: object, stdin: bytes = b"", timeout: float = 120
    ) -> Reply:
        """Run one act of the instance."""
        return super().__call__(f"{act}@{self.name}", *arguments, stdin=stdin, timeout=timeout)

    def enter(self, kind: str = "rollout", ttl: int = 60, form: str = "") -> Reply:
        """Take the lock of the instance; ``form``: who succeeds what stands in the other form."""
        about = (self.bot, "tester", "a test", self.environment)
        more = ("", "", form) if form else ()
        return self("enter", self.token, ttl, kind, *about, *more)

    def send(self, made: TreeRelease, base: str = "-", body: bytes | None = None) -> Reply:
        """Send a release; base "=": its tree stands there."""
        meta = made.meta(has_tree=base != "=")
        stdin = meta + (made.body() if body is None else body) if base != "=" else meta
        sizes = (len(meta), 1000, 20)
        return self(
            "stage",
            *(self.token, made.id, base, *sizes, "roll1", "canary", made.tree_digest),
            stdin=stdin,
        )

    def deploy(self, made: TreeRelease, run: str, base: str = "-") -> None:
        """Take a release all the way."""
        said = self.send(made, base)
        assert not said.fault, said.records
        said = self.switch(run, made.id)
        assert "switched" in said, said.records
        assert "confirmed" in self("confirm", self.token, run)
        assert "proven" in self("prove", self.token, made.id, 5, "roll1")

    def upload(self, made: TreeRelease, base: str = "-", *, is_held: bool = False) -> None:
        """Begin to send a release, from the host itself; held: files come after ``let_go``."""
        meta = made.meta()
        files = f"/run/lab-{self.name}"
        self.host.root(f"cat >{files}.meta", stdin=meta)
        self.host.root(f"cat >{files}.body", stdin=made.body())
        words = (self.token, made.id, base, len(meta), 1000, 20, "roll1", "canary")
        act = " ".join(str(word) for word in (*words, made.tree_digest))
        program = host_program.path(BOT)
        held = f"until [ -e {files}.go ]; do sleep 0.1; done" if is_held else ":"
        self.host.root(
            f"rm -f {files}.go; {{ {{ cat {files}.meta; {held}; cat {files}.body; }} |"
            f" {program} n stage@{self.name} {act}; }} >{files}.said 2>&1 </dev/null &"
            f" n=0; until [ -e {HOME}/instances/{self.name}/.partial/*/alive ] || [ $n -gt 50 ];"
            " do sleep 0.1; n=$((n + 1)); done"
        )

    def let_go(self) -> None:
        """Let the files come that were held."""
        self.host.root(f"touch /run/lab-{self.name}.go")

    def uploaded(self, seconds: float = 60) -> Reply:
        """Wait for the end of what was begun."""
        said = f"/run/lab-{self.name}.said"
        wait = f"n=0; until grep -q '\"final\"' {said} || [ $n -gt {seconds * 10} ]"
        self.host.root(f"{wait}; do sleep 0.1; n=$((n + 1)); done", timeout=seconds + 30)
        return Reply(parse("n", self.host.root(f"cat {said}").stdout), 0, "")


def entered(host: Host, name: str, environment: str = "prod") -> Instance:
    """Give a controller that has the lock of an instance."""
    made = Instance(host, name, environment=environment)
    said = made.enter()
    assert "state" in said, said.records
    return made


def life(host: Host, name: str) -> list[list[str]]:
    """Read what an instance has noted of its life: stamp, what, process, release."""
    text = host.root(f"cat {HOME}/instances/{name}/shared/data/life", check=False).stdout
    return [row.split() for row in text.splitlines()]
