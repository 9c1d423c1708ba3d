"""Commands that may be given no ENV: they look at every environment of the folder in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.cli.context import chosen, known_environments
from botdeploy.engine.fleet.fleet import Interrupted
from botdeploy.errors import BotdeployError, ExitCode, NoMatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from botdeploy.cli.context import Context
    from botdeploy.core.model.inventory import Inventory

    Look = Callable[[Inventory, tuple[str, ...]], int]

_BY_WEIGHT = (ExitCode.DONE, ExitCode.UNREACHABLE, ExitCode.USAGE)
"""Which code counts where environments end differently: a later one."""


def of_each(context: Context, environment: str | None, limit: str | None, look: Look) -> int:
    """Look at the hosts of one environment, or of every one of the folder; gives the exit code.

    An environment that can't be read or looked at keeps nobody from looking at the others. With
    ``limit`` those without such a host are passed over. Raises UserError where there is none.
    """
    if environment is not None:
        inventory = context.load(environment)
        return look(inventory, chosen(inventory, limit))
    known = known_environments(context.inventory_dir)
    codes: list[int] = []
    without: NoMatch | None = None
    for name in known:
        try:
            inventory = context.load(name)
            hosts = chosen(inventory, limit)
            _say_head(context, name, of=len(known))
            codes.append(look(inventory, hosts))
        except NoMatch as error:
            without = error
        except Interrupted:
            raise
        except BotdeployError as error:
            _say_head(context, name, of=len(known))
            codes.append(_failed(context, name, error))
    if not codes and without is not None:
        raise without
    return max(codes, key=_weight)


def _weight(code: int) -> int:
    return _BY_WEIGHT.index(ExitCode(code)) if code in _BY_WEIGHT else len(_BY_WEIGHT)


def _say_head(context: Context, name: str, *, of: int) -> None:
    if of > 1 and not context.as_json:
        context.output.say(f"{name}:", "bold")


def _failed(context: Context, name: str, error: BotdeployError) -> int:
    """Tell why an environment can't be looked at; in JSON it has a line all the same."""
    told = context.told(error)
    context.output.complain(told)
    if context.as_json:
        context.output.json.write({"environment": name, "error": told})
    return int(error.exit_code)
