"""A replay of tables of Spark's catalog: ``python -m tests.spark.tables EVENTS.jsonl ROWS.parquet MAPPING RESULTS``.

Makes a table of mapped rows and a view of events in the session that the command then uses, and replays both.
"""

from __future__ import annotations

import sys

from streams.cli import run
from tests.spark.job import session


def main(events: str, rows: str, mapping: str, results: str) -> int:
    spark = session("local[2]")
    spark.sql(f"CREATE DATABASE lake LOCATION '{results}/lake'")
    spark.read.parquet(rows).coalesce(1).write.saveAsTable("lake.orders")
    spark.read.text(events).where("length(trim(value)) > 0").createTempView("events")
    options = [
        part for name in ("alerts", "cases", "dead-letters") for part in (f"--{name}", f"{results}/{name}.jsonl")
    ]
    given = ["--table", "events", "--table", "lake.orders", "--map", f"lake.orders={mapping}"]
    return run(["replay", "--engine", "spark", *given, *options])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
