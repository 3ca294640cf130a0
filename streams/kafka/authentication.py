"""Checks the login at the brokers once, before the real clients start.

The clients retry for a long time, and their error does not name the reason: kafka-python reports a wrong password as a
broker of unknown version. This check costs one more connection and gives one clear message.
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
    """Log in to the first broker that can be reached, and disconnect. ``options`` are those of aiokafka's clients.

    Brokers that do not answer are no error here: the clients retry longer.

    Raises:
        BrokerError: where a broker refuses the login, or its certificate is not trusted.
    """
    if options["security_protocol"] == "PLAINTEXT":
        return
    given = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    asyncio.run(_check_login(options["bootstrap_servers"].split(","), given))


async def _closed(connection: AIOKafkaConnection) -> None:
    """Close the connection; wait briefly, because a socket that was never opened does not confirm."""
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
            if isinstance(error.__cause__, ssl.SSLError):  # after the handshake: the broker refuses our certificate
                reason = error.__cause__.reason or type(error.__cause__).__name__
                raise BrokerError(f"{server}: no TLS connection: {reason}") from error
