"""librdkafka's test broker as a program: prints its address on one line, serves until standard input ends.

It keeps about 5 MB a partition and nothing after its end. It runs in a process of its own so that its clients can be
restarted independently.
"""

from __future__ import annotations

import sys

from confluent_kafka import Producer

ADDRESS_WORD = "bootstrap"


def main(brokers: int) -> None:
    """Serves until standard input ends."""
    producer = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": brokers})
    found = producer.list_topics(timeout=30).brokers.values()
    address = ",".join(f"{one.host}:{one.port}" for one in found)
    print(f"{ADDRESS_WORD} {address}", flush=True)  # noqa: T201 - the line the parent waits for
    sys.stdin.read()
    del producer


if __name__ == "__main__":
    main(int(sys.argv[1]))
