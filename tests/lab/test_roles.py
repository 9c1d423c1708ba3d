"""Whole commands by people in a role: with narrow rights, in a hurry, or with bad intent."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hosts.actkit import BOT, Actor, release, unit_text
from tests.lab.rollouts import Project, Ran

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

PAIR = ("h1", "h2")


@pytest.fixture
def narrow(lab: Lab, tmp_path: Path) -> Project:
    """Give a project of a user to whom sudo allows nothing."""
    user = {name: {"ansible_user": "plain"} for name in PAIR}
    return Project(tmp_path, lab, hosts=PAIR, host_vars=user)


def checks(ran: Ran) -> dict[str, dict[str, dict[str, object]]]:
    """Give the items of ``check`` by host and name."""
    return {
        host["host"]: {item["name"]: item for item in host["checks"]}
        for host in ran.events[0]["hosts"]
    }


def test_without_rights_every_command_names_setup(narrow: Project) -> None:
    """A user without sudo is told by check and by canary what an administrator must type."""
    seen = narrow.run("check", "prod")
    assert seen.code == 6
    for items in checks(seen).values():
        assert items["reachable"]["ok"] is True
        assert items["root"]["ok"] is False
        assert "botdeploy setup" in str(items["root"]["mend"])
    refused = narrow.run("canary", "prod")
    assert refused.code == 6
    assert "botdeploy setup ENV --user ADMIN" in refused.summary


def test_with_narrow_rights_check_tries_what_canary_uses(narrow: Project) -> None:
    """After setup, the program that sudo allows is enough for check, canary and rollback."""
    assert narrow.run("setup", "prod", "--user", "root").code == 0
    seen = narrow.run("check", "prod")
    assert seen.code == 0, seen.out
    assert all(items["root"]["ok"] for items in checks(seen).values())
    narrow.canary()
    narrow.canary("--source", narrow.version("v2", "good"))
    assert narrow.run("rollback", "prod").code == 0
    narrow.assert_never_two()


@pytest.mark.parametrize(
    "directive", ["RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory"]
)
def test_a_folder_below_the_bot_s_own_is_refused(directive: str, lab: Lab) -> None:
    """Behind a link that the bot has put there systemd would give it what is root's."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    deep = release("DEEP", unit=unit_text("DEEP", service=f"{directive}={BOT}/link/etc"))
    assert actor.stage(deep).fault == "unit"
    own = release("OWN", unit=unit_text("OWN", service=f"{directive}={BOT}"))
    assert not actor.stage(own).fault


def test_sums_behind_a_link_are_refused(lab: Lab) -> None:
    """Whoever deploys cannot try out what a file holds that only root may read."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    lab["h1"].root("printf guess >/root/pin")
    guess = hashlib.sha256(b"guess").hexdigest()
    plain = release("GUESS")
    # The second line of this one's name looks like the name behind the link.
    decoy = {**plain.files, "a\nl/pin": b"guess"}
    for files in (plain.files, decoy):
        sums = {"sums": (plain.sums + f"{guess}  l/pin\n").encode()}
        said = actor.stage(replace(plain, files=files, links={"l": "/root"}, extra=sums))
        assert said.fault == "corrupt"
        assert "no file of the release" in str(said.records[0]["message"])


def test_a_build_that_puts_a_link_in_place_of_a_folder_is_not_copied_from(lab: Lab) -> None:
    """The next release would be copied, as root, from where that link leads."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    build = b"mv lib ../lib.old 2>/dev/null || cp -r lib /tmp/lib; rm -rf lib; ln -s /tmp/lib lib\n"
    files = {**release("B1").files, "lib/x.py": b"x = 1\n"}
    one = replace(release("B1"), files=files, extra={"build": build})
    assert not actor.stage(one).fault
    two = replace(release("B2"), files=files)
    assert actor.stage(two, one).fault == "no-base"
