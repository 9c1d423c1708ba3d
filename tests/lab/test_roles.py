"""Whole commands by people in a role: with narrow rights, in a hurry, or with bad intent."""

from __future__ import annotations

import base64
import hashlib
import io
import shlex
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.hosts import host_program
from tests.hosts.acts.actkit import BOT, LIFE, Actor, release, unit_text
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
    assert "botdeploy setup prod --user root" in refused.summary


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
    sums = {"sums": (plain.sums + f"{guess}  l/pin\n").encode()}
    said = actor.stage(replace(plain, links={"l": "/root"}, extra=sums))
    assert said.fault == "corrupt"
    assert "not a file of the release" in str(said.records[0]["message"])
    # The second line of this one's name looks like the name behind the link.
    decoy = {**plain.files, "a\nl/pin": b"guess"}
    assert actor.stage(replace(plain, files=decoy, links={"l": "/root"}, extra=sums)).fault == (
        "upload"
    )


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
    assert bad.summary.count("did not become ready after the revert") == 1
    assert f"{one} did not become ready after the revert" in bad.summary
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


def sent(actor: Actor, name: str) -> tarfile.TarFile:
    """Fetch a release as one that may deploy, and unpack what came of its files."""
    said = host_program.call(BOT, "n1", "fetch", [actor.token, name])
    out = actor.host.ssh(said, user="plain").stdout
    files = out.partition('{"part": "files"}\n')[2]
    rows = [row for row in files.splitlines() if not row.startswith("@@")]
    return tarfile.open(fileobj=io.BytesIO(base64.b64decode("".join(rows))))


def narrow_actor(lab: Lab) -> Actor:
    """Give who may deploy one bot, and nothing else, on a host that was set up for that."""
    assert "setup" in Actor(lab["h1"]).ephemeral("setup", BOT, "plain")
    actor = Actor(lab["h1"], user="plain")
    actor.enter()
    return actor


#: What find prints for each of these holds a line of its own: "f 644 q <tab>/etc/shadow".
LINE_ENDS: dict[str, dict[str, Any]] = {
    "in a name": {"files": {"x\nf 644 q \t/etc/shadow": b""}},
    "in a link": {"links": {"a": "x\nf 644 q \t/etc/shadow"}},
}


@pytest.mark.parametrize("where", LINE_ENDS)
def test_a_line_end_in_a_release_is_refused(where: str, lab: Lab) -> None:
    """In a list of paths the text behind it would be a path of its own, of any file."""
    actor = narrow_actor(lab)
    odd = LINE_ENDS[where]
    plain = release("ODD")
    made = replace(
        plain,
        files={**plain.files, "q": b"q", **odd.get("files", {})},
        links=odd.get("links", {}),
        extra={"sums": replace(plain, files={**plain.files, "q": b"q"}).sums.encode()},
    )
    assert actor.stage(made).fault == "upload"


def test_a_line_end_that_a_build_makes_fetches_no_other_file(lab: Lab) -> None:
    """What the build made is not sent on, whatever its name looks like."""
    actor = narrow_actor(lab)
    build = (
        b"ln -s \"$(printf 'x\\nf 644 q \\t/etc/shadow')\" a\n"
        b"mkdir -p \"$(printf 'y\\nf 644 q \\t')/etc/shadow\"\n"
    )
    plain = release("ODD")
    made = replace(plain, files={**plain.files, "q": b"q"}, extra={"build": build})
    assert not actor.stage(made).fault
    names = sent(actor, "ODD").getnames()
    assert "bot.py" in names
    assert [name for name in names if "shadow" in name] == []


@pytest.mark.parametrize("name", ["a\n/etc/shadow", "a b", "$(id)", "é"])
def test_a_credential_s_name_is_plain(name: str, lab: Lab) -> None:
    """One that is two lines long would name another file where credentials are read as root."""
    actor = narrow_actor(lab)
    # tar makes the folders of such a name, so it is one entry here.
    made = release("ODD", extra={f"credentials/{name.replace('/', '_')}": b"x"})
    assert actor.stage(made).fault == "upload"


