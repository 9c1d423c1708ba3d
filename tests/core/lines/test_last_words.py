"""The telling line of a bot that ended, as it or systemd wrote it, by journal entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.last_words import last_words
from botdeploy.core.lines.quote import quote

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

AT_US = 1_795_510_800_000_000
OLD, RUN = "a" * 32, "b" * 32
CRASHED = "98e322203f7a4ed290d09fe03c09fe15"
SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
STARTED = "39f53479d3a045ac8e11786248231fbf"


def lines_of(*said: tuple[float, str, dict[str, Any]]) -> list[LogLine]:
    """Make lines of (second, text, fields)."""
    assembler = Assembler()
    out = []
    for number, (second, text, fields) in enumerate(said):
        out += assembler.feed(
            {
                "__REALTIME_TIMESTAMP": str(AT_US + round(second * 1e6) + number),
                "__CURSOR": f"i={number}",
                "MESSAGE": text,
                "PRIORITY": "6",
                "_PID": "77",
                "_SYSTEMD_INVOCATION_ID": RUN,
                **fields,
            }
        )
    return out + assembler.flush()


def bot(second: float, text: str, run: str = RUN) -> list[tuple[float, str, dict[str, Any]]]:
    """Let the bot write lines."""
    return [(second, one, {"_SYSTEMD_INVOCATION_ID": run}) for one in text.splitlines()]


def systemd(second: float, text: str, message_id: str = "", **fields: str) -> Any:
    """Let systemd write a record of the run."""
    about = {"_PID": "1", "INVOCATION_ID": RUN, "PRIORITY": "5", **fields}
    return (second, text, {**about, **({"MESSAGE_ID": message_id} if message_id else {})})


def crash(second: float, status: int = 1) -> Any:
    """Let systemd tell that the main process ended with a fault."""
    text = f"tbot.service: Main process exited, code=exited, status={status}/FAILURE"
    return systemd(second, text, CRASHED, EXIT_CODE="exited", EXIT_STATUS=str(status))


PYTHON = """\
ERROR:root:cannot load the replies
Traceback (most recent call last):
  File "/opt/tbot/current/main.py", line 9, in load
    table["guild"]
KeyError: 'guild'"""
NODE = """\
/opt/tbot/current/main.js:3
throw new TypeError("no such guild");
^

TypeError: no such guild
    at answer (/opt/tbot/current/main.js:3:7)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)

Node.js v18.19.0"""
GO = """\
panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.answer(0x3)
\t/src/main.go:12 +0x1d"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: no such guild
\tat org.example.Bot.answer(Bot.java:12)
\tat org.example.Bot.main(Bot.java:5)"""


@pytest.mark.parametrize("priority", ["3", "6"], ids=["stderr", "stdout"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PYTHON, "cannot load the replies: KeyError: 'guild' (in main.py, load)”"),
        (NODE, "TypeError: no such guild"),
        (GO, "index out of range [3] with length 3"),
        (JAVA, "IllegalStateException: no such guild"),
    ],
    ids=["python", "node", "go", "java"],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_the_exception_is_quoted_whatever_the_language(
    text: str, told: str, priority: str, *, is_late: bool
) -> None:
    """On stdout or stderr, before systemd's record or a moment behind it."""
    trace = [(at, one, {**more, "PRIORITY": priority}) for at, one, more in bot(9, text)]
    end = crash(9.2 if not is_late else 8.9)
    said = [*bot(1, "READY"), *trace, end] if not is_late else [*bot(1, "READY"), end, *trace]
    words = last_words(lines_of(*said), AT_US, OLD, must_end=True)
    assert words.told.startswith("it said “")
    assert told in words.told
    assert words.error is not None
    assert words.error.fingerprint is not None


def test_of_a_program_that_is_not_there_its_name_is_told() -> None:
    """By systemd, or by the shell or env that looked for it."""
    gone = "tbot.service: Failed to locate executable nodejs: No such file or directory"
    failed = systemd(1.1, "tbot.service: Failed with result 'exit-code'.", FAILED, PRIORITY="4")
    spawn = systemd(1, gone, SPAWN_FAILED, PRIORITY="3", _PID="78")
    assert last_words(lines_of(spawn, crash(1.05, 203), failed), AT_US).told == (
        f"systemd said {quote(gone)}"
    )
    env = "/usr/bin/env: 'nodejs': No such file or directory"
    words = last_words(lines_of(*bot(1, env), crash(1.05, 127)), AT_US)
    assert "'nodejs': No such file or directory”" in words.told


def test_of_a_step_before_the_start_its_status_and_words_are_told() -> None:
    """Not the main process's, which never was."""
    control = "tbot.service: Control process exited, code=exited, status=3/NOTIMPLEMENTED"
    ended = systemd(1.1, control, CRASHED, EXIT_CODE="exited", EXIT_STATUS="3")
    words = last_words(lines_of(*bot(1, "the schema is of version 7"), ended), AT_US)
    assert (
        words.told
        == f"systemd said {quote(control)}; its last line was {quote('the schema is of version 7')}"
    )


def test_only_the_life_that_ended_is_meant_and_only_its_end() -> None:
    """Not the old one's last error, nor the next one's, nor one that was survived."""
    old = [(0.5, "ERROR the old bot's", {"_SYSTEMD_INVOCATION_ID": OLD})]
    survived = bot(2, "ERROR the guild is away")
    said = [*old, *bot(1, "READY"), *survived, *bot(59, "handled"), crash(60, 3)]
    later = bot(61, "ERROR of the next life", "c" * 32)
    words = last_words(lines_of(*said, *later), AT_US, OLD, must_end=True)
    assert "the old bot's" not in words.told
    assert "away" not in words.told
    assert "next life" not in words.told


def test_the_life_that_began_is_meant_where_the_old_one_is_not_known() -> None:
    """The old one is still being stopped when the time begins that is looked at."""
    stopping = systemd(0.1, "Stopping tbot.service", "de5b426a63be47a7b6ac3eaac82e2f6f")
    ended = systemd(0.3, "tbot.service: Deactivated.", "7ad2d189f7e94e70a38c781354912448")
    old = [(at, text, {**more, "INVOCATION_ID": OLD}) for at, text, more in (stopping, ended)]
    started = systemd(0.5, "Started tbot.service", STARTED)
    said = [*old, started, *bot(1, "READY"), *bot(9, PYTHON), crash(9.2)]
    words = last_words(lines_of(*said), AT_US, must_end=True)
    assert "KeyError: 'guild'" in words.told


def test_of_a_bot_that_lives_nothing_is_told() -> None:
    """A verdict of silence has no last words."""
    said = [*bot(1, "READY"), *bot(2, "ERROR once")]
    assert last_words(lines_of(*said), AT_US, OLD, must_end=True).told == ""
