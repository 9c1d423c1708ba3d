"""Jinja2 in the values of variables, as Ansible reads it: lazily, natively typed, sandboxed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.lexer import Lexer
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from botdeploy.errors import InventoryError
from botdeploy.inventory.filters import FILTERS, TESTS, unknown
from botdeploy.inventory.located import Located, Unsafe, Vaulted, located
from botdeploy.inventory.regex_timeout import TooLongError

_MARKS = ("{{", "{%", "{#")
_LONGEST = 1_000_000
"""Characters, or items, that one expression may build by repeating or formatting."""
_LARGEST_POWER = 10_000
_WIDE_FORMAT = re.compile(r"%[^a-zA-Z%]*(?:\*|[0-9]{5})")
_IN_TIME = "each in time"
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


class _Undefined(jinja2.StrictUndefined):
    """A name that nothing defines; asking for its parts gives it back, as in Ansible."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: Any) -> Any:
        return self

    def explain(self) -> str:
        """Say what is undefined."""
        return str(self._undefined_message)


class _Generator(NativeCodeGenerator):
    """Leaves constants to run time, so that ``{{ 1 }}`` stays a number."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class _Context(Context):
    """Looks names up among one host's variables."""

    scope: Scope

    def resolve_or_missing(self, key: str) -> Any:
        if key in self.vars:
            return self.vars[key]
        if key in self.scope:
            return self.scope.value(key)
        return super().resolve_or_missing(key)


class _Lexer(Lexer):
    r"""Leaves backslashes in ``{{ }}`` to YAML alone, as Ansible does: ``'\\1'`` stays a group."""

    def tokeniter(self, *arguments: Any, **options: Any) -> Iterator[tuple[int, str, str]]:
        is_inside = False
        for line, kind, value in super().tokeniter(*arguments, **options):
            if kind in ("variable_begin", "variable_end"):
                is_inside = kind == "variable_begin"
            is_text = is_inside and kind == "string"
            yield line, kind, value.replace("\\", "\\\\") if is_text else value


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2 without files, without attributes that lead out, without runaway sizes or times."""

    until: float | None = None
    """When the template that is worked out now has to be done, by the thread's own clock."""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Let every loop look at the clock."""
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _IN_TIME, [], [], None, None, lineno=loop.lineno)
        return tree

    def call(self, /, *arguments: Any, **options: Any) -> Any:
        """Let every call look at the clock: macros call each other."""
        self.check_time()
        return super().call(*arguments, **options)

    def check_time(self) -> None:
        """Raise TooLongError where the template takes longer than it may."""
        if self.until is not None and time.thread_time() > self.until:
            raise TooLongError(f"it takes longer than {LIMIT_S:g} s")

    code_generator_class = _Generator
    context_class = _Context
    intercepted_binops = frozenset({"*", "**", "%"})

    @property
    def lexer(self) -> Lexer:
        """Give the lexer, the same one for all templates."""
        if self._own_lexer is None:
            self._own_lexer = _Lexer(self)
        return self._own_lexer

    _own_lexer: Lexer | None = None

    @staticmethod
    def concat(values: Iterable[Any]) -> Any:
        parts = list(values)
        if len(parts) == 1:
            return parts[0]
        return "".join(str(part) for part in parts if part is not None)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look names up inside our own values as in a mapping: their attributes are not data."""
        if isinstance(obj, _OWN) and attribute not in _METHODS:
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Never fall back to an attribute of our own values."""
        if not isinstance(obj, _OWN):
            return super().getitem(obj, argument)
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, _OWN) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and (abs(left) > _LARGEST_POWER or abs(right) > _LARGEST_POWER):
            raise SecurityError("the power is too large")
        if operator == "%" and isinstance(left, str) and _WIDE_FORMAT.search(left):
            raise SecurityError("the width of the format is too large")
        if operator == "*":
            for text, times in ((left, right), (right, left)):
                is_repeat = isinstance(text, Sequence) and isinstance(times, int)
                if is_repeat and len(text) * times > _LONGEST:
                    raise SecurityError("the text is too long")
        return super().call_binop(context, operator, left, right)


@jinja2.pass_environment
def _in_time(environment: _Environment, items: Iterable[Any]) -> Any:
    """Give what a loop goes through, looking at the clock at each step."""
    if isinstance(items, jinja2.Undefined):
        return items
    return _steps(environment, items)


