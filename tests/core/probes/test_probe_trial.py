"""A probe's trial, told to a person who runs ``check``."""

from __future__ import annotations

import pytest

from botdeploy.core.model.bot import Probe, ProbeKind
from botdeploy.core.probes.probe import Answer
from botdeploy.core.probes.probe_trial import tried, untold

URL = "http://127.0.0.1:9099/metrics"
PAGE = b"""# TYPE bot_commands_total counter
bot_commands_total 1204
# TYPE bot_errors_total counter
bot_errors_total{type="timeout"} 3
# TYPE bot_command_seconds histogram
bot_command_seconds_bucket{le="+Inf"} 10
bot_command_seconds_sum 0.5
bot_command_seconds_count 10
"""


def test_it_tells_what_the_judge_would_take() -> None:
    """Work, errors and latencies are told with their numbers and the names that they come from."""
    told = tried(Probe(ProbeKind.PROMETHEUS, URL), Answer(1, PAGE, status=200))
    assert told["ok"]
    assert told["message"] == (
        "saw work 1,204 (bot_commands_total);"
        ' errors 3 (bot_errors_total{type="timeout"});'
        " latencies of 10, 50 ms on the mean (bot_command_seconds)"
    )


def test_it_tells_a_page_without_numbers_from_one_that_counts_nothing() -> None:
    """Gauges alone are metrics, but nothing that a judge can count: that needs mending."""
    told = tried(
        Probe(ProbeKind.PROMETHEUS, URL),
        Answer(1, b"# TYPE bot_guilds gauge\nbot_guilds 12\n", status=200),
    )
    assert not told["ok"]
    assert "nothing in it is work" in str(told["message"])
    assert told["mend"]


@pytest.mark.parametrize(
    ("kind", "answer", "message", "mend"),
    [
        (ProbeKind.PROMETHEUS, Answer(1, code=7), f"{URL} did not answer", "listen there"),
        (ProbeKind.HTTP, Answer(1, b"x", status=503), f"{URL} answered 503", "botdeploy logs"),
        (ProbeKind.PROMETHEUS, Answer(1, b"x", status=404), f"{URL} answered 404", "path right"),
        (
            ProbeKind.COMMAND,
            Answer(1, code=127, said="noise\nsh: 1: bot-stats: not found\n"),
            "the command ended with 127: sh: 1: bot-stats: not found",
            "release's folder",
        ),
        (ProbeKind.COMMAND, Answer(1, code=124), "the command took too long", "10 s"),
    ],
)
def test_a_bad_answer_is_told_with_how_to_mend_it(
    kind: ProbeKind, answer: Answer, message: str, mend: str
) -> None:
    """Each way to fail names what was asked, what came of it, and what to do."""
    told = tried(Probe(kind, URL), answer)
    assert (told["ok"], told["message"]) == (False, message)
    assert mend in str(told["mend"])


def test_credentials_in_last_words_are_masked() -> None:
    """What a command complains about is not repeated with its token."""
    token = "ghp_" + "a1B2" * 9
    told = tried(
        Probe(ProbeKind.COMMAND, "stats"), Answer(1, code=1, said=f"refused: token {token}")
    )
    assert token not in str(told["message"])
    assert "refused" in str(told["message"])


def test_a_host_that_can_ask_no_url_is_told_what_to_install() -> None:
    """The fault of the act leads to its mend."""
    told = untold("no-client", "probe: neither curl nor wget is on this host")
    assert not told["ok"]
    assert "install curl" in str(told["mend"])
