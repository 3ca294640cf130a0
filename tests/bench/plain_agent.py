"""The usual way with Faust, for comparison: an agent, and one table write an event. No rules, no deadlines."""

from __future__ import annotations

import sys
import time
from typing import Any

import faust


def main(bootstrap: str, name: str, topic: str, partitions: int, count: int, data_dir: str) -> None:
    app = faust.App(
        name,
        broker=[f"kafka://{server}" for server in bootstrap.split(",")],
        store="rocksdb://",
        datadir=data_dir,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,
    )
    events = app.topic(topic, value_type=bytes, value_serializer="json", partitions=partitions)
    orders: Any = app.Table("orders", default=dict, partitions=partitions, options={"driver": "rocksdict"})
    seen, began, cpu = 0, 0.0, 0.0

    async def work(stream: Any) -> None:
        nonlocal seen, began, cpu
        async for key, event in stream.items():
            if not seen:
                began, cpu = time.monotonic(), time.process_time()
            order = orders[key]
            order["last"], order["at"] = event["event_type"], event["occurred_at"]
            orders[key] = order
            seen += 1
            if seen == count:
                wall, work = time.monotonic() - began, time.process_time() - cpu
                print(f"rate {count / wall:.0f} {count / work:.0f}", flush=True)  # noqa: T201

    app.agent(events, name="work")(work)
    worker = app.Worker(loglevel="WARN")
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
