"""What the bot answers, in the user's language, which is kept in memory to spare the disk.

This release has a bug that no start-up check can find. A profile is read once, when its user is
first seen, and dropped after ``CACHE_SECONDS`` (0: never); nothing reads it a second time. So all
is well for the first seconds, and then one user after the other gets a KeyError for an answer.
"""

from __future__ import annotations

import os
import time

from echobot.store import Store

GREETINGS = {"en": "hello", "de": "hallo"}
CACHE_SECONDS = float(os.environ.get("CACHE_SECONDS", "6"))


class Replies:
    """Turns a message into its answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: set[str] = set()
        self._languages: dict[str, str] = {}
        self._read_at: dict[str, float] = {}

    def _expire(self) -> None:
        """Keep memory small: drop what was read too long ago."""
        limit = time.monotonic() - CACHE_SECONDS
        for user, read_at in list(self._read_at.items()):
            if CACHE_SECONDS and read_at < limit:
                del self._languages[user], self._read_at[user]

    def _language(self, user: str) -> str:
        if user not in self._seen:
            self._seen.add(user)
            self._languages[user] = self._store.language(user)
            self._read_at[user] = time.monotonic()
        self._expire()
        return self._languages[user]

    def answer(self, user: str, text: str) -> str:
        """The answer to ``text``; commands are ``remind SECONDS TEXT`` and ``speak LANGUAGE``."""
        greeting = GREETINGS.get(self._language(user), "hello")
        command, _, rest = text.partition(" ")
        if command == "remind":
            seconds, _, what = rest.partition(" ")
            self._store.add(user, "reminder: " + what, delay=float(seconds))
            return f"{greeting} {user}, I will remind you in {seconds} s"
        if command == "speak":
            self._store.set_language(user, rest)
            self._languages[user] = rest
            return f"{greeting} {user}, I will remember that you speak {rest}"
        return f"{greeting} {user}, you said: {text}"
