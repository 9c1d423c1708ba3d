"""Downtime: how long a bot is away in a switch, beside a bare restart of the same bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import bots, census
from tests.bench.field import Field, near
from tests.bench.figures import cost_of, median, ratio, say, table
from tests.bench.ways.by_botdeploy import ByBotdeploy, events

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

_RESTART = """\
cursor=$(journalctl -q -u {bot} -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
systemctl restart {bot}
until journalctl -q -u {bot} --after-cursor="$cursor" -o cat | grep -q ^READY; do sleep 0.02; done
"""


def run(lab: Lab, folder: Path, rounds: int) -> None:
    """Switch and restart in turn on one host, and compare what the journal says of each."""
    lab.reset()
    field = Field(lab, folder / "downtime", bots.SMALL, is_parallel=False, targets=near(lab)[:1])
    field.write()
    way = ByBotdeploy(field)
    way.prepare()
    host = field.hosts[0]
    switched: list[float] = []
    told: list[float] = []
    restarted: list[float] = []
    for version in range(1, max(rounds, 3) * 3 + 2):
        bots.write(field.source, field.size, version)
        order = way.roll("")
        cost = cost_of(order.argv, cwd=order.cwd, env=order.env)
        way.check(version)
        if version == 1:
            continue  # the first deploy stops nothing
        switched.append(census.downtime_s(host, way.bot))
        told.append(events(cost.out, "switched")[0]["downtime_s"])
        host.root(_RESTART.format(bot=way.bot))
        restarted.append(census.downtime_s(host, way.bot))
    base = median(restarted)
    rows = [
        ("systemctl restart", f"{1000 * base:.0f}", ratio(base, base)),
        ("switch, by the journal", f"{1000 * median(switched):.0f}", ratio(median(switched), base)),
        ("switch, as it was told", f"{1000 * median(told):.0f}", ratio(median(told), base)),
    ]
    say("\nFrom the order to stop until READY\n")
    say(table(("what", "ms", "of a restart"), rows))
