"""The acts on real hosts: a release's whole life, and what a host refuses."""

from __future__ import annotations

import base64
import gzip
import platform
import re
import time
from itertools import pairwise
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.release.manifest import Manifest
from botdeploy.core.release.tree_digest import build_text, content_digest
from botdeploy.hosts import host_program
from tests.hosts.acts.actkit import BOT, LIFE, Actor, Release, parse, release, tar_of, unit_text
from tests.lab.shell import HANG_S, looks

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

R1, R2, R3 = release("R1"), release("R2"), release("R3")
BROKEN = release("BAD", code="raise SystemExit(3)\n")


@pytest.fixture
def host(lab: Lab) -> Host:
    """Give a host that was never deployed to."""
    return lab["h1"]


@pytest.fixture
def actor(host: Host) -> Actor:
    """Give a controller that has the lock of that host."""
    made = Actor(host)
    assert "installed" in made.install()
    assert "state" in made.enter()
    return made


def proven(actor: Actor, made: Release, run: str, base: Release | None = None) -> None:
    """Take a release all the way."""
    assert not actor.stage(made, base).fault
    assert "switched" in actor.switch(run, made.id)
    assert "confirmed" in actor("confirm", actor.token, run)
    assert "proven" in actor("prove", actor.token, made.id, 5, "roll1")


def wait_until(actor: Actor, phase: str, seconds: float = HANG_S) -> dict[str, Any]:
    """Wait for a phase of the host's switch."""
    state: dict[str, Any] = {}
    for _ in looks(seconds):
        state = actor.state()
        if state["phase"] and state["phase"]["phase"] == phase:
            return state
    raise AssertionError(f"the host is not {phase}: {state['phase']}")


def lives(host: Host) -> list[tuple[int, int, str]]:
    """Start, last sign of life and name of every process of the bot, in order."""
    seen: dict[str, tuple[int, int, str]] = {}
    for row in host.root(f"cat /opt/{BOT}/shared/life", check=False).stdout.splitlines():
        stamp, what, pid, name = row.split()
        start = int(stamp) if what == "start" else seen[pid][0]
        seen[pid] = (start, int(stamp), name)
    return sorted(seen.values())


def overlaps(found: list[tuple[int, int, str]]) -> list[tuple[str, str]]:
    """Pairs of processes that lived at once."""
    return [(a[2], b[2]) for a, b in pairwise(found) if b[0] <= a[1]]


RUN, STATE, HOME = f"/run/botdeploy/{BOT}", f"/var/lib/botdeploy/{BOT}", f"/opt/{BOT}"
MAY_STAND = re.compile(
    rf"""{RUN}/(fence|guard\.lock|lock|loaded|read|reserve|started|systemd|result|switching|claim
                |reverted)
    |{STATE}/(user|rollout|audit\.jsonl|reserve|confirmed|reverted|stuck|hold
                  |switches)
    |{STATE}/(proven|quarantine|evidence|approved)(/[\w.+-]+)?
    |{HOME}/(current|previous|releases|shared)
    |{HOME}/(releases/[\w.-]+|shared/life)""",
    re.VERBOSE,
)


def strangers(host: Host) -> list[str]:
    """List what stands there beyond what may, when nothing is open and no guard is left."""
    guard = f"botdeploy-guard-{BOT}"
    host.root(f"n=0; while systemctl is-active -q {guard} && [ $n -lt 100 ]; do sleep 0.05; done")
    places = f"{RUN} {STATE} {HOME} {HOME}/releases {HOME}/shared"
    found = host.root(f"find {places} -mindepth 1 -maxdepth 1; find {STATE}/*/ -mindepth 1").stdout
    return [path for path in found.splitlines() if not MAY_STAND.fullmatch(path)]


# --- the way forward -----------------------------------------------------------------------------


def test_a_missing_program_is_a_fault_of_its_own(host: Host) -> None:
    """A host without the program says so, and that nothing else was tried."""
    assert Actor(host)("observe").fault == "missing"


def test_observing_without_the_program_changes_nothing(host: Host) -> None:
    """A look at a new host leaves no file, folder or user behind."""
    look = (
        "find /opt /etc /var/lib/botdeploy /run/botdeploy /usr/local -newer /tmp/mark 2>/dev/null"
    )
    host.root("touch /tmp/mark; sleep 0.05")
    state = Actor(host).ephemeral("observe")["state"]
    assert (state["prepared"], state["current"], state["releases"]) == (False, "", [])
    assert host.root(look, check=False).stdout == ""


def test_the_first_deploy_starts_the_bot(actor: Actor, host: Host) -> None:
    """Staged, switched, confirmed and proven, the release runs and will at boot."""
    proven(actor, R1, "run1")
    state = actor.state()
    assert (state["current"], state["running"], state["active_state"]) == ("R1", "R1", "active")
    assert state["phase"]["phase"] == "confirmed"
    assert state["phase"]["age_s"] < 60
    assert host.root(f"systemctl is-enabled {BOT}", check=False).stdout.strip() == "enabled"
    link = f"/etc/systemd/system/multi-user.target.wants/{BOT}.service"
    assert host.root(f"test -e {link}").ok


def test_a_second_release_takes_the_place_of_the_first(actor: Actor, host: Host) -> None:
    """`previous` names the old one, and the two never lived at once."""
    proven(actor, R1, "run1")
    proven(actor, R2, "run2", base=R1)
    state = actor.state()
    assert (state["current"], state["previous"], state["running"]) == ("R2", "R1", "R2")
    found = lives(host)
    assert [name for *_, name in found] == ["R1", "R2"]
    assert overlaps(found) == []


def test_every_act_may_be_repeated(actor: Actor, host: Host) -> None:
    """The same calls a second time answer alike and start nothing again."""
    proven(actor, R1, "run1")
    proven(actor, R1, "run1")
    assert actor.stage(R1)["already"] is True
    assert len(lives(host)) == 1
    kinds = [one["audit"]["act"] for one in actor("audit").records if "audit" in one]
    assert kinds == ["stage", "begin", "switch", "confirm", "prove"]


