"""The variables ``bot`` and ``rollout``, checked and turned into the core's values."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from botdeploy.core.model.bot import Bot, Probe, ProbeKind, Readiness, ReadyKind
from botdeploy.core.model.lease import Lease
from botdeploy.core.model.policy import Policy, Requires, Ring, Share
from botdeploy.core.release.git_url import is_git_address
from botdeploy.errors import InventoryError
from botdeploy.inventory import _models as models
from botdeploy.inventory.located import Located, Vaulted, short, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Model = TypeVar("_Model", bound=BaseModel)
_Path = tuple[Any, ...]
_MOST_ERRORS = 20
_PATTERN_ALL = frozenset({"all", "*"})

# Keys whose scalars mean the text that was typed: 1.10, yes and 0777 stay what they are.
_TYPED = re.compile(r"bot\.(env|unit)\.|bot\.ref$|rollout\.rings\[\d+\]\.env\.")
_NULLABLE = re.compile(r"bot\.unit\.")


def read_bot(node: Located) -> Bot:
    """Check ``bot`` and make its paths absolute against the file that states each.

    Raises InventoryError that names file, line and key of every fault.
    """
    keys = _validated(models.BotKeys, node, "bot")
    for name in keys.secrets:
        if name in keys.env:
            node.fail("stands in bot.env too", f"bot.secrets.{name}", ("secrets", name))
    _check_shared(keys.shared, node)
    return Bot(
        name=keys.name,
        command=keys.command,
        source=absolute_source(keys.source, _file_of(node, "source")),
        ref=keys.ref,
        build=tuple(keys.build),
        env=dict(keys.env),
        secrets={
            name: absolute_reference(value, _file_of(node, "secrets", name))
            for name, value in keys.secrets.items()
        },
        secrets_by=keys.secrets_by,
        shared=tuple(keys.shared),
        exclude=tuple(keys.exclude),
        keep=keys.keep,
        ready=_readiness(keys.ready),
        user=keys.user or "",
        stop_timeout=keys.stop_timeout,
        unit=dict(keys.unit),
        templates=absolute_path(keys.templates, _file_of(node, "templates"))
        if keys.templates
        else None,
        probe=_probe(keys.probe),
    )


def _check_shared(paths: list[str], node: Located) -> None:
    """Refuse a shared path inside another: a link cannot hold a link that outlives it."""
    for index, path in enumerate(paths):
        for other in paths[:index]:
            if f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/"):
                node.fail(
                    f"'{path}' and '{other}' overlap", f"bot.shared[{index}]", ("shared", index)
                )


def read_rollout(node: Located) -> Policy:
    """Check ``rollout``; its rings know their selectors, not yet their hosts.

    Raises InventoryError that names file, line and key of every fault.
    """
    keys = _validated(models.RolloutKeys, node, "rollout")
    for index, ring in enumerate(keys.rings or ()):
        if ring.name in (earlier.name for earlier in (keys.rings or ())[:index]):
            path = ("rings", index, "name")
            node.fail(
                f"a ring before this one is called '{ring.name}' too", _key("rollout", path), path
            )
    return Policy(
        rings=tuple(_ring(ring, node, index) for index, ring in enumerate(keys.rings))
        if keys.rings
        else DEFAULT_RINGS,
        requires=_requires(keys.requires, node),
        lease=Lease(keys.lease.ttl, keys.lease.until) if keys.lease else Lease(),
        id=keys.id or "",
        attended_soak=keys.attended_soak,
        watch=keys.watch,
        max_unreachable=keys.max_unreachable,
        on_fail=keys.on_fail,
        judge=_judge(keys.judge),
        notify=tuple(
            absolute_reference(value, _file_of(node, "notify", index))
            for index, value in enumerate(keys.notify)
        ),
    )


def hosts_of(node: Located) -> str | None:
    """Give the pattern of ``rollout.hosts``; raises InventoryError."""
    return _validated(models.RolloutKeys, node, "rollout").hosts


def is_raw(key: str) -> bool:
    """Tell whether a key's templates are meant for later: announcements name the release."""
    return re.fullmatch(r"rollout\.rings\[\d+\]\.announce\.(begin|end|failed)", key) is not None


