"""One host of the lab: switched on and off, reached from outside and from within, put back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.lab.base import PRISTINE
from tests.lab.cgroups import Groups
from tests.lab.shell import LabError, Result, run

if TYPE_CHECKING:
    from testinfra.host import Host as Looking

    from tests.lab.registry import Record

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32) of the kernel's ext4.h
_NO_LOG_FLUSH = struct.pack("I", 2)
HERE = Path(__file__).parent
_RESET = HERE / "reset.sh"
_VISIT = """
for group; do [ "$group" = -- ] && break; echo $$ >"$group/visits/cgroup.procs"; shift; done
shift
exec "$@"
"""


_USED: set[tuple[str, int]] = set()
"""Hosts that somebody may have reached since they were new or reset, by lab and number."""


@dataclass(frozen=True, slots=True)
class Host:
    """The host numbered ``number`` (from 1) of a lab."""

    lab: Record
    number: int

    @property
    def is_used(self) -> bool:
        """Whether anybody may have reached it since it was new or reset."""
        return (self.lab.name, self.number) in _USED

    def use(self, *, is_used: bool = True) -> None:
        """Note that somebody reaches it, or that it is as new."""
        (_USED.add if is_used else _USED.discard)((self.lab.name, self.number))

    @property
    def name(self) -> str:
        """The host's name within its lab, and its own hostname."""
        return f"h{self.number}"

    @property
    def address(self) -> str:
        """The host's IPv4 address."""
        self.use()
        return self.lab.network.address(self.number)

    @property
    def link(self) -> str:
        """The name of this host's link into the bridge, and of its network namespace."""
        self.use()
        return self.lab.network.link(self.number)

    @property
    def groups(self) -> Groups:
        """The host's cgroups on this machine."""
        self.use()
        return Groups(f"{self.lab.name}-{self.name}")

    @property
    def state(self) -> Path:
        """The folder with what the host wrote (`upper`) and its console's output."""
        return self.lab.state / self.name

    # -- switching on and off ---------------------------------------------------------------

    def prepare(self, authorized_keys: str) -> str:
        """Write what makes this host itself: name, machine id, keys. Answer its public host key."""
        for folder in ("upper", "root"):
            (self.state / folder).mkdir(parents=True)
        if self.lab.disk_mb:
            self._make_disk()
        etc = self.state / "upper/etc"
        (etc / "ssh").mkdir(parents=True)
        (etc / "hostname").write_text(f"{self.name}\n")
        # Without its own name there, every sudo on the host waits for a resolver.
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (etc / "ssh/lab_authorized_keys").write_text(authorized_keys)
        key = etc / "ssh/ssh_host_ed25519_key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(key)])
        # All of it is the host's as long as it lives, for `reset` too.
        shutil.copytree(etc, self.state / "upper" / PRISTINE / "etc")
        return key.with_name(f"{key.name}.pub").read_text().strip()

    def start(self) -> None:
        """Switch the host on, and answer at once; `wait` tells when it is up."""
        self.groups.make()
        argv = [
            # A child of nobody: it outlives us, and nobody has to collect it when it dies.
            *("setsid", "--fork"),
            *("unshare", "--mount", "--propagation", "slave", "--"),
            *("sh", str(HERE / "firmware.sh")),
            *(self._machine, self.name, self.link, str(self.lab.base), str(self.state)),
            *map(str, self.groups.paths),
        ]
        with (self.state / "console.log").open("ab") as console:
            subprocess.run(
                argv, cwd="/", stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=True
            )

    def wait(self, seconds: float = 60) -> None:
        """Wait until a user can log in by ssh.

        Raises `LabError` with the end of the console's output when the host is off or not ready in
        time.
        """
        began = time.monotonic()
        problem = "nothing answers"
        while (waited := time.monotonic() - began) < seconds:
            if waited > 2 and not self.groups.pids():
                problem = "it is switched off"
                break
            if self._answers():
                # sshd answers before the host lets users in (/run/nologin).
                answer = self.ssh("true", check=False, timeout=seconds)
                if answer.ok:
                    return
                problem = answer.stderr.strip()
            time.sleep(0.05)
        console = (self.state / "console.log").read_text(errors="replace")[-2000:]
        raise LabError(f"{self.lab.name}/{self.name} is not up: {problem}\n{console}")

    def stop(self) -> None:
        """Switch the host off as a power failure would. Repeatable.

        On a disk of its own, what was written but not synced is lost. Otherwise it is in the
        memory of this machine, which keeps its power.
        """
        self._lose_unsynced()
        self.groups.kill()
        self._wait_for_disk()

    def discard(self) -> None:
        """Remove the cgroups and the files of a host that is switched off. Repeatable."""
        self.groups.remove()
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def is_on(self) -> bool:
        """Whether a systemd runs on the host."""
        return self.init() is not None

    # -- reaching it ------------------------------------------------------------------------

    def ssh(
        self,
        command: str,
        *,
        user: str = "deploy",
        check: bool = True,
        timeout: float = 60,
        stdin: str | bytes | None = None,
    ) -> Result:
        """Run a shell command on the host over ssh, as ``deploy``, ``plain`` or ``root``.

        Raises `CommandError` with ``check``, and ``subprocess.TimeoutExpired`` after ``timeout``
        seconds.
        """
        self.use()
        argv = ["ssh", "-F", str(self.lab.folder / "ssh_config"), "-l", user, self.name, command]
        return run(argv, check=check, timeout=timeout, stdin=stdin, what=f"{self.name}: {command}")

    def root(
        self,
        command: str,
        *,
        check: bool = True,
        timeout: float = 60,
        stdin: str | bytes | None = None,
    ) -> Result:
        """Run a shell command on the host as root, without network or sshd (a few ms).

        Raises `LabError` when the host is off; else as `ssh` does.
        """
        init = self.init()
        if init is None:
            raise LabError(f"{self.lab.name}/{self.name} is switched off")
        argv = [
            *("sh", "-c", _VISIT, "visit", *map(str, self.groups.paths), "--"),
            *("nsenter", f"--target={init}", "--all", "--"),
            *("env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            *("sh", "-c", f"cd /root; {command}"),
        ]
        return run(argv, check=check, timeout=timeout, stdin=stdin, what=f"{self.name}: {command}")

    def testinfra(
        self,
        *,
        backend: Literal["paramiko", "ssh"] = "paramiko",
        user: str = "deploy",
        sudo: bool = False,
    ) -> Looking:
        """Answer a testinfra host that looks at this one; see `tests.lab.inspection.look_at`."""
        # Only here, so that starting a lab needs nothing but Python.
        from tests.lab.inspection import look_at  # noqa: PLC0415

        return look_at(self, backend=backend, user=user, sudo=sudo)

    def journal(self, unit: str = "", lines: int = 50) -> str:
        """Answer the end of the host's journal, or of one unit's, as people read it."""
        which = f"-u {shlex.quote(unit)}" if unit else ""
        return self.root(f"journalctl -q --no-pager -o short-precise -n {lines} {which}").stdout

    # -- putting it back --------------------------------------------------------------------

    def reset(self) -> None:
        """Put the host back to what it was when it first came up.

        Every fault is mended and everything that a deploy or a test wrote is gone, the journal's
        lines too; a host that is off is switched on. Takes about 0.7 s when it is on. Repeatable.
        Raises `LabError` when the host is not as it was.
        """
        self.mend_network()
        self.thaw()
        for pid in self.groups.pids("visits"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not self.is_on:
            self.stop()
            self.start()
            self.wait()
        done = self.root(_RESET.read_text(), check=False)
        if not done.ok or not self._answers():
            told = done.stderr.strip() if not done.ok else "sshd does not answer"
            raise LabError(f"{self.lab.name}/{self.name} is not as it was after a reset: {told}")
        self.use(is_used=False)

    def thaw(self) -> None:
        """Let every process of the host go on that was stopped. Repeatable."""
        for pid in self.groups.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def mend_network(self) -> None:
        """Undo everything that a fault did to the host's network. Repeatable."""
        run(["ip", "link", "set", self.link, "up"])
        # The kernel tells a moment later that a link is up again; until then a bridge's port of
        # it can't be set.
        deadline = time.monotonic() + 5
        while Path(f"/sys/class/net/{self.link}/operstate").read_text() != "up\n":
            if time.monotonic() > deadline:
                raise LabError(f"{self.lab.name}/{self.name}: its link stays down")
            time.sleep(0.01)
        run(["bridge", "link", "set", "dev", self.link, "state", "3"])
        run(["tc", "qdisc", "delete", "dev", self.link, "root"], check=False)
        run(["ip", "-n", self.link, "route", "flush", "type", "blackhole"])

    # -- the rest is how --------------------------------------------------------------------

    @property
    def _machine(self) -> str:
        return f"{self.lab.name}-{self.name}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                connection.settimeout(1)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _make_disk(self) -> None:
        image = self.state / "disk.img"
        with image.open("wb") as file:
            file.truncate(self.lab.disk_mb * 1024 * 1024)
        # Nothing is kept back for root. Few inodes, as some tests use up all of them.
        run(["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-i", "24576", str(image)])

    def _lose_unsynced(self) -> None:
        """Take the disk from the file system, with whatever it has not yet written."""
        for pid in self.groups.pids("firmware") if self.lab.disk_mb else ():
            # Seen through the firmware: the disk is mounted for the host's processes only.
            disk = Path(f"/proc/{pid}/root{self.state}/disk")
            with contextlib.suppress(OSError):
                handle = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.ioctl(handle, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)
                finally:
                    os.close(handle)

    def _wait_for_disk(self, seconds: float = 10) -> None:
        """Wait until the kernel has let go of the disk, a moment after the last process."""
        image = str(self.state / "disk.img")
        deadline = time.monotonic() + seconds
        while self.lab.disk_mb and run(["losetup", "--associated", image], check=False).stdout:
            if time.monotonic() > deadline:
                raise LabError(f"{self.lab.name}/{self.name}: {image} stays mounted")
            time.sleep(0.01)

    def init(self) -> int | None:
        """Find the process that is number 1 on the host."""
        for pid in self.groups.booted():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
                *outer, inner = line.split()[1:]
                if outer and inner == "1":
                    return pid
        return None
