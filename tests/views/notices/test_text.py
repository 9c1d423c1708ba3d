"""A notice says what happened, to which release, where, why, and what to type next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.phrases import few
from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import ExitCode
from botdeploy.views.notices.channel import Severity
from botdeploy.views.notices.text import MOST_BODY, compose, harmless

RELEASE = "20261122T210500Z-3f9c2ab1"


def event(kind: Kind, *, ring: str | None = None, host: str | None = None, **data: Any) -> Event:
    at = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
    return Event(kind, at, "prod", "20261122T210500Z-0001", RELEASE, ring, host, data)


RINGS = [{"name": "canary", "hosts": ["w1"]}, {"name": "fleet", "hosts": ["w2", "w3"]}]


def test_a_start_names_who_where_and_how_to_stop_it() -> None:
    """The first message of a rollout."""
    message = compose(
        "echobot",
        [event(Kind.ROLLOUT_STARTED, rings=RINGS, by="ann@laptop", message="new replies")],
    )
    assert message.title == f"echobot prod: {RELEASE} begins"
    assert message.body == (
        f"release {RELEASE}\n"
        "begins, by ann@laptop: canary (1) → fleet (2) — new replies; "
        "to stop it: botdeploy hold prod"
    )
    assert message.severity is Severity.INFO


def test_a_rollout_that_was_begun_before_goes_on() -> None:
    """The same command after an interruption does not say that it begins."""
    rings = [{**RINGS[0], "begun": True, "passed": True}, RINGS[1]]
    message = compose("echobot", [event(Kind.ROLLOUT_STARTED, rings=rings)])
    assert message.title == f"echobot prod: {RELEASE} goes on"


def test_a_pass_and_its_promotion_are_one_message() -> None:
    """Verdict, reasons and hosts; the severity is good."""
    message = compose(
        "echobot",
        [
            event(Kind.VERDICT, ring="canary", outcome="pass", reasons=[]),
            event(Kind.PROMOTED, ring="canary", hosts=["w1"]),
        ],
    )
    assert message.title == "echobot prod: ring canary passed"
    assert message.body.splitlines()[1:] == [
        "ring canary passed: no problems were found",
        "ring canary passed on w1",
    ]
    assert message.severity is Severity.SUCCESS


def test_hosts_that_went_back_alike_are_one_line() -> None:
    """A hundred hosts do not make a hundred lines."""
    message = compose(
        "echobot",
        [
            event(Kind.REVERTED, host=f"w{n}", by="controller", to="R1", seconds=n, why=f"w{n}")
            for n in range(100)
        ],
    )
    assert message.body.splitlines()[1:] == [
        "w0, w1, w2, w3, w4, w5, w6, w7 and 92 more: back on R1, reverted by controller"
    ]
    assert message.severity is Severity.FAILURE


def test_a_host_that_went_back_by_itself_says_why() -> None:
    """Nobody else would."""
    message = compose(
        "echobot",
        [event(Kind.REVERTED, host="w1", by="host", to="R1", seconds=1.0, why="not ready in 30 s")],
    )
    assert message.body.endswith("w1: back on R1, reverted by the host itself: not ready in 30 s")


def test_a_failure_is_loud_and_leads_to_the_report() -> None:
    """Verdict, return and outcome in one message: the outcome gives the title."""
    message = compose(
        "echobot",
        [
            event(Kind.VERDICT, ring="canary", host="w1", outcome="fail", reasons=["new error"]),
            event(Kind.REVERTED, host="w1", by="controller", to="R1", seconds=1.0, why="x"),
            event(Kind.OUTCOME, code=1, summary="it failed: new error. w1: runs R1"),
        ],
    )
    assert message.title == "echobot prod: failed and reverted"
    assert "w1: ring canary failed: new error" in message.body
    assert message.body.endswith("w1: runs R1; next: botdeploy report prod")
    assert message.severity is Severity.FAILURE


def test_a_gate_asks_for_an_approval() -> None:
    """The title says which ring, the text what to type."""
    message = compose(
        "echobot",
        [
            event(
                Kind.OUTCOME,
                ring="beta",
                code=0,
                summary="ring beta needs an approval; next: botdeploy approve prod",
                waits="gate",
            )
        ],
    )
    assert message.title == "echobot prod: ring beta needs an approval"
    assert message.body.endswith("next: botdeploy approve prod")
    assert message.body.count("next:") == 1
    assert message.severity is Severity.WARNING


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_way_to_end_has_words(code: ExitCode) -> None:
    """No exit code is without a title, and trouble always says what to do next."""
    message = compose("echobot", [event(Kind.OUTCOME, code=int(code), summary="so it is")])
    assert message.title.startswith("echobot prod: ")
    assert "so it is" in message.body
    assert ("next: " in message.body) == (code not in (ExitCode.DONE, ExitCode.USAGE))


def test_an_outcome_that_is_the_first_of_many_still_ends_the_body() -> None:
    """Of a message that is too long the middle is left out: the end says what to do."""
    events = [event(Kind.HOST_FAILED, host=f"w{n}", error=f"{n} " + "x" * 400) for n in range(50)]
    message = compose("echobot", [*events, event(Kind.OUTCOME, code=6, summary="away")])
    assert len(message.body) <= MOST_BODY + 100
    assert message.body.endswith("away; next: botdeploy status prod")
    assert "more lines" in message.body
    assert message.body.startswith(f"release {RELEASE}\nw0: failed")


def test_secrets_are_masked() -> None:
    """What the mask knows stands nowhere in a message."""
    message = compose(
        "echobot",
        [event(Kind.VERDICT, ring="canary", outcome="fail", reasons=["login with hunter2 failed"])],
        Mask(["hunter2"]),
    )
    assert "hunter2" not in message.title + message.body
    assert "login with ******** failed" in message.body


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone come", "@\u200beveryone come"),
        ("<@123> and <@&456>", "<\u200b@\u200b123> and <\u200b@\u200b&456>"),
        ("<!channel>", "<\u200b!channel>"),
        ("by ann@laptop", "by ann@laptop"),
        ("a < b", "a < b"),
        ("\x1b[31mred\x07", " [31mred "),
        ("\u202etxt.exe", " txt.exe"),
    ],
)
def test_log_lines_ring_nobodys_phone(text: str, shown: str) -> None:
    """Mentions and control characters of a log line lose their power; addresses stay."""
    assert harmless(text) == shown


def test_a_few_hosts_are_all_named() -> None:
    """Only a crowd is counted."""
    assert few(["a", "b"]) == "a, b"
    assert few([str(n) for n in range(9)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"


TEXTS = st.text(max_size=3000)
EVENTS = st.one_of(
    st.builds(lambda why: event(Kind.HOST_FAILED, host="w1", error=why), TEXTS),
    st.builds(lambda why: event(Kind.VERDICT, ring="canary", outcome="fail", reasons=[why]), TEXTS),
    st.builds(
        lambda why: event(Kind.REVERTED, host="w1", by="host", to=None, seconds=0.0, why=why), TEXTS
    ),
    st.builds(
        lambda code, why: event(Kind.OUTCOME, code=int(code), summary=why),
        st.sampled_from(list(ExitCode)),
        TEXTS,
    ),
)


@settings(deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=30))
def test_any_events_make_a_message_that_services_take(events: list[Event]) -> None:
    """A message has a title of one line, a body that is not too long, and no mention."""
    message = compose("echobot", events)
    assert message.title
    assert "\n" not in message.title
    assert len(message.title) <= 200
    assert len(message.body) <= MOST_BODY + 100
    assert "@everyone" not in message.body
