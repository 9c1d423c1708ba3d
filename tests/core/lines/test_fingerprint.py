"""The same error has one fingerprint, another error has another."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.lines.fingerprint import MAX_FINGERPRINT, mask, of_text, of_trace, strip_header
from botdeploy.core.lines.stack_trace import read_trace

SAME = {
    "numbers": ["retry 3 of 5 failed", "retry 12 of 40 failed", "retry -1 of 5.5 failed"],
    "snowflakes": [
        "no channel 475406961349933578 in guild 685398035838703235",
        "no channel 12 in guild 745977468957308874",
    ],
    "durations with their unit": [
        "query timed out after 12 ms",
        "query timed out after 1.5s",
        "query timed out after 3 minutes",
        "query timed out after 1m30s",
    ],
    "sizes": [
        "body of 12 KB is too large",
        "body of 1.5 MiB is too large",
        "body of 900 bytes is too large",
    ],
    "hex": ["statement 3afa12bc failed", "statement deadbeef failed", "statement 0x7f3a failed"],
    "uuids": [
        "job 0673dd71-34c5-4fbb-86c4-40623fbe45b4 lost",
        "job 9f4ef63a1b2c4d5e8f90a1b2c3d4e5f6 lost",
    ],
    "addresses": [
        "cannot reach 10.0.0.7:6379",
        "cannot reach 192.168.1.44:6380",
        "cannot reach redis.example.org:6379",
        "cannot reach 2001:db8::ff00:42:8329",
    ],
    "urls": [
        "GET https://discord.com/api/v10/channels/42 gave nothing",
        "GET https://example.org/x?y=z gave nothing",
    ],
    "paths": [
        "cannot open /opt/bot/releases/20261124T2200Z-3f9c2ab1/data/a.json",
        "cannot open /opt/bot/releases/20261125T0800Z-77aa0011/data/b.json",
    ],
    "mail": ["no mailbox bob@example.com", "no mailbox alice.b@example.org"],
    "quoted user text": ['Command "hlep" is not found', 'Command "pign 3" is not found'],
    "long single quotes": ["bad text 'hello there 3'", "bad text 'something else'"],
    "lists": ["dead shards [1, 2, 3]", "dead shards [4, 5]", "dead shards [7]"],
    "dates": ["expired at Thu Jul  7 23:05:02 2005", "expired at Mon Dec 12 01:02:03 2026"],
    "values": ["sync done=true left=3", "sync done=false left=0"],
    "headers": [
        "2026-11-24 22:01:15,123 ERROR bot.db: lost 3 rows",
        "2026-11-25T01:02:03.000Z ERROR bot.db: lost 4 rows",
        "[01:02:03] ERROR bot.db: lost 5 rows",
        "ERROR bot.db: lost 6 rows",
        "[error] bot.db: lost 7 rows",
        "2026-11-24 22:01:15 | ERROR | bot.db: lost 8 rows",
    ],
    "ids in parts": [
        "lost rdd_42_20 of attempt_2018_0001_m_7",
        "lost rdd_6_1 of attempt_9_1_m_1234",
    ],
    "made-up ids": ["session xK9dQ2mZ is gone", "session 7bTq0LrWzP is gone"],
    "troubles of a server": [
        "request failed with status 502",
        "request failed with status 503",
        "request failed with status 429",
    ],
    "counts like a status": ["the shop returned 404 rows", "the shop returned 12 rows"],
    "numbers like a status": ["status 404123 is odd", "status 12 is odd", "status 4045 is odd"],
    "shards and hosts": ["shard-3 of worker12 died", "shard-14 of worker7 died"],
}

DIFFERENT = [
    "cannot open database",
    "cannot open socket",
    "KeyError: 'balance'",
    "KeyError: 'user_id'",
    "ValueError: 'balance'",
    "'NoneType' object has no attribute 'foo'",
    "'NoneType' object has no attribute 'bar'",
    'relation "users" does not exist',
    'relation "guilds" does not exist',
    "sqlite3.OperationalError: database is locked",
    "sqlite3.IntegrityError: UNIQUE constraint failed: users.id",
    "connect ECONNREFUSED 10.0.0.7:443",
    "connect ETIMEDOUT 10.0.0.7:443",
    "guild 42 not found",
    "channel 42 not found",
    "request failed with status 404",
    "request failed with status 403",
    "request failed with status 502",
    "HTTP 401 from the api",
    "HTTP 409 from the api",
    "GET /x returned 404",
    "GET /x returned 410",
    '{"status": 404, "msg": "x"}',
    '{"status": 400, "msg": "x"}',
]


@pytest.mark.parametrize("texts", SAME.values(), ids=[name.replace(" ", "-") for name in SAME])
def test_what_varies_makes_no_new_error(texts: list[str]) -> None:
    """Lines that differ in numbers, ids, places or quoted user text have one fingerprint."""
    assert len({of_text(text) for text in texts}) == 1


def test_different_errors_have_different_fingerprints() -> None:
    """Names of things that a programmer wrote tell errors apart."""
    assert len({of_text(text) for text in DIFFERENT}) == len(DIFFERENT)


@given(
    st.integers(0, 10**19),
    st.integers(0, 10**19),
    st.sampled_from(
        [
            "user {} is unknown",
            "no row with id={}",
            "lost {} of 5 (code: {})",
            "code [{}] is bad",
            "x:{}",
        ]
    ),
)
def test_any_number_is_masked_alike(one: int, other: int, form: str) -> None:
    """Which number stands in a place never matters."""
    assert of_text(form.format(one, other)) == of_text(form.format(other, one))


@given(st.uuids(), st.uuids(), st.ip_addresses(), st.ip_addresses())
def test_any_id_and_address_is_masked_alike(
    one: object, other: object, here: object, there: object
) -> None:
    """Which id or address stands in a place never matters."""
    assert of_text(f"session {one} from {here} ended badly") == of_text(
        f"session {other} from {there} ended badly"
    )


@given(st.text(max_size=400))
def test_every_text_has_a_short_fingerprint(text: str) -> None:
    """No text breaks it; the result is one line of bounded length, and always the same."""
    found = of_text(text)
    assert found == of_text(text)
    assert 0 < len(found) <= MAX_FINGERPRINT
    assert "\n" not in found


@given(st.text(string.ascii_letters + " .,", max_size=100))
def test_plain_words_stay_as_they_are(text: str) -> None:
    """Words without anything that varies are kept, so that a person recognises the line."""
    words = [word for word in text.split() if len(word) < 8 and word.isalpha()]
    assert mask(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    "text", ["-" * 50_000, "1" * 50_000, "a.b" * 20_000, "'" * 50_000, "x=" * 30_000]
)
def test_monstrous_lines_are_cut_not_choked_on(text: str) -> None:
    """A line of one endless word costs no more than a long one: it is cut first."""
    assert len(of_text(text)) <= MAX_FINGERPRINT


def test_the_header_goes_and_the_logger_stays() -> None:
    """Time, level, process number and thread do not name an error; who said it does."""
    assert (
        strip_header("2026-11-24 22:01:15,123 ERROR    [bot.pay] pay failed")
        == "[bot.pay] pay failed"
    )
    assert (
        strip_header("E1124 22:01:16.123456    1234 reflector.go:138] no") == "reflector.go:138] no"
    )
    assert strip_header("404 Client Error") == "404 Client Error"


TRACE = """Traceback (most recent call last):
  File "{lib}/discord/ext/commands/core.py", line {a}, in wrapped
    ret = await coro(*args, **kwargs)
{more}  File "{home}/cogs/economy.py", line {b}, in pay
    balance = account['balance']
              ~~~~~~~^^^^^^^^^^^
