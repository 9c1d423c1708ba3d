"""Is it ready? On real hosts: what a line says, whose port it is, and who kept the bot mute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.hosts.acts.actkit import BOT, LIFE, Actor, release, unit_text

if TYPE_CHECKING:
    from tests.hosts.acts.actkit import Release
    from tests.lab.host import Host
    from tests.lab.lab import Lab


@pytest.fixture
def host(lab: Lab) -> Host:
    """Give the host that is deployed to."""
    return lab["h1"]


@pytest.fixture
def actor(host: Host) -> Actor:
    """Give who deploys there, with the lock."""
    actor = Actor(host)
    actor.install()
    actor.enter()
    return actor


def saying(text: str, then: str = "") -> str:
    """Write a bot that says something, does something and lives on."""
    life = LIFE.replace('print("READY", NAME, flush=True)', f"print({text!r}, flush=True)\n{then}")
    return f"NAME = 'TRY'\nDELAY = 0\n{life}"


def ready(kind: str, value: object = "", timeout: int = 4) -> str:
    """Write down the sign that is waited for."""
    return f"kind={kind}\nvalue={value}\ntimeout={timeout}\n"


def switched(actor: Actor, made: Release, run: str = "run1") -> dict[str, Any]:
    """Stage and switch; gives what came of it, with the word for it."""
    assert not actor.stage(made).fault
    said = actor.switch(run, made.id)
    return {word: said[word] for word in ("switched", "reverted") if word in said}


def quarantined(host: Host) -> bool:
    """Tell whether the host holds anything against any release."""
    return bool(host.root(f"ls -A /var/lib/botdeploy/{BOT}/quarantine").stdout)


def test_what_only_a_terminal_reads_is_no_part_of_a_line(actor: Actor) -> None:
    """Colours, links and titles are taken out before the pattern is looked for."""
    text = "\x1b[32m[INFO]\x1b[0m \x1b]8;;http://x\x1b\\ready in \x1b[1m129\x1b[0m ms\r"
    wanted = ready("pattern", r"^\[INFO\] ready in [0-9]+ ms$")
    assert "switched" in switched(actor, release("TRY", code=saying(text), ready=wanted))


@pytest.mark.parametrize("kind", ["port", "http"])
def test_another_s_port_is_not_the_bot_s(kind: str, actor: Actor, host: Host) -> None:
    """Who holds the port is named, and nothing is held against the release."""
    host.root(
        "systemd-run -q --unit=squatter -p User=plain -p WorkingDirectory=/usr/share"
        " python3 -m http.server 8081;"
        " until ss -ltn | grep -q :8081; do sleep 0.05; done"
    )
    value = 8081 if kind == "port" else "http://localhost:8081/"
    made = release("TRY", code=saying("hello"), ready=ready(kind, value))
    reverted = switched(actor, made)["reverted"]
    assert "held by python3 (process " in reverted["why"]
    assert "of plain)" in reverted["why"]
    assert (reverted["cause"], quarantined(host)) == ("host", False)


def test_a_place_that_systemd_cannot_make_is_not_the_code_s_fault(actor: Actor, host: Host) -> None:
    """The step is named, and check is; a bot that ends with such a status of its own crashed."""
    made = release("TRY", code=saying("hello"), service="ReadWritePaths=/nowhere\n")
    reverted = switched(actor, made)["reverted"]
    assert "(status 226, NAMESPACE: No such file or directory)" in reverted["why"]
    assert "botdeploy check" in reverted["why"]
    assert (reverted["cause"], quarantined(host)) == ("host", False)
    ends = release("ENDS", code="import sys\nsys.exit(226)\n")
    reverted = switched(actor, ends, "run2")["reverted"]
    assert (reverted["cause"], quarantined(host)) == ("ready", True)


def test_nothing_to_ask_with_is_the_host_s_lack(actor: Actor, host: Host) -> None:
    """Without curl and wget nobody can tell whether a URL answers: the release is not refused."""
    host.root("mv /usr/bin/curl /usr/bin/curl.away")
    try:
        made = release(
            "TRY", code=saying("hello"), ready=ready("http", "http://localhost:8081/", 1)
        )
        reverted = switched(actor, made)["reverted"]
    finally:
        host.root("mv /usr/bin/curl.away /usr/bin/curl")
    assert "neither curl nor wget is on this host" in reverted["why"]
    assert (reverted["cause"], quarantined(host)) == ("host", False)


LISTEN = """
import socket
def listen(family, place, port, reuse=False):
    one = socket.socket(family)
    if reuse:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((place, port))
    one.listen()
    return one
