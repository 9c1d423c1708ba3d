"""A name that an unset variable of the environment left incomplete is an error."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from botdeploy.errors import InventoryError
from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model.inventory import Inventory

LOOKUP = "{{ lookup('env', 'BOT_N') }}"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the variable out."""
    monkeypatch.delenv("BOT_N", raising=False)


def loaded(folder: Path, variables: dict[str, object]) -> Inventory:
    """Load an inventory of one host with these variables."""
    whole = {"bot": {"name": "echobot", "source": ".", "command": "run"}, **variables}
    text = json.dumps({"all": {"hosts": {"h1": {}}, "vars": whole}})
    (folder / "prod.yml").write_text(text, encoding="utf-8")
    return load("prod", folder, os.environ)


def bot(name: str, **keys: object) -> dict[str, object]:
    """Give a bot of that name."""
    return {"bot": {"name": name, "source": ".", "command": "run", **keys}}


@pytest.mark.parametrize(
    "variables",
    [
        bot(f"three-{LOOKUP}"),
        bot(f"{LOOKUP}three"),
        bot(f"a{LOOKUP}b"),
        bot(LOOKUP),
        bot("three{{ '-' ~ lookup('env', 'BOT_N') }}-x"),
        bot("three{{ lookup('env', 'BOT_N') | upper }}"),
        bot("three{{ lookup('env', 'BOT_N', default='') }}"),
        {**bot("three{{ number }}"), "number": LOOKUP},
        {"base": bot(f"three{LOOKUP}")["bot"], "bot": "{{ base }}"},
        {
            "base": bot("x")["bot"],
            "bot": "{{ base | combine({'name': 'three' ~ lookup('env', 'BOT_N')}) }}",
        },
        bot("three", user=f"u{LOOKUP}"),
        {"rollout": {"rings": [{"name": f"beta{LOOKUP}", "hosts": "all"}]}},
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_lookup_in_a_name_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, object],
    value: str | None,
) -> None:
    """Wherever the name is put together, the error names the variable that is not set."""
    if value is not None:
        monkeypatch.setenv("BOT_N", value)
    with pytest.raises(InventoryError, match=r"prod\.yml:1: .*(is empty: 'BOT_N'|\bis empty)"):
        loaded(tmp_path, variables)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("three{{ lookup('env', 'BOT_N') | default('-one', true) }}", "three-one"),
        ("three{{ '-' ~ lookup('env', 'BOT_N') if lookup('env', 'BOT_N') else '' }}", "three"),
        ("three{{ lookup('env', 'BOT_N', default='-one') }}", "three-one"),
    ],
)
def test_a_template_may_have_something_else_for_it(tmp_path: Path, name: str, found: str) -> None:
    """Who says what an empty variable means gets that."""
    assert loaded(tmp_path, bot(name)).bot_name == found


def test_a_variable_that_is_set_names_the_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And an empty one is fine where no name is made with it."""
    monkeypatch.setenv("BOT_N", "two")
    monkeypatch.delenv("BOT_M", raising=False)
    inventory = loaded(
        tmp_path, bot(f"three-{LOOKUP}", env={"MODE": "{{ lookup('env', 'BOT_M') }}"})
    )
    assert inventory.bot_name == "three-two"
    assert inventory.hosts[0].bot.env == {"MODE": ""}


@pytest.mark.parametrize("name", ["three-", "three_", "a-", "a" * 33])
def test_a_bots_name_ends_in_a_letter_or_digit(tmp_path: Path, name: str) -> None:
    """A name that ends in ``-`` was meant to go on."""
    with pytest.raises(InventoryError, match=re.escape(f"{name!r} is not valid")):
        loaded(tmp_path, bot(name))


@pytest.mark.parametrize("name", ["a", "a1", "three-two", "x_y", "a" * 32, "a-" * 15 + "ab"])
def test_good_names_stay_good(tmp_path: Path, name: str) -> None:
    """One letter is a name, and so are 32."""
    assert loaded(tmp_path, bot(name)).bot_name == name
