"""Ansible, as ansistrano does it: rsync with the release before, then the modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import yaml

from tests.bench.ways.way import Order, Way

if TYPE_CHECKING:
    from pathlib import Path

_SEEN = (
    "journalctl -q -u {{ bot }} -o cat"
    " {% if cursor.stdout %}--after-cursor='{{ cursor.stdout }}'{% endif %} | grep -q ^READY"
)
_CURSOR = "journalctl -q -u {{ bot }} -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'"
_RUNS = (
    "test $(readlink /proc/$(systemctl show -p MainPID --value {{ bot }})/cwd) ="
    " $(readlink -f {{ home }}/current)"
)
_RESTART = [
    {"shell": _CURSOR, "become": True, "register": "cursor"},
    {
        "file": {
            "src": "{{ to }}",
            "dest": "{{ home }}/current",
            "state": "link",
            "force": True,
            "follow": False,
        }
    },
    {
        "file": {
            "src": "{{ was.stat.lnk_source }}",
            "dest": "{{ home }}/previous",
            "state": "link",
            "force": True,
            "follow": False,
        },
        "when": "was.stat.exists",
    },
    {"systemd_service": {"name": "{{ bot }}", "state": "restarted"}, "become": True},
    {
        "shell": _SEEN,
        "become": True,
        "register": "seen",
        "until": "seen.rc == 0",
        "retries": 50,
        "delay": 0.1,
    },
    {"shell": _RUNS, "become": True},
]
_WAS = {"stat": {"path": "{{ home }}/current"}, "register": "was"}


class ByAnsible(Way):
    """ansible-playbook with pipelining, its fastest setting that needs no plug-in."""

    name = "Ansible core"
    bot = "ansible"

    @staticmethod
    def program() -> str | None:
        """Find ansible-playbook: BOTDEPLOY_BENCH_PEERS names a folder with such programs."""
        return shutil.which("ansible-playbook", path=peers_path())

    @staticmethod
    def why_not() -> str:
        """Say that it is not installed."""
        if ByAnsible.program():
            return ""
        return "ansible-playbook is not installed (pip install ansible-core)"

    def prepare(self) -> None:
        """Write inventory and playbooks."""
        super().prepare()
        folder = self.field.folder / "ansible"
        folder.mkdir(exist_ok=True)
        (folder / "ssh_config").write_text(self.field.ssh_config())
        rsync = (
            "rsync -az --link-dest={{ home }}/current/"
            f" -e 'ssh -F {folder}/ssh_config -o ControlPath={folder}/cp/%C'"
            f" {self.field.source}/ {{{{ inventory_hostname }}}}:{{{{ to }}}}/"
        )
        prune = "ls -1d {{ home }}/releases/* | sort | head -n -5 | xargs -r rm -rf"
        env = {"content": "LOG_LEVEL=info\nRELEASE={{ release }}\n", "dest": "{{ to }}/.env"}
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"bot": self.bot, "home": f"/opt/{self.bot}"},
        }
        roll = {
            **play,
            "serial": "100%" if self.field.is_parallel else 1,
            "vars": {**play["vars"], "to": "{{ home }}/releases/{{ release }}"},  # type: ignore[dict-item]
            "tasks": [
                _WAS,
                {"command": rsync, "delegate_to": "localhost", "vars": {"ansible_become": False}},
                {"copy": env},
                *_RESTART,
                {"shell": prune},
            ],
        }
        back = {
            **play,
            "tasks": [
                _WAS,
                {"stat": {"path": "{{ home }}/previous"}, "register": "old"},
                {"set_fact": {"to": "{{ old.stat.lnk_source }}"}},
                *_RESTART,
            ],
        }
        (folder / "roll.yml").write_text(yaml.safe_dump([roll], sort_keys=False))
        (folder / "back.yml").write_text(yaml.safe_dump([back], sort_keys=False))
        (folder / "hosts").write_text("".join(f"{one.name}\n" for one in self.field.targets))

    def roll(self, release: str) -> Order:
        """Run the playbook."""
        return self._order("roll.yml", "-e", f"release={release}")

    def back(self) -> Order:
        """Run the other one."""
        return self._order("back.yml")

    def _order(self, *words: str) -> Order:
        folder: Path = self.field.folder / "ansible"
        env = {
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": str(max(5, len(self.field.targets))),
            "ANSIBLE_SSH_ARGS": f"-F {folder}/ssh_config -o ControlMaster=auto "
            "-o ControlPersist=60",
            "ANSIBLE_SSH_CONTROL_PATH": f"{folder}/cp/%%C",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{folder}/cp",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "HOME": str(self.field.folder),
        }
        return Order((str(self.program()), "-i", "hosts", *words), folder, env)

    def between(self) -> None:
        """End the masters by their sockets' folder: ssh ends when it is asked."""
        for socket in (self.field.folder / "ansible" / "cp").glob("*"):
            argv = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"]
            subprocess.run(argv, capture_output=True, check=False)


def peers_path() -> str:
    """Give the search path for other tools' programs."""
    return f"{os.environ.get('BOTDEPLOY_BENCH_PEERS', '')}:{os.environ['PATH']}"
