"""``python -m tests.bench``: times, bytes and round trips, as ratios, on hosts of the lab."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import bots, downtime, roll, startup, transport
from tests.bench.figures import note
from tests.lab import lab as labs
from tests.lab import machine
from tests.lab.registry import Owner

PARTS = ("startup", "downtime", "transport", "roll")


def main(argv: list[str] | None = None) -> int:
    """Measure what the command line asks for."""
    args = _parser().parse_args(argv)
    if args.parts == ["growth"]:  # the one part whose hosts are no lab
        from tests.bench import growth  # noqa: PLC0415 (needs asyncssh, which no other part does)

        fleets = [int(one) for one in args.hosts.split(",")]
        with tempfile.TemporaryDirectory(prefix="growth-") as place:
            growth.run(Path(place), fleets, args.batch)
        return 0
    if reason := machine.why_not():
        sys.stderr.write(f"the bench needs the lab: {reason}\n")
        return 2
    parts = args.parts or list(PARTS)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    name = args.lab or f"bench-{os.getpid()}"
    if args.lab:
        lab = labs.attach(args.lab)
    else:
        lab = labs.up(max(int(args.hosts), 1), name=name, owner=Owner.me(), say=note)
    try:
        if "startup" in parts:
            startup.run(lab, folder, args.rounds)
        if "downtime" in parts:
            downtime.run(lab, folder, args.rounds)
        if "transport" in parts:
            transport.run(lab, folder, args.rounds, args.rtt)
        if "roll" in parts:
            sizes = [bots.SIZES[one] for one in args.size.split(",")]
            hosts = min(int(args.hosts), len(lab))
            roll.run(lab, folder, roll.jobs(hosts, sizes, args.rtt), args.rounds, args.way)
    finally:
        if not args.lab:
            labs.down(name)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS, "growth"], metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--hosts", default="5", metavar="N", help="of the roll; growth: N,N,…")
    parser.add_argument("--batch", type=int, default=25, metavar="N", help="of growth's fleet")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians of so many")
    parser.add_argument("--size", default="small,medium", help="bots of the roll")
    parser.add_argument("--rtt", type=float, default=40, metavar="MS", help="0 leaves it out")
    parser.add_argument("--way", action="append", default=[], help="only these ways to roll")
    parser.add_argument("--lab", metavar="NAME", help="a lab that runs (it is reset)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
