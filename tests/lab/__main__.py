"""The lab's command line."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.lab import lab as labs
from tests.lab import registry
from tests.lab.base import MORE, SUITE, base_tree, prune
from tests.lab.shell import LabError


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says, and answer the exit status."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.act(args)
    except LabError as error:
        _say(f"lab: {error}")
        return 1
    return status


def _say(text: str) -> None:
    """Tell a person, at once; what a script may read goes to standard output by `_answer`."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _answer(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _up(args: argparse.Namespace) -> int:
    lab = labs.up(args.hosts, name=args.name, disk_mb=args.disk, suite=args.suite, say=_say)
    _say(f"try: python -m tests.lab ssh --name {lab.name} h1")
    return 0


def _down(args: argparse.Namespace) -> int:
    if args.stale:
        labs.down_stale(say=_say)
    else:
        labs.down(args.name, say=_say)
    return 0


def _list(_: argparse.Namespace) -> int:
    for record in registry.records():
        lab = labs.Lab(record)
        running = sum(host.is_on for host in lab)
        state = f"stale: {reason}" if (reason := record.stale()) else "up"
        owner = f"process {record.owner.pid}" if record.owner else "until down"
        _answer(
            f"{record.name:20} {running}/{len(lab)} hosts  {record.network.cidr:18}"
            f" {record.user}, {owner}  {state}  {record.folder}"
        )
    return 0


def _ssh(args: argparse.Namespace) -> int:
    lab = labs.attach(args.name)
    host = lab[args.host]
    user = ["-l", args.user] if args.user else []
    argv = ["ssh", "-F", str(lab.ssh_config), *user, host.name, *args.command]
    return subprocess.run(argv, check=False).returncode


def _reset(args: argparse.Namespace) -> int:
    began = time.monotonic()
    lab = labs.attach(args.name)
    lab.reset()
    _say(f"{len(lab)} hosts of {lab.name} as new in {time.monotonic() - began:.1f} s")
    return 0


def _base(args: argparse.Namespace) -> int:
    _answer(str(base_tree(_say, args.suite)))
    if args.prune:
        if registry.records():
            raise LabError("labs are running; take them down before old base trees go")
        for name in prune():
            _say(f"removed {name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description="Real Debian hosts on this machine, to deploy to."
    )
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument(
        "--name",
        default=registry.DEFAULT_NAME,
        help=f"which lab; {registry.DEFAULT_NAME!r} is the one of inventories/lab.yml",
    )
    suite = argparse.ArgumentParser(add_help=False)
    suite.add_argument("--suite", choices=sorted(MORE), default=SUITE, help="the hosts' Debian")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[name, suite], help="start hosts h1 to hN")
    up.add_argument("hosts", nargs="?", type=int, default=4, metavar="N")
    up.add_argument(
        "--disk",
        type=int,
        default=0,
        metavar="MB",
        help="give each host a disk of its own, which can be full and lose what was not synced",
    )
    up.set_defaults(act=_up)

    down = commands.add_parser("down", parents=[name], help="stop them and leave nothing behind")
    down.add_argument("--stale", action="store_true", help="every lab whose owner is dead")
    down.set_defaults(act=_down)

    listing = commands.add_parser("list", help="the labs of this machine")
    listing.set_defaults(act=_list)

    reset = commands.add_parser(
        "reset", parents=[name], help="undo on the running hosts what was deployed or broken"
    )
    reset.set_defaults(act=_reset)

    ssh = commands.add_parser("ssh", parents=[name], help="log in, or run a command")
    ssh.add_argument("--user", "-l", help="deploy (the default), plain or root")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    ssh.set_defaults(act=_ssh)

    base = commands.add_parser("base", parents=[suite], help="make the base tree only")
    base.add_argument("--prune", action="store_true", help="and remove those of old recipes")
    base.set_defaults(act=_base)
    return parser


if __name__ == "__main__":
    sys.exit(main())
