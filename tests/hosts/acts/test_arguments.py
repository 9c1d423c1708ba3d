"""What people write becomes arguments of a program on a host: any text, on one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.hosts import host_program
from botdeploy.hosts.acts.records import one_line


@given(st.text(st.characters(codec=None, categories=None), max_size=2000))
def test_any_text_can_be_an_argument(text: str) -> None:
    """A message of a commit has lines, and a terminal's bytes need not be UTF-8."""
    word = one_line(text)
    assert len(word.encode()) <= 900
    assert host_program.call("tbot", "n1", "unlock", [word]).count("\n") == 0


def test_words_stay_readable() -> None:
    """Lines become spaces, and nothing else is lost."""
    assert one_line("Fix it\n\nCloses #5\t(“now”)") == "Fix it Closes #5 (“now”)"
