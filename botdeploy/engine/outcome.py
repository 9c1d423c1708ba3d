"""How a command ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from botdeploy.errors import ExitCode, Hint, Todo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.host.host_state import BotFault
    from botdeploy.core.rollout.next_step import Decision


_BY_WEIGHT = (
    *(ExitCode.DONE, ExitCode.HELD, ExitCode.UNREACHABLE),
    *(ExitCode.FAILED, ExitCode.NEEDS_PERSON),
)
"""Which code counts where parts of a command end differently: a later one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An exit code, what happened, and what a person may do next."""

    code: ExitCode
    summary: str
    """One sentence: why it ended so, and in what state the hosts are."""
    waits_for: str = ""
    """What a step that had nothing to do waits for: for who asks, cron stays silent."""
    faults: Mapping[str, BotFault] = field(default_factory=dict)
    """Hosts whose bot does not run as it should, and that this command did not start."""
    hints: tuple[Hint, ...] = ()

    @classmethod
    def silent(cls, waits_for: str = "") -> Ended:
        """Say that nothing was due: ``promote`` prints nothing then."""
        return cls(ExitCode.DONE, "", waits_for)

    def after(self, before: Ended | None) -> Ended:
        """Say also how what was done before it ended: the more serious code counts."""
        if before is None:
            return self
        code = max(self.code, before.code, key=_BY_WEIGHT.index)
        summary = "; ".join(one for one in (before.summary, self.summary) if one)
        return replace(self, code=code, summary=summary, hints=(*before.hints, *self.hints))

    @property
    def is_silent(self) -> bool:
        """Whether nothing was due and nothing is wrong, so that there is nothing to print."""
        return not self.summary and not self.faults


def hint_for(decision: Decision, release: str) -> Hint | None:
    """Give what takes a rollout on; None where nothing is left to do."""
    from botdeploy.core.rollout.next_step import End, Reason, Wait

    todo = {
        Reason.GATE: Todo.APPROVE,
        Reason.HOLD: Todo.RESUME,
        Reason.QUARANTINE: Todo.FORCE,
        Reason.LAPSED: Todo.CANARY,
        Reason.RENUMBERS: Todo.RENUMBER,
    }  # what ends a wait, where time alone does not
    match decision:
        case End():
            return None
        case Wait(reason):
            return Hint(todo.get(reason, Todo.PROMOTE), name=release)
        case _:
            return Hint(Todo.PROMOTE, name=release)
