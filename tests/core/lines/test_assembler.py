"""Journal entries become log lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LineRules, LogLine
from botdeploy.core.lines.systemd_record import SystemKind, SystemRecord
from botdeploy.errors import UserError

T0 = 1_700_000_000_000_000


def entries(
    *messages: Any, pid: str = "77", start_us: int = T0, step_us: int = 10, **fields: Any
) -> list[dict[str, Any]]:
    return [
        {
            "__REALTIME_TIMESTAMP": str(start_us + at * step_us),
            "__CURSOR": f"c{start_us + at * step_us}",
            "_PID": pid,
            "PRIORITY": "6",
            "MESSAGE": message,
            **fields,
        }
        for at, message in enumerate(messages)
    ]


def lines_of(*messages: Any, rules: LineRules | None = None, **fields: Any) -> list[LogLine]:
    assembler = Assembler(rules or LineRules())
    out = [line for entry in entries(*messages, **fields) for line in assembler.feed(entry)]
    return out + assembler.flush()


def test_a_plain_line_keeps_its_text_time_and_level() -> None:
    """A line without an error is passed on at once, with the level that it states."""
    assembler = Assembler()
    (line,) = assembler.feed(entries("INFO bot.cmd: /ping by 42 ok")[0])
    assert (line.at_us, line.kind, line.level) == (T0, LineKind.LOG, Level.INFO)
    assert line.message == "INFO bot.cmd: /ping by 42 ok"
    assert line.fingerprint is None


def test_a_python_traceback_with_its_error_line_is_one_line() -> None:
    """logging.exception writes an error line and a traceback: together they are one error."""
    (line,) = lines_of(
        "2026-11-24 10:00:00,123 ERROR    bot: command pay failed",
        "Traceback (most recent call last):",
        '  File "/opt/bot/venv/lib/python3.11/site-packages/discord/core.py", line 85, in wrapped',
        "    ret = await coro(*args, **kwargs)",
        '  File "/opt/bot/releases/r1/economy.py", line 31, in pay',
        "    balance = account['balance']",
        "KeyError: 'balance'",
    )
    assert line.kind is LineKind.TRACEBACK
    assert line.level is Level.ERROR
    assert line.fingerprint == "Traceback!KeyError economy.py:pay 'balance'"
    assert line.at_us == T0
    assert line.cursor == f"c{T0 + 60}"


def test_a_restart_that_systemd_schedules_is_a_record() -> None:
    """Restarts are known by their message id, and carry their number."""
    (line,) = lines_of(
        "bot.service: Scheduled restart job, restart counter is at 3.",
        pid="1",
        MESSAGE_ID="5eb03494b6584870a536b337290809b3",
        N_RESTARTS="3",
    )
    assert line.kind is LineKind.SYSTEMD
    assert line.system is not None
    assert (line.system.kind, line.system.count) == (SystemKind.RESTART, 3)


# -- waiting --------------------------------------------------------------------------------------


def test_an_error_line_waits_for_a_trace_and_not_longer_than_half_a_second() -> None:
    """What looks complete is given out soon, by the host's clock."""
    assembler = Assembler()
    assert assembler.feed(entries("ERROR bot: no route")[0]) == []
    assert assembler.flush(T0 + 400_000) == []
    (line,) = assembler.flush(T0 + 500_000)
    assert line.fingerprint == "bot: no route"
    assert assembler.flush() == []


def test_a_trace_that_is_not_at_its_end_is_waited_for_two_seconds() -> None:
    """A process that dies while it writes its trace still gives an error."""
    assembler = Assembler()
    for entry in entries("Traceback (most recent call last):", '  File "/a/b.py", line 3, in f'):
        assert assembler.feed(entry) == []
    assert assembler.flush(T0 + 1_900_000) == []
    (line,) = assembler.flush(T0 + 2_100_000)
    assert line.fingerprint == "Traceback!Exception b.py:f"


