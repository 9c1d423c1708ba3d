"""What users of a bot write is data: no word of theirs ends a rollout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.level import WORDS, Level

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine


def lines_of(text: str, step_us: int = 3, **fields: str) -> list[LogLine]:
    """Feed a text as one write of one process, a journal entry for each of its lines."""
    assembler = Assembler()
    out: list[LogLine] = []
    for at, one in enumerate(text.split("\n")):
        entry: dict[str, Any] = {"MESSAGE": one, "_PID": "7", "PRIORITY": "6", **fields}
        out += assembler.feed(
            entry | {"__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + step_us * at)}
        )
    return out + assembler.flush()


NO_ERRORS = [
    "<alice> CRITICAL hit! 20 damage",
    "<alice> FATAL: help",
    "<alice> Error: what is that",
    "<ERROR404> hello",
    "[12:00:05] <alice> FATAL ERROR lol",
    "2026-11-27 10:00:00,123 <bob> PANIC: at the disco",
    "[#general] <alice> CRITICAL!",
    "alice#1234: FATAL: you died",
    "@alice CRITICAL",
    "Alert: price of BTC above 100000",
    "ALERT price of BTC above 100000",
    "2026-11-27 10:00:00 Alert: price of BTC above 100000 is no error",
    "Price alert: BTC 100000",
    "BTC 100000 ALERT",
    "Now playing: CRITICAL",
    "Now playing: Panic! At The Disco - Emergency",
    "Now playing: Fatal Error by ERROR404",
    "♪ Now playing: ERROR",
    "Queued 'CRITICAL' by 'FATAL'",
    'Queued "ERROR: the song" for bob',
    "Rolled a 20: CRITICAL HIT!",
    "alice rolled 20 CRITICAL!",
    "> CRITICAL: quoted",
    "» FATAL: quoted",
    '"error: what is that" (bob)',
    "bob said: error: what is that",
    "message from bob: Error: it does not work",
    "Nachricht von <bob>: FATAL: kaputt",
    "alice schrieb: Error: geht nicht",
    "алиса написал: Error: не работает",
    "Error404 joined the server",
    "MrException left",
    "[PANIC! At The Disco] joined",
    "[FATAL ERROR] joined",
    "Playing CRITICAL (3:45)",
    "Song title: FATAL",
    "Emergency broadcast in #general",
    "Panic button pressed by alice",
    "terror: the movie was added",
    "Mirror: synced",
    "0 CRITICAL hits",
    "no FATAL accidents",
    'Received {"level": "fatal", "msg": "x"}',
    "Earthquake severity=critical in Chile",
    "user set topic to level=fatal",
    "INFO message from <alice>: FATAL: help",
    "info: <alice> CRITICAL hit!",
    "[info] alice: CRITICAL hit!",
    "10:00:00 info <alice> FATAL",
    "2026-11-27 10:00:00,123 INFO chat: ERROR: no",
    "2026-11-27 10:00:00 | INFO | chat | CRITICAL: alice",
    "I 2026-11-27 10:00:00,123 chat: CRITICAL hit",
    'time=2026-11-27T10:00:00Z level=info msg="CRITICAL hit"',
    'ts=1 level=info msg=said text="level=fatal"',
    '{"level":"info","msg":"CRITICAL hit","user":"bob"}',
    '{"level":30,"time":1,"msg":"FATAL: lol"}',
    '{"level":"info","msg":"got","payload":{"level":"fatal","severity":"critical"}}',
    '{"event":"level up","user":"bob","level":60}',
    '{"user":"bob","level":50,"class":"mage"}',
    '{"user":"bob","severity":"critical"}',
    '{"priority":1,"task":"water the plants"}',
    '{"kind":"alert","symbol":"BTC","price":100000}',
    '{"type":"emergency","what":"a song"}',
    '{"event":"ban","user":"bob","reason":"Error: spam"}',
    '{"msg":"done","error":"none"}',
    '{"msg":"done","error":null,"last_error":"x"}',
    "last error: None",
    "Last error: none",
    "error: none",
    "errors: none, warnings: 2",
]
ERRORS_AT_WORST = [
    "🎵 CRITICAL by ERROR",
    "alice > FATAL: lol",
    "bob@irc> FATAL: x",
    "alice | FATAL: lol",
    "alice - FATAL: lol",
    "[2026-11-27 10:00:00] alice: CRITICAL: hi",
    "2026-11-27 10:00:00 [general] alice: FATAL: hi",
    "[10:00:00] [alice] CRITICAL: hi",
    "10:00:00 | alice | FATAL: hi",
    "10:00:00 alice CRITICAL hit: 20 damage",
    '{"time": 1, "level": 60, "player": "bob", "msg": "level up"}',
    '{"msg": "level up", "level": 60, "name": "bob"}',
    'level=60 msg="bob levelled up"',
    "alice: CRITICAL hit!",
    "CRITICAL hit! 20 damage",
    "Fatal: the end",
    "panic: at the disco",
    "PANIC: at the disco",
    "Emergency: call 112",
    "[alice] CRITICAL hit!",
    "[ALERT] BTC above 100000",
    "10:00 CRITICAL hit!",
    "10:00:00 alice CRITICAL hit!",
    "12:00:05 [alice] FATAL lol",
    "2026-11-27 10:00:00 ALERT: price of BTC above 100000",
    "alice: FATAL: lol",
    "<CRITICAL> hello",
    '{"msg": "CRITICAL hit", "user": "bob"}',
    '{"msg": "CRITICAL: hit", "user": "bob"}',
    '{"status":"critical","boss":"dragon"}',
    "Rank: CRITICAL",
    "ERROR eval of alice failed: SyntaxError: invalid syntax",
    "ERROR bob sent an invalid token",
    "ERROR chat: No module named 'x', says bob",
    "ERROR bot: reply to 'ModuleNotFoundError: No module named x' is too long",
]
PASTED = """\
Traceback (most recent call last):
  File "/home/bob/x.py", line 3, in <module>
    import discrod
