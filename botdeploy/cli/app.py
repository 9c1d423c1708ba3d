"""The command line: parse, wire, turn an outcome into an exit code. No decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from botdeploy import __version__
from botdeploy.cli import parameters as opt  # noqa: TC001 (Typer reads them)
from botdeploy.cli.finish import finish

app = typer.Typer(
    name="botdeploy",
    help="Canary deploys for bots on systemd hosts, judged by the bot's journal.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 (Typer's callback)
    if wanted:
        typer.echo(f"botdeploy {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    inventory_dir: opt.InventoryDir = Path("inventories"),
    as_json: opt.AsJson = False,
    verbose: opt.Verbose = False,
    _show_version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Deploy bots ring by ring, and revert releases that fail."""
    from botdeploy.cli.context import Context

    ctx.obj = Context(inventory_dir=inventory_dir, as_json=as_json, verbose=verbose)


@app.command()
def init(ctx: typer.Context, name: opt.Name = "prod", dry_run: opt.DryRun = False) -> None:
    """Write a commented example of an inventory, with templates."""
    from botdeploy.cli import setup

    finish(ctx, lambda context: setup.init(context, name, dry_run=dry_run))


@app.command()
def check(ctx: typer.Context, env: opt.Env, limit: opt.Limit = None) -> None:
    """Test all that a rollout needs, and say how to mend faults."""
    from botdeploy.cli.check import check as run

    finish(ctx, lambda context: run(context, env, limit))


@app.command()
def setup(
    ctx: typer.Context,
    env: opt.Env,
    user: opt.Admin = None,
    limit: opt.Limit = None,
    dry_run: opt.DryRun = False,
) -> None:
    """Prepare hosts once: folders, user and sudo rights."""
    from botdeploy.cli import setup

    finish(ctx, lambda context: setup.setup(context, env, limit, user=user, dry_run=dry_run))


@app.command()
def plan(
    ctx: typer.Context,
    env: opt.Env,
    source: opt.Source = None,
    ref: opt.Ref = None,
    release: opt.Release = None,
    set_: opt.Set = None,
    limit: opt.Limit = None,
) -> None:
    """Say what canary would do; change nothing."""
    from botdeploy.cli import deploy

    request = deploy.Request(source, ref, release, tuple(set_ or ()), limit=limit)
    finish(ctx, lambda context: deploy.plan(context, env, request))


@app.command()
def canary(
    ctx: typer.Context,
    env: opt.Env,
    source: opt.Source = None,
    ref: opt.Ref = None,
    release: opt.Release = None,
    set_: opt.Set = None,
    ring: opt.StopAfter = None,
    message: opt.Message = "",
    limit: opt.Limit = None,
    force: opt.Force = False,
    take_over: opt.TakeOver = "",
    yes: opt.Yes = False,
    dry_run: opt.DryRun = False,
) -> None:
    """Deploy a release to the canary, judge it, go on ring by ring."""
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
    finish(ctx, lambda context: run(context, env, request))


@app.command()
def promote(
    ctx: typer.Context, env: opt.Env, limit: opt.Limit = None, dry_run: opt.DryRun = False
) -> None:
    """Do what is due in a rollout; for cron."""
    from botdeploy.cli import promote as command

    finish(ctx, lambda context: command.promote(context, env, limit, dry_run=dry_run))


@app.command()
def rollback(
    ctx: typer.Context,
    env: opt.MaybeEnv = None,
    to: opt.To = None,
    limit: opt.Limit = None,
    check: opt.CheckOnly = False,
    keep: opt.Keep = False,
    message: opt.Message = "",
    yes: opt.Yes = False,
    dry_run: opt.DryRun = False,
) -> None:
    """Revert all hosts to their previous proven release, at once."""
    from botdeploy.cli import deploy

    del yes  # a rollback never asks: it is typed in a hurry
    asked = deploy.RollbackRequest(to, limit, message, keep=keep, is_check=check or dry_run)
    finish(ctx, lambda context: deploy.rollback(context, env, asked))


@app.command()
def status(ctx: typer.Context, env: opt.AnyEnv = None, limit: opt.Limit = None) -> None:
    """Say what runs on each host, and how the rollout stands."""
    from botdeploy.cli import status

    finish(ctx, lambda context: status.status(context, env, limit))


