"""A host that restarts, reloads or loses its guard in the middle of a switch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.hosts.acts.actkit import BOT, Actor, release
from tests.lab.shell import HANG_S, looks
from tests.lab.test_acts import R1, R2, lives, overlaps, proven, wait_until

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab


@pytest.fixture
def host(lab: Lab) -> BreakableHost:
    """Give a host that was never deployed to."""
    return lab["h1"]


@pytest.fixture
def actor(host: BreakableHost) -> Actor:
    """Give a controller, over ssh as a real one, that has the lock."""
    made = Actor(host)
    made.install()
    assert "state" in made.enter(ttl=300)
    return made


def running(actor: Actor, release: str, seconds: float = HANG_S) -> dict[str, object]:
    """Wait until a release runs."""
    state: dict[str, object] = {}
    for _ in looks(seconds):
        state = actor.state()
        if state["running"] == release and state["active_state"] == "active":
            return state
    raise AssertionError(state)


@pytest.mark.parametrize("cut", ["reboot", "cut_power"])
def test_an_unconfirmed_release_does_not_survive_a_restart(
    cut: str, actor: Actor, host: BreakableHost
) -> None:
    """After a reboot or a power cut the old release starts, and only it."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=300)
    host.root(f"sync; cp /opt/{BOT}/shared/life /opt/{BOT}/shared/before; sync")
    if cut == "reboot":
        host.reboot()
    else:
        host.cut_power().end()
    state = wait_until(actor, "reverted")
    assert (state["phase"]["cause"], state["current"]) == ("boot", "R1")
    running(actor, "R1")
    assert [name for *_, name in lives(host)][-1] == "R1"
    assert [name for *_, name in lives(host)].count("R2") == 1
    assert overlaps(lives(host)) == []
    assert actor.state()["stuck"] is None


def test_a_confirmed_release_starts_at_boot(actor: Actor, host: BreakableHost) -> None:
    """What a controller has confirmed is what runs after a reboot."""
    proven(actor, R1, "run1")
    proven(actor, R2, "run2", base=R1)
    host.reboot()
    assert running(actor, "R2")["phase"]["phase"] == "confirmed"  # type: ignore[index]


def test_a_first_deploy_that_is_cut_by_a_reboot_leaves_nothing(
    actor: Actor, host: BreakableHost
) -> None:
    """With nothing to return to, the bot does not start at boot."""
    actor.stage(R1)
    assert "switched" in actor.switch("run1", "R1", ttl=300)
    host.reboot()
    wait_until(actor, "reverted")
    time.sleep(1)
    state = actor.state()
    assert (state["current"], state["active_state"], state["stuck"]) == ("", "inactive", None)
    assert len(lives(host)) == 1


def test_the_lease_runs_on_through_reloads_and_a_dead_guard(
    actor: Actor, host: BreakableHost
) -> None:
    """Reloads and re-executions of systemd, and a guard that is killed, do not stop the return."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2")
    actor.let_lapse("run2", 5)
    guard = f"botdeploy-guard-{BOT}"
    host.root(f"systemctl daemon-reload; systemctl kill -s KILL {guard}; systemctl daemon-reexec")
    host.root("systemctl daemon-reload; systemctl daemon-reload")
    state = wait_until(actor, "reverted")
    assert state["running"] == "R1"
    assert overlaps(lives(host)) == []


GUARD = f"botdeploy-guard-{BOT}"


def guard_pid(host: BreakableHost) -> str:
    """Give the process of the guard that runs, or 0."""
    return host.root(f"systemctl show -P MainPID {GUARD}").stdout.strip()


def another_guard(host: BreakableHost, than: str, seconds: float = HANG_S) -> str:
    """Wait until another guard runs than that one."""
    end = time.monotonic() + seconds
    while (pid := guard_pid(host)) in {"0", than}:
        assert time.monotonic() < end, host.root(f"systemctl status {GUARD}*", check=False).stdout
        time.sleep(0.05)
    return pid


def test_a_guard_is_started_again_whatever_ended_it(actor: Actor, host: BreakableHost) -> None:
    """A stop and every signal are answered by another guard, and no controller is needed for it."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=300)
    pid = guard_pid(host)
    for end in (
        *(f"kill -{name} {{pid}}" for name in ("TERM", "HUP", "INT", "KILL")),
        f"systemctl stop {GUARD}",
        f"systemctl kill {GUARD}",
        f"systemctl daemon-reexec; systemctl stop {GUARD}",
        "systemctl daemon-reload; kill -TERM {pid}",
    ):
        host.root(end.format(pid=pid))
        pid = another_guard(host, pid)
    assert actor.state()["running"] == "R2"
    actor.let_lapse("run2", 2)
    host.root(f"systemctl stop {GUARD}")
    state = wait_until(actor, "reverted")
    assert (state["running"], state["phase"]["cause"]) == ("R1", "lease")
    assert overlaps(lives(host)) == []
    host.root(f"while systemctl is-active -q {GUARD}; do sleep 0.05; done", timeout=20)
    assert host.root(f"systemctl is-active {GUARD}.path").stdout.strip() == "active"