def test_what_both_releases_have_is_copied_not_linked(actor: Actor, host: Host) -> None:
    """Files that a release shares with its base are files of their own."""
    proven(actor, R1, "run1")
    assert not actor.stage(R2, R1).fault
    places = [f"/opt/{BOT}/releases/{name}/lib/common.txt" for name in ("R1", "R2")]
    inodes = host.root(f"stat -c %i {' '.join(places)}").stdout.split()
    assert len(set(inodes)) == 2
    assert host.root(f"cmp {' '.join(places)}").ok


def test_a_release_belongs_to_root_and_its_secrets_to_nobody_else(actor: Actor, host: Host) -> None:
    """The bot's user can neither write a release nor read its environment file."""
    proven(actor, R1, "run1")
    folder = f"/opt/{BOT}/releases/R1"
    assert host.root(f"find {folder} ! -user root -o -perm /022 ! -type l").stdout == ""
    assert host.root(f"stat -c %a {folder}/.botdeploy/environment").stdout.strip() == "600"
    assert not host.ssh(f"cat {folder}/.botdeploy/environment", user="plain", check=False).ok
    touch = f"runuser -u {BOT} -- touch {folder}/bot.py {folder}/new"
    assert not host.root(touch, check=False).ok


# --- back ----------------------------------------------------------------------------------------


def test_a_lease_that_nobody_renews_ends_in_the_old_release(actor: Actor, host: Host) -> None:
    """Without a confirmation the host goes back, and tells that it did and why."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2")
    actor.let_lapse("run2")
    state = wait_until(actor, "reverted")
    assert (state["current"], state["running"]) == ("R1", "R1")
    assert (state["phase"]["by"], state["phase"]["cause"]) == ("host", "lease")
    assert actor("confirm", actor.token, "run2").fault == "lost"
    assert overlaps(lives(host)) == []


def test_a_lease_that_is_renewed_goes_on(actor: Actor) -> None:
    """The release stays as long as it is asked to, also when it is confirmed in between."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2")
    for _ in range(4):
        actor.let_lapse("run2", 10)
        time.sleep(4)
    assert "extended" in actor("extend", actor.token, "run2", 6)
    assert "confirmed" in actor("confirm", actor.token, "run2")
    assert "extended" in actor("extend", actor.token, "run2", 6)
    time.sleep(8)
    assert actor.state()["running"] == "R2"


def test_a_release_that_crashes_goes_back_and_into_quarantine(actor: Actor) -> None:
    """A bot that dies before it is ready leads back at once, and is refused from then on."""
    proven(actor, R1, "run1")
    actor.stage(BROKEN, R1)
    said = actor.switch("run2", "BAD")["reverted"]
    assert (said["old"], said["by"], said["cause"], said["runs"]) == ("R1", "host", "ready", True)
    state = actor.state()
    assert state["running"] == "R1"
    assert BROKEN.digest in state["quarantine"]


LOUD_UNIT = "LogRateLimitIntervalSec=30s\nLogRateLimitBurst=200\n"


def test_a_bot_whose_lines_journald_drops_is_ready_when_it_is_active(
    actor: Actor, host: Host
) -> None:
    """The sign is lost with the rest, also that of the next release; the reason is told."""
    shout = "for line in range(5000):\n    print('line', line, flush=False)\n"
    life = LIFE.replace("import os", f"{shout}import os")
    loud = release("LOUD", code=f"NAME, DELAY = 'LOUD', 0.0\n{life}", service=LOUD_UNIT)
    assert not actor.stage(loud).fault
    said = actor.switch("run1", "LOUD")["switched"]
    assert "journald drops what this unit writes beyond 200 lines in 30s" in said["unseen"]
    actor("confirm", actor.token, "run1")
    actor("prove", actor.token, "LOUD", 5, "roll1")
    actor.stage(release("NEXT", service=LOUD_UNIT), loud)
    assert "journald drops" in actor.switch("run2", "NEXT")["switched"]["unseen"]
    back = actor("revert", actor.token, "back", "-", "too many errors")["reverted"]
    assert (back["runs"], "journald drops" in back["unseen"]) == (True, True)
    state = actor.state()
    assert (state["running"], state["stuck"], state["quarantine"]) == ("LOUD", None, {})
    assert overlaps(lives(host)) == []


def test_dropped_lines_are_counted_where_journald_tells_of_them(actor: Actor) -> None:
    """When its interval is over journald says how many they were, and so does the switch."""
    code = "import time\nfor line in range(5000):\n    print('line', line)\n"
    code += "time.sleep(1.5)\nprint('more', flush=True)\ntime.sleep(1000)\n"
    service = "LogRateLimitIntervalSec=1s\nLogRateLimitBurst=200\n"
    actor.stage(release("LOST", code=code, service=service))
    unseen = actor.switch("run1", "LOST")["switched"]["unseen"]
    assert re.search(r"journald dropped [1-9][0-9]* lines of this unit", unseen), unseen


def test_a_return_to_an_active_release_needs_no_person_for_a_missing_line(
    actor: Actor, host: Host
) -> None:
    """Where the bot's lines go elsewhere, the old release is not called stuck: it is active."""
    first = release("R1", ready="kind=pattern\nvalue=READY\ntimeout=6\n")
    second = release("R2", ready="kind=pattern\nvalue=READY\ntimeout=2\n")
    proven(actor, first, "run1")
    host.root(
        f"mkdir -p /etc/systemd/system/{BOT}.service.d; printf '[Service]\nStandardOutput=null\n'"
        f" >/etc/systemd/system/{BOT}.service.d/quiet.conf; systemctl daemon-reload"
    )
    actor.stage(second, first)
    said = actor.switch("run2", "R2")["reverted"]
    mute = ": its lines do not go to the journal (StandardOutput=null of the unit)"
    assert (said["runs"], said["why"]) == (True, f"not ready within 2 s (pattern: READY){mute}")
    assert said["unseen"] == f"it is active, and its sign was not seen within 6 s{mute}"
    state = actor.state()
    assert (state["running"], state["stuck"]) == ("R1", None)


SLOW_SYSTEMCTL = f"""#!/bin/sh
said=$(/usr/bin/systemctl "$@")
code=$?
case $1 in
show)
	if tr '\\000' ' ' <"/proc/$PPID/cmdline" | grep -q ' observe ' && rm /tmp/slow 2>/dev/null; then
		while [ -e {STATE}/pending ] || [ -e {STATE}/reverting ]; do sleep 0.05; done
	fi
	;;
esac
printf '%s\\n' "$said"
exit $code
"""


