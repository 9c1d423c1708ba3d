"""The parameters of all commands, arguments and options, each with its help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def _value(name: str, metavar: str, text: str, **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=text, **more)


def _environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete ENV by the names of the folder's environments."""
    from botdeploy.inventory.find import environments

    options = ctx.parent.params if ctx.parent is not None else {}
    known = environments(Path(options.get("inventory_dir") or "inventories"))
    return [name for name in known if name.startswith(incomplete)]


def _env(text: str) -> Any:
    return typer.Argument(metavar="ENV", help=text, autocompletion=_environments)


# Optional[…]: Typer reads these types when the program runs, and knows this form in all versions.
Text = Optional[str]  # noqa: UP045

Env = Annotated[str, _env("inventory name or path")]
MaybeEnv = Annotated[Text, _env("inventory name or path; not needed where there is only one")]
AnyEnv = Annotated[Text, _env("inventory name or path; left out: every environment of the folder")]
InventoryDir = Annotated[Path, _value("--inventory-dir", "DIR", "folder of the inventories")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="print more")]

Limit = Annotated[Text, _value("--limit", "PATTERN", "only hosts of this Ansible pattern")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done; change nothing")]
Message = Annotated[str, _value("--message", "TEXT", "the reason, for the history")]
Yes = Annotated[bool, typer.Option("--yes", help="answer yes to all questions")]

Source = Annotated[Text, _value("--source", "PATH", "this source instead of the inventory's")]
Ref = Annotated[Text, _value("--ref", "GITREF", "this branch, tag or commit of the source")]
Release = Annotated[Text, _value("--release", "ID", "a release that is already on the hosts")]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    _value("--set", "KEY=VALUE", "set a variable of the bot's environment"),
]
StopAfter = Annotated[Text, _value("--ring", "NAME", "stop after this ring")]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="release it even if it is in quarantine, or rollout.requires is not met"
    ),
]
TakeOver = Annotated[
    str, _value("--take-over", "OTHER", "take hosts from this other environment for good")
]

Gone = Annotated[str, typer.Argument(metavar="HOST", help="the host, as 'status' lists it")]
DeleteData = Annotated[bool, typer.Option("--delete-data", help="delete its data as well; asks")]
Machine = Annotated[
    Text, _value("--machine", "USER@HOST", "its machine, where the inventory does not lead there")
]

To = Annotated[Text, _value("--to", "ID", "this release instead of the previous one")]
CheckOnly = Annotated[
    bool, typer.Option("--check", help="say whether it is possible; change nothing")
]
Keep = Annotated[bool, typer.Option("--keep", help="do not put the release into quarantine")]

Entries = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--lines", "-n", metavar="N", min=0, max=1_000_000, help="the last N entries; 0: all"
    ),
]
Since = Annotated[Text, _value("--since", "TIME", "only entries from then on: 2h, 3d, 2026-11-30")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="print new lines as they come")]
Lines = Annotated[
    int,
    typer.Option(
        "--lines", "-n", metavar="N", min=0, max=100_000, help="the last N lines of each host"
    ),
]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    _value("--out", "FILE", "file to write (default: botdeploy-report-ENV.html)"),
]

Name = Annotated[str, typer.Argument(metavar="NAME", help="name of the environment")]
Admin = Annotated[Text, _value("--user", "ADMIN", "log in as this administrator")]

LogFile = Annotated[str, typer.Argument(metavar="FILE", help="a log or journal; -: standard input")]
RulesOf = Annotated[Text, _value("--env", "ENV", "use the rules of this inventory")]
Replay = Annotated[str, _value("--replay", "CANARY.jsonl", "the exported journal of the canary")]
MoreFiles = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar="FILE", help="more journals of the baseline"),
]
Baseline = Annotated[
    Optional[list[str]],  # noqa: UP045
    _value("--baseline", "FILE", "an exported journal of the baseline"),
]
Preset = Annotated[Text, _value("--preset", "NAME", "careful, normal or quick")]
Soak = Annotated[str, _value("--soak", "TIME", "length of the soak, as in a ring")]
At = Annotated[Text, _value("--at", "TIME", "when the canary was switched")]