def test_the_lease_counts_while_the_bot_is_not_ready(actor: Actor, host: BreakableHost) -> None:
    """A release that takes long to be ready goes back by its lease, unless a controller renews."""
    proven(actor, R1, "run1")
    slow = release("SLOW", delay=60, ready="kind=pattern\nvalue=READY\ntimeout=90\n")
    actor.stage(slow, R1)
    said = actor.switch("run2", "SLOW", ttl=3)["reverted"]
    assert (said["by"], said["cause"], said["runs"]) == ("host", "lease", True)
    assert actor.state()["quarantine"] == {}
    assert overlaps(lives(host)) == []


def test_a_lease_that_is_over_before_the_old_bot_is_dead_starts_nothing_new(
    actor: Actor, host: BreakableHost
) -> None:
    """Where the old bot takes longer to stop than the lease lasts, the new one is not tried."""
    stops_late = "import signal, time\nprint('READY', flush=True)\n"
    stops_late += "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(4), exit()))\n"
    stops_late += "while True: time.sleep(0.1)\n"
    proven(actor, release("LATE", code=stops_late), "run1")
    actor.stage(R2)
    said = actor.switch("run2", "R2", ttl=1)["reverted"]
    assert (said["old"], said["cause"], said["runs"]) == ("LATE", "lease", True)
    assert lives(host) == []


@pytest.mark.parametrize("folder", ["/opt", "/var/lib/botdeploy"])
def test_a_disk_that_is_read_only_at_boot_delays_the_return(
    folder: str, actor: Actor, host: BreakableHost
) -> None:
    """The host tries until the disk can be written, and then runs the old release."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=300)
    host.root(
        "printf '[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\nAfter=local-fs.target\n"
        f"[Service]\nType=oneshot\nExecStart=mount --bind {folder} {folder}\n"
        f"ExecStart=mount -o remount,bind,ro {folder}\n' >/etc/systemd/system/read-only.service;"
        "mkdir -p /etc/systemd/system/sysinit.target.wants; ln -s ../read-only.service"
        " /etc/systemd/system/sysinit.target.wants/; sync"
    )
    host.cut_power().end()
    try:
        running(actor, "R2")
    finally:
        host.root(
            "rm /etc/systemd/system/read-only.service /etc/systemd/system/*/read-only.service;"
            f"umount -l {folder}"
        )
    state = wait_until(actor, "reverted")
    assert state["phase"]["cause"] == "boot"
    assert running(actor, "R1")["stuck"] is None
    assert overlaps(lives(host)) == []


def test_nothing_is_switched_where_the_guard_could_not_come(
    actor: Actor, host: BreakableHost
) -> None:
    """A masked guard, or path unit, is told with the command; a rollback still gets in."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    for unit in (f"{GUARD}.path", f"{GUARD}.service"):
        place = f"/etc/systemd/system/{unit}"
        host.root(f"systemctl stop {unit}; ln -sf /dev/null {place}; systemctl daemon-reload")
        said = actor.enter()
        assert said.fault == "masked", said
        assert f"systemctl unmask {unit}" in said["message"]
        host.root(f"systemctl unmask {unit}")
        assert "state" in actor.enter()
    host.root(f"ln -sf /dev/null /etc/systemd/system/{GUARD}.service; systemctl daemon-reload")
    assert actor.switch("run2", "R2").fault == "guard"
    state = actor.state()
    assert (state["running"], state["phase"]["phase"]) == ("R1", "confirmed")


def test_a_crash_loop_that_ran_into_the_start_limit_is_returned_from(actor: Actor) -> None:
    """A unit that systemd refuses to start any more still goes back to the good release."""
    proven(actor, R1, "run1")
    unit = R2.unit.replace("RestartSec=2", "RestartSec=0.1").replace("R2", "LOOP")
    code = "import time\nprint('READY', flush=True)\ntime.sleep(0.6)\nraise SystemExit(1)\n"
    actor.stage(release("LOOP", code=code, unit=unit), R1)
    assert "switched" in actor.switch("run2", "LOOP")
    actor.let_lapse("run2", 9)
    state = wait_until(actor, "reverted")
    assert (state["running"], state["active_state"], state["stuck"]) == ("R1", "active", None)


