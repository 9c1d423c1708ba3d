"""The act ``probe`` on a real host: what it asks, as whom, and what it refuses."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.hosts.acts.actkit import BOT, Actor, Reply, release

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

pytestmark = pytest.mark.lab(reset="module")

SERVER = """\
import http.server, os, sys, threading, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:8000/metrics")
            return self.end_headers()
        if self.path == "/hang":
            time.sleep(60)
        self.send_response({"/down": 503, "/none": 404}.get(self.path, 200))
        self.end_headers()
        self.wfile.write(b"x" * 400_000 if self.path == "/big" else b"jobs_total 7\\n")

    def log_message(self, *_):
        pass

print("READY", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
"""


class Asked:
    """One answer of the act."""

    def __init__(self, reply: Reply) -> None:
        self.fault = reply.fault
        self.record: dict[str, Any] = {} if reply.fault else reply["probe"]

    @property
    def body(self) -> str:
        return base64.b64decode(self.record["body"]).decode()

    @property
    def said(self) -> str:
        return base64.b64decode(self.record["said"]).decode()

    def __getattr__(self, name: str) -> Any:
        return self.record[name]


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    """Give a host with a bot that answers on a port."""
    made = release("R1", code=SERVER)
    actor = Actor(lab["h1"])
    assert "installed" in actor.install()
    assert "state" in actor.enter()
    assert not actor.stage(made).fault
    assert "switched" in actor.switch("r", "R1")
    assert "confirmed" in actor("confirm", actor.token, "r")
    return lab["h1"]


@pytest.fixture
def actor(host: Host) -> Actor:
    return Actor(host)


def ask(actor: Actor, kind: str, wanted: str, limit: int = 5) -> Asked:
    return Asked(actor("probe", kind, limit, stdin=wanted.encode()))


def test_a_url_is_asked_on_the_host(actor: Actor) -> None:
    """Body, status and time come back, with the run of the bot that was asked and its age."""
    answer = ask(actor, "prometheus", "http://127.0.0.1:8000/metrics")
    assert (answer.body, answer.code, answer.status) == ("jobs_total 7\n", 0, 200)
    assert 0 < answer.took_s < 5
    state = actor.state()
    assert answer.invocation == state["invocation"]
    assert 0 < answer.up_s < 600


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [("/down", 0, 503), ("/none", 0, 404), ("/away", 0, 302)],
)
def test_any_status_is_an_answer(actor: Actor, path: str, code: int, status: int) -> None:
    """Errors are told as they are, and nobody follows where the bot sends one."""
    answer = ask(actor, "http", f"http://localhost:8000{path}")
    assert (answer.code, answer.status) == (code, status)


def test_nothing_that_listens_is_no_answer(actor: Actor) -> None:
    """A refused connection has status 0."""
    answer = ask(actor, "http", "http://[::1]:8001/")
    assert (answer.code, answer.status, answer.body) == (7, 0, "")


def test_a_hanging_answer_is_given_up(actor: Actor) -> None:
    """The limit holds."""
    answer = ask(actor, "http", "http://127.0.0.1:8000/hang", limit=1)
    assert (answer.code in (28, 124), answer.status) == (True, 0)
    assert answer.took_s < 4


def test_an_answer_is_bounded(actor: Actor) -> None:
    """One byte more than the limit is sent, so that the reader knows."""
    assert len(ask(actor, "http", "http://127.0.0.1:8000/big").body) == 262_145


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/",
        "http://localhost.example.org/",
        "http://localhost@192.0.2.1/",
        "http://127.0.0.1:80@192.0.2.1/",
        "http://127.0.0.1.example.org/",
        "file:///etc/shadow",
        "http://127.0.0.1/ -o /tmp/x",
        'http://127.0.0.1/"',
        "-K/etc/shadow",
        "http://127.0.0.1/\nhttp://192.0.2.1/",
    ],
)
def test_only_this_hosts_loopback_is_asked(actor: Actor, url: str) -> None:
    """No URL leads elsewhere or becomes an option."""
    assert ask(actor, "http", url).fault == "usage"


def test_a_command_runs_as_the_bots_user(actor: Actor, host: Host) -> None:
    """In the folder of the release, with an environment of its own and no right more."""
    script = (
        "id -un; id -u; pwd -P; printenv; grep NoNewPrivs /proc/self/status;"
        " cat /etc/shadow .botdeploy/environment; ls -l /proc/self/fd"
    )
    answer = ask(actor, "command", script)
    rows = answer.body.splitlines()
    assert rows[:2] == [BOT, host.root(f"id -u {BOT}").stdout.strip()]
    assert rows[2] == f"/opt/{BOT}/releases/R1"
    assert "NoNewPrivs:\t1" in rows
    assert "TOKEN" not in answer.body
    assert answer.said.count("Permission denied") == 2


def test_a_command_of_many_lines_and_odd_characters(actor: Actor) -> None:
    """It reaches the shell as it was written."""
    script = "cat <<'END'\n{\"handled\": 1}\n$HOME `id` 'é'\nEND\nprintf 'no end'"
    assert ask(actor, "command", script).body == "{\"handled\": 1}\n$HOME `id` 'é'\nno end"


def test_how_a_command_ended_is_told(actor: Actor) -> None:
    """Its exit code and its last words come back."""
    answer = ask(actor, "command", "echo half; echo no database >&2; exit 3")
    assert (answer.body, answer.code, answer.status) == ("half\n", 3, 0)
    assert answer.said.strip() == "no database"


def test_a_command_that_hangs_is_ended(actor: Actor, host: Host) -> None:
    """It and what it started are gone after the limit."""
    answer = ask(actor, "command", "sleep 321 & echo begun; sleep 321", limit=1)
    assert (answer.body, answer.code) == ("begun\n", 124)
    assert host.root("pgrep -x sleep -a | grep 321", check=False).stdout == ""


def test_what_a_command_leaves_behind_is_ended(actor: Actor, host: Host) -> None:
    """Nothing stays in its process group, and nobody waits for it."""
    answer = ask(actor, "command", "sleep 322 & echo done")
    assert (answer.body, answer.code) == ("done\n", 0)
    assert host.root("pgrep -x sleep -a | grep 322", check=False).stdout == ""


def test_a_flood_is_cut_off(actor: Actor) -> None:
    """Neither output nor complaints are kept beyond their bounds."""
    answer = ask(actor, "command", "yes; yes >&2")
    assert len(answer.body) == 262_145
    answer = ask(actor, "command", "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 2")
    assert answer.code == 2
    assert len(answer.said) < 2001


def test_other_questions_are_refused(actor: Actor) -> None:
    """A kind that is not known, no question, and a limit out of bounds."""
    assert ask(actor, "sql", "select 1").fault == "usage"
    assert ask(actor, "command", "").fault == "usage"
    assert ask(actor, "command", "true", limit=0).fault == "usage"
    assert ask(actor, "command", "true", limit=61).fault == "usage"


def test_a_host_that_can_ask_no_url_says_so(actor: Actor, host: Host) -> None:
    """Without curl and wget a URL is a fault of its own; commands go on."""
    if host.root("command -v wget", check=False).stdout:
        pytest.skip("the hosts have wget")
    host.root("mv /usr/bin/curl /usr/bin/curl.away")
    try:
        assert ask(actor, "http", "http://127.0.0.1:8000/").fault == "no-client"
        assert ask(actor, "command", "echo yes").body == "yes\n"
    finally:
        host.root("mv /usr/bin/curl.away /usr/bin/curl")
