"""A bot that answers twice a second. Its token for the chat lasts for a day."""

import os
import signal
import sys
import time

DAY_S = float(os.environ.get("DAY_S", "86400"))
"""Shorter in tests, so that the second day comes soon."""


class Chat:
    """Stands for a chat's interface: it refuses a token that is older than a day."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.renew()

    def renew(self) -> None:
        self.renewed_at = time.monotonic()

    def age(self) -> float:
        return time.monotonic() - self.renewed_at

    def send(self, text: str) -> None:
        if self.age() > DAY_S:
            raise RuntimeError("the session has expired")
        print("INFO answered:", text, flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    chat = Chat(os.environ["CHAT_TOKEN"])
    print("READY", flush=True)
    number = 0
    while True:
        time.sleep(0.5)
        number += 1
        if chat.age() > DAY_S / 2:
            chat.renew()
        try:
            chat.send(f"message {number}")
        except RuntimeError as error:
            print(f"ERROR message {number} is not answered: {error}", flush=True)


main()