def test_a_return_to_a_release_that_does_not_start_is_told(
    actor: Actor, host: BreakableHost
) -> None:
    """When the old release is not ready either, the host says so instead of calling it done."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    host.root(f"echo 'raise SystemExit(9)' >/opt/{BOT}/releases/R1/bot.py")
    assert "switched" in actor.switch("run2", "R2")
    said = actor("revert", actor.token, "back", "-", "why")["reverted"]
    assert said["runs"] is False
    assert actor.state()["stuck"]


def test_where_opt_is_a_disk_of_its_own_the_bot_starts_at_boot(
    actor: Actor, host: BreakableHost
) -> None:
    """A unit that systemd could not see when it planned the boot is loaded and started after."""
    proven(actor, R1, "run1")
    host.root(
        "mkdir /disk && cp -a /opt/. /disk/ && printf '[Mount]\\nWhat=/disk\\nWhere=/opt\\n"
        "Options=bind\\n[Install]\\nWantedBy=local-fs.target\\n' >/etc/systemd/system/opt.mount"
        f" && systemctl stop {BOT} && rm -rf /opt/{BOT} && systemctl enable opt.mount && sync"
    )
    try:
        host.reboot()
        running(actor, "R1")
    finally:
        host.root("rm -rf /etc/systemd/system/opt.mount /etc/systemd/system/*/opt.mount; sync")
        host.reboot()
        host.root("rm -rf /disk")


@pytest.mark.parametrize(
    ("folder", "by_unit"),
    [("/var/lib/botdeploy", True), ("/var/lib/botdeploy", False), ("/opt", True), ("/opt", False)],
)
def test_a_disk_that_comes_after_the_boot_delays_the_return(
    folder: str, *, by_unit: bool, actor: Actor, host: BreakableHost
) -> None:
    """Whether its mount failed or nobody has tried it yet; no controller is needed for it."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=300)
    unit = folder.strip("/").replace("/", "-") + ".mount"
    host.root(
        f"mkdir -p /disk && cp -a {folder}/. /disk/ &&"
        f" mkdir /under && mount --bind {folder} /under && rm -rf /under/* && umount /under; sync"
    )
    if by_unit:
        host.root(
            f"printf '[Mount]\\nWhat=none\\nWhere={folder}\\nType=tmpfs\\nOptions=nonsense=1\\n"
            f"[Install]\\nWantedBy=local-fs.target\\n' >/etc/systemd/system/{unit};"
            f" systemctl enable {unit}; sync"
        )
    try:
        host.cut_power().end()
        time.sleep(3)  # nothing may give up meanwhile
        host.root(f"mount --bind /disk {folder}")
        assert wait_until(actor, "reverted")["phase"]["cause"] == "boot"
        assert running(actor, "R1")["stuck"] is None
        assert overlaps(lives(host)) == []
        assert host.root(f"systemctl is-active {GUARD}.path").stdout.strip() == "active"
    finally:
        host.root(f"rm -rf /etc/systemd/system/{unit} /etc/systemd/system/*/{unit}; sync")
        host.reboot()
        host.root("rm -rf /disk /under")


@pytest.mark.parametrize("since", ["it waits", "its result is there"])
def test_a_guard_that_slept_through_a_confirmation_carries_out_the_next_switch(
    since: str, actor: Actor, host: BreakableHost
) -> None:
    """Between two of its looks one change was confirmed and another one was armed."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    guard = f"botdeploy-guard-{BOT}"
    if since == "its result is there":
        result = f"/run/botdeploy/{BOT}/result"
        host.root(
            f"(until grep -qs run2 {result}; do :; done; systemctl kill -s STOP {guard})"
            " >/dev/null 2>&1 </dev/null &"
        )
    assert "switched" in actor.switch("run2", "R2", ttl=300)
    assert host.root(f"systemctl is-active {guard}").stdout.strip() == "active"
    host.root(f"systemctl kill -s STOP {guard}")
    assert "confirmed" in actor("confirm", actor.token, "run2")
    actor.stage(R1, R2)
    host.root(
        f"(until [ -e /var/lib/botdeploy/{BOT}/pending ]; do sleep 0.1; done;"
        f" systemctl kill -s CONT {guard}) >/dev/null 2>&1 </dev/null &"
    )
    assert "switched" in actor.switch("run3", "R1", ttl=300)
    running(actor, "R1")
