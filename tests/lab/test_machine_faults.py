"""What a whole machine shows after a switch: never a pass, and no fail, by the command typed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.lab.rollouts import Project, Ran, releases_of
from tests.lab.shell import HANG_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.host import Host
    from tests.lab.lab import Lab

#: A bot that needs what the instances of its machine share: a folder, and who answers at a port.
#: NEW says what a release does two seconds after its start.
BOT = """\
import os, socket, time, traceback
from pathlib import Path

COMMON, ASKED = Path("/srv/common"), ("127.0.0.1", 7001)
NAME = os.environ["WHO"]


def work(number):
    (COMMON / f"{NAME}.{number}").write_bytes(bytes(200))
    (COMMON / f"{NAME}.{number - 1}").unlink(missing_ok=True)
    ask(b"hello\\n")


def ask(what):
    with socket.create_connection(ASKED, 1) as asked:
        asked.sendall(what)
        asked.recv(10)


def begin():
    if NEW.startswith("fills"):
        for size in (4096, 1):
            with (COMMON / "cache").open("ab", 0) as cache:
                try:
                    while True:
                        cache.write(bytes(size))
                except OSError:
                    pass
    elif NEW == "stops the service":
        ask(b"shutdown\\n")


print("READY", flush=True)
number = 0
while True:
    time.sleep(0.1)
    number += 1
    if number == 20:
        begin()
    try:
        if NEW == "errors" and number > 20:
            raise ValueError("the new release can't count")
        if NEW != "fills, and needs none":
            work(number)
        print("handled message", number, flush=True)
    except (OSError, ValueError):
        traceback.print_exc()
"""

#: What they ask: it ends when somebody says so.
SERVICE = """\
import socketserver, os
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.readline().strip() == b"shutdown":
            os._exit(0)
        self.wfile.write(b"yes")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("127.0.0.1", 7001), Answer).serve_forever()
