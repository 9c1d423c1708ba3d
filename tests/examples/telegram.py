"""A stand-in for Telegram's Bot API: long polls, messages of some chats, and a 409 for two pollers.

Of two ``getUpdates`` with one token at the same time Telegram ends the older one with 409: "make
sure that only one bot instance is running". Here that is counted.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable

CHATS = (111, 222, 333)
EVERY_S = 0.5
"""One of the chats says something so often; nobody polls: it waits."""
CONFLICT = {
    "ok": False,
    "error_code": 409,
    "description": "Conflict: terminated by other getUpdates request; make sure that only one bot"
    " instance is running",
}


@dataclass
class Telegram:
    """The service at an address of this machine, while in its ``with`` block."""

    address: str
    conflicts: int = 0
    polls: int = 0
    replies: list[tuple[int, str]] = field(default_factory=list)
    """Chat and text of each message that a bot sent, in order."""
    poller: int = 0
    """The number of the poll that has the token."""
    poller_has_left: Callable[[], bool] = lambda: True
    changed: threading.Condition = field(default_factory=threading.Condition)
    began: float = field(default_factory=time.monotonic)
    port: int = 0
    url: str = ""

    def __enter__(self) -> Self:
        """Begin to listen."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length", 0))
                given = {
                    name: one[0] for name, one in parse_qs(self.rfile.read(size).decode()).items()
                }
                method = self.path.rpartition("/")[2]
                result = service.answer(method, given, lambda: is_gone(self.connection))
                status = int(result.get("error_code", 200))
                body = json.dumps(result).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((self.address, 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://{self.address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(
        self, method: str, given: dict[str, str], has_left: Callable[[], bool]
    ) -> dict[str, Any]:
        """Answer one request as the Bot API does; `has_left` tells of who asked."""
        if method == "getUpdates":
            return self.get_updates(given, has_left)
        if method == "sendMessage":
            return self.send_message(given)
        me = {"id": 1, "is_bot": True, "first_name": "parrot", "username": "parrot_bot"}
        return {"ok": True, "result": me if method == "getMe" else True}

    def get_updates(self, given: dict[str, str], has_left: Callable[[], bool]) -> dict[str, Any]:
        """Wait for messages; an older poll whose poller still waits ends with a conflict."""
        offset = int(given.get("offset", 0))
        until = time.monotonic() + float(given.get("timeout", 0))
        with self.changed:
            self.polls += 1
            mine = self.polls
            if self.poller and not self.poller_has_left():
                self.conflicts += 1
            self.poller, self.poller_has_left = mine, has_left
            self.changed.notify_all()
            while not (found := self.updates(offset)) and time.monotonic() < until:
                self.changed.wait(EVERY_S / 2)
                if self.poller != mine:
                    return CONFLICT
            self.poller = 0
        return {"ok": True, "result": found}

    def updates(self, offset: int) -> list[dict[str, Any]]:
        """List what was said since; Telegram keeps what nobody has fetched."""
        last = int((time.monotonic() - self.began) / EVERY_S)
        first = max(offset, last - 5, 1)
        return [{"update_id": one, "message": message(one)} for one in range(first, last + 1)]

    def send_message(self, given: dict[str, str]) -> dict[str, Any]:
        """Take what a bot says to a chat."""
        chat = int(given["chat_id"])
        self.replies.append((chat, given["text"]))
        return {"ok": True, "result": {**message(0), "chat": {"id": chat, "type": "private"}}}


def is_gone(connection: socket.socket) -> bool:
    """Tell whether the other side has closed a connection."""
    ready, _, _ = select.select([connection], [], [], 0)
    return bool(ready) and not connection.recv(1, socket.MSG_PEEK)


def message(number: int) -> dict[str, Any]:
    """Make what one of the chats says."""
    chat = CHATS[number % len(CHATS)]
    return {
        "message_id": number,
        "date": int(time.time()),
        "chat": {"id": chat, "type": "private"},
        "from": {"id": chat, "is_bot": False, "first_name": "Ada"},
        "text": f"this is number {number}",
    }