def test_a_look_that_a_return_overtakes_is_taken_again(actor: Actor, host: Host) -> None:
    """What is told of marks and process is of one instant: back means that the old one runs."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2")
    tool = "/usr/local/sbin/systemctl"
    host.root(f"cat >{tool}; chmod 755 {tool}; touch /tmp/slow", stdin=SLOW_SYSTEMCTL)
    try:
        actor.let_lapse("run2")
        state = actor.state()
    finally:
        host.root(f"rm -f {tool}")
    assert not host.root("test -e /tmp/slow", check=False).ok
    assert (state["phase"]["phase"], state["running"], state["current"]) == ("reverted", "R1", "R1")


def test_no_end_of_a_switch_leaves_litter(actor: Actor, host: Host) -> None:
    """Done, failed, lapsed, rolled back, interrupted, refused: what stands is what is listed."""
    proven(actor, R1, "run1")
    assert strangers(host) == []
    actor.stage(BROKEN, R1)
    assert "reverted" in actor.switch("run2", "BAD")
    assert strangers(host) == []
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run3", "R2")
    actor.let_lapse("run3")
    wait_until(actor, "reverted")
    assert strangers(host) == []
    proven(actor, R2, "run4", base=R1)
    other = Actor(host)
    assert "state" in other.enter("rollback")
    assert actor("revert", actor.token, "late", "-", "too late").fault == "locked"
    assert strangers(host) == []
    assert "unchanged" in other("revert", other.token, "same", "R2", "nothing to do")
    assert strangers(host) == []
    assert "reverted" in other("revert", other.token, "back", "-", "by hand")
    assert strangers(host) == []
    assert other.switch("run5", "R9").fault == "not-staged"
    assert strangers(host) == []
    # The act that armed a switch dies; nobody comes again.
    host.root(
        f"echo 999999 >{RUN}/announced; systemctl start botdeploy-guard-{BOT};"
        f" while [ -e {RUN}/announced ]; do sleep 0.05; done",
        timeout=20,
    )
    assert strangers(host) == []


@pytest.mark.parametrize("place", ["/run/botdeploy", "/var/lib/botdeploy"])
def test_a_full_disk_stops_no_return(place: str, host: Host) -> None:
    """The lock is taken, a lease renewed and a host taken back where nobody else can write."""
    host.root(
        f"mkdir -p {place}; mount -t tmpfs -o size=300k,mode=0755 lab {place}"
        f" && echo {place} >>/run/lab-mounts"
    )
    actor = Actor(host)
    actor.install()
    actor.enter()
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=60)
    fill = f"dd if=/dev/zero bs=1k of={place}/filler 2>/dev/null; sync"
    host.root(f"{fill}; dd if=/dev/zero bs=1 of={place}/more 2>/dev/null; true", check=False)
    assert "extended" in actor("extend", actor.token, "run2", 60)
    assert "confirmed" in actor("confirm", actor.token, "run2")
    other = Actor(host)
    assert "state" in other.enter("rollback")
    back = other("revert", other.token, "back", "-", "too many errors")["reverted"]
    assert (back["old"], back["runs"], back["why"]) == ("R1", True, "too many errors")
    assert actor.state()["running"] == "R1"
    assert overlaps(lives(host)) == []


def test_a_build_that_never_stops_talking_fills_nothing(host: Host) -> None:
    """Of its output the end is kept; the leases of all bots are on the disk that it could fill."""
    host.root(
        "mkdir -p /run/botdeploy; mount -t tmpfs -o size=400k lab /run/botdeploy"
        " && echo /run/botdeploy >>/run/lab-mounts"
    )
    actor = Actor(host)
    actor.install()
    actor.enter()
    flood = b"yes flood | head -c 60000000\necho the end\nexit 3\n"
    said = actor.stage(release("LOUD", extra={"build": flood}))
    assert (said.fault, said["message"].endswith("the end|")) == ("build", True)
    assert len(said["message"]) < 9000
    assert not actor.stage(release("CALM", extra={"build": flood.replace(b"exit 3", b"")})).fault
    assert strangers(host) == []
    assert host.root("ls -d /run/botdeploy-*", check=False).stdout == ""


# --- what is written down ------------------------------------------------------------------------


def test_what_a_person_does_is_written_down_first_or_not_done(actor: Actor, host: Host) -> None:
    """A limit that the caller has set keeps the audit log from being written: nothing is done."""
    proven(actor, R1, "run1")
    program = f"sudo {host_program.path(BOT)}"
    acts = (
        "gate hold ann@laptop why",
        "gate approve ann@laptop why R1 canary",
        "note ann@laptop what",
        "unlock ann@laptop",
    )
    for act in acts:
        done = host.ssh(f"ulimit -f 1; {program} n {act}", user="deploy", check=False)
        told = [next(iter(one)) for one in parse("n", done.stdout)]
        rows = [one["audit"] for one in actor("audit").records if "audit" in one]
        words = act.split()
        is_written = rows[-1]["act"] == (words[1] if words[0] == "gate" else words[0])
        assert (told[0] == "fault") is not is_written, (act, told, rows[-1])
        state = actor.state()
        assert (state["hold"] is not None, bool(state["approved"])) == (
            any(row["act"] == "hold" for row in rows),
            any(row["act"] == "approve" for row in rows),
        )
        assert (state["lock"] is None) is (is_written and "unlock" in act)


def test_who_did_it_is_who_sudo_says(actor: Actor, host: Host) -> None:
    """The login stands in the audit log, and what the caller claims to be beside it."""
    program = f"sudo {host_program.path(BOT)}"
    host.ssh(f"SUDO_USER=root {program} n gate hold boss@desk stop", user="deploy")
    row = [one["audit"] for one in actor("audit").records if "audit" in one][-1]
    assert (row["act"], row["who"], row["claimed"]) == ("hold", "deploy", "boss@desk")


def test_a_first_deploy_that_fails_leaves_nothing_running(actor: Actor, host: Host) -> None:
    """With nothing to return to, the bot is stopped, and link, unit and boot entry are gone."""
    actor.stage(BROKEN)
    said = actor.switch("run1", "BAD")["reverted"]
    assert (said["old"], said["runs"]) == ("", True)
    state = actor.state()
    assert (state["current"], state["previous"], state["active_state"]) == ("", "", "inactive")
    assert host.root(f"ls /etc/systemd/system/{BOT}.service", check=False).returncode != 0
    wanted = host.root("ls /etc/systemd/system/multi-user.target.wants").stdout.split()
    assert f"{BOT}.service" not in wanted


def test_a_revert_returns_to_what_the_switch_recorded(actor: Actor) -> None:
    """A controller's revert goes to the release before, also when the link previous is gone."""
    proven(actor, R1, "run1")
    proven(actor, R2, "run2", base=R1)
    actor.host.root(f"rm /opt/{BOT}/previous")
    said = actor("revert", actor.token, "back", "-", "it is slow", R2.digest, "verdict")["reverted"]
    assert (said["new"], said["old"], said["cause"], said["runs"]) == ("R2", "R1", "verdict", True)
    state = actor.state()
    assert (state["running"], state["previous"]) == ("R1", "")
    assert state["quarantine"] == {R2.digest: "it is slow"}


