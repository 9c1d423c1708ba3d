"""Journal entries become log lines."""

from __future__ import annotations

from typing import Any

from botdeploy.core.logline import Assembler, Level, LineKind, LineRules, LogLine, SystemKind

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
