"""Finding environments by name and by path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from botdeploy.errors import UserError
from botdeploy.inventory import environments, load
from botdeploy.inventory.find import find, sources

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "all: {hosts: {h1: {}}, vars: {bot: {name: a, source: ., command: x}}}\n"


def put(path: Path, text: str = GOOD) -> Path:
    """Write a file and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_environments_are_files_folders_and_programs(tmp_path: Path) -> None:
    """Each inventory of the folder is an environment; what belongs to one is not."""
    put(tmp_path / "prod.yml")
    put(tmp_path / "beta.yaml")
    put(tmp_path / "old.ini", "[all]\nh1\n")
    put(tmp_path / "eu/hosts")
    put(tmp_path / "us/10-hosts.yml")
    put(tmp_path / "live", "#!/bin/sh\necho {}\n").chmod(0o755)
    put(tmp_path / "cloud.py", "#!/bin/sh\necho {}\n").chmod(0o755)
    put(tmp_path / "group_vars/all.yml", "a: 1\n")
    put(tmp_path / "host_vars/h1.yml", "a: 1\n")
    put(tmp_path / "keys/id_ed25519", "x")
    put(tmp_path / "README.md", "x")
    put(tmp_path / ".hidden.yml")
    put(tmp_path / "prod.yml.bak")
    put(tmp_path / "notes", "x")
    assert environments(tmp_path) == ["beta", "cloud", "eu", "live", "old", "prod", "us"]


def test_a_folder_that_is_not_there_has_no_environments(tmp_path: Path) -> None:
    """Asking for environments never fails."""
    assert environments(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("file", "asked", "name"),
    [
        ("prod.yml", "prod", "prod"),
        ("prod.yaml", "prod", "prod"),
        ("prod.yml", "prod.yml", "prod"),
        ("prod/hosts.yml", "prod", "prod"),
        ("prod/hosts", "prod", "prod"),
        ("hosts.yml", "hosts", "hosts"),
        ("prod.eu.yml", "prod.eu", "prod.eu"),
    ],
)
def test_a_name_is_looked_up_in_the_folder(
    file: str, asked: str, name: str, tmp_path: Path
) -> None:
    """ENV names DIR/ENV.yml, DIR/ENV.yaml or DIR/ENV/."""
    put(tmp_path / file)
    assert find(asked, tmp_path)[0] == name
    assert load(asked, tmp_path, os.environ).environment == name


@pytest.mark.parametrize(
    ("file", "asked", "name"),
    [
        ("x/prod.yml", "x/prod.yml", "prod"),
        ("x/prod/hosts.yml", "x/prod", "prod"),
        ("x/prod/hosts.yml", "x/prod/", "prod"),
        ("x/prod/hosts.yml", "x/prod/hosts.yml", "prod"),
        ("x/prod/inventory.ini", "x/prod/inventory.ini", "prod"),
    ],
)
def test_a_path_is_an_environment_too(
    file: str, asked: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENV may be a path; the environment is called like the file, or the folder of 'hosts'."""
    put(tmp_path / file)
    monkeypatch.chdir(tmp_path)
    assert find(asked, tmp_path / "inventories")[0] == name


def test_two_inventories_for_one_name_are_an_error(tmp_path: Path) -> None:
    """A name that means two files is refused and both are named."""
    put(tmp_path / "prod.yml")
    put(tmp_path / "prod/hosts.yml")
    with pytest.raises(UserError, match=r"more than one inventory: .*prod and .*prod\.yml"):
        find("prod", tmp_path)


def test_an_unknown_name_gets_the_nearest_one(tmp_path: Path) -> None:
    """A slip of the keyboard is told with what was probably meant."""
    put(tmp_path / "prod.yml")
    with pytest.raises(UserError, match="did you mean 'prod'"):
        find("prdo", tmp_path)
    with pytest.raises(UserError, match="there are: prod"):
        find("xyz", tmp_path)
    with pytest.raises(UserError, match="botdeploy init"):
        find("xyz", tmp_path / "none")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000, "../../none", "~", "*"])
def test_odd_names_are_a_users_error(name: str, tmp_path: Path) -> None:
    """No name causes a fault of botdeploy's own."""
    with pytest.raises(UserError):
        load(name, tmp_path, os.environ)


def test_a_folders_files_come_in_order_without_what_ansible_ignores(tmp_path: Path) -> None:
    """Files are read sorted by name, folders inside too, without backups and variables."""
    for name in ("b.yml", "a.ini", "deep/c.yml", ".x.yml", "d.yml~", "e.md", "f.retry"):
        put(tmp_path / name)
    put(tmp_path / "group_vars/all.yml")
    os.mkfifo(tmp_path / "pipe.yml")
    names = [str(path.relative_to(tmp_path)) for path in sources(tmp_path)]
    assert names == ["a.ini", "b.yml", "deep/c.yml"]


def test_an_unreadable_file_is_a_users_error(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    (tmp_path / "prod").mkdir()
    put(tmp_path / "prod/hosts.yml")
    (tmp_path / "prod/z.yml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"z\.yml: cannot be read"):
        load("prod", tmp_path, os.environ)
