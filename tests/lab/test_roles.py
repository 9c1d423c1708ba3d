"""Whole commands by people in a role: with narrow rights, in a hurry, or with bad intent."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hosts.actkit import BOT, Actor, release, unit_text
from tests.lab.rollouts import Project, Ran, releases_of

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


def test_the_reason_of_a_failed_start_is_told(lab: Lab, tmp_path: Path) -> None:
    """What the bot said last, or systemd of it, stands in the summary and in the history."""
    project = Project(tmp_path, lab, hosts=PAIR)
    project.canary()
    bad = project.canary("--source", project.version("v2", "import-error"), code=1)
    assert "ModuleNotFoundError: No module named 'there_is_no_such_module'" in bad.summary
    assert "(status 1)" in bad.summary
    told = {entry["why"] for entry in project.run("history", "prod").events[0]["entries"]}
    assert any("there_is_no_such_module" in why for why in told)
    project.bot["command"] = "./there-is-no-such-program"
    project.write()
    assert "there-is-no-such-program" in project.canary(code=1).summary


VANDAL = """\
import os, time
os.chmod("data", 0)
raise RuntimeError("the vandal was here")
"""


def test_a_failed_return_names_both_reasons_and_the_next_command(lab: Lab, tmp_path: Path) -> None:
    """Exit 7 says why the release failed, that the old one fails too, once, and what to type."""
    project = Project(tmp_path, lab, hosts=PAIR)
    one = releases_of(project.canary())
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "main.py").write_text(VANDAL)
    bad = project.canary("--source", str(tmp_path / "v2"), code=7)
    assert bad.summary.count("did not become ready after the return") == 1
    assert f"{one} did not become ready after the return" in bad.summary
    assert "the vandal was here" in bad.summary
    assert "botdeploy logs prod --limit h1" in bad.summary
    assert project.run("logs", "prod", "--limit", "h1").code == 0
    lab["h1"].root("chmod 750 /opt/tbot/shared/data; systemctl restart tbot")
    assert project.running() == [one, one]


def test_a_message_of_more_lines_is_kept(lab: Lab, tmp_path: Path) -> None:
    """A commit's message can be given as it is, to every command that takes one."""
    project = Project(tmp_path, lab, hosts=PAIR)
    message = ("--message", "Fix it; $(id) \"quoted\" 'x'\n\nCloses #5")
    project.canary(*message)
    project.canary("--source", project.version("v2", "good"), *message)
    for command in ("hold", "resume", "unlock", "rollback"):
        assert project.run(command, "prod", *message).code == 0
    told = {entry["why"] for entry in project.run("history", "prod").events[0]["entries"]}
    assert "Fix it; $(id) \"quoted\" 'x' Closes #5" in told


def test_what_a_build_makes_for_its_user_can_be_read_by_the_bot(lab: Lab, tmp_path: Path) -> None:
    """A key or a cache of mode 0600 stays the bot's to read, and nobody else's."""
    project = Project(tmp_path, lab, hosts=("h1",))
    make = "umask 077; mkdir keys; echo secret >keys/key; cp /usr/bin/true tool"
    project.bot["build"] = [make]
    project.bot["ready"] = {"command": "grep -q secret keys/key && ./tool && ! rm -f keys/key"}
    project.write()
    project.canary()
    assert not lab["h1"].ssh("cat /opt/tbot/current/keys/key", user="plain", check=False).ok
