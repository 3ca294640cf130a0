"""How many partitions the source topics have, by the brokers' own word of just now.

A feed that gets another partition may write to it at once. A worker that does not know it yet would vouch for a time
up to which it has not read everything, and call late what was done in time. So whoever vouches for a moment asks after
that moment, and time waits for the partitions that the answer names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError


class PartitionCounts:
    """Asks on a connection of its own, where no long fetch is ahead of the question. An async context manager."""

    def __init__(self, topics: Sequence[str], options: Mapping[str, Any]) -> None:
        self._topics = tuple(topics)
        self._client = AIOKafkaClient(**options)
        self.known: Mapping[str, int] = dict.fromkeys(topics, 0)
        """Topic to number, as last answered."""

    async def __aenter__(self) -> PartitionCounts:
        await self._client.bootstrap()
        await self._client.set_topics(self._topics)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._client.close()

    async def ask(self) -> Mapping[str, int]:
        """The numbers by a request that is made after this call.

        Raises:
            KafkaError: where no broker answers, or a topic is not to be found.
        """
        await self._client.force_metadata_update()  # may be one that was under way already
        if not await self._client.force_metadata_update():
            raise KafkaError("no broker says how many partitions the sources have")
        cluster = self._client.cluster
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in self._topics}
        missing = [topic for topic, count in counts.items() if not count]
        if missing:
            raise UnknownTopicOrPartitionError(", ".join(missing))
        self.known = counts
        return counts
