"""What this machine must have to run the lab, and what it is told to allow."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 8192
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "bridge": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "flock": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Programs that the lab calls, and the Debian package of each."""


def why_not() -> str | None:
    """Say why the lab cannot run on this machine, or `None` when it can. Changes nothing."""
    release = _os_release()
    if not {"debian", "ubuntu"} & {release.get("ID", ""), *release.get("ID_LIKE", "").split()}:
        return f"the lab runs on Debian or Ubuntu, not on {release.get('ID', 'this system')}"
    if os.geteuid() != 0:
        return "the lab needs root: it makes namespaces, mounts and cgroups"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"missing packages: {' '.join(missing)} (tests/lab/install.sh installs them)"
    if "overlay" not in Path("/proc/filesystems").read_text() and not _has_overlay_module():
        return "this kernel has no overlay file system"
    if not hierarchies():
        return "no cgroup hierarchy is mounted under /sys/fs/cgroup"
    if not any(os.access(path, os.W_OK) for path in hierarchies()):
        return "the cgroup hierarchies are read-only here"
    return None


def allow_many_hosts() -> None:
    """Raise the number of inotify instances; with the usual 128 the tenth host comes up degraded.

    It is never lowered again: another lab may count on it, and a limit costs nothing.
    """
    if int(INOTIFY.read_text()) < INOTIFY_WANTED:
        INOTIFY.write_text(str(INOTIFY_WANTED))


@functools.cache
def hierarchies() -> tuple[Path, ...]:
    """Answer where each cgroup hierarchy of this machine is mounted, v1 and v2 alike."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"} and "rw" in options.split(","):
            found.append(Path(where))
    return tuple(found)


def boot_id() -> str:
    """Answer the identity of this machine's present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """Answer when a process started, in clock ticks since boot, or `None` if there is none.

    With the pid this names a process for good: a pid alone may be used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _os_release() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _has_overlay_module() -> bool:
    return any(Path("/lib/modules", os.uname().release).glob("kernel/fs/overlayfs/overlay.ko*"))
