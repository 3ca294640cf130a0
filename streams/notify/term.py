"""One process's time as the leader of the notifiers: restoring its state, its steps, its writes.

A step is one Kafka transaction; see ``notifier`` for how a leader is chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from pydantic import ValidationError

from schemas.acknowledgements import Acknowledgement
from schemas.alerts import AlertEvent
from schemas.deliveries import Undelivered, UndeliveredReason
from schemas.subscriptions import AlertmanagerChannel, SubscriptionFile
from streams.core.adoption import adopted
from streams.core.delivery import Planner
from streams.core.delivery_case import CaseState, Event
from streams.core.delivery_message import Delivery
from streams.core.instants import instant_us, moment_of
from streams.errors import GridclockError
from streams.kafka.topics import DAY_S
from streams.notify import delivery_rows as rows
from streams.notify.channels.contract import Channel, NotDelivered
from streams.notify.metrics import NotifyMetrics
from streams.notify.sending import Outcome, Sender, Trouble
from streams.settings import Settings
from streams.wall_clock import WallClock
from streams.wire.decoder import decode_json

logger = logging.getLogger(__name__)

POLL_MS = 100
"""How long a step waits for alerts; digests and escalations are late by this at most."""

SENDING_POLL_MS = 10
"""The same while messages are in flight: confirmed ones are recorded at once, so that a crash does not repeat them."""

SIGN_OF_LIFE_SECONDS = 3600.0
"""How often an idle leader writes a row: brokers forget a transactional id that is unused for a week."""

SETTLE_SECONDS = 5.0
"""How long running attempts may take when the process stops."""

KEEP_DAYS = 30
"""A case is dropped so long after its last change, at least; longer than alerts are kept on their topic."""

Row = tuple[str, bytes | None]


class LeadershipLost(GridclockError):
    """Another process has taken over."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The parameters common to all terms; see ``Notifier``. ``inputs`` counts partitions by topic."""

    settings: Settings
    file: SubscriptionFile
    clock: WallClock
    state: TopicPartition
    inputs: Mapping[str, int]
    open_channels: Callable[[], Mapping[str, Channel]]
    metrics: NotifyMetrics
    first_from_us: int