def test_what_comes_later_pushes_out_what_has_waited() -> None:
    """Nobody needs to call flush while entries come."""
    assembler = Assembler()
    assembler.feed(entries("ERROR bot: no route")[0])
    found = assembler.feed(entries("INFO bot: fine", pid="9", start_us=T0 + 700_000)[0])
    assert [line.message for line in found] == ["ERROR bot: no route", "INFO bot: fine"]


def test_a_trace_long_after_an_error_line_is_another_error() -> None:
    """A logger writes line and trace at once; a trace a second later is its own."""
    found = lines_of(
        "ERROR discord.client: Attempting a reconnect in 5.2s",
        "Traceback (most recent call last):",
        "KeyError: 'x'",
        step_us=900_000,
    )
    assert len([line for line in found if line.is_error]) == 2


def test_children_do_not_cut_each_others_traces() -> None:
    """Lines of different processes are joined apart, however they are interleaved."""
    trace = [
        "Traceback (most recent call last):",
        '  File "/a/b.py", line 3, in {0}',
        "KeyError: '{1}'",
    ]
    one = entries(*[text.format("f", "x") for text in trace], pid="5", step_us=20)
    other = entries(
        *[text.format("g", "y") for text in trace], pid="6", start_us=T0 + 10, step_us=20
    )
    assembler = Assembler()
    mixed = sorted([*one, *other], key=lambda entry: int(entry["__REALTIME_TIMESTAMP"]))
    found = [line for entry in mixed for line in assembler.feed(entry)] + assembler.flush()
    assert {line.fingerprint for line in found} == {
        "Traceback!KeyError b.py:f 'x'",
        "Traceback!KeyError b.py:g 'y'",
    }


def test_a_thousand_processes_do_not_fill_memory() -> None:
    """Of processes that left something open, the longest silent ones are given out."""
    assembler = Assembler()
    given = 0
    for number in range(1000):
        entry = entries("ERROR bot: no", pid=str(number), start_us=T0 + number)[0]
        given += len(assembler.feed(entry))
    assert given == 1000 - 256
    assert len(assembler.flush()) == 256


def test_an_endless_trace_keeps_its_head_and_its_end() -> None:
    """However long a trace is, its text is bounded and its last line names the error."""
    frames = [f'  File "/a/b.py", line {n}, in f{n % 7}' for n in range(20_000)]
    (line,) = lines_of("Traceback (most recent call last):", *frames, "RecursionError: too deep")
    assert len(line.message) <= 4096
    assert line.message.startswith("Traceback")
    assert line.message.endswith("RecursionError: too deep")
    assert line.fingerprint is not None
    assert line.fingerprint.startswith("Traceback!RecursionError b.py:f")


def test_going_on_elsewhere_gives_the_same_lines() -> None:
    """What waits can be saved as JSON after any entry and loaded by another Assembler."""
    rows = entries(
        "INFO a",
        "ERROR bot: failed",
        "Traceback (most recent call last):",
        '  File "/a/b.py", line 3, in f',
        "KeyError: 'x'",
        "INFO b",
        step_us=30,
    )
    uncut = Assembler()
    whole = [line for entry in rows for line in uncut.feed(entry)] + uncut.flush()
    for cut in range(len(rows)):
        before, after = Assembler(), Assembler()
        found = [line for entry in rows[:cut] for line in before.feed(entry)]
        after.load(json.loads(json.dumps(before.save())))
        found += [line for entry in rows[cut:] for line in after.feed(entry)]
        assert found + after.flush() == whole


