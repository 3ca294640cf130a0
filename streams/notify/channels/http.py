"""HTTP for channels: one session each, no redirects, every failure as ``NotDelivered``."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp

from schemas.deliveries import UndeliveredReason
from streams.core.instants import instant_us
from streams.errors import ConfigError
from streams.notify.channels.contract import NotDelivered
from streams.wall_clock import WallClock

_AGAIN = frozenset({408, 425, 429})
_MOVED = frozenset({302, 303, 307})
"""Where a receiver stands behind a log-in or under maintenance; 301 and 308 say that it is so for good."""
_REAL = WallClock()


class Http:
    """Posts to one address. ``timeout_us`` is for the whole of one request."""

    def __init__(self, url: str, *, ca: str | None, timeout_us: int, key: str) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_us / 1e6)
        self._session: aiohttp.ClientSession | None = None
        try:
            self._tls = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot read the certificates in {ca}: {error}", key=key) from error

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post and wait for a 2xx answer.

        Raises:
            NotDelivered: for any other answer, and where there is none.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        try:
            # A redirect would carry a signed message to a receiver that is not configured.
            async with self._session.post(
                self._url.rstrip("/") + path if path else self._url,
                data=body,
                headers=dict(headers),
                ssl=self._tls,
                allow_redirects=False,
            ) as answer:
                _judge(answer.status, answer.headers)
        except TimeoutError as error:
            raise NotDelivered("timeout", f"no answer in {self._timeout.total:g} s", again=True) from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise NotDelivered("tls", type(error).__name__, again=True) from error
        except aiohttp.InvalidURL as error:
            raise NotDelivered("refused", "the address is none", again=False) from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            # Only the kind of error: its text contains the address.
            raise NotDelivered("unreachable", type(error).__name__, again=True) from error
        except aiohttp.ClientError as error:
            raise NotDelivered("bad_answer", type(error).__name__, again=True) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _judge(status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:
        return
    # All of 5xx: proxies and content networks have codes of their own there (520 to 530) for a receiver that is away.
    again = status >= 500 or status in _AGAIN or status in _MOVED
    reason: UndeliveredReason = "refused"
    if status == 429:
        reason = "rate_limited"
    elif again and status not in _MOVED:
        reason = "server_error"
    raise NotDelivered(reason, f"HTTP {status}", again=again, wait_us=_asked_us(headers) if again else 0)


def _asked_us(headers: Mapping[str, str]) -> int:
    """How long ``Retry-After`` asks to wait, in seconds or until a date; 0 where it cannot be read."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return int(asked) * 1_000_000 if len(asked) < 10 else 0
    until = _http_date(asked)
    if until is None:
        return 0
    # The receiver's clock may be wrong: what it says from its own "now" on is the length that it means.
    now = _http_date(headers.get("Date", ""))
    return max(0, until - (_REAL.now() if now is None else now))


def _http_date(text: str) -> int | None:
    try:
        found = parsedate_to_datetime(text)
        return instant_us(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
