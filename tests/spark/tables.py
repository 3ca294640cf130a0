"""A replay of tables of Spark's catalog: ``python -m tests.spark.tables EVENTS.jsonl ROWS.parquet MAPPING RESULTS``.

Makes a table of mapped rows and a view of events in the session that the command then uses, and replays both. With
``iceberg`` behind them the table is one of Apache Iceberg, in a catalog of its own, written in two snapshots; with
``delta`` one of Delta Lake, in the session's catalog, written in two versions.
"""

from __future__ import annotations

import sys

from streams.cli import run
from tests.spark.job import session

CATALOG = "spark.sql.catalog.iceberg"


def main(events: str, rows: str, mapping: str, results: str, form: str = "") -> int:
    spark = session("local[2]")
    given = spark.read.parquet(rows).coalesce(1)
    name = "iceberg.lake.orders" if form == "iceberg" else "lake.orders"
    if form == "iceberg":
        spark.conf.set(CATALOG, "org.apache.iceberg.spark.SparkCatalog")
        spark.conf.set(f"{CATALOG}.type", "hadoop")
        spark.conf.set(f"{CATALOG}.warehouse", f"{results}/lake")
        given.limit(0).writeTo(name).using("iceberg").create()
        given.writeTo(name).append()
    else:
        spark.sql(f"CREATE DATABASE lake LOCATION '{results}/lake'")
        if form == "delta":
            given.limit(0).write.format("delta").saveAsTable(name)
            given.write.format("delta").mode("append").saveAsTable(name)
        else:
            given.write.saveAsTable(name)
    spark.read.text(events).where("length(trim(value)) > 0").createTempView("events")
    options = [
        part for name in ("alerts", "cases", "dead-letters") for part in (f"--{name}", f"{results}/{name}.jsonl")
    ]
    tables = ["--table", "events", "--table", name, "--map", f"{name}={mapping}"]
    return run(["replay", "--engine", "spark", *tables, *options])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
