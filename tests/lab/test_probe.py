"""Probes in real rollouts: bots that say nothing, and count."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.rollouts import Project, releases_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab

BOT = '''\
"""A bot that prints nothing: it works ten times a second, and shows its counters."""
import http.server, os, threading, time

counts = {"handled": 0, "known": 0, "new": 0}


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if MODE == "sick":
            return self.send_error(503)
        text = (
            "# TYPE bot_commands_total counter\\\\n"
            f"bot_commands_total {counts['handled']}\\\\n"
            "# TYPE bot_errors_total counter\\\\n"
            f'bot_errors_total{{type="KnownError"}} {counts["known"]}\\\\n'
        )
        if counts["new"]:
            text += f'bot_errors_total{{type="BalanceError"}} {counts["new"]}\\\\n'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def work():
    begun = time.monotonic()
    while True:
        time.sleep(0.1)
        counts["handled"] += 1
        counts["known"] += counts["handled"] % 20 == 0
        if MODE == "errors" and time.monotonic() - begun > 4:
            counts["new"] += 1
        if MODE == "dead" and time.monotonic() - begun > 4:
            return


threading.Thread(target=work, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 9099), Metrics).serve_forever()
'''.replace("\\\\n", "\\n")

URL = "http://127.0.0.1:9099/metrics"


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Project:
    """Give a user's folder with a silent bot on three hosts, asked every second."""
    made = Project(tmp_path, lab, hosts=tuple(host.name for host in lab)[:3])
    made.bot = {
        "ready": {"port": 9099},
        "shared": [],
        "probe": {"prometheus": URL, "interval": "1s"},
    }
    version(made, "v1", "good")
    soak(made, "2s")
    return made


def soak(project: Project, length: str, **rollout: str) -> None:
    """Let the canary soak for so long."""
    project.write(
        rings=[
            {"name": "canary", "hosts": 1, "soak": length, "settle": "1s"},
            {"name": "fleet", "hosts": "all", "batch": 2, "settle": "1s"},
        ],
        **rollout,
    )


def version(project: Project, name: str, mode: str) -> str:
    """Write a version of the silent bot; gives its path."""
    place = project.folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "main.py").write_text(f"MODE = {mode!r}\nVERSION = {name!r}\n" + BOT)
    return str(place)


def deploy_unasked(project: Project, source: str = "") -> str:
    """Deploy what would not pass if its probe was asked: on a first deploy any error is new."""
    probe = project.bot.pop("probe")
    project.write()
    ran = project.canary("--source", source or str(project.folder / "v1"))
    project.bot["probe"] = probe
    project.write()
    return releases_of(ran)


def test_a_bot_that_logs_nothing_is_judged_by_its_counters(project: Project) -> None:
    """A good release passes though known errors go on; one with an error of its own goes back."""
    one = deploy_unasked(project)
    soak(project, "20s")
    good = project.canary("--source", version(project, "v2", "good"))
    two = releases_of(good)
    assert project.running() == [two] * 3
    passed = good.all("verdict")[0]
    assert "units of work by its probe" in passed["reasons"][0]
    bad = project.canary("--source", version(project, "v3", "errors"), code=1)
    assert project.running() == [two] * 3
    assert {event["host"] for event in bad.all("switched")} == {"h1"}
    told = " ".join(bad.all("verdict")[-1]["reasons"])
    assert "BalanceError" in told, told
    seen = [event for event in bad.all("evidence") if event["host"] == "h1"][-1]
    assert seen["new_fingerprints"] == ['probe!bot_errors_total{type="BalanceError"}']
    assert one != two


def test_a_probe_that_fails_on_the_canary_alone_fails_the_release(project: Project) -> None:
    """The new release answers 503, which the old one never did."""
    one = deploy_unasked(project)
    soak(project, "20s")
    bad = project.canary("--source", version(project, "v2", "sick"), code=1)
    assert project.running() == [one] * 3
    told = " ".join(bad.all("verdict")[-1]["reasons"])
    assert "answered 503" in told, told


def test_a_probe_that_fails_everywhere_is_not_the_releases_doing(project: Project) -> None:
    """Where the baseline does not answer either, the release passes, and it is said."""
    deploy_unasked(project, version(project, "v0", "sick"))
    soak(project, "12s")
    ran = project.canary("--source", version(project, "v2", "sick"))
    assert project.running() == [releases_of(ran)] * 3


def test_promote_keeps_what_the_probe_tells(project: Project) -> None:
    """A long soak is judged by what each step was told, with the past from before the switch."""
    deploy_unasked(project)
    soak(project, "30m", attended_soak="5s")
    source = version(project, "v2", "good")
    waiting = project.canary("--source", source)
    release = releases_of(waiting)
    assert waiting.all("waiting")[-1]["ring"] == "canary"
    project.run("promote", "prod")
    time.sleep(2)
    assert project.run("promote", "prod").code == 0
    kept = project.lab["h1"].root("ls /var/lib/botdeploy/tbot/evidence").stdout.split()
    assert any(release in name for name in kept), kept
    text = (
        project.lab["h1"]
        .root(f"cd /var/lib/botdeploy/tbot/evidence; (zcat -f {release}* || cat {release}*)")
        .stdout
    )
    evidence = json.loads(text)
    assert evidence["reader"]["probe"]["handled"]["bot_commands_total"] > 20
    assert 'probe!bot_errors_total{type="KnownError"}' in evidence["names"]


def test_check_tells_what_the_probe_shows(project: Project) -> None:
    """Not asked where no bot runs; then what the judge would take, or what is wrong with it."""

    def probe_on(host: str) -> dict[str, Any]:
        record = project.run("check", "prod").events[-1]
        items = {one["host"]: one["checks"] for one in record["hosts"]}[host]
        return next(item for item in items if item["name"] == "probe")

    assert "does not run here" in probe_on("h1")["message"]
    deploy_unasked(project)
    seen = probe_on("h1")
    assert seen["ok"]
    assert "(bot_commands_total)" in seen["message"]
    deploy_unasked(project, version(project, "v2", "sick"))
    seen = probe_on("h1")
    assert (seen["ok"], seen["message"]) == (False, f"{URL} answered 503")
    assert "botdeploy logs" in seen["mend"]