ModuleNotFoundError: No module named 'discrod'"""


@pytest.mark.parametrize("text", NO_ERRORS)
def test_what_is_quoted_is_no_error(text: str) -> None:
    """Chat, titles, prices and names are no errors, whatever words are in them."""
    assert [line.fingerprint for line in lines_of(text)] == [None]


@pytest.mark.parametrize("text", ERRORS_AT_WORST)
def test_what_may_be_quoted_is_an_error_at_worst(text: str) -> None:
    """Where a text looks like a logger's line, it may be an error; it is never fatal."""
    (line,) = lines_of(text)
    assert not line.is_fatal
    assert line.level is not None
    assert line.level <= Level.ERROR


@pytest.mark.parametrize("header", ["2026-11-27 10:00:00,1 INFO bot: ", "INFO:bot:", "[WARNING] "])
def test_a_trace_that_a_user_pasted_is_no_error(header: str) -> None:
    """A message of several lines is one write: the header's level counts for all of it."""
    found = lines_of(f"{header}bob sent: look\n{PASTED}\nhelp please")
    assert not [line for line in found if line.is_error]


def test_a_header_that_a_user_pasted_is_an_error_at_worst() -> None:
    """A line with a lesser header than the one that it came with is not the logger's own."""
    found = lines_of("2026-11-27 10:00:00,123 INFO bot: bob sent: hi\nCRITICAL: pwned\nFATAL:x:y")
    assert not [line for line in found if line.is_fatal]


def test_code_that_a_bot_was_handed_may_be_wrong() -> None:
    """Python calls a file of no name by its kind: what bob typed is no module of the bot's."""
    text = (
        "ERROR bot: eval failed\nTraceback (most recent call last):\n"
        '  File "/opt/bot/current/cogs/ev.py", line 3, in run\n    exec(code)\n'
        '  File "<string>", line 1\n    x =\n       ^\nSyntaxError: invalid syntax'
    )
    (line,) = lines_of(text)
    assert line.is_error
    assert not line.is_fatal


def test_the_trace_of_a_process_that_died_is_its_own() -> None:
    """What an uncaught exception prints at once after an INFO line is what the process died of."""
    assembler = Assembler()
    text = f"INFO bot: starting\n{PASTED}"
    out = []
    for at, one in enumerate(text.split("\n")):
        entry = {"MESSAGE": one, "_PID": "7", "PRIORITY": "6"}
        out += assembler.feed(entry | {"__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + at)})
    out += assembler.feed(
        {
            "MESSAGE": "bot.service: Main process exited, code=exited, status=1/FAILURE",
            "MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15",
            "_PID": "1",
            "EXIT_CODE": "exited",
            "EXIT_STATUS": "1",
            "__REALTIME_TIMESTAMP": "1700000000020000",
        }
    )
    (error,) = [line for line in out + assembler.flush() if line.is_error]
    assert error.is_fatal


WORD = st.sampled_from(sorted(WORDS)).flatmap(lambda w: st.sampled_from([w, w.upper(), w.title()]))
SAID = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "lol ", "hi: ", "[", "a - ", "10:00 ", "> ", "{", "level="]),
    WORD,
    st.sampled_from(["", ":", "!", " | ", "]", " - ", ": ", "/x"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
)
FRONTS = [
    "<alice> {}",
    "[12:00:05] <alice> {}",
    "2026-11-27 10:00:00,123 INFO bot.chat: alice: {}",
    "INFO:bot:alice said {}",
    "[INFO] {}",
    "info: {}",
    "2026-11-27 10:00:00 | INFO     | bot:on:12 - {}",
    "[2026-11-27 10:00:00,123: INFO/MainProcess] {}",
    "[I 261127 10:00:00 web:1786] {}",
    "I 2026-11-27 10:00:00,123 bot: {}",
    "Now playing {}",
    "Now playing: {}",
    "alice joined {}",
]


@given(st.sampled_from(FRONTS), SAID)
def test_no_word_of_a_user_is_fatal(front: str, said: str) -> None:
    """Behind a speaker, a header of INFO or prose no word makes a line fatal."""
    assert not [line for line in lines_of(front.format(said)) if line.is_fatal]


@given(st.sampled_from(FRONTS[2:10]), SAID)
def test_a_header_says_how_bad_its_text_is(front: str, said: str) -> None:
    """Behind a logger's INFO no text is an error."""
    assert not [line for line in lines_of(front.format(said)) if line.is_error]


KEY = st.sampled_from(["level", "severity", "status", "type", "priority", "kind", "lvl", "error"])
VALUE = st.one_of(WORD, st.integers(0, 80), st.none(), st.booleans(), SAID)
NESTED = st.recursive(
    st.dictionaries(KEY, VALUE, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["user", "payload", "event", "data"]), inner),
    max_leaves=4,
)


@given(SAID, NESTED)
def test_a_record_says_how_bad_it_is_by_its_own_level(said: str, data: dict[str, Any]) -> None:
    """What is nested in a record, and its text, changes nothing."""
    record = {"level": "info", "time": "2026-11-27T10:00:00Z", "msg": said, "data": data}
    assert not [line for line in lines_of(json.dumps(record)) if line.is_error]


@given(SAID, st.sampled_from(["msg", "message", "text", "event"]))
def test_the_text_of_a_record_without_a_level_is_an_error_at_worst(said: str, key: str) -> None:
    """No word in a JSON object's text is fatal."""
    record = json.dumps({key: said, "user": "bob"})
    assert not [line for line in lines_of(record) if line.is_fatal]