def _steps(environment: _Environment, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        environment.check_time()
        yield item


class Engine:
    """Compiles templates once for all hosts of an inventory."""

    def __init__(self, environ: Mapping[str, str], hints: Callable[[], str] = lambda: "") -> None:
        """``hints`` tells what may explain an undefined name, such as files that were not read."""
        self._environ = environ
        self.hints = hints
        self.lock = RLock()
        self.active: list[tuple[str, int, str]] = []
        self.environment = _Environment(
            undefined=_Undefined, trim_blocks=True, extensions=["jinja2.ext.do"]
        )
        self.environment.filters |= FILTERS
        self.environment.filters[_IN_TIME] = _in_time
        self.environment.tests |= TESTS
        for name in ("lookup", "query", "q"):
            self.environment.globals[name] = _lookup if name == "lookup" else _query
        self.environment.globals["omit"] = OMIT
        self._unset: list[str] = []
        self._stand_in = ""
        self._compiled: dict[str, jinja2.Template] = {}
        self._templated: dict[int, tuple[Located, bool]] = {}
        self._origins: dict[int, Located] = {}

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
        if isinstance(result, _Undefined):
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
            case _Undefined():
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

    def _undefined(self, value: _Undefined, node: Located, key: str) -> NoReturn:
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
        active = self.engine.active
        mark = (self.host, id(node))
        if any(entry[:2] == mark for entry in active):
            chain = " → ".join([*(entry[2] for entry in active), key])
            raise node.place.fault(f"refers to itself: {chain}", key)
        if not active:
            self.engine.environment.until = time.thread_time() + LIMIT_S
        active.append((*mark, key))
        try:
            template = self.engine.compiled(node.value)
            context = template.new_context()
            assert isinstance(context, _Context)  # noqa: S101 (for the type checker)
            context.scope = self
            result = _Environment.concat(template.root_render_func(context))
            if isinstance(result, Iterator):
                result = list(result)
            elif isinstance(result, str) and not isinstance(result, Unsafe):
                result = _with_line_ends(result, node.value)
        except InventoryError:
            raise
        except jinja2.UndefinedError as error:
            return _Undefined(hint=error.message)
        except jinja2.TemplateSyntaxError as error:
            told = unknown(str(error.message)) or f"is not a valid template: {error.message}"
            raise node.place.fault(told, key) from error
        except RecursionError as error:
            raise node.place.fault("is nested too deeply to be templated", key) from error
        except Exception as error:
            told = unknown(str(error)) or f"cannot be templated: {error}"
            raise node.place.fault(told, key) from error
        else:
            return result
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


_OWN = (Scope, LazyMapping, LazyList, HostVars)
_METHODS = frozenset({"count", "get", "index", "items", "keys", "values"})


def _with_line_ends(result: str, source: str) -> str:
    """Put back the line ends that Jinja2 drops at the end, as Ansible does."""
    wanted = len(source) - len(source.rstrip("\n"))
    return result + "\n" * (wanted - (len(result) - len(result.rstrip("\n"))))


def _join(key: str, part: Any) -> str:
    if isinstance(part, int):
        return f"{key}[{part}]"
    return f"{key}.{part}" if key else str(part)


@jinja2.pass_context
def _query(context: _Context, plugin: str, *terms: Any, **options: Any) -> list[Any]:
    """Answer Ansible's ``query``: the few lookups that a deploy needs."""
    names = [name for term in terms for name in ([term] if isinstance(term, str) else term)]
    match str(plugin).removeprefix("ansible.builtin."):
        case "env":
            engine = context.scope.engine
            return [engine.variable(name, options.get("default", "")) for name in names]
        case "vars":
            found = []
            for name in names:
                if name in context.scope:
                    found.append(context.scope.value(name))
                elif "default" in options:
                    found.append(options["default"])
                else:
                    raise jinja2.UndefinedError(f"'{name}' is undefined")
            return found
        case _:
            raise SecurityError(
                f"lookup('{plugin}') works in Ansible, not here; botdeploy knows "
                "lookup('env', 'NAME') and lookup('vars', 'name')"
            )


@jinja2.pass_context
def _lookup(context: _Context, plugin: str, *terms: Any, **options: Any) -> Any:
    """Answer Ansible's ``lookup``: one result as it is, several joined by commas."""
    found = _query(context, plugin, *terms, **options)
    return found[0] if len(found) == 1 else ",".join(map(str, found))
