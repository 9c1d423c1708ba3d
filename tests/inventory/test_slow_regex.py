"""Regular expressions of ``rollout.judge`` that would keep a verdict waiting for ever."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.errors import InventoryError
from botdeploy.inventory import load
from botdeploy.inventory.slow_regex import runs_away
from tests.effort import examples

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
all:
  vars:
    bot: {{name: echobot, source: ../echobot, command: python3 bot.py}}
    rollout:
      judge:
        {key}: {value}
  hosts: {{w1: {{ansible_host: 192.0.2.1}}}}
"""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ignore", "['fine', '(a+)+$']"),
        ("fatal", r"['^ERROR (\w+\s?)*$']"),
        ("same", r"[{pattern: '(x+x+)+y'}]"),
        ("latency", r"'(?P<ms>(\d+)*)-'"),
        ("handled", "'(.*?,){11}P'"),
    ],
)
def test_an_expression_that_never_ends_with_some_line_is_refused(
    tmp_path: Path, key: str, value: str
) -> None:
    """One line of a bot would stop every verdict: told with file, line and key."""
    (tmp_path / "prod.yml").write_text(INVENTORY.format(key=key, value=value))
    with pytest.raises(InventoryError, match=f"judge.{key}.*can take for ever") as caught:
        load("prod", tmp_path, os.environ)
    assert caught.value.line == 6


@pytest.mark.parametrize(
    "expression",
    [
        r"took (?P<ms>[0-9.]+) ms",
        r".*timeout.*retry.*",
        r"shard \d+ (?:lost|gone) after \d+ ms",
        r"^\S+ \S+ WARNING .*$",
        r"(?i)rate limited.*responded with 429",
        r"\[\d+\] (\w+ )+done",
        r"^.*?: .*?: .*?: .*$",
        r"(?:[a-z0-9-]+\.)+com",
        r"\w+@\w+\.\w+",
        r"(?P<q>['\"]).*?(?P=q) not found(?! in cache)",
        r"^(?:(?=.*error)(?!.*ignored)).*$",
    ],
)
def test_what_people_write_is_taken(expression: str) -> None:
    """Greedy, lazy, looking ahead and back: they end with every line that their parts match."""
    assert not runs_away(expression)


@given(st.from_regex(r"[ab.\\wd|()*+?\[\]^{}1-3-]{0,12}", fullmatch=True))
@settings(max_examples=examples(60), deadline=None)
def test_every_expression_can_be_tried(expression: str) -> None:
    """Whatever re takes is answered."""
    try:
        re.compile(expression)
    except (re.error, OverflowError):
        return
    assert runs_away(expression) in {True, False}
