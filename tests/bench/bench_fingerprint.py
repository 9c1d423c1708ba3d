"""How well fingerprints group the lines of real logs whose true templates are known.

    BOTDEPLOY_LOGHUB=/path/to/loghub python -m tests.bench.bench_fingerprint

The folder holds ``*_2k.log_structured.csv`` of https://github.com/logpai/loghub (Zhu, He, He, Liu,
Lyu: Loghub, ISSRE 2023), which are free for research and not shipped here. Drain3 is measured
beside it where it can be imported.

ga           share of lines whose class holds exactly the lines of their true template
false_novel  share of lines of the second half, of templates known from the first, taken for new
missed       share of templates that first appear in the second half and were taken for known
"""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.core import fingerprint
from botdeploy.core.grouping import group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    joined = group(Counter(names))
    return [joined[name] for name in names]


def novelty(contents: Sequence[str], true: Sequence[str]) -> tuple[float, int, int]:
    """Tell known from new as a judge would, looking again every 50 lines of the second half."""
    half = len(contents) // 2
    names = [fingerprint.of_text(text) for text in contents]
    counts = Counter(names[:half])
    history = set(counts)
    known_true = set(true[:half])
    false_novel = known_lines = missed = 0
    judged: set[str] = set()
    for start in range(half, len(names), STEP):
        chunk = range(start, min(start + STEP, len(names)))
        counts.update(names[at] for at in chunk)
        joined = group(counts)
        known = {joined[name] for name in history}
        for at in chunk:
            is_known = joined[names[at]] in known
            if true[at] in known_true:
                known_lines += 1
                false_novel += not is_known
            elif true[at] not in judged:
                judged.add(true[at])
                missed += is_known
    return false_novel / max(1, known_lines), missed, len(judged)


def measure(path: Path) -> Score:
    """Measure one log."""
    contents, true = read_log(path)
    fingerprint.of_text("warm up")
    started = time.perf_counter()
    found = ours(contents)
    seconds = time.perf_counter() - started
    return Score(
        path.name.split("_2k")[0],
        grouping_accuracy(found, true),
        *novelty(contents, true),
        len(contents) / seconds,
    )


def drain3() -> Callable[[Sequence[str]], list[str]] | None:
    """Give Drain3 with its usual masks, if it is installed."""
    if importlib.util.find_spec("drain3") is None:
        return None
    from drain3 import TemplateMiner  # noqa: PLC0415
    from drain3.masking import MaskingInstruction  # noqa: PLC0415
    from drain3.template_miner_config import TemplateMinerConfig  # noqa: PLC0415

    edge = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
    masks = (
        (r"([0-9a-f]{2,}:){3,}([0-9a-f]{2,})", "ID"),
        (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", "IP"),
        (r"[0-9a-f]{6,} ?){3,}", "SEQ"),
        (r"0x[a-fA-F0-9]+", "HEX"),
        (r"[\-\+]?\d+", "NUM"),
    )

    def run(contents: Sequence[str]) -> list[str]:
        config: Any = TemplateMinerConfig()
        config.masking_instructions = [
            MaskingInstruction(f"{edge[0]}({form}){edge[1]}", name)
            for form, name in masks
            if name != "SEQ"
        ]
        miner = TemplateMiner(config=config)
        return [str(miner.add_log_message(text)["cluster_id"]) for text in contents]

    return run


def main() -> int:
    """Print the table; 0 even when a log does badly: it is a measurement."""
    folder = os.environ.get("BOTDEPLOY_LOGHUB")
    if not folder:
        print("BOTDEPLOY_LOGHUB is not set: no logs to measure on", file=sys.stderr)
        return 2
    paths = find_logs(Path(folder))
    if not paths:
        print(f"no *_2k.log_structured.csv in {folder}", file=sys.stderr)
        return 2
    peer = drain3()
    print(f"{'log':<14} {'ga':>6} {'false novel':>12} {'missed':>9} {'lines/s':>9} {'Drain3 ga':>10} {'lines/s':>9}")
    scores = []
    for path in paths:
        score = measure(path)
        scores.append(score)
        beside = ""
        if peer is not None:
            contents, true = read_log(path)
            started = time.perf_counter()
            theirs = peer(contents)
            seconds = time.perf_counter() - started
            beside = f"{grouping_accuracy(theirs, true):>10.3f} {len(contents) / seconds:>9.0f}"
        print(
            f"{score.name:<14} {score.ga:>6.3f} {score.false_novel:>12.2%} "
            f"{score.missed:>4}/{score.new:<4} {score.lines_per_s:>9.0f} {beside}"
        )
    mean = sum(one.ga for one in scores) / len(scores)
    novel = sum(one.false_novel for one in scores) / len(scores)
    missed, new = sum(one.missed for one in scores), sum(one.new for one in scores)
    speed = sum(one.lines_per_s for one in scores) / len(scores)
    print(f"{'mean':<14} {mean:>6.3f} {novel:>12.2%} {missed:>4}/{new:<4} {speed:>9.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
