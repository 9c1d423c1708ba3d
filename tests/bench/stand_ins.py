"""Stand-ins for hosts: many in one process, which speak real ssh and do what the acts do.

``python -m tests.bench.stand_ins FOLDER HOSTS LINES_A_SECOND`` listens on a port of every address
of the loopback network; each address is a host of its own, as ``tests.engine.fakehost`` has them.
It prints the port, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import os
import resource
import shlex
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from tests.engine.fakehost import BEGIN, FakeClock, FakeHost, Staged, World

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK_S = 0.05
"""How often a busy bot's lines are sent."""
STARTED = "39f53479d3a045ac8e11786248231fbf"


def address_of(number: int) -> str:
    """Give the address of a host, which count from 0."""
    return f"127.77.{number // 250}.{number % 250 + 1}"


class RealClock(FakeClock):
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Give the date and time."""
        return datetime.now(UTC)

    @property
    def mono(self) -> float:
        """Give seconds so that ``BEGIN`` and these are the time."""
        return time.time() - BEGIN.timestamp()

    @mono.setter
    def mono(self, _: float) -> None:
        """Leave the time as it is."""


class StandIn(FakeHost):
    """One host, and who follows its journal."""

    followers: set[asyncssh.SSHServerProcess[bytes]]

    def stage(self, token: str, release: str, *more: Any, stdin: bytes) -> dict[str, Any]:
        """Take a real upload's digest, and nothing else of it."""
        _base, meta_bytes, _need_bytes, _need_inodes, rollout, ring, *_tree = more
        self._need_lock(token)
        is_new = release not in self.releases
        if is_new:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(stdin[:meta_bytes]))) as packed:
                member = packed.extractfile("digest")
                assert member is not None
                self.releases[release] = Staged(member.read().decode().split()[0])
            self._changed("stage", release)
        self._note(rollout, release, ring)
        return {} if is_new else {"already": True}

    def switch(
        self, token: str, run: str, release: str, ttl_s: int, group: str = "", go: str = ""
    ) -> dict[str, Any]:
        """Switch, and write what systemd and the bot write then."""
        lives = self.lives
        told = super().switch(token, run, release, ttl_s, group, go)
        if self.lives != lives:
            own = {"_PID": "1", "MESSAGE_ID": STARTED, "INVOCATION_ID": self.invocation}
            self.tell("Started bench-bot.service.", JOB_RESULT="done", **own)
            self.tell("READY")
        return told

    def tell(self, message: str, **fields: object) -> None:
        """Write a line, and send it to those who follow."""
        self.write(message, **fields)
        row = json.dumps(self.journal[-1]).encode() + b"\n"
        for one in self.followers:
            one.stdout.write(row)


class Fleet:
    """All hosts, and one port for them."""

    def __init__(self, folder: Path, hosts: int, lines_a_second: float) -> None:
        self._folder = folder
        self._rate = lines_a_second
        clock, world = RealClock(), World()
        self._hosts: dict[str, StandIn] = {}
        for number in range(hosts):
            host = StandIn(f"s{number + 1}", clock, world, machine=f"machine-{number}")
            host.followers = set()
            self._hosts[address_of(number)] = host

    async def serve(self) -> None:
        """Listen until the input ends."""
        server = await asyncssh.listen(
            "0.0.0.0",  # noqa: S104 (every address of the loopback network)
            0,
            backlog=1024,
            server_host_keys=[str(self._folder / "host_key")],
            authorized_client_keys=str(self._folder / "key.pub"),
            process_factory=self._run,
            encoding=None,
            encryption_algs=["aes128-gcm@openssh.com"],
            compression_algs=None,
            line_editor=False,
        )
        print(server.get_port(), flush=True)  # noqa: T201
        talk = asyncio.create_task(self._talk()) if self._rate else None
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        del talk
        os._exit(0)  # whoever is connected, and whatever runs

    async def _talk(self) -> None:
        """Have every bot write so many lines a second, to those who follow."""
        begun, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(TICK_S)
            due = int((time.monotonic() - begun) * self._rate)
            if due == sent:
                continue
            for host in self._hosts.values():
                if host.followers:
                    rows = b"".join(_busy_rows(host, sent, due))
                    for one in host.followers:
                        one.stdout.write(rows)
            sent = due

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run an act."""
        host = self._hosts[process.get_extra_info("sockname")[0]]
        words = shlex.split(process.command or "")
        if len(words) < 7:
            process.exit(0)  # "true"
            return
        nonce, act, *rest = words[5:]
        try:
            code = await self._act(process, host, nonce, act, [_decoded(one) for one in rest])
        except (asyncssh.BreakReceived, ConnectionError):
            code = 0
        process.exit(code)

    async def _act(
        self,
        process: asyncssh.SSHServerProcess[bytes],
        host: StandIn,
        nonce: str,
        act: str,
        words: list[Any],
    ) -> int:
        def emit(record: dict[str, Any]) -> None:
            process.stdout.write(f"@@{nonce} {json.dumps(record)}\n".encode())

        if act == "follow":
            emit({"starts": 0})
            for row in reversed(host.journal):
                process.stdout.write(json.dumps(row).encode() + b"\n")
            emit({"read": {"entries": len(host.journal), "bytes": 0, "cut": False}})
            host.followers.add(process)
            try:
                await process.stdin.read()
                await process.wait_closed()
            finally:
                host.followers.discard(process)
            return 0
        stdin = await process.stdin.read() if act in ("stage", "keep") else b""
        for item in host.do(act, *words, stdin=stdin):
            if isinstance(item, dict):
                emit(item)
            else:
                process.stdout.write(item + b"\n")
        if act == "enter":
            while word := (await process.stdin.readline()).strip():
                if word == b"leave":
                    host.leave(words[0])
                    break
                host.renew(words[0], words[1])
        emit({"final": True, "rc": 0})
        return 0


def _busy_rows(host: StandIn, sent: int, due: int) -> Iterator[bytes]:
    now = time.time_ns()
    for number in range(sent, due):
        yield (
            f'{{"__CURSOR":"s={host.name};i=t{number}","__REALTIME_TIMESTAMP":"{now // 1000}",'
            f'"MESSAGE":"INFO handled message {number} {now}","PRIORITY":"6","_PID":"4711",'
            f'"_TRANSPORT":"stdout","_SYSTEMD_INVOCATION_ID":"{host.invocation}"}}\n'
        ).encode()


def _decoded(word: str) -> Any:
    text = base64.b64decode(word[1:]).decode() if word.startswith("=") else word
    return int(text) if text.isdecimal() and len(text) < 10 else text


def main() -> None:
    """Serve."""
    folder, hosts, rate = sys.argv[1:]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(Fleet(Path(folder), int(hosts), float(rate)).serve())


if __name__ == "__main__":
    main()
