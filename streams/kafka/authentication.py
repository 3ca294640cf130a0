"""Whether brokers that ask who one is let us in: tried once, before the real clients begin.

Those try again and again, and what they say in the end is not why: kafka-python takes a wrong password for a broker of
an unknown version. One connection more is the price of one clear line.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from streams.errors import BrokerError

_SECONDS = 10.0
_CLOSING_SECONDS = 0.5


def check_login(options: Mapping[str, Any]) -> None:
    """Log in to the first broker that can be reached, and leave. ``options`` are those of aiokafka's clients.

    A broker that does not answer at all is left to the clients, which try longer.

    Raises:
        BrokerError: where one refuses us, or shows a certificate that we do not trust.
    """
    if options["security_protocol"] == "PLAINTEXT":
        return
    given = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    asyncio.run(_check_login(options["bootstrap_servers"].split(","), given))


async def _closed(connection: AIOKafkaConnection) -> None:
    """Give the socket its time to close; where none was opened, this is waited for in vain, but not long."""
    with contextlib.suppress(TimeoutError, OSError):
        closing = connection.close()
        if closing is not None:
            await asyncio.wait_for(closing, _CLOSING_SECONDS)


async def _check_login(servers: list[str], options: Mapping[str, Any]) -> None:
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(_SECONDS):
                connection = AIOKafkaConnection(host.strip("[]"), int(port), **options)
                try:
                    await connection.connect()
                    return
                finally:
                    await _closed(connection)
        except ssl.SSLCertVerificationError as error:
            raise BrokerError(f"{server}: its certificate is not trusted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise BrokerError(f"{server}: no TLS connection: {error.reason or type(error).__name__}") from error
        except (SaslAuthenticationFailed, UnsupportedSaslMechanismError) as error:
            user, mechanism = options.get("sasl_plain_username"), options.get("sasl_mechanism")
            raise BrokerError(f"{server}: user {user!r} is refused ({mechanism}): wrong name or password") from error
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            if isinstance(error.__cause__, ssl.SSLError):  # hung up on after the handshake: our certificate
                reason = error.__cause__.reason or type(error.__cause__).__name__
                raise BrokerError(f"{server}: no TLS connection: {reason}") from error
