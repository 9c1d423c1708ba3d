"""Connections: what connecting, running, uploading, following and waiting cost, beside OpenSSH.

Ours run in this process, ssh's are processes: that is how each is used. Both wait for the same
sshd on the same machine, so ratios hold where seconds do not.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botdeploy.core.lines.assembler import Assembler
from botdeploy.errors import HostError
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.follower import Delivery, Follower
from botdeploy.hosts.follower_threads import FollowerThreads
from botdeploy.hosts.host_program import How
from botdeploy.hosts.ssh.connector import Connector
from botdeploy.inventory import load
from tests.bench import bots
from tests.bench.field import Field, far, near
from tests.bench.figures import median, note, say, table
from tests.bench.ways.by_botdeploy import ByBotdeploy
from tests.bench.ways.by_hand import TUNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from botdeploy.core.model.address import Address
    from botdeploy.hosts.process.program import HostConnection
    from tests.bench.field import Target
    from tests.lab.lab import Lab

UPLOAD_BYTES = 40_000_000
IDLE_CONNECTIONS = 100
IDLE_S = 10.0
LINES_A_SECOND = 1000
FOLLOW_S = 10.0

_TALKER = """\
import sys, time
begun, count = time.time(), 0
while True:
    for _ in range(20):
        count += 1
        print(f"INFO handled message {count} {time.time_ns()}")
    sys.stdout.flush()
    time.sleep(max(0, begun + count / RATE - time.time()))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    what: str
    ours: float
    base: float
    unit: str
    against: str
    target: float
    """Largest ratio that is fine; or, where ``base`` is 0, the largest figure itself."""

    def cells(self) -> tuple[str, ...]:
        """Give the row of the table."""
        if not self.base:
            met = "yes" if self.ours <= self.target else "no"
            return self.what, f"{self.ours:.3g} {self.unit}", "", "", f"{self.target:g}", met
        ratio = self.ours / self.base
        return (
            self.what,
            f"{self.ours:.3g} {self.unit}",
            f"{self.against}: {self.base:.3g}",
            f"{ratio:.2f}",
            f"{self.target:g}" if self.target else "",
            ("yes" if ratio <= self.target else "no") if self.target else "",
        )


def run(lab: Lab, folder: Path, rounds: int, rtt_ms: float) -> list[Row]:
    """Measure everything and print a table."""
    lab.reset()
    rows: list[Row] = []
    for ms in (0.0, rtt_ms) if rtt_ms else (0.0,):
        with ExitStack() as stack:
            targets = stack.enter_context(far(lab, ms)) if ms else near(lab)
            place = f", {ms:g} ms away" if ms else ""
            rows += _compare(_Side(lab, folder / f"t{ms:g}", targets), rounds, place, is_far=ms > 0)
    side = _Side(lab, folder / "t0", near(lab))
    rows += _follow(lab, side)
    rows += _idle(side)
    say("\nConnections\n")
    say(table(("what", "ours", "beside", "ratio", "target", "met"), [one.cells() for one in rows]))
    return rows


