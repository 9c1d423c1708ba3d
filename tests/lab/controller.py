"""A lab host as controller: botdeploy with what it needs, a key, an inventory, and cron.

Hosts have no way to the internet: the packages come from the environment that the tests run in.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

import botdeploy
from botdeploy import starter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host
    from tests.lab.rollouts import Project

HOME = "/opt/controller"
PROGRAM = f"{HOME}/botdeploy"
POOR = "env -i PATH=/usr/bin:/bin"
"""All that cron gives a job, or less."""


def why_not(host: Host) -> str:
    """Say why this environment's packages do not work on a host; empty when they do."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    there = host.root(f'python3 -c "{asked}"').stdout.strip()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return "" if there == here else f"the tests run on Python {here}, the lab's hosts have {there}"


class Controller:
    """A machine that was never part of any rollout: it has the inventory and the key."""

    def __init__(self, host: Host, project: Project) -> None:
        """Put everything there, owned by the user ``deploy``."""
        self.host = host
        self.project = project
        host.root(f"mkdir -p {HOME}/site && tar -x -C {HOME}/site", stdin=_packages())
        host.root(
            f"cat >{PROGRAM} && chmod 755 {PROGRAM}",
            stdin=f'#!/bin/sh\nPYTHONPATH={HOME}/site exec python3 -m botdeploy "$@"\n',
        )
        for name in ("id_ed25519", "known_hosts"):
            text = (project.lab.folder / name).read_text()
            host.root(f"cat >{HOME}/{name} && chmod 600 {HOME}/{name}", stdin=text)
        self.write()

    def write(self) -> None:
        """Bring the inventory of the project, with the key where it is here."""
        name = self.project.name
        made = yaml.safe_load((self.project.folder / f"inventories/{name}.yml").read_text())
        made["all"]["vars"] |= {
            "ansible_ssh_private_key_file": f"{HOME}/id_ed25519",
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={HOME}/known_hosts",
        }
        self.host.root(
            f"mkdir -p {HOME}/inventories && cat >{HOME}/inventories/{name}.yml && "
            f"chown -R deploy: {HOME} && chmod 700 {HOME}",
            stdin=yaml.safe_dump(made, sort_keys=False),
        )

    def run(self, words: str, *, check: bool = True) -> str:
        """Run botdeploy there as ``deploy``, with a poor environment and no terminal."""
        command = f"cd {HOME} && runuser -u deploy -- {POOR} {PROGRAM} {words} </dev/null 2>&1"
        return self.host.root(command, check=check, timeout=120).stdout

    # --- what drives it ---------------------------------------------------------------------

    def start_timer(self, seconds: float) -> None:
        """Install the starter's service and timer, with a short interval, and start them."""
        name = self.project.name
        files = starter.files(name, folder=HOME, program=PROGRAM)
        service = files[f"schedule/botdeploy-{name}.service"].replace(
            f"ExecStart={PROGRAM}", f"ExecStart=/usr/bin/{POOR} {PROGRAM}"
        )
        timer = files[f"schedule/botdeploy-{name}.timer"]
        often = f"OnActiveSec=0\nOnUnitInactiveSec={seconds}s\nAccuracySec=100ms"
        timer = re.sub(r"OnCalendar=.*\nAccuracySec=.*", often, timer)
        for kind, text in (("service", service), ("timer", timer)):
            self.host.root(f"cat >/etc/systemd/system/botdeploy-{name}.{kind}", stdin=text)
        self.host.root(f"systemctl daemon-reload && systemctl start botdeploy-{name}.timer")

    def stop_timer(self) -> None:
        """Stop the timer, and wait for the step that it is in."""
        name = f"botdeploy-{self.project.name}"
        ended = f"systemctl show -P ActiveState {name}.service | grep -qE '^(inactive|failed)$'"
        self.host.root(
            f"systemctl stop {name}.timer; until {ended}; do sleep 0.1; done", timeout=180
        )

    def start_cron(self, seconds: int = 60) -> None:
        """Install the starter's cron line, every minute or more often; its output gets a file.

        Cron knows no seconds: a line for each of the minute's steps sleeps before it.
        """
        name = self.project.name
        files = starter.files(name, folder=HOME, program=PROGRAM)
        text = files[f"schedule/{name}.cron"]
        text = text.replace("*/5 ", "* ", 1)
        text = re.sub(r"(promote .*)$", rf"\1 >>{HOME}/cron.log 2>\&1", text, flags=re.MULTILINE)
        line = text.rstrip().rpartition("\n")[2]
        for later in range(seconds, 60, seconds):
            text += line.replace("cd ", f"sleep {later}; cd ", 1) + "\n"
        self.host.root(
            f"cat >/etc/cron.d/botdeploy-{name} && chmod 644 /etc/cron.d/botdeploy-{name} && "
            "systemctl restart cron",
            stdin=text,
        )

    def stop_cron(self) -> None:
        """Take the line away; a step that is under way goes on to its end."""
        self.host.root(f"rm -f /etc/cron.d/botdeploy-{self.project.name}; systemctl stop cron")

    def said_to_cron(self) -> list[str]:
        """List the lines that cron's runs have said."""
        return self.host.root(f"cat {HOME}/cron.log 2>/dev/null", check=False).stdout.splitlines()

    def said(self) -> list[str]:
        """List the lines that the timer's runs have said, with none of systemd's."""
        unit = f"botdeploy-{self.project.name}.service"
        text = self.host.root(f"journalctl -q -u {unit} -o cat _TRANSPORT=stdout").stdout
        return text.splitlines()


def _packages() -> bytes:
    """Pack botdeploy and all that it needs to run."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        place = Path(botdeploy.__file__).parent
        for path in _files(place):
            tar.add(path, f"botdeploy/{path.relative_to(place)}")
        templates = place.parent / "templates"
        if templates.is_dir():
            tar.add(templates, "botdeploy/_templates")
        for name in sorted(_needed()):
            found = distribution(name)
            for file in found.files or ():
                path = Path(str(found.locate_file(file)))
                if ".." not in file.parts and "__pycache__" not in file.parts and path.is_file():
                    tar.add(path, str(file))
    return out.getvalue()


def _files(place: Path) -> Iterator[Path]:
    return (one for one in place.rglob("*") if one.is_file() and "__pycache__" not in one.parts)


def _needed() -> set[str]:
    """Name the distributions that botdeploy needs, and those that they need."""
    found: set[str] = set()
    waiting = ["botdeploy"]
    while waiting:
        for line in distribution(waiting.pop()).requires or ():
            name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower()
            if "extra ==" in line or name in found:
                continue
            try:
                distribution(name)
            except PackageNotFoundError:
                continue  # for other systems
            found.add(name)
            waiting.append(name)
    return found
