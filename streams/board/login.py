"""Who acts on the board: the person whom a proxy in front of it has logged in, as its headers say.

The board itself knows no passwords. It believes the header on connections from the proxy's addresses only, and only
where it stands once: a second one was sent by somebody else. Whoever reaches the board past the proxy from such an
address (on loopback: every program on that machine) can act as anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from schemas.acknowledgements import MAX_WHO
from streams.errors import ConfigError, GridclockError
from streams.loopback import is_loopback
from streams.settings import Settings

Network = IPv4Network | IPv6Network
Headers = Callable[[str], Sequence[str]]
"""The values of a header, by its name: one for each time that it stands there."""

Reason = Literal["off", "not_the_proxy", "no_user", "bad_header", "not_in_group", "other_site"]
"""Why somebody may not act; the page has words of its own for each."""

LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_GROUPS: Final = 200
_PRINTABLE: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{{1,{MAX_WHO}}}")


class MayNotAct(GridclockError):
    """The request is answered 403; the text says why, and what to do."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Login:
    """Which headers are believed, from which addresses, and who of those logged in may act; see ``login_of``."""

    header: str
    groups_header: str = ""
    may_act: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = LOOPBACK

    def person(self, peer: str | None, headers: Headers) -> str:
        """The name of the person who may act; ``peer`` is the address of the connection's other end.

        Raises:
            MayNotAct: where nobody is logged in who may.
        """
        if not self._is_proxy(peer):
            raise MayNotAct("not_the_proxy", "open the board through its proxy: no log-in is taken from this address")
        name = self._only(headers, self.header)
        if name is None:
            raise MayNotAct("no_user", f"nobody is logged in: the proxy sent no header {self.header}")
        if not _PRINTABLE.fullmatch(name):
            raise MayNotAct("bad_header", f"the header {self.header} is longer than {MAX_WHO} or not plain text")
        if self.may_act and self.may_act.isdisjoint(self._groups(headers)):
            raise MayNotAct("not_in_group", f"in none of the groups that may act: {', '.join(sorted(self.may_act))}")
        return name

    def _is_proxy(self, peer: str | None) -> bool:
        if peer is None:
            return False
        address = ip_address(peer.partition("%")[0])  # without the zone of a link-local address
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.proxies)

    def _groups(self, headers: Headers) -> Iterable[str]:
        found = self._only(headers, self.groups_header) or ""
        return [group.strip() for group in found.split(",", _GROUPS)][:_GROUPS]

    @staticmethod
    def _only(headers: Headers, name: str) -> str | None:
        found = headers(name)
        if len(found) > 1:
            raise MayNotAct(
                "bad_header", f"the header {name} stands there twice: the proxy must replace what it is sent"
            )
        return found[0].strip() or None if found else None


def login_of(settings: Settings) -> Login | None:
    """The log-in that the settings describe; ``None`` where nobody acts from the board.

    Raises:
        ConfigError: where they would let anybody in, or cannot work.
    """
    more = {
        "board_trust_groups_header": settings.board_trust_groups_header,
        "board_may_act": settings.board_may_act,
        "board_trust_proxies": settings.board_trust_proxies,
    }
    if not settings.board_trust_header:
        for key, value in more.items():
            if value:
                raise ConfigError("needs --trust-header, which names the header of the person", key=key)
        return None
    if settings.board_may_act and not settings.board_trust_groups_header:
        raise ConfigError(
            "needs --trust-groups-header, which names the header of the person's groups", key="board_may_act"
        )
    if not settings.board_trust_proxies and not is_loopback(settings.board_host):
        raise ConfigError(
            f"whoever reaches {settings.board_host} could send {settings.board_trust_header} and act as anybody: name "
            "the proxy's addresses with --trust-proxy, or serve on 127.0.0.1 with the proxy on the same machine",
            key="board_trust_header",
        )
    return Login(
        settings.board_trust_header,
        settings.board_trust_groups_header,
        frozenset(settings.board_may_act),
        tuple(ip_network(one) for one in settings.board_trust_proxies) or LOOPBACK,
    )
