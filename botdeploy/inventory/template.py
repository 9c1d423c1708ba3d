"""Jinja2 in the values of variables, as Ansible reads it: lazily, natively typed, sandboxed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn

from botdeploy.inventory.located import Located, Unsafe, Vaulted, located

if TYPE_CHECKING:
    import jinja2

    from botdeploy.inventory.sandbox import Sandbox

_MARKS = ("{{", "{%", "{#")
LIMIT_S = 10.0
"""Processor time that one template may take, with all that it refers to."""


class _Omit:
    """What ``default(omit)`` gives: the key or item is left out."""

    def __repr__(self) -> str:
        return "omit"


OMIT = _Omit()


def is_template(text: str) -> bool:
    """Tell whether text would be templated."""
    return any(mark in text for mark in _MARKS)


class Undefined:
    """A name that nothing defines, as an expression gives it."""

    __slots__ = ()

    def explain(self) -> str:
        """Say what is undefined."""
        raise NotImplementedError


class Engine:
    """Compiles templates once for all hosts of an inventory."""

    def __init__(self, environ: Mapping[str, str], hints: Callable[[], str] = lambda: "") -> None:
        """``hints`` tells what may explain an undefined name, such as files that were not read."""
        self._environ = environ
        self.hints = hints
        self.lock = RLock()
        self.active: list[tuple[str, int, str]] = []
        self._unset: list[str] = []
        self._stand_in = ""
        self._compiled: dict[str, jinja2.Template] = {}
        self._templated: dict[int, tuple[Located, bool]] = {}
        self._origins: dict[int, Located] = {}

    @cached_property
    def environment(self) -> Sandbox:
        """What templates are compiled in; Jinja2 is imported where there is one."""
        from botdeploy.inventory.sandbox import environment

        return environment()

    @contextmanager
    def looking_up(self, stand_in: str = "") -> Iterator[list[str]]:
        """Note which variables of the environment are empty; ``stand_in`` is given for them."""
        with self.lock:
            before = (self._unset, self._stand_in)
            self._unset, self._stand_in = [], stand_in
            try:
                yield self._unset
            finally:
                self._unset, self._stand_in = before

    def variable(self, name: str, default: str) -> str:
        """Look a variable of the environment up, as ``lookup('env', NAME)`` gives it."""
        value = self._environ.get(name, default)
        if value:
            return value
        self._unset.append(name)
        return self._stand_in

    def compiled(self, text: str) -> jinja2.Template:
        """Compile a template, or take it from the cache."""
        if text not in self._compiled:
            self._compiled[text] = self.environment.from_string(text)
        return self._compiled[text]

    def has_template(self, node: Located) -> bool:
        """Tell whether a template stands anywhere inside a value."""
        known = self._templated.get(id(node))
        if known is None:
            if node.items:
                inside = [self.has_template(item) for item in node.items.values()]
                found = any(inside)
            else:
                value = node.value
                found = (
                    isinstance(value, str) and not isinstance(value, Unsafe) and is_template(value)
                )
            # The node is kept beside its answer, so that its id stays its own.
            known = self._templated[id(node)] = (node, found)
            if node.items:
                self._origins[id(node.value)] = node
        return known[1]

    def origin(self, value: Any) -> Located | None:
        """Find the place of a mapping or list that an expression passed on unchanged."""
        return self._origins.get(id(value))


class Scope(Mapping[str, Any]):
    """One host's variables, each templated when it is asked for."""

    def __init__(
        self, engine: Engine, host: str, variables: Mapping[str, Located], magic: dict[str, Any]
    ) -> None:
        """``magic`` holds Ansible's own variables, which win over all others."""
        self.engine = engine
        self.host = host
        self.variables = variables
        self.magic = magic

    def __contains__(self, name: object) -> bool:
        return name in self.magic or name in self.variables or name == "vars"

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.variables, *self.magic]))

    def __len__(self) -> int:
        return len(self.variables.keys() | self.magic.keys())

    def __getitem__(self, name: str) -> Any:
        """Give a variable as an expression sees it; raises KeyError."""
        if name not in self:
            raise KeyError(name)
        return self.value(name)

    def __repr__(self) -> str:
        return f"Scope({self.host})"

    def value(self, name: str) -> Any:
        """Give a variable as an expression sees it: plain, lazy or undefined."""
        if name == "vars":
            return self
        if name in self.magic:
            return self.magic[name]
        with self.engine.lock:
            return self._view(self.variables[name], name)

    def render(
        self, node: Located, key: str = "", skip: Callable[[str], bool] | None = None
    ) -> Located:
        """Template everything inside a value; raises InventoryError with the place of a fault.

        What ``skip`` is true for, by its dotted key, stays as it is written.
        """
        with self.engine.lock:
            found = self._render(node, key, skip)
        return Located(None, found.place) if found.value is OMIT else found

    def _render(self, node: Located, key: str, skip: Callable[[str], bool] | None) -> Located:
        if not self.engine.has_template(node) or (skip is not None and skip(key)):
            return node
        if not node.items:
            return self._as_located(self._evaluate(node, key), node, key, skip)
        items = {
            name: self._render(item, _join(key, name), skip) for name, item in node.items.items()
        }
        kept = {name: item for name, item in items.items() if item.value is not OMIT}
        if isinstance(node.value, list):
            listed = list(kept.values())
            places = {index: item.place for index, item in enumerate(listed)}
            return Located([i.value for i in listed], node.place, dict(enumerate(listed)), places)
        plain = {name: item.value for name, item in kept.items()}
        return Located(plain, node.place, kept, node.keys)

    def _as_located(
        self, result: Any, node: Located, key: str, skip: Callable[[str], bool] | None
    ) -> Located:
        """Give an expression's result the place of the expression, or its own where it has one."""
        if isinstance(result, Undefined):
            self._undefined(result, node, key)
        if isinstance(result, _Lazy):
            return result.scope._render(result.node, key, skip)  # noqa: SLF001 (same class)
        origin = self.engine.origin(result)
        if origin is not None:
            return origin
        value = OMIT if result is OMIT else self._plain(result, node, key)
        if isinstance(value, (dict, list)):
            return located(value, node.place)
        return Located(value, node.place, text=str(value))

    def _plain(self, value: Any, node: Located, key: str) -> Any:
        """Turn a result into what a file could state."""
        match value:
            case Undefined():
                self._undefined(value, node, key)
            case _Lazy():
                return value.scope.render(value.node, key).value
            case str():
                return str(value)
            case bool() | int() | float() | None | Vaulted():
                return value
            case Mapping():
                return {name: self._plain(item, node, key) for name, item in value.items()}
            case set() | frozenset():
                return sorted((self._plain(item, node, key) for item in value), key=str)
            case Iterable() if not isinstance(value, bytes):
                return [self._plain(item, node, key) for item in value]
        return value

    def _undefined(self, value: Undefined, node: Located, key: str) -> NoReturn:
        raise node.place.fault(value.explain() + self.engine.hints(), key)

    def _view(self, node: Located, name: str) -> Any:
        """Show a value to an expression without templating more of it than is asked for."""
        if not self.engine.has_template(node):
            return node.value
        if isinstance(node.value, dict):
            return LazyMapping(self, node, name)
        if node.items:
            return LazyList(self, node, name)
        return self._evaluate(node, name)

    def _evaluate(self, node: Located, key: str) -> Any:
        """Work out one template; an undefined result is given back, not raised."""
        from botdeploy.inventory.sandbox import work_out

        active = self.engine.active
        mark = (self.host, id(node))
        if any(entry[:2] == mark for entry in active):
            chain = " → ".join([*(entry[2] for entry in active), key])
            raise node.place.fault(f"refers to itself: {chain}", key)
        if not active:
            environment = self.engine.environment  # made before its time counts
            environment.until = time.thread_time() + LIMIT_S
        active.append((*mark, key))
        try:
            return work_out(self, node, key)
        finally:
            active.pop()