class Term:
    """One process's time as leader."""

    def __init__(self, setup: Setup, producer: AIOKafkaProducer, reader: AIOKafkaConsumer, lost: asyncio.Event) -> None:
        self._setup = setup
        self._producer = producer
        self._reader = reader
        self._lost = lost
        self._planner = Planner(setup.file, keep=kept_for(setup.file, setup.clock.speed))
        self._outbox: dict[str, Delivery] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._assigned: dict[str, int] = {}
        self._outcomes: list[Outcome] = []
        self._failed: set[str] = set()
        self._senders: dict[str, Sender] = {}
        self._troubles: dict[str, Trouble] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # -- beginning ---------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Read the rows, open the channels, continue with the messages in flight."""
        kept = await self._read_rows()
        cases: dict[str, CaseState] = {}
        acknowledged: dict[str, int] = {}
        silenced: dict[str, int] = {}
        over: list[Row] = []
        for key, raw in kept.items():
            kind, _, rest = key.partition("/")
            match f"{kind}/":
                case rows.CASE:
                    cases[rest] = rows.case_from_bytes(key, raw)
                case rows.ACKNOWLEDGED:
                    acknowledged[rest] = rows.number_from_bytes(key, raw)
                case rows.SILENCED:
                    silenced[rest] = rows.number_from_bytes(key, raw)
                case rows.DELIVERY:
                    self._outbox[rest] = rows.delivery_from_bytes(key, raw)
                case rows.CHANNEL:
                    over.append((key, None))  # of the leader before; this one tries all anew
                case rows.POSITION:
                    topic, _, number = rest.rpartition("/")
                    self._positions[TopicPartition(topic, int(number))] = rows.number_from_bytes(key, raw)
        self._planner.restore(cases, acknowledged, silenced)
        await self._assign()
        self._open()
        letters: list[Undelivered] = []
        over += self._adopt(letters)
        await self._write(over, letters)
        for delivery in self._outbox.values():
            self._senders[delivery.channel].put(delivery)

    def _adopt(self, letters: list[Undelivered]) -> list[Row]:
        """The rows that follow from messages under way whose channel or subscription is gone from the file."""
        subscriptions = {item.name: item for item in self._setup.file.subscriptions}
        written: list[Row] = []
        changed: set[str] = set()
        for key, delivery in list(self._outbox.items()):
            found = adopted(delivery, subscriptions) if delivery.channel in self._senders else None
            if found is not None:
                self._outbox[key] = found
                continue
            what = "subscription" if delivery.channel in self._senders else "channel"
            logger.warning("channel %s: its %s is gone: a message is undelivered", delivery.channel, what)
            detail = f"the {what} is not in the file of subscriptions any more"
            changed |= self._planner.failed(delivery)
            letters.append(
                self._letter(
                    delivery.channel, delivery.subscription, delivery.key, "refused", detail, 0, delivery.events
                )
            )
            written.append(self._off(delivery))
        return written + [(rows.CASE + key, rows.case_to_bytes(self._planner.cases[key])) for key in sorted(changed)]

    async def _read_rows(self) -> dict[str, bytes]:
        # Reading ends at a mark written by this process: former leaders are fenced off, so no other rows follow it.
        async with self._transaction():
            mark = await self._producer.send(
                self._setup.state.topic,
                rows.number_to_bytes(self._setup.clock.now()),
                key=rows.LEADER.encode(),
                partition=0,
            )
            end: int = (await mark).offset
        self._reader.assign([self._setup.state])
        await self._reader.seek_to_beginning(self._setup.state)
        kept: dict[str, bytes] = {}
        while True:
            for records in (await self._reader.getmany(timeout_ms=1000)).values():
                for record in records:
                    key = record.key.decode()
                    kept.pop(key, None)  # a row written again moves to the end: the outbox is in the order of planning
                    if record.value is not None:
                        kept[key] = record.value
                    if record.offset >= end:
                        return kept
            if self._lost.is_set():
                raise LeadershipLost("another process took over while the state was read")

    async def _assign(self) -> None:
        """Seek every input partition to its stored position; without any, to ``first_from_us``."""
        is_first = not self._positions
        counts = {
            topic: max(count, len(self._reader.partitions_for_topic(topic) or ()))
            for topic, count in self._setup.inputs.items()
        }
        wanted = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        self._reader.assign(wanted)
        since = {}
        if is_first:
            start = max(0, self._setup.first_from_us // 1000)
            since = await self._reader.offsets_for_times({tp: start for tp in wanted})
            ends = await self._reader.end_offsets(wanted)
        for tp in wanted:
            if tp in self._positions:
                position = self._positions[tp]
            elif is_first:
                found = since.get(tp)
                position = ends[tp] if found is None else found.offset
            else:
                position = (await self._reader.beginning_offsets([tp]))[tp]  # a partition that was added since
            self._positions[tp] = position
            self._reader.seek(tp, position)
        self._assigned = counts
        await self._write([self._position_row(tp) for tp in wanted])

    def _open(self) -> None:
        for name, channel in self._setup.open_channels().items():
            self._senders[name] = Sender(
                name,
                channel,
                self._setup.file.channels[name].retries,
                metrics=self._setup.metrics,
                on_done=self._done,
                wanted=self._wanted,
                standing=partial(self._standing, name),
            )
        self._tasks = [asyncio.create_task(sender.run(), name=name) for name, sender in self._senders.items()]

    def _standing(self, channel: str, holds_us: Mapping[str, int]) -> Sequence[tuple[Event, str]]:
        now, speed = self._setup.clock.now(), self._setup.clock.speed
        since = {kind: now - int(hold * speed) for kind, hold in holds_us.items()}
        return self._planner.firing_on(channel, since=since, now=now)

    def _wanted(self, delivery: Delivery) -> Delivery | None:
        found = self._planner.wanted(delivery)
        left = () if found is None else found.events
        self._not_sent(replace(delivery, events=tuple(event for event in delivery.events if event not in left)))
        return found

    def _done(self, outcome: Outcome) -> None:
        if outcome.problem is not None:
            self._not_sent(outcome.delivery)
        self._outcomes.append(outcome)

    def _not_sent(self, delivery: Delivery) -> None:
        # A refreshed alert reaches its channel with the next refresh, whatever the outcome of this message.
        if not self._senders[delivery.channel].reminds:
            # At once, because the sender asks the planner before its next message.
            self._failed |= self._planner.failed(delivery)

    # -- steps -------------------------------------------------------------------------------------------

    async def work(self, stop: asyncio.Event) -> None:
        """Take steps until ``stop`` or until another process leads."""
        loop = asyncio.get_running_loop()
        alive_at = loop.time()
        while not stop.is_set():
            if loop.time() >= alive_at + SIGN_OF_LIFE_SECONDS:
                alive_at = loop.time()
                await self._write([(rows.LEADER, rows.number_to_bytes(self._setup.clock.now()))])
            if self._lost.is_set():
                raise LeadershipLost("another process of the group leads now")
            for task in self._tasks:
                if task.done():
                    task.result()
            await self._notice_new_partitions()
            batches = await self._reader.getmany(
                timeout_ms=SENDING_POLL_MS if self._outbox else POLL_MS, max_records=500
            )
            await self._step(batches)

    async def _notice_new_partitions(self) -> None:
        for topic, count in self._assigned.items():
            if len(self._reader.partitions_for_topic(topic) or ()) > count:
                await self._assign()
                return

    async def _step(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        written: list[Row] = []
        letters: list[Undelivered] = []
        alerts: list[Event] = []
        acknowledged: list[str] = []
        silenced: list[tuple[str, int]] = []
        for tp, records in batches.items():
            for record in records:
                if tp.topic == self._setup.settings.alerts_topic:
                    self._take_alert(tp, record, alerts, letters)
                else:
                    self._take_acknowledgement(tp, record, acknowledged, silenced)
            self._positions[tp] = records[-1].offset + 1
            written.append(self._position_row(tp))
        written += self._settle(letters)
        written += self._channel_rows()
        plan = self._planner.step(self._setup.clock.now(), alerts, acknowledged, silenced)
        self._setup.metrics.alerts_read("duplicate", plan.duplicates)
        cases = self._planner.cases
        written += [
            (rows.CASE + key, rows.case_to_bytes(cases[key]) if key in cases else None) for key in sorted(plan.cases)
        ]
        written += [(rows.ACKNOWLEDGED + key, rows.number_to_bytes(at)) for key, at in plan.acknowledged.items()]
        written += [(rows.ACKNOWLEDGED + key, None) for key in plan.forgotten_acknowledgements]
        written += [
            (rows.SILENCED + key, None if until is None else rows.number_to_bytes(until))
            for key, until in plan.silences.items()
        ]
        written += [(rows.DELIVERY + item.id, rows.delivery_to_bytes(item)) for item in plan.deliveries]
        await self._write(written, letters)
        for delivery in plan.deliveries:
            self._outbox[delivery.id] = delivery
            self._queue(delivery)
            if delivery.level:
                self._setup.metrics.escalated(delivery.level)
        if written:
            self._show()

    def _queue(self, delivery: Delivery) -> None:
        """Queue it, or give it up if the channel's queue is full.

        Follow-ups of a queued alert are always queued: a receiver must learn of its withdrawal.
        """
        sender, most = self._senders[delivery.channel], self._setup.file.channels[delivery.channel].queue
        if len(sender) < most or delivery.follows:
            sender.put(delivery)
        else:
            full = NotDelivered("queue_full", f"{most} messages wait already", again=False)
            self._done(Outcome(delivery, full))

    def _take_alert(self, tp: TopicPartition, record: Any, alerts: list[Event], letters: list[Undelivered]) -> None:
        try:
            event = decode_json(record.value)
            AlertEvent.model_validate(event)
        except (ValidationError, ValueError, TypeError, RecursionError) as error:
            # ValueError is msgspec's for invalid JSON; its text may quote the record, so only its type is logged.
            place = f"{tp.topic}/{tp.partition}/{record.offset}"
            logger.warning("%s is not an alert and is recorded as undelivered: %s", place, type(error).__name__)
            self._setup.metrics.alerts_read("not_an_alert")
            letters.append(self._letter(None, None, place, "not_an_alert", type(error).__name__, 0, ()))
            return
        self._setup.metrics.alerts_read(event["data"]["kind"])
        self._setup.metrics.places_read(event["data"]["org"])
        alerts.append(event)

    def _take_acknowledgement(
        self, tp: TopicPartition, record: Any, acknowledged: list[str], silenced: list[tuple[str, int]]
    ) -> None:
        try:
            found = Acknowledgement.model_validate_json(record.value or b"")
        except ValidationError:
            logger.warning("%s/%d/%d is not an acknowledgement and is skipped", tp.topic, tp.partition, record.offset)
            return
        self._setup.metrics.acknowledged(found.action)
        if found.action == "acknowledge":
            acknowledged.append(found.alert_id)
        elif found.until is not None:
            silenced.append((found.alert_id, instant_us(found.until)))

    def _settle(self, letters: list[Undelivered]) -> list[Row]:
        """The rows that follow from the outcomes of messages."""
        written: list[Row] = []
        outcomes, self._outcomes[:] = list(self._outcomes), []
        changed, self._failed = self._failed, set()
        for outcome in outcomes:
            delivery, problem = outcome.delivery, outcome.problem
            written.append(self._off(delivery))
            word = "moot" if outcome.moot else "delivered" if problem is None else "undelivered"
            self._setup.metrics.done(delivery.channel, word)
            if word == "delivered":
                self._measure(delivery)
            if problem is not None:
                letters.append(
                    self._letter(
                        delivery.channel, delivery.subscription, delivery.key, problem.reason, problem.detail,
                        outcome.attempts, delivery.events,
                    )
                )  # fmt: skip
        cases = self._planner.cases
        return written + [(rows.CASE + key, rows.case_to_bytes(cases[key])) for key in sorted(changed & set(cases))]

    def _channel_rows(self) -> list[Row]:
        """The rows of channels that have begun to fail, failed again or recovered."""
        written: list[Row] = []
        for name, sender in self._senders.items():
            trouble = sender.trouble
            if trouble is self._troubles.get(name):
                continue
            if trouble is None:
                del self._troubles[name]
                written.append((rows.CHANNEL + name, None))
            else:
                self._troubles[name] = trouble
                next_at = self._setup.clock.now() + int(trouble.pause_us * self._setup.clock.speed)
                written.append((rows.CHANNEL + name, rows.trouble_to_bytes(trouble, next_at)))
        return written

    def _off(self, delivery: Delivery) -> Row:
        self._outbox.pop(delivery.id, None)
        return rows.DELIVERY + delivery.id, None

    def _measure(self, delivery: Delivery) -> None:
        speed, now = float(self._setup.clock.speed), self._setup.clock.now()
        single = len(delivery.events) == 1 and delivery.level is None
        detected = _instant(delivery.events[0]["data"]["detected_at"]) if single else None
        self._setup.metrics.took(
            delivery.channel,
            planned=(now - delivery.planned_at) / 1e6 / speed,
            detected=None if detected is None else (now - detected) / 1e6 / speed,
        )

    def _letter(
        self,
        channel: str | None,
        subscription: str | None,
        key: str,
        reason: UndeliveredReason,
        detail: str,
        attempts: int,
        events: Sequence[Event],
    ) -> Undelivered:
        return Undelivered(
            channel=channel,
            subscription=subscription,
            key=key,
            reason=reason,
            detail=detail,
            attempts=attempts,
            at=moment_of(self._setup.clock.now()),
            events=tuple(dict(event) for event in events),
        )

    def _show(self) -> None:
        counts = dict.fromkeys(self._senders, 0)
        for delivery in self._outbox.values():
            counts[delivery.channel] += 1
        self._setup.metrics.state(outbox=counts, waiting=self._planner.waiting(), cases=len(self._planner.cases))

    # -- writing -----------------------------------------------------------------------------------------

    def _position_row(self, tp: TopicPartition) -> Row:
        return f"{rows.POSITION}{tp.topic}/{tp.partition}", rows.number_to_bytes(self._positions[tp])

    @contextlib.asynccontextmanager
    async def _transaction(self) -> Any:
        try:
            async with self._producer.transaction():
                yield
        except ProducerFenced as error:
            raise LeadershipLost("another process writes now") from error

    async def _write(self, written: Sequence[Row], letters: Sequence[Undelivered] = ()) -> None:
        if not written and not letters:
            return
        async with self._transaction():
            sends = [
                await self._producer.send(self._setup.state.topic, value, key=key.encode(), partition=0)
                for key, value in written
            ]
            for letter in letters:
                value = letter.model_dump_json().encode()
                sends.append(
                    await self._producer.send(self._setup.settings.undelivered_topic, value, key=letter.key.encode())
                )
            await asyncio.gather(*sends)  # which also records the other failures after the first

    async def close(self) -> None:
        """Wait for running attempts, record their outcomes, and close the channels."""
        for sender in self._senders.values():
            sender.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=SETTLE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        letters: list[Undelivered] = []
        written = self._settle(letters)
        try:
            await self._write(written, letters)
        except (LeadershipLost, KafkaError) as error:
            logger.warning("the last outcomes could not be recorded; their messages will be sent again: %s", error)
        for sender in self._senders.values():
            await sender.close()


def kept_for(file: SubscriptionFile, speed: Fraction) -> int:
    """How long a case is kept, microseconds of the alerts' clock: as long as some Alertmanager is reminded of it."""
    found = [spec for spec in file.channels.values() if isinstance(spec, AlertmanagerChannel)]
    longest = max((max(spec.hold, spec.violation_hold) for spec in found), default=0)
    return max(KEEP_DAYS * DAY_S * 1_000_000, int(longest * speed))


def _instant(text: str) -> int:
    return instant_us(datetime.fromisoformat(text))
