"""What the tests of the acts share: a caller of the program on a lab host, and small releases."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botdeploy.hosts import host_program
from botdeploy.hosts.host_program import How

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.host import Host

BOT = "echobot"

#: A bot that says when it lives: start and end by the kernel's clock, one line each in shared data.
LIFE = """\
import os, signal, sys, time
LOG = "/opt/echobot/shared/life"
def note(what):
    for place in (LOG, "/dev/shm/echobot-life"):  # the second when a disk is full or broken
        try:
            with open(place, "a") as log:
                log.write(f"{time.monotonic_ns()} {what} {os.getpid()} {NAME}\\n")
            return
        except OSError:
            pass
def end(*_):
    note("end")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
time.sleep(DELAY)
print("READY", NAME, flush=True)
while True:
    time.sleep(0.05)
    note("alive")
"""


@dataclass
class Reply:
    """The records of one call."""

    records: list[dict[str, Any]]
    returncode: int
    stderr: str

    def __getitem__(self, key: str) -> Any:
        return next(record[key] for record in self.records if key in record)

    def __contains__(self, key: str) -> bool:
        return any(key in record for record in self.records)

    @property
    def fault(self) -> str:
        """The fault's code, or nothing."""
        return str(self["fault"]) if "fault" in self else ""


def parse(nonce: str, stdout: str) -> list[dict[str, Any]]:
    """Read the records of one call out of a program's output."""
    mark = f"@@{nonce} "
    rows = [row[len(mark) :] for row in stdout.splitlines() if row.startswith(mark)]
    return [json.loads(row) for row in rows]


@dataclass
class Release:
    """A small release, packed."""

    id: str
    files: Mapping[str, bytes]
    unit: str
    links: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, bytes] = field(default_factory=dict)
    ready: str = "kind=pattern\nvalue=READY\ntimeout=20\n"

    @property
    def digest(self) -> str:
        """What it holds, as a hash."""
        body = repr((sorted(self.files.items()), self.unit, self.ready)).encode()
        return hashlib.sha256(body).hexdigest()

    @property
    def sums(self) -> str:
        """The input of sha256sum -c."""
        rows = [f"{hashlib.sha256(self.files[p]).hexdigest()}  {p}\n" for p in sorted(self.files)]
        return "".join(rows)

    @property
    def tree(self) -> str:
        """Every path with type and mode."""
        folders = {
            "/".join(path.split("/")[:depth])
            for path in [*self.files, *self.links]
            for depth in range(1, path.count("/") + 1)
        }
        rows = [f"f 644 {path} " for path in self.files]
        rows += [f"d 755 {path} " for path in folders]
        rows += [f"l 777 {path} {target}" for path, target in self.links.items()]
        return "".join(f"{row}\n" for row in sorted(rows))

    def meta(self) -> bytes:
        """Pack what becomes .botdeploy."""
        entries = {
            "sums": self.sums.encode(),
            "tree": self.tree.encode(),
            "digest": f"{self.digest} {len(self.files)} 0\n".encode(),
            f"{BOT}.service": self.unit.encode(),
            "environment": f"NAME={self.id}\nTOKEN=hush\n".encode(),
            "ready": self.ready.encode(),
            "about": b'{"source": "a test"}\n',
            **self.extra,
        }
        return tar_of(entries, mode="w:gz")

    def body(self, base: Release | None = None) -> bytes:
        """Pack the files that ``base`` does not have."""
        kept = set(base.sums.splitlines()) & set(self.sums.splitlines()) if base else set()
        same = {row[66:] for row in kept}
        files = {path: data for path, data in self.files.items() if path not in same}
        return tar_of(files, self.links, mode="w:gz")


def tar_of(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, mode: Any = "w"
) -> bytes:
    """Pack files, their folders, and links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        folders: set[str] = set()
        for path in [*files, *(links or {})]:
            for depth in range(1, path.count("/") + 1):
                folder = "/".join(path.split("/")[:depth])
                if folder not in folders:
                    folders.add(folder)
                    info = tarfile.TarInfo(folder)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
        for path, target in (links or {}).items():
            info = tarfile.TarInfo(path)
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(info)
    return out.getvalue()


def unit_text(
    release: str, *, service: str = "", program: str = "bot.py", kind: str = "exec"
) -> str:
    """Write a unit as botdeploy renders one, with lines added to [Service]."""
    folder = f"/opt/{BOT}/releases/{release}"
    return f"""[Unit]
