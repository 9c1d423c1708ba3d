"""What the inventory says of lines reaches those who read them."""

from __future__ import annotations

from botdeploy.core.logline import LineRules


def test_every_key_about_lines_is_handed_on() -> None:
    """Each of the keys makes its rule; the judge's other keys are none of theirs."""
    judge = {
        "preset": "quick",
        "ignore": ("a",),
        "fatal": ("b",),
        "same": ("c", {"pattern": "d"}),
        "latency": "(?P<ms>e)",
        "handled": "f",
    }
    assert LineRules.from_policy(judge) == LineRules(("a",), ("b",), ("c", "d"), "(?P<ms>e)", "f")
    assert LineRules.from_policy({}) == LineRules()