def takes_all(selector: str | Share) -> bool:
    """Tell whether a ring takes every host that is left."""
    if isinstance(selector, Share):
        return selector.percent == 100.0  # noqa: PLR2004 (percent)
    return selector.strip() in _PATTERN_ALL


def absolute_path(text: str, file: str) -> str:
    """Make a path absolute against the folder of the file that states it; ``~`` is the user's."""
    path = os.path.join(os.path.dirname(file), os.path.expanduser(text))  # noqa: PTH111, PTH118, PTH120 (text from a file: it may hold what Path drops)
    return os.path.abspath(path)  # noqa: PTH100


def absolute_source(text: str, file: str) -> str:
    """Make a source absolute unless git would go elsewhere for it.

    What has a colon in its name and is there is that file or folder, as for ``git clone``.
    """
    path = absolute_path(text, file)
    return text if is_git_address(text) and not os.path.lexists(path) else path


def absolute_reference(text: str, file: str) -> str:
    """Make the path of a ``file:PATH`` reference absolute; all else stays."""
    path = text.removeprefix("file:")
    if path == text or path.startswith("//"):
        return text
    return "file:" + absolute_path(path, file)


DEFAULT_RINGS = (
    Ring("canary", Share(count=1), soak=timedelta(seconds=60)),
    Ring("fleet", "all"),
)
"""One host for a minute, then the others one by one."""


def _readiness(keys: models.ReadyKeys | None) -> Readiness:
    if keys is None:
        return Readiness()
    kind = ReadyKind(next(iter(keys.model_fields_set - {"timeout"})))
    value = "" if kind is ReadyKind.NOTIFY else str(getattr(keys, kind))
    return Readiness(kind, value, keys.timeout)


def _probe(keys: models.ProbeKeys | None) -> Probe | None:
    if keys is None:
        return None
    kind = ProbeKind(next(iter(keys.model_fields_set - {"interval"})))
    return Probe(kind, str(getattr(keys, kind)), keys.interval)


def _ring(keys: models.RingKeys, node: Located, index: int) -> Ring:
    return Ring(
        name=keys.name,
        selector=keys.hosts,
        soak=keys.soak,
        settle=keys.settle,
        batch=keys.batch,
        gate=keys.gate,
        window=keys.window,
        env=dict(keys.env),
        announce=_announcements(keys),
        announce_to=tuple(
            absolute_reference(value, _file_of(node, "rings", index, "announce", "to", number))
            for number, value in enumerate(keys.announce.to if keys.announce else ())
        ),
    )


def _requires(keys: models.RequiresKeys | None, node: Located) -> Requires | None:
    if keys is None:
        return None
    place = node.place_of(REQUIRED)
    return Requires(keys.environment, keys.proven_for, place.file, place.line)


REQUIRED = ("requires", "environment")
"""Where in ``rollout`` the environment stands that a release must be proven in first."""


def _announcements(keys: models.RingKeys) -> dict[str, str]:
    if keys.announce is None:
        return {}
    return keys.announce.model_dump(exclude={"to"}, exclude_none=True)


def _judge(keys: models.JudgeKeys | None) -> dict[str, Any]:
    """Give the judge's options that were stated; lists as tuples, durations as timedelta."""
    if keys is None:
        return {}
    given = keys.model_dump(exclude_unset=True, exclude_none=True)
    if "same" in given:
        given["same"] = [
            {"pattern": one.pattern, "name": one.name or one.pattern} for one in keys.same
        ]
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


def _file_of(node: Located, *path: Any) -> str:
    return node.place_of(path).file


# --- from places to messages -----------------------------------------------------------------


def _validated(model: type[_Model], node: Located, root: str) -> _Model:
    if not isinstance(node.value, dict):
        node.fail(f"must be a mapping, not {type_name(node.value)}", root)
    plain = _typed(node, root, ())
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        faults = [_fault(model, node, root, fault) for fault in error.errors(include_url=False)]
        _raise_all(faults)


