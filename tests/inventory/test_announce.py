"""Announcements are filled in with what a ring knows, and are checked before anything begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host
from botdeploy.errors import UserError
from botdeploy.inventory import load
from botdeploy.inventory.announce import LONGEST, env_of, fault, render, values

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = values(
    bot="echobot",
    environment="prod",
    ring="beta",
    release="20261122T210500Z-3f9c2ab1",
    hosts=[
        Host("w/1", Address("w", "w"), Bot("echobot", "run", "."), instance="1"),
        Host("w2", Address("w2", "w2"), Bot("echobot", "run", ".")),
    ],
    env={"GUILDS": "1,2"},
)


def test_all_that_a_ring_knows_can_be_named() -> None:
    """Bot, environment, ring, release, hosts and env stand in an announcement."""
    text = "{{ bot }} {{ environment }} {{ ring }} {{ release[:8] }} {{ hosts|length }} "
    text += "{% for guild in env.GUILDS.split(',') %}<{{ guild }}>{% endfor %}"
    assert render(text, KNOWN) == "echobot prod beta 20261122 2 <1><2>"


def test_instances_stand_beside_hosts() -> None:
    """One for each; a host in the plain form has an empty one."""
    assert render("{{ hosts | join(' ') }}", KNOWN) == "w/1 w2"
    assert KNOWN["instances"] == ["1", ""]


def test_what_a_template_does_wrong_is_said() -> None:
    """A division by zero, an unknown filter and a missing name are each told, never raised."""
    assert "zero" in str(fault("{{ 1 / 0 }}", KNOWN))
    assert "nofilter" in str(fault("{{ bot | nofilter }}", KNOWN))
    assert "bot2" in str(fault("{{ bot2 }}", KNOWN))
    with pytest.raises(UserError, match="bot2"):
        render("{{ bot2 }}", KNOWN)


def test_an_announcement_has_an_end() -> None:
    """A runaway text is cut."""
    assert len(render("{{ 'x' * 100000 }}", KNOWN)) == LONGEST


def write(folder: Path, announce: str) -> Path:
    path = folder / "prod.yml"
    path.write_text(
        "all:\n  vars:\n    bot: {name: echobot, source: ., command: run, "
        'env: {COMMON: a, SHARD: "{{ shard }}"}}\n'
        f"    rollout:\n      rings:\n        - name: all\n          hosts: all\n"
        f"          env: {{RING: r}}\n          announce: {announce}\n"
        "  hosts:\n    h1: {shard: 1}\n    h2: {shard: 2}\n",
        encoding="utf-8",
    )
    return path


def test_where_announcements_go_is_read_with_them(tmp_path: Path) -> None:
    """URLs, references and templates of references are taken; a file lies beside the inventory."""
    path = write(
        tmp_path,
        "{begin: 'now {{ release }}', to: ['json://h/', 'env:USERS', 'file:users', "
        "\"env:{{ 'A' ~ 'B' }}\"]}",
    )
    ring = load(str(path), tmp_path, os.environ).policy.rings[0]
    assert ring.announce == {"begin": "now {{ release }}"}
    assert ring.announce_to == ("json://h/", "env:USERS", f"file:{tmp_path / 'users'}", "env:AB")


def test_variables_of_bot_and_ring_can_be_named(tmp_path: Path) -> None:
    """``env`` has what all hosts have, and the ring's own."""
    path = write(tmp_path, "{begin: '{{ env.COMMON }} {{ env.RING }}', to: 'json://h/'}")
    inventory = load(str(path), tmp_path, os.environ)
    ring = inventory.policy.rings[0]
    assert env_of(ring, inventory.hosts) == {"COMMON": "a", "SHARD": "1", "RING": "r"}
