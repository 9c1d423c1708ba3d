"""From a command's work to its exit code: the one place that handles errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

from botdeploy.cli.context import Context, Fault
from botdeploy.engine.outcome import Ended
from botdeploy.errors import BotdeployError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

_IN_A_FAULT = "hosts keep what they run; a host under lease reverts when the lease ends"


def finish(ctx: typer.Context, work: Callable[[Context], int]) -> NoReturn:
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
        context.tell_end(Ended(ExitCode.FAULT, _IN_A_FAULT))
        raise Fault(context.mask) from error
    finally:
        context.close()
    raise typer.Exit(code)
