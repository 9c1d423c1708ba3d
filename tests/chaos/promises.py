"""The promises of a host, checked on the host itself after something broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.hosts.acts.actkit import BOT

if TYPE_CHECKING:
    from tests.lab.host import Host

_CHECK = f"""
cd /opt/{BOT} || exit 1
current=$(readlink current) && [ ! -f "$current/.botdeploy/digest" ] &&
    echo "current -> $current is not complete"
for release in releases/*/; do
    (cd "$release" && sha256sum -c --quiet --strict .botdeploy/sums) >/dev/null 2>&1 ||
        echo "$release is not whole"
done
[ "$(cat shared/precious)" = precious ] || echo "shared data was changed"
find /opt/{BOT}/releases -name environment -perm /077 -printf 'readable: %p\\n'
find /opt/{BOT}/releases -perm /022 ! -type l -printf 'writable: %p\\n'
"""

_LITTER = f"""
find /opt/{BOT} /var/lib/botdeploy /run/botdeploy /etc/systemd/system -name '*.new.*' 2>/dev/null
ls -d /opt/{BOT}/.partial/* /opt/{BOT}/.trash 2>/dev/null
systemctl is-active -q botdeploy-guard-{BOT} && echo guard still runs
true
"""


def broken(host: Host) -> list[str]:
    """List every promise that does not hold at this instant, in words."""
    found = host.root(_CHECK, check=False).stdout.splitlines()
    met = overlaps(host)
    return found + [f"two copies at once: {met}"] * bool(met)


def litter(host: Host) -> list[str]:
    """List what should not be left after everything has ended."""
    return host.root(_LITTER, check=False).stdout.splitlines()


def lives(host: Host) -> list[tuple[int, int, str]]:
    """Give first and last sign of life (kernel's clock) and name of each process, in order."""
    seen: dict[tuple[str, str], tuple[int, int, str]] = {}
    last_of_pid: dict[str, tuple[str, str]] = {}
    places = f"/opt/{BOT}/shared/life /dev/shm/{BOT}-life"
    rows = [row.split() for row in host.root(f"cat {places}", check=False).stdout.splitlines()]
    # What was cut short by a full disk or a power cut is left out.
    whole = [row for row in rows if len(row) == 4 and row[0].isdigit()]
    for number, (stamp, what, pid, name) in enumerate(sorted(whole, key=lambda row: int(row[0]))):
        key = last_of_pid.get(pid, ("", ""))
        if what == "start" or not key[0]:
            key = (pid, str(number))
            last_of_pid[pid] = key
        first = seen[key][0] if key in seen else int(stamp)
        seen[key] = (first, int(stamp), name)
    return sorted(seen.values())


def overlaps(host: Host) -> list[str]:
    """Give pairs of processes that lived at once."""
    found = lives(host)
    return [
        f"{one[2]}+{other[2]}"
        for index, one in enumerate(found)
        for other in found[index + 1 :]
        if other[0] <= one[1]
    ]
