"""Least rights: who may deploy one bot by the narrow sudo rule can do nothing else with it."""

from __future__ import annotations

import io
import shlex
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.hosts import host_program
from botdeploy.hosts.host_program import How, Rights
from tests.hosts.acts.actkit import BOT, LIFE, Actor, release, tar_of, unit_text

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

R1 = release("R1")
PROGRAM = host_program.path(BOT)
FOLDER = f"/usr/local/lib/botdeploy/{host_program.DIGEST}"


@pytest.fixture
def host(lab: Lab) -> Host:
    """Give a host that an administrator has prepared for the user ``plain``."""
    host = lab["h1"]
    said = Actor(host).ephemeral("setup", BOT, "plain")
    assert "setup" in said, said
    return host


@pytest.fixture
def actor(host: Host) -> Actor:
    """Give a controller that logs in as ``plain``."""
    return Actor(host, user="plain")


def test_setup_is_done_once(host: Host) -> None:
    """A second setup finds nothing to change; a dry run of a first one changes nothing."""
    said = Actor(host).ephemeral("setup", BOT, "plain")
    assert [one for one in said.records if "change" in one] == []
    dry = Actor(host, "otherbot").ephemeral("setup", "--dry-run", "otherbot", "plain")
    assert len([one for one in dry.records if "change" in one]) >= 7
    left = "id otherbot; ls -d /opt/otherbot /var/lib/botdeploy/otherbot /run/botdeploy/otherbot"
    assert host.root(f"{left} /etc/sudoers.d/botdeploy-otherbot", check=False).stdout == ""


def test_the_narrow_rights_are_enough_for_a_whole_life(actor: Actor) -> None:
    """Stage, switch, confirm, prove, revert and the journal work for the user without rights."""
    assert "state" in actor.enter()
    assert not actor.stage(R1).fault
    assert "switched" in actor.switch("run1", "R1")
    assert "confirmed" in actor("confirm", actor.token, "run1")
    assert "proven" in actor("prove", actor.token, "R1", 5, "roll1")
    assert actor("revert", actor.token, "back", "-", "why").fault == "no-target"
    done = actor.host.ssh(host_program.call(BOT, "n1", "lines", ["50"]), user="plain")
    assert "READY" in done.stdout


def test_what_is_not_the_program_is_refused(host: Host) -> None:
    """No shell, no other unit, no other bot, no other path to the same program."""
    host.root(f"cp {PROGRAM} {FOLDER}/otherbot")
    host.ssh(f"cp {PROGRAM} /tmp/{BOT}; ln -sf {PROGRAM} /tmp/link", user="plain")
    for command in (
        "sh -c id",
        f"sh {PROGRAM} - observe",
        f"systemctl restart {BOT}.service",
        "systemctl status",
        "journalctl",
        f"/tmp/{BOT} - observe",
        "/tmp/link - observe",
        f"{FOLDER}/otherbot - observe",
        f"{FOLDER}/../{host_program.DIGEST}/otherbot - observe",
        f"-u {BOT} {PROGRAM} - observe",
    ):
        assert not host.ssh(f"sudo -n {command}", user="plain", check=False).ok, command
    assert host.ssh(f"sudo -n {PROGRAM} - observe", user="plain").ok


def test_setup_and_another_user_are_not_within_the_rights(actor: Actor) -> None:
    """Neither the rule nor the user that the bot runs as can be changed by who deploys."""
    assert actor("setup", "daemon", "plain").fault == "usage"
    said = actor("enter", actor.token, 30, "rollout", "daemon", "me", "why")
    assert said.fault == "user"
    assert "state" in actor.enter()


def test_the_environment_does_not_reach_the_program(host: Host) -> None:
    """What the caller exports can neither replace a tool nor open a shell in a pager."""
    host.ssh(
        "mkdir -p /tmp/evil; cd /tmp/evil; printf '#!/bin/sh\\nid >/tmp/pwned\\n' >date;"
        " chmod 755 date; for tool in id stat sed less; do cp date $tool; done",
        user="plain",
    )
    tricks = (
        "PATH=/tmp/evil:$PATH ENV=/tmp/evil/date BASH_ENV=/tmp/evil/date IFS=/ SHELLOPTS=xtrace"
    )
    pager = "SYSTEMD_PAGER=/tmp/evil/date PAGER=/tmp/evil/date LESSOPEN='|/tmp/evil/date'"
    for act in ("observe", "lines 5", "audit"):
        # script gives it a terminal, which is what wakes a pager.
        run = f"env {tricks} {pager} sudo -n {PROGRAM} - {act}"
        host.ssh(f"script -qec {shlex.quote(run)} /dev/null </dev/null", user="plain", check=False)
    assert not host.root("ls /tmp/pwned", check=False).ok


