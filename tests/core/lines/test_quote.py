"""How the judge's sentences quote what a bot printed."""

from __future__ import annotations

import pytest

from botdeploy.core.evidence.incidents import MAX_SAMPLE
from botdeploy.core.lines.external_errors import is_external
from botdeploy.core.lines.quote import quote, sample_of

TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/echobot/releases/r3/echobot/bot.py", line 38, in handle
    reply = replies.answer(job.user, job.text)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/echobot/releases/r3/echobot/replies.py", line 41, in _language
    return self._languages[user]
           ~~~~~~~~~~~~~~~^^^^^^
KeyError: 'ada'
"""

GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/opt/echobot/current/bot.py", line 5, in <module>
  |     asyncio.run(main())
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/opt/echobot/current/replies.py", line 3, in answer
    |     raise KeyError(user)
    | KeyError: 'ada'
    +------------------------------------"""
CAUSED = """\
Exception in thread "main" java.lang.IllegalStateException: no token
\tat com.example.Bot.main(Bot.java:12)
Caused by: java.io.FileNotFoundException: token.txt
\t... 1 more"""


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("disk full", "“disk full”"),
        ("two\n  lines", "“two lines”"),
        ("bell \x07", "“bell \N{REPLACEMENT CHARACTER}”"),
        ("x" * 200, "“" + "x" * 159 + "…”"),
        (TRACEBACK, "“KeyError: 'ada' (in replies.py, _language)”"),
        (
            "Traceback (most recent call last):\n  File",
            "“Traceback (most recent call last): File”",
        ),
        (GROUP, "“ExceptionGroup[KeyError]: 'ada' (in replies.py, answer)”"),
        (
            f"ERROR:root:it failed\n{GROUP}",
            "“root:it failed: ExceptionGroup[KeyError]: 'ada' (in replies.py, answer)”",
        ),
        (CAUSED, "“IllegalStateException<FileNotFoundException: no token (in Bot.java, main)”"),
        (TRACEBACK + "two lines of message", "“KeyError: 'ada' (in replies.py, _language)”"),
    ],
    ids=[
        "line",
        "lines",
        "control",
        "long",
        "traceback",
        "cut traceback",
        "group",
        "group of a line",
        "java",
        "long message",
    ],
)
def test_quote_shows_what_tells_most(text: str, quoted: str) -> None:
    """A quote is one line, short, and of a traceback the error and its place."""
    assert quote(text) == quoted


HEADER = "2026-11-27 10:00:00,123 ERROR    [bot.cogs.economy.commands] Ignoring exception in pay"
PAID = """
Traceback (most recent call last):
  File "/opt/echobot/venv/lib/python3.11/site-packages/discord/ext/commands/core.py", line 235, in w
    ret = await coro(*args, **kwargs)
  File "/opt/echobot/releases/r3/echobot/economy.py", line 41, in pay
    return account["balance"]
KeyError: 'balance'"""
JAVA = (
    "10:00:00.123 [main] ERROR bot.Main - order failed\n"
    f"java.lang.IllegalStateException: {'no account ' * 30}\n"
    "\tat bot.Economy.pay(Economy.java:31)\n"
)
GO = """2026-11-27T10:00:00.123Z\tERROR\tbot/main.go:40\tpay failed
main.pay
\t/src/bot/economy.go:31
main.main
\t/src/bot/main.go:12"""


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (HEADER + PAID, "Ignoring exception in pay: KeyError: 'balance' (in economy.py, pay)”"),
        (JAVA, "… (in Economy.java, pay)”"),
        (GO, "pay failed (in economy.go, pay)”"),
    ],
    ids=["python", "java", "go"],
)
def test_a_quote_names_the_exception_and_its_place_whatever_stands_before(
    text: str, end: str
) -> None:
    """Of a line with its trace, and of what is kept of it on a host."""
    for said in (text, sample_of(text, MAX_SAMPLE)):
        assert quote(said).endswith(end)
        assert len(quote(said)) <= 162
        assert len(said) <= MAX_SAMPLE or said is text


def test_what_is_kept_of_a_trace_tells_whether_its_cause_is_external() -> None:
    """The class has no numbers; what is kept of the exception's text has them."""
    text = HEADER + PAID.replace("KeyError: 'balance'", "bot.ApiError: status 502 for 7")
    kept = sample_of(text, MAX_SAMPLE)
    name = "Traceback!ApiError economy.py:pay status # for #"
    assert is_external(name, text)
    assert is_external(name, kept)
    assert not is_external(name, kept.replace("502", "404"))