Description={BOT}
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type={kind}
User={BOT}
WorkingDirectory={folder}
EnvironmentFile={folder}/.botdeploy/environment
Environment=BOTDEPLOY_RELEASE={release} PYTHONUNBUFFERED=1
ExecStart=/usr/bin/python3 {folder}/{program}
Restart=on-failure
RestartSec=2
KillMode=control-group
TimeoutStopSec=5
ProtectSystem=strict
ReadWritePaths=/opt/{BOT}/shared
{service}
[Install]
WantedBy=multi-user.target
"""


def release(
    name: str, *, code: str = "", delay: float = 0.0, service: str = "", **more: Any
) -> Release:
    """Make a release of the bot that notes its life; ``code`` replaces it."""
    text = code or f"NAME = {name!r}\nDELAY = {delay!r}\n{LIFE}"
    files = {"bot.py": text.encode(), "lib/common.txt": b"the same in all\n" * 50}
    more.setdefault("unit", unit_text(name, service=service))
    return Release(name, files, **more)


class Actor:
    """Calls the program on one lab host."""

    def __init__(self, host: Host, bot: str = BOT, user: str = "root") -> None:
        self.host, self.bot, self.user = host, bot, user
        self.token = f"T{secrets.token_hex(6)}"

    def install(self) -> Reply:
        """Put the program there."""
        nonce = secrets.token_hex(4)
        return self.run(
            nonce,
            host_program.call(self.bot, nonce, "install", how=How.INSTALLING),
            host_program.PROGRAM,
        )

    def __call__(
        self, act: str, *arguments: object, stdin: bytes = b"", timeout: float = 120
    ) -> Reply:
        """Run one act."""
        nonce = secrets.token_hex(4)
        words = [str(one) for one in arguments]
        return self.run(nonce, host_program.call(self.bot, nonce, act, words), stdin, timeout)

    def ephemeral(self, act: str, *arguments: object) -> Reply:
        """Run one act without installing the program."""
        nonce = secrets.token_hex(4)
        words = [str(one) for one in arguments]
        command = host_program.call(self.bot, nonce, act, words, how=How.SENT)
        return self.run(nonce, command, host_program.PROGRAM)

    def run(self, nonce: str, command: str, stdin: bytes = b"", timeout: float = 120) -> Reply:
        """Run a command line and read its records."""
        if self.user == "root":  # from within: no handshake each time
            done = self.host.root(command, check=False, stdin=stdin, timeout=timeout)
        else:
            done = self.host.ssh(command, user=self.user, check=False, stdin=stdin, timeout=timeout)
        return Reply(parse(nonce, done.stdout), done.returncode, done.stderr)

    # -- the usual calls, with this actor's token --------------------------------------------

    def enter(self, kind: str = "rollout", ttl: int = 60) -> Reply:
        """Take the lock and let it go on by its ttl."""
        return self("enter", self.token, ttl, kind, self.bot, "tester", "a test")

    def stage(self, made: Release, base: Release | None = None) -> Reply:
        """Send a release."""
        meta = made.meta()
        return self(
            "stage",
            *(
                self.token,
                made.id,
                base.id if base else "-",
                len(meta),
                1000,
                20,
                "roll1",
                "canary",
            ),
            stdin=meta + made.body(base),
        )

    def switch(self, run: str, name: str, ttl: int = 60) -> Reply:
        """Switch to a release, under lease."""
        return self("switch", self.token, run, name, ttl)

    def let_lapse(self, run: str, seconds: int = 1) -> None:
        """Let the lease of what is pending end soon.

        The lease counts from the switch on: a short one given there would race with a slow machine.
        """
        assert "extended" in self("extend", self.token, run, seconds)

    def state(self) -> dict[str, Any]:
        """Ask the host for its state."""
        found: dict[str, Any] = self("observe")["state"]
        return found
