"""JSON lines: whatever is told, each is one valid object without a secret."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.events import Event, Kind
from botdeploy.core.text.secret_mask import Mask
from botdeploy.views.jsonlines import JsonLines

AT = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)


def printed(secrets: list[str], **data: Any) -> dict[str, Any]:
    """Print one event and read it back."""
    out = io.StringIO()
    JsonLines(out, Mask(secrets))(Event(Kind.OUTCOME, AT, "prod", host="w1", data=data))
    assert out.getvalue().count("\n") == 1
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.mark.parametrize("secret", ["0", "true", '"', "{", '", "code": 0, "', "outcome", "\\"])
def test_a_secret_that_looks_like_json_breaks_no_line(secret: str) -> None:
    """Numbers and words of the interface stay, whatever a secret happens to be."""
    record = printed([secret], code=0, summary=f"it said {secret}!", is_fine=True)
    assert (record["event"], record["code"], record["is_fine"]) == ("outcome", 0, True)
    assert secret not in record["summary"].removeprefix("it said ")


def test_a_secret_is_hidden_at_any_depth() -> None:
    """Reasons, nested records and texts are masked alike."""
    record = printed(["hunter2"], reasons=["saw hunter2"], rings=({"name": ["hunter2"]},))
    assert "hunter2" not in json.dumps(record)


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text_can_be_printed(text: str) -> None:
    """Control characters, line ends and halves of surrogates do not end the stream."""
    assert printed([], summary=text)["event"] == "outcome"


@given(st.text(st.characters(codec=None, categories=None)))
def test_what_no_terminal_shows_is_escaped(text: str) -> None:
    """Controls of both kinds and marks of direction are JSON's escapes, and mean what they did."""
    out = io.StringIO()
    JsonLines(out)(
        Event(Kind.OUTCOME, AT, "prod", host="w1", data={"summary": text, "k" + text: 1})
    )
    assert out.getvalue()[:-1].isprintable()
    assert json.loads(out.getvalue())["summary"] == text


def test_a_mark_of_direction_is_escaped() -> None:
    """The two that are tried first."""
    out = io.StringIO()
    JsonLines(out)(Event(Kind.OUTCOME, AT, "prod", data={"summary": "a\x9b31m\u202eb\nc"}))
    assert r'"a\u009b31m\u202eb\nc"' in out.getvalue()
