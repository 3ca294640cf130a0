"""librdkafka's broker, made for its own tests, as a program: one line with its address, then until stdin ends.

It keeps about 5 MB a partition and forgets everything when it ends. It runs in a process of its own so that
whoever uses it can be restarted beside it.
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