"""

TOLD = "the release may be the cause, or the machine"
SOAK = "14s"
RINGS: list[dict[str, Any]] = [
    {"name": "canary", "hosts": "h1/1", "soak": SOAK, "settle": "1s"},
    {"name": "fleet", "hosts": "all", "batch": "100%", "settle": "0s"},
]


def version(project: Project, name: str, new: str = "") -> str:
    """Write a version of the bot; gives its path."""
    place = project.folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "main.py").write_text(f"VERSION, NEW = {name!r}, {new!r}\n{BOT}")
    return str(place)


def start_service(host: Host) -> None:
    """Start what the bots of a machine ask."""
    host.root("cat >/run/lab-service.py", stdin=SERVICE)
    host.root(
        "systemctl reset-failed lab-service 2>/dev/null;"
        " systemd-run -q --unit=lab-service /usr/bin/python3 /run/lab-service.py"
    )


def project_of(folder: Path, lab: Lab, instances: int, *machines: str) -> Project:
    """Give machines with so many instances each, which run a first release for a while."""
    for name in machines:
        lab[name].root("mkdir -p /srv/common; mount -t tmpfs -o size=64k,mode=1777 lab /srv/common")
        start_service(lab[name])
    bot = {
        "instances": instances,
        "env": {"WHO": "{{ instance }}"},
        "shared": None,
        "unit": {"ReadWritePaths": "/srv/common"},
    }
    made = Project(folder, lab, bot, hosts=machines)
    version(made, "v1")
    made.write(rings=[{"name": "all", "hosts": "all", "batch": "100%", "settle": "0s"}])
    made.canary()
    made.write(rings=RINGS)
    time.sleep(10)  # the past that the verdict compares with
    return made


def release(project: Project, new: str, code: int) -> Ran:
    """Release something new."""
    return project.canary("--source", version(project, "v2", new), code=code)


def assert_is_the_machines(project: Project, ran: Ran, who: str = "all instances") -> None:
    """Check that it is inconclusive, names the machine with its instances, and nothing moved."""
    (verdict,) = ran.all("verdict")
    assert (verdict["outcome"], verdict["ring"]) == ("inconclusive", "canary"), verdict
    machine = project.status()["h1/1"]["machine"]
    told = f"{who} on {machine} "
    assert any(told in one and TOLD in one for one in verdict["reasons"]), verdict
    assert told in ran.summary
    assert (ran.all("promoted"), ran.all("reverted")) == ([], [])
    assert_only_the_canary_has(project, releases_of(ran))


def assert_only_the_canary_has(project: Project, new: str) -> None:
    """Check that the canary runs the release, and no other instance does."""
    assert [name for name, host in project.status().items() if host["running"] == new] == ["h1/1"]


def promote_until_it_is_told(project: Project) -> Ran:
    """Take steps until one has something to say of the ring."""
    deadline = time.monotonic() + HANG_S
    while True:
        ran = project.run("promote", "prod")
        if ran.summary:
            return ran
        assert time.monotonic() < deadline, ran.out
        time.sleep(1)


def test_a_release_that_fills_its_neighbours_disk_is_inconclusive(lab: Lab, tmp_path: Path) -> None:
    """It does not pass, and stays on the canary until a person has it taken back."""
    project = project_of(tmp_path, lab, 3, "h1")
    old = project.running()[0]
    ran = release(project, "fills", code=5)
    assert_is_the_machines(project, ran)
    back = ran.summary.rpartition("to go back: botdeploy ")[2].split()
    assert project.run(*back).code == 0
    assert project.running() == [old] * 3


def test_a_release_that_harms_only_its_neighbours_does_not_pass(lab: Lab, tmp_path: Path) -> None:
    """It fills what it does not need itself: both neighbours err, and the canary does not."""
    project = project_of(tmp_path, lab, 3, "h1")
    ran = release(project, "fills, and needs none", code=5)
    assert_is_the_machines(project, ran, "all other instances")
    assert ran.all("evidence")[-1]["errors"] == 0


def test_promote_says_the_same_of_a_service_that_the_release_stops(
    lab: Lab, tmp_path: Path
) -> None:
    """Where the soak is left to promote, it ends with 5, names the machine and moves nothing."""
    project = project_of(tmp_path, lab, 3, "h1")
    project.write(attended_soak="1s")
    release(project, "stops the service", code=0)
    ran = promote_until_it_is_told(project)
    assert ran.code == 5, ran.out
    assert_is_the_machines(project, ran)


def release_into_an_outage(project: Project, *machines: str) -> Ran:
    """Release something good, and stop what the bots of some machines ask after the switch."""
    process = project.canary_until_switched("--source", version(project, "v3"))
    for name in machines:
        project.lab[name].root("systemctl stop lab-service")
    assert process.stdout is not None
    return Ran(code=process.wait(120), out=process.stdout.read(), err="")


def test_what_one_machine_of_two_shows_is_inconclusive(lab: Lab, tmp_path: Path) -> None:
    """The canary and its neighbour err, the other machine is well; the canary alone would fail."""
    project = project_of(tmp_path, lab, 2, "h1", "h2")
    old = project.running()[0]
    failed = release(project, "errors", code=1)
    assert [one["host"] for one in failed.all("reverted")] == ["h1/1"]
    assert project.running() == [old] * 4
    ran = release_into_an_outage(project, "h1")
    assert ran.code == 5, ran.out
    assert_is_the_machines(project, ran)


def test_an_outage_of_all_machines_fails_no_release(lab: Lab, tmp_path: Path) -> None:
    """Nothing is taken back, and no machine is named: it is as with one bot on each machine."""
    project = project_of(tmp_path, lab, 2, "h1", "h2")
    project.write(attended_soak=SOAK)
    ran = release_into_an_outage(project, "h1", "h2")
    assert ran.code in (0, 5), ran.out
    assert "fail" not in [one["outcome"] for one in ran.all("verdict")], ran.out
    assert TOLD not in ran.out
    assert ran.all("reverted") == []
    errors = [one["errors"] for one in ran.all("evidence") if one["host"] == "h1/1"]
    assert errors[-1] > 50
    assert project.status()["h1/1"]["running"] == releases_of(ran)
