"""``rollout.requires``: the environment that it names is there, and leads nowhere back."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.policy import Requires
from botdeploy.errors import InventoryError, UserError
from botdeploy.inventory import load, load_required

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model.inventory import Inventory

KEY = "rollout.requires.environment"


def put(folder: Path, name: str, requires: str = "", file: str = "") -> Path:
    """Write the inventory of an environment that requires another."""
    rollout = f"    rollout:\n      requires: {{{requires}}}\n" if requires else ""
    path = folder / (file or f"{name}.yml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "all:\n  hosts: {h1: {}}\n  vars:\n"
        f"    bot: {{name: a, source: ., command: x}}\n{rollout}"
    )
    return path


def loaded(folder: Path, name: str = "prod") -> Inventory:
    """Load an environment of a folder."""
    return load(name, folder, os.environ)


def test_an_environment_may_require_another_one_of_its_folder(tmp_path: Path) -> None:
    """It is named with the place that states it, and read when it is asked for."""
    path = put(tmp_path, "prod", "environment: dev, proven_for: 2d")
    put(tmp_path, "dev", file="dev/hosts.yaml")
    prod = loaded(tmp_path)
    assert prod.policy.requires == Requires("dev", timedelta(days=2), str(path), 6)
    found = load_required(prod, os.environ)
    assert found is not None
    assert (found.environment, found.path) == ("dev", str(tmp_path / "dev"))
    assert load_required(found, os.environ) is None


@pytest.mark.parametrize("file", ["prod/hosts.yml", "prod/inventory.yml"])
def test_the_folder_is_the_one_that_holds_the_environments(file: str, tmp_path: Path) -> None:
    """Also where the inventory was named by the path of a file in a folder of its own."""
    path = put(tmp_path, "prod", "environment: dev", file=file)
    put(tmp_path, "dev")
    for asked in ("prod", str(path), str(path.parent)):
        prod = load(asked, tmp_path, os.environ)
        found = load_required(prod, os.environ)
        assert found is not None
        assert found.environment == "dev"


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("environment: dve", "no inventory for 'dve' in"),
        ("environment: dve", "did you mean 'dev'?"),
        ("environment: prod", "'prod' can't be asked about itself"),
        ("environment: prod.yml", "'prod' can't be asked about itself"),
        ("environment: ../dev", "letters, digits"),
        ("environment: cwd", "no inventory for 'cwd' in"),
    ],
)
def test_a_name_that_means_no_other_environment_is_refused(
    requires: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With file, line and key; a folder of that name in the working folder is none."""
    put(tmp_path / "inventories", "prod", requires)
    put(tmp_path / "inventories", "dev")
    put(tmp_path, "cwd", file="cwd/hosts.yml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path / "inventories")
    assert said in str(caught.value)
    assert f"prod.yml:6: {KEY}: " in str(caught.value)


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("proven_for: 2d", "rollout.requires.environment: is missing"),
        ("environment: dev, proven_for: soon", "rollout.requires.proven_for"),
        ("environment: dev, for: 2d", "rollout.requires.for: is not a known key"),
    ],
)
def test_its_keys_are_checked(requires: str, said: str, tmp_path: Path) -> None:
    """As all others are."""
    put(tmp_path, "prod", requires)
    put(tmp_path, "dev")
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path)
    assert said in str(caught.value)


def test_two_inventories_of_the_required_name_are_refused(tmp_path: Path) -> None:
    """Nobody knows which of them is meant."""
    put(tmp_path, "prod", "environment: dev")
    put(tmp_path, "dev")
    put(tmp_path, "dev", file="dev.yaml")
    with pytest.raises(InventoryError, match=r"prod\.yml:6: .* more than one inventory"):
        loaded(tmp_path)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_circle_is_refused_where_it_is_followed(length: int, tmp_path: Path) -> None:
    """With the whole way, at the key of the one that was asked for."""
    names = ["prod", "dev", "lab", "beta"][:length]
    for name, next_one in zip(names, [*names[1:], names[0]], strict=True):
        put(tmp_path, name, f"environment: {next_one}")
    for name in names:
        with pytest.raises(InventoryError) as caught:
            load_required(loaded(tmp_path, name), os.environ)
        assert f"{name}.yml:6: {KEY}: goes in a circle: {name} → " in str(caught.value)
        assert str(caught.value).endswith(f"→ {name}")


def test_a_circle_further_on_is_refused_too(tmp_path: Path) -> None:
    """Prod is no part of it, and would never be released to."""
    put(tmp_path, "prod", "environment: dev")
    put(tmp_path, "dev", "environment: lab")
    put(tmp_path, "lab", "environment: dev")
    with pytest.raises(InventoryError, match="prod → dev → lab → dev"):
        load_required(loaded(tmp_path), os.environ)


def test_a_required_inventory_that_is_broken_is_told_as_its_own_fault(tmp_path: Path) -> None:
    """Prod's own commands that ask nobody else go on."""
    put(tmp_path, "prod", "environment: dev")
    put(tmp_path, "dev").write_text("all:\n  hosts: {h1: {}}\n  vars: {bot: {nam: a}}\n")
    prod = loaded(tmp_path)
    with pytest.raises(UserError, match=r"dev\.yml:3"):
        load_required(prod, os.environ)
