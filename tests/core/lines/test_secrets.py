"""Credentials never leave a line of text."""

from __future__ import annotations

import pytest

from botdeploy.core.text.token_patterns import STARS, mask_tokens

# Made up, in the shape of the real ones; put together so that no scanner takes them for one.
SECRETS = {
    "discord": "MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GabcDE." + "aB3_" * 9 + "xy",
    "discord-mfa": "mfa" + "." + "aB3_" * 21,
    "slack-bot": "xox" + "b-123456789012-1234567890123-" + "aB3" * 8,
    "slack-app": "xapp" + "-1-A0123456789-1234567890123-" + "abc123" * 10,
    "telegram": "123456789" + ":AA" + "Hdq_-7Xz" * 4 + "x",
    "github": "gh" + "p_" + "aB3x" * 9,
    "jwt": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + "aB3_" * 8,
    "openai": "sk-" + "aB3x" * 8,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=list(SECRETS))
@pytest.mark.parametrize(
    "form",
    ["login with {} failed", "{}", '{{"key": "{}"}}', "x={};", "'{}'"],
)
def test_known_formats_are_masked_wherever_they_stand(secret: str, form: str) -> None:
    """A credential of a known format is masked in any surroundings."""
    masked = mask_tokens(form.format(secret))
    assert secret not in masked
    assert secret[-8:] not in masked
    assert STARS in masked


def test_telegrams_stands_in_a_urls_path() -> None:
    """Telegram's token is a part of every URL of its API."""
    masked = mask_tokens(f"GET https://api.telegram.org/bot{SECRETS['telegram']}/getMe failed")
    assert masked == f"GET https://api.telegram.org/bot{STARS}/getMe failed"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter22 ok", f"password={STARS} ok"),
        ("DB_PASSWORD: 'correct horse'", f"DB_PASSWORD: '{STARS} horse'"),
        ('{"api_key":"abcdef123"}', f'{{"api_key":"{STARS}"}}'),
        ("bot_token=abc123def456", f"bot_token={STARS}"),
        ("Authorization: Bot abcdefghijk", f"Authorization: Bot {STARS}"),
        ("Bearer abc.def-ghi", f"Bearer {STARS}"),
        ("postgres://bot:s3cret@db/x", f"postgres://{STARS}@db/x"),
        (
            "https://discord.com/api/webhooks/123/" + "aB3_" * 17,
            f"https://discord.com/api/webhooks/{STARS}",
        ),
    ],
)
def test_named_values_are_masked(text: str, masked: str) -> None:
    """What stands after a telling name is masked, and the name stays."""
    assert mask_tokens(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "INFO bot.cmd: /ping by 475406961349933578 in guild 685398035838703235 ok",
        "Improper token has been passed.",
        "invalid token: expired",
        "unexpected token: } in JSON at position 12",
        "KeyError: 'user_id'",
        "see https://example.org/a/b?c=d",
        "2026-11-24 22:01:15,123 discord.ext.commands.bot done",
        "primary key: id",
        "monkey business",
        "task.done.successfully and_more_words.here_too.x",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Ids, times, dotted names and talk of tokens are no credentials."""
    assert mask_tokens(text) == text


def test_masking_twice_changes_nothing_more() -> None:
    """What is masked stays as it is."""
    for secret in SECRETS.values():
        once = mask_tokens(f"password={secret} token={secret} {secret}")
        assert mask_tokens(once) == once


@pytest.mark.parametrize("piece", [".eyJ", "eyJ", "1token", "a-", "://a:", "xoxb-", "_.-key"])
def test_a_megabyte_that_begins_like_tokens_all_through_comes_to_an_end(piece: str) -> None:
    """What is tried at each place of a long line grows with the line, and no faster."""
    text = "x." + piece * (1_000_000 // len(piece))
    assert mask_tokens(f"{text} password=hunter22").endswith(STARS)
