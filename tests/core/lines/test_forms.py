"""What bots really write: recorded from runtimes and loggers, or imitated after them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from botdeploy.core.lines.assembler import Assembler

if TYPE_CHECKING:
    from botdeploy.core.lines.line import LogLine

DATA = Path(__file__).parents[2] / "data" / "journal"
FORMS: list[dict[str, Any]] = yaml.safe_load((DATA / "forms.yaml").read_text(encoding="utf-8"))

# Errors of each recorded output, in order; what is fatal is marked.
RECORDED: dict[str, list[tuple[str, bool]]] = {
    "java_jul": [
        ("Traceback!IllegalStateException<NullPointerException Main.java:b order # failed", False),
        ("plain #", False),
    ],
    "java_uncaught": [
        ("Traceback!IllegalStateException<NullPointerException Main.java:b order # failed", True),
    ],
    "node_agg": [("Traceback!AggregateError t.js All promises were rejected", False)],
    "node_bunyan": [
        ("Traceback!Error t.js:Bot.pay pay failed for #", False),
        ("bot: x", True),
    ],
    "node_code": [
        ("Traceback!Error net:TCPConnectWrap.afterConnect connect ECONNREFUSED #", False)
    ],
    "node_console": [
        ("Traceback!Error<TypeError t.js:Bot.pay pay failed for #", False),
        ("Traceback!Error<TypeError t.js:Bot.pay pay failed for #", False),
        ("Error sending: pay failed for #", False),
    ],
    "node_module": [("Traceback!Error t.js Cannot find module 'nosuch'", True)],
    "node_pino": [
        ("Traceback!Error<TypeError t.js:Bot.pay pay failed for #", False),
        ("Traceback!Error<TypeError t.js:Bot.pay pay failed for #", False),
        ("plain #", False),
        ("dying", True),
    ],
    "node_reject": [("Traceback!TypeError t.js bad thing #", True)],
    "node_uncaught": [
        (
            "Traceback!TypeError t.js:inner Cannot read properties of undefined (reading 'name')",
            True,
        ),
    ],
    "node_winston": [
        ("Traceback!Error t.js:Bot.pay pay failed for #", False),
        ("simple err #", False),
    ],
    "python_chained": [
        ("Traceback!AppError<KeyError bank.py:pay payment failed for user #", False)
    ],
    "python_context": [("Traceback!ZeroDivisionError bank.py:clean division by zero", False)],
    "python_default": [
        ("Traceback!KeyError bank.py:balance 'zed'", False),
        ("root:plain #", False),
    ],
    "python_discord": [("Traceback!KeyError bank.py:balance 'dc'", False)],
    "python_fatalpy": [("Traceback!Fatal gen.py:<module> Segmentation fault", True)],
    "python_group": [("Traceback!ExceptionGroup[KeyError+ValueError] bank.py:balance", False)],
    "python_import": [
        ("Traceback!ModuleNotFoundError gen.py:<module> No module named 'nosuchmodule'", True),
    ],
    "python_logging": [("Traceback!KeyError bank.py:balance 'zed'", False)],
    "python_loguru": [
        ("Traceback!KeyError bank.py:balance 'lg'", False),
        ("__main__:<module>:# - no trace #", False),
    ],
    "python_loguru_json": [
        ("Traceback!KeyError bank.py:balance 'lg'", False),
        ("__main__: no trace #", False),
    ],
    "python_multiline": [("Traceback!ValueError gen.py:<module> first line", False)],
    "python_note": [("Traceback!KeyError bank.py:balance 'q'", False)],
    "python_pyjson": [("Traceback!KeyError bank.py:balance 'pj'", False)],
    "python_recursion": [
        ("Traceback!RecursionError gen.py:f maximum recursion depth exceeded", False)
    ],
    "python_rich": [
        ("Traceback!KeyError bank.py:balance 'ri'", False),
        ("rich plain # gen.py", False),
    ],
    "python_single": [("Traceback!KeyError bank.py:balance 'bob'", False)],
    "python_structlog_console": [
        ("Traceback!KeyError bank.py:balance 'sl'", False),
        ("upstream status=#", False),
    ],
    "python_structlog_dict": [
        ("Traceback!AppError<KeyError bank.py:pay payment failed for user sl", False),
    ],
    "python_structlog_json": [
        ("Traceback!KeyError bank.py:balance 'sl'", False),
        ("upstream", False),
    ],
    "python_syntax": [("Traceback!SyntaxError fun.py invalid syntax", True)],
    "python_task": [("Traceback!KeyError bank.py:balance 't'", False)],
    "python_taskgroup": [("Traceback!ExceptionGroup[KeyError] bank.py:balance", False)],
    "python_thread": [("Traceback!KeyError bank.py:balance 'th'", False)],
    "ruby_log": [("Traceback!ArgumentError r.rb:inner bad arg #", False), ("plain #", False)],
    "ruby_uncaught": [("Traceback!ArgumentError r.rb:inner bad arg #", True)],
    "rust_bt": [
        ("Traceback!panic m.rs index out of bounds: the len is # but the index is #", True)
    ],
    "rust_index": [
        ("Traceback!panic m.rs index out of bounds: the len is # but the index is #", True),
    ],
    "rust_unwrap": [
        ('Traceback!panic m.rs called `Result::unwrap()` on an `Err` value: "no"', True),
    ],
}


def assembled(text: str, *, blanks: bool = True, noise: bool = False) -> list[LogLine]:
    """Feed a text as journald would store it, one entry a line."""
    assembler = Assembler()
    out: list[LogLine] = []
    for at, line in enumerate(text.split("\n")):
        if not line and not blanks:
            continue
        entry: dict[str, Any] = {
            "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + 3 * at),
            "__CURSOR": f"c{at}",
            "_PID": "5",
            "PRIORITY": "6",
            "MESSAGE": line,
        }
        if "\x1b" in line:
            entry["MESSAGE"] = list(line.encode())
        out += assembler.feed(entry)
        if noise:
            out += assembler.feed(entry | {"_PID": "6", "MESSAGE": f"INFO child: beat {at}"})
    return out + assembler.flush()


@pytest.mark.parametrize("form", FORMS, ids=[form["name"].replace(" ", "-") for form in FORMS])
def test_a_form_becomes_what_a_person_would_make_of_it(form: dict[str, Any]) -> None:
    """Level, class and fatality of each form are those that its reader would name."""
    found = [
        [line.level.name if line.level else None, line.fingerprint, *["fatal"] * line.is_fatal]
        for line in assembled(form["text"].rstrip("\n"))
    ]
    assert found == form["expect"]


@pytest.mark.parametrize("name", sorted(RECORDED))
@pytest.mark.parametrize("blanks", [True, False], ids=["blanks", "no-blanks"])
def test_recorded_output_gives_its_errors_and_no_others(name: str, *, blanks: bool) -> None:
    """Each recorded output holds just these errors; journald drops empty lines, so both ways."""
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    found = assembled(text, blanks=blanks)
    assert [(line.fingerprint, line.is_fatal) for line in found if line.is_error] == RECORDED[name]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_another_process_between_the_lines_changes_nothing(name: str) -> None:
    """Entries are joined by process: children that write in between do not cut a trace."""
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    found = [line for line in assembled(text, noise=True) if "child: beat" not in line.message]
    assert [(line.fingerprint, line.is_fatal) for line in found if line.is_error] == RECORDED[name]


def test_every_recorded_output_is_tested() -> None:
    """A file that nobody looks at is no test."""
    assert {path.stem for path in DATA.glob("*.txt")} == {*RECORDED, "node_rejectplain"}


def test_a_rejection_without_an_error_is_still_fatal() -> None:
    """Node ends on an unhandled rejection of a plain value too, and says so in its own words."""
    (line,) = assembled((DATA / "node_rejectplain.txt").read_text(encoding="utf-8"))
    assert line.is_fatal
    assert line.fingerprint is not None
    assert line.fingerprint.startswith("Traceback!UnhandledPromiseRejection")