@given(
    st.lists(
        st.sampled_from(
            [
                "INFO fine",
                "ERROR bot: failed",
                "Traceback (most recent call last):",
                '  File "/a/b.py", line 3, in f',
                "KeyError: 'x'",
                "",
                "    at f (/a/b.js:3:1)",
                "During handling of the above exception, another exception occurred:",
                "panic: boom",
                "goroutine 1 [running]:",
                "{",
                '{"level":"error","msg":"x"}',
                "level=error msg=x",
                "text",
            ]
        ),
        max_size=30,
    )
)
def test_no_text_is_lost_or_told_twice(texts: list[str]) -> None:
    """Every line of text is in exactly one log line, in its order; only empty ones may go."""
    found = lines_of(*texts)
    plain = [text for text in texts if text and not text.startswith(('{"', "level="))]
    told = [text for line in found for text in line.message.split("\n") if text and text != "x"]
    assert told == plain


# -- journald's forms -----------------------------------------------------------------------------


def test_bytes_that_are_not_text_are_replaced() -> None:
    """Journald gives non-UTF-8 messages as arrays of numbers."""
    (line,) = lines_of([*b"INFO caf\xe9 ok"])
    assert line.message == "INFO caf\ufffd ok"


def test_colours_and_control_characters_go() -> None:
    """ANSI codes, bells and carriage returns are no part of the text."""
    (line,) = lines_of([*b"\x1b[32mINFO\x1b[0m\tdone\x07\r"])
    assert (line.message, line.level) == ("INFO\tdone", Level.INFO)
    (link,) = lines_of("\x1b]8;;http://x\x07INFO\x1b]8;;\x07 link")
    assert link.message == "INFO link"


def test_a_message_that_journalctl_left_out_is_no_error() -> None:
    """Fields over 4096 bytes are null without --all: the line counts, without its text."""
    assert lines_of(None) == []
    (line,) = lines_of(None, "INFO after")
    assert line.message == "INFO after"


def test_a_field_that_occurs_twice_is_joined() -> None:
    """Journald gives repeated fields as a list."""
    (line,) = lines_of(["INFO one", "two"])
    assert line.message == "INFO one\ntwo"


def test_a_line_that_journald_split_is_whole_again() -> None:
    """Lines over 48 KiB come in pieces marked _LINE_BREAK=line-max."""
    text = '{"level":"error","msg":"too long","data":"' + "x" * 100_000 + '"}'
    rows = entries(text[:49_152], text[49_152:98_304], text[98_304:])
    for row in rows[:2]:
        row["_LINE_BREAK"] = "line-max"
    assembler = Assembler()
    found = [line for row in rows for line in assembler.feed(row)] + assembler.flush()
    assert [(line.fingerprint, line.at_us) for line in found] == [("too long", T0)]


def test_a_trace_in_one_entry_is_one_error() -> None:
    """Handlers that write to the journal themselves send all lines as one message."""
    (line,) = lines_of(
        "pay failed\nTraceback (most recent call last):\n"
        '  File "/a/bank.py", line 3, in pay\n'
        "KeyError: 'x'",
        PRIORITY="3",
    )
    assert line.fingerprint == "Traceback!KeyError bank.py:pay 'x'"
    assert line.kind is LineKind.TRACEBACK


@pytest.mark.parametrize(
    ("priority", "level"),
    [("0", Level.CRITICAL), ("2", Level.CRITICAL), ("3", Level.ERROR), ("4", Level.WARNING),
     ("5", Level.NOTICE), ("6", Level.INFO), ("7", Level.DEBUG), (None, None), ("x", None)],
)  # fmt: skip
def test_a_priority_counts_where_the_text_says_nothing(
    priority: str | None, level: Level | None
) -> None:
    """``<3>`` prefixes arrive as PRIORITY; standard output is always 6."""
    (line,) = lines_of("something happened", PRIORITY=priority)
    assert line.level is level
    assert line.is_error == (level is not None and level >= Level.ERROR)


def test_a_level_in_the_text_beats_the_priority() -> None:
    """A unit that logs standard error with priority 3 does not make errors of its INFO lines."""
    (line,) = lines_of("INFO bot: fine", PRIORITY="3")
    assert (line.level, line.is_error) == (Level.INFO, False)