class _Lazy:
    """A part of a variable with templates inside, worked out as it is looked at."""

    def __init__(self, scope: Scope, node: Located, key: str) -> None:
        self.scope = scope
        self.node = node
        self.key = key

    def part(self, key: Any) -> Any:
        with self.scope.engine.lock:
            return self.scope._view(self.node.items[key], _join(self.key, key))  # noqa: SLF001

    def plain(self) -> Any:
        return self.scope.render(self.node, self.key).value

    def __eq__(self, other: object) -> bool:
        return bool(self.plain() == (other.plain() if isinstance(other, _Lazy) else other))

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.plain())


class LazyMapping(_Lazy, Mapping[Any, Any]):
    """A mapping with templates inside."""

    def __getitem__(self, key: Any) -> Any:
        if key not in self.node.items:
            raise KeyError(key)
        return self.part(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.node.items)

    def __len__(self) -> int:
        return len(self.node.items)


class LazyList(_Lazy, Sequence[Any]):
    """A list with templates inside."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.part(one) for one in range(len(self))[index]]
        return self.part(range(len(self))[index])

    def __len__(self) -> int:
        return len(self.node.items)

    def __add__(self, other: Any) -> Any:
        return list(self) + list(other)

    def __radd__(self, other: Any) -> Any:
        return list(other) + list(self)


class HostVars(Mapping[str, Any]):
    """Ansible's ``hostvars``: every host's variables by its name."""

    def __init__(self, scopes: Mapping[str, Scope]) -> None:
        """``scopes`` may still be filled after this."""
        self._scopes = scopes

    def __getitem__(self, host: str) -> Scope:
        return self._scopes[host]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scopes)

    def __len__(self) -> int:
        return len(self._scopes)

    def __repr__(self) -> str:
        return f"HostVars({len(self)} hosts)"


def _join(key: str, part: Any) -> str:
    if isinstance(part, int):
        return f"{key}[{part}]"
    return f"{key}.{part}" if key else str(part)
