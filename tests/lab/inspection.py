"""The way to look at a lab host with testinfra."""

from __future__ import annotations

import socket
import warnings
from typing import TYPE_CHECKING, Literal

import paramiko
import testinfra.backend
from testinfra.host import Host as Looking

from tests.lab.shell import LabError

if TYPE_CHECKING:
    from tests.lab.host import Host


def look_at(
    host: Host,
    *,
    backend: Literal["paramiko", "ssh"] = "paramiko",
    user: str = "deploy",
    sudo: bool = False,
) -> Looking:
    """Answer a testinfra host for a host of the lab.

    ``paramiko`` keeps one connection and is about ten times faster; ``ssh`` runs the program for
    each question. With ``sudo`` everything is asked as root, with the rights of ``user``. Raises
    `LabError` when the host shows another key than ``known_hosts`` has.
    """
    # A file of its own: paramiko's backend lets the file's user win over the one asked for.
    config = host.lab.folder / "testinfra_config"
    spec = f"{backend}://{user}@{host.name}?ssh_config={config}&sudo={sudo}&timeout=10"
    # Not testinfra.get_host: that hands out the connection of an earlier test, long cut by a reset.
    looking = Looking(testinfra.backend.get_backend(spec))
    looking.backend.set_host(looking)
    if backend == "paramiko":
        with warnings.catch_warnings():
            # It knows no known_hosts; we look at the key ourselves.
            warnings.filterwarnings("ignore", message="Unknown ssh-", category=UserWarning)
            transport = looking.backend.client.get_transport()
        known = paramiko.HostKeys(str(host.lab.folder / "known_hosts"))
        if not known.check(host.address, transport.get_remote_server_key()):
            raise LabError(f"{host.name} shows another host key than known_hosts has")
        # Without this each question waits 40 ms for the answer to the last packet.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return looking
