"""What a bot or a deployer might do to other instances of a machine, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from botdeploy.hosts import host_program
from tests.hosts.acts.actkit import BOT, Actor, parse
from tests.hosts.acts.instancekit import HOME, LIFE, TREES, Instance, entered, named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab

DEV = f"{HOME}/instances/dev"
PROGRAM = host_program.path(BOT)
RULE = f"/etc/sudoers.d/botdeploy-{BOT}"


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that has the program, and a secret of root's in a closed folder."""
    host = lab["h1"]
    assert "installed" in Actor(host).install()
    host.root(
        "mkdir -m 0700 /root/closed; mkdir /root/closed/open; echo secret >/root/closed/open/it"
    )
    return host


# --- what a bot might do --------------------------------------------------------------------------

TRICKS = """
import os
def tricks():
    for what, do in {
        "rename": lambda: os.rename(SHARED + "/data", SHARED + "/away"),
        "link": lambda: os.symlink("/root/closed", SHARED + "/more"),
        "tree": lambda: open(HERE / "new", "w"),
        "mount": lambda: os.rename(HERE / "data", HERE / "away"),
    }.items():
        try:
            do()
        except OSError:
            continue
        print("did", what, flush=True)
"""


def test_a_bot_cannot_put_a_link_in_the_place_of_its_data(host: BreakableHost) -> None:
    """What is above an entry is root's; the tree is nobody's to write."""
    code = LIFE.replace(
        'note("start")', f'SHARED = "{DEV}/shared"\n{TRICKS}\nnote("start")\ntricks()'
    )
    dev = entered(host, "dev")
    dev.deploy(named("R1", code=code), "run1")
    assert "did" not in host.root(f"journalctl -q -u {BOT}@dev -o cat").stdout.split()


@pytest.mark.parametrize("swapped", ["data", "a/data"])
def test_a_link_from_before_is_refused_before_anything_stops(
    swapped: str, host: BreakableHost
) -> None:
    """An administrator gave all of shared to the bot, which then put a link there."""
    dev = entered(host, "dev")
    dev.deploy(named("R1", shared=["data", "a/data"]), "run1")
    host.root(f"chown -R {BOT}: {DEV}/shared")
    shared = f"{DEV}/shared/{swapped}"
    put = f"mv {shared} {shared}.old && ln -s /root/closed/open {shared}"
    host.root(f"runuser -u {BOT} -- sh -c '{put}'")
    pid = dev.state()["main_pid"]
    second = named("R2", code=f"# 2\n{LIFE}", shared=["data", "a/data"])
    said = dev.send(second)
    assert (said.fault, shared in said["message"]) == ("shared", True)
    # Staged before the link came, it is refused at the start.
    host.root(f"rm {shared}; mv {shared}.old {shared}")
    assert "staged" in dev.send(second)
    host.root(f"chown -R {BOT}: {DEV}/shared; runuser -u {BOT} -- sh -c '{put}'")
    back = dev.switch("run2", "R2")["reverted"]
    assert shared in back["why"]
    assert (dev.state()["main_pid"], dev.state()["quarantine"]) == (pid, {})
    asked = dev("probe", "command", 5, stdin=b"cat data/it a/data/it")["probe"]
    assert asked["code"] == 126
    assert host.root(f"stat -c %U {DEV}/shared").stdout.strip() == "root"


# --- what a release might bring -------------------------------------------------------------------

BEHIND: Mapping[str, dict[str, object]] = {
    "is a link": {"links": {"data": "/etc"}, "shared": ["data"]},
    "behind a link": {"links": {"etc": "/etc"}, "shared": ["etc/cron.d"]},
    "behind two": {"links": {"a/b": "../c"}, "files": {"c/x": b""}, "shared": ["a/b/data"]},
    "behind a file": {"files": {"a": b""}, "shared": ["a/data"]},
    "a folder with files": {"files": {"data/x": b""}, "shared": ["data"]},
    "up": {"shared": ["../dev/data"]},
    "absolute": {"shared": ["/etc"]},
    "ours": {"shared": [".botdeploy/build"]},
    "in another": {"shared": ["data", "data/more"]},
    "quotes": {"shared": ['data":"/etc']},
    "made by the build": {"build": b"rmdir data\nln -s /etc data\n", "shared": ["data"]},
    "taken by the build": {"build": b"rmdir data\n", "shared": ["data"]},
    "way made by the build": {
        "build": b"rm -r a\nln -s /etc a\n",
        "shared": ["a/cron.d"],
    },
}


