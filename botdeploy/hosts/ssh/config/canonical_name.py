"""A host's full name: CanonicalizeHostname and what belongs to it, as ssh does it."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from botdeploy.errors import UserError
from botdeploy.hosts.ssh.patterns import in_list

if TYPE_CHECKING:
    from botdeploy.hosts.ssh.config.ssh_config_file import Found

_MAX_DOTS = 1
#: What could be an address, as far as the C library is asked.
_NUMERIC = re.compile(r"[0-9a-fx.]+|.*:.*", re.IGNORECASE)


def is_asked_for(found: Found) -> bool:
    """Tell whether full names are asked for, after which ssh reads its files again."""
    return _mode(found) != "no"


def canonical(host: str, found: Found) -> str:
    """Give the name that ssh goes on with: an address in its usual form, or a full name.

    Looks names up only where the config asks for it. Raises UserError where the config forbids to
    go on with a name that was not found.
    """
    if (address := _as_address(host, found)) is not None:
        return address
    host = host.lower()
    mode = _mode(found)
    is_direct = _is_none(found, "proxycommand") and _is_none(found, "proxyjump")
    if mode == "no" or not (is_direct or mode == "always"):
        return host
    if host.endswith("."):
        name = _looked_up(host, found)
    elif host.count(".") > int(found.first("canonicalizemaxdots") or _MAX_DOTS):
        return _followed(host, found)
    else:
        name = None
        for domain in found.options.get("canonicaldomains", ()):
            if domain.lower() == "none":
                break
            if (name := _looked_up(f"{host}.{domain}.", found)) is not None:
                break
    if name is not None:
        return name
    if (found.first("canonicalizefallbacklocal") or "yes").lower() in {"no", "false"}:
        raise UserError(f"ssh config: no domain of CanonicalDomains has a host {host}")
    return _followed(host, found)


def _mode(found: Found) -> str:
    mode = (found.first("canonicalizehostname") or "no").lower()
    return {"true": "yes", "false": "no"}.get(mode, mode)


def _is_none(found: Found, keyword: str) -> bool:
    return (found.first(keyword) or "none").lower() == "none"


def _as_address(host: str, found: Found) -> str | None:
    if not _NUMERIC.fullmatch(host):
        return None
    families = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
    family = families.get((found.first("addressfamily") or "").lower(), socket.AF_UNSPEC)
    try:
        places = socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return socket.getnameinfo(places[0][4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


def _looked_up(full: str, found: Found) -> str | None:
    """Give a name that ends in a dot without it where it exists, or what it stands for."""
    alias = _alias(full)
    return None if alias is None else _permitted(full.removesuffix("."), alias, found)


def _followed(host: str, found: Found) -> str:
    """Give what a name stands for where the config permits this, else the name."""
    if "canonicalizepermittedcnames" not in found.options:
        return host
    return _permitted(host, _alias(host) or "", found)


def _alias(name: str) -> str | None:
    """Give the name behind a name's CNAME, empty where it has none; None where nothing has it."""
    try:
        places = socket.getaddrinfo(name, 0, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return None
    return places[0][3].lower() if places else None


def _permitted(name: str, alias: str, found: Found) -> str:
    """Give the alias where a rule ``sources:targets`` permits it, else the name."""
    if alias and alias != name:
        for rule in found.options.get("canonicalizepermittedcnames", ()):
            sources, colon, targets = rule.partition(":")
            if colon and in_list(sources.lower(), name) and in_list(targets.lower(), alias):
                return alias
    return name