def test_no_file_of_the_program_is_writable(host: Host, actor: Actor) -> None:
    """Nothing that root reads or runs for the bot can be written by others."""
    actor.enter()
    actor.stage(R1)
    places = f"/usr/local/lib/botdeploy /var/lib/botdeploy /run/botdeploy /opt/{BOT}"
    units = f"/etc/systemd/system/*{BOT}* /etc/sudoers.d"
    loose = host.root(
        f"find {places} {units} ! -type l \\( -perm /022 -o ! -user root \\)"
        f" ! -path '/opt/{BOT}/shared*'"
    )
    assert loose.stdout == ""
    for secret in (f"/var/lib/botdeploy/{BOT}", f"/opt/{BOT}/releases/R1/.botdeploy/environment"):
        assert not host.ssh(f"cat {secret}/* {secret}", user="plain", check=False).stdout


def entry(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
) -> None:
    """Add one entry, as odd as may be."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = 5 if kind == tarfile.REGTYPE else 0
    tar.addfile(info, io.BytesIO(b"evil\n") if info.size else None)


def test_an_archive_cannot_write_outside(host: Host, actor: Actor) -> None:
    """Links, absolute names, ways up, devices and set-id bits in an upload come to nothing."""
    actor.enter()
    traps: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "absolute": [("/etc/evil-absolute", {})],
        "up": [("../../../../etc/evil-up", {})],
        "behind a link": [
            ("out", {"kind": tarfile.SYMTYPE, "link": "/etc"}),
            ("out/evil-link", {}),
        ],
        "hard link": [("passwd", {"kind": tarfile.LNKTYPE, "link": "/etc/shadow"})],
        "device": [("disk", {"kind": tarfile.CHRTYPE})],
        "set-id": [("suid", {"mode": 0o4755})],
        "fifo": [("pipe", {"kind": tarfile.FIFOTYPE})],
        "reserved": [(".botdeploy/digest", {})],
    }
    for name, entries in traps.items():
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for path, more in entries:
                entry(tar, path, **more)
        meta = R1.meta()
        arguments = (actor.token, "R1", "-", len(meta), 1000, 20, "roll1", "canary")
        said = actor("stage", *arguments, stdin=meta + out.getvalue())
        assert said.fault in {"upload", "corrupt"}, name
    assert host.root("ls /etc/evil* /opt/evil* /evil*", check=False).stdout == ""
    assert actor.state()["releases"] == []


@pytest.mark.parametrize(
    "extra",
    [
        {"digest/x": b"a folder"},
        {"other/file": b"x"},
        {"sums": b"0" * 64 + b"  ../../../etc/shadow\n"},
        {"sums": b"0" * 64 + b"  /etc/shadow\n"},
        {"digest": b"not a digest $(id)\n"},
    ],
)
def test_odd_metadata_is_refused(extra: dict[str, bytes], actor: Actor) -> None:
    """What becomes .botdeploy holds plain files with plain names, and sums of the release only."""
    actor.enter()
    made = release("ODD", extra=extra)
    if any(name.startswith("digest/") for name in extra):
        meta = tar_of({"sums": b"", "tree": b"", f"{BOT}.service": b"", **extra})
        arguments = (actor.token, "ODD", "-", len(meta), 1000, 20, "roll1", "canary")
        said = actor("stage", *arguments, stdin=meta + made.body())
    else:
        said = actor.stage(made)
    assert said.fault == "upload"


def test_metadata_that_is_a_link_is_refused(actor: Actor) -> None:
    """A link in the place of a secret or a digest would make root read another's file."""
    actor.enter()
    files = {"sums": R1.sums.encode(), "tree": R1.tree.encode()}
    files |= {f"{BOT}.service": R1.unit.encode()}
    meta = tar_of(files, {"digest": "/etc/shadow", "environment": "/etc/shadow"})
    arguments = (actor.token, "R1", "-", len(meta), 1000, 20, "roll1", "canary")
    assert actor("stage", *arguments, stdin=meta + R1.body()).fault == "upload"


