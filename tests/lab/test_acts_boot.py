"""A host that restarts, reloads or loses its guard in the middle of a switch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.hosts.actkit import BOT, Actor, release
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


def running(actor: Actor, release: str, seconds: float = 20) -> dict[str, object]:
    """Wait until a release runs."""
    end = time.monotonic() + seconds
    while (state := actor.state())["running"] != release or state["active_state"] != "active":
        assert time.monotonic() < end, state
        time.sleep(0.1)
    return state


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
    assert (state["phase"]["cause"], state["current"]) == ("boot", "R1")  # type: ignore[index]
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
    assert "switched" in actor.switch("run2", "R2", ttl=5)
    guard = f"botdeploy-guard-{BOT}"
    host.root(f"systemctl daemon-reload; systemctl kill -s KILL {guard}; systemctl daemon-reexec")
    host.root("systemctl daemon-reload; systemctl daemon-reload")
    state = wait_until(actor, "reverted", seconds=30)
    assert state["running"] == "R1"
    assert overlaps(lives(host)) == []


def test_a_guard_that_somebody_stopped_is_started_by_the_next_controller(
    actor: Actor, host: BreakableHost
) -> None:
    """A pending release without a guard is settled when a controller comes."""
    proven(actor, R1, "run1")
    actor.stage(R2, R1)
    assert "switched" in actor.switch("run2", "R2", ttl=3)
    host.root(f"systemctl stop botdeploy-guard-{BOT}")
    time.sleep(5)
    assert actor.state()["phase"]["phase"] == "pending"
    Actor(host).enter("rollback")
    assert wait_until(actor, "reverted")["running"] == "R1"


def test_a_crash_loop_that_ran_into_the_start_limit_is_returned_from(actor: Actor) -> None:
    """A unit that systemd refuses to start any more still goes back to the good release."""
    proven(actor, R1, "run1")
    unit = R2.unit.replace("RestartSec=2", "RestartSec=0.1").replace("R2", "LOOP")
    code = "import time\nprint('READY', flush=True)\ntime.sleep(0.6)\nraise SystemExit(1)\n"
    actor.stage(release("LOOP", code=code, unit=unit), R1)
    assert "switched" in actor.switch("run2", "LOOP", ttl=9)
    state = wait_until(actor, "reverted", seconds=40)
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