def test_a_second_revert_does_not_toggle(actor: Actor) -> None:
    """Where nothing older was proven, a revert touches nothing; nor does it take a refused one."""
    proven(actor, R1, "run1")
    proven(actor, R2, "run2", base=R1)
    actor("revert", actor.token, "back", "-", "bad", R2.digest)
    assert actor("revert", actor.token, "back2", "-", "again").fault == "no-target"
    assert actor.state()["running"] == "R1"
    assert actor("revert", actor.token, "back3", "R1", "again")["unchanged"]["release"] == "R1"


def test_a_revert_reaches_a_switch_that_is_under_way(actor: Actor) -> None:
    """A release that is not ready yet can be called back; the host does not wait for its time."""
    proven(actor, R1, "run1")
    slow = release("SLOW", delay=60, ready="kind=pattern\nvalue=READY\ntimeout=50\n")
    actor.stage(slow, R1)
    began = time.monotonic()
    nonce = "n1"
    command = host_program.call(BOT, nonce, "switch", [actor.token, "run2", "SLOW", "60"])
    actor.host.ssh(f"({command}) >/tmp/out 2>&1 </dev/null & sleep 1.5", user="root")
    assert actor("revert", actor.token, "back", "-", "changed my mind")["reverted"]["old"] == "R1"
    assert time.monotonic() - began < 30
    assert actor.state()["running"] == "R1"