@app.command()
def releases(ctx: typer.Context, env: opt.Env, limit: opt.Limit = None) -> None:
    """List the releases on each host."""
    from botdeploy.cli import status

    finish(ctx, lambda context: status.releases(context, env, limit))


@app.command()
def history(
    ctx: typer.Context,
    env: opt.AnyEnv = None,
    lines: opt.Entries = None,
    since: opt.Since = None,
    limit: opt.Limit = None,
) -> None:
    """List who did what and when, with outcome and reason."""
    from botdeploy.cli import status

    finish(ctx, lambda context: status.history(context, env, limit, count=lines, since=since))


@app.command()
def logs(
    ctx: typer.Context,
    env: opt.AnyEnv = None,
    follow: opt.Follow = False,
    lines: opt.Lines = 50,
    limit: opt.Limit = None,
) -> None:
    """Print the bot's log lines of all hosts, with their releases."""
    from botdeploy.cli.logs import logs as run

    finish(ctx, lambda context: run(context, env, limit, follow=follow, count=lines))


@app.command()
def report(ctx: typer.Context, env: opt.Env, out: opt.Out = None) -> None:
    """Write an HTML page about the last rollout, with charts."""
    from botdeploy.cli import report

    finish(ctx, lambda context: report.report(context, env, out))


@app.command()
def approve(
    ctx: typer.Context, env: opt.Env, message: opt.Message = "", dry_run: opt.DryRun = False
) -> None:
    """Let the rollout go on to the ring that waits for it."""
    from botdeploy.cli.gates import gate

    finish(ctx, lambda context: gate(context, "approve", env, message, dry_run=dry_run))


@app.command()
def hold(
    ctx: typer.Context, env: opt.Env, message: opt.Message = "", dry_run: opt.DryRun = False
) -> None:
    """Stop promotions until resume; bots keep running."""
    from botdeploy.cli.gates import gate

    finish(ctx, lambda context: gate(context, "hold", env, message, dry_run=dry_run))


@app.command()
def resume(
    ctx: typer.Context, env: opt.Env, message: opt.Message = "", dry_run: opt.DryRun = False
) -> None:
    """End a hold."""
    from botdeploy.cli.gates import gate

    finish(ctx, lambda context: gate(context, "resume", env, message, dry_run=dry_run))


@app.command()
def unlock(
    ctx: typer.Context, env: opt.Env, message: opt.Message = "", dry_run: opt.DryRun = False
) -> None:
    """Remove the lock that another command left or holds."""
    from botdeploy.cli.gates import gate

    finish(ctx, lambda context: gate(context, "unlock", env, message, dry_run=dry_run))


@app.command()
def retire(
    ctx: typer.Context,
    env: opt.Env,
    host: opt.Gone,
    delete_data: opt.DeleteData = False,
    machine: opt.Machine = None,
    yes: opt.Yes = False,
) -> None:
    """Take a bot away from a machine; its data stays."""
    from botdeploy.cli.retire import RetireRequest
    from botdeploy.cli.retire import retire as run

    request = RetireRequest(host, machine, delete_data=delete_data, yes=yes)
    finish(ctx, lambda context: run(context, env, request))


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of the inventory's keys."""
    from botdeploy.cli import setup

    finish(ctx, setup.schema)


@app.command()
def fingerprint(ctx: typer.Context, file: opt.LogFile = "-", env: opt.RulesOf = None) -> None:
    """List the kinds of errors in a log, with counts."""
    from botdeploy.cli import judge

    finish(ctx, lambda context: judge.fingerprint(context, file, env))


@app.command()
def judge(
    ctx: typer.Context,
    replay: opt.Replay,
    files: opt.MoreFiles = None,
    baseline: opt.Baseline = None,
    env: opt.RulesOf = None,
    preset: opt.Preset = None,
    soak: opt.Soak = "60m",
    at: opt.At = None,
) -> None:
    """Judge exported journals as a rollout would, minute by minute."""
    from botdeploy.cli import judge

    others = [*(baseline or ()), *(files or ())]
    journals = judge.Journals(replay, tuple(others), at)
    finish(ctx, lambda context: judge.judge(context, journals, env, preset=preset, soak=soak))
