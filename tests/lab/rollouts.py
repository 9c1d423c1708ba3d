"""What the tests of rollouts share: a small bot that can be told to fail, and the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.lab import Lab

BOT = '''\
"""A bot for tests: it works every tenth of a second, and fails as MODE tells it to."""
import fcntl, json, os, signal, sys, time

MODE = os.environ.get("MODE", DEFAULT_MODE)
lives = open("data/lives.log", "a", buffering=1)
only = open("data/only.lock", "a")


def life(event):
    lives.write(json.dumps({"event": event, "ns": time.monotonic_ns(), "pid": os.getpid(),
                            "release": os.environ.get("BOTDEPLOY_RELEASE", "")}) + "\\n")


try:
    fcntl.flock(only, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    life("clash")
    sys.exit(75)
life("start")


def stop(*_):
    if MODE == "slow-stop":
        time.sleep(2)
    life("end")
    sys.exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if MODE == "deaf" else stop)
begun = time.monotonic()
if MODE == "import-error":
    import there_is_no_such_module
if MODE != "never-ready":
    print("READY", flush=True)
while True:
    time.sleep(0.1)
    age = time.monotonic() - begun
    print("handled message", int(age * 10), flush=True)
    if MODE == "crash" and age > 1:
        os._exit(3)
    if MODE == "errors" and age > 1:
        try:
            {}["balance"]
        except KeyError:
            import traceback
            traceback.print_exc()
    if MODE == "late" and age > 12:
        print("CRITICAL the database is corrupt", flush=True)
    if MODE == "silent" and age > 0.3:
        time.sleep(1000)
'''


@dataclass
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every event of one kind, in order."""
        return [event for event in self.events if event.get("event") == kind]

    @property
    def summary(self) -> str:
        """The sentence of the last event."""
        return str(self.events[-1]["summary"])


@dataclass
class Project:
    """A user's folder: an inventory of the lab's hosts, and versions of the bot."""

    folder: Path
    lab: Lab
    bot: dict[str, Any] = field(default_factory=dict)
    rollout: dict[str, Any] = field(default_factory=dict)
    host_vars: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str = "prod"
    hosts: tuple[str, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    """Instances by the names that the inventory gives their hosts, and the lab host of each."""

    def __post_init__(self) -> None:
        """Write the first version and the inventory."""
        self.hosts = self.hosts or tuple(host.name for host in self.lab)[:3]
        self.write()

    def write(self, **rollout: Any) -> None:
        """Write the inventory, with other keys of ``rollout`` where given."""
        self.rollout.update(rollout)
        shown = yaml.safe_load((self.lab.folder / "inventory.yml").read_text())
        listed = shown["all"]["hosts"]
        for name in (*self.hosts, *self.named.values()):
            if name in listed:
                self.lab[name].use()
        hosts = {name: listed[name] for name in self.hosts if not self.named}
        hosts |= {name: {**listed[on], "instance": name} for name, on in self.named.items()}
        for name, more in self.host_vars.items():
            hosts[name] = {**hosts[name], **more}
        variables = {
            **shown["all"]["vars"],
            "bot": {
                "name": "tbot",
                "source": "../v1",
                "command": "/usr/bin/python3 main.py",
                "shared": ["data"],
                "ready": {"pattern": "^READY", "timeout": "10s"},
                "stop_timeout": "3s",
                **({"instance": "{{ instance }}"} if self.named else {}),
                **self.bot,
            },
            "rollout": {
                "rings": [
                    {"name": "canary", "hosts": 1, "soak": "4s", "settle": "0s"},
                    {"name": "fleet", "hosts": "all", "batch": 1, "settle": "0s"},
                ],
                "lease": "20s",
                **self.rollout,
            },
        }
        bot = variables["bot"]
        variables["bot"] = {name: value for name, value in bot.items() if value is not None}
        inventories = self.folder / "inventories"
        inventories.mkdir(parents=True, exist_ok=True)
        (inventories / f"{self.name}.yml").write_text(
            yaml.safe_dump({"all": {"vars": variables, "hosts": hosts}}, sort_keys=False)
        )
        if not (self.folder / "v1").exists():
            self.version("v1", "good")

    def version(self, name: str, mode: str) -> str:
        """Write a version of the bot that behaves as ``mode`` says; gives its path."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "main.py").write_text(f"DEFAULT_MODE = {mode!r}\nVERSION = {name!r}\n" + BOT)
        return str(place)

    @property
    def path(self) -> str:
        """Where the command's own code lies."""
        return str(Path(__file__).parents[2])

    def command(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command as a user would, in the project's folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "botdeploy", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "HOME": str(self.folder),
                "PYTHONPATH": self.path,
                **(env or {}),
            },
        )

    def run(self, *words: str, env: dict[str, str] | None = None, timeout: float = HANG_S) -> Ran:
        """Run the command with machine output and wait for its end."""
        process = self.command("--json", *words, env=env)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{words} did not end:\n{out}\n{err}") from None
        return Ran(process.returncode, out, err)

    def canary(self, *words: str, code: int = 0, **more: Any) -> Ran:
        """Run ``canary`` and check how it ended."""
        ran = self.run("canary", self.name, *words, **more)
        assert ran.code == code, f"{ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def canary_until_switched(self, *words: str) -> subprocess.Popen[str]:
        """Start ``canary`` and give the process once its canary has the release."""
        process = self.command("--json", "canary", self.name, *words)
        assert process.stdout is not None
        for line in process.stdout:
            if '"switched"' in line:
                break
        return process

    def status(self) -> dict[str, dict[str, Any]]:
        """Ask what runs on each host."""
        ran = self.run("status", self.name)
        assert ran.out, ran.err
        record = ran.events[0]
        return {host["host"]: host for host in record["hosts"]}

    def running(self) -> list[str | None]:
        """List the release that each host runs, in order."""
        return [host["running"] for host in self.status().values()]

    def lives(self, name: str, instance: str = "") -> list[dict[str, Any]]:
        """Every start and end of the bot on one host, or of one instance there."""
        home = f"/opt/tbot/instances/{instance}" if instance else "/opt/tbot"
        place = f"{home}/shared/data/lives.log"
        text = self.lab[name].root(f"cat {place} 2>/dev/null", check=False).stdout
        return [json.loads(line) for line in text.splitlines()]

    def assert_never_two(self, hosts: Iterable[str] | None = None) -> None:
        """No copy of the bot ever started while another lived."""
        for name in hosts or self.hosts:
            assert [life for life in self.lives(name) if life["event"] == "clash"] == []


def releases_of(ran: Ran) -> str:
    """Name the release that a command was about."""
    return next(str(event["release"]) for event in ran.events if event.get("release"))