# -- runs and systemd ------------------------------------------------------------------------------


def systemd(
    text: str, message_id: str, at_us: int = T0, run: str | None = None, **fields: Any
) -> dict[str, Any]:
    entry = entries(text, pid="1", start_us=at_us, MESSAGE_ID=message_id, **fields)[0]
    return entry | ({"INVOCATION_ID": run} if run else {})


STARTING, STARTED = "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf"
STOPPING, STOPPED = "de5b426a63be47a7b6ac3eaac82e2f6f", "9d1aaa27d60140bd96365438aad20286"
EXITED, FAILED = "98e322203f7a4ed290d09fe03c09fe15", "d9b373ed55a64feb8242e02dbe79a49c"


def test_lines_without_a_run_take_that_of_their_place() -> None:
    """A new process begins at PID 1's record; an id on the line itself is always right."""
    assembler = Assembler()
    rows = [
        systemd("Started bot", STARTED, T0, "aaa"),
        *entries("INFO first", start_us=T0 + 1),
        systemd("Starting bot", STARTING, T0 + 2, "bbb"),
        *entries("INFO late line of the old one", start_us=T0 + 3, _SYSTEMD_INVOCATION_ID="aaa"),
        *entries("INFO second", start_us=T0 + 4),
    ]
    found = [line for row in rows for line in assembler.feed(row)]
    assert [line.invocation for line in found] == ["aaa", "aaa", "bbb", "aaa", "bbb"]


def test_a_main_process_that_ends_unasked_has_crashed() -> None:
    """Exit code, status and signal are told."""
    (line,) = lines_of(
        "bot.service: Main process exited, code=exited, status=1/FAILURE",
        pid="1", MESSAGE_ID=EXITED, EXIT_CODE="exited", EXIT_STATUS="1",
    )  # fmt: skip
    assert line.system == SystemRecord(SystemKind.CRASHED, "exited", 1)
    (line,) = lines_of(
        "bot.service: Main process exited, code=killed, status=9/KILL", pid="1", MESSAGE_ID=EXITED
    )
    assert line.system == SystemRecord(SystemKind.CRASHED, "killed", 9)


def test_a_process_that_was_told_to_stop_has_not_crashed() -> None:
    """Many bots exit with 1 or by signal on SIGTERM: that is no crash of the release."""
    assembler = Assembler()
    rows = [
        systemd("Stopping bot...", STOPPING),
        systemd("bot.service: Main process exited, code=exited, status=1/FAILURE", EXITED, T0 + 1),
        systemd(
            "bot.service: Failed with result 'exit-code'.", FAILED, T0 + 2, UNIT_RESULT="exit-code"
        ),
        systemd("Stopped bot.", STOPPED, T0 + 3),
        systemd("Started bot.", STARTED, T0 + 4, "bbb"),
        systemd("bot.service: Main process exited, code=dumped, status=6/ABRT", EXITED, T0 + 5),
    ]
    kinds = [line.system.kind for row in rows for line in assembler.feed(row) if line.system]
    assert kinds == [
        SystemKind.STOPPING,
        SystemKind.EXITED,
        SystemKind.STOP_FAILED,
        SystemKind.STOPPED,
        SystemKind.STARTED,
        SystemKind.COREDUMP,
    ]


def test_a_helper_process_that_fails_is_not_the_bots_crash() -> None:
    """ExecStartPre and its like have the same message id as the main process."""
    (line,) = lines_of(
        "bot.service: Control process exited, code=exited, status=1/FAILURE",
        pid="1", MESSAGE_ID=EXITED, EXIT_CODE="exited", EXIT_STATUS="1",
    )  # fmt: skip
    assert line.system == SystemRecord(SystemKind.EXITED, "exited", 1)