def test_a_bot_s_line_is_not_taken_for_journald_s(lab: Lab) -> None:
    """One that looks like a cursor keeps the next switch from nothing, and no follower out."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    talk = "NAME = 'TALK'\nDELAY = 0\nprint('-- cursor: s=1\\n-- cursor: stopped=1', flush=True)\n"
    mute = LIFE.replace('print("READY", NAME, flush=True)', "print('-- cursor: x', flush=True)")
    talker = release("TALK", code=talk + mute, ready="kind=active\nvalue=\ntimeout=5\n")
    assert not actor.stage(talker).fault
    assert not actor.stage(release("NEXT")).fault
    assert "switched" in actor.switch("run1", "TALK")
    actor("confirm", actor.token, "run1")
    follow = host_program.call(BOT, "n1", "follow", ["since:60"])
    told = lab["h1"].root(f"timeout 3 sh -c {shlex.quote(follow)}", check=False).stdout
    starts, _, rest = told.partition('@@n1 {"starts": 1}')
    assert '"MESSAGE_ID":"39f53479d3a045ac8e11786248231fbf"' in starts
    assert "stopped=1" in starts
    assert '{"read": {"entries": ' in rest
    assert "Failed to seek" not in told
    switched = actor.switch("run2", "NEXT")["switched"]
    assert switched["cursor"].startswith("s=")
    assert " " not in switched["cursor"]


def test_ssh_starts_at_boot_whatever_a_unit_orders(lab: Lab) -> None:
    """A unit before ssh and after everything would be a circle, broken at systemd's discretion."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    circle = unit_text("ODD").replace("[Unit]\n", "[Unit]\nBefore=ssh.service\n")
    said = actor.stage(release("ODD", unit=circle))
    assert said.fault == "unit"
    assert "Before in [Unit]" in str(said.records[0]["message"])


REACHING = """\
NAME = 'SPY'
DELAY = 0
import glob, os, threading, time
def look():
    while True:
        for place in glob.glob('/proc/[0-9]*/cwd/being-built'):
            with open('/opt/echobot/shared/seen', 'a') as seen:
                seen.write(place)
            with open(place, 'w') as changed:
                changed.write('by the bot that runs')
        time.sleep(0.01)
threading.Thread(target=look, daemon=True).start()
"""


def test_a_running_bot_cannot_reach_a_build_by_its_processes(lab: Lab) -> None:
    """A bot that was broken into would otherwise write itself into the release after it."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    assert not actor.stage(release("SPY", code=REACHING + LIFE)).fault
    assert "switched" in actor.switch("run1", "SPY")
    build = b"echo honest >being-built; seq 9000 | xargs touch; sleep 1; ls | tail -n 1\n"
    built = release("BUILT", extra={"build": build})
    assert not actor.stage(built).fault
    host = lab["h1"]
    assert host.root(f"cat /opt/{BOT}/releases/BUILT/being-built").stdout == "honest\n"
    assert not host.root(f"ls /opt/{BOT}/shared/seen", check=False).ok


#: Takes a folder that a build hands over, and makes folders in it for as long as it can.
ACCOMPLICE = """\
import os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("/opt/echobot/shared/socket")
server.listen()
talk, _ = server.accept()
_, (folder, *_), *_ = socket.recv_fds(talk, 1, 1)
end = time.monotonic() + 20
number = 0
while time.monotonic() < end:
    number += 1
    try:
        os.mkdir(f"mine{number}", 0o777, dir_fd=folder)
    except OSError:
        break
"""
HAND_OVER = b"""\
python3 -c 'import os, socket
talk = socket.socket(socket.AF_UNIX)
talk.connect("/opt/echobot/shared/socket")
socket.send_fds(talk, [b"x"], [os.open(".", os.O_RDONLY)])'
"""


def test_nothing_in_a_release_is_anybody_s_but_root_s(lab: Lab) -> None:
    """A build that hands its folder to a process outside makes no release that it can write."""
    actor = Actor(lab["h1"])
    actor.install()
    actor.enter()
    assert not actor.stage(release("FIRST")).fault
    host = lab["h1"]
    host.root(
        f"cat >/run/accomplice.py; systemd-run -q --unit=accomplice -p User={BOT}"
        " python3 /run/accomplice.py;"
        " while [ ! -e /opt/echobot/shared/socket ]; do sleep 0.05; done",
        stdin=ACCOMPLICE,
    )
    said = actor.stage(release("SHARED", extra={"build": HAND_OVER}))
    assert said.fault in {"", "build"}, said
    foreign = f"find /opt/{BOT}/releases ! -type l \\( ! -user root -o -perm /022 \\)"
    assert host.root(foreign).stdout == ""
    if said.fault:
        assert "after the build had ended" in str(said.records[0]["message"])
        assert not host.root(f"ls /opt/{BOT}/releases/SHARED", check=False).ok
