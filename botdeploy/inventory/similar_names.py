"""Similar names: variables that are nearly one of ours.

A slip of ``bot`` or ``rollout`` would switch gates off unseen: it is an error. One of a connection
variable shows when the host is reached, or is not; it is told.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botdeploy.inventory import connection_vars
from botdeploy.inventory._models import BotKeys, RolloutKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from botdeploy.inventory.located import Located, Place

_NUMBERED = re.compile(r"(bot|rollout)s?[0-9]+")
_WORD = re.compile(r"\w+")
_LONG = 5
"""From so many letters on a name one letter away is hardly a word of its own."""
# Keys that say what a mapping is for; `name`, `user`, `env` and `notify` could be anybody's.
_TELLING = {
    "bot": frozenset(BotKeys.model_fields) - {"name", "user", "env", "keep", "unit"},
    "rollout": frozenset(RolloutKeys.model_fields) - {"notify", "hosts", "id"},
}
_WORDS = frozenset(
    {"boot", "both", "bat", "bit", "but", "bet", "box", "boy", "dot", "lot", "robot"}
)
"""Words that are a letter from ``bot``, and names of other things."""

_CONNECTION = (
    *connection_vars.KEYS,
    *connection_vars.KINDS,
    *sorted(connection_vars.SECRETS - set(connection_vars.KEYS)),
)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A variable whose name is nearly one of ours, and where its name stands."""

    name: str
    right: str
    place: Place


def suspect(name: str, node: Located, place: Place) -> Suspect | None:
    """Tell whether a variable's name is a slip of ``bot`` or ``rollout``.

    It is where only case, blanks, ``_`` and ``-``, or an ``s`` at the end differ, and where a
    letter of ``rollout`` is missing, added, wrong or in the wrong place. Of ``bot``, whose
    neighbours are words, and of two slips in ``rollout`` it is where the value is a mapping with
    keys of ours as well. A number at the end makes a name of its own.
    """
    for right, steps, is_word in _near(name):
        is_ours = isinstance(node.value, dict) and not _TELLING[right].isdisjoint(node.value)
        is_long = len(right) >= _LONG
        if (
            steps == 0
            or (steps == 1 and (is_long or (is_ours and not is_word)))
            or (is_long and is_ours)
        ):
            return Suspect(name, right, place)
    return None


@lru_cache(maxsize=4096)
def _near(name: str) -> tuple[tuple[str, int, bool], ...]:
    """Give our names that are at most two slips away: how many, and whether it is a word itself.

    Kept: many hosts have variables of the same few names.
    """
    if name in _TELLING:
        return ()
    folded = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())
    if _NUMBERED.fullmatch(folded):
        return ()
    found = []
    for right in _TELLING:
        steps = min(_distance(folded, right), _distance(folded.removesuffix("s"), right))
        if steps <= 2:  # noqa: PLR2004
            found.append((right, steps, folded in _WORDS))
    return tuple(found)


def refuse(suspects: Iterable[Suspect], nodes: Iterable[Located]) -> None:
    """Raise InventoryError for the first suspect that no template uses.

    One that a template names is a part of another variable, as in ``bot: "{{ bots.prod }}"``.
    """
    found = list(suspects)
    if not found:
        return
    used: set[str] = set()
    for node in nodes:
        _words(node, used)
    for one in found:
        if one.name not in used:
            raise one.place.fault(
                f"is nearly '{one.right}' and would be ignored: write '{one.right}', or give a "
                "variable of your own another name",
                repr(one.name) if one.name != one.name.strip() else one.name,
            )


def slips_of_connection(by_host: Iterable[Mapping[str, Located]]) -> tuple[str, ...]:
    """Tell of variables that are a letter from one that says how a host is reached.

    By case, ``-`` and one letter. One that a template names is the inventory's own.
    """
    every = list(by_host)
    found: dict[str, tuple[str, Place]] = {}
    for variables in every:
        for name in variables.keys() - found.keys():
            right = _connection_near(name)
            if right:
                found[name] = (right, variables[name].place)
    if not found:
        return ()
    used: set[str] = set()
    for variables in every:
        for node in variables.values():
            _words(node, used)
    return tuple(
        f"{place}: {name} is nearly '{right}', and neither Ansible nor botdeploy reads it"
        for name, (right, place) in sorted(found.items())
        if name not in used
    )


@lru_cache(maxsize=4096)
def _connection_near(name: str) -> str:
    if name in _CONNECTION or _distance(name[:7].lower(), "ansible") > 1:
        return ""
    folded = name.strip().casefold().replace("-", "_")
    return next((one for one in _CONNECTION if _distance(folded, one) <= 1), "")


def _words(node: Located, found: set[str]) -> None:
    """Collect the words of all templates inside a value."""
    todo: list[Any] = [node]
    while todo:
        one = todo.pop()
        todo.extend(one.items.values())
        if isinstance(one.value, str) and ("{{" in one.value or "{%" in one.value):
            found.update(_WORD.findall(one.value))


def _distance(left: str, right: str) -> int:
    """Count letters to add, leave out, replace or swap with a neighbour (at most; three is far)."""
    if abs(len(left) - len(right)) > 2:  # noqa: PLR2004
        return 3
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, start=1):
        following = [i]
        for j, other in enumerate(right, start=1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        before, row = row, following
    return row[-1]
