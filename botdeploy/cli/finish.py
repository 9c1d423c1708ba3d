"""From a command's work to its exit code: the one place that handles errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.cli.context import Context

_IN_A_FAULT = "hosts keep what they run; a host under lease reverts when the lease ends"


def finish(ctx: typer.Context, work: Callable[[Context], int]) -> NoReturn:
    """Do a command's work and end with its exit code."""
    from botdeploy.cli.context import Context
    from botdeploy.errors import BotdeployError

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
        from botdeploy.cli.fault import Fault
        from botdeploy.engine.outcome import Ended
        from botdeploy.errors import ExitCode

        context.tell_end(Ended(ExitCode.FAULT, _IN_A_FAULT))
        raise Fault(context.mask) from error
    finally:
        context.close()
    raise typer.Exit(code)
