"""What the tests run in a process with Spark: files judged, results written beside them.

    python -m tests.spark.job MASTER INPUT.jsonl ...

Writes INPUT.jsonl.alerts, .cases and .letters (JSON lines). With KILL=FILE the first task kills its executor.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from streams.spark import judge


def session(master: str) -> SparkSession:
    builder = SparkSession.builder.master(master)
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.log.level": "ERROR",
    }.items():
        builder = builder.config(name, value)
    found: SparkSession = builder.getOrCreate()
    return found


def kill_once(marker: str, batches: Iterable[Any]) -> Iterator[Any]:
    """The executor that comes first dies: its JVM is the parent of the daemon that is this process's parent."""
    for batch in batches:
        if not os.path.exists(marker):
            Path(marker).touch()
            daemon = int(Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split()[1])
            os.kill(daemon, signal.SIGKILL)
        yield batch


def write(frame: DataFrame, path: str) -> None:
    with open(path, "wb") as target:
        for row in frame.select("payload").toLocalIterator():
            target.write(bytes(row[0]) + b"\n")


def main(master: str, *names: str) -> None:
    spark = session(master)
    for name in names:
        frame = spark.read.text(name).withColumn("n", F.monotonically_increasing_id())
        if marker := os.environ.get("KILL"):
            frame = frame.mapInArrow(partial(kill_once, marker), "value string, n long")
        judged = judge(frame, until=os.environ.get("UNTIL"), order="n", source=name)
        write(judged.alerts, name + ".alerts")
        write(judged.cases, name + ".cases")
        write(judged.dead_letters, name + ".letters")
        judged.close()
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