@pytest.mark.parametrize("what", sorted(BEHIND))
def test_a_mount_point_that_a_link_leads_to_is_refused(what: str, host: BreakableHost) -> None:
    """As root systemd would mount the bot's data over what lies there; nothing is left of it."""
    dev = entered(host, "dev")
    made = named("R1", **BEHIND[what])  # type: ignore[arg-type]
    said = dev.send(made)
    assert said.fault in {"shared", "usage", "write"}, (said.records, said.stderr)
    state = dev.state()
    assert (state["trees"], state["releases"]) == ([], [])
    assert host.root(f"ls -A {DEV}/.partial", check=False).stdout == ""
    assert host.root(f"find {DEV}/shared -mindepth 1").stdout == ""


def test_a_unit_brings_no_mounts_of_its_own(host: BreakableHost) -> None:
    """Only the program adds them, behind what was checked."""
    dev = entered(host, "dev")
    for line in ("BindPaths=/root/closed:/mnt", "BindReadOnlyPaths=/root:/mnt", "BindPaths="):
        assert dev.send(named("R1", service=line)).fault == "unit"
    said = dev.send(named("R1", service="RuntimeDirectory=echobot@main"))
    assert said.fault == "unit"
    assert "staged" in dev.send(named("R1"))
    added = host.root(f"grep BindPaths {DEV}/releases/R1/.botdeploy/{BOT}@dev.service").stdout
    assert added == f'BindPaths="{DEV}/shared/data":"{DEV}/current/tree/data"\n'


# --- what a deployer might do to others of the same bot -------------------------------------------


def test_a_standing_tree_is_never_overwritten(host: BreakableHost) -> None:
    """Other files under its name are not taken, and no tree gets a name that is not its own."""
    dev, main = entered(host, "dev"), entered(host, "main", "stage")
    good = named("R1")
    dev.deploy(good, "run1")
    sums = f"cd {TREES}/{good.tree_digest} && find . -type f -exec sha256sum {{}} + | sort"
    before = host.root(sums).stdout
    evil = named("Q1", "main", code="raise SystemExit('evil')\n")
    meta = evil.meta()
    words = (main.token, "Q1", "-", len(meta), 1000, 20, "roll1", "canary", good.tree_digest)
    assert "staged" in main("stage", *words, stdin=meta + evil.body())
    assert host.root(sums).stdout == before
    assert dev.state()["running"] == "R1"
    other = named("Q2", "main", code="print('another')\n")
    evil = named("Q2", "main", code="raise SystemExit('evil')\n")
    meta = evil.meta()
    words = (main.token, "Q2", "-", len(meta), 1000, 20, "roll1", "canary", other.tree_digest)
    said = main("stage", *words, stdin=meta + evil.body())
    assert (said.fault, other.tree_digest in said["message"]) == ("corrupt", True)
    assert main.state()["trees"] == [good.tree_digest]


@pytest.mark.parametrize("tree", ["..", "../instances", "0" * 63, "G" * 64, "", "trees/x"])
def test_what_is_no_digest_is_no_tree(tree: str, host: BreakableHost) -> None:
    """Nor is such a base."""
    dev = entered(host, "dev")
    made = named("R1")
    meta = made.meta()
    words = [dev.token, "R1", "-", len(meta), 1000, 20, "roll1", "canary", tree]
    assert dev("stage", *words, stdin=meta + made.body()).fault == "usage"
    words[2], words[8] = f"tree:{tree}", made.tree_digest
    assert dev("stage", *words, stdin=meta + made.body()).fault == "usage"
    assert dev.state()["trees"] == []


@pytest.mark.parametrize("name", ["Dev", "-dev", "dev-", "../x", "a b", "%i", "x" * 33])
def test_a_name_that_is_none_reaches_nothing(name: str, host: BreakableHost) -> None:
    """Neither a path nor a unit."""
    assert Instance(host, name).enter().fault == "usage"
    assert host.root(f"ls {HOME}", check=False).stdout == ""