@pytest.mark.parametrize(
    ("text", "message_id", "kind"),
    [
        ("bot.service: Start request repeated too quickly.", "", SystemKind.START_LIMIT),
        ("bot.service: Watchdog timeout (limit 30s)!", "", SystemKind.WATCHDOG),
        ("bot.service: start operation timed out. Terminating.", "", SystemKind.TIMEOUT),
        ("bot.service: State 'stop-sigterm' timed out. Killing.", "", SystemKind.TIMEOUT),
        ("Consumed 1.2s CPU.", "ae8f7b866b0347b9af31fe1c80b127c0", SystemKind.OTHER),
        ("killed by the OOM killer.", "fe6faa94e7774663a0da52717891d8ef", SystemKind.OOM),
        ("systemd-oomd killed it.", "d989611b15e44c9dbf31e3c81256e4ed", SystemKind.OOM),
        ("Failed to start bot.", "be02cf6855d2428ba40df7e9d022f03d", SystemKind.START_FAILED),
        ("Deactivated successfully.", "7ad2d189f7e94e70a38c781354912448", SystemKind.DEACTIVATED),
    ],
)
def test_systemds_other_records(text: str, message_id: str, kind: SystemKind) -> None:
    """Each record is known by its message id or, where it has none, by its text."""
    (line,) = lines_of(text, pid="1", MESSAGE_ID=message_id)
    assert line.kind is LineKind.SYSTEMD
    assert line.system == SystemRecord(kind)


def test_dropped_lines_are_counted() -> None:
    """Journald says how many lines it left out; that is no line of the bot's."""
    (line,) = lines_of(
        "Suppressed 52500 messages from bot.service", pid="300",
        MESSAGE_ID="a596d6fe7bfa4994828e72309e95d61e", N_DROPPED="52500",
    )  # fmt: skip
    assert line.kind is LineKind.DROPPED
    assert line.system == SystemRecord(SystemKind.DROPPED, count=52_500)


def test_a_failed_exec_is_a_record_of_another_process() -> None:
    """The child that could not execute is not PID 1."""
    (line,) = lines_of("text", pid="4711", MESSAGE_ID="641257651c1b4ec9a8624d7a40a9e1e7")
    assert line.system is not None
    assert line.system.kind is SystemKind.SPAWN_FAILED


CORE = "Process 77 (worker) of user 990 dumped core.\n\nStack trace of thread 77:\n#0 0x7f n/a"
CORE_ID = "fc2e22bc6ee647b6b90729ab34a250b1"


def test_a_core_dump_is_an_error_like_any_other() -> None:
    """systemd-coredump tells of children too: it is no record of the unit, and may be ignored."""
    (line,) = lines_of(CORE, pid="4711", PRIORITY="2", MESSAGE_ID=CORE_ID)
    assert (line.kind, line.system, line.is_fatal) == (LineKind.LOG, None, False)
    assert line.fingerprint is not None
    ignored = Assembler(LineRules(ignore=("dumped core",)))
    entry = {"MESSAGE": CORE, "_PID": "4711", "PRIORITY": "2", "MESSAGE_ID": CORE_ID}
    (line,) = [*ignored.feed(entry), *ignored.flush()]
    assert line.fingerprint is None


def test_the_main_process_dumping_core_is_systemds_to_tell() -> None:
    """PID 1 says how the main process ended."""
    said = "bot.service: Main process exited, code=dumped, status=11/SEGV"
    (line,) = lines_of(
        said, pid="1", MESSAGE_ID="98e322203f7a4ed290d09fe03c09fe15",
        EXIT_CODE="dumped", EXIT_STATUS="11",
    )  # fmt: skip
    assert line.system is not None
    assert line.system.kind is SystemKind.COREDUMP


def test_a_bot_cannot_pretend_to_be_systemd() -> None:
    """A message id on the bot's own line means nothing."""
    (line,) = lines_of("Scheduled restart", MESSAGE_ID="5eb03494b6584870a536b337290809b3")
    assert (line.kind, line.system) == (LineKind.LOG, None)


# -- rules ----------------------------------------------------------------------------------------