def test_a_newer_rollout_settles_the_one_before(actor: Actor, host: Host) -> None:
    """What an earlier run left pending goes back first; then the new one is switched to."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    actor.stage(R3, R1)
    assert "switched" in actor.switch("run2", "R2")
    assert actor.switch("run3", "R3")["switched"]["old"] == "R1"
    assert actor("confirm", actor.token, "run2").fault == "lost"
    assert "confirmed" in actor("confirm", actor.token, "run3")
    assert [name for *_, name in lives(host)] == ["R1", "R2", "R1", "R3"]
    assert overlaps(lives(host)) == []


def test_what_runs_already_is_not_started_again(actor: Actor, host: Host) -> None:
    """A switch to the release that runs leaves its process alone."""
    proven(actor, R1, "run1")
    before = actor.state()["main_pid"]
    assert "switched" in actor.switch("run2", "R1")
    assert "confirmed" in actor("confirm", actor.token, "run2")
    assert actor.state()["main_pid"] == before
    assert len(lives(host)) == 1


# --- locks ---------------------------------------------------------------------------------------


def test_only_one_controller_has_the_lock(actor: Actor) -> None:
    """Another one is refused, with who has it, since when and why; a rollback takes it."""
    other = Actor(actor.host)
    refused = other.enter()
    assert (refused.fault, refused.returncode) == ("locked", 4)
    assert refused["lock"]["owner"] == "tester"
    assert refused["lock"]["id"] == actor.token[:8]
    assert other.stage(R1).fault == "locked"
    assert other.enter("rollback")["state"]["lock"]["id"] == other.token[:8]
    assert actor.stage(R1).fault == "locked"


def test_a_bot_belongs_to_one_environment(actor: Actor) -> None:
    """Another one gets no lock, also not for a rollback, until it takes the bot over; noted."""

    def enter(made: Actor, kind: str, *environments: str) -> Any:
        return made("enter", made.token, 30, kind, BOT, "me", "why", *environments)

    assert "state" in enter(actor, "rollout", "prod")
    assert not actor.stage(R1).fault
    assert actor.state()["rollout"]["environment"] == "prod"
    actor("leave", actor.token)
    other = Actor(actor.host)
    for refused in (
        enter(other, "rollout", "slow"),
        enter(other, "rollback", "slow"),
        enter(other, "rollout", "slow", "test"),
    ):
        assert (refused.fault, refused["message"]) == ("environment", "prod")
        assert actor.state()["lock"] is None
    assert "state" in enter(other, "rollout", "prod")
    other("leave", other.token)
    assert "state" in enter(other, "rollout", "slow", "prod")
    assert not other.stage(R2).fault
    assert other.state()["rollout"]["environment"] == "slow"
    audit = actor.host.root(f"cat /var/lib/botdeploy/{BOT}/audit.jsonl").stdout
    assert "environment slow took it over from prod" in audit


def test_a_refused_controller_has_prepared_nothing(host: Host) -> None:
    """Who does not get the lock leaves no user, folder or unit behind."""
    first, second = Actor(host, "otherbot"), Actor(host, "otherbot")
    first.install()
    host.root("install -d -m 0700 /run/botdeploy/otherbot")
    host.root(
        "read up _ </proc/uptime;"
        " printf 'token=X\\ndeadline=%s\\nkind=rollout\\nowner=me\\nwhy=w\\n'"
        " $((${up%.*} + 60)) >/run/botdeploy/otherbot/lock"
    )
    assert second.enter().fault == "locked"
    assert not host.root("id otherbot || ls /opt/otherbot", check=False).ok


def test_a_lapsed_lock_can_be_taken(host: Host) -> None:
    """A controller that died loses its lock by its ttl, and learns so when it comes back."""
    first, second = Actor(host), Actor(host)
    first.install()
    assert "state" in first.enter(ttl=1)
    time.sleep(3)
    assert "state" in second.enter()
    assert first.stage(R1).fault == "locked"


def test_a_hundred_pairs_of_controllers_have_one_winner_each(host: Host) -> None:
    """Two that enter in the same moment: exactly one has the lock, a hundred times."""
    Actor(host).install()
    Actor(host).enter(ttl=1)
    call = [
        host_program.call(
            BOT, f"n{side}", "enter", [f"T{side}", "30", "rollout", BOT, side, "race"]
        )
        for side in ("a", "b")
    ]
    script = f"""
    cd /tmp
    for round in $(seq 100); do
        rm -f /run/botdeploy/{BOT}/lock
        ({call[0]}) >a </dev/null 2>&1 & ({call[1]}) >b </dev/null 2>&1 & wait
        grep -lE '"state"' a b | tr '\\n' ' '; grep -cE '"fault": "locked"' a b | tr '\\n' ' '; echo
    done"""
    rows = host.root(script, timeout=300).stdout.splitlines()
    assert len(rows) == 100
    assert set(rows) <= {"a a:0 b:1 ", "b a:1 b:0 "}


def test_a_person_takes_the_lock_away(actor: Actor) -> None:
    """`unlock` tells who had it, and leaves a line in the log."""
    said = Actor(actor.host)("unlock", "admin@desk")["unlocked"]
    assert said["owner"] == "tester"
    assert actor.state()["lock"] is None
    last = [one["audit"] for one in actor("audit").records if "audit" in one][-1]
    assert (last["act"], last["claimed"]) == ("unlock", "admin@desk")


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("root by omission", "User="),
        ("root by name", "User=root"),
        ("somebody else", "User=daemon"),
        ("a privileged prefix", "ExecStartPre=+/bin/sh -c id"),
        ("a prefix in quotes", 'ExecStartPre="+/bin/sh" -c id'),
        ("an escaped prefix", r"ExecStartPre=\x2b/bin/sh -c id"),
        ("a second command", "ExecStartPre=/bin/true ; +/bin/sh -c id"),
        ("permissions for the start only", "PermissionsStartOnly=yes"),
        ("capabilities", "AmbientCapabilities=CAP_SYS_ADMIN"),
        ("another's credential", "LoadCredential=x:/etc/shadow"),
        ("a credential by detour", "LoadCredential=x:/opt/echobot/current/../../../etc/shadow"),
        ("another's environment", "EnvironmentFile=/etc/shadow"),
        ("a bind mount", "BindPaths=/opt/echobot/shared:/etc"),
        ("a file system over /etc", "TemporaryFileSystem=/etc:mode=0777"),
        ("another root", "RootDirectory=/opt/echobot/shared"),
        ("output into a file", "StandardOutput=append:/etc/cron.d/x"),
        ("another's state folder", "StateDirectory=dpkg"),
        ("a group", "SupplementaryGroups=shadow"),
        ("an opened file", "OpenFile=/etc/shadow:x"),
        ("a line that goes on", "Description=x\\"),
        ("an unknown directive", "Frobnicate=yes"),
        ("another section", "[Socket]\nListenStream=22"),
        ("killing none", "KillMode=none"),
    ],
)
def test_a_unit_that_could_do_more_is_refused(name: str, lines: str, actor: Actor) -> None:
    """Whoever may deploy the bot does not become root by its unit file."""
    made = release("EVIL", unit=unit_text("EVIL", service=lines))
    said = actor.stage(made)
    assert said.fault == "unit", name
    assert actor.state()["releases"] == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a changed file", {"files": {"bot.py": b"other"}}),
        ("a missing file", {"drop": "bot.py"}),
        ("one file more", {"files": {"more.py": b"x"}}),
    ],
)
def test_an_upload_that_differs_is_refused(
    name: str, change: dict[str, object], actor: Actor
) -> None:
    """A release that is not exactly what its manifest says never appears."""
    files = {**R1.files, **change.get("files", {})}  # type: ignore[dict-item]
    files.pop(str(change.get("drop", "")), None)
    meta = R1.meta()
    arguments = (actor.token, "R1", "-", len(meta), 1000, 20, "roll1", "canary")
    said = actor("stage", *arguments, stdin=meta + tar_of(files, mode="w:gz"))
    assert said.fault == "corrupt", name
    assert actor.state()["releases"] == []
    assert actor.host.root(f"ls -A /opt/{BOT}").stdout.split() == ["releases", "shared"]


def test_an_upload_that_is_cut_leaves_nothing(actor: Actor) -> None:
    """Half an upload is a fault, and the host is as before."""
    meta = R1.meta()
    whole = meta + R1.body()
    arguments = (actor.token, "R1", "-", len(meta), 1000, 20, "roll1", "canary")
    for size in (0, 100, len(meta), len(meta) + 20, len(whole) - 60):
        assert actor("stage", *arguments, stdin=whole[:size]).fault in {"upload", "corrupt"}
    assert actor.host.root(f"ls -A /opt/{BOT}").stdout.split() == ["releases", "shared"]


def test_shared_data_never_lies_behind_a_link(actor: Actor, host: Host) -> None:
    """A link in the release, or one that the bot left in its data, leads nowhere else."""
    trap = Release(
        "TRAP",
        R1.files,
        unit_text("TRAP"),
        links={"out": "/etc"},
        extra={"shared": b"out/cron.d/job\n"},
    )
    assert actor.stage(trap).fault == "shared"
    host.root(f"runuser -u {BOT} -- ln -s /etc /opt/{BOT}/shared/data")
    taken = release("TAKEN", extra={"shared": b"data/owned\n"})
    assert actor.stage(taken).fault == "write"
    assert not host.root("ls /etc/owned /etc/cron.d/job", check=False).stdout


def test_a_foreign_unit_is_left_alone(actor: Actor, host: Host) -> None:
    """A unit of that name which somebody wrote by hand is refused, with how to hand over."""
    place = f"/etc/systemd/system/{BOT}.service"
    host.root(
        "install -d /srv/old; printf '[Service]\\nWorkingDirectory=/srv/old\\n"
        "StateDirectory=oldbot\\n"
        'ExecStart=/bin/sh -c "exec sleep 1000 3>>/srv/old/data.db 4</etc/passwd"\\n\''
        f" >{place}; systemctl start {BOT}; until [ -e /srv/old/data.db ]; do sleep 0.1; done"
    )
    actor.stage(R1)
    said = actor.switch("run1", "R1")
    assert said.fault == "foreign-unit"
    assert f"mv {place}" in said["message"]
    for words in (
        "/srv/old (WorkingDirectory), /var/lib/oldbot (StateDirectory), /srv/old/data.db (open).",
        f"Move its data below /opt/{BOT}/shared",
    ):
        assert words in said["message"]
    assert "/etc/passwd" not in said["message"]
    assert host.root(f"systemctl is-active {BOT}").stdout.strip() == "active"


def test_a_bot_that_a_person_has_masked_is_not_somebody_elses(actor: Actor, host: Host) -> None:
    """It is told with the command, and left alone; that host only, and not the way back."""
    proven(actor, R1, "run1")
    actor.stage(R2)
    place = f"/etc/systemd/system/{BOT}.service"
    host.root(f"systemctl stop {BOT}; ln -sf /dev/null {place}; systemctl daemon-reload")
    for said in (actor.switch("run2", "R2"), actor.enter()):
        assert said.fault == "masked", said.records
        assert said["message"].endswith(f"systemctl unmask {BOT}.service")
    checks = [one["check"] for one in actor("check").records if "check" in one]
    unit = next(one for one in checks if one["name"] == "unit")
    assert (unit["ok"], "is masked" in unit["message"]) == (False, True), unit
    host.root(f"systemctl unmask {BOT}")
    assert "state" in actor.enter()
    assert "switched" in actor.switch("run2", "R2")
    host.root(f"systemctl stop {BOT}; ln -sf /dev/null {place}; systemctl daemon-reload")
    assert "state" in actor.enter("rollback")
    assert actor("revert", actor.token, "back", "-", "bad")["reverted"]["runs"] is True
    assert actor.state()["running"] == "R1"


def test_a_bot_named_like_a_service_of_the_system_is_refused(host: Host) -> None:
    """A packaged unit, an alias, one of a generator: each is named, and nothing is touched."""
    host.root(
        "mkdir -p /run/systemd/generator;"
        " printf '[Service]\\nExecStart=/bin/true\\n' >/run/systemd/generator/made.service;"
        "ln -sf /lib/systemd/system/ssh.service /etc/systemd/system/shell.service"
    )
    for bot, place in (
        ("rsync", "/lib/systemd/system/rsync.service"),
        ("made", "/run/systemd/generator/made.service"),
        ("shell", "/etc/systemd/system/shell.service"),
    ):
        actor = Actor(host, bot)
        actor.install()
        said = actor.enter()
        assert (said.fault, place in said["message"]) == ("foreign-unit", True), said
        checks = [one["check"] for one in actor("check").records if "check" in one]
        unit = next(one for one in checks if one["name"] == "unit")
        assert (unit["ok"], place in unit["message"]) == (False, True), unit
        left = f"ls -d /opt/{bot} /var/lib/botdeploy/{bot} /etc/systemd/system/botdeploy-*-{bot}.*"
        assert host.root(left, check=False).stdout == ""
        assert not host.root(f"id {bot}", check=False).ok
        assert actor.state()["lock"] is None


def test_a_foreign_folder_is_left_alone(host: Host) -> None:
    """What stands in /opt under the bot's name and is not botdeploy's stays as it is."""
    host.root(f"mkdir /opt/{BOT}; echo mine >/opt/{BOT}/file")
    actor = Actor(host)
    actor.install()
    assert actor.enter().fault == "foreign-folder"
    assert actor.state()["lock"] is None
    assert host.root(f"ls -A /opt/{BOT}").stdout.split() == ["file"]


def test_a_release_that_needs_too_much_space_is_refused_with_the_figures(
    actor: Actor, host: Host
) -> None:
    """A tenth of the disk stays free; the message tells how much there is."""
    meta = R1.meta()
    free = host.root("df -B1 --output=avail /opt | tail -n 1").stdout.strip()
    arguments = (actor.token, "R1", "-", len(meta), free, 20, "roll1", "canary")
    said = actor("stage", *arguments, stdin=meta + R1.body())
    assert said.fault == "no-space"
    assert re.search(r"\d+ MB are free", said["message"])


# --- builds, shared data, retention --------------------------------------------------------------


def test_a_build_runs_as_the_bot_under_the_releases_own_path(actor: Actor, host: Host) -> None:
    """What a build makes is part of the release, root's in the end, and has the final path."""
    made = release("BUILT", extra={"build": b"id -un >who\npwd >where\n"})
    assert not actor.stage(made).fault
    folder = f"/opt/{BOT}/releases/BUILT"
    assert host.root(f"cat {folder}/who {folder}/where").stdout.split() == [BOT, folder]
    assert host.root(f"find {folder} ! -user root").stdout == ""
    assert not actor("manifest", "BUILT").fault