class _Side:
    """Both ways to the hosts of a lab."""

    def __init__(self, lab: Lab, folder: Path, targets: Sequence[Target]) -> None:
        field = Field(lab, folder, bots.SMALL, is_parallel=True, targets=tuple(targets))
        field.write()
        ByBotdeploy(field).prepare()
        self.addresses: list[Address] = [
            host.address for host in load("bench", folder / "inventories", os.environ).hosts
        ]
        self.first = targets[0].name
        self.configs = {}
        for name, options in {"default": (), "tuned": TUNED}.items():
            self.configs[name] = folder / f"ssh_config.{name}"
            self.configs[name].write_text(field.ssh_config("ControlPath none", *options))
        self.configs["master"] = folder / "ssh_config.master"
        self.configs["master"].write_text(
            field.ssh_config(f"ControlPath {folder}/m%C", "ControlPersist 300", *TUNED)
        )

    def ssh(self, config: str, *command: str, stdin: Path | None = None) -> float:
        """Run ssh once and give its seconds."""
        argv = ["ssh", "-F", str(self.configs[config]), self.first, *command]
        begun = time.perf_counter()
        with ExitStack() as stack:
            given = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            subprocess.run(argv, stdin=given, capture_output=True, check=True)
        return time.perf_counter() - begun

    @contextmanager
    def master(self) -> Iterator[None]:
        """Keep ssh's master open."""
        argv = ["ssh", "-F", str(self.configs["master"])]
        subprocess.run(
            [*argv, "-o", "ControlMaster=yes", "-f", "-N", self.first],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            subprocess.run([*argv, "-O", "exit", self.first], capture_output=True, check=False)

    def connect(self) -> tuple[Connector, HostConnection]:
        """Connect as a command does that begins."""
        connector = Connector(os.environ, time.time)
        return connector, connector.connect(self.addresses[0])


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _compare(side: _Side, rounds: int, place: str, *, is_far: bool) -> list[Row]:
    times: dict[str, list[float]] = {}

    def add(name: str, seconds: float) -> None:
        times.setdefault(name, []).append(seconds)

    def cold() -> None:
        connector, connection = side.connect()
        connection.run("true")
        connector.close()

    payload = os.urandom(UPLOAD_BYTES)
    upload = side.configs["tuned"].with_name("upload")
    upload.write_bytes(payload)
    pieces = [payload[at : at + 262_144] for at in range(0, UPLOAD_BYTES, 262_144)]
    connector, connection = side.connect()
    with side.master():
        for _ in range(max(rounds, 3) * 3):
            add("cold", _timed(cold))
            add("cold tuned", side.ssh("tuned", "true"))
            add("cold default", side.ssh("default", "true"))
            add("warm", _timed(lambda: connection.run("true")))
            add("warm master", side.ssh("master", "true"))
        for _ in range(max(rounds, 3)):
            add("upload", _timed(lambda: connection.run("cat >/tmp/up", stdin=iter(pieces))))
            add("upload master", side.ssh("master", "cat >/tmp/up", stdin=upload))
    connector.close()
    ms = {name: 1000 * median(values) for name, values in times.items()}
    note(f"connections{place}: { ({name: round(value, 1) for name, value in ms.items()}) }")
    return [
        Row(f"connect and run{place}", ms["cold"], ms["cold tuned"], "ms", "ssh, tuned", 0.7),
        Row(f"connect and run{place}", ms["cold"], ms["cold default"], "ms", "ssh", 0.63),
        Row(f"run on an open connection{place}", ms["warm"], ms["warm master"], "ms", "master", 1),
        Row(
            f"upload 40 MB{place}",
            ms["upload"],
            ms["upload master"],
            "ms",
            "master",
            1.05 if is_far else 1.35,
        ),
    ]


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123 (not a file like others)
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _follow(lab: Lab, side: _Side) -> list[Row]:
    """Follow every host of the lab while each writes a thousand lines a second."""
    for host in lab:
        host.root(
            "systemd-run -q --unit=talker -p LogRateLimitIntervalSec=1s "
            '-p LogRateLimitBurst=1000000 python3 -c "$(cat)"',
            stdin=_TALKER.replace("RATE", str(LINES_A_SECOND)),
        )
    lags: list[float] = []
    lines = 0
    guard = threading.Lock()

    def deliver(delivery: Delivery) -> None:
        nonlocal lines
        now = time.time_ns()
        with guard:
            for line in delivery.lines:
                lines += 1
                if lines % 10 == 0:
                    lags.append((now - int(line.message.rsplit(" ", 1)[1])) / 1e9)

    connector = Connector(os.environ, time.time)
    threads = FollowerThreads()
    followers = []
    try:
        for address in side.addresses:
            caller = Caller(connector.connect(address), "talker", address)
            acts = Acts(caller)
            try:
                acts.state.observe()
                caller.call("install", how=How.INSTALLING)
            except HostError as error:
                note(f"follow: {error}")
            followers.append(
                Follower(
                    address.host,
                    lambda acts=acts: acts,  # type: ignore[misc]
                    deliver,
                    position="since:0",
                    threads=threads,
                    maker=Assembler(),
                )
            )
        for one in followers:
            one.start()
        time.sleep(2)
        with guard:
            lags.clear()
            before = lines
        cpu, begun = _cpu_s(), time.perf_counter()
        time.sleep(FOLLOW_S)
        took = time.perf_counter() - begun
        share = (_cpu_s() - cpu) / took
        with guard:
            rate, seen = (lines - before) / took, sorted(lags)
    finally:
        for one in followers:
            one.stop()
        threads.close()
        connector.close()
        for host in lab:
            host.root("systemctl stop talker", check=False)
    if not seen:
        return []
    p99 = seen[int(len(seen) * 0.99)]
    note(
        f"followed {rate:.0f} lines/s of {len(followers)} hosts with {100 * share:.0f} % "
        f"of a core, lag {statistics.median(seen):.2f} s, p99 {p99:.2f} s"
    )
    part = rate / (20 * LINES_A_SECOND)
    hosts = f"{len(followers)} hosts, {rate:.0f} lines/s"
    return [
        Row(f"follow {hosts}: of a core", 100 * share, 0, "%", "", 40 * part),
        Row(f"follow {hosts}: lag, p99", p99, 0, "s", "", 0.3),
    ]


def _idle(side: _Side) -> list[Row]:
    """Hold many connections and do nothing."""
    connector = Connector(os.environ, time.time)
    before = _rss_mb()
    try:
        for number in range(IDLE_CONNECTIONS):
            connector.connect(side.addresses[number % len(side.addresses)])
        time.sleep(1.5)
        cpu, begun = _cpu_s(), time.perf_counter()
        time.sleep(IDLE_S)
        share = (_cpu_s() - cpu) / (time.perf_counter() - begun)
        more = (_rss_mb() - before) / IDLE_CONNECTIONS
    finally:
        closing = time.perf_counter()
        connector.close()
        closed = time.perf_counter() - closing
    return [
        Row(f"{IDLE_CONNECTIONS} idle connections: of a core", 100 * share, 0, "%", "", 0.4),
        Row(f"{IDLE_CONNECTIONS} idle connections: memory each", 1000 * more, 0, "kB", "", 100),
        Row(f"closing {IDLE_CONNECTIONS} connections", closed, 0, "s", "", 1),
    ]
