"""Jinja2 as templates of an inventory may use it; imported with the first template."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.lexer import Lexer
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from botdeploy.errors import InventoryError
from botdeploy.inventory import template
from botdeploy.inventory.filters import FILTERS, TESTS, unknown
from botdeploy.inventory.located import Unsafe
from botdeploy.inventory.regex_timeout import TooLongError
from botdeploy.inventory.template import OMIT, HostVars, LazyList, LazyMapping, Scope, Undefined

if TYPE_CHECKING:
    from botdeploy.inventory.located import Located

_LONGEST = 1_000_000
"""Characters, or items, that one expression may build by repeating or formatting."""
_LARGEST_POWER = 10_000
_WIDE_FORMAT = re.compile(r"%[^a-zA-Z%]*(?:\*|[0-9]{5})")
_IN_TIME = "each in time"

_OWN = (Scope, LazyMapping, LazyList, HostVars)
_METHODS = frozenset({"count", "get", "index", "items", "keys", "values"})


class _Undefined(jinja2.StrictUndefined, Undefined):
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


class Sandbox(ImmutableSandboxedEnvironment):
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
            raise TooLongError(f"it takes longer than {template.LIMIT_S:g} s")

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
        """Give a single value as it is, several as one text."""
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
        """Show of our own values only what mappings and lists have."""
        if isinstance(obj, _OWN) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse what would grow without bounds; raises SecurityError."""
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
def _in_time(environment: Sandbox, items: Iterable[Any]) -> Any:
    """Give what a loop goes through, looking at the clock at each step."""
    if isinstance(items, jinja2.Undefined):
        return items
    return _steps(environment, items)


def _steps(environment: Sandbox, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        environment.check_time()
        yield item


def _with_line_ends(result: str, source: str) -> str:
    """Put back the line ends that Jinja2 drops at the end, as Ansible does."""
    wanted = len(source) - len(source.rstrip("\n"))
    return result + "\n" * (wanted - (len(result) - len(result.rstrip("\n"))))


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


def environment() -> Sandbox:
    """Make what templates are compiled in."""
    made = Sandbox(undefined=_Undefined, trim_blocks=True, extensions=["jinja2.ext.do"])
    made.filters |= FILTERS
    made.filters[_IN_TIME] = _in_time
    made.tests |= TESTS
    made.globals |= {"lookup": _lookup, "query": _query, "q": _query, "omit": OMIT}
    return made


def work_out(scope: Scope, node: Located, key: str) -> Any:
    """Work out one template; raises InventoryError with its place, but gives what is undefined."""
    try:
        compiled = scope.engine.compiled(node.value)
        context = compiled.new_context()
        assert isinstance(context, _Context)  # noqa: S101 (for the type checker)
        context.scope = scope
        result = Sandbox.concat(compiled.root_render_func(context))
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