def test_a_build_that_fails_says_why_and_leaves_nothing(actor: Actor) -> None:
    """The end of the build's output is in the message."""
    made = release("BUILT", extra={"build": b"echo no such package >&2\nexit 7\n"})
    said = actor.stage(made)
    assert said.fault == "build"
    assert "ended with 7" in said["message"]
    assert "no such package" in said["message"]
    assert actor.state()["releases"] == []


def test_a_release_that_its_build_changed_is_no_base(actor: Actor) -> None:
    """Nothing is copied from files that are not what was sent."""
    made = release("BUILT", extra={"build": b"echo more >>lib/common.txt\n"})
    assert not actor.stage(made).fault
    assert actor("manifest", "BUILT").fault == "no-base"
    assert actor.stage(R2, made).fault == "no-base"


def test_shared_data_outlives_releases(actor: Actor, host: Host) -> None:
    """A shared folder is the bot's, and every release leads to the same one."""
    first = release("S1", extra={"shared": b"data\nlogs/old\n"})
    second = release("S2", extra={"shared": b"data\nlogs/old\n"})
    proven(actor, first, "run1")
    host.root(f"runuser -u {BOT} -- sh -c 'echo kept >/opt/{BOT}/current/data/file'")
    proven(actor, second, "run2", base=first)
    assert host.root(f"cat /opt/{BOT}/current/data/file").stdout == "kept\n"
    assert host.root(f"stat -c '%U %a' /opt/{BOT}/shared/logs/old").stdout.split() == [BOT, "750"]