def test_ignored_errors_are_no_errors() -> None:
    """What the user ignores keeps its level and has no class."""
    rules = LineRules(ignore=("Attempting a reconnect",))
    first, second = lines_of("ERROR Attempting a reconnect in 3s", "ERROR real", rules=rules)
    assert (first.level, first.is_error, second.is_error) == (Level.ERROR, False, True)


def test_fatal_lines_are_errors_whatever_their_level() -> None:
    """What the user calls fatal is, even at level INFO."""
    (line,) = lines_of("INFO bot: licence expired", rules=LineRules(fatal=("licence expired",)))
    assert line.is_fatal
    assert line.fingerprint == "bot: licence expired"


def test_errors_that_are_the_same_to_the_user_share_a_class() -> None:
    """An expression is a class; its groups tell classes apart."""
    rules = LineRules(same=(r"upstream .* (5\d\d)",))
    found = lines_of(
        "ERROR upstream a gave 502",
        "ERROR upstream b said 502",
        "ERROR upstream c: 503",
        rules=rules,
    )
    names = [line.fingerprint for line in found]
    assert names == [rf"same!{rules.same[0]} {code}" for code in ("502", "502", "503")]


def test_latencies_come_from_the_users_pattern() -> None:
    """A group named ms, s or us gives a number or a duration."""
    rules = LineRules(latency=r"rt=(?P<ms>\S+)")
    found = lines_of("INFO rt=12.5 x", "INFO rt=1.5s", "INFO took 3 ms", rules=rules)
    assert [line.latency_ms for line in found] == [12.5, 1500.0, None]
    assert [line.is_handled for line in found] == [True, True, False]


def test_units_of_work_come_from_the_users_pattern() -> None:
    """What errors are counted against is the user's to name."""
    found = lines_of("INFO cmd ping", "INFO took 3 ms", rules=LineRules(handled="cmd "))
    assert [line.is_handled for line in found] == [True, False]


@pytest.mark.parametrize("rules", [LineRules(ignore=("(",)), LineRules(latency="rt=(.*)")])
def test_a_rule_that_cannot_work_names_itself(rules: LineRules) -> None:
    """A broken expression is the user's error, told with its key."""
    with pytest.raises(UserError, match=r"rollout\.judge\."):
        Assembler(rules)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INFO Shard ID 0 heartbeat acknowledged in 352 ms", 352.0),
        ("INFO:aiogram.event:Update id=1 is handled. Duration 12 ms by bot id=9", 12.0),
        ("INFO handled /ping in 0.25s", 250.0),
        ("INFO request took 3 seconds", 3000.0),
        ("INFO done latency_ms=7", 7.0),
        ("INFO GET /x status: 200 elapsed=1.5ms", 1.5),
        ("INFO retrying in 5 s", None),
        ("INFO next sync in 30 seconds", None),
        ("INFO Attempting a reconnect in 12.3s", None),
        ("INFO took the lead", None),
        ("INFO started at 10:00:03", None),
        ('{"level":"info","msg":"x","duration_ms":12.5}', 12.5),
        ('{"level":"info","msg":"x","elapsed":0.5}', 500.0),
        ('{"level":"info","msg":"x","duration":"1m2.5s"}', 62_500.0),
        ('{"level":30,"msg":"request completed","responseTime":8}', 8.0),
        ('{"level":"info","msg":"x","latency":"12µs"}', 0.012),
        ('{"level":"info","msg":"x","duration":true}', None),
        ('{"level":"info","msg":"x","duration":-1}', None),
        ("time=x level=INFO msg=handled elapsed=12.5ms", 12.5),
    ],
)
def test_latencies_are_found_where_loggers_put_them(text: str, expected: float | None) -> None:
    """What is over took its time; what will come takes none."""
    (line,) = lines_of(text)
    assert line.latency_ms == (None if expected is None else pytest.approx(expected))