KeyError: 'balance'"""


def trace_name(**parts: object) -> str:
    found = read_trace(TRACE.format(**parts))
    assert found is not None
    return of_trace(found)


@given(
    st.integers(1, 9999),
    st.integers(1, 9999),
    st.integers(0, 30),
    st.sampled_from(["/opt/a", "/srv/b/r2"]),
)
def test_a_moved_line_and_a_longer_trace_make_no_new_error(
    a: int, b: int, deeper: int, home: str
) -> None:
    """A trace is named by its type, innermost own function and message, wherever it lies."""
    more = f'  File "{home}/main.py", line 3, in step\n    await self.pay()\n' * deeper
    lib = f"{home}/venv/lib/python3.11/site-packages"
    assert trace_name(a=a, b=b, more=more, lib=lib, home=home) == (
        "Traceback!KeyError economy.py:pay 'balance'"
    )


def test_a_bot_that_is_installed_as_a_package_has_frames_too() -> None:
    """Where all code lies in site-packages, the cause and its innermost frame name the error."""
    found = read_trace(
        """Traceback (most recent call last):
  File "/opt/bot/venv/lib/python3.11/site-packages/discord/ext/commands/core.py", line 235, in x
    ret = await coro(*args, **kwargs)
  File "/opt/bot/venv/lib/python3.11/site-packages/mybot/economy.py", line 31, in pay
    balance = account['balance']
KeyError: 'balance'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/bot/venv/lib/python3.11/site-packages/discord/ext/bot.py", line 1366, in invoke
    await ctx.command.invoke(ctx)
discord.ext.commands.errors.CommandInvokeError: Command raised an exception: KeyError: 'balance'"""
    )
    assert found is not None
    assert of_trace(found) == "Traceback!KeyError economy.py:pay 'balance'"
