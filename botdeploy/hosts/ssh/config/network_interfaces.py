"""The addresses of this machine's network interfaces, asked of the C library."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import sys

_UP = 1


class _SockAddr(ctypes.Structure):
    # BSD has a length where Linux has half of the family.
    _fields_ = (
        [("length", ctypes.c_uint8), ("family", ctypes.c_uint8)]
        if sys.platform == "darwin"
        else [("family", ctypes.c_uint16)]
    )


class _Interface(ctypes.Structure):
    pass


_Interface._fields_ = [
    ("next", ctypes.POINTER(_Interface)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_SockAddr)),
    ("netmask", ctypes.c_void_p),
]

#: Where an address stands in its sockaddr, and how long it is.
_PLACES = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses() -> tuple[IpAddress, ...]:
    """Give the addresses of all interfaces that are up; raise OSError where unknown."""
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Interface)()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        raise OSError(ctypes.get_errno(), "getifaddrs")
    found: list[IpAddress] = []
    try:
        one = first
        while one:
            entry = one.contents
            if entry.address and entry.flags & _UP:
                place = _PLACES.get(entry.address.contents.family)
                if place is not None:
                    start = ctypes.cast(entry.address, ctypes.c_void_p).value or 0
                    found.append(ipaddress.ip_address(ctypes.string_at(start + place[0], place[1])))
            one = entry.next
    finally:
        library.freeifaddrs(first)
    return tuple(found)
