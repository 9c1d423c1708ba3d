"""What the inventory says of lines reaches those who read them."""

from __future__ import annotations

from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import MAX_MESSAGE, LineRules, LogLine


def test_every_key_about_lines_is_handed_on() -> None:
    """Each of the keys makes its rule; the judge's other keys are none of theirs."""
    judge = {
        "preset": "quick",
        "ignore": ("a",),
        "fatal": ("b",),
        "same": ("c", {"pattern": "d"}),
        "latency": "(?P<ms>e)",
        "handled": "f",
        "levels": {"g": "error"},
    }
    assert LineRules.from_policy(judge) == LineRules(
        ("a",), ("b",), ("c", "d"), "(?P<ms>e)", "f", (("g", "error"),)
    )
    assert LineRules.from_policy({}) == LineRules()


def read(text: str, rules: LineRules) -> LogLine:
    """Read one line of a bot's."""
    assembler = Assembler(rules)
    entry = {"MESSAGE": text, "_PID": "7", "__REALTIME_TIMESTAMP": "1"}
    (line,) = [*assembler.feed(entry), *assembler.flush()]
    return line


LONG = "x " * 500_000


def test_expressions_see_what_is_kept_of_a_long_line() -> None:
    """Of a megabyte both ends count, and no expression sees more: it would take too long."""
    error = f"ERROR MARK {LONG}"
    assert not read(error, LineRules(ignore=("MARK",))).is_error
    assert read(error, LineRules(same=("MARK",))).fingerprint == "same!MARK"
    for work in (f"INFO MARK {LONG}", f"INFO {LONG} MARK"):
        assert read(work, LineRules(fatal=("MARK",))).is_fatal
        assert read(work, LineRules(handled="MARK")).is_handled
    whole = rf"(?s)^.{{{MAX_MESSAGE + 1}}}"
    assert read(error, LineRules(ignore=(whole,))).is_error
    assert not read(error, LineRules(handled=whole)).is_handled


def test_declared_words_are_levels_of_lines_and_of_records() -> None:
    """Both in a header and in a JSON object's key for levels."""
    rules = LineRules(levels=(("Fehlr", "critical"),))
    for text in ("Fehlr: kein Platz", '{"level": "FEHLR", "time": "1", "msg": "kein Platz"}'):
        assert read(text, rules).is_fatal
        assert not read(text, LineRules()).is_error