# --- rights ---------------------------------------------------------------------------------------


def test_the_narrow_rights_are_enough_for_all_instances(host: BreakableHost) -> None:
    """They are for a bot on a machine; nobody else gets anything by an instance's name."""
    assert "setup" in Actor(host).ephemeral("setup@dev", BOT, "plain")
    for name in ("dev", "main"):
        one = Instance(host, name, user="plain", environment="prod")
        assert "state" in one.enter()
        meta = named("R1", name).meta()
        words = (one.token, "R1", "-", len(meta), 1000, 20, "r1", "c", named("R1").tree_digest)
        assert "staged" in one("stage", *words, stdin=meta + named("R1", name).body())
        assert "switched" in one.switch("run1", "R1")
        assert "confirmed" in one("confirm", one.token, "run1")
        one("leave", one.token)
        assert one("retire", "ann")["retired"]["release"] == "R1"


def test_setup_keeps_all_who_may_deploy(host: BreakableHost) -> None:
    """And moves them to the new program; older ones go, and guards are of the new one."""
    older = f"/usr/local/lib/botdeploy/0123456789ab/{BOT}"
    host.root("useradd -m ann; useradd -m ben; useradd -m gone")
    for user in ("ann", "gone", "ben"):
        assert "setup" in Actor(host).ephemeral("setup@dev", BOT, user)
    rule = host.root(f"cat {RULE}").stdout
    assert rule.splitlines()[0].endswith(f"ann, gone, ben may deploy {BOT}, and nothing else.")
    entered(host, "main").deploy(named("R1", "main"), "run1")
    host.root(
        f"userdel gone; mkdir -p {older.rpartition('/')[0]}; cp {PROGRAM} {older};"
        f" sed -i 's|{PROGRAM}|{older}|' {RULE} /etc/systemd/system/botdeploy-*; rm {PROGRAM};"
        " systemctl daemon-reload"
    )
    changes = [str(one["change"]) for one in setup_by(host, "ann") if "change" in one]
    assert any("allow ann, ben to run" in one for one in changes), changes
    assert host.root(f"ls /usr/local/lib/botdeploy/*/{BOT}").stdout.split() == [PROGRAM]
    assert older not in host.root(f"cat {RULE} /etc/systemd/system/botdeploy-*").stdout
    for user in ("ann", "ben"):
        assert host.root(f"runuser -u {user} -- sudo -n {PROGRAM} - version").ok
    assert [one for one in setup_by(host, "ann") if "change" in one] == []
    assert Instance(host, "main").state()["running"] == "R1"


def setup_by(host: BreakableHost, user: str) -> list[dict[str, object]]:
    """Set a deployer up for an instance."""
    return Actor(host).ephemeral("setup@dev", BOT, user).records


def test_setup_moves_nothing_while_something_is_open(host: BreakableHost) -> None:
    """The guard of a pending release runs the program that it was begun with."""
    dev = entered(host, "dev")
    assert "staged" in dev.send(named("R1"))
    assert "switched" in dev.switch("run1", "R1", ttl=300)
    older = f"/usr/local/lib/botdeploy/0123456789ab/{BOT}"
    host.root(f"mkdir -p {older.rpartition('/')[0]}; cp {PROGRAM} {older}")
    setup_by(host, "plain")
    assert host.root(f"ls {older}").ok
    assert "confirmed" in dev("confirm", dev.token, "run1")
    setup_by(host, "plain")
    assert not host.root(f"ls {older}", check=False).ok


def test_another_version_is_told_which_one_is_there(host: BreakableHost) -> None:
    """Who may not install this one's program learns what stands there."""
    older = f"/usr/local/lib/botdeploy/0123456789ab/{BOT}"
    host.root(
        f"mkdir -p {older.rpartition('/')[0]}; cp -p {PROGRAM} {older}; rm {PROGRAM};"
        f" sed -i 's/^VERSION=.*/VERSION=0.0.9/' {older}"
    )
    said = host.ssh(host_program.call(BOT, "n1", "observe@dev"), user="plain", check=False).stdout
    told = parse("n1", said)[0]
    assert (told["fault"], told["message"]) == ("version", f"0.0.9 ({older})")
