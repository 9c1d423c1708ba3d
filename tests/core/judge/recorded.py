"""Recorded journals, and all numbers that the judge gave when it judged them.

``python -m tests.core.judge.recorded`` records the numbers anew, with ``journals`` behind it the
journals first. Do so only for a change of the judge that is meant, and say what changed.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import re
import sys
import tempfile
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botdeploy.__main__ import run
from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.judge.after_pass import AfterPass
from botdeploy.core.judge.comparison import APART
from botdeploy.core.judge.count_table import LINES, NEW_ERRORS, WEIGHED, WORK
from botdeploy.core.lines.assembler import Assembler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.lines.line import LogLine

FOLDER = Path(__file__).parents[2] / "data" / "judged"
NUMBERS = FOLDER / "numbers.json"
MINUTE = 60_000_000
SWITCH = 28_333_333 * MINUTE
PAST, WATCH = 180, 70
"""Minutes before and after the switch."""
HOSTS = ("w1", "w2", "w3")


@dataclass(frozen=True)
class Kind:
    """What a bot writes: lines and errors a minute, and how long its work takes (ms)."""

    lines: float = 4.0
    errors: float = 0.3
    took_ms: float = 80.0
    text: str = "ERROR ValueError: upstream said no"
    first: int = 0
    """The minute after the switch in which it begins; before, all is as it was."""


FINE = Kind()
KINDS = {
    "fine": FINE,
    "errs": Kind(errors=4.0),
    "late": Kind(errors=6.0, first=35),
    "slow": Kind(took_ms=150.0),
    "new": Kind(errors=0.8, text="ERROR KeyError: 'guild'"),
    "outage": Kind(errors=5.0, text="ERROR TimeoutError: the gateway did not answer"),
    "silent": Kind(lines=0.0, errors=0.0, first=10),
}
"""By name; of all of them the canary has a journal, of the first and of an outage the others."""


@dataclass(frozen=True)
class Case:
    """One judgement: what the canary does, what the others do, and what is asked for."""

    canary: str
    baseline: str = "fine"
    preset: str = "normal"
    soak_s: int = 600

    @property
    def name(self) -> str:
        return f"{self.canary}, {self.baseline or 'nobody'} beside, {self.preset}"


CASES = [
    Case("fine"),
    Case("fine", preset="careful"),
    Case("fine", preset="quick", soak_s=300),
    Case("fine", baseline=""),
    Case("errs"),
    Case("errs", preset="careful"),
    Case("errs", preset="quick", soak_s=300),
    Case("errs", baseline=""),
    Case("late", preset="careful", soak_s=3600),
    Case("slow"),
    Case("slow", preset="careful"),
    Case("new"),
    Case("new", preset="quick", soak_s=300),
    Case("outage", baseline="outage"),
    Case("outage", baseline="outage", preset="quick", soak_s=300),
    Case("silent"),
]
AFTER = [Case("fine"), Case("late"), Case("late", baseline=""), Case("new"), Case("silent")]
"""Watches after a pass at the switch; the preset and the soak have no part in them."""


# --- the journals ------------------------------------------------------------------------------


def record_journals() -> None:
    """Write the journals: a past for each host, and what came of it by kind."""
    FOLDER.mkdir(exist_ok=True)
    for number, host in enumerate(HOSTS):
        _write(f"{host}-past", _journal(FINE, -PAST, 0, seed=number))
        for name, kind in KINDS.items():
            if host == HOSTS[0] or name in {"fine", "outage"}:
                first = _journal(FINE, 0, kind.first, seed=10 + number)
                _write(
                    f"{host}-{name}", first + _journal(kind, kind.first, WATCH, seed=number + 20)
                )


def _journal(kind: Kind, begin: int, end: int, seed: int) -> list[dict[str, str]]:
    draw = random.Random(seed)  # noqa: S311
    rows: list[tuple[int, str]] = []
    for minute in range(begin, end):
        at_us = SWITCH + minute * MINUTE
        for _ in range(_count(draw, kind.lines)):
            took = kind.took_ms * exp(draw.gauss(0.0, 0.4))
            rows.append((at_us + draw.randrange(MINUTE), f"INFO handled a job in {took:.0f} ms"))
        many = _count(draw, kind.errors)
        rows.extend((at_us + draw.randrange(MINUTE), kind.text) for _ in range(many))
    return [
        {
            "__REALTIME_TIMESTAMP": str(at_us),
            "MESSAGE": text,
            "PRIORITY": "6",
            "_PID": "700" if at_us < SWITCH else "800",
        }
        for at_us, text in sorted(rows)
    ]


def _count(draw: random.Random, mean: float) -> int:
    """Draw a Poisson number (Knuth)."""
    limit, product, many = exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        many += 1
    return many


def _write(name: str, entries: list[dict[str, str]]) -> None:
    text = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
    (FOLDER / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def journals(case: Case, folder: Path) -> dict[str, Path]:
    """Lay each host's whole journal down in a folder, as it would be exported."""
    out = {}
    for host in HOSTS if case.baseline else HOSTS[:1]:
        name = case.canary if host == HOSTS[0] else case.baseline
        out[host] = folder / f"{host}.jsonl.gz"
        parts = (FOLDER / f"{host}-{part}.jsonl.gz" for part in ("past", name))
        out[host].write_bytes(b"".join(part.read_bytes() for part in parts))
    return out


