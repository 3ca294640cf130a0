"""Instants: whole microseconds since 1970-01-01T00:00:00Z, and their ISO 8601 text.

Integers compare, add and hash without time zones. Text is read and written at the edges only.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

UTC: Final = timezone.utc  # noqa: UP017 (the name below is what this module is about)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def instant_us(moment: datetime) -> int:
    """An aware datetime as an instant.

    Raises:
        TypeError: for a naive one.
    """
    return (moment - EPOCH) // _MICROSECOND


def moment_of(instant: int, zone: tzinfo = UTC) -> datetime:
    """An instant as an aware datetime of a zone."""
    return (EPOCH + timedelta(microseconds=instant)).astimezone(zone)


def format_us(instant: int, zone: tzinfo = UTC) -> str:
    """``2026-03-02T09:00:00.000+08:00``; milliseconds, or microseconds where there are any."""
    moment = moment_of(instant, zone)
    return moment.isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds")
