"""What the bot answers."""

from __future__ import annotations

from echobot.store import Store


class Replies:
    """Turns a message into its answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, user: str, text: str) -> str:
        """The answer to ``text``; commands are ``remind SECONDS TEXT`` and ``speak LANGUAGE``."""
        command, _, rest = text.partition(" ")
        if command == "remind":
            seconds, _, what = rest.partition(" ")
            self._store.add(user, "reminder: " + what, delay=float(seconds))
            return f"I will remind you in {seconds} s"
        if command == "speak":
            self._store.set_language(user, rest)
            return f"I will remember that you speak {rest}"
        return text
