"""Replay on Spark: the same judging, with Spark's partitioning, spilling, retries and checkpoints.

    from streams.spark import judge, rulebook_of
    judged = judge(spark.read.text("orders/*.jsonl.gz"), rulebook_of(["my-rules"]), until="2026-04-01T00:00:00+08:00")
    judged.alerts.write.parquet("alerts")

Needs ``pip install gridclock[spark]`` and Java 17.
"""

from streams.spark.frames import Judged, judge
from streams.spark.rulebook import RulebookFiles, rulebook_of

__all__ = ["Judged", "RulebookFiles", "judge", "rulebook_of"]
