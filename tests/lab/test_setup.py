"""What stands in the way of the rule that setup writes is found, and each remedy is true."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from botdeploy.hosts import host_program
from tests.hosts.acts.actkit import BOT, Actor

if TYPE_CHECKING:
    from tests.hosts.acts.actkit import Reply
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

RULE = f"/etc/sudoers.d/botdeploy-{BOT}"


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that is prepared for the user ``plain``."""
    return lab["h1"]


def setup(host: BreakableHost) -> Reply:
    """Prepare the host as an administrator does."""
    return Actor(host).ephemeral("setup", BOT, "plain")


def may_run(host: BreakableHost) -> bool:
    """Tell whether the deploying user gets to the program, as every act does."""
    said = host.ssh(host_program.call(BOT, "n1", "version"), user="plain", check=False)
    return '"version": true' in said.stdout


def put(host: BreakableHost, path: str, text: str, mode: str = "0440") -> None:
    """Write a file on the host."""
    quoted = shlex.quote(path)
    host.root(f"cat >{quoted} && chmod {mode} {quoted}", stdin=text)


def test_another_file_s_fault_is_not_the_rule_s(host: BreakableHost) -> None:
    """What visudo said before is quoted; the rule stays and works."""
    put(host, "/etc/sudoers.d/loose", "# nothing\n", "0644")
    said = setup(host)
    assert not said.fault, said.records
    assert "/etc/sudoers.d/loose" in said["note"]
    assert "0440" in said["note"]
    assert may_run(host)
    assert [sorted(record) for record in setup(host).records] == [
        ["note"],
        ["setup"],
        ["final", "rc"],
    ]


def test_a_rule_that_nobody_reads_is_named(host: BreakableHost) -> None:
    """Without includedir the rule is as if it were not there; the line that is missing is told."""
    host.root("cp -p /etc/sudoers /run/sudoers; sed -i '/includedir/d' /etc/sudoers")
    try:
        said = setup(host)
        told = str(said["message"])
        assert said.fault == "sudoers"
        assert "/etc/sudoers does not read /etc/sudoers.d" in told
        assert not may_run(host)
        line = told.rpartition("add the line: ")[2]
        assert line == "@includedir /etc/sudoers.d"
        host.root(f"echo {shlex.quote(line)} >>/etc/sudoers; visudo -c")
        assert not setup(host).fault
        assert may_run(host)
    finally:
        host.root("cp -p /run/sudoers /etc/sudoers")


@pytest.mark.parametrize("who", ["plain", "%plain", "ALL", "TEAM", "#1001"])
def test_a_later_rule_that_wins_is_named(who: str, host: BreakableHost) -> None:
    """A file that is read after the rule's, and wants a password: what to type is told."""
    later = "/etc/sudoers.d/team"
    alias = "User_Alias TEAM = root, plain\n" if who == "TEAM" else ""
    put(host, later, f"# of plain\n{alias}{who} ALL=(ALL:ALL) ALL\n")
    put(host, "/etc/sudoers.d/unrelated", "root ALL=(ALL:ALL) ALL\n")
    said = setup(host)
    told = str(said["message"])
    assert said.fault == "sudoers"
    assert "a later rule wins" in told
    assert f"(ALL : ALL) ALL ({later})" in told
    assert not may_run(host)
    command = told.partition("Let it be read first: ")[2].partition(", then:")[0]
    assert command.startswith(f"mv {later} ")
    host.root(command)
    assert not setup(host).fault
    assert may_run(host)


def test_a_later_rule_in_the_main_file_is_named(host: BreakableHost) -> None:
    """The same below the line with includedir."""
    host.root("cp -p /etc/sudoers /run/sudoers; echo 'plain ALL=(ALL) ALL' >>/etc/sudoers")
    try:
        told = str(setup(host)["message"])
        assert "(ALL) ALL (/etc/sudoers)" in told
        assert "above the one with includedir" in told
    finally:
        host.root("cp -p /run/sudoers /etc/sudoers")


def test_what_visudo_refuses_is_quoted(host: BreakableHost) -> None:
    """A rule that it does not take is not put there, and its own line is told."""
    put(
        host,
        "/usr/local/sbin/visudo",
        '#!/bin/sh\ncase "$*" in *-f*) echo "$3:3:9: unknown setting: use_pty"; exit 1 ;; esac\n',
        "0755",
    )
    said = setup(host)
    assert said.fault == "sudoers"
    assert "unknown setting: use_pty" in str(said["message"])
    assert not host.root(f"ls {RULE}", check=False).ok
