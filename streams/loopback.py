"""Names that a server on loopback answers to: a foreign name that resolves to it is how other sites reach into it."""

from __future__ import annotations

import ipaddress
from typing import Final

NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether an address to serve on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(host: str) -> str:
    """The name in a Host header, in lower case, without its port."""
    name, separator, port = host.lower().rpartition(":")
    return name if separator and port.isdigit() else host.lower()
