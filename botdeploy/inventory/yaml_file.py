"""A YAML file, read into values that know their lines; a key given twice is an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from botdeploy.errors import InventoryError
from botdeploy.inventory.located import Located, Place, Unsafe, Vaulted, located, short

if TYPE_CHECKING:
    from pathlib import Path

    _Base = yaml.SafeLoader
else:
    # The same parser in C where PyYAML was built with it: ten times as fast.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE = "tag:yaml.org,2002:merge"
_MAPPINGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:omap", "tag:yaml.org,2002:set"})
_LISTS = frozenset({"tag:yaml.org,2002:seq", "tag:yaml.org,2002:pairs"})
_VAULT_HEADER = "$ANSIBLE_VAULT;"
#: Ten thousand hosts take some 2 MB; a device never ends.
_MOST_BYTES = 64 * 1024 * 1024

MOST_VALUES = 2_000_000
"""A document that stands for more values than this repeats anchors without end."""


class _Loader(_Base):
    """PyYAML's safe loader with Ansible's two tags."""


def _unsafe(loader: Any, node: Any) -> Unsafe:
    return Unsafe(loader.construct_scalar(node))


_Loader.add_constructor("!vault", lambda _loader, _node: Vaulted())
_Loader.add_constructor("!vault-encrypted", lambda _loader, _node: Vaulted())
_Loader.add_constructor("!unsafe", _unsafe)


def is_vault(text: str) -> bool:
    """Tell whether ansible-vault encrypted the whole file."""
    return text.startswith(_VAULT_HEADER)


def read_text(path: Path) -> str:
    """Read a file of an inventory as UTF-8; raises InventoryError."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InventoryError(f"cannot be read: {error.strerror}", file=str(path)) from error
    if len(raw) > _MOST_BYTES:
        raise InventoryError("is larger than 64 MiB: no inventory", file=str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InventoryError("is not UTF-8 text", file=str(path), line=line) from error


def read_yaml(path: Path, text: str | None = None) -> Located:
    """Read one YAML (or JSON) document; an empty file gives None. Raises InventoryError."""
    file = str(path)
    text = read_text(path) if text is None else text
    try:
        return _parse(file, text)
    except InventoryError:
        # JSON that YAML does not take (tabs): right, only without lines.
        if text.lstrip().startswith("{") and "\t" in text:
            try:
                return located(json.loads(text), Place(file, 1))
            except ValueError:
                pass
        raise


def _parse(file: str, text: str) -> Located:
    loader: Any = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Located(None, Place(file, 1))
        return _Builder(file, loader).build(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = error.problem or error.context or "is not YAML"
        raise InventoryError(f"is not valid YAML: {problem}", file=file, line=line) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InventoryError(
            "holds a character that YAML does not allow", file=file, line=line
        ) from error
    except RecursionError as error:
        raise InventoryError("is nested too deeply", file=file) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Builder:
    """Turns YAML nodes into located values, each node once."""

    def __init__(self, file: str, loader: Any) -> None:
        self.file = file
        self.loader = loader
        self.built: dict[int, Located] = {}
        self.open: set[int] = set()
        self.sizes: dict[int, int] = {}
        """How many values each result stands for, with those that anchors repeat."""

    def place(self, node: Any) -> Place:
        return Place(self.file, node.start_mark.line + 1)

    def build(self, node: Any) -> Located:
        done = self.built.get(id(node))
        if done is not None:
            return done
        if id(node) in self.open:
            raise self.place(node).fault("an anchor refers to itself")
        self.open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            result = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            result = self._list(node)
        else:
            result = self._scalar(node)
        self.open.discard(id(node))
        self.built[id(node)] = result
        size = 1 + sum(self.sizes[id(item)] for item in result.items.values())
        if size > MOST_VALUES:
            raise self.place(node).fault("repeats its anchors too often")
        self.sizes[id(result)] = size
        return result

    def _scalar(self, node: Any) -> Located:
        place = self.place(node)
        try:
            value = self.loader.construct_object(node)
        except yaml.constructor.ConstructorError as error:
            raise place.fault(error.problem or "is not a value that YAML knows") from error
        except (ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
            raise place.fault(f"{short(node.value)} is not a value that YAML knows") from error
        if isinstance(value, (list, dict, set)):
            raise place.fault(f"the tag {node.tag} does not fit plain text")
        return Located(value, place, text=node.value)

    def _list(self, node: Any) -> Located:
        if node.tag not in _LISTS:
            raise self.place(node).fault(f"the tag {node.tag} is not known")
        items = dict(enumerate(self.build(item) for item in node.value))
        return Located(
            [item.value for item in items.values()],
            self.place(node),
            items,
            {index: item.place for index, item in items.items()},
        )

    def _mapping(self, node: Any) -> Located:
        if node.tag not in _MAPPINGS:
            raise self.place(node).fault(f"the tag {node.tag} is not known")
        items: dict[Any, Located] = {}
        keys: dict[Any, Place] = {}
        merged: list[Located] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.extend(self._merged(value_node))
                continue
            place = self.place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise place.fault("a key must be plain text")
            key = self._scalar(key_node).value
            if key in keys:
                raise place.fault(f"is given twice, first in line {keys[key].line}", str(key))
            keys[key] = place
            items[key] = self.build(value_node)
        for base in merged:
            for key, item in base.items.items():
                if key not in items:
                    items[key], keys[key] = item, base.keys[key]
        plain = {key: item.value for key, item in items.items()}
        return Located(plain, self.place(node), items, keys)

    def _merged(self, node: Any) -> list[Located]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(part, yaml.MappingNode) for part in parts):
            raise self.place(node).fault("<< takes a mapping or a list of mappings")
        return [self.build(part) for part in parts]
