"""A worker on Faust: its agent over the log, its table of state. ``faust_extensions`` is the only other Faust module.

Faust does: consumer groups and their rebalances, the agent's stream over the log, committing its offsets, and the
table: recovery from the changelog, and the local store. It does not write the changelog. Faust's own table write sends
one message at a time and puts a value into the local store before the broker has it, so a store could be ahead of its
changelog after a kill. Here the rows changed by one log record are sent together, acknowledged, and only then put into
the local store, through the same call by which Faust applies a changelog in recovery.

The position in the state defines how far the log has been applied; the group's committed offset is only where reading
begins. Where the two differ, the log is read on from the position. This is common: at the end of recovery, Faust 0.15.3
fetches records, drops them and counts them as read, so that a partition starts some records late after a start or a
rebalance, or stops. Therefore also ``_watch``.

Therefore no standby replicas either. The same error affects the changelog partitions that a worker only copies, and
there it is not visible: the copy lacks rows although its offset includes them, and a worker that takes over from it has
lost subjects. Instead a store is filled from the changelog in batches (``FillingRecovery``), before Faust checks
whether there is anything to recover: some 50,000 rows a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import faust
from faust.types import TP

from streams.errors import BrokerError
from streams.kafka.acls import permissions_of
from streams.kafka.connection import permissions_at
from streams.kafka.producer import BackPressure
from streams.live.applied import Applied, Row
from streams.live.changelog import Kept
from streams.live.clock_partition import ClockPartition, position_key, recreated
from streams.live.faust_extensions import LocalStores, app_of, apply_rows
from streams.live.intake import Intake
from streams.live.local_store import (
    LocalStoreError,
    damaged,
    kept_row,
    kept_rows,
    listen_to,
    remove_damaged,
    row_at_rest,
)
from streams.live.quarantine import MOST_TRIES, cause_of, is_fault
from streams.live.setting_aside import SettingAside
from streams.live.worker_parts import Clocks, Topics, in_pieces, restore
from streams.settings import Settings
from streams.wall_clock import monotonic
from streams.wire.state_rows import checksum_of, position_from_bytes

logger = logging.getLogger(__name__)

STOOD_STILL: Final = 0.8
"""A worker that did not run for this part of its session must assume that it has lost its partitions."""

AGAIN: Final = 3
"""How often a partition that makes no progress is read again, or rows overwritten by another process are rewritten."""

RECORDS_TOGETHER, GATHERED_WITHIN = 32, 0.015
"""Records of the log taken together, so that no partition waits for another one's acknowledgements; and the seconds
for which the first waits for others: those of one batch come together."""


class Worker:
    """One worker process: intake and clocks in one Faust app. ``run`` until ``stop`` is set.

    ``on_failed`` gets the reason why the worker cannot continue, before it tries to stop in order; a crashed app may
    hang.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        clocks: Clocks,
        intake: Intake,
        *,
        waits: BackPressure,
        client_id: str,
        on_failed: Callable[[Exception], None],
    ) -> None:
        self.partitions = clocks.partitions
        self._topics = topics
        self._changelog = topics.changelog
        self._handlers = clocks
        self._waits = waits
        self._intake = intake
        self._on_failed = on_failed
        self._permissions = permissions_at(settings, permissions_of("run", settings), without="describe")
        self._assigned_at = monotonic()
        self._log_topic = settings.log_topic
        self._session = settings.session_s
        self._memory = settings.memory
        self._verified: dict[int, int] = {}  # partition: generation of the group in which its engine was last checked
        self._begun: dict[int, int] = {}  # partition: generation of the group since which this worker writes its rows
        self._proven: set[int] = set()  # partitions with a record applied by this process
        self._first = asyncio.Lock()
        self._applying: set[int] = set()  # partitions with a record being applied
        self._follows: set[int] = set()  # partitions whose local store has every row of the changelog
        self._old_copies: set[int] = set()  # partitions whose local store may lack deletions compacted away since
        self._alive_at = monotonic()
        self._restored_at = 0.0
        self._queue: asyncio.Queue[Any] | None = None  # records read and waiting to be applied
        self.app = app = app_of(settings, client_id, topics.read_changelog)
        self._on_disk = settings.store == "rocksdb"
        self.table = app.Table(
            "state",
            key_type=bytes,
            value_type=bytes,
            partitions=topics.log_partitions,
            options={"driver": "rocksdict"} if self._on_disk else None,
        )
        self._aside = SettingAside(
            settings.log_topic, clocks.make, clocks.encode,
            row_of=partial(kept_row, self.table.data), rows_of=partial(kept_rows, self.table.data),
            keep_position=self._keep_position, write_control=topics.write_control,
        )  # fmt: skip
        self._store_failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._on_disk:
            # Faust logs most errors of its store and retries for ever, or treats them as a lock and waits.
            listen_to(self.table.data, self._on_store_trouble)
            self.table.data.rocksdb_options = LocalStores(settings.memory)
        raw = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        log = app.topic(settings.log_topic, schema=raw, partitions=topics.log_partitions)
        app.agent(log, name="clocks")(self._clocks)
        app.on_partitions_revoked.connect(self._doubt_partitions)
        app.on_partitions_assigned.connect(self._drop_partitions)

    @property
    def is_recovering(self) -> bool:
        """Whether the state of some partition is being restored."""
        return bool(self.app.in_recovery)

    # -- clocks ------------------------------------------------------------------------------------------

    async def _clocks(self, stream: Any) -> None:
        self._queue = stream.channel.queue
        async for events in stream.take_events(RECORDS_TOGETHER, GATHERED_WITHIN):
            by_partition: dict[int, list[Any]] = {}
            for event in events:
                by_partition.setdefault(event.message.partition, []).append(event.message)
            # Partitions in parallel: each record waits for the broker two or three times, whatever its size.
            outcomes = await asyncio.gather(*map(self._apply_all, by_partition.values()), return_exceptions=True)
            failed = next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None)
            if failed is not None:
                # Faust would log it, acknowledge the records and continue: a loss. The worker ends instead, and the
                # next owner of the partition begins with the first of them.
                await self.app.crash(failed)
                await asyncio.Event().wait()

    async def _apply_all(self, messages: list[Any]) -> None:
        """Apply records of one partition in order: rows may be ahead of their position by one record only."""
        for message in messages:
            if self._handlers.on_headers is not None:
                self._handlers.on_headers(message.headers)
            await self._apply(message.partition, message.offset, message.value or b"", message.generation_id)

    async def _apply(self, number: int, offset: int, raw: bytes, generation: int) -> None:
        """Apply a record; after a failure again, with the cause set aside (``quarantine``)."""
        self._applying.add(number)
        try:
            if number in self._proven:
                return await self._apply_tried(number, offset, raw, generation)
            async with self._first:
                if self._is_ours(number):
                    self._begin(number, generation)
                    is_first = await self._aside.before_first(number, offset, raw)
                    if is_first and self._aside.has_more(self.partitions.get(number)):
                        self._begin_again(number)
                    await self._apply_tried(number, offset, raw, generation)
                    if is_first and number in self.partitions and self.partitions[number].offset == offset:
                        self._proven.add(number)
        finally:
            self._applying.discard(number)

    async def _apply_tried(self, number: int, offset: int, raw: bytes, generation: int) -> None:
        for tries in range(MOST_TRIES):
            try:
                return await self._apply_once(number, offset, raw, generation)
            except Exception as error:
                if not is_fault(error) or not self._is_ours(number) or tries == MOST_TRIES - 1:
                    raise
                logger.warning("%s/%d/%d: tried again after %s", self._log_topic, number, offset, cause_of(error))
                if tries:
                    restored = partial(self._take_over, number, generation)
                    await self._aside.set_aside(number, offset, raw, error, restored)
                    self._begin_again(number)

    async def _apply_once(self, number: int, offset: int, raw: bytes, generation: int) -> None:
        began = monotonic()
        if self._verified.get(number) != generation:
            await self._take_over(number, generation)
        partition = self.partitions[number]
        if offset > partition.offset + 1 and await self._read_back(number, partition.offset + 1):
            return
        if offset == partition.offset:
            self._check_record(partition, raw)
        try:
            skipped = self._aside.skipped.pop((number, offset), None)
            record = partition.read(raw) if skipped is None else skipped
            applied = await in_pieces(partition.applying(record, offset))
            if applied is None or self.partitions.get(number) is not partition:
                return  # applied already, or the partition was revoked; its new worker begins from the rows
            if skipped is not None:
                applied.skipped = offset, skipped.skipped[offset], raw
            output = self._handlers.encode(applied)
            self._check_alive()  # of a case the last record counts
            await self._handlers.emit(output)
            await self._keep(number, partition, applied)
            if number in self._follows:
                partition.engine.rest(self._memory // max(1, len(self.partitions)))
        except BaseException:
            self._begin_again(number)
            raise
        self._handlers.on_applied(applied, monotonic() - began)

    def _is_ours(self, number: int) -> bool:
        return TP(self._log_topic, number) in self.app.consumer.assignment()

    def _begin_again(self, number: int) -> None:
        """The engine in memory is ahead of the stored rows: it must be restored from them."""
        self._verified.pop(number, None)
        self.partitions.pop(number, None)

    async def _keep_position(self, number: int, row: bytes) -> None:
        written = await self._written(number, [(position_key(number), row)])
        if not written.alone:
            raise BrokerError(f"another process wrote to {self._changelog.topic}/{number}: this worker ends")
        apply_rows(self.table, self._changelog.topic, number, written.rows, written.among[-1])

    async def _keep(self, number: int, partition: ClockPartition, applied: Applied) -> None:
        self._check_alive()
        kept = await self._written(number, applied.rows)
        for _ in range(AGAIN):
            if kept.alone:
                break
            self._check_alive()
            logger.warning(
                "partition %d: another process wrote to %s: rewriting all rows", number, self._changelog.topic
            )
            self._follows.discard(number)  # the store lacks the other process's rows; recovery will read them
            rows = partition.all_rows()
            # The other rows may be of subjects dropped since: such a row would restore an open case.
            among = self._topics.read_changelog({number: kept.among})
            theirs = {record.key async for _, records in among for record in records} - {key for key, _ in rows}
            kept = await self._written(number, [*((key, None) for key in sorted(theirs)), *rows])
            # The last record of a case may be the other process's, too.
            await self._handlers.emit(self._handlers.encode(partition.all_cases()))
        if not kept.alone:
            raise BrokerError(f"another process keeps writing to {self._changelog.topic}/{number}: this worker ends")
        if number in self._follows:
            apply_rows(self.table, self._changelog.topic, number, kept.rows, kept.among[-1])

    def _on_store_trouble(self, error: LocalStoreError) -> None:
        if not self._store_failed.done():
            self._store_failed.set_exception(error)

    async def _written(self, number: int, rows: Sequence[Row]) -> Kept:
        with self._waits.on(f"topic {self._changelog.topic}"):
            return await self._changelog.keep(number, rows)

    # -- whose partitions --------------------------------------------------------------------------------

    async def _doubt_partitions(self, _app: Any, revoked: set[TP], **_kwargs: Any) -> None:
        self._verified.clear()
        self._begun.clear()

    async def _drop_partitions(self, _app: Any, assigned: set[TP], **_kwargs: Any) -> None:
        self._verified.clear()
        self._begun.clear()
        self._assigned_at = monotonic()
        ours = {tp.partition for tp in assigned if tp.topic == self._log_topic}
        self._proven &= ours
        for number in self.partitions.keys() - ours:
            self.partitions.pop(number, None)

    def _is_restoring(self) -> None:
        self._restored_at = monotonic()

    def _begin(self, number: int, generation: int) -> None:
        """Continue the changelog from the recovered offset, once per generation of the group."""
        if self._begun.get(number) != generation:
            changelog = TP(self._changelog.topic, number)
            known = self.app.tables.recovery.active_highwaters.get(changelog), self.table.persisted_offset(changelog)
            ends = [end for end in known if end is not None]
            self._changelog.begin(number, max(ends) + 1 if ends else None)
            self._follows.add(number)
            self._begun[number] = generation

    async def _take_over(self, number: int, generation: int) -> ClockPartition:
        """Make sure that the engine is at the position of the state, which Faust has recovered by now.

        Most rebalances do not move a partition. Its engine is still valid if it is at the stored position.
        """
        self._begin(number, generation)
        rows = kept_rows(self.table.data, number)
        first = next(rows, None)
        position = first[1] if first is not None and first[0] == position_key(number) else None
        partition = self.partitions.get(number)
        kept = -1 if position is None else position_from_bytes(position).offset
        if partition is None or partition.offset != kept:
            partition = self._handlers.make(number)
            partition.read_rows_by(partial(row_at_rest, self.table.data, number))
            await restore(partition, position, rows, self._is_restoring)
            self.partitions[number] = partition
            if number in self._old_copies and (miscounted := partition.miscounted()) is not None:
                self.partitions.pop(number)
                raise damaged(self.table.data.partition_path(number), miscounted)
            self._handlers.on_recovered(monotonic() - self._assigned_at)
        await self._check_log(partition)
        await self._aside.log(partition)
        self._verified[number] = generation
        if self._on_disk:
            self._old_copies.add(number)  # for the next time: another worker may have had it for long by then
        return partition

    async def _check_log(self, partition: ClockPartition) -> None:
        """Make sure that the log is the one from which the state was made: it has the record of the position.

        That it ends before the position counts only after a session: a broker that was the leader until now may still
        answer, without the newest records. A record that retention has removed proves nothing.

        Raises:
            StateError: where the log was recreated.
        """
        number, offset = partition.partition, partition.offset
        until = monotonic() + self._session
        while offset >= 0:
            at_position = self._topics.read_log({number: range(offset, offset + 1)})
            found = [record.value async for _, records in at_position for record in records]
            if found:
                return self._check_record(partition, found[0])
            end = (await self._topics.log_ends([number])).get(number)
            if end is not None and offset < end:
                return None
            if end is not None and monotonic() > until:
                raise recreated(number, offset, f"{self._log_topic} ends at {end}")
            await asyncio.sleep(0.5)

    def _check_record(self, partition: ClockPartition, raw: bytes) -> None:
        """``raw`` is the record of the log at the position."""
        if partition.checksum not in (None, checksum_of(raw)):
            raise recreated(partition.partition, partition.offset, f"{self._log_topic} has another record there")

    async def _read_back(self, number: int, wanted: int) -> bool:
        """Seek the log to the record before an offset, which is checked; false where the offset no longer exists."""
        tp = TP(self._log_topic, number)
        earliest = (await self.app.consumer.earliest_offsets(tp)).get(tp)
        if earliest is not None and earliest > wanted:
            logger.error("%s/%d: records %d to %d are gone unread", self._log_topic, number, wanted, earliest - 1)
            return False
        logger.info("%s/%d: reading on from the position, %d", self._log_topic, number, wanted)
        await self.app.consumer.seek_wait({tp: max(earliest or 0, wanted - 1)})
        return True

    # -- run ---------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Start, work until ``stop`` is set, end in order.

        Raises: Exception: the reason why the worker cannot continue.
        """
        app = self.app
        self._alive_at = monotonic()
        for path in remove_damaged(app.conf.tabledir):
            logger.warning("%s was damaged and has been removed; it is rebuilt from the changelog", path)
        if self._on_disk:
            path_of = self.table.data.partition_path
            self._old_copies = {number for number in range(self._topics.log_partitions) if path_of(number).exists()}
        starting = asyncio.create_task(app.start())
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._pulse()),
            asyncio.create_task(stop.wait()),
            asyncio.create_task(self._permissions.watch()),
            self._store_failed,
        ]
        try:
            await asyncio.wait([starting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in tasks):
                starting.result()
                reading = asyncio.create_task(self._read_sources())
                tasks += [
                    reading,
                    asyncio.create_task(self._watch()),
                    asyncio.create_task(self._waits.watch()),
                    asyncio.create_task(app.wait_until_stopped()),
                ]
                on_ready()
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                self._intake.stop()
                await asyncio.wait([reading], timeout=self._session)
        finally:
            failed = await self._end([*tasks, starting])
        if failed is not None:
            raise failed

    async def _read_sources(self) -> None:
        # A first record may kill the process. If it were joining the intake's group then, brokers would wait five
        # minutes.
        until = monotonic() + self._session
        while monotonic() < until:
            tps = [tp for tp in self.app.consumer.assignment() if tp.topic == self._log_topic]
            ends = await self._topics.log_ends([tp.partition for tp in tps])
            if not any(
                end > self._aside.position(one).offset + 1 for one, end in ends.items() if one not in self._proven
            ):
                break
            await asyncio.sleep(0.1)
        await self._intake.run()

    async def _end(self, tasks: list[asyncio.Future[Any]]) -> Exception | None:
        """Stop everything; returns the reason why the worker could not continue, if any."""
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(self._store_failed, *tasks, return_exceptions=True)
        reasons = [outcomes[0], self.app.crash_reason if self.app.crashed else None, *outcomes]
        failed = next((reason for reason in reasons if isinstance(reason, Exception)), None)
        if failed is not None:
            for name in ("faust", "mode"):  # further errors of a crashed app have no value
                logging.getLogger(name).setLevel(logging.CRITICAL)
        stopping = asyncio.create_task(self.app.stop())
        began = monotonic()
        if failed is not None:
            failed = await self._permissions.reason(failed)
            logger.error("this worker cannot go on: %s", failed)
            self._on_failed(failed)
        while not stopping.done() and (failed is None or monotonic() - began < self._session):
            await asyncio.wait([stopping], timeout=1)
            if failed is None and (held_up := self._waits.overdue()) is not None:
                failed = BrokerError(f"{held_up}: this worker ends without waiting for it; nothing is lost")
                self._on_failed(failed)
        stopping.cancel()
        # A crashed app may not stop cleanly; the first reason counts.
        late = (await asyncio.gather(stopping, return_exceptions=True))[0]
        return failed or (late if isinstance(late, Exception) else None)

    async def _watch(self) -> None:
        """Read a partition again from its position when it makes no progress although its log grows.

        Raises:
            BrokerError: where that does not help.
            StateError: where the log ends before what has been read of it.
        """
        standing: dict[int, tuple[int, float, int]] = {}  # position, since when, how often read again
        while True:
            await asyncio.sleep(1)
            restoring = self.is_recovering or monotonic() - self._restored_at < self._session
            busy = self._queue is not None and not self._queue.empty()  # the partition may only be waiting for its turn
            if self.app.rebalancing or restoring or busy or self._waits.overdue() is not None:
                standing.clear()
                continue
            tps = [tp for tp in self.app.consumer.assignment() if tp.topic == self._log_topic]
            ends = await self._topics.log_ends([tp.partition for tp in tps])
            for tp in tps:
                partition = self.partitions.get(tp.partition)
                wanted = partition.offset + 1 if partition is not None else 0
                at, since, tries = standing.setdefault(tp.partition, (wanted, monotonic(), 0))
                if at != wanted or tp.partition in self._applying or wanted == (end := ends.get(tp.partition, wanted)):
                    standing.pop(tp.partition)
                elif monotonic() - since > self._session:
                    if wanted > end:
                        raise recreated(tp.partition, wanted - 1, f"{self._log_topic} ends at {end}")
                    if tries == AGAIN:
                        raise BrokerError(f"{tp.topic}/{tp.partition} stands still at {wanted}: this worker ends")
                    logger.warning("%s/%d stands still at %d: reading it again", tp.topic, tp.partition, wanted)
                    standing[tp.partition] = wanted, monotonic(), tries + 1
                    await self.app.consumer.seek_wait({tp: max(0, wanted - 1)})  # see ``_check_record``

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._check_alive()
            self._alive_at = monotonic()

    def _check_alive(self) -> None:
        still = monotonic() - self._alive_at
        if still > STOOD_STILL * self._session:
            raise BrokerError(
                f"this process stood still for {still:.0f} s: its partitions may be at work elsewhere, so it ends"
            )
