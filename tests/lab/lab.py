"""A lab as a whole: its hosts, started and taken down together."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import machine, registry
from tests.lab.base import SUITE, base_tree
from tests.lab.faults import BreakableHost
from tests.lab.shell import LabError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.registry import Owner, Record

PROJECT = Path(__file__).resolve().parents[2]


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Lab:
    """Hosts that run, and the folder with what one needs to reach them."""

    record: Record

    @property
    def name(self) -> str:
        """The lab's name on this machine."""
        return self.record.name

    @property
    def folder(self) -> Path:
        """Where ``id_ed25519``, ``known_hosts``, ``ssh_config`` and ``inventory.yml`` stand."""
        return self.record.folder

    @property
    def hosts(self) -> tuple[BreakableHost, ...]:
        """All hosts, in order."""
        return tuple(BreakableHost(self.record, number + 1) for number in range(self.record.hosts))

    @property
    def key(self) -> Path:
        """The private key that every user of every host accepts."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys, by name and by address."""
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """A configuration for ssh that knows the hosts by name."""
        return self.folder / "ssh_config"

    def reset(self) -> None:
        """Put all hosts back to what they were when they first came up, at the same time.

        Those that nobody has reached since then are so already.
        """
        used = [host for host in self.hosts if host.is_used]
        with ThreadPoolExecutor(min(len(self), 16)) as pool:
            list(pool.map(lambda host: host.reset(), used))

    def __getitem__(self, name: str) -> BreakableHost:
        """Answer the host of that name, such as ``h1``."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise LabError(f"there is no host {name!r} in the lab {self.name!r}; there are: {names}")

    def __iter__(self) -> Iterator[BreakableHost]:
        """Iterate over the hosts, in order."""
        return iter(self.hosts)

    def __len__(self) -> int:
        """Count the hosts."""
        return self.record.hosts


def up(
    hosts: int = 4,
    *,
    name: str = registry.DEFAULT_NAME,
    disk_mb: int = 0,
    suite: str = SUITE,
    owner: Owner | None = None,
    say: Callable[[str], None] = _silent,
) -> Lab:
    """Start a lab and answer when a user can log in on every host.

    With ``disk_mb`` each host has a disk of its own of so many MiB, which can be filled and which
    loses at a power cut what was not synced. ``suite`` is their Debian. With an owner the lab
    counts as stale as soon as that process is dead. What was started is taken down again when
    something fails. Raises `LabError`.
    """
    if reason := machine.why_not():
        raise LabError(reason)
    base = base_tree(say, suite)
    machine.allow_many_hosts()
    began = time.monotonic()
    folder = PROJECT / ".lab" / name
    lab = Lab(registry.claim(name, hosts, folder, base, disk_mb=disk_mb, owner=owner))
    try:
        lab.record.network.make(hosts)
        write_folder(lab)
        _boot(lab, say)
        for host in lab.hosts:
            host.use(is_used=False)
    except BaseException:
        _take_down(lab)
        raise
    say(f"{hosts} hosts up in {time.monotonic() - began:.1f} s; files in {folder}")
    return lab


def down(name: str, *, say: Callable[[str], None] = _silent) -> None:
    """Take a lab down, running, stale or half made, and leave nothing of it behind.

    Raises `LabError` when there is none of that name.
    """
    _take_down(Lab(registry.find(name)))
    say(f"lab {name} is down")


def _boot(lab: Lab, say: Callable[[str], None]) -> None:
    pool = ThreadPoolExecutor(min(len(lab), 16))
    try:
        for host in lab.hosts:
            host.start()
        say(f"{len(lab)} hosts are booting")
        waits = {host.name: pool.submit(host.wait) for host in lab.hosts}
        for host in lab.hosts:
            waits[host.name].result()
            say(f"{host.name} {host.address} is up")
    finally:
        # When one fails the others' waits end by themselves, as soon as those are taken down.
        pool.shutdown(wait=False, cancel_futures=True)


def _take_down(lab: Lab) -> None:
    # All at once: hosts die as by a power failure, an orderly shutdown takes seconds for each.
    for host in lab.hosts:
        for pid in host.groups.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for host in lab.hosts:
        host.stop()
    lab.record.network.remove(len(lab))
    for host in lab.hosts:
        host.discard()
    shutil.rmtree(lab.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        lab.folder.parent.rmdir()
    registry.forget(lab.record)


def attach(name: str) -> Lab:
    """Answer a lab that runs already. Raises `LabError` when there is none of that name."""
    lab = Lab(registry.find(name))
    for host in lab.hosts:
        host.use()  # by whom, is not known here
    return lab


def down_stale(*, say: Callable[[str], None] = _silent) -> list[str]:
    """Take down every lab that nobody can be using any more, and answer their names."""
    names = [record.name for record in registry.records() if record.stale()]
    for name in names:
        # Somebody else may be at it too.
        with contextlib.suppress(LabError):
            down(name, say=say)
    return names


def write_folder(lab: Lab) -> None:
    """Write the lab's own folder, and on each host what makes it that host."""
    shutil.rmtree(lab.folder, ignore_errors=True)
    lab.folder.mkdir(parents=True)
    comment = f"botdeploy-{lab.name}"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(lab.key)])
    public = lab.key.with_name("id_ed25519.pub").read_text()
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda host: host.prepare(public), lab.hosts))
    lines = [
        f"{host.name},{host.address} {' '.join(key.split()[:2])}\n"
        for host, key in zip(lab.hosts, keys, strict=True)
    ]
    lab.known_hosts.write_text("".join(lines))
    lab.ssh_config.write_text(_ssh_config(lab, "  User deploy\n"))
    (lab.folder / "testinfra_config").write_text(_ssh_config(lab))
    (lab.folder / "inventory.yml").write_text(_inventory(lab))
    _give_to_owner_of_project(lab.folder)


def _ssh_config(lab: Lab, more: str = "") -> str:
    # Neither GSSAPI nor Include: testinfra's paramiko backend stumbles over both.
    hosts = "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in lab.hosts)
    return f"""{hosts}Host *
{more}  IdentityFile {lab.key}
  IdentitiesOnly yes
  UserKnownHostsFile {lab.known_hosts}
  StrictHostKeyChecking yes
  ControlPath none
  BatchMode yes
  ConnectTimeout 5
  LogLevel ERROR
"""


def _inventory(lab: Lab) -> str:
    hosts = "".join(f"    {host.name}: {{ansible_host: {host.address}}}\n" for host in lab.hosts)
    return f"""all:
  vars:
    ansible_user: deploy
    ansible_ssh_private_key_file: {lab.key}
    ansible_ssh_common_args: -o UserKnownHostsFile={lab.known_hosts} -o IdentitiesOnly=yes
  hosts:
{hosts}"""


def _give_to_owner_of_project(folder: Path) -> None:
    """Let who works on the project use the key, although the lab was started with sudo."""
    owner = PROJECT.stat()
    for path in (folder.parent, folder, *folder.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
