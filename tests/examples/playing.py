"""An example from `examples/`, played on the lab's hosts by the commands that its page shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.lab.rollouts import Project

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]
IS_LONG = os.environ.get("BOTDEPLOY_EXAMPLES") == "long"
"""Whether all of an example is played (`make examples-test`), or the short form."""
NOTES = os.environ.get("BOTDEPLOY_EXAMPLES_NOTES", "")
"""The folder that gets a transcript of each example; empty: none is written."""


def long(more: int, less: int) -> int:
    """Give the first number in the long form, the second in the short one."""
    return more if IS_LONG else less


@dataclass
class Example(Project):
    """A copy of an example's folder, with the lab's machines in place of the example's."""

    example: str = ""
    machines: dict[str, str] = field(default_factory=dict)
    """Address in the example's inventory → name of the lab's host."""
    secrets: dict[str, str] = field(default_factory=dict)
    """The controller's environment variables that the inventory's secrets name."""
    noted: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def write(self, **rollout: Any) -> None:
        """Copy the example, and write its inventory with other keys where given."""
        source = PROJECT / "examples" / self.example
        shutil.copytree(source, self.folder, dirs_exist_ok=True)
        self.rollout.update(rollout)
        place = self.folder / f"inventories/{self.name}.yml"
        made = yaml.safe_load(self._in_the_lab(place.read_text(encoding="utf-8")))["all"]
        lab = yaml.safe_load((self.lab.folder / "inventory.yml").read_text())["all"]["vars"]
        bot = {**made["vars"]["bot"], **self.bot}
        made["vars"] |= {
            **lab,
            "bot": {name: value for name, value in bot.items() if value is not None},
            "rollout": {**made["vars"]["rollout"], **self.rollout},
        }
        place.write_text(yaml.safe_dump({"all": made}, sort_keys=False), encoding="utf-8")

    def original(self, variable: str) -> dict[str, Any]:
        """Give `bot` or `rollout` as the example's own inventory has it."""
        place = PROJECT / "examples" / self.example / f"inventories/{self.name}.yml"
        text = self._in_the_lab(place.read_text(encoding="utf-8"))
        found: dict[str, Any] = yaml.safe_load(text)["all"]["vars"][variable]
        return found

    def _in_the_lab(self, text: str) -> str:
        for address, name in self.machines.items():
            text = text.replace(address, self.lab[name].address)
        return text

    def type(self, line: str, *, code: int = 0, timeout: float = 600) -> str:
        """Run a command as a person does, note what it says, and check how it ends."""
        self.note(f"$ botdeploy {line}")
        done = subprocess.run(
            [sys.executable, "-m", "botdeploy", *shlex.split(line)],
            cwd=self.folder,
            env={
                **os.environ,
                "HOME": str(self.folder),
                "PYTHONPATH": self.path,
                "COLUMNS": "110",
                **self.secrets,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
        self.note(done.stdout.rstrip())
        if done.returncode:
            self.note(f"(exit code {done.returncode})")
        assert done.returncode == code, "\n".join(self.noted)
        return done.stdout

    def note(self, text: str) -> None:
        """Add to the transcript."""
        self.noted.append(text)
        if NOTES:
            Path(NOTES).mkdir(parents=True, exist_ok=True)
            (Path(NOTES) / f"{self.example}.txt").write_text("\n".join(self.noted) + "\n")

    def tell(self, text: str) -> None:
        """Add a figure or what was seen, with the seconds since the beginning."""
        self.note(f"# {time.monotonic() - self.began:.0f} s: {text}")

    def wait_until(self, is_so: Callable[[], bool], what: str, patience_s: float) -> None:
        """Ask every half a second; fails with the transcript if it is not so in time."""
        deadline = time.monotonic() + patience_s
        while not is_so():
            assert time.monotonic() < deadline, f"{what}: not so\n" + "\n".join(self.noted)
            time.sleep(0.5)

    def seconds_until_back(self, host: str, unit: str, bad: str) -> float:
        """Give the time from a release's first bad line to the last READY, by the journal.

        ``bad`` is a piece of such a line that no other release wrote before. The last READY is
        the old release's, if it runs again: the bad one may have been restarted before.
        """
        read = f"journalctl -q -m -u {unit} -o short-unix --no-hostname"
        lines = self.lab[host].root(read).stdout.splitlines()
        first = next(number for number, line in enumerate(lines) if bad in line)
        *_, back = (line for line in lines[first:] if line.endswith(": READY"))
        return float(back.split()[0]) - float(lines[first].split()[0])
