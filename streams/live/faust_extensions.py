"""Changes to Faust, and the app with this program's settings.

A consumer with a different fetch wait, a table whose store is filled before Faust recovers it, credentials from
aiokafka's options, and changelog events as the table's store reads them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import faust
from faust.transport.drivers import aiokafka as drivers
from faust.types import TP

from streams.kafka.connection import kafka_options
from streams.live.local_store import directory_of
from streams.settings import Settings

BLOCK_CACHE = 16 * 1024 * 1024
"""Bytes for each partition's local store; Faust's default is two gigabytes."""

WRITE_BUFFER = 4 * 1024 * 1024
"""Bytes in memory before a local store writes a file, at most twice that; Faust's default is three times 64 MB."""

ROCKSDB: Final = {
    "driver": "rocksdict",
    "block_cache_size": BLOCK_CACHE,
    "write_buffer_size": WRITE_BUFFER,
    "max_write_buffer_number": 2,
}


@dataclass(frozen=True, slots=True)
class _Message:
    """The part of a changelog message that the table's store reads."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class _Written:
    """A changelog event that has been acknowledged."""

    message: _Message

    @property
    def key(self) -> bytes:
        return self.message.key

    @property
    def value(self) -> bytes | None:
        return self.message.value


def _consumer_that_waits(milliseconds: int) -> Any:
    """Faust's consumer with a fetch wait other than its fixed 1.5 seconds.

    A real broker answers as soon as it has data, so the wait does not matter. The embedded broker holds an empty answer
    to the end of the wait, also when data arrives meanwhile, and gives one batch per answer: with 1.5 seconds it would
    lag by minutes.
    """

    class Thread(drivers.AIOKafkaConsumerThread):  # type: ignore[misc]
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._fetch_max_wait_ms = milliseconds
            return consumer

    class Consumer(drivers.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

    return Consumer


def credentials_of(security: Mapping[str, Any]) -> faust.Credentials | None:
    """Faust's credentials from aiokafka's options, so that both connect to the brokers in the same way."""
    context = security.get("ssl_context")
    if str(security["security_protocol"]).startswith("SASL"):
        return faust.SASLCredentials(
            mechanism=security["sasl_mechanism"],
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


def _table_filled_by(fill: Callable[[set[TP]], Awaitable[None]]) -> type[faust.Table[Any, Any]]:
    """Faust's table, with a hook that fills its store before Faust's recovery."""

    class Filled(faust.Table):  # type: ignore[misc]
        async def on_rebalance(
            self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
        ) -> None:
            await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
            await fill(newly_assigned)

    return Filled


def app_of(settings: Settings, client_id: str, fill: Callable[..., Awaitable[None]]) -> Any:
    """Faust's app with this program's settings."""
    options = kafka_options(settings)
    app = faust.App(
        settings.name,
        broker=[f"kafka://{server}" for server in settings.bootstrap.split(",")],
        broker_client_id=client_id,
        broker_credentials=credentials_of(options),
        store=f"{settings.store}://",
        datadir=str(directory_of(settings)),
        topic_allow_declare=False,  # topics are created, with their settings, before the app starts
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=16,  # records of the log are batches of up to half a megabyte
        stream_wait_empty=True,  # a record being applied is finished before its partition is revoked
        broker_max_poll_records=16,
        consumer_metadata_max_age_ms=5_000,  # how soon a recreated log is noticed
        consumer_max_fetch_size=2 * 1024 * 1024,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=settings.session_s / 5,
        loghandlers=[],
        Table=_table_filled_by(fill),
    )
    app.conf.table_cleanup_interval = 3600
    app.transport.Consumer = _consumer_that_waits(settings.fetch_wait_ms)
    return app


def changelog_events(topic: str, partition: int, rows: Iterable[tuple[int, bytes, bytes | None]]) -> list[_Written]:
    """Rows that were acknowledged, as the table's store takes them."""
    return [_Written(_Message(topic, partition, offset, key, value)) for offset, key, value in rows]
