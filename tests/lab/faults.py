"""What can go wrong with a host, made on purpose.

Each fault begins when its method is called and lasts until its ``end`` is called, the ``with``
block ends, or the host is reset::

    with lab["h2"].cut_network():
        ...
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.lab.host import Host
from tests.lab.shell import LabError, run

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
_JOURNALD = "systemd-journald.service"
_JOURNALD_SOCKETS = " ".join(
    f"systemd-journald{kind}.socket" for kind in ("", "-dev-log", "-audit")
)


class Fault:
    """Something that is wrong with a host until `end`; also a context manager."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._end: Callable[[], object] | None = end

    def end(self) -> None:
        """Mend it. Repeatable."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class BreakableHost(Host):
    """A host of the lab together with what can go wrong with it."""

    __slots__ = ()

    # -- power ------------------------------------------------------------------------------

    def reboot(self, *, wait: bool = True, seconds: float = 60) -> None:
        """Reboot in good order, and with ``wait`` answer when a user can log in again."""
        before = self.init()
        # The answer of systemctl may be cut off by what it asked for.
        self.root("systemctl --no-block reboot", check=False)
        if not wait:
            return
        deadline = time.monotonic() + seconds
        while self.init() in {None, before}:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not reboot within {seconds} s")
            time.sleep(0.05)
        self.wait(seconds)

    def cut_power(self) -> Fault:
        """Take the power away; at the end the host is switched on and up.

        In a lab with disks, what was written but not synced is lost (see `stop`).
        """
        self.stop()
        return Fault(self._switch_on)

    def freeze(self) -> Fault:
        """Stop every process of the host, as when its virtual machine is paused."""
        pids = self._machine_pids()
        _signal(pids, signal.SIGSTOP)
        return Fault(self.thaw)

    # -- network ----------------------------------------------------------------------------

    def cut_network(self) -> Fault:
        """Pull the plug of the network: nothing comes or goes, and nobody is told."""
        run(["ip", "link", "set", self.link, "down"])
        return Fault(lambda: run(["ip", "link", "set", self.link, "up"]))

    def drop_at_bridge(self) -> Fault:
        """Let the switch drop this host's packets; the host's own link stays up."""
        state = ["bridge", "link", "set", "dev", self.link, "state"]
        run([*state, "0"])
        return Fault(lambda: run([*state, "3"]))

    def lose_answers(self) -> Fault:
        """Lose what the host sends to this machine, while it still hears what is sent to it."""
        route = ["ip", "-n", self.link, "route"]
        target = ["blackhole", f"{self.lab.network.gateway}/32"]
        run([*route, "add", *target])
        return Fault(lambda: run([*route, "delete", *target], check=False))

    def slow_network(self, rate: str = "1mbit", latency: str = "400ms") -> Fault:
        """Let what is sent to the host through at ``rate`` only (tc's units).

        A packet that would wait longer than ``latency`` is dropped.
        """
        device = ["dev", self.link, "root"]
        shape = ["tbf", "rate", rate, "burst", "32kbit", "latency", latency]
        run(["tc", "qdisc", "replace", *device, *shape])
        return Fault(lambda: run(["tc", "qdisc", "delete", *device], check=False))

    # -- sshd -------------------------------------------------------------------------------

    def kill_ssh_sessions(self) -> int:
        """Kill the sshd processes of open connections, not the one that listens.

        Answers how many there were. What the sessions started lives on until it reads or writes.
        """
        pids = self._ssh_sessions()
        self.root(f"kill -KILL {' '.join(map(str, pids))}" if pids else "true", check=False)
        return len(pids)

    def stop_sshd(self) -> Fault:
        """Stop listening for ssh, so that a new connection is refused; open ones stay."""
        self.root("systemctl stop ssh.service")
        return Fault(lambda: self.root("systemctl start ssh.service"))

    def freeze_sshd(self) -> Fault:
        """Stop all sshd processes: a connection is accepted, and then nothing is said."""
        self.root("pkill -STOP -x sshd")
        return Fault(lambda: self.root("pkill -CONT -x sshd"))

    def change_host_key(self) -> Fault:
        """Give the host another ssh host key than ``known_hosts`` says."""
        self.root(
            f"mv {_HOST_KEY} {_HOST_KEY}.lab && mv {_HOST_KEY}.pub {_HOST_KEY}.pub.lab"
            f" && ssh-keygen -q -t ed25519 -N '' -f {_HOST_KEY} && systemctl restart ssh"
        )
        return Fault(
            lambda: self.root(
                f"[ ! -e {_HOST_KEY}.lab ] || {{ mv {_HOST_KEY}.lab {_HOST_KEY}"
                f" && mv {_HOST_KEY}.pub.lab {_HOST_KEY}.pub && systemctl restart ssh; }}"
            )
        )

    # -- rights -----------------------------------------------------------------------------

    def deny_sudo(self) -> Fault:
        """Take the right to use sudo from ``deploy``."""
        rule, aside = "/etc/sudoers.d/deploy", "/run/lab-sudoers"
        self.root(f"mv {rule} {aside}")
        return Fault(lambda: self.root(f"[ ! -e {aside} ] || mv {aside} {rule}"))

    # -- programs ---------------------------------------------------------------------------

    def use_sudo_rs(self) -> Fault:
        """Put sudo-rs in sudo's place, as Ubuntu has it since 25.10 (hosts of Debian 13)."""
        return self._in_place("sudo", "visudo")

    def use_rust_coreutils(self, *names: str) -> Fault:
        """Put coreutils from Rust in the place of GNU's, all or those (hosts of Debian 13)."""
        listed = self.root("ls /usr/lib/cargo/bin/coreutils").stdout.split()
        return self._in_place(*(f"coreutils/{name}" for name in names or listed))

    def _in_place(self, *programs: str) -> Fault:
        links = {f"/usr/local/bin/{one.rpartition('/')[2]}": one for one in programs}
        self.root(
            "; ".join(f"ln -sfn /usr/lib/cargo/bin/{one} {link}" for link, one in links.items())
        )
        return Fault(lambda: self.root(f"rm -f {' '.join(links)}"))

    # -- disk -------------------------------------------------------------------------------

    def small_disk(self, folder: str = "/opt", size: str = "64m", inodes: int = 4096) -> Fault:
        """Put a disk of its own, with a copy of what is there, under a folder of the host.

        ``size`` is tmpfs's (``m`` is MiB). Processes that work in the folder already keep seeing
        the old one, so call it before a deploy. The disk forgets everything when the host goes
        down, and at the end what was written to it is gone.
        """
        self._mount(folder, f"-t tmpfs -o size={size},nr_inodes={inodes},mode=0755 lab")
        return Fault(lambda: self._unmount(folder))

    def fill_disk(self, folder: str = "/opt", *, leave_kb: int = 0) -> Fault:
        """Use up the space under a folder but for ``leave_kb`` KiB.

        The folder is on the host's own disk, in a lab with disks, or `small_disk` made it. Raises
        `LabError` for any other folder: it is this machine's disk that would be full.
        """
        self._require_small_disk(folder)
        filler = shlex.quote(f"{folder}/.lab-filler")
        self.root(
            # More than once: a file system finds room that it had put aside when it is synced.
            "for again in 1 2 3; do"
            f" dd if=/dev/zero bs=4k status=none 2>/dev/null >>{filler}; sync -f {filler}; done;"
            f" truncate -s -{leave_kb * 1024} {filler}"
        )
        return Fault(lambda: self.root(f"rm -f {filler}"))

    def fill_inodes(self, folder: str = "/opt") -> Fault:
        """Use up the inodes under a folder (as for `fill_disk`); its space stays free."""
        self._require_small_disk(folder)
        filler = shlex.quote(f"{folder}/.lab-inodes")
        self.root(
            f"mkdir {filler} && cd {filler} &&"
            " for n in $(seq 100000); do true 2>/dev/null >$n || break; done; true"
        )
        return Fault(lambda: self.root(f"rm -rf {filler}"))

    def make_read_only(self, folder: str = "/opt") -> Fault:
        """Make a folder read-only, as a disk does that finds itself broken."""
        self.root(
            f"mount --bind {shlex.quote(folder)} {shlex.quote(folder)}"
            f" && mount -o remount,bind,ro {shlex.quote(folder)}"
        )
        return Fault(lambda: self._unmount(folder))

    # -- journal ----------------------------------------------------------------------------

    def stop_journald(self) -> Fault:
        """Stop the journal and its sockets.

        A service that is started meanwhile writes to nowhere for as long as it lives.
        """
        self.root(f"systemctl stop {_JOURNALD_SOCKETS} {_JOURNALD} 2>/dev/null", check=False)
        return Fault(lambda: self.root(f"systemctl start {_JOURNALD_SOCKETS} {_JOURNALD}"))

    def kill_journald(self) -> None:
        """Kill the journal's daemon; systemd starts it again."""
        self.root(f"systemctl kill --signal=KILL {_JOURNALD}")

    # -- the rest is how --------------------------------------------------------------------

    def _switch_on(self) -> None:
        if not self.is_on:
            self.start()
        self.wait()

    def _machine_pids(self) -> list[int]:
        """Find the host's own processes: not nspawn, nor what the lab runs inside."""
        init = self.init()
        if init is None:
            return []
        namespace = Path(f"/proc/{init}/ns/pid").readlink()
        found = []
        for pid in self.groups.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/ns/pid").readlink() == namespace:
                    found.append(pid)
        # Number 1 first when stopping, so that it restarts nothing.
        return sorted(found, key=lambda pid: pid != init)

    def _ssh_sessions(self) -> list[int]:
        listener = self.root("systemctl show -P MainPID ssh.service").stdout.strip()
        found = self.root("pgrep -x sshd", check=False).stdout.split()
        return [int(pid) for pid in found if pid != listener]

    def _mount(self, folder: str, what: str) -> None:
        quoted = shlex.quote(folder)
        self.root(
            f"aside=$(mktemp -d /run/lab-disk.XXXXXX) && mount {what} $aside"
            f" && chmod --reference={quoted} $aside && cp -a {quoted}/. $aside/"
            f" && mount --bind $aside {quoted} && umount $aside && rmdir $aside"
        )

    def _unmount(self, folder: str) -> None:
        self.root(f"umount -l {shlex.quote(folder)}", check=False)

    def _require_small_disk(self, folder: str) -> None:
        kind = self.root(f"stat -f -c %T {shlex.quote(folder)}").stdout.strip()
        if kind != "tmpfs" and not self.lab.disk_mb:
            raise LabError(f"{self.name}: {folder} has no disk of its own; see small_disk")


def _signal(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)
