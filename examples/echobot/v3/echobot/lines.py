"""What the bot prints for its journal: JSON lines for machines, plain lines for people."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any


def event(level: str, name: str, **fields: Any) -> None:
    """Print one JSON line; ``fields`` are the event's own."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    line = {"ts": stamp + "Z", "level": level, "event": name, **fields}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def plain(text: str) -> None:
    """Print one line for people."""
    print(text, flush=True)


def exception(error: BaseException) -> None:
    """Print a traceback as Python itself would, to standard error."""
    traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    sys.stderr.flush()
