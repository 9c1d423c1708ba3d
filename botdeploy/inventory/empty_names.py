"""Names that hold what a variable of the environment should have given and did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botdeploy.inventory.located import Located
    from botdeploy.inventory.template import Scope

_Path = tuple[Any, ...]


def rendered(
    scope: Scope, node: Located, root: str, skip: Callable[[str], bool] | None = None
) -> Located:
    """Template ``bot`` or ``rollout``; an empty lookup in a name is an error.

    ``three-{{ lookup('env', 'N') }}`` would else name another bot where N is not set. A template
    that has something else for an empty lookup (``default('one', true)``) is fine: whether a
    name was made from nothing shows when it is made once more with a stand-in for what was empty.
    """
    engine = scope.engine
    with engine.looking_up() as unset:
        found = scope.render(node, root, skip)
    if not unset:
        return found
    with engine.looking_up(stand_in=_STAND_IN):
        other = scope.render(node, root, skip)
    for key, path in _names(found, root):
        value, instead = _at(found, path), _at(other, path)
        if isinstance(value, str) and _was_used(value, instead):
            named = ", ".join(f"'{name}'" for name in dict.fromkeys(unset))
            found.fail(
                f"{value!r} was made with lookup('env', …), which is empty: {named}", key, path
            )
    return found


_STAND_IN = "60177284953102"
"""Nothing that a person writes, and that no filter for letters changes."""


def _was_used(value: str, instead: Any) -> bool:
    return (
        isinstance(instead, str)
        and _STAND_IN in instead
        and instead.replace(_STAND_IN, "") == value
    )


def _names(node: Located, root: str) -> Iterator[tuple[str, _Path]]:
    """List what names something on hosts."""
    for key in ("name", "user", "id"):
        yield f"{root}.{key}", (key,)
    rings = node.items.get("rings")
    for index in rings.items if rings is not None else ():
        yield f"{root}.rings[{index}].name", ("rings", index, "name")


def _at(node: Located, path: _Path) -> Any:
    for step in path:
        if step not in node.items:
            return None
        node = node.items[step]
    return node.value
