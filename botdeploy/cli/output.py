"""Output: what a command prints, for people or for programs."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from botdeploy.views.jsonlines import JsonLines

if TYPE_CHECKING:
    from rich.console import Console

    from botdeploy.core.model.inventory import Inventory
    from botdeploy.core.text.secret_mask import Mask

_PLACEHOLDER = re.compile(r"(botdeploy [a-z]+ )ENV\b")
WIDE = 240
"""Columns where the output is no terminal: a table in a file or a mail is not folded."""


@dataclass(frozen=True, slots=True)
class TypedEnvironment:
    """How a person named the environment: the next command must find it as this one did."""

    place: str = ""
    """What was typed in place of its name: a path; empty where it was the name."""
    inventory_dir: str = ""
    """The folder that was given for inventories; empty for the usual one."""

    def put_into(self, text: str, environment: str) -> str:
        """Have each command in a text name the environment so."""
        if not (self.place or self.inventory_dir):
            return text
        from botdeploy.views.command_lines import COMMANDS

        folder = f"--inventory-dir {shlex.quote(self.inventory_dir)} " if self.inventory_dir else ""
        name = shlex.quote(self.place or environment)
        command = rf"\bbotdeploy ({COMMANDS}) {re.escape(environment)}(?![\w./+-]*[\w/+-])"
        return re.sub(command, lambda found: f"botdeploy {folder}{found[1]} {name}", text)


class Output:
    """Prints texts without secrets, and nothing that a terminal would obey."""

    def __init__(self, mask: Mask, environment: str = "", *, as_json: bool) -> None:
        """``environment`` is put where a message could not know it."""
        self._mask = mask
        self.environment = environment
        self.typed = TypedEnvironment()
        self.as_json = as_json
        self.json = JsonLines(sys.stdout, self.masked)

    @cached_property
    def console(self) -> Console:
        """Where people's text goes: away from machine output, which does without Rich."""
        from rich.console import Console

        stream = sys.stderr if self.as_json else sys.stdout
        return Console(
            file=stream,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            width=None if stream.isatty() else WIDE,
        )

    def masked(self, text: str) -> str:
        """Hide secrets, and name the environment in commands."""
        masked = self._mask(text)
        if not self.environment:
            return masked
        named = _PLACEHOLDER.sub(lambda found: f"{found[1]}{self.environment}", masked)
        return self.typed.put_into(named, self.environment)

    def shown(self, text: str) -> str:
        """Give what people may see, with times in their own time zone."""
        from botdeploy.core.text.printable import visible
        from botdeploy.views.local_time import with_local_times

        return with_local_times(visible(self.masked(text)))

    def say(self, text: str, style: str = "") -> None:
        """Print people's text, commands to copy on lines of their own."""
        self.console.print(self._apart(text), style=style or None)

    def _apart(self, text: str) -> str:
        from botdeploy.views.command_lines import with_commands_apart

        return with_commands_apart(self.shown(text))

    def say_notes(self, inventory: Inventory) -> None:
        """Say which hosts are no part of the environment, and what else was noted on reading it."""
        from botdeploy.views import sentences

        for line in sentences.left_out(inventory):
            self.say(line, "dim")
        for note in inventory.notes:
            self.say(f"note: {note}", "yellow")

    def copy_out(self, text: str, style: str = "") -> None:
        """Print what a bot wrote: its own times stay as it wrote them."""
        from botdeploy.core.text.printable import visible

        self.console.print(visible(self._mask(text)), style=style or None)

    def complain(self, text: str) -> None:
        """Print an error of the command itself on stderr."""
        sys.stderr.write(f"botdeploy: {self._apart(text)}\n")
