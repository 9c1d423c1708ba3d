"""Real servers on this machine that notices are sent to: HTTP and SMTP, willing and unwilling."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from email.message import EmailMessage


class Hook(ThreadingHTTPServer):
    """Takes JSON, as a webhook does; answers with the given codes, the last one for ever."""

    daemon_threads = True

    def __init__(self, answers: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _HookHandler)
        self.answers = list(answers)
        self.asked = 0
        self.taken: list[dict[str, Any]] = []
        self.came = threading.Condition()

    def url(self, rest: str = "") -> str:
        return f"json://127.0.0.1:{self.server_address[1]}/{rest}"

    def wait_for(self, count: int) -> None:
        """Wait until so many requests came; a test that waits in vain fails."""
        with self.came:
            assert self.came.wait_for(lambda: self.asked >= count, 30)

    @property
    def bodies(self) -> str:
        return "\n".join(str(one["message"]) for one in self.taken)


class _HookHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = cast("Hook", self.server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with hook.came:
            code = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
            hook.asked += 1
            if code < 400:
                hook.taken.append(body)
            hook.came.notify_all()
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hook(*answers: int) -> Iterator[Hook]:
    """Run a webhook."""
    with Hook(answers or (200,)) as server, _serving(server):
        yield server


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def hanging() -> Iterator[str]:
    """Give the URL of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"json://127.0.0.1:{listener.getsockname()[1]}/"


def nobody() -> str:
    """Give a URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"json://127.0.0.1:{port}/"


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes mail by SMTP (RFC 5321, without extensions)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []

    def url(self) -> str:
        port = self.server_address[1]
        return f"mailto://127.0.0.1:{port}/?smtp=127.0.0.1&mode=insecure&from=a@b.test&to=c@d.test"


class _MailHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        box = cast("Mailbox", self.server)
        self._say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            match line.split()[0].upper():
                case "RCPT":
                    box.recipients.append(line.partition(":")[2].strip("<> "))
                    self._say("250 ok")
                case "DATA":
                    self._say("354 go on")
                    box.mails.append(self._mail())
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    return
                case "EHLO" | "HELO" | "MAIL" | "RSET" | "NOOP":
                    self._say("250 ok")
                case _:
                    self._say("502 unknown")

    def _mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Run a mail server."""
    with Mailbox() as server, _serving(server):
        yield server