"""
BY_CHILD = (
    LISTEN
    + """
if os.fork() == 0:
    held = listen(socket.AF_INET6, "::1", 8082)
    time.sleep(1000)
"""
)
SHARED = (
    LISTEN
    + """
held = listen(socket.AF_INET, "0.0.0.0", 8082, reuse=True)
"""
)


@pytest.mark.parametrize("way", ["child", "shared", "own network"])
def test_every_way_to_hold_a_port_is_seen(way: str, actor: Actor, host: Host) -> None:
    """A child's, one of several on one port, one in a network of the bot's own."""
    service = "PrivateNetwork=yes\n" if way == "own network" else ""
    if way == "shared":
        host.root(
            f"cat >/run/other.py; systemd-run -q --unit=other -p User={BOT} python3 /run/other.py;"
            " until ss -ltn | grep -q :8082; do sleep 0.05; done",
            stdin=f"import time{SHARED}time.sleep(1000)\n",
        )
    code = saying("hello", BY_CHILD if way == "child" else SHARED)
    made = release("TRY", code=code, ready=ready("port", 8082), service=service)
    assert "switched" in switched(actor, made)


NOTE_BY_CHILD = """
import socket
if os.fork() == 0:
    said = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    said.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(1000)
"""


@pytest.mark.parametrize("who", ["nobody", "a child"])
def test_a_notice_that_never_came_is_told_as_that(who: str, actor: Actor, host: Host) -> None:
    """No crash: it is not ready; and where a child said it, what lets a child say it is told."""
    unit = unit_text("TRY", kind="notify", service="TimeoutStartSec=3\n")
    code = saying("hello", NOTE_BY_CHILD if who == "a child" else "")
    made = release("TRY", code=code, ready=ready("notify", timeout=3), unit=unit)
    reverted = switched(actor, made)["reverted"]
    assert reverted["why"].startswith("not ready within 3 s (notify)")
    assert ("NotifyAccess: all" in reverted["why"]) == (who == "a child")
    assert (reverted["cause"], quarantined(host)) == ("ready", True)
    if who == "a child":
        mended = unit_text("TRY2", kind="notify", service="TimeoutStartSec=3\nNotifyAccess=all\n")
        made = release("TRY2", code=code, ready=ready("notify", timeout=3), unit=mended)
        assert "switched" in switched(actor, made, "run2")


MUTE = {
    "LogNamespace=apart": "LogNamespace=apart",
    "StandardOutput=append:/opt/echobot/shared/out": "StandardOutput=append",
    "LogLevelMax=warning": "LogLevelMax=4",
    "Storage=none": "Storage=none",
    "MaxLevelStore=warning": "MaxLevelStore",
}


@pytest.mark.parametrize("setting", MUTE)
def test_the_journal_s_fault_is_not_the_release_s(setting: str, actor: Actor, host: Host) -> None:
    """What keeps the sign from being seen is named; nothing is quarantined, nobody is needed."""
    good = release("GOOD", ready=ready("pattern", "READY", timeout=2))
    assert "switched" in switched(actor, good)
    actor("confirm", actor.token, "run1")
    is_journald_s = setting.startswith(("Storage", "MaxLevel"))
    folder = "journald.conf.d" if is_journald_s else f"system/{BOT}.service.d"
    section = "Journal" if is_journald_s else "Service"
    after = "systemctl restart systemd-journald" if is_journald_s else "systemctl daemon-reload"
    drop_in = f"/etc/systemd/{folder}/mute.conf"
    host.root(
        f"mkdir -p {drop_in.rpartition('/')[0]}; printf '[{section}]\\n{setting}\\n' >{drop_in};"
        f" {after}"
    )
    try:
        made = release("NEXT", ready=ready("pattern", "READY", timeout=2))
        reverted = switched(actor, made, "run2")["reverted"]
    finally:
        host.root(f"rm {drop_in}; {after}")
    assert MUTE[setting] in reverted["why"]
    assert (reverted["cause"], quarantined(host)) == ("host", False)
    assert (reverted["runs"], reverted["old"]) == (True, "GOOD")
    assert actor.state()["stuck"] is None
