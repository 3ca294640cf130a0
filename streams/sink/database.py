"""PostgreSQL as the sink uses it: one session that owns the schema, and rows written together with their offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from streams.errors import ConfigError
from streams.settings import Settings, revealed
from streams.sink.rows import COLUMNS, KEYS, Table
from streams.sink.schema import MIGRATIONS
from streams.sink.target import Batch, Moved, Partition, SinkError

# A server whose machine vanished sends nothing: without these an answer is waited for by the hour.
NETWORK: Final = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip

_LOCK_SECONDS: Final = 20
"""How long a statement waits for a table that somebody has locked; then the sink says so, and can be stopped."""


def connection_options(settings: Settings) -> dict[str, Any]:
    """What libpq gets; the password apart from all that is ever printed.

    Raises:
        ConfigError: where the text is none that libpq knows, or holds a password.
    """
    try:
        options: dict[str, Any] = dict(psycopg.conninfo.conninfo_to_dict(settings.database))
    except psycopg.ProgrammingError:
        raise ConfigError(
            "is no address of a database: postgresql://USER@HOST:PORT/NAME or host=… dbname=…", key="database"
        ) from None
    if "password" in options:
        raise ConfigError(
            "holds a password: give it by GRIDCLOCK_DATABASE_PASSWORD or GRIDCLOCK_DATABASE_PASSWORD_FILE",
            key="database",
        )
    if (password := revealed(settings.database_password)) is not None:
        options["password"] = password
    return {**NETWORK, "application_name": f"gridclock sink {settings.name}", **options}


def lock_name(schema: str) -> str:
    """The name of the advisory lock that the session holds which writes to the schema."""
    return f"gridclock sink {schema}"


class DatabaseTarget:
    """The database and the schema in it that the settings name.

    Raises:
        ConfigError: as ``connection_options``.
    """

    # A server that is being replaced takes no writes for a while: a standby before it is promoted, or a full one.
    away: tuple[type[Exception], ...] = (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg.errors.ReadOnlySqlTransaction,
        # Limits of the server's, which end the session and are no operational errors.
        psycopg.errors.IdleInTransactionSessionTimeout,
        psycopg.errors.TransactionTimeout,
    )
    failed: tuple[type[Exception], ...] = (psycopg.Error,)
    afresh = "use another --schema, or drop this one"

    def __init__(self, settings: Settings) -> None:
        self._options = connection_options(settings)
        self._schema = settings.database_schema

    @property
    def place(self) -> str:
        """Database and schema, as messages name them."""
        where = f"database {self._options.get('host', 'local')}/{self._options.get('dbname', '')}"
        return f"{where}, schema {self._schema}"

    def remedy(self, error: Exception) -> str:
        """What to do where tables are not those that the sink made."""
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            return (
                ": somebody else changed its tables; restore them, or begin again from what the topics keep: "
                f"DROP SCHEMA {self._schema} CASCADE, and start the sink"
            )
        return ""

    def open(self) -> Database:
        """A connection."""
        return Database(self._options, self._schema)


class Database:
    """One connection; every method may raise ``psycopg.OperationalError`` where the server is away."""

    def __init__(self, options: Mapping[str, Any], schema: str) -> None:
        self._schema_name = schema
        self._schema = sql.Identifier(schema)
        self._connection = psycopg.connect(**options, autocommit=True, row_factory=tuple_row)
        self._connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")

    def close(self) -> None:
        """End the session; what was not committed is not there."""
        self._connection.close()

    def own(self) -> bool:
        """Take the schema for this session; false while another sink has it."""
        locked = self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [lock_name(self._schema_name)]
        ).fetchone()
        return locked is not None and bool(locked[0])

    def migrate(self) -> int:
        """Make the schema, or bring it up to this program's version, in one transaction; how many steps that took.

        Raises:
            SinkError: where a newer program made it.
        """
        with self._connection.transaction():
            self._do("CREATE SCHEMA IF NOT EXISTS {schema}")
            self._do("CREATE TABLE IF NOT EXISTS {schema}.migrations (version integer PRIMARY KEY)")
            found = self._do("SELECT coalesce(max(version), 0) FROM {schema}.migrations").fetchone()
            version = 0 if found is None else int(found[0])
            if version > len(MIGRATIONS):
                raise SinkError(
                    f"schema {self._schema_name} has version {version}, this program knows {len(MIGRATIONS)}: "
                    "go on with the newer program"
                )
            for number, statements in enumerate(MIGRATIONS[version:], version + 1):
                self._do(statements)
                self._do("INSERT INTO {schema}.migrations VALUES (%s)", [number])
        return len(MIGRATIONS) - version

    def offsets(self) -> dict[Partition, int]:
        """Where to read on, by partition."""
        found = self._do("SELECT topic, partition, next_offset FROM {schema}.offsets").fetchall()
        return {(topic, partition): offset for topic, partition, offset in found}

    def write(self, batch: Batch) -> None:
        """Write rows and offsets in one transaction.

        Raises:
            Moved: where the offsets are not those that the batch was read from.
        """
        with self._connection.transaction():
            self._move(batch.offsets)
            for table, rows in batch.rows.items():
                self._upsert(table, [row for row in rows.values() if row is not None])
                self._delete(table, [key for key, row in rows.items() if row is None])
            self._refuse(batch.refused)

    def settle(self, *, is_end: bool = False) -> None:
        """Nothing: what was written is there for readers."""

    def _do(self, text: str, values: Sequence[Any] | None = None) -> psycopg.Cursor[Any]:
        # The texts are this module's and the migrations'; only the schema's name is put in.
        return self._connection.execute(self._named(text), values)

    def _named(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(schema=self._schema)

    def _move(self, offsets: Mapping[Partition, tuple[int, int]]) -> None:
        for (topic, partition), (since, until) in sorted(offsets.items()):
            self._do(
                "INSERT INTO {schema}.offsets VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", [topic, partition, since]
            )
            moved = self._do(
                "UPDATE {schema}.offsets SET next_offset = %s WHERE topic = %s AND partition = %s AND next_offset = %s",
                [until, topic, partition, since],
            )
            if moved.rowcount != 1:
                raise Moved

    def _upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        columns, key = COLUMNS[table], KEYS[table]
        statement = sql.SQL(
            "INSERT INTO {schema}.{table} ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {changes}"
        ).format(
            schema=self._schema,
            table=sql.Identifier(table),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(map(sql.Placeholder, columns)),
            key=sql.Identifier(key),
            changes=sql.SQL(", ").join(
                sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(column)) for column in columns if column != key
            ),
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    def _delete(self, table: Table, keys: Sequence[str]) -> None:
        if keys:
            statement = sql.SQL("DELETE FROM {}.{} WHERE {} = ANY(%s)").format(
                self._schema, sql.Identifier(table), sql.Identifier(KEYS[table])
            )
            self._connection.execute(statement, [list(keys)])

    def _refuse(self, refused: Iterable[tuple[str, int, int, str, bytes | None]]) -> None:
        for values in refused:
            self._do("INSERT INTO {schema}.refused VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", values)
