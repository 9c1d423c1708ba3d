"""Text for terminals: what was written is seen, and nothing is obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.text.printable import visible


def test_an_escape_code_moves_nothing() -> None:
    """Colours, titles and cursor moves of a log line lose what makes them so, in both forms."""
    assert visible("\x1b[2J\x9b31mred\x07 \x1b]0;title\x07") == " [2J 31mred   ]0;title "


def test_lines_and_tabs_stay() -> None:
    """A message of more lines, and words of any language, are as they were."""
    text = "bot1:\tnot ready\ngrößer · 消息 “é”"
    assert visible(text) == text


@given(st.text(st.characters(codec=None, categories=None)))
def test_what_comes_out_can_be_written(text: str) -> None:
    """No text makes the output fail, and nothing is lost but what can't be seen."""
    shown = visible(text)
    shown.encode()
    assert len(shown) == len(text)
    assert all(one.isprintable() or one in "\n\t" for one in shown)
