"""The command line: parse, wire, turn an outcome into an exit code. No decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, Optional

import typer

from botdeploy import __version__
from botdeploy.cli.context import Context, Fault
from botdeploy.engine.outcome import Ended
from botdeploy.errors import BotdeployError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="botdeploy",
    help="Canary deploys for bots on systemd hosts: judged by the journal, returned by themselves.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

Env = Annotated[str, typer.Argument(metavar="ENV", help="inventory name or path")]
MaybeEnv = Annotated[
    Optional[str],  # noqa: UP045 (Typer reads it)
    typer.Argument(
        metavar="[ENV]", help="inventory name or path; may be left out where one is known"
    ),
]
Limit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--limit", metavar="PATTERN", help="only hosts of this Ansible pattern"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would be done")]
Message = Annotated[str, typer.Option("--message", metavar="TEXT", help="why, for the history")]
Source = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--source", metavar="PATH", help="this source instead of the inventory's"),
]
Ref = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--ref", metavar="GITREF", help="this branch, tag or commit of the source"),
]
Release = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--release", metavar="ID", help="a release that is staged already"),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="KEY=VALUE", help="a variable of the bot's environment"),
]
Yes = Annotated[bool, typer.Option("--yes", help="answer yes")]


def _version(wanted: bool) -> None:  # noqa: FBT001 (Typer's callback)
    if wanted:
        typer.echo(f"botdeploy {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    inventory_dir: Annotated[
        Path, typer.Option("--inventory-dir", metavar="DIR", help="where environments are found")
    ] = Path("inventories"),
    as_json: Annotated[bool, typer.Option("--json", help="machine output")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="tell more")] = False,
    _show_version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Release bots in rings, and take them back by themselves."""
    ctx.obj = Context(inventory_dir=inventory_dir, as_json=as_json, verbose=verbose)


def _finish(ctx: typer.Context, work: Callable[[Context], int]) -> NoReturn:
    """Do a command's work and end with its exit code."""
    context = ctx.find_object(Context)
    if context is None:
        raise RuntimeError("the command line was not set up")
    try:
        code = work(context)
    except BotdeployError as error:
        code = context.failed(error)
    except (typer.Exit, KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:
        context.tell_end(Ended(ExitCode.FAULT, "its hosts keep what they run, or go back by lease"))
        raise Fault(context.mask) from error
    finally:
        context.close()
    raise typer.Exit(code)


@app.command()
def init(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "prod",
    dry_run: DryRun = False,
) -> None:
    """Write a commented starter: inventory, templates, cron line and timer."""
    from botdeploy.cli import setup

    _finish(ctx, lambda context: setup.init(context, name, dry_run=dry_run))


@app.command()
def check(ctx: typer.Context, env: Env, limit: Limit = None) -> None:
    """Try every host as a rollout would, and say how to mend each fault."""
    from botdeploy.cli.check import check as run

    _finish(ctx, lambda context: run(context, env, limit))


@app.command()
def setup(
    ctx: typer.Context,
    env: Env,
    user: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--user", metavar="ADMIN", help="log in as this administrator"),
    ] = None,
    limit: Limit = None,
    dry_run: DryRun = False,
) -> None:
    """Prepare hosts once: folders, the bot's user, the least sudo rights."""
    from botdeploy.cli import setup

    _finish(ctx, lambda context: setup.setup(context, env, limit, user=user, dry_run=dry_run))


@app.command()
def plan(
    ctx: typer.Context,
    env: Env,
    source: Source = None,
    ref: Ref = None,
    release: Release = None,
    set_: Set = None,
    limit: Limit = None,
) -> None:
    """Say what canary would do; change nothing."""
    from botdeploy.cli import deploy

    request = deploy.Request(source, ref, release, tuple(set_ or ()), limit=limit)
    _finish(ctx, lambda context: deploy.plan(context, env, request))


