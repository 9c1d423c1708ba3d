"""A small SSH server on loopback that runs commands here, and a relay that can break a link."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko import common
from paramiko.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_READ_BYTES = 32_000


class _Rules(paramiko.ServerInterface):
    """What one connection may do."""

    def __init__(self, server: SshServer, transport: paramiko.Transport) -> None:
        self._server = server
        self._transport = transport
        self.forwards: dict[int, socket.socket] = {}

    def get_allowed_auths(self, username: str) -> str:
        del username
        return self._server.methods

    def check_auth_none(self, username: str) -> int:
        self._server.asked_for_none += 1
        del username
        return common.AUTH_SUCCESSFUL if self._server.needs_no_key else common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        blob = key.public_blob.key_blob if key.public_blob else key.asbytes()
        self._server.logins.append((username, blob))
        accepted = blob in self._server.accepted
        return common.AUTH_SUCCESSFUL if accepted else common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del chanid
        server = self._server
        # The channel that asks is not among them yet.
        open_now = len(self._transport._channels)  # type: ignore[attr-defined]
        if kind != "session" or open_now >= server.max_sessions:
            return common.OPEN_FAILED_CONNECT_FAILED
        return common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if not self._server.allows_exec:
            return False
        threading.Thread(target=self._server.execute, args=(channel, command), daemon=True).start()
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        del origin
        server = self._server
        server.forwarded.append(destination)
        if not server.allows_forwarding:
            return common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            sock = socket.create_connection(destination, timeout=5)
        except OSError:
            return common.OPEN_FAILED_CONNECT_FAILED
        self.forwards[chanid] = sock
        return common.OPEN_SUCCEEDED

    def serve(self, transport: paramiko.Transport) -> None:
        """Carry each forwarded channel's bytes to its socket and back."""
        # paramiko lets a channel go, and closes it, when nobody else keeps it.
        kept = []
        while transport.is_active():
            channel = transport.accept(0.5)
            kept.append(channel)
            sock = self.forwards.pop(channel.chanid, None) if channel is not None else None
            if sock is None:
                continue
            for ends in ((channel, sock), (sock, channel)):
                threading.Thread(target=_pass, args=ends, daemon=True).start()


class SshServer:
    """Listens on 127.0.0.1 until closed; counts what is asked of it."""

    def __init__(
        self,
        host_keys: Sequence[paramiko.PKey],
        *,
        accepted: Sequence[paramiko.PKey] = (),
        path: Path | None = None,
    ) -> None:
        self.host_keys = list(host_keys)
        self.accepted = {key.asbytes() for key in accepted}
        self.methods = "publickey"
        self.max_sessions = 10
        self.allows_exec = True
        self.allows_forwarding = True
        #: Connections to hang up on before saying anything.
        self.drop_first = 0
        #: What is said to those, as sshd says why it lets nobody in.
        self.farewell = b""
        #: What runs in place of each command, as sshd's ForceCommand.
        self.forced = ""
        #: Whether everybody is let in by the method "none".
        self.needs_no_key = False
        self.asked_for_none = 0
        #: Connections accepted so far, logins tried, destinations asked for, programs running.
        self.connections = 0
        self.logins: list[tuple[str, bytes]] = []
        self.forwarded: list[tuple[str, int]] = []
        self.running = 0
        self.lock = threading.Lock()
        self._path = path
        self.transports: list[paramiko.Transport] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.drop_first > 0:
                self.drop_first -= 1
                sock.sendall(self.farewell)
                sock.close()
                continue
            transport = paramiko.Transport(sock)
            for key in self.host_keys:
                transport.add_server_key(key)
            self.transports.append(transport)
            rules = _Rules(self, transport)
            transport.start_server(event=threading.Event(), server=rules)
            threading.Thread(target=rules.serve, args=(transport,), daemon=True).start()

    def execute(self, channel: paramiko.Channel, command: bytes) -> None:
        """Run a command as sshd does: streams apart, the status last."""
        with self.lock:
            self.running += 1
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.forced or command.decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._path,
            bufsize=0,
        )
        self._processes.append(process)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        outputs = [
            threading.Thread(target=_copy, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(
                target=_copy, args=(process.stderr, channel.sendall_stderr), daemon=True
            ),
        ]
        threading.Thread(target=_feed, args=(channel, process.stdin), daemon=True).start()
        for thread in outputs:
            thread.start()
        code = process.wait()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if code >= 0:
                channel.send_exit_status(code)
            else:
                _send_signal(channel, -code)
        for thread in outputs:
            thread.join()
        with self.lock:
            self.running -= 1
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()

    def kill_connections(self) -> None:
        """End every connection without a word, as a crashed host would."""
        for transport in self.transports:
            transport.close()
        self.transports.clear()

    def close(self) -> None:
        """Stop listening and end everything."""
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.kill_connections()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class Relay:
    """Passes TCP connections on to a port; can go silent, as a cut link does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_cut = threading.Event()
        self._socks: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._socks += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._is_cut.is_set():
                    return
                sink.sendall(data)
        if not self._is_cut.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """From now on pass nothing, and close nothing either."""
        self._is_cut.set()

    def close(self) -> None:
        """Stop, and end all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _copy(pipe: Any, send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while data := pipe.read(_READ_BYTES):
            send(data)


def _feed(channel: paramiko.Channel, pipe: Any) -> None:
    with contextlib.suppress(OSError, EOFError, ValueError, paramiko.SSHException):
        while data := channel.recv(_READ_BYTES):
            view = memoryview(data)
            while view:
                select.select([], [pipe], [])
                view = view[os.write(pipe.fileno(), view[:4096]) :]
    with contextlib.suppress(OSError):
        pipe.close()


def _pass(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while data := source.recv(_READ_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        sink.shutdown(2)
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        sink.close()


def _send_signal(channel: paramiko.Channel, number: int) -> None:
    names = {2: "INT", 6: "ABRT", 9: "KILL", 11: "SEGV", 15: "TERM"}
    message = Message()
    message.add_byte(common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)  # noqa: FBT003
    message.add_string(names[number])
    message.add_boolean(False)  # noqa: FBT003
    message.add_string("")
    message.add_string("")
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]


def main() -> None:
    """Serve in a process of its own: HOST_KEY_FILE USER_KEY_FILE [OTHER_KEY_FILE].

    Prints the ports of four servers: one that lets the user in, one that refuses, and two that
    do so with the other key as host key. Ends when its input does.
    """
    host, user, other = (paramiko.ECDSAKey.from_private_key_file(name) for name in sys.argv[1:])
    servers = [
        SshServer([key], accepted=accepted) for key in (host, other) for accepted in ([user], [])
    ]
    print(*(server.port for server in servers), flush=True)  # noqa: T201
    sys.stdin.read()
    for server in servers:
        server.close()


if __name__ == "__main__":
    main()
