"""Where ssh would go, with nothing left open."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.core.model.address import Jump


@dataclass(frozen=True, slots=True)
class Destination:
    """Where ssh would go, as whom and by which keys: nothing is left open."""

    hostname: str
    port: int
    user: str
    #: Named in the inventory: each must exist.
    required_identities: tuple[Path, ...] = ()
    #: Named in ssh's config, or its defaults: tried where they exist.
    identities: tuple[Path, ...] = ()
    #: Whether ``identities`` are ssh's defaults, which no setting named.
    has_default_identities: bool = False
    #: Certificates for one's own keys, in the order in which they are offered.
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: Path | None = None
    known_hosts: tuple[Path, ...] = ()
    #: A list of keys that no host may show, as OpenSSH reads it.
    revoked_host_keys: Path | None = None
    host_key_alias: str | None = None
    jumps: tuple[Jump, ...] = ()
    proxy_command: str | None = None
    family: socket.AddressFamily = socket.AF_UNSPEC
    connect_timeout_s: float | None = None
    bind_address: str | None = None

    def __str__(self) -> str:
        """Write the place as ``host:port``."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{name}:{self.port}"
