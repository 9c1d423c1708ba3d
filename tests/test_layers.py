"""The layers: imports point downwards only, and the core knows nothing of the world."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "botdeploy"

LAYERS = ["core", "inventory", "sources", "starter", "hosts", "engine", "views", "cli"]
"""From the ground up; inventory, sources and starter stand side by side upon the core."""

BELOW = {
    "core": set(),
    "inventory": {"core"},
    "sources": {"core"},
    "starter": {"core", "sources"},
    "hosts": {"core"},
    "engine": {"core", "hosts", "sources"},
    "views": {"core", "inventory", "engine"},
    "cli": {"core", "inventory", "sources", "starter", "hosts", "engine", "views"},
}

WITHIN = {
    "core": (
        "text", "events", "verdict", "model", "lines", "probes", "release", "host", "evidence",
        "judge", "rollout", "report",
    ),
    "hosts": (
        "host_program", "host_secrets", "process", "ssh", "acts", "journal_reader",
        "follower_threads", "follower",
    ),
    "engine": (
        "fleet", "event_emitter", "manifest_cache", "outcome", "watch", "evidence",
        "dependencies", "rollout", "commands",
    ),
}  # fmt: skip
"""The folders and modules of a layer: each may import those that stand before it."""

WORLD = {
    "asyncio", "concurrent", "fabric", "glob", "http", "invoke", "io", "jinja2",
    "multiprocessing", "os", "paramiko", "pathlib", "pydantic", "random", "requests", "rich",
    "secrets", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading",
    "time", "typer", "uuid", "yaml", "zoneinfo",
}  # fmt: skip
"""What a pure decision has no business with: clock, files, network, randomness, threads."""

CLOCK = {"now", "today", "utcnow"}
"""Methods of ``datetime`` and ``date`` that read the clock of this machine."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Name everything that a module imports, whatever the import is for."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def layer_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def test_every_folder_is_a_layer() -> None:
    """A new folder of the package must be given its place here."""
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    """A module imports its own layer and those below it, and errors."""
    layer = layer_of(path)
    if not layer:
        return
    allowed = BELOW[layer] | {layer, "errors", "__version__"}
    if layer != "core":
        allowed.add("user_dirs")
    used = {name.split(".")[1] for name in imported(path) if name.startswith("botdeploy.")}
    assert used <= allowed, f"{layer} imports {sorted(used - allowed)}"


@pytest.mark.parametrize("layer", WITHIN)
def test_imports_within_a_layer_have_one_direction(layer: str) -> None:
    """Type hints count, too: who knows a folder only by its types knows it all the same."""
    order = WITHIN[layer]
    found = set()
    for path in sorted((PACKAGE / layer).rglob("*.py")):
        own = path.relative_to(PACKAGE / layer).with_suffix("").parts[0]
        if own == "__init__":
            continue
        found.add(own)
        used = {
            name.split(".")[2] for name in imported(path) if name.startswith(f"botdeploy.{layer}.")
        }
        later = used - {own} - set(order[: order.index(own)])
        assert not later, f"{path.relative_to(PACKAGE)} imports {sorted(later)}"
    assert found == set(order)


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.stem
)
def test_the_core_knows_no_world(path: Path) -> None:
    """No clock, no files, no network, no randomness, no threads, and no third-party package."""
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & WORLD
    read = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"date", "datetime"}
    }
    assert not read & CLOCK
    assert roots <= sys.stdlib_module_names | {"botdeploy"}
