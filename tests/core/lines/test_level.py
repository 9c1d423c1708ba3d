"""What a line of text says of how bad it is."""

from __future__ import annotations

import pytest

from botdeploy.core.lines.complaint import looks_bad
from botdeploy.core.lines.header import level_of_text, read_header
from botdeploy.core.lines.level import (
    Level,
    level_of_number,
    level_of_priority,
    level_of_word,
)

STATED = {
    Level.DEBUG: [
        "DEBUG:asyncio:Using selector",
        "[DEBUG] Sending ERROR report",
        "dbug: x",
        "D/Tag: x",
    ],
    Level.INFO: [
        "[INFO]  bolt-app running",
        "INFO:     Started server process [1234]",
        "[2026-11-24 22:00:00 +0000] [7] [INFO] Starting gunicorn",
        "22:00:00.123 [main] INFO  net.dv8tion.jda.JDA - Login Successful!",
        "info: Bot.Worker[0]",
        "INFO loaded cogs.error_handler",
        "INFO Error: none",
        "10:05AM INF starting",
        "level=info msg=x",
        "<6>hello",
    ],
    Level.WARNING: [
        "npm WARN deprecated",
        "warning: unused variable",
        "WARN[0000] something",
        "/opt/bot/x.py:3: DeprecationWarning: datetime.utcnow() is deprecated",
        "(node:1234) [DEP0018] DeprecationWarning: x",
    ],
    Level.ERROR: [
        "2026-11-24T22:00:00.000Z [error] [Bot] something",
        "[Nest] 1234  - 11/24/2026, 10:00:00 PM   ERROR [BotService] Could not send",
        "2026-11-24 22:00:00 - root - ERROR - boom",
        "E1124 22:01:16.123456    1234 x.go:1] bad",
        "production.ERROR: x",
        "SEVERE: x",
        "fail: Bot.Worker[0]",
        "22:00:00 error something",
        "ERROR: 0 rows were written",
        "=ERROR REPORT====",
        "panic: x",
    ],
    Level.CRITICAL: [
        "[7] [CRITICAL] WORKER TIMEOUT (pid:12)",
        "fatal: not a git repository",
        "10:05AM FTL no token",
        "EMERG: x",
    ],
}
UNSTATED = [
    "LOG LEVEL: ERROR",
    "log level set to ERROR",
    "Set logging level to CRITICAL",
    "Logging at level WARNING",
    "LOG_LEVEL=ERROR",
    "logging level is now 'CRITICAL'",
    "Ready! Logged in as EchoBot#1234 (ID: 123)",
    "Information is power",
    "GET /ERROR HTTP/1.1",
    "ERROR_CHANNEL=123 loaded",
    "0 ERROR lines",
    "no ERROR found",
    "errors: 0",
    "ERRORS: 3",
    "error rate: 0.0",
    "error_count=0",
    "an info about you",
    "x" * 80 + " ERROR beyond the eightieth character",
]
BAD = [
    "Error: connect ECONNREFUSED 127.0.0.1:6379",
    "TypeError [ERR_INVALID_ARG_TYPE]: x",
    "Error 409: Conflict",
    "discord.errors.NotFound: 404 Not Found",
    "Unhandled exception in internal background task 'loop'.",
    "Ignoring exception in on_message",
    "Exception ignored in: <function x>",
    "Failed to fetch user 17",
    "❌ Failed to load cog music",
    "Could not connect to redis",
    "Task exception was never retrieved",
    "http: panic serving 1.2.3.4:55: boom",
    "unhandledRejection at Promise",
]
FINE = [
    "Registered error handler",
    "error handler ready",
    "completed without error",
    "No error while syncing",
    "There were no exceptions",
    "stats: ok=5 errors=3",
    "Retrying after failure (2/5)",
    'User message: "error: what is that"',
    "found 0 failed jobs",
    "Task failed successfully",
    "canary is up",
]


@pytest.mark.parametrize(
    ("level", "text"), [(level, one) for level, all_ in STATED.items() for one in all_]
)
def test_a_stated_level_is_found(level: Level, text: str) -> None:
    """A level word in a header's place is the line's level."""
    assert level_of_text(text) is level


@pytest.mark.parametrize("text", UNSTATED)
def test_a_word_that_is_no_level_is_not_taken_for_one(text: str) -> None:
    """Denials, counts, names, paths and what stands far behind state no level."""
    assert level_of_text(text) is None


@pytest.mark.parametrize("text", BAD)
def test_what_reads_like_an_error_looks_bad(text: str) -> None:
    """A line without a level that a person would call an error is one."""
    assert level_of_text(text) in {None, Level.ERROR}
    assert looks_bad(text)


@pytest.mark.parametrize("text", FINE)
def test_what_only_speaks_of_errors_looks_fine(text: str) -> None:
    """Handlers, counts, denials and quotations are no errors."""
    assert not looks_bad(text)


def test_numbers_and_priorities() -> None:
    """Pino's and bunyan's steps, syslog's priorities, slog's offsets."""
    assert [level_of_number(n) for n in (10, 20, 30, 40, 50, 60)] == [
        Level.TRACE,
        Level.DEBUG,
        Level.INFO,
        Level.WARNING,
        Level.ERROR,
        Level.CRITICAL,
    ]
    assert [level_of_number(n) for n in (3, 6)] == [Level.ERROR, Level.INFO]
    assert level_of_priority("4") is Level.WARNING
    assert level_of_priority("77") is None
    assert level_of_word("ERROR+2") is Level.ERROR
    assert level_of_word("nonsense") is None


@pytest.mark.parametrize(
    "text",
    [
        "FEHLR: kein Platz",
        "fehlr: kein Platz",
        "[FEHLR] kein Platz",
        "2026-11-27 10:00:00 FEHLR kein Platz",
        "2026-11-27 10:00:00 [main] FEHLR kein Platz",
        "!! kein Platz",
        "[!!] kein Platz",
        "bot | FEHLR | kein Platz",
        "level=fehlr msg=x",
    ],
)
def test_a_word_that_the_user_declared_is_a_level(text: str) -> None:
    """It counts where a logger's own words count, and without being declared it does not."""
    declared = {"fehlr": Level.CRITICAL, "!!": Level.CRITICAL}
    assert read_header(text, declared).level is Level.CRITICAL
    assert read_header(text).level is None
    assert read_header(f"alice said {text}", declared).level is None
