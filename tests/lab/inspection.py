"""The way to look at a lab host with testinfra."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Literal

import testinfra

if TYPE_CHECKING:
    from testinfra.host import Host as Looking

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
    each question. With ``sudo`` everything is asked as root, with the rights of ``user``.
    """
    options = f"ssh_config={host.lab.folder / 'ssh_config'}&sudo={sudo}&timeout=10"
    looking = testinfra.get_host(f"{backend}://{user}@{host.name}?{options}")
    if backend == "paramiko":
        # Without this each question waits 40 ms for the answer to the last packet.
        transport = looking.backend.client.get_transport()
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return looking
