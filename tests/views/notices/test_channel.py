"""A channel delivers what it can, forgets nothing on the way, and never raises or hangs."""

from __future__ import annotations

import html
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import UserError
from botdeploy.views.notices.channel import Channel, Message, Severity, Timing, _tokens
from tests.views.servers import hanging, hook, mailbox, nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.programs

QUICK = Timing(gather_s=0.0, first_pause_s=0.001, longest_pause_s=0.002, last_s=30.0)
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


def joined(items: Sequence[str]) -> Message:
    return Message("title", "\n".join(items), Severity.WARNING)


def channel(url: str | Callable[[], str], timing: Timing = QUICK) -> Channel[str]:
    return Channel(
        "rollout.notify[0]", (lambda: url) if isinstance(url, str) else url, joined, timing
    )


def end(one: Channel[Any]) -> str | None:
    one.finish()
    return one.failure(time.monotonic() + PATIENCE_S)


def test_an_item_arrives_with_title_text_and_mood() -> None:
    """A webhook gets what was put in."""
    with hook() as server:
        one = channel(server.url())
        one.put("first")
        assert end(one) is None
    (taken,) = server.taken
    assert (taken["title"], taken["message"], taken["type"]) == ("title", "first", "warning")


def test_items_that_come_together_are_one_message() -> None:
    """A burst of items is gathered; none is sent twice."""
    with hook() as server:
        one = channel(server.url(), Timing(gather_s=PATIENCE_S))
        for number in range(200):
            one.put(f"item {number}")
        assert end(one) is None
    assert [one["message"] for one in server.taken] == ["\n".join(f"item {n}" for n in range(200))]


def test_a_server_that_stumbles_gets_it_the_second_time() -> None:
    """An error 500 is tried again, and then there is no failure to tell."""
    with hook(500, 200) as server:
        one = channel(server.url())
        one.put("first")
        assert end(one) is None
    assert server.bodies == "first"
    assert server.asked == 2


def test_what_failed_goes_with_what_comes_next() -> None:
    """After an outage that outlasts the tries, the next message brings what was missed."""
    timing = Timing(gather_s=0.0, attempts=2, first_pause_s=0.001, longest_pause_s=0.001)
    with hook(500, 500, 200) as server:
        one = channel(server.url(), timing)
        one.put("first")
        server.wait_for(2)
        one.put("second")
        assert end(one) is None
    assert server.bodies == "first\nsecond"


def test_a_server_that_is_down_is_a_failure_that_is_told() -> None:
    """The failure names the key, the service and the reason."""
    one = channel(nobody())
    one.put("first")
    assert str(end(one)).startswith("rollout.notify[0] (json): A Connection error occurred")


def test_a_server_that_refuses_is_told_with_its_answer() -> None:
    """The tries are bounded; the failure says what the server said."""
    with hook(403) as server:
        one = channel(server.url())
        one.put("first")
        assert "error=403" in str(end(one))
    assert server.asked == QUICK.attempts


def test_a_server_that_hangs_holds_nobody_up() -> None:
    """Putting returns at once, and the end waits only as long as it was told to."""
    with hanging() as url:
        one = channel(url)
        for _ in range(1000):
            one.put("item")
        one.finish()
        assert str(one.failure(time.monotonic() + 0.01)).endswith(": it did not answer in time")


def test_a_program_ends_although_a_server_hangs() -> None:
    """What hangs in Apprise's hands does not keep the process alive."""
    code = """
import socket, time
from botdeploy.views.notices.channel import Channel, Message, Timing
with socket.create_server(("127.0.0.1", 0)) as server:
    url = f"json://127.0.0.1:{server.getsockname()[1]}/?rto=100000"
    one = Channel("n", lambda: url, lambda items: Message("t", "b"), Timing(gather_s=0))
    one.put("item")
    held = server.accept()
    one.finish()
    print(one.failure(time.monotonic()), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
    )
    assert "did not answer" in done.stdout
    assert done.stderr == ""


def test_a_url_that_cannot_be_read_is_a_failure_without_noise() -> None:
    """A missing reference is told by its key; items that come later are dropped."""

    def missing() -> str:
        raise UserError("secret URL (env:TEAM): the environment variable TEAM is not set")

    one = channel(missing)
    one.put("first")
    failure = end(one)
    one.put("second")
    assert failure == (
        "rollout.notify[0]: secret URL (env:TEAM): the environment variable TEAM is not set"
    )


@pytest.mark.parametrize(
    "url", ["nonsense://hunter2-hunter2/", "slack://hunter2-hunter2", "json://", "hunter2-hunter2"]
)
def test_a_url_that_apprise_does_not_know_is_never_shown(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the failure nor the terminal has any of it."""
    one = channel(url)
    one.put("first")
    failure = end(one)
    assert failure == "rollout.notify[0]: it is not one URL that Apprise knows"
    assert "hunter2" not in "".join(capfd.readouterr())


def test_tokens_of_a_url_are_never_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """User, password, path and query of a URL stay out of failures and off the terminal."""
    port = nobody().rpartition(":")[2].rstrip("/")
    one = channel(f"json://some-user:pass-word@127.0.0.1:{port}/tok-en-in-path?+x=tok-en-in-query")
    one.put("first")
    shown = str(end(one)) + "".join(capfd.readouterr())
    assert "Connection error" in shown
    for token in ("some-user", "pass-word", "tok-en-in-path", "tok-en-in-query"):
        assert token not in shown


def test_a_compose_that_raises_is_a_failure() -> None:
    """A bug in the words of a notice costs the notice."""

    def broken(_items: Sequence[str]) -> Message:
        raise ZeroDivisionError

    with hook() as server:
        one: Channel[str] = Channel("n", server.url, broken, QUICK)
        one.put("first")
        assert end(one) == "n (json): it could not be sent: ZeroDivisionError"


def test_nothing_put_in_is_no_thread_and_no_failure() -> None:
    """A channel that has nothing to say reads no URL."""

    def never() -> str:
        raise AssertionError

    assert end(channel(never)) is None


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_mail_arrives_with_markup_made_harmless(kind: str) -> None:
    """A mail has subject and text; what looks like HTML in a log line is shown, not obeyed."""
    with mailbox() as server:
        one = channel(server.url() + ("&format=html" if kind == "html" else ""))
        one.put("ring canary failed: <img src=x> & <b>bold</b>")
        assert end(one) is None
    (mail,) = server.mails
    assert server.recipients == ["c@d.test"]
    assert mail["Subject"] == "title"
    body = mail.get_body((kind,))
    assert body is not None
    shown = body.get_content()
    if kind == "html":
        assert "<img" not in shown
        assert "<b>" not in shown
        shown = html.unescape(shown).replace("\xa0", " ")
    assert "ring canary failed: <img src=x> & <b>bold</b>" in shown


def test_a_url_is_not_told_in_any_spelling() -> None:
    """What hides tokens knows them as they stand in the URL and as they are meant."""
    mask = Mask(_tokens("slack://T0KENA/B0KENB/a%2Fb%2Fcdef/#general"))
    assert "cdef" not in mask("sent to a/b/cdef")
    assert "T0KENA" not in mask("sent to T0KENA")