def _typed(node: Located, root: str, path: _Path) -> Any:
    """Take a value apart for the models; where text is meant, scalars are what was typed."""
    if isinstance(node.value, dict):
        return {
            key: _typed(item, root, (*path, key))
            for key, item in node.items.items()
            if item.value is not None or _keeps_nothing(node, root, (*path, key))
        }
    if isinstance(node.value, list):
        return [_typed(item, root, (*path, index)) for index, item in node.items.items()]
    key = _key(root, path)
    if isinstance(node.value, Vaulted):
        raise node.place.fault(
            "is encrypted with ansible-vault, which botdeploy cannot open; "
            "use bot.secrets with env:NAME, file:PATH or command:CMD",
            key,
        )
    if isinstance(node.value, str) or node.value is None or not _TYPED.match(key):
        return node.value
    return node.text if node.text is not None else json.dumps(node.value, default=str)


def _keeps_nothing(node: Located, root: str, path: _Path) -> bool:
    """Allow nothing where it means something; raise where a value was forgotten."""
    key = _key(root, path)
    if _NULLABLE.match(key) or not _is_known(root, path):
        return True
    hint = 'write "" for an empty text' if _TYPED.match(key) else "or leave the key out"
    raise node.keys[path[-1]].fault(f"has no value: give one, {hint}", key)


def _is_known(root: str, path: _Path) -> bool:
    model = models.BotKeys if root == "bot" else models.RolloutKeys
    known = models.fields_of(model, path[:-1])
    return known is None or path[-1] in known


def _key(root: str, path: Sequence[Any]) -> str:
    key = root
    for step in path:
        key += f"[{step}]" if isinstance(step, int) else f".{step}"
    return key


def _fault(model: type[BaseModel], node: Located, root: str, fault: Any) -> InventoryError:
    path = tuple(step for step in fault["loc"] if step != "[key]")
    message = _message(model, path, fault)
    if fault["type"] == "missing":
        return node.place_of(path[:-1]).fault(message, _key(root, path))
    return node.place_of(path).fault(message, _key(root, path))


def _message(model: type[BaseModel], path: _Path, fault: Any) -> str:
    given, context = fault["input"], fault.get("ctx", {})
    expected: Callable[[str], str] = lambda what: f"must be {what}, not {type_name(given)}"  # noqa: E731
    match fault["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return _unknown(str(path[-1]), models.fields_of(model, path[:-1]) or [])
        case "missing":
            return "is missing"
        case "invalid_key":
            return "a key must be text: put it in quotes"
        case "dict_type" | "model_type" | "model_attributes_type":
            return expected("a mapping")
        case "list_type":
            return expected("a list")
        case "int_type":
            return expected("a whole number")
        case "float_type":
            return expected("a number")
        case "bool_type":
            return expected("true or false")
        case "enum" | "literal_error":
            known = [word.strip("'") for word in re.split(r", | or ", str(context["expected"]))]
            return _not_one_of(given, known)
        case "too_short":
            return "is empty: name at least one"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{short(given)} is out of range: {_lowered(fault['msg'])}"
        case _:
            return _lowered(str(fault["msg"]))


def _lowered(message: str) -> str:
    return message.removeprefix("Input ").removeprefix("Value error, ")


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f"is not a known key; did you mean '{near[0]}'?"
    return f"is not a known key; known are: {', '.join(sorted(known))}"


def _not_one_of(given: Any, known: list[str]) -> str:
    listing = ", ".join(known[:-1]) + " or " + known[-1] if len(known) > 1 else known[0]
    if not isinstance(given, str):
        return f"must be {listing}, not {type_name(given)}"
    near = get_close_matches(given, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"must be {listing}, not {short(given)}{hint}"


def _raise_all(faults: list[InventoryError]) -> NoReturn:
    """Raise the first fault, with the others on lines of their own."""
    first, *others = faults
    if not others:
        raise first
    shown = [str(other) for other in others[:_MOST_ERRORS]]
    if len(others) > _MOST_ERRORS:
        shown.append(f"… and {len(others) - _MOST_ERRORS} more")
    message = str(first)
    place = f"{first.file}:{first.line}: " if first.line is not None else f"{first.file}: "
    bare = message.removeprefix(place).removeprefix(f"{first.key}: ")
    raise InventoryError("\n".join([bare, *shown]), file=first.file, line=first.line, key=first.key)