def test_pruning_never_takes_what_may_be_returned_to(actor: Actor, host: Host) -> None:
    """Current, previous, the last proven ones and two others stay; the rest goes, with evidence."""
    for number in range(1, 5):
        proven(actor, release(f"P{number}"), f"run{number}")
    for number in range(1, 5):
        actor.stage(release(f"Q{number}"))
    actor("keep", actor.token, "P1", stdin=b"old")
    said = actor("prove", actor.token, "P4", 1, "roll1")
    assert set(said["pruned"].split()) == {"P1", "Q1", "Q2"}
    left = {one["id"] for one in actor.state()["releases"]}
    assert left == {"P2", "P3", "P4", "Q3", "Q4"}
    assert actor("evidence", "P1")["evidence"] is None
    assert host.root(f"ls -A /opt/{BOT}").stdout.split() == [
        "current",
        "previous",
        "releases",
        "shared",
    ]


def test_evidence_comes_back_as_it_was(actor: Actor) -> None:
    """Any bytes up to 4 MB are kept; more is refused."""
    actor.stage(R1)
    blob = bytes(range(256)) * 100
    assert "kept" in actor("keep", actor.token, "R1", stdin=blob)
    assert base64.b64decode(actor("evidence", "R1")["evidence"]) == blob
    assert actor("keep", actor.token, "R1", stdin=b"x" * 4_194_305).fault == "too-big"
    assert base64.b64decode(actor("evidence", "R1")["evidence"]) == blob


def test_a_manifest_comes_back_as_it_was(actor: Actor) -> None:
    """The manifest of a staged release is what was sent."""
    actor.stage(R1)
    packed = base64.b64decode(actor("manifest", "R1")["manifest"])
    assert gzip.decompress(packed).decode() == f"{R1.sums}\n{R1.tree}"


def test_a_host_tells_what_its_releases_are_made_of(actor: Actor) -> None:
    """As a controller makes it of manifest and build; mount points are left out."""
    manifest = Manifest(R1.sums, R1.tree, 0)
    built = release("BUILT", extra={"build": build_text(["true"]).encode()})
    shared = release("SHARED", extra={"shared": b"data\n"})
    for one in (R1, built, shared):
        assert not actor.stage(one).fault
    said = actor("contents")
    same = Manifest(built.sums, built.tree, 0)
    assert said["contents"] == {
        "R1": content_digest(manifest),
        "BUILT": content_digest(same, ["true"]),
        "SHARED": content_digest(Manifest(shared.sums, shared.tree, 0)),
    }
    assert said["platform"] == platform.machine()


# --- records -------------------------------------------------------------------------------------


def test_any_text_comes_through_the_records(actor: Actor) -> None:
    """Quotes, backslashes and other scripts in a reason are told as they are."""
    why = 'he said "no" \\ $(id) `id` é 漢 \' ; | &'
    actor.stage(R1)
    assert "gate" in actor("gate", "hold", "a@b", why)
    assert "gate" in actor("gate", "approve", "a@b", why, "R1", "béta ring/1")
    state = actor.state()
    assert state["hold"]["why"] == why
    assert [(one["release"], one["ring"]) for one in state["approved"]] == [("R1", "béta ring/1")]
    assert "gate" in actor("gate", "resume", "a@b", "ok")
    assert actor.state()["hold"] is None


def test_a_note_stands_in_the_log_and_changes_nothing_else(actor: Actor) -> None:
    """Who and what come through as they are; too much text, or none, is no note."""
    actor.stage(R1)
    before = actor.state()
    what = 'a "notice" \\ $(id) that was not told'
    long = "x" * 1001
    for wrong in ((), ("a@b",), ("a@b", ""), ("a@b", long), (long, "x"), ("a", "b", "c")):
        assert actor("note", *wrong).fault == "usage"
    assert "noted" in actor("note", "a@b", what)
    noted = [one["audit"] for one in actor("audit").records if "audit" in one]
    last = noted.pop()
    assert (last["act"], last["claimed"], last["why"]) == ("note", "a@b", what)
    assert [one["act"] for one in noted] == ["stage", "begin"]
    after = actor.state()
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {"at", "uptime_s", "lock"}


def test_state_files_of_any_content_leave_the_record_whole(actor: Actor, host: Host) -> None:
    """Damaged files on the host never break the one line of JSON that tells its state."""
    proven(actor, R1, "run1")
    host.root(
        f"cd /var/lib/botdeploy/{BOT};"
        " for f in rollout confirmed hold stuck proven/R1 quarantine/x;"
        " do head -c 3000 /dev/urandom >$f; printf '\\nid=\"\\\\\\nwhy=\\001\"}}\\n' >>$f;"
        " done;"
        f" mkdir -p '/opt/{BOT}/releases/a b' '/opt/{BOT}/releases/x\"y/.botdeploy'"
    )
    state = actor.state()
    assert [one["id"] for one in state["releases"]] == ["R1"]
    assert state["running"] == "R1"


def test_the_rollout_is_noted_and_ended(actor: Actor) -> None:
    """The host tells which rollout it takes part in, since when, and how it ended."""
    actor.stage(R1)
    first = actor.state()["rollout"]
    assert (first["id"], first["release"], first["ring"], first["digest"]) == (
        "roll1",
        "R1",
        "canary",
        R1.digest,
    )
    actor("begin", actor.token, "roll1", "R1", "fleet")
    second = actor.state()["rollout"]
    assert (second["ring"], second["since"]) == ("fleet", first["since"])
    assert "ended" in actor("end", actor.token, "roll1", "failed", "too many errors")
    third = actor.state()["rollout"]
    assert (third["outcome"], third["ended_why"]) == ("failed", "too many errors")


def test_a_line_of_the_log_that_was_cut_short_is_passed_over(actor: Actor, host: Host) -> None:
    """A log that a full disk has damaged still gives every whole line."""
    actor.stage(R1)
    log = f"/var/lib/botdeploy/{BOT}/audit.jsonl"
    host.root(f'printf \'\\n{{"at": "2026", "act": "st\' >>{log}')
    actor("gate", "hold", "me", "after")
    acts = [one["audit"]["act"] for one in actor("audit").records if "audit" in one]
    assert acts == ["stage", "begin", "hold"]


# --- readiness -----------------------------------------------------------------------------------

