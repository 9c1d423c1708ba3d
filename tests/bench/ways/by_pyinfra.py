"""pyinfra, with its own operations where it has them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.bench.ways.by_ansible import peers_path
from tests.bench.ways.way import Order, Way

if TYPE_CHECKING:
    from pathlib import Path

_SHARED = """\
from io import StringIO

from pyinfra import host
from pyinfra.operations import files, server, systemd

bot, home = {bot!r}, "/opt/{bot}"


def restart(to):
    server.shell(commands=[
        f"journalctl -q -u {{bot}} -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'"
        f" >/tmp/{{bot}}.cursor"
    ], _sudo=True)
    server.shell(commands=[
        f"was=$(readlink {{home}}/current); ln -s {{to}} {{home}}/.new && "
        f"mv -T {{home}}/.new {{home}}/current; [ -z $was ] || ln -sfn $was {{home}}/previous"
    ])
    systemd.service(service=bot, running=True, restarted=True, _sudo=True)
    server.shell(commands=[
        f"c=$(cat /tmp/{{bot}}.cursor); i=0; until journalctl -q -u {{bot}}"
        " ${{c:+--after-cursor=$c}} -o cat | grep -q ^READY; do i=$((i+1));"
        " [ $i -lt 500 ] || exit 1; sleep 0.02; done"
    ], _sudo=True)
    server.shell(commands=[
        f"test $(readlink /proc/$(systemctl show -p MainPID --value {{bot}})/cwd) ="
        f" $(readlink -f {{home}}/current)"
    ], _sudo=True)
"""

_ROLL = """

release = host.data.release
to = f"{{home}}/releases/{{release}}"
files.rsync(src="{source}/", dest=f"{{to}}/", flags=["-az", f"--link-dest={{home}}/current/"])
files.put(src=StringIO(f"LOG_LEVEL=info\\nRELEASE={{release}}\\n"), dest=f"{{to}}/.env")
restart(to)
server.shell(commands=[f"ls -1d {{home}}/releases/* | sort | head -n -5 | xargs -r rm -rf"])
"""

_BACK = """

restart(f"$(readlink {home}/previous)")
"""


class ByPyinfra(Way):
    """pyinfra with its ssh connector."""

    name = "pyinfra"
    bot = "pyinfra"

    @staticmethod
    def program() -> str | None:
        """Find pyinfra: BOTDEPLOY_BENCH_PEERS names a folder with such programs."""
        return shutil.which("pyinfra", path=peers_path())

    @staticmethod
    def why_not() -> str:
        """Say that it is not installed."""
        return "" if ByPyinfra.program() else "pyinfra is not installed (pip install pyinfra)"

    def prepare(self) -> None:
        """Write inventory and deploys."""
        super().prepare()
        folder = self.field.folder / "pyinfra"
        folder.mkdir(exist_ok=True)
        shared = _SHARED.format(bot=self.bot)
        (folder / "roll.py").write_text(shared + _ROLL.format(source=self.field.source))
        (folder / "back.py").write_text(shared + _BACK)
        (folder / "ssh_config").write_text(self.field.ssh_config())
        data = {"ssh_config_file": str(folder / "ssh_config"), "ssh_key": str(self.field.key)}
        data |= {"ssh_user": "deploy", "ssh_known_hosts_file": str(self.field.known_hosts)}
        hosts = [
            (one.name, {**data, "ssh_hostname": one.address, "ssh_port": one.port})
            for one in self.field.targets
        ]
        (folder / "hosts.py").write_text(f"hosts = {hosts!r}\n")

    def roll(self, release: str) -> Order:
        """Run the deploy."""
        words = [] if self.field.is_parallel else ["--serial"]
        return self._order("roll.py", "--data", f"release={release}", *words)

    def back(self) -> Order:
        """Run the other one."""
        return self._order("back.py")

    def _order(self, deploy: str, *words: str) -> Order:
        folder: Path = self.field.folder / "pyinfra"
        argv = (str(self.program()), "-y", "hosts.py", deploy, *words)
        return Order(argv, folder, {"HOME": str(self.field.folder)})