@app.command()
def canary(
    ctx: typer.Context,
    env: Env,
    source: Source = None,
    ref: Ref = None,
    release: Release = None,
    set_: Set = None,
    ring: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--ring", metavar="NAME", help="stop after this ring"),
    ] = None,
    message: Message = "",
    limit: Limit = None,
    force: Annotated[bool, typer.Option("--force", help="accept a quarantined release")] = False,
    take_over: Annotated[
        str,
        typer.Option(
            "--take-over", metavar="OTHER", help="take hosts from this other environment for good"
        ),
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Release: stage everywhere, switch the canary, judge it, roll on."""
    from botdeploy.cli import deploy

    request = deploy.Request(
        source,
        ref,
        release,
        tuple(set_ or ()),
        ring=ring,
        message=message,
        limit=limit,
        force=force,
        yes=yes,
        take_over=take_over,
    )
    run = deploy.plan if dry_run else deploy.canary
    _finish(ctx, lambda context: run(context, env, request))


@app.command()
def promote(
    ctx: typer.Context,
    env: Env,
    limit: Limit = None,
    dry_run: DryRun = False,
) -> None:
    """Take one step for cron; silent when nothing is due."""
    from botdeploy.cli import deploy

    _finish(ctx, lambda context: deploy.promote(context, env, limit, dry_run=dry_run))


@app.command()
def rollback(
    ctx: typer.Context,
    env: MaybeEnv = None,
    to: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--to", metavar="ID", help="this release instead of the previous one"),
    ] = None,
    limit: Limit = None,
    check: Annotated[bool, typer.Option("--check", help="is it possible? changes nothing")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="do not quarantine the release")] = False,
    message: Message = "",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take every host back to its proven previous release at once."""
    from botdeploy.cli import deploy

    del yes  # a rollback never asks: it is typed in a hurry
    _finish(
        ctx,
        lambda context: deploy.rollback(
            context,
            env,
            limit,
            to=to,
            is_check=check or dry_run,
            keep=keep,
            message=message,
        ),
    )


@app.command()
def status(ctx: typer.Context, env: MaybeEnv = None, limit: Limit = None) -> None:
    """Say what truly runs on each host."""
    from botdeploy.cli import status

    _finish(ctx, lambda context: status.status(context, env, limit))


@app.command()
def releases(ctx: typer.Context, env: Env, limit: Limit = None) -> None:
    """List the releases on each host."""
    from botdeploy.cli import status

    _finish(ctx, lambda context: status.releases(context, env, limit))


@app.command()
def history(
    ctx: typer.Context,
    env: Env,
    lines: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--lines", "-n", metavar="N", min=0, max=1_000_000, help="the last N entries; 0: all"
        ),
    ] = None,
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", metavar="TIME", help="only from then on: 2h, 3d, 2026-11-30"),
    ] = None,
    limit: Limit = None,
) -> None:
    """Say who did what when, and why it ended so."""
    from botdeploy.cli import status

    _finish(ctx, lambda context: status.history(context, env, limit, count=lines, since=since))


@app.command()
def logs(
    ctx: typer.Context,
    env: Env,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with new lines")] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", metavar="N", min=0, max=100_000, help="the last N lines of each host"
        ),
    ] = 50,
    limit: Limit = None,
) -> None:
    """Print the bot's lines from all hosts, merged, marked by release."""
    from botdeploy.cli.logs import logs as run

    _finish(ctx, lambda context: run(context, env, limit, follow=follow, count=lines))


@app.command()
def report(
    ctx: typer.Context,
    env: Env,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", metavar="FILE", help="where to; else botdeploy-report-ENV.html"),
    ] = None,
) -> None:
    """Write one HTML page of the last rollout, with its charts."""
    from botdeploy.cli import report

    _finish(ctx, lambda context: report.report(context, env, out))


@app.command()
def approve(
    ctx: typer.Context,
    env: Env,
    message: Message = "",
    dry_run: DryRun = False,
) -> None:
    """Open the gate of the ring that waits for it."""
    from botdeploy.cli import gates

    _finish(ctx, lambda context: gates.approve(context, env, message, dry_run=dry_run))


@app.command()
def hold(
    ctx: typer.Context,
    env: Env,
    message: Message = "",
    dry_run: DryRun = False,
) -> None:
    """Stop promotions until resume; what runs goes on running."""
    from botdeploy.cli import gates

    _finish(ctx, lambda context: gates.hold(context, env, message, dry_run=dry_run))


@app.command()
def resume(
    ctx: typer.Context,
    env: Env,
    message: Message = "",
    dry_run: DryRun = False,
) -> None:
    """End a hold."""
    from botdeploy.cli import gates

    _finish(ctx, lambda context: gates.resume(context, env, message, dry_run=dry_run))


@app.command()
def unlock(
    ctx: typer.Context,
    env: Env,
    message: Message = "",
    dry_run: DryRun = False,
) -> None:
    """Take a lock away by hand."""
    from botdeploy.cli import gates

    _finish(ctx, lambda context: gates.unlock(context, env, message, dry_run=dry_run))


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of the inventory's keys."""
    from botdeploy.cli import setup

    _finish(ctx, setup.schema)


@app.command()
def fingerprint(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="a log; - is standard input")] = "-",
    env: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--env", metavar="ENV", help="use this inventory's rules"),
    ] = None,
) -> None:
    """Print the classes of errors in a log, with counts."""
    from botdeploy.cli import judge

    _finish(ctx, lambda context: judge.fingerprint(context, file, env))


@app.command()
def judge(
    ctx: typer.Context,
    replay: Annotated[
        str, typer.Option("--replay", metavar="CANARY.jsonl", help="the canary's exported journal")
    ],
    files: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[FILE]...", help="more journals of the baseline"),
    ] = None,
    baseline: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--baseline", metavar="FILE", help="a journal of the baseline"),
    ] = None,
    env: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--env", metavar="ENV", help="use this inventory's rules and options"),
    ] = None,
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--preset", metavar="NAME", help="careful, normal or quick"),
    ] = None,
    soak: Annotated[str, typer.Option("--soak", metavar="TIME", help="as in a ring")] = "60m",
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--at", metavar="TIME", help="when the canary was switched"),
    ] = None,
) -> None:
    """Judge exported journals as a rollout would have, minute by minute."""
    from botdeploy.cli import judge

    others = [*(baseline or ()), *(files or ())]
    _finish(
        ctx,
        lambda context: judge.judge(
            context, replay, others, environment=env, preset=preset, soak=soak, at=at
        ),
    )
