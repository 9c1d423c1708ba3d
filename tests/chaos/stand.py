"""A test stand: a lab host whose acts can be stopped before any step, to break something there."""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.hosts import host_program
from tests.chaos.forms import PLAIN, send
from tests.chaos.neighbour import Neighbour
from tests.hosts.acts.actkit import BOT, Actor, Reply, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.forms import Form
    from tests.lab.faults import BreakableHost

WRAPPER = Path(__file__).with_name("step.sh")
OLD, NEW = "OLD", "NEW"
SLOW = "SLOW"
"""Is not ready for as long as anybody looks."""
LOUD = "LOUD"
"""Writes more than journald takes, so that its sign is among what is dropped."""
_MORE: dict[str, dict[str, Any]] = {
    OLD: {},
    NEW: {},
    SLOW: {"delay": 600, "ready": "kind=pattern\nvalue=READY\ntimeout=90\n"},
    LOUD: {
        "code": "for line in range(3000):\n    print('line', line)\n",
        "service": "LogRateLimitIntervalSec=30s\nLogRateLimitBurst=200\n",
    },
}
SAFE_WITHIN_S = 90.0
"""By then a host must run a release again that nobody has to look after."""

SMALL_RUN = "/run/botdeploy"
"""A file system of its own, so that it can be full; after a reboot it is made again."""
READ_ONLY_AT_BOOT = "/etc/chaos-read-only"
"""Where this stands, /opt is read-only from the boot on."""
_AT_BOOT = f"""[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
ConditionPathExists={READ_ONLY_AT_BOOT}
[Service]
Type=oneshot
ExecStart=mount --bind /opt /opt
ExecStart=mount -o remount,bind,ro /opt
"""

#: Shell words that are files in /usr/bin too, but never called from there.
_BUILTINS = {"[", "test", "true", "false", "echo", "printf", "kill", "pwd", "sh", "dash", "env"}


