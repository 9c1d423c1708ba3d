"""Instances: a host of an inventory stands for one running copy of the bot, or for several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.model.inventory import ANY_INSTANCE, ANY_NUMBER
from botdeploy.inventory._fields import number_of
from botdeploy.inventory.template import Scope

if TYPE_CHECKING:
    from botdeploy.inventory.located import Located

MOST = 1000
"""Instances of one bot on one machine; more is a slip of the keyboard."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?")
_NAMING = re.compile(r"bot(\.instance|\.instances(\[[0-9]+\])?)?")
_RULE = "a name has a-z, 0-9, _ and -, at most 32, and begins and ends with a letter or digit"


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of the bot."""

    machine_host: str
    """The host of the inventory that it comes from."""
    name: str | None
    """None in the plain form."""
    scope: Scope
    """Its variables: those of the host, and ``instance``."""


def expand(by_host: Mapping[str, Scope]) -> dict[str, Instance]:
    """Give the instances of each host by the names that they have from now on, in order.

    A host with ``bot.instances`` becomes ``HOST/1``, ``HOST/2`` …; all others keep their name.
    Raises InventoryError with file, line and key.
    """
    found: dict[str, Instance] = {}
    for host, scope in by_host.items():
        node = scope.variables["bot"]
        one, several = _names(scope, node)
        if several is None:
            found[host] = Instance(host, one, _scope(scope, one))
            continue
        for name in several:
            if f"{host}/{name}" in by_host:
                node.fail(f"a host is called '{host}/{name}' already", "bot.instances")
            found[f"{host}/{name}"] = Instance(host, name, _scope(scope, name))
    return found


def number(instances: Mapping[str, Instance]) -> None:
    """Let templates know each one's ``instance_index``, from 0, and the ``instance_count``.

    Where the inventory has variables of these names, those stay.
    """
    for index, instance in enumerate(instances.values()):
        _let_know(instance.scope, instance_index=index, instance_count=len(instances))


class _Magic(dict[str, Any]):
    """Values that templates know beside the inventory's variables, and which were asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)


def numbers(instance: Instance) -> str:
    """Give ``INDEX/COUNT`` where a template has asked for them by now, else one or none of them."""
    magic = instance.scope.magic
    asked = magic.asked if isinstance(magic, _Magic) else set()
    index = instance.scope.value("instance_index") if "instance_index" in asked else ""
    return (
        f"{index}/{instance.scope.value('instance_count')}"
        if "instance_count" in asked
        else f"{index}"
    )


def stand_in(instance: Instance) -> Scope | None:
    """Give the variables with a stand-in for the instance's name; None in the plain form."""
    if instance.name is None:
        return None
    scope = instance.scope
    magic = {**scope.magic, "instance": ANY_INSTANCE}
    return Scope(scope.engine, scope.host, scope.variables, magic)


def without_numbers(instance: Instance) -> Scope:
    """Give the variables with stand-ins for the instance's name, index and count."""
    scope = instance.scope
    any_one: dict[str, Any] = {} if instance.name is None else {"instance": ANY_INSTANCE}
    numbered = {"instance_index", "instance_count"} & scope.magic.keys()
    magic = {**scope.magic, **any_one, **dict.fromkeys(numbered, ANY_NUMBER)}
    return Scope(scope.engine, scope.host, scope.variables, magic)


def only_names(value: object, other: object, name: str) -> bool:
    """Tell whether two values differ only in the name that the second has a stand-in for."""
    if isinstance(value, str) and isinstance(other, str):
        return other.replace(ANY_INSTANCE, name) == value
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(
            only_names(value[key], other[key], name) for key in value
        )
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(only_names, value, other, [name] * len(value)))
    if is_dataclass(value) and is_dataclass(other):
        return all(
            only_names(getattr(value, one.name), getattr(other, one.name), name)
            for one in fields(value)
        )
    return value == other


def _scope(scope: Scope, name: str | None) -> Scope:
    made = Scope(scope.engine, scope.host, scope.variables, _Magic(scope.magic))
    if name is None:
        _let_know(made, instance="")
    else:
        made.magic["instance"] = name
    return made


def _let_know(scope: Scope, **values: Any) -> None:
    scope.magic |= {name: value for name, value in values.items() if name not in scope.variables}


def _names(scope: Scope, node: Located) -> tuple[str | None, list[str] | None]:
    """Read ``bot.instance`` and ``bot.instances``, before anything else of ``bot``."""
    first = _scope(scope, None)
    _let_know(first, instance_index=0, instance_count=1)
    bot = first.render(node, "bot", lambda key: _NAMING.fullmatch(key) is None)
    one, several = bot.items.get("instance"), bot.items.get("instances")
    name = None if one is None else _one(one)
    names = None if several is None else _several(several)
    if name is not None and names is not None:
        assert several is not None  # noqa: S101 (for the type checker)
        raise several.place.fault(
            "stands beside bot.instance; give one of the two", "bot.instances"
        )
    return name, names


def _one(node: Located) -> str | None:
    if node.value is None or node.value == "":
        return None
    return _checked(node, node.value, "bot.instance")


def _several(node: Located) -> list[str] | None:
    value = number_of(node.value)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MOST:
            raise node.place.fault(f"takes a count from 1 to {MOST}", "bot.instances")
        return [str(index) for index in range(1, value + 1)]
    if not isinstance(value, list) or not 1 <= len(value) <= MOST:
        raise node.place.fault("takes a count, or a list of names", "bot.instances")
    names: list[str] = []
    for index, item in enumerate(value):
        name = _checked(node.items.get(index, node), item, f"bot.instances[{index}]")
        if name in names:
            raise node.place.fault(f"names '{name}' twice", f"bot.instances[{index}]")
        names.append(name)
    return names


def _checked(node: Located, value: object, key: str) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    name = str(value) if is_number else value
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise node.place.fault(f"{value!r} is not an instance's name: {_RULE}", key)
    return name
