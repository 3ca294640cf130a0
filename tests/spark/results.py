"""Results of many partitions read in the driver: ``python -m tests.spark.results``; prints how many bytes they have.

300 MB in 30 partitions, of which Spark would hold each twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import pyarrow as pa

from streams.spark.replay import rows_of
from tests.spark.job import session

PARTITIONS, ROWS, BYTES = 30, 20, 500_000


def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Some rows for each number, which do not compress."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            for place in range(ROWS):
                row = [pa.array([number * ROWS + place]), pa.array([os.urandom(BYTES)])]
                yield pa.RecordBatch.from_arrays(row, ["place", "payload"])


def main() -> None:
    spark = session("local[2]")
    found = spark.range(0, PARTITIONS, 1, PARTITIONS).mapInArrow(rows, "place long, payload binary")
    size = 0
    for wanted, (place, payload) in enumerate(rows_of(found)):
        assert place == wanted
        size += len(payload)
    print(size)  # noqa: T201 - the result
    spark.stop()


if __name__ == "__main__":
    main()
