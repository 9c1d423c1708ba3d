"""From a command's work to its exit code: the one place that handles errors."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.cli.context import Context
    from botdeploy.errors import ExitCode

_IN_A_FAULT = "hosts keep what they run; a host under lease reverts when the lease ends"


def finish(ctx: typer.Context, work: Callable[[Context], int]) -> NoReturn:
    """Do a command's work and end with its exit code."""
    from botdeploy.cli.context import Context
    from botdeploy.errors import BotdeployError, ExitCode

    context = ctx.find_object(Context)
    if context is None:
        raise RuntimeError("the command line was not set up")
    try:
        code = work(context)
    except BotdeployError as error:
        code = context.failed(error)
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        _record_end(context, ExitCode.INTERRUPTED, "interrupted")
        raise
    except Exception as error:
        from botdeploy.cli.fault import Fault

        _record_end(context, ExitCode.FAULT, _IN_A_FAULT)
        raise Fault(context.mask) from error
    finally:
        context.close()
    raise typer.Exit(code)


def _record_end(context: Context, code: ExitCode, summary: str) -> None:
    """Tell programs and the team of an end that people are told of where the program ends."""
    from botdeploy.engine.outcome import Ended

    with suppress(BrokenPipeError):  # it is no reason to end otherwise
        context.record_end(Ended(code, summary))
