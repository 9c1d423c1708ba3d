"""Lives of a host, and what can go wrong in them: every step of a life meets every fault."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos.promises import broken, litter, lives
from tests.chaos.stand import LOUD, NEW, OLD, READ_ONLY_AT_BOOT, SLOW, SMALL_RUN, Call, Stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.host import Host

LEASE_S = 4
_CHANGERS = frozenset(
    {"mv", "ln", "rm", "sync", "mkdir", "mkfifo", "chown", "chmod", "useradd", "tar", "cp"}
    | {"xargs", "systemd-run"}
)


@dataclass(frozen=True)
class Life:
    """Something that is done to a host, and whose steps are watched."""

    name: str
    scope: str
    """Whose steps: ``guard``, or the ``act`` that a controller runs."""
    act: str
    begin: Callable[[Stand, bool], Call]
    """Start it; the flag asks for a real ssh connection."""
    prepare: Callable[[Stand], None] = lambda stand: stand.back_to_old()
    faults: tuple[str, ...] = ()
    """The faults that it is for; all where none is named."""

    def parent(self, stand: Stand) -> str:
        """Give what a step's ancestors must have in their command line."""
        return "-" if self.scope == "guard" else f" {self.act}{stand.form.suffix} "


def _switch(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call("switch", stand.actor.token, stand.new_run(), NEW, LEASE_S, over_ssh=over_ssh)


def _switch_to_slow(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call(
        "switch", stand.actor.token, stand.new_run(), SLOW, LEASE_S, over_ssh=over_ssh
    )


def _switch_to_loud(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call(
        "switch", stand.actor.token, stand.new_run(), LOUD, LEASE_S, over_ssh=over_ssh
    )


def _revert(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call(
        "revert", stand.actor.token, stand.new_run(), "-", "too many errors", over_ssh=over_ssh
    )


def _confirmed(stand: Stand) -> None:
    stand.back_to_old()
    run = stand.new_run()
    stand.actor.switch(run, NEW)
    said = stand.actor("confirm", stand.actor.token, run)
    assert "confirmed" in said, said
    stand.host.root(f"rm -f {stand.form.state}/proven/{NEW}")
    stand.run = run


def _pending(stand: Stand) -> None:
    stand.back_to_old()
    run = stand.new_run()
    assert "switched" in stand.actor.switch(run, NEW, ttl=LEASE_S + 6)
    stand.run = run


def _confirm(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call("confirm", stand.actor.token, stand.run, over_ssh=over_ssh)


def _prove(stand: Stand, over_ssh: bool) -> Call:  # noqa: FBT001
    return stand.call("prove", stand.actor.token, NEW, 2, "roll1", over_ssh=over_ssh)


LIVES = (
    Life("switch, then the lease ends", "guard", "switch", _switch),
    Life("a switch is armed", "act", "switch", _switch),
    Life("a controller reverts", "guard", "revert", _revert, _confirmed),
    Life("a revert is asked for", "act", "revert", _revert, _confirmed),
    Life("a release is confirmed", "act", "confirm", _confirm, _pending),
    Life("a release is proven, others pruned", "act", "prove", _prove, _confirmed),
    Life(
        "a bot takes longer to be ready than the lease lasts",
        "guard",
        "switch",
        _switch_to_slow,
        lambda stand: stand.back_to_old(SLOW),
        ("SIGKILL", "stopped", "power cut", "network cut", "controller killed"),
    ),
    Life(
        "journald drops the bot's lines",
        "guard",
        "switch",
        _switch_to_loud,
        lambda stand: stand.back_to_old(LOUD),
        ("SIGKILL", "stopped", "power cut", "/run full"),
    ),
)


@dataclass
class Row:
    """What came of one fault at one step."""

    life: str
    step: str
    fault: str
    safe_s: float = 0.0
    runs: str = ""
    between: str = ""
    wrong: list[str] = field(default_factory=list)
    is_reached: bool = True


def _nothing() -> None:
    pass


def _kill(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del call
    if life.scope == "guard":
        script = f"systemctl kill -s KILL --kill-who=all {stand.form.guard}"
        stand.host.root(script, check=False)
    else:
        kill_act(stand.host)
    return _nothing


def kill_act(host: Host) -> None:
    """Kill the act that is stopped before a step, with the step."""
    host.root(
        "read -r step </run/chaos/hit; kill -KILL $step; pkill -KILL -f 'echobot chaos'",
        check=False,
    )


def _stop(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    """End it as a person would, and leave the host to itself."""
    if life.scope == "guard":
        call.kill_controller()
        script = f"systemctl stop --no-block {stand.form.guard}"
    else:
        script = "read -r step </run/chaos/hit; kill -TERM $step; pkill -TERM -f 'echobot chaos'"
    stand.host.root(script, check=False)
    return _nothing


def _fill_run(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    filler = f"{SMALL_RUN}/filler"
    stand.host.root(
        f"for size in 4k 1; do dd if=/dev/zero bs=$size 2>/dev/null >>{filler}; done", check=False
    )
    return lambda: stand.host.root(f"rm -f {filler}")


def _roll_back_twice(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    """Let somebody else roll back, from another place, at this very instant."""
    del life, call
    other = stand.form.actor(stand.host)

    def roll_back() -> None:
        if "state" in other.enter("rollback"):
            other("revert", other.token, stand.new_run(), "-", "from another place", timeout=120)
            other("leave", other.token)

    thread = threading.Thread(target=roll_back, daemon=True)
    thread.start()
    return lambda: thread.join(120)


def _read_only_at_boot(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    stand.host.root(f"touch {READ_ONLY_AT_BOOT}; sync")
    stand.host.cut_power().end()
    return lambda: stand.host.root(f"umount -l /opt; rm -f {READ_ONLY_AT_BOOT}; sync")


def _reboot(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    stand.host.reboot(seconds=120)
    return _nothing


def _cut_power(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    stand.host.cut_power().end()
    return _nothing


def _cut_network(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life
    fault = stand.host.cut_network()
    call.kill_controller()
    return fault.end


def _kill_controller(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del stand, life
    call.kill_controller()
    return _nothing


def _kill_sshd(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    stand.host.kill_ssh_sessions()
    return _nothing


def _fill_disk(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    return stand.host.fill_disk("/opt").end


def _fill_inodes(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    return stand.host.fill_inodes("/opt").end


def _read_only_opt(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    return stand.host.make_read_only("/opt").end


def _read_only_var(stand: Stand, life: Life, call: Call) -> Callable[[], Any]:
    del life, call
    return stand.host.make_read_only("/var/lib/botdeploy").end


FAULTS: dict[str, Callable[[Stand, Life, Call], Callable[[], Any]]] = {
    "SIGKILL": _kill,
    "stopped": _stop,
    "power cut": _cut_power,
    "reboot": _reboot,
    "network cut": _cut_network,
    "controller killed": _kill_controller,
    "sshd killed": _kill_sshd,
    "disk full": _fill_disk,
    "inodes used up": _fill_inodes,
    "/opt read-only": _read_only_opt,
    "state read-only": _read_only_var,
    "/opt read-only at boot": _read_only_at_boot,
    "/run full": _fill_run,
    "second rollback": _roll_back_twice,
}
#: Reboot: a visitor from outside would not let the host go down.
OVER_SSH = {"network cut", "controller killed", "sshd killed", "reboot", "stopped"}
RESTARTED = {"power cut", "reboot", "/opt read-only at boot"}
#: While these last the host may not get anywhere, and must only keep its promises.
MENDED_FIRST = {"/opt read-only", "state read-only", "disk full", "inodes used up"} | {
    "/opt read-only at boot"
}


def steps_of(stand: Stand, life: Life) -> list[str]:
    """Find the steps of a life in which nothing goes wrong.

    What only reads between two changes is one step: on the disk nothing is different.
    """
    life.prepare(stand)

    def live() -> None:
        life.begin(stand, False).wait()  # noqa: FBT003
        if life.scope == "guard":
            stand.await_safe()

    found: dict[tuple[str, str], str] = {}
    for step in stand.record(life.scope, life.parent(stand), live):
        name, _, after = step.partition(" after ")
        found.setdefault((name if _changes(name) else "", after), step)
    return list(found.values())


def _changes(command: str) -> bool:
    """Whether step.sh counts this command as one that changes something."""
    tool, _, rest = command.partition(" ")
    if tool == "systemctl":
        return not rest.startswith(("show", "is-active", "is-system-running", "--version"))
    return tool in _CHANGERS


def live_through(stand: Stand, life: Life, step: str, fault: str) -> Row:
    """Break something before one step, and see what comes of it."""
    row = Row(life.name, step, fault)
    life.prepare(stand)
    if stand.neighbour:
        stand.neighbour.begin(is_restarted=fault in RESTARTED)
    stand.plan(life.scope, life.parent(stand), step)
    call = life.begin(stand, fault in OVER_SSH)
    if not stand.await_stop():
        stand.go_on()
        row.is_reached = False
        return row
    began = time.monotonic()
    mend = FAULTS[fault](stand, life, call)
    if fault in MENDED_FIRST:  # filling a disk takes a while itself
        began = time.monotonic()
    try:
        stand.go_on()
        row.wrong += broken(stand.host, stand.form)
        try:
            stand.await_safe(25 if fault in MENDED_FIRST else 90)
        except AssertionError:
            if fault not in MENDED_FIRST:
                raise
            row.wrong += broken(stand.host, stand.form)
    finally:
        mend()
    person, state = _safe_or_told(stand, fault)
    row.safe_s = time.monotonic() - began
    # The guard that was hit may be an earlier one's, at its end: the act itself is still under way.
    call.wait(30)
    state = stand.await_safe()[1]
    row.runs = state["running"]
    row.wrong += broken(stand.host, stand.form)
    row.between = " → ".join(name for *_, name in lives(stand.host, stand.form)) + person
    if state["current"] != state["running"]:
        row.wrong.append(f"current is {state['current']}, but {state['running']} runs")
    row.wrong += converge(stand)
    if stand.neighbour:
        row.wrong += stand.neighbour.wrong() + stand.neighbour.converge()
    return row


def _safe_or_told(stand: Stand, fault: str) -> tuple[str, dict[str, Any]]:
    """Wait until the host is safe; one that says that it needs a person gets one, who is named.

    A bot that can't write to its data does not start, and a return that ended so is told as stuck:
    the next revert is what its message asks for. One that systemd has given up, with nothing open,
    is told as failed, with the command that starts the same release again.
    """
    try:
        return "", stand.await_safe(20 if fault in MENDED_FIRST else 90)[1]
    except AssertionError:
        if fault not in MENDED_FIRST:
            raise
        state = stand.actor.state()
        is_open = state["phase"] and state["phase"]["phase"] in {"pending", "reverting"}
        is_given_up = state["active_state"] == "failed" and not is_open
        if not state["stuck"] and not is_given_up:
            raise
    to = OLD if state["stuck"] else state["current"]
    stand.actor("revert", stand.actor.token, stand.new_run(), to, "the disk is mended")
    return " → person", stand.await_safe()[1]


def converge(stand: Stand) -> list[str]:
    """Do the same again, now without a fault: it must end well, and leave nothing behind."""
    stand.host.root("rm -rf /run/chaos")
    stand.enter()
    actor = stand.actor
    stand.host.root(f"rm -f {stand.form.state}/quarantine/*")
    wrong = []
    for name in (OLD, NEW):
        staged = stand.stage(name)
        if staged.fault:
            wrong.append(f"staging again: {staged.fault}")
    run = stand.new_run()
    switched = actor.switch(run, NEW)
    if "switched" not in switched:
        wrong.append(f"the next switch: {switched.records}")
    elif "confirmed" not in actor("confirm", actor.token, run):
        wrong.append("the next confirmation was refused")
    elif actor.state()["running"] != NEW:
        wrong.append("the next switch did not end in the new release")
    back = actor("revert", actor.token, stand.new_run(), OLD, "back")
    if "reverted" not in back:
        wrong.append(f"the next revert: {back.records}")
    # The guard ends a moment after its last record.
    for _ in range(30):
        if not (left := litter(stand.host, stand.form)):
            break
        time.sleep(0.1)
    return wrong + [f"litter: {line}" for line in left]
