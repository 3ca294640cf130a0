"""The state of an installation, read from Kafka alone and not from the workers, which may be down or hang.

Consumer groups show the owner of each partition, committed and end offsets the progress in the sources. Each
partition's own row of the changelog, always among its newest, holds its watermark and counts. Two observations a few
seconds apart show what advances.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.coordinator.protocol import ConsumerProtocolMemberAssignment_v0
from kafka.errors import GroupAuthorizationFailedError, KafkaError, for_code
from kafka.protocol.admin import DescribeGroupsRequest, DescribeLogDirsResponse_v0
from kafka.protocol.api import Request, Response
from kafka.protocol.find_coordinator import FindCoordinatorRequest
from kafka.protocol.types import Array, Int32, Schema, String

from schemas.limits import DAY
from streams.errors import BrokerError
from streams.kafka.admin import READING, connected, partitions_of
from streams.kafka.connection import clock_of
from streams.live.clock_partition import position_key
from streams.live.incomplete import MOST_LETTERS, Incompleteness, RecentLetters, incompleteness
from streams.live.source_positions import Loss, losses_of, name_of
from streams.settings import Settings
from streams.wall_clock import WallClock, monotonic
from streams.wire.state_rows import Aside, Position, StateError, position_from_bytes

if TYPE_CHECKING:
    from streams.sink.observing import SinkState

_FIRST_BACK: Final = 64
_FURTHER: Final = 16
_POLL_MS: Final = 500
_COORDINATOR_SECONDS: Final = 20.0
Found = TypeVar("Found")
_COORDINATOR_OF_GROUP: Final = 0
_OPTIONS: Final = {**READING, "max_partition_fetch_bytes": 8 * 1024 * 1024, "enable_auto_commit": False}
_WORKER: Final = re.compile(r":\d+/")
"""Of the name of a group's member: a worker's client id is the host and port of its metrics."""


@dataclass(frozen=True, slots=True)
class Source:
    """A partition of a source topic. ``read`` is the next offset to read, ``end`` the one after the last to be read.

    That is the last stable offset; ``held`` records behind it wait for an open transaction. ``lost`` are records
    removed unread by retention within the last day.
    """

    name: str
    owner: str | None = None
    read: int | None = None
    end: int | None = None
    held: int = 0
    lost: Sequence[Loss] = ()

    @property
    def behind(self) -> int | None:
        """Records not read yet."""
        return None if self.end is None else max(0, self.end - (self.read or 0))


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the log. ``applied`` is the next offset to apply, ``end`` its end offset; instants in us.

    ``by_source`` holds the watermark of each source partition that has one, ``awaited`` the partitions without one;
    ``aside`` the subjects that are set aside, ``quarantined`` their number where they are not named; ``rulebook`` is
    the fingerprint of its last rulebook.
    """

    number: int
    owner: str | None = None
    applied: int | None = None
    end: int | None = None
    watermark: int | None = None
    by_source: Mapping[str, int] = field(default_factory=dict)
    awaited: Sequence[str] = ()
    subjects: int | None = None
    open_cases: int | None = None
    aside: Sequence[Aside] = ()
    quarantined: int = 0
    rulebook: str | None = None

    @property
    def behind(self) -> int | None:
        """Records of the log not applied yet."""
        return None if self.end is None else max(0, self.end - (self.applied or 0))


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation at an instant (us) of the workers' clock.

    ``sharing`` are the groups in a rebalance. ``changelog`` is the size of the state's topic on one broker, in bytes,
    if permitted; ``local`` that of one worker's own copy. ``trouble`` is that worker's own report. ``open_cases`` are
    those of all partitions; ``None``: the sum of the rows' counts. ``absent`` are source topics that do not exist.
    ``incomplete`` is since when, and of what, verdicts may be incomplete. ``sink`` is that of the database, where the
    settings name one. ``strangers`` are members of the workers' groups and no workers.
    """

    at: int
    partitions: Sequence[Partition]
    sources: Sequence[Source]
    sharing: Sequence[str] = ()
    changelog: int | None = None
    local: int | None = None
    trouble: Sequence[str] = ()
    open_cases: int | None = None
    absent: Sequence[str] = ()
    incomplete: Sequence[Incompleteness] = ()
    sink: SinkState | None = None
    strangers: Sequence[str] = ()


def observe(settings: Settings, now: int) -> Observation:
    """Observe the installation. ``now`` is the present instant of the workers' clock.

    Raises:
        BrokerError: where the brokers do not answer, or the installation does not exist.
        StateError: where a newer version wrote the state.
    """
    security = settings.security()
    place = settings.bootstrap
    own = settings.log_topic, settings.changelog_topic
    results = (settings.cases_topic, settings.alerts_topic) if settings.database else ()
    others = settings.dead_letters_topic, *settings.source_topics, *results
    counts = {topic: partitions_of(place, topic, security=security) for topic in (*own, *others)}
    missing = [topic for topic in own if not counts[topic]]
    if missing:
        why = "no worker has begun under this --name" if len(missing) == len(own) else "it was deleted"
        raise BrokerError(f"{place}: no topic {missing[0]}: {why}")
    logs, rows = (_parts(topic, counts) for topic in (settings.log_topic, settings.changelog_topic))
    letters = _parts(settings.dead_letters_topic, counts)
    inputs = [part for topic in settings.source_topics for part in _parts(topic, counts)]
    written = [part for topic in results for part in _parts(topic, counts)]
    with connected(KafkaAdminClient, place, security) as admin:
        sharing, owners, strangers = _groups(admin, settings)
        with_offsets = when_coordinated(admin.list_consumer_group_offsets, f"{settings.name}-intake")
        committed = {part: found.offset for part, found in with_offsets.items() if found.offset >= 0}
        losses = {part: losses_of(found.metadata) for part, found in with_offsets.items()}
        changelog = _bytes_of(admin, settings.changelog_topic)
    options = {**security, **_OPTIONS}
    with connected(KafkaConsumer, place, options) as consumer:
        # All topics, before anything is assigned: kafka-python only knows those of its first request.
        everything = [*logs, *inputs, *rows, *letters, *written]
        begins, ends = consumer.beginning_offsets(everything), consumer.end_offsets(everything)
        positions = _positions(consumer, rows, begins, ends)
        recent = _letters(consumer, letters, begins, ends, clock_of(settings))
    with connected(KafkaConsumer, place, {**options, "isolation_level": "read_committed"}) as consumer:
        stable = consumer.end_offsets(inputs) if inputs else {}  # after `ends`: the difference is held back
    partitions = [_partition(part, owners.get(part), ends[part], positions.get(part.partition)) for part in logs]
    sources = [
        Source(
            name_of(part),
            owners.get(part),
            committed.get(part, begins[part]),
            stable[part],
            max(0, ends[part] - stable[part]),
            [loss for loss in losses.get(part, ()) if loss.at > now - DAY],
        )
        for part in inputs
    ]
    absent = [topic for topic in settings.source_topics if not counts[topic]]
    aside = [one for partition in partitions for one in partition.aside]
    lost = {source.name: source.lost for source in sources}
    incomplete = incompleteness(lost, recent, aside, now)
    return Observation(
        now, partitions, sources, sharing, changelog, absent=absent, incomplete=incomplete,
        sink=_sink(settings, written, begins, ends), strangers=strangers,
    )  # fmt: skip


def _sink(
    settings: Settings,
    parts: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> SinkState | None:
    if not settings.database:
        return None
    from streams.sink.observing import observe_sink  # late: psycopg takes time to load

    first, end = ({(part.topic, part.partition): known[part] for part in parts} for known in (begins, ends))
    return observe_sink(settings, first, end)


def position_of(settings: Settings, partition: int) -> Position | None:
    """A partition's own row at present.

    Raises:
        BrokerError: where the brokers do not answer.
        StateError: where a newer version wrote it.
    """
    return _present(settings, [TopicPartition(settings.changelog_topic, partition)]).get(partition)


def rulebooks_of(settings: Settings) -> frozenset[str]:
    """The fingerprints of the rulebooks by which the partitions are judged; empty where nothing says so.

    That is where there is no state, no right to read it, or another version wrote it. One ends with ``CASES_MARK``
    where cases are written.
    """
    topic = settings.changelog_topic
    try:
        count = partitions_of(settings.bootstrap, topic, security=settings.security())
        found = _present(settings, _parts(topic, {topic: count}))
    except (StateError, BrokerError):
        return frozenset()
    return frozenset(one.rulebook for one in found.values() if one.rulebook is not None)


def _present(settings: Settings, parts: list[TopicPartition]) -> dict[int, Position]:
    """The rows of partitions of the state themselves, at present, by partition."""
    with connected(KafkaConsumer, settings.bootstrap, {**settings.security(), **_OPTIONS}) as consumer:
        return _positions(consumer, parts, consumer.beginning_offsets(parts), consumer.end_offsets(parts))


def _parts(topic: str, counts: Mapping[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(counts[topic])]


def _partition(part: TopicPartition, owner: str | None, end: int, position: Position | None) -> Partition:
    if position is None:
        return Partition(part.partition, owner, None, end)
    expected = [f"{topic}/{number}" for topic, count in position.sources.items() for number in range(count)]
    return Partition(
        part.partition,
        owner,
        position.offset + 1,
        end,
        position.at,
        position.watermarks,
        [source for source in expected if source not in position.watermarks],
        position.subjects,
        position.open_cases,
        position.aside,
        rulebook=position.rulebook,
    )


def when_coordinated(ask: Callable[..., Found], *given: Any) -> Found:
    """Ask until the group's coordinator answers: at the first question ever the brokers make a topic for it.

    Raises:
        KafkaError: what asking raises, where that is final or lasts.
    """
    until = monotonic() + _COORDINATOR_SECONDS
    while True:
        try:
            return ask(*given)
        except KafkaError as error:
            if not error.retriable or monotonic() > until:
                raise
            time.sleep(0.1)


def _groups(admin: Any, settings: Settings) -> tuple[list[str], dict[TopicPartition, str], list[str]]:
    """The workers' groups in a rebalance, the owner of each partition, and the members that are no workers."""
    sharing: list[str] = []
    owners: dict[TopicPartition, str] = {}
    members: set[str] = set()
    for group in (settings.name, f"{settings.name}-intake"):
        is_sharing, found, named = when_coordinated(_members, admin, group)
        sharing += [group] if is_sharing else []
        owners |= found
        members |= named
    return sharing, owners, sorted(one for one in members if not _WORKER.search(one))


