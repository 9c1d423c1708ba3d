"""The question of a probe: what the host's program makes of its clients, and what we make of it."""

from __future__ import annotations

import base64
import subprocess
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from botdeploy.core.model.bot import Probe, ProbeKind
from botdeploy.core.probes.probe import OWN_URL
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts import host_program
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.acts.probe import ProbeActs
from botdeploy.hosts.acts.records import Reply

# What GNU wget 1.21 said to a server of ours, on standard error.
WGET_GOOD = """\
  HTTP/1.0 200 OK
  Server: BaseHTTP/0.6 Python/3.11.7
  Date: Tue, 24 Nov 2026 23:29:40 GMT
2026-11-24 23:29:40 URL:http://127.0.0.1:18765/ [6] -> "-" [1]
"""
WGET_DOWN = """\
  HTTP/1.0 503 Service Unavailable
  Server: BaseHTTP/0.6 Python/3.11.7
http://127.0.0.1:18765/down:
2026-11-24 23:29:40 ERROR 503: Service Unavailable.
"""


def piece(script: str, *arguments: str) -> str:
    """Run some shell with the program's functions known."""
    text = host_program.PROGRAM.decode()
    ground = text[: text.index("# main: hand the arguments")]
    with NamedTemporaryFile() as file:  # longer than one argument may be
        file.write((ground + script).encode())
        file.flush()
        done = subprocess.run(
            ["sh", "-c", f". {file.name}", "echobot", "n1", "act", *arguments],
            capture_output=True,
            check=False,
        )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("reader", "told", "code", "result"),
    [
        ("curl", "200 0.004321", 0, "0 200 0.004321"),
        ("curl", "000 0.000210", 7, "7 0 0.000210"),
        ("curl", "some warning\n503 1.500000", 0, "0 503 1.500000"),
        ("curl", "", 143, "143 0 9.99"),
        ("curl", "200 0.1 x", 0, "0 0 9.99"),
        ("wget", WGET_GOOD, 0, "0 200 9.99"),
        ("wget", WGET_DOWN, 8, "0 503 9.99"),
        ("wget", "failed: Connection refused.\n", 4, "4 0 9.99"),
    ],
)
def test_what_the_clients_say_is_understood(reader: str, told: str, code: int, result: str) -> None:
    """Status and time come from curl's last words, the status from the head that wget prints."""
    script = (
        f'told="$3${{NL}}{code}" code={code} status=0 took=9.99; read_{reader};'
        ' printf "%s %s %s" "$code" "$status" "$took"'
    )
    assert piece(script, told) == result


URLS = {
    "http://127.0.0.1:9000/metrics": True,
    "https://localhost/health?deep=1&x=%20": True,
    "http://[::1]:80": True,
    "http://127.0.0.1": True,
    "http://127.255.3.2/": True,
    "http://10.0.0.1/": False,
    "http://[::2]/": False,
    "http://localhost@10.0.0.1/": False,
    "http://localhost:1@10.0.0.1/": False,
    "http://127.0.0.1.evil/": False,
    "ftp://localhost/": False,
    "http://localhost/ x": False,
    "http://localhost/'": False,
    "http://localhost/\\": False,
    "HTTP://localhost/": False,
}


@pytest.mark.parametrize(("url", "is_own"), URLS.items())
def test_host_and_controller_agree_on_urls(url: str, is_own: bool) -> None:  # noqa: FBT001
    """What the inventory accepts the host accepts, and nothing else."""
    assert (piece('is_own_url "$3" && printf yes', url) == "yes") is is_own
    assert bool(OWN_URL.fullmatch(url)) is is_own


class FakeCaller(Caller):
    """Calls acts of a host that answers with one record."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.host = "w1"
        self.record = record
        self.asked: tuple[Any, ...] = ()

    def call(self, act: str, *arguments: object, **more: Any) -> Reply:
        self.asked = (act, *arguments, more["stdin"])
        return Reply((self.record,))


RECORD = {
    "body": base64.b64encode(b"jobs_total 7\n").decode(),
    "said": base64.b64encode(b"200 0.004").decode(),
    "code": 0,
    "status": 200,
    "took_s": 0.004,
    "at_us": 1_800_000_000_000_000,
    "invocation": "abc",
    "up_s": 12.5,
}


def test_a_question_brings_an_answer() -> None:
    """What is asked goes over standard input: it is in no process list, and may have many lines."""
    caller = FakeCaller({"probe": RECORD})
    answer = ProbeActs(caller, "").ask(Probe(ProbeKind.COMMAND, "a\nb"))
    assert caller.asked == ("probe", "command", 10, b"a\nb")
    assert (answer.body, answer.took_ms, answer.up_s) == (b"jobs_total 7\n", 4.0, 12.5)


@pytest.mark.parametrize("damage", [{"body": "%%"}, {"at_us": "x"}, {"up_s": None}])
def test_a_damaged_answer_is_none(damage: dict[str, Any]) -> None:
    """It is not known what the bot said, so it is no failure of the bot's."""
    with pytest.raises(OutcomeUnknown):
        ProbeActs(FakeCaller({"probe": {**RECORD, **damage}}), "").ask(
            Probe(ProbeKind.HTTP, "http://localhost/")
        )
