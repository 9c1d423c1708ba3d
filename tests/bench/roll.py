"""The roll: hosts that run v1 of a bot get v2, by botdeploy and by what others use.

Each round takes every way once, in turn, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench import bots, census
from tests.bench.field import Field, far, near
from tests.bench.figures import BenchError, Cost, cost_of, median, note, ratio, say, table
from tests.bench.ways.by_ansible import ByAnsible
from tests.bench.ways.by_botdeploy import ByBotdeploy
from tests.bench.ways.by_fabric import ByFabric
from tests.bench.ways.by_hand import ByHand, ByHandTuned
from tests.bench.ways.by_pyinfra import ByPyinfra

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.bots import Size
    from tests.bench.census import Counted
    from tests.bench.ways.way import Order, Way
    from tests.lab.lab import Lab

WAYS: tuple[type[Way], ...] = (ByBotdeploy, ByHand, ByHandTuned, ByFabric, ByPyinfra, ByAnsible)
BASE = ByHand.name


@dataclass(frozen=True, slots=True)
class Job:
    """One comparison: how many hosts, which bot, how, and how far away they are."""

    hosts: int
    size: Size
    is_parallel: bool = False
    rtt_ms: float = 0.0
    is_back: bool = False

    def __str__(self) -> str:
        act = "rollback" if self.is_back else f"roll, {self.size.name} bot"
        how = "" if self.hosts == 1 else ", at once" if self.is_parallel else ", one by one"
        away = f", {self.rtt_ms:g} ms away" if self.rtt_ms else ""
        return f"{act}, {self.hosts} host{'s' * (self.hosts > 1)}{how}{away}"


@dataclass(frozen=True, slots=True)
class Taken:
    """What one way took for one job, once."""

    cost: Cost
    counted: Counted
    downtime_s: float


def jobs(count: int, sizes: list[Size], rtt_ms: float) -> list[Job]:
    """List what is compared."""
    found: list[Job] = []
    for size in sizes:
        found += [Job(1, size), Job(count, size), Job(count, size, is_parallel=True)]
    found.append(Job(count, sizes[0], is_parallel=True, is_back=True))
    if rtt_ms:
        found += [
            Job(1, sizes[0], rtt_ms=rtt_ms),
            Job(count, sizes[0], rtt_ms=rtt_ms),
        ]
    return found


def run(
    lab: Lab, folder: Path, wanted: list[Job], rounds: int, names: list[str]
) -> dict[Job, dict[str, list[Taken]]]:
    """Measure all jobs; prints a table after each."""
    lab.reset()
    census.prepare(lab)
    kinds: list[type[Way]] = []
    for kind in WAYS:
        if names and kind.name not in names and kind.bot not in names:
            continue
        reason = kind.why_not()
        if reason:
            say(f"skipped: {kind.name}: {reason}")
        else:
            kinds.append(kind)
    results: dict[Job, dict[str, list[Taken]]] = {}
    version = 0
    for number, job in enumerate(wanted):
        if number == 0 or job.size != wanted[number - 1].size:
            shutil.rmtree(folder / "source", ignore_errors=True)
        with ExitStack() as stack:
            targets = stack.enter_context(far(lab, job.rtt_ms)) if job.rtt_ms else near(lab)
            field = Field(lab, folder, job.size, job.is_parallel, targets[: job.hosts])
            field.write()
            ways = [kind(field) for kind in kinds]
            for way in ways:
                way.prepare()
            results[job], version = _measure(job, field, ways, rounds, version)
        say(f"\n{job}\n\n{shown(results[job])}\n")
    say(round_trips(results))
    return results


def _measure(
    job: Job, field: Field, ways: list[Way], rounds: int, version: int
) -> tuple[dict[str, list[Taken]], int]:
    taken: dict[str, list[Taken]] = defaultdict(list)
    # The first one is not counted: it brings every host to one version, from whatever it ran.
    standing = version + 1
    for number in range(-1, rounds):
        version += 1
        bots.write(field.source, field.size, version)
        turn = number % len(ways)
        for way in (*ways[turn:], *ways[:turn]):
            try:
                one = _once(way, field, way.roll(f"r{version:05d}"))
                way.check(version)
                if job.is_back and number >= 0:
                    way.between()
                    one = _once(way, field, way.back())
                    way.check(standing)
            except BenchError as error:
                note(f"{way.name}: {error}")
                continue
            finally:
                way.between()
            if number >= 0:
                note(f"{job}: {way.name} {one.cost.wall_s:.2f} s")
                taken[way.name].append(one)
    return dict(taken), version


def _once(way: Way, field: Field, order: Order) -> Taken:
    counting = census.Census(field.hosts)
    cost = cost_of(order.argv, cwd=order.cwd, env=order.env)
    counted = counting.end()
    downtime = median([census.downtime_s(host, way.bot) for host in field.hosts])
    return Taken(cost, counted, downtime)


def shown(results: dict[str, list[Taken]]) -> str:
    """Lay one job's results out."""
    base = median([one.cost.wall_s for one in results.get(BASE, [])])
    rows = []
    for name, many in results.items():
        wall = median([one.cost.wall_s for one in many])
        counts = [one.counted for one in many]
        rows.append(
            (
                name,
                f"{wall:.2f}",
                ratio(wall, base),
                f"{median([one.cost.cpu_s for one in many]):.2f}",
                f"{max(one.cost.rss_mb for one in many):.0f}",
                f"{median([one.connections for one in counts]):g}",
                f"{median([one.programs for one in counts]):g}",
                f"{median([one.kb_sent for one in counts]):.0f}",
                f"{median([one.kb_received for one in counts]):.0f}",
                f"{median([one.cpu_ms for one in counts]):.0f}",
                f"{1000 * median([one.downtime_s for one in many]):.0f}",
            )
        )
    head = ("way", "wall s", "of floor", "CPU s", "RSS MB", "connections", "programs")
    more = ("kB to host", "kB from host", "host CPU ms", "stop→READY ms")
    return table((*head, *more), rows)


def round_trips(results: dict[Job, dict[str, list[Taken]]]) -> str:
    """Say how many round trips each way waits for, from what distance adds to one host's roll."""
    rows = []
    for job, many in results.items():
        close = results.get(Job(job.hosts, job.size))
        if not job.rtt_ms or close is None:
            continue
        for name, one in many.items():
            if not close.get(name):
                continue
            more = median([o.cost.wall_s for o in one]) - median(
                [o.cost.wall_s for o in close[name]]
            )
            trips = 1000 * more / job.rtt_ms
            rows.append((name, job.hosts, f"{trips:.0f}", f"{trips / job.hosts:.0f}"))
    if not rows:
        return ""
    return table(("way", "hosts", "round trips", "per host"), rows)
