"""How the judge's sentences quote what a bot printed."""

from __future__ import annotations

import pytest

from botdeploy.core.lines.quote import quote

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
