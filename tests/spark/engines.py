"""The steps of executors on one file by both engines, without Spark: ``python -m tests.spark.engines INPUT.jsonl``.

Prints as JSON how many copies the native engine reads, how many others there are, and whether the rows are the same.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from streams.engine import Engine
from streams.replay.output_form import OutputForm
from streams.replay.results import ALERT_COLUMNS, CASE_COLUMNS, CsvRow
from streams.spark import judging, steps
from streams.spark.rulebook import RulebookFiles, rulebook_of
from streams.wire.pseudonyms import Hidden

RECEIVED = 1_800_000_000_000_000


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


KEY = b"a key of at least sixteen bytes"
STRICTER = "repair.yaml", Path("streams/rulebook/repair.yaml").read_bytes().replace(b"45 min", b"20 min")
FORMS: tuple[dict[str, Any], ...] = (
    {},
    {"form": OutputForm(CsvRow(ALERT_COLUMNS), CsvRow(CASE_COLUMNS), hidden=Hidden(KEY)), "key": KEY},
    {"form": OutputForm(with_summary=True), "rival": RulebookFiles(((STRICTER,),))},
    {"rival": rulebook_of(only="deploy/examples/water-berlin")},
)
"""As they are; with pseudonyms in tables; beside a changed rulebook, and one with rules of its own."""


def judged(path: Path, engine: Engine, form: dict[str, Any]) -> tuple[Counter[str], list[str]]:
    """How many rows of each kind reading gives, and what judging gives, sorted."""
    job = steps.Job(RulebookFiles(), RECEIVED, None, None, engine=engine, **form)
    lines = path.read_text("utf-8").split("\n")
    numbers = list(range(len(lines)))
    columns = [pa.array(lines), pa.array(["in"] * len(lines)), pa.array(numbers), pa.array(numbers)]
    records = pa.RecordBatch.from_arrays(columns, ["value", "source", "major", "minor"])
    routed = list(rows_of(steps.route(job, [records])))
    copies = [row for row in routed if row["kind"] in (steps.COPY, steps.LINE)]
    copies.sort(key=lambda row: (row["subject_type"], row["subject"], row["major"]))
    by_subject = pa.RecordBatch.from_pylist(copies, schema=steps.ROUTED)
    end = max(json.loads(row["payload"])["highest"] for row in routed if row["kind"] == steps.COUNTS)
    found = [row for row in routed if row["kind"] not in (steps.COPY, steps.LINE)]
    found += rows_of(judging.judge(job.until(end, is_certain=False), [by_subject]))
    for row in found:
        if row["kind"] in (steps.COUNTS, steps.TOTALS):
            row["payload"] = json.dumps(json.loads(row["payload"]), sort_keys=True)
    return Counter(row["kind"] for row in routed), sorted(map(repr, found))


def main(path: Path) -> None:
    same = []
    for form in FORMS:
        kinds, native = judged(path, "native", form)
        others, python = judged(path, "python", form)
        assert steps.LINE not in others
        same.append(native == python)
    print(json.dumps({"lines": kinds[steps.LINE], "copies": kinds[steps.COPY], "same": all(same)}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