def _members(admin: Any, group: str) -> tuple[bool, dict[TopicPartition, str], set[str]]:
    """Whether a group is in a rebalance, the owner of each partition, and all members."""
    coordinator = admin.send_request(FindCoordinatorRequest[1](group, _COORDINATOR_OF_GROUP))
    if coordinator.error_code:
        raise for_code(coordinator.error_code)(f"group {group}")
    request = DescribeGroupsRequest[3](groups=(group,), include_authorized_operations=False)
    answer = admin.send_request(request, node_id=coordinator.coordinator_id)
    (found,) = answer.to_object()["groups"]
    if found["error_code"] == GroupAuthorizationFailedError.errno:
        raise GroupAuthorizationFailedError(group)
    owners: dict[TopicPartition, str] = {}
    members: set[str] = set()
    for member in found["members"]:
        name = f"{member['client_id']}{member['client_host']}"
        members.add(name)
        if member["member_assignment"]:
            assignment = ConsumerProtocolMemberAssignment_v0.decode(member["member_assignment"])
            owners |= dict.fromkeys(assignment.partitions(), name)
    return found["state"] in ("PreparingRebalance", "CompletingRebalance"), owners, members


def _positions(
    consumer: Any,
    rows: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[int, Position]:
    """The newest position in each partition of the changelog, read from further and further back until found."""
    found: dict[int, Position] = {}
    back = _FIRST_BACK
    wanted = [part for part in rows if ends[part] > begins[part]]
    while wanted:
        starts = {part: max(begins[part], ends[part] - back) for part in wanted}
        for part, record in _between(consumer, starts, ends):
            if record.key == position_key(part.partition) and record.value is not None:
                found[part.partition] = position_from_bytes(record.value)
        wanted = [part for part in wanted if part.partition not in found and starts[part] > begins[part]]
        back *= _FURTHER
    return found


def _letters(
    consumer: Any,
    parts: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    clock: WallClock,
) -> RecentLetters:
    """The dead letters of the last day, of each partition the newest ``MOST_LETTERS``."""
    found = RecentLetters()
    since = max(0, clock.real(clock.now() - DAY) // 1000)
    wanted = [part for part in parts if ends[part] > begins[part]]
    first = consumer.offsets_for_times(dict.fromkeys(wanted, since)) if wanted else {}
    starts = {part: max(at.offset, ends[part] - MOST_LETTERS) for part, at in first.items() if at is not None}
    for _, record in _between(consumer, starts, ends) if starts else ():
        found.take(record.key or b"", record.value, clock.at(record.timestamp * 1000))
    return found


def _between(
    consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> Iterator[tuple[TopicPartition, Any]]:
    consumer.assign(list(starts))
    for part, offset in starts.items():
        consumer.seek(part, offset)
    while any(consumer.position(part) < ends[part] for part in starts):
        for part, records in consumer.poll(timeout_ms=_POLL_MS).items():
            yield from ((part, record) for record in records if record.offset < ends[part])


class _LogDirsResponse(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = DescribeLogDirsResponse_v0.SCHEMA


class _LogDirsRequest(Request):  # type: ignore[misc]
    """Version 1: kafka-python has version 0 only, which Kafka 4 does not support."""

    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


def _bytes_of(admin: Any, topic: str) -> int | None:
    """The size of a topic, its largest copies added up; ``None`` without permission (*Describe* on the cluster)."""
    sizes: dict[int, int] = {}
    for broker in admin._client.cluster.brokers():
        answer = admin.send_request(_LogDirsRequest(topics=None), node_id=broker.nodeId)
        for _, _, topics in answer.log_dirs:
            for name, partitions in topics:
                for number, size, *_ in partitions if name == topic else ():
                    sizes[number] = max(size, sizes.get(number, 0))
    return sum(sizes.values()) if sizes else None
