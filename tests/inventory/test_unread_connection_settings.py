"""What Ansible would use beyond the inventory, and we don't, is told where it is found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
all:
  hosts: {w1: {}, w2: {EXTRA}}
  vars:
    bot: {name: echobot, source: ., command: run}
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's own settings out of it."""
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_REMOTE_USER", "ANSIBLE_BECOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "inventories").mkdir()
    monkeypatch.chdir(tmp_path)


def notes(folder: Path, extra: str = "") -> tuple[str, ...]:
    """Load the inventory and give what is told of it."""
    text = INVENTORY.replace("EXTRA", extra)
    (folder / "inventories/prod.yml").write_text(text, encoding="utf-8")
    return load("prod", folder / "inventories", os.environ).notes


def test_nothing_found_is_nothing_told(tmp_path: Path) -> None:
    """Also of settings that say what holds anyway."""
    assert notes(tmp_path) == ()
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\nforks = 9\ntransport = ssh\n[privilege_escalation]\nbecome = False\n"
    )
    assert notes(tmp_path) == ()


@pytest.mark.parametrize("where", ["here", "home", "named", "variable"])
def test_a_setting_that_changes_the_connection_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """With the place that sets it and the variable that does it here."""
    text = "[defaults]\nremote_user = ann ; me\n"
    (tmp_path / "home").mkdir()
    match where:
        case "here":
            (tmp_path / "ansible.cfg").write_text(text)
        case "home":
            (tmp_path / "home/.ansible.cfg").write_text(text)
        case "named":
            (tmp_path / "other.cfg").write_text(text)
            monkeypatch.setenv("ANSIBLE_CONFIG", str(tmp_path / "other.cfg"))
        case "variable":
            monkeypatch.setenv("ANSIBLE_REMOTE_USER", "ann")
    (note,) = notes(tmp_path)
    assert "set ansible_user in the inventory" in note
    assert ("ANSIBLE_REMOTE_USER is set" if where == "variable" else "sets remote_user") in note


def test_what_the_inventory_says_itself_is_not_told(tmp_path: Path) -> None:
    """It wins in Ansible too; but it has to say it for every host."""
    (tmp_path / "ansible.cfg").write_text("[defaults]\nremote_user = ann\n")
    assert len(notes(tmp_path, "ansible_user: bob")) == 1
    text = INVENTORY.replace("EXTRA", "") + "    ansible_user: bob\n"
    (tmp_path / "inventories/prod.yml").write_text(text, encoding="utf-8")
    assert load("prod", tmp_path / "inventories", os.environ).notes == ()


@pytest.mark.parametrize(
    ("section", "option", "words"),
    [
        ("privilege_escalation", "become = true", "ansible_become"),
        ("defaults", "private_key_file = k", "ansible_ssh_private_key_file"),
        ("ssh_connection", "ssh_common_args = -J b", "ansible_ssh_common_args"),
        ("defaults", "host_key_checking = False", "always checked"),
    ],
)
def test_each_setting_names_what_does_it_here(
    tmp_path: Path, section: str, option: str, words: str
) -> None:
    """A person knows what to write."""
    (tmp_path / "ansible.cfg").write_text(f"[{section}]\n{option}\n")
    (note,) = notes(tmp_path)
    assert words in note


@pytest.mark.parametrize("file", ["group_vars/all.yml", "group_vars/all/x.yml", "host_vars/w1.yml"])
def test_variables_beside_a_playbook_are_told(tmp_path: Path, file: str) -> None:
    """Where they set ours or how hosts are reached; other variables are Ansible's business."""
    place = tmp_path / file
    place.parent.mkdir(parents=True)
    place.write_text("nginx_port: 80\n")
    assert notes(tmp_path) == ()
    place.write_text("nginx_port: 80\nansible_user: ann\nrollout: {}\n")
    (note,) = notes(tmp_path)
    assert "ansible_user, rollout" in note
    assert str(tmp_path / "inventories") in note


def test_variables_beside_the_inventory_are_read_and_not_told(tmp_path: Path) -> None:
    """They are the inventory's own."""
    (tmp_path / "inventories/group_vars").mkdir()
    (tmp_path / "inventories/group_vars/all.yml").write_text("ansible_user: ann\n")
    assert notes(tmp_path) == ()


def test_a_damaged_file_is_no_reason_to_stop(tmp_path: Path) -> None:
    """It is Ansible's, and not read."""
    (tmp_path / "ansible.cfg").write_text("no section = 1\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("a: [\n")
    assert notes(tmp_path) == ()
