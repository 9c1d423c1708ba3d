"""How fast journals are judged, and in how much memory.

    python -m tests.bench.judge_speed [--lines 100000] [--hosts 20] [--rate 1000]

First the lines of a canary and three hosts of the baseline, from parsed JSON to the verdict, on one
core, a judge that is asked at every second of the journals; several times over, for the memory.
Then the journals of ``--hosts`` hosts as they come from a live stream, at ``--rate`` lines a second
each, from bytes on: what share of a core that takes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.assembler import Assembler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.verdict import Verdict

SECOND_US = 1_000_000
SWITCH_US = 1_700_000_040 * SECOND_US
HOSTS = 4
PAST_MIN = 120
ROUNDS = 3
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KINDS = (
    "upstream {n} said no",
    "no such user {n}",
    "rate limited for {n} ms",
    "guild {n} is gone",
    "message {n} was too long",
)


def entries(host: str, begin_us: int, end_us: int, lines: int, seed: int) -> list[dict[str, Any]]:
    """Give about so many entries of a bot as a host hands them out, spread over this time.

    A third of the lines are JSON with a latency; two in a hundred are errors, of which one in ten
    is a stack trace of five entries.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation
    out: list[dict[str, Any]] = []
    for at in sorted(rng.randrange(begin_us, end_us) for _ in range(lines)):
        for text in _texts(rng):
            out.append(
                {
                    "__REALTIME_TIMESTAMP": str(at),
                    "__CURSOR": f"s=0f3c;i={len(out):x};b=9d;m={at:x};t={at:x};x=1",
                    "_PID": "4242",
                    "PRIORITY": "6",
                    "_SYSTEMD_UNIT": "echobot.service",
                    "_SYSTEMD_INVOCATION_ID": f"{host}{'0' * 30}",
                    "MESSAGE": text,
                }
            )
    return out


def _texts(rng: random.Random) -> list[str]:
    number = rng.randrange(10**9)
    draw = rng.random()
    # a third of the lines are JSON, two in a hundred are errors, a tenth of those traces
    if draw < 0.002:
        return [
            "Traceback (most recent call last):",
            f'  File "/opt/echobot/current/economy.py", line {number % 900}, in pay',
            "    balance = accounts[user]",
            "              ~~~~~~~~^^^^^^",
            f"KeyError: {number}",
        ]
    if draw < 0.02:
        return ["ERROR bot.http: " + rng.choice(_KINDS).format(n=number)]
    if draw < 0.35:
        record = {"level": "info", "event": "handled", "user": number, "duration_ms": number % 300}
        return [json.dumps(record)]
    return [f"INFO bot.cmd: /ban by {number} in guild {number * 7} ok"]


def judge_of(names: list[str]) -> Judge:
    """Give a judge of the first host, with the others as its baseline, in ``normal``."""
    policy = {"preset": "normal"}
    return Judge(
        JudgeOptions.from_policy(policy, 600.0),
        canary=names[:1],
        baseline=names[1:],
        switched_at_us={names[0]: SWITCH_US},
    )


def judged(journals: dict[str, list[dict[str, Any]]]) -> Verdict:
    """Judge parsed journals, from their entries to the last verdict."""
    judge = judge_of(list(journals))
    assemblers = {name: Assembler() for name in journals}
    ask_us = SWITCH_US
    for name, entry in _in_time(journals):
        at_us = int(entry["__REALTIME_TIMESTAMP"])
        while at_us >= ask_us:
            judge.verdict(ask_us)
            ask_us += SECOND_US
        for line in assemblers[name].feed(entry):
            judge.feed(name, line)
    for name, assembler in assemblers.items():
        for line in assembler.flush():
            judge.feed(name, line)
    return judge.verdict(ask_us + 10 * SECOND_US)


def _in_time(journals: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = [
        (entry["__REALTIME_TIMESTAMP"], name, entry)
        for name in journals
        for entry in journals[name]
    ]
    rows.sort(key=lambda row: row[:2])
    return ((name, entry) for _, name, entry in rows)


def rss_mb() -> float:
    """Give this process's memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def from_parsed(lines: int) -> None:
    """Print how long so many lines take from parsed JSON to the verdict, and the memory."""
    length_us = 20 * 60 * SECOND_US
    begin = SWITCH_US - PAST_MIN * 60 * SECOND_US
    each = lines // HOSTS
    journals = {
        f"w{n}": entries(f"w{n}", begin, SWITCH_US + length_us, each, n) for n in range(HOSTS)
    }
    many = sum(len(rows) for rows in journals.values())
    for turn in range(1, ROUNDS + 1):
        before = rss_mb()
        started = process_time()
        verdict = judged(journals)
        took = process_time() - started
        _say(
            f"{many} entries of {HOSTS} hosts judged in {took:.2f} s of one core"
            f" ({many / took:,.0f}/s): {verdict.outcome.value};"
            f" round {turn}, memory {before:.0f} MB before, {rss_mb():.0f} MB after"
        )


def live(hosts: int, rate: int, seconds: int = 10) -> None:
    """Print what share of a core a live fleet takes, from bytes to verdicts asked each second."""
    names = [f"w{n}" for n in range(hosts)]
    judge = judge_of(names)
    assemblers = {name: Assembler() for name in names}
    for number, name in enumerate(names):
        past = entries(name, SWITCH_US - 600 * SECOND_US, SWITCH_US, 600, number)
        for entry in past:
            for line in assemblers[name].feed(entry):
                judge.feed(name, line)
    spent = 0.0
    memory = []
    for second in range(seconds):
        begin = SWITCH_US + second * SECOND_US
        rows = {
            name: [
                json.dumps(entry).encode()
                for entry in entries(name, begin, begin + SECOND_US, rate, second)
            ]
            for name in names
        }
        started = process_time()
        for name, some in rows.items():
            assembler = assemblers[name]
            for row in some:
                for line in assembler.feed(json.loads(row)):
                    judge.feed(name, line)
        judge.verdict(begin + SECOND_US)
        spent += process_time() - started
        memory.append(rss_mb())
    _say(
        f"{hosts} hosts x {rate} lines/s live: {100 * spent / seconds:.0f} % of one core;"
        f" memory {memory[1]:.0f} MB after 2 s, {memory[-1]:.0f} MB after {seconds} s"
    )


def main() -> None:
    """Measure what the command line asks for."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--lines", type=int, default=100_000)
    asked.add_argument("--hosts", type=int, default=20)
    asked.add_argument("--rate", type=int, default=1000)
    given = asked.parse_args()
    from_parsed(given.lines)
    live(given.hosts, given.rate)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
