"""How well fingerprints group the lines of real logs whose true templates are known.

    BOTDEPLOY_LOGHUB=/path/to/loghub python -m tests.bench.bench_fingerprint

The folder holds ``*_2k.log_structured.csv`` of https://github.com/logpai/loghub (Zhu, He, He, Liu,
Lyu: Loghub, ISSRE 2023), which are free for research and not shipped here. Drain3 is measured
beside it where it can be imported.

ga           share of lines whose class holds exactly the lines of their true template
false novel  share of lines of the second half, of templates known from the first, taken for new
missed       templates that first appear in the second half and were taken for known, of all such
"""

from __future__ import annotations

import csv
import importlib
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core.lines import error_grouping, fingerprint
from botdeploy.core.lines.error_grouping import group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 5
"""Times that a log is classed for its speed; the best counts, of one core."""
STEP = 50
"""Lines after which a judge looks again, of the second half."""


@dataclass(frozen=True, slots=True)
class Score:
    """What was measured of one log."""

    name: str
    ga: float
    false_novel: float
    missed: int
    new: int
    lines_per_s: float

    def __str__(self) -> str:
        return (
            f"{self.ga:>6.3f} {self.false_novel:>12.2%} {self.missed:>5}/{self.new:<4}"
            f"{self.lines_per_s:>9.0f}"
        )


def read_log(path: Path) -> tuple[list[str], list[str]]:
    """Read a structured log: contents and true templates, line by line."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return [row["Content"] for row in rows], [row["EventId"] for row in rows]


def find_logs(folder: Path) -> list[Path]:
    """Find the structured logs of a folder and those below it."""
    return sorted(folder.rglob("*_2k.log_structured*.csv"))


def grouping_accuracy(found: Sequence[str], true: Sequence[str]) -> float:
    """Give the share of lines whose class is exactly their true template's set of lines."""
    pairs = Counter(zip(found, true, strict=True))
    of_found, of_true = Counter(found), Counter(true)
    exact = sum(n for (f, t), n in pairs.items() if n == of_found[f] == of_true[t])
    return exact / len(found)


def ours(contents: Sequence[str]) -> list[str]:
    """Class each line as botdeploy does."""
    names = [fingerprint.of_text(text) for text in contents]
    joined = group(names)
    return [joined[name] for name in names]


def our_known(contents: Sequence[str]) -> list[bool]:
    """Tell of each line of the second half whether its class was known from the first.

    As a judge would, looking again every 50 lines; what is new stays new.
    """
    half = len(contents) // 2
    names = [fingerprint.of_text(text) for text in contents]
    history = set(names[:half])
    seen = set(history)
    out: list[bool] = []
    for start in range(half, len(names), STEP):
        chunk = names[start : start + STEP]
        seen.update(chunk)
        joined = group(seen)
        known = {joined[name] for name in history}
        out += [joined[name] in known for name in chunk]
    return out


def novelty(known: Sequence[bool], true: Sequence[str]) -> tuple[float, int, int]:
    """Compare what was taken for known, of the second half, with the truth."""
    half = len(true) // 2
    before = set(true[:half])
    old = [is_known for is_known, one in zip(known, true[half:], strict=True) if one in before]
    first: dict[str, bool] = {}
    for is_known, one in zip(known, true[half:], strict=True):
        if one not in before:
            first.setdefault(one, is_known)
    return old.count(False) / max(1, len(old)), sum(first.values()), len(first)


def forget() -> None:
    """Empty the caches of earlier rounds: each begins as on a host that is new."""
    for module in (fingerprint, error_grouping):
        for one in vars(module).values():
            if hasattr(one, "cache_clear"):
                one.cache_clear()


def score(
    path: Path,
    classed: Callable[[Sequence[str]], list[str]],
    known: Callable[[Sequence[str]], list[bool]],
) -> Score:
    """Measure one way of classing on one log."""
    contents, true = read_log(path)
    seconds = []
    for _ in range(ROUNDS):
        forget()
        started = time.process_time()
        found = classed(contents)
        seconds.append(time.process_time() - started)
    rates = novelty(known(contents), true)
    name = path.name.split("_2k")[0]
    return Score(name, grouping_accuracy(found, true), *rates, len(contents) / min(seconds))


class Drain3:
    """Drain3 with the masks of its own example configuration."""

    MASKS = (
        (r"([0-9a-f]{2,}:){3,}([0-9a-f]{2,})", "ID"),
        (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", "IP"),
        (r"([0-9a-f]{6,} ?){3,}", "SEQ"),
        (r"0x[a-fA-F0-9]+", "HEX"),
        (r"[\-\+]?\d+", "NUM"),
    )

    def __init__(self) -> None:
        """Raise ImportError where Drain3 is not installed."""
        self._drain3: Any = importlib.import_module("drain3")
        self._masking: Any = importlib.import_module("drain3.masking")
        self._config: Any = importlib.import_module("drain3.template_miner_config")

    def _miner(self) -> Any:
        config = self._config.TemplateMinerConfig()
        config.masking_instructions = [
            self._masking.MaskingInstruction(
                rf"((?<=[^A-Za-z0-9])|^)({form})((?=[^A-Za-z0-9])|$)", name
            )
            for form, name in self.MASKS
        ]
        return self._drain3.TemplateMiner(config=config)

    def classed(self, contents: Sequence[str]) -> list[str]:
        """Class each line."""
        miner = self._miner()
        return [str(miner.add_log_message(text)["cluster_id"]) for text in contents]

    def known(self, contents: Sequence[str]) -> list[bool]:
        """Tell of each line of the second half whether its cluster is one of the first's."""
        found = self.classed(contents)
        half = len(contents) // 2
        history = set(found[:half])
        return [one in history for one in found[half:]]


def mean(scores: Sequence[Score]) -> Score:
    """Average over logs; templates are added up."""
    n = len(scores)
    return Score(
        "mean",
        sum(one.ga for one in scores) / n,
        sum(one.false_novel for one in scores) / n,
        sum(one.missed for one in scores),
        sum(one.new for one in scores),
        sum(one.lines_per_s for one in scores) / n,
    )


def main() -> int:
    """Print the table; 0 even where a log does badly: it is a measurement."""
    folder = os.environ.get("BOTDEPLOY_LOGHUB")
    paths = find_logs(Path(folder)) if folder else []
    if not paths:
        sys.stderr.write("BOTDEPLOY_LOGHUB must name a folder with *_2k.log_structured.csv\n")
        return 2
    ways: list[tuple[str, Any, Any]] = [("botdeploy", ours, our_known)]
    try:
        peer = Drain3()
    except ImportError:
        sys.stdout.write("drain3 is not installed: measured alone\n")
    else:
        ways.append(("Drain3", peer.classed, peer.known))
    head = f"{'ga':>6} {'false novel':>12} {'missed':>10}{'lines/s':>9}"
    for name, classed, known in ways:
        scores = [score(path, classed, known) for path in paths]
        sys.stdout.write(f"\n{name:<14}{head}\n")
        for one in [*scores, mean(scores)]:
            sys.stdout.write(f"{one.name:<14}{one}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
