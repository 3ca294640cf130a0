"""What the database says of the sink, for ``gridclock status``: who writes, and how far it is. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from streams.settings import Settings
from streams.sink.database import DatabaseTarget, connection_options, lock_name
from streams.sink.target import Partition

_WRITER = """
SELECT coalesce(host(client_addr), 'local') FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)
"""


@dataclass(frozen=True, slots=True)
class SinkState:
    """The sink of a database at one look.

    ``away`` is the reason why the database cannot be asked; ``writer`` the address of the process that writes, ``None``
    where there is none; ``behind`` the records of each partition that are not written yet.
    """

    place: str
    away: str | None = None
    writer: str | None = None
    written: Mapping[Partition, int] = field(default_factory=dict)
    behind: Mapping[Partition, int] = field(default_factory=dict)


def observe_sink(settings: Settings, begins: Mapping[Partition, int], ends: Mapping[Partition, int]) -> SinkState:
    """The sink that writes to the database of the settings, by the first and the end offsets of its partitions.

    A topic of which nothing was ever written counts only where nothing of any was: a sink may write one of the two.

    Raises:
        ConfigError: where the address of the database is none.
    """
    place, schema = DatabaseTarget(settings).place, settings.database_schema
    options = connection_options(settings) | {"application_name": f"gridclock status {settings.name}"}
    try:
        with psycopg.connect(**options, autocommit=True) as connection:
            writer = connection.execute(_WRITER, [lock_name(schema)]).fetchone()
            try:
                statement = sql.SQL("SELECT topic, partition, next_offset FROM {}.offsets")
                rows = connection.execute(statement.format(sql.Identifier(schema))).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                rows = []  # no sink has begun
    except psycopg.Error as error:
        return SinkState(place, (str(error).strip() or type(error).__name__).splitlines()[0])
    known = {(topic, partition): offset for topic, partition, offset in rows}
    topics = {topic for topic, _ in known} or {topic for topic, _ in ends}
    written = {part: known.get(part, begins[part]) for part in ends if part[0] in topics}
    behind = {part: max(0, ends[part] - offset) for part, offset in written.items()}
    return SinkState(place, None, None if writer is None else writer[0], written, behind)
