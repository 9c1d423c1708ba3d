"""The bots that are released: a small one, and a medium one with a virtual environment's size."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAIN = '''\
"""A bot that says READY at once, then now and then that it did something."""
import signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("READY", VERSION, flush=True)
while True:
    time.sleep(5)
    print("handled 12 messages", flush=True)
'''

_VOCABULARY = """
    self return import from class def async await channel message guild member reply embed
    handler command registry session payload timeout retries cursor backend storage event
    dispatch parser result value config logger error None True False raise except finally with
"""
_WORDS = _VOCABULARY.split()


@dataclass(frozen=True, slots=True)
class Size:
    """How large a bot is, and what of it a new version changes."""

    name: str
    files: int
    size_bytes: int
    changed: int
    changed_bytes: int


SMALL = Size("small", 40, 273_000, 6, 37_000)
MEDIUM = Size("medium", 2000, 40_000_000, 12, 372_000)
SIZES = {size.name: size for size in (SMALL, MEDIUM)}


def write(folder: Path, size: Size, version: int) -> None:
    """Write a version of a bot: the same files always, but for ``main.py`` and those that change.

    The text packs about as well as Python does.
    """
    each_changed = size.changed_bytes // size.changed
    each_other = (size.size_bytes - size.changed_bytes) // (size.files - size.changed)
    for number in range(size.files - 1):
        is_changed = number < size.changed - 1
        path = folder / f"package{number // 40}" / f"module{number}.py"
        if path.exists() and not is_changed:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = f"{number}" if not is_changed else f"{number}.{version}"
        path.write_text(_text(seed, each_changed if is_changed else each_other))
    (folder / "main.py").write_text(f"VERSION = {version}\n{MAIN}")


def _text(seed: str, size_bytes: int) -> str:
    chance = random.Random(seed)  # noqa: S311 (the same text each time is what is wanted)
    lines: list[str] = []
    length = 0
    while length < size_bytes:
        words = chance.choices(_WORDS, k=7)
        line = f"    {words[0]}_{chance.randrange(10_000)} = {'.'.join(words[1:4])}({words[4:]})\n"
        lines.append(line)
        length += len(line)
    return "".join(lines)[:size_bytes]
