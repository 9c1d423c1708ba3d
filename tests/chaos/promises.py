"""The promises of a host, checked on the host itself after something broke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.forms import PLAIN
from tests.hosts.acts.instancekit import HOME, TREES

if TYPE_CHECKING:
    from tests.chaos.forms import Form
    from tests.lab.host import Host

_CHECK = f"""
cd {{form.home}} || exit 1
current=$(readlink current) && [ ! -f "$current/.botdeploy/digest" ] &&
    echo "current -> $current is not complete"
for release in releases/*/; do
    [ -z "{{form.instance}}" ] || release=$release/tree
    (cd "$release" && sha256sum -c --quiet --strict .botdeploy/sums) >/dev/null 2>&1 ||
        echo "$release is not whole"
done
[ "$(cat shared/precious)" = precious ] || echo "shared data was changed"
[ -d {TREES} ] && trees={TREES} || trees=
find {{form.home}}/releases -name environment -perm /077 -printf 'readable: %p\\n'
find {{form.home}}/releases $trees -perm /022 ! -type l -printf 'writable: %p\\n'
"""

_LITTER = f"""
find {HOME} /var/lib/botdeploy /run/botdeploy /etc/systemd/system -name '*.new.*' 2>/dev/null
ls -d {{form.home}}/.partial/* {HOME}/.trash 2>/dev/null
systemctl is-active -q {{form.guard}} && echo guard still runs
true
"""


def broken(host: Host, form: Form = PLAIN) -> list[str]:
    """List every promise that does not hold at this instant, in words."""
    found = host.root(_CHECK.format(form=form), check=False).stdout.splitlines()
    met = overlaps(host, form)
    return found + [f"two copies at once: {met}"] * bool(met)


def litter(host: Host, form: Form = PLAIN) -> list[str]:
    """List what should not be left after everything has ended."""
    return host.root(_LITTER.format(form=form), check=False).stdout.splitlines()


def lives(host: Host, form: Form = PLAIN) -> list[tuple[int, int, str]]:
    """Give first and last sign of life (kernel's clock) and name of each process, in order."""
    seen: dict[tuple[str, str], tuple[int, int, str]] = {}
    last_of_pid: dict[str, tuple[str, str]] = {}
    read = host.root(f"cat {' '.join(form.life)}", check=False).stdout
    rows = [row.split() for row in read.splitlines()]
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


def overlaps(host: Host, form: Form = PLAIN) -> list[str]:
    """Give pairs of processes that lived at once."""
    found = lives(host, form)
    return [
        f"{one[2]}+{other[2]}"
        for index, one in enumerate(found)
        for other in found[index + 1 :]
        if other[0] <= one[1]
    ]
