"""The current partition counts of the source topics, from the brokers.

A producer may write to a new partition at once. A worker that does not know it yet would emit a watermark beyond events
that it has not read, and report a breach where there is none. So the counts are requested after the instant of each
watermark, and the watermark waits for the partitions in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from streams.kafka.closing import closed


class PartitionCounts:
    """Uses a connection of its own, on which no long fetch delays the request. An async context manager."""

    def __init__(self, topics: Sequence[str], options: Mapping[str, Any]) -> None:
        self._topics = tuple(topics)
        self._client = AIOKafkaClient(**options)
        self.known: Mapping[str, int] = dict.fromkeys(topics, 0)
        """The last answer: topic to count."""

    async def __aenter__(self) -> PartitionCounts:
        await self._client.bootstrap()
        await self._client.set_topics(self._topics)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await closed(self._client.close())

    async def ask(self) -> Mapping[str, int]:
        """The counts by a request that is sent after this call.

        Raises:
            KafkaError: where no broker answers, or a topic does not exist.
        """
        await self._client.force_metadata_update()  # the first may be the answer to an earlier request
        if not await self._client.force_metadata_update():
            raise KafkaError("no broker answers the request for the sources' partition counts")
        cluster = self._client.cluster
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in self._topics}
        missing = [topic for topic, count in counts.items() if not count]
        if missing:
            raise UnknownTopicOrPartitionError(", ".join(missing))
        self.known = counts
        return counts
