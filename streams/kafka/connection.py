"""Connections of this program's processes to the brokers: clock, client options, permissions to check."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from streams.kafka.acls import Permission
from streams.kafka.permissions import Permissions
from streams.settings import Settings
from streams.wall_clock import WallClock


def clock_of(settings: Settings) -> WallClock:
    """The clock of the settings: real time unless they scale it."""
    if settings.clock_origin is None:
        return WallClock()
    if settings.clock_anchor is None:
        return WallClock.scaled(settings.clock_origin, settings.clock_speed)
    return WallClock(
        settings.clock_anchor, settings.clock_origin, Fraction(settings.clock_speed).limit_denominator(1000)
    )


def kafka_options(settings: Settings) -> dict[str, Any]:
    """The options of aiokafka's clients: brokers and security."""
    return {"bootstrap_servers": settings.bootstrap, **settings.security()}


def permissions_at(settings: Settings, permissions: Iterable[Permission], *, without: str | None = None) -> Permissions:
    """The permissions to check at the brokers, except for one operation; none without authentication."""
    wanted = [
        (permission.resource, permission.name, operation)
        for permission in permissions
        for operation in permission.operations
    ]
    asked = settings.security_protocol != "PLAINTEXT"
    return Permissions(settings, [one for one in wanted if asked and one[2] != without], kafka_options(settings))