def test_a_running_bot_cannot_reach_a_build(actor: Actor, host: Host) -> None:
    """While another release is built as the same user, the running bot sees nothing of it."""
    spy = (
        "NAME = 'SPY'\nDELAY = 0\nimport glob, threading, time\n"
        "def look():\n"
        "    while True:\n"
        "        for place in [p for f in ('/opt/echobot/.partial/*', '/run/botdeploy/*/*')"
        " for p in glob.glob(f)]:\n"
        "            open('/opt/echobot/shared/seen', 'a').write(place)\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=look, daemon=True).start()\n"
    )
    actor.enter()
    assert not actor.stage(release("SPY", code=spy + LIFE)).fault
    assert "switched" in actor.switch("run1", "SPY")
    built = release("BUILT", extra={"build": b"sleep 1\nid -un >who\n"}, unit=unit_text("BUILT"))
    assert not actor.stage(built).fault
    assert not host.root(f"ls /opt/{BOT}/shared/seen", check=False).ok


def test_every_journal_reader_is_told(host: Host) -> None:
    """The deploying user reads the journal by its group, also without the program."""
    assert "systemd-journal" in host.ssh("id -Gn", user="plain").stdout.split()


def test_check_tells_what_is_missing(lab: Lab) -> None:
    """Each fault of a host is an item that is not ok, with what mends it."""
    host = lab["h1"]
    good = {one["check"]["name"]: one["check"] for one in checks(Actor(host))}
    assert all(one["ok"] for one in good.values()), good
    host.root(f"mkdir /opt/{BOT}; touch /opt/{BOT}/mine /etc/systemd/system/{BOT}.service")
    bad = {
        one["check"]["name"]: one["check"] for one in checks(Actor(host)) if not one["check"]["ok"]
    }
    assert set(bad) == {"unit", "place"}
    assert all(one["mend"] for one in bad.values())
    nonce = "n1"
    command = host_program.call(BOT, nonce, "check", how=How.UNPRIVILEGED)
    said = host.ssh(command, user="plain", stdin=host_program.PROGRAM).stdout
    assert '"name": "root", "ok": false' in said
    assert '"name": "journal", "ok": false' in said


def checks(actor: Actor) -> list[dict[str, dict[str, object]]]:
    """Ask for a check's items."""
    return [one for one in actor.ephemeral("check").records if "check" in one]


@pytest.mark.parametrize("rule", ["ALL", "NOPASSWD: ALL"])
def test_sudo_with_a_password(rule: str, lab: Lab) -> None:
    """The real sudo takes the password from the first line, and the program the rest."""
    host = lab["h1"]
    host.root("echo 'plain:pass word' | chpasswd")
    host.root(f"echo 'plain ALL=(root) {rule}' >/etc/sudoers.d/zz-plain")
    install = host_program.call(
        BOT, "n1", "install", how=How.INSTALLING, rights=Rights(with_password=True)
    )
    done = host.ssh(install, user="plain", stdin=b"pass word\n" + host_program.PROGRAM)
    assert '"installed"' in done.stdout
    actor = Actor(host)
    actor.enter()
    meta = R1.meta()
    arguments = [actor.token, "R1", "-", str(len(meta)), "1000", "20", "roll1", "canary"]
    stage = host_program.call(BOT, "n1", "stage", arguments, rights=Rights(with_password=True))
    done = host.ssh(stage, user="plain", stdin=b"pass word\n" + meta + R1.body())
    assert '"staged": "R1"' in done.stdout
    wrong = host_program.call(BOT, "n1", "observe", rights=Rights(with_password=True))
    said = host.ssh(wrong, user="plain", stdin=b"guess\n", check=False).stdout
    if rule == "ALL":
        assert '"fault": "sudo"' in said
        assert "1 incorrect password attempt" in said, "asked once"
    else:
        assert '"state"' in said