def _lines(file: Path) -> list[LogLine]:
    reader = Assembler()
    rows = gzip.decompress(file.read_bytes()).splitlines()
    return [line for row in rows for line in reader.feed(json.loads(row))] + reader.flush()


# --- the numbers -------------------------------------------------------------------------------


def replayed(case: Case, folder: Path) -> dict[str, Any]:
    """Ask the command line; of its reasons only the numbers count, words may change."""
    files = [str(file) for file in journals(case, folder).values()]
    words = ["--json", "judge", "--replay", files[0], "--preset", case.preset]
    words += ["--soak", f"{case.soak_s}s", "--at", str(SWITCH // 1_000_000)]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run(words + [word for file in files[1:] for word in ("--baseline", file)])
    rows = [json.loads(row) for row in printed.getvalue().splitlines()]
    return {
        "code": code,
        "rows": [[row["minute"], row["outcome"], *_numbers(row["reasons"])] for row in rows],
    }


def _numbers(reasons: list[str]) -> list[float]:
    text = re.sub(r"\bw\d[\w.]*", "", " ".join(reasons))
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def judged(case: Case, folder: Path, *, is_kept: bool = False) -> list[list[float | str]]:
    """Judge minute by minute; by what was kept of the journals as ``promote`` does, or by lines."""
    lines = {host: _lines(file) for host, file in journals(case, folder).items()}
    judge = Judge(
        JudgeOptions.from_policy({"preset": case.preset}, float(case.soak_s)),
        canary=HOSTS[:1],
        baseline=HOSTS[1:] if case.baseline else (),
        switched_at_us={HOSTS[0]: SWITCH},
    )
    if is_kept:
        for host, some in lines.items():
            judge.absorb(host, _kept(host, some), "new")
        now_us = SWITCH + WATCH * MINUTE
        return [_row(judge, WATCH, now_us)]
    feed = sorted(
        ((line.at_us, host, line) for host, some in lines.items() for line in some),
        key=lambda one: one[:2],
    )
    rows: list[list[float | str]] = []
    position = 0
    for minute in range(1, WATCH + 1):
        now_us = SWITCH + minute * MINUTE + 6_000_000
        while position < len(feed) and feed[position][0] <= now_us:
            judge.feed(feed[position][1], feed[position][2])
            position += 1
        rows.append(_row(judge, minute, now_us))
        if rows[-1][1] != "wait":
            break
    return rows[::5] + rows[-1:]


def _kept(host: str, lines: list[LogLine]) -> Evidence:
    kept = Evidence(host)
    kept.open(SWITCH - PAST * MINUTE)
    for line in lines:
        kept.add(line, "new" if host == HOSTS[0] and line.at_us >= SWITCH else "old")
    kept.extend(SWITCH + WATCH * MINUTE)
    return Evidence.from_json(kept.to_json())


def _row(judge: Judge, minute: int, now_us: int) -> list[float | str]:
    verdict = judge.verdict(now_us)
    return [minute, verdict.outcome.value, *evidence_of(judge)]


def evidence_of(judge: Judge) -> list[float]:
    """Give what the judge holds beside its words, to the last digit.

    The one place of these tests that knows how the judge is built. In this order: the e-value of
    each kind of evidence, that of all in hindsight, what condemns, the most that an hour of the
    past reached, and what is excluded of errors, of silence and of slowness.
    """
    test = judge._sequential
    if test is None or test._watch is None:
        return []
    watch = test._watch
    found, parts = watch.comparison, watch.comparison.parts()
    return [
        *(parts[kind][1] for kind in (APART, LINES, WEIGHED, WORK, NEW_ERRORS) if kind in parts),
        found.in_hindsight(),
        test.limit,
        max(watch.windows.so_far if watch.windows else (), default=0.0),
        *(one.safety if one else 0.0 for one in (found.weighed, found.traffic, found.slow)),
    ]


def watched(case: Case, folder: Path) -> list[float | str]:
    """Watch after a pass at the switch: the minute in which it is revoked, and why in numbers."""
    after = AfterPass(HOSTS[:1], HOSTS[1:] if case.baseline else (), {HOSTS[0]: SWITCH})
    for host, file in journals(case, folder).items():
        for line in _lines(file):
            after.feed(host, line)
    for minute in range(1, WATCH):
        failed = after.failure(SWITCH + minute * MINUTE + MINUTE // 2)
        if failed is not None:
            return [minute, failed.outcome.value, *_numbers(list(failed.reasons))]
    return [WATCH, "kept", *(found.e_value for _, found in after._comparisons)]


def all_numbers(folder: Path) -> Mapping[str, Any]:
    """Judge all cases in all ways."""
    return {
        "replayed": {case.name: replayed(case, folder) for case in CASES},
        "judged": {case.name: judged(case, folder) for case in CASES},
        "kept": {case.name: judged(case, folder, is_kept=True) for case in CASES},
        "after": {case.name: watched(case, folder) for case in AFTER},
    }


def main() -> None:
    """Record the numbers, and with ``journals`` the journals first."""
    if "journals" in sys.argv:
        record_journals()
    with tempfile.TemporaryDirectory() as folder:
        found = all_numbers(Path(folder))
    parts = (
        f'"{way}": {{\n'
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in cases.items())
        + "\n}"
        for way, cases in found.items()
    )
    NUMBERS.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
