"""Masks: no form of a secret survives in text that leaves the controller."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from botdeploy.core.text.printable import bare
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.token_patterns import STARS

SECRET = "p@ss \"word\" 'x' \\n $HOME é/1"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        quote(SECRET, safe=""),
        shlex.quote(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_in_every_form_it_takes(form: str) -> None:
    """As it is, and as JSON, Python, URLs, shells, systemd and base64 write it."""
    shown = Mask([SECRET])(f"before {form} after")
    assert STARS in shown
    assert "word" not in shown
    assert form.strip("\"'") not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


def test_each_line_of_a_key_is_hidden() -> None:
    """A log gives a key of many lines back line by line."""
    key = "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34\nGkxFhD90vcNLYLIn\n--\n"
    shown = Mask([key])("w1: GkxFhD90vcNLYLIn\nw1: MIIBOgIBAAJBAKj34\nw1: --\n")
    assert shown == f"w1: {STARS}\nw1: {STARS}\nw1: --\n"


def test_a_secret_inside_another_one_leaves_no_rest() -> None:
    """The longer value goes first."""
    assert Mask(["hunter", "hunter2-long"])("x hunter2-long hunter") == f"x {STARS} {STARS}"


def test_a_short_secret_is_hidden_only_where_it_stands_alone() -> None:
    """Stars in the middle of every word would tell the value and hide the log."""
    assert Mask(["7", "abc"])("port 7 of 17: abc abcdef") == f"port {STARS} of 17: {STARS} abcdef"


def test_tokens_that_nobody_told_are_hidden_too() -> None:
    """A bot may log a token that botdeploy never had."""
    telegram = "123456789:" + "A" * 35
    assert Mask()(f"GET /bot{telegram}/getMe") == f"GET /bot{STARS}/getMe"


@pytest.mark.parametrize(
    "text",
    ["SECRET: 'env:MY_SECRET_1'", "API_KEY=file:/etc/key.txt", "TOKEN: command:pass 1 show bot"],
)
def test_where_a_secret_is_read_is_none(text: str) -> None:
    """Messages quote the inventory's references, and are to be copied."""
    assert Mask()(text) == text


def test_nothing_to_hide_changes_nothing() -> None:
    """An ordinary line stays byte for byte."""
    assert Mask([""])("ready in 0.3 s, 12 guilds") == "ready in 0.3 s, 12 guilds"


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=4), min_size=1, max_size=3),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_text_shows_a_known_value(values: list[str], before: str, after: str) -> None:
    """Wherever values of four characters or more stand, they are gone afterwards."""
    assume(all(value not in STARS for value in values))
    mask = Mask(values)
    shown = mask(before + values[0] + after)
    assert all(value not in shown.replace(STARS, "\ue000") for value in values)
    assert mask(shown) == shown


def test_a_mask_learns_while_it_is_used() -> None:
    """What a host tells later is hidden from then on, the longest first among all of them."""
    mask = Mask(["hunter"])
    assert mask("hunter2-long hunter") == f"{STARS}2-long {STARS}"
    mask.learn(["hunter2-long"])
    other = Mask(["third"])
    mask.add(other)
    assert mask("hunter2-long hunter third") == f"{STARS} {STARS} {STARS}"
    assert other("hunter") == "hunter"


TOKENS = ["hunter2-Long/Pass?", "p@ss<&>'word\"1", "abc+DEF/ghi=123", SECRET]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "ada@example.org"])
def test_a_secret_is_hidden_in_the_encodings_of_others(token: str, user: str) -> None:
    """Base64 of ``user:token``, hex, HTML, URLs of every kind, PHP's JSON, Python's bytes."""
    pair = f"{user}:{token}".encode()
    raw = token.encode()
    forms = [
        base64.b64encode(pair).decode(),
        base64.urlsafe_b64encode(pair + b"\n").decode(),
        raw.hex(),
        raw.hex().upper(),
        html.escape(token),
        html.escape(token, quote=False),
        html.escape(token).replace("&#x27;", "&#39;"),
        quote(token),
        quote(token).lower() if token.islower() else quote(token, safe=""),
        quote_plus(token),
        json.dumps(token).replace("/", "\\/"),
        repr(raw),
        repr(token),
        shlex.quote(token),
    ]
    mask = Mask([token])
    for number, form in enumerate(forms):
        shown = mask(f"sent {form} to it")
        assert STARS in shown, form
        # in base64 the user's part stays
        for start in range(len(form) - 11 if number > 1 else 0):
            assert form[start : start + 12] not in shown, (form, shown)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=40))
def test_base64_of_anything_around_a_secret_hides_it(token: str) -> None:
    """Whatever stands before and after it."""
    assume("*" not in token)
    for before in ("", "u:", "us:", "user:"):
        for after in ("", "\n", "!!"):
            form = base64.b64encode(f"{before}{token}{after}".encode()).decode()
            shown = Mask([token])(f"Authorization {form}")
            assert STARS in shown
            rest = shown.removeprefix("Authorization ").replace(STARS, "")
            assert len(rest) <= (len(before) + len(after)) * 4 // 3 + 8


@given(st.data())
def test_a_cut_line_gives_no_piece_of_a_secret(data: st.DataObject) -> None:
    """Journald cuts a line after 48 KiB, wherever that is."""
    token = "hunter2-Long-and-never-in-words"
    at = data.draw(st.integers(4, len(token) - 4))
    mask = Mask([token])
    first, second = mask.piece(f"token is {token[:at]}"), mask.piece(f"{token[at:]} it was")
    assert (first, second) == (f"token is {STARS}", f"{STARS} it was")
    assert mask.piece("nothing of it") == "nothing of it"


@pytest.mark.parametrize(
    "inside",
    ["\x1b[31m", "\x1b[0;1m", "\x9b31m", "\x1b]8;;x\x07", "\x00", "\u200b", "\u202e", "\x08"],
)
def test_a_colour_within_a_secret_does_not_show_it(inside: str) -> None:
    """Escapes go before the mask comes."""
    token = "hunter2-long-pass"
    text = bare(f"it is {token[:7]}{inside}{token[7:]}!")
    assert Mask([token])(text) == f"it is {STARS}!"
