"""Values with the place that states them, so that an error can name file, line and key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy.errors import InventoryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_SHOWN = 80

type_names = {
    type(None): "nothing",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
}
"""What people call the types of YAML and JSON."""


def type_name(value: object) -> str:
    """Name a value's type in the words of the documentation."""
    return type_names.get(type(value), type(value).__name__)


def short(value: object) -> str:
    """Show a value in a message, whatever its size."""
    try:
        text = repr(value)
    except ValueError:  # an int with more digits than Python prints
        return "a huge number"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; a program's output has no lines."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line is not None else self.file

    def fault(self, message: str, key: str = "") -> InventoryError:
        """Build the error that names this place."""
        return InventoryError(message, file=self.file, line=self.line, key=key)


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """A parsed value, the places of its keys and items, and the text that was written for it."""

    value: Any = field(repr=False)
    place: Place
    items: Mapping[Any, Located] = field(default_factory=dict, repr=False)
    """What is inside a mapping (by key) or a list (by index)."""
    keys: Mapping[Any, Place] = field(default_factory=dict, repr=False)
    """Where each key or item begins."""
    text: str | None = field(default=None, repr=False)
    """A scalar as it was typed: ``1.10`` and ``0777`` stay what they are."""

    def place_of(self, path: Sequence[str | int]) -> Place:
        """Find where the key at ``path`` stands, or the nearest one around it that exists."""
        node, place = self, self.place
        for step in path:
            if step not in node.items:
                return place
            place = node.keys.get(step, node.items[step].place)
            node = node.items[step]
        return place

    def fail(self, message: str, key: str = "", path: Sequence[str | int] = ()) -> NoReturn:
        """Raise the error that names the place of ``path`` inside this value."""
        raise self.place_of(path).fault(message, key)


def located(value: Any, place: Place) -> Located:
    """Give a plain value one place for all of its parts."""
    if isinstance(value, dict):
        items = {key: located(item, place) for key, item in value.items()}
        return Located(value, place, items, dict.fromkeys(items, place))
    if isinstance(value, list):
        inside = {index: located(item, place) for index, item in enumerate(value)}
        return Located(value, place, inside, dict.fromkeys(inside, place))
    return Located(value, place)


class Vaulted:
    """A value that ansible-vault encrypted; it may stand in an inventory but is never read."""

    def __repr__(self) -> str:
        return "Vaulted()"


class Unsafe(str):
    """Text marked ``!unsafe``: braces in it are not a template."""

    __slots__ = ()