@dataclass
class Stand:
    """One host with the stops in place, and a controller of its own."""

    host: BreakableHost
    form: Form = PLAIN
    runs: int = 0
    run: str = ""
    """The run that a life goes on with, where there is one."""
    actor: Actor = field(init=False)
    neighbour: Neighbour | None = None
    """The other instance, where there is one."""

    def __post_init__(self) -> None:
        """Take the host as it comes."""
        self.actor = self.form.actor(self.host)
        self.releases = {name: self.form.release(name, **more) for name, more in _MORE.items()}

    # -- making it ready ----------------------------------------------------------------------

    def prepare(self) -> None:
        """Put the old release there, proven, the new one staged, and the stops."""
        self.host.reset()
        self.host.root(
            "cat >/etc/systemd/system/chaos-read-only.service;"
            " mkdir -p /etc/systemd/system/sysinit.target.wants;"
            " ln -sf ../chaos-read-only.service /etc/systemd/system/sysinit.target.wants/; sync",
            stdin=_AT_BOOT,
        )
        self.make_small_run()
        self.actor = self.form.actor(self.host)
        said = Actor(self.host).install()
        assert "installed" in said, said
        self.put_stops()
        self.enter()
        for name in (OLD, NEW):
            assert not self.stage(name).fault
        self.host.root(f"echo precious >{self.form.home}/shared/precious; sync")
        run = self.new_run()
        assert "switched" in self.actor.switch(run, OLD)
        self.actor("confirm", self.actor.token, run)
        self.actor("prove", self.actor.token, OLD, 5, "roll1")
        self.neighbour = Neighbour(self.host) if self.form.instance else None

    def make_small_run(self) -> None:
        """Give what stands in /run a file system that can be full."""
        self.host.root(
            f"mkdir -p {SMALL_RUN}; mountpoint -q {SMALL_RUN} ||"
            f" mount -t tmpfs -o size=500k,mode=0755 lab {SMALL_RUN}"
        )

    def put_stops(self) -> None:
        """Put the wrapper in the place of every program that the acts' text names."""
        words = set(re.findall(r"[a-z][a-z0-9_-]+", host_program.PROGRAM.decode())) - _BUILTINS
        listed = " ".join(sorted(words))
        self.host.root(
            "cat >/run/step; chmod 755 /run/step; mkdir -p /run/chaos;"
            f" for tool in {listed}; do for place in /usr/bin /usr/sbin; do"
            " [ ! -x $place/$tool ] || cp /run/step /usr/local/sbin/$tool; done; done",
            stdin=WRAPPER.read_text(),
        )

    def stage(self, name: str) -> Reply:
        """Send a release."""
        return send(self.actor, self.releases[name])

    def back_to_old(self, new: str = NEW) -> None:
        """Be where every life begins: the old release runs, proven, and nothing is open."""
        self.host.root("rm -rf /run/chaos; mkdir -p /run/chaos")
        self.make_small_run()
        self.enter()
        state = self.actor.state()
        if state["running"] != OLD or state["phase"]["phase"] in {"pending", "reverting"}:
            self.actor("revert", self.actor.token, self.new_run(), OLD, "for the next life")
        if new not in {one["id"] for one in state["releases"]}:
            self.stage(new)
        life, aside = self.form.life
        self.host.root(f"rm -f {self.form.state}/quarantine/* {aside}; >{life}")
        # The bot that runs has written its start before: it is the first of this life.
        state = self.actor.state()
        assert state["running"] == OLD, state

    def enter(self) -> None:
        """Take the lock for long, from whoever has it."""
        said = self.actor.enter("rollback", ttl=600)
        if said.fault == "locked":
            self.actor("unlock", "chaos")
            said = self.actor.enter("rollback", ttl=600)
        assert "state" in said, said

    def new_run(self) -> str:
        """Give a name for a run that no run had."""
        self.runs += 1
        return f"run{self.runs}{secrets.token_hex(2)}x".replace("-", "")

    # -- running something with a stop in it ---------------------------------------------------

    def record(self, scope: str, parent: str, act: Callable[[], Any]) -> list[str]:
        """Run an act without a fault, and give its steps, each once, in order."""
        self.plan(scope, parent, "-")
        act()
        text = self.host.root("mv /run/chaos/plan /run/chaos/over; cat /run/chaos/steps").stdout
        return list(dict.fromkeys(text.splitlines()))

    def plan(self, scope: str, parent: str, step: str) -> None:
        """Say where to stop."""
        self.host.root(
            "rm -rf /run/chaos; mkdir -p /run/chaos; cat >/run/chaos/new; mv /run/chaos/new"
            " /run/chaos/plan",
            stdin=f"{self.scope_of(scope)}\n{parent}\n{step}\n",
        )

    def scope_of(self, scope: str) -> str:
        """Name whose steps: of two instances' guards this one's."""
        return self.form.guard if scope == "guard" and self.form.instance else scope

    def await_stop(self, seconds: float = 40.0) -> bool:
        """Wait until the step is reached; False when the act went another way."""
        tries = int(seconds / 0.05)
        script = (
            f"n=0; while [ $n -lt {tries} ]; do [ -e /run/chaos/hit ] && exit 0;"
            " [ -e /run/chaos/plan ] || sleep 0.02; sleep 0.05; n=$((n + 1)); done; exit 1"
        )
        return self.host.root(script, check=False, timeout=seconds + 30).ok

    def go_on(self) -> None:
        """Let the step happen after all."""
        self.host.root("touch /run/chaos/go; rm -f /run/chaos/plan", check=False)

    def call(self, act: str, *arguments: object, over_ssh: bool = False) -> Call:
        """Start an act and let it run."""
        return Call(
            self, f"{act}{self.form.suffix}", [str(one) for one in arguments], over_ssh=over_ssh
        )

    # -- looking ------------------------------------------------------------------------------

    def await_safe(self, seconds: float = SAFE_WITHIN_S) -> tuple[float, dict[str, Any]]:
        """Wait until a release runs and nothing is open; give how long that took."""
        began = time.monotonic()
        state: dict[str, Any] = {}
        while time.monotonic() - began < seconds:
            try:
                state = self.actor.state()
            except (StopIteration, subprocess.TimeoutExpired):
                time.sleep(0.2)
                continue
            is_open = state["phase"] and state["phase"]["phase"] in {"pending", "reverting"}
            if not is_open and state["active_state"] == "active" and state["running"]:
                return time.monotonic() - began, state
            time.sleep(0.1)
        raise AssertionError(f"{self.host.name} is not safe after {seconds} s: {state}")


class Call:
    """An act that runs in a thread of its own, as a controller's would."""

    def __init__(self, stand: Stand, act: str, words: list[str], *, over_ssh: bool) -> None:
        """Start it."""
        self._nonce = f"chaos{secrets.token_hex(3)}"
        self._stand = stand
        self._command = host_program.call(BOT, self._nonce, act, words)
        self._over_ssh = over_ssh
        self._process: subprocess.Popen[bytes] | None = None
        self.reply: Reply | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        host = self._stand.host
        try:
            if self._over_ssh:
                config = str(host.lab.folder / "ssh_config")
                argv = ["ssh", "-F", config, "-l", "root", host.name, self._command]
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
                out, said = self._process.communicate(timeout=120)
                rc = self._process.returncode
                self.reply = Reply(parse(self._nonce, out.decode()), rc, said.decode())
            else:
                done = host.root(self._command, check=False, timeout=120)
                self.reply = Reply(parse(self._nonce, done.stdout), done.returncode, done.stderr)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            return  # it never ended, or its answer was cut off in the middle of a record

    def kill_controller(self) -> None:
        """Kill the controller's ssh, as SIGKILL to botdeploy would."""
        end = time.monotonic() + 5
        while self._process is None and time.monotonic() < end:
            time.sleep(0.01)
        if self._process is not None:
            self._process.kill()

    def wait(self, seconds: float = 60.0) -> Reply | None:
        """Wait for its end; None when it never told."""
        self._thread.join(seconds)
        return self.reply