# -- fatal and secret -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "CRITICAL bot: cannot go on",
        "ERROR bot: No module named 'discord'",
        "discord.errors.LoginFailure: Improper token has been passed.",
        "Error: Cannot find module 'discord.js'",
        "ERROR An invalid token was provided",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "panic: boom\n\ngoroutine 1 [running]:\nmain.main()",
        '{"level":60,"msg":"dying"}',
    ],
)
def test_what_a_person_calls_fatal(text: str) -> None:
    """Import errors, refused tokens, panics and the level CRITICAL are fatal."""
    (line,) = lines_of(text)
    assert line.is_error
    assert line.is_fatal


def test_ordinary_errors_are_not_fatal() -> None:
    """An error in one command is no reason to go back at once."""
    (line,) = lines_of("ERROR bot: pay failed: KeyError: 'balance'")
    assert not line.is_fatal


def test_credentials_never_get_into_a_line() -> None:
    """Message, fingerprint and saved state hold stars in a credential's place."""
    token = "MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GabcDE." + "x" * 38
    assembler = Assembler()
    assembler.feed(entries(f"ERROR login with {token} failed")[0])
    assert token not in json.dumps(assembler.save())
    (line,) = assembler.flush()
    assert token not in line.message
    assert token not in str(line.fingerprint)
    assert "********" in line.message


# -- whatever comes -------------------------------------------------------------------------------


def test_a_split_line_whose_end_never_comes_is_given_out() -> None:
    """A process that dies within a long line leaves a line, and no memory is kept for it."""
    assembler = Assembler()
    assert assembler.feed(entries("ERROR half", _LINE_BREAK="line-max")[0]) == []
    assert assembler.flush(T0 + 1_000_000) == []
    (line,) = assembler.flush(T0 + 2_000_000)
    assert line.message == "ERROR half"
    assert assembler.flush() == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "__REALTIME_TIMESTAMP": st.sampled_from(
                    ["1700000000000000", "1700000000000500", "x", ""]
                ),
                "__CURSOR": st.text(max_size=5),
                "_PID": st.sampled_from(["1", "5", "6", ""]),
                "PRIORITY": st.sampled_from(["3", "6", "9", None, ["6", "6"]]),
                "MESSAGE_ID": st.sampled_from([STARTED, EXITED, FAILED, "", None, "x"]),
                "N_RESTARTS": st.sampled_from(["1", "x", None]),
                "_LINE_BREAK": st.sampled_from(["eof", "line-max", "nul", None]),
                "INVOCATION_ID": st.sampled_from(["a" * 32, None]),
                "MESSAGE": st.one_of(
                    st.none(),
                    st.text(max_size=80),
                    st.binary(max_size=80).map(list),
                    st.lists(st.text(max_size=9), max_size=3),
                    st.sampled_from(
                        ['{"a":1}', "{}", '{"level":[]}', '{"err":{"stack":5}}', '{"exc_info":[1]}']
                    ),
                ),
            },
        ),
        max_size=25,
    )
)
def test_no_entry_breaks_it(rows: list[dict[str, Any]]) -> None:
    """A damaged or strange entry gives a line or none, never an exception."""
    assembler = Assembler()
    found = [line for row in rows for line in assembler.feed(row)] + assembler.flush()
    assert len(found) <= 40 * len(rows)
    assert all(len(line.message) <= 4096 for line in found)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 50_000 + "}",
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        "ERROR " + "a:" * 40_000,
        "ERROR " + "-" * 80_000,
        "ERROR " + '"' * 80_000,
        "Error: " + "(" * 80_000,
        "ERROR " + "x.y/" * 20_000,
        " at " * 20_000,
        "a=" * 40_000,
        "token=" * 10_000,
    ],
)
def test_monstrous_lines_are_no_trouble(text: str) -> None:
    """A line that is made to be slow to match is read like any other."""
    (line,) = lines_of(text)
    assert len(line.message) <= 4096