SERVE = f"""NAME = "W"
DELAY = 0
import http.server, threading
server = http.server.HTTPServer(("127.0.0.1", 8099), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
{LIFE}"""
NOTIFY = f"""NAME = "W"
DELAY = 0
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
a = os.environ["NOTIFY_SOCKET"]
s.connect("\\0" + a[1:] if a[0] == "@" else a)
s.send(b"READY=1")
{LIFE}"""


@pytest.mark.parametrize(
    ("ready", "more"),
    [
        ("kind=active\nvalue=\ntimeout=10\n", {}),
        ("kind=port\nvalue=8099\ntimeout=10\n", {"code": SERVE}),
        ("kind=http\nvalue=http://127.0.0.1:8099/\ntimeout=10\n", {"code": SERVE}),
        ("kind=command\nvalue=test -e /opt/echobot/shared/life\ntimeout=10\n", {}),
        (
            "kind=pattern\nvalue=^READY [RW]$\ntimeout=10\n",
            {"code": SERVE.replace("NAME, f", "'W', f")},
        ),
        (
            "kind=notify\nvalue=\ntimeout=10\n",
            {"code": NOTIFY, "unit": unit_text("W", kind="notify")},
        ),
    ],
)
def test_each_sign_of_readiness_is_seen(ready: str, more: dict[str, Any], actor: Actor) -> None:
    """A bot is ready by the sign that its release names."""
    made = release("W", ready=ready, **more)
    assert not actor.stage(made).fault
    assert "switched" in actor.switch("run1", "W")


@pytest.mark.parametrize(
    "ready",
    [
        "kind=pattern\nvalue=NEVER SAID\ntimeout=2\n",
        "kind=pattern\nvalue=Started\ntimeout=2\n",
        "kind=port\nvalue=8098\ntimeout=2\n",
        "kind=http\nvalue=file:///etc/passwd\ntimeout=2\n",
        "kind=command\nvalue=test $(id -u) = 0\ntimeout=2\n",
    ],
)
def test_a_sign_that_does_not_come_leads_back(ready: str, actor: Actor) -> None:
    """Not ready in time is a revert; what systemd writes, a file or root's view is no sign."""
    proven(actor, R1, "run1")
    actor.stage(release("W", ready=ready), R1)
    said = actor.switch("run2", "W")["reverted"]
    assert said["cause"] == "ready"
    assert "not ready within 2 s" in said["why"]
    assert said["runs"] is True


def test_a_sign_of_the_old_release_is_not_the_new_ones(actor: Actor) -> None:
    """What the old release wrote last, while it was stopped, does not make the new one ready."""
    chatty = LIFE.replace('note("end")', 'note("end"); print("READY", flush=True)').replace(
        'note("alive")', 'print("READY", flush=True)'
    )
    proven(actor, release("CHATTY", code=f"NAME = 'C'\nDELAY = 0\n{chatty}"), "run1")
    actor.stage(release("MUTE", delay=60, ready="kind=pattern\nvalue=READY\ntimeout=2\n"))
    assert actor.switch("run2", "MUTE")["reverted"]["cause"] == "ready"


def test_a_last_line_that_reached_the_journal_late_is_no_sign(actor: Actor, host: Host) -> None:
    """A busy journald takes in what a process wrote when it is long dead."""
    chatty = LIFE.replace('note("alive")', 'print("READY", flush=True)')
    code = f"NAME = 'C'\nDELAY = 0\n{chatty}"
    proven(actor, release("CHATTY", code=code), "run1")
    actor.stage(release("MUTE", delay=60, ready="kind=pattern\nvalue=READY\ntimeout=6\n"))
    pid = host.root("pgrep -x systemd-journal").stdout.split()[0]
    host.root(f"kill -STOP {pid}; (sleep 3; kill -CONT {pid}) >/dev/null 2>&1 &")
    assert actor.switch("run2", "MUTE")["reverted"]["cause"] == "ready"


def test_a_bot_that_will_not_stop_is_killed_before_the_next_starts(
    actor: Actor, host: Host
) -> None:
    """A bot that ignores SIGTERM, with a child that left its session, never meets its successor."""
    stubborn = "NAME = 'OLD'\nDELAY = 0\n" + LIFE.replace(
        "signal.signal(signal.SIGTERM, end)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0: os.setsid()",
    )
    unit = unit_text("OLD").replace("TimeoutStopSec=5", "TimeoutStopSec=1")
    proven(actor, release("OLD", code=stubborn, unit=unit), "run1")
    proven(actor, R2, "run2")
    found = lives(host)
    olds = [one for one in found if one[2] == "OLD"]
    new = next(one for one in found if one[2] == "R2")
    assert len(olds) == 2
    assert all(new[0] > old[1] for old in olds)


def test_a_controller_that_fell_silent_leaves_no_process_behind(host: Host) -> None:
    """`enter` hears every word of a burst, and ends by itself when none comes any more."""
    actor = Actor(host)
    actor.install()
    words = b"renew\nrenew\nleave\n"
    said = actor("enter", actor.token, 5, "rollout", BOT, "me", "why", stdin=words)
    assert [next(iter(one)) for one in said.records] == [
        "state",
        "renewed",
        "renewed",
        "left",
        "final",
    ]
    command = host_program.call(BOT, "n1", "enter", [actor.token, "1", "rollout", BOT, "me", "why"])
    silence = "mkfifo /tmp/silence; sleep 300 >/tmp/silence & "
    done = host.root(f"{silence} timeout 60 sh -c {quote(command)} </tmp/silence; kill $!")
    assert '"final": true' in done.stdout
    assert done.stdout.index('"state"') < done.stdout.index('"final"')


def test_programs_of_other_versions_go(host: Host) -> None:
    """A new version takes the old ones away, but not one that a sudo rule names."""
    actor = Actor(host)
    actor.install()
    library = "/usr/local/lib/botdeploy"
    for digest in ("000000000001", "000000000002"):
        host.root(f"mkdir {library}/{digest}; cp {host_program.path(BOT)} {library}/{digest}/")
    host.root(f"echo '# {library}/000000000002/{BOT}' >/etc/sudoers.d/botdeploy-{BOT}")
    assert "state" in actor.enter()
    left = set(host.root(f"ls {library}").stdout.split())
    assert left == {"000000000002", host_program.DIGEST}
