"""Names of hosts: those that a server on loopback answers to, which prevents DNS rebinding by other sites."""

from __future__ import annotations

import ipaddress
from typing import Final

NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_of(host: str) -> str:
    """The name in a Host header, in lower case, without its port."""
    name, separator, port = host.lower().rpartition(":")
    return name if separator and port.isdigit() else host.lower()


def in_url(host: str) -> str:
    """An address as it stands before a port: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
