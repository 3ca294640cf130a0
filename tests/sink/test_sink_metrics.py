"""What a sink shows of itself: its table of metrics, its readiness, and what ``gridclock status`` reads of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg.types.json import Jsonb

from streams.operations.diagnosis import problems
from streams.operations.installation import Observation
from streams.settings import load_settings
from streams.sink.database import connection_options
from streams.sink.metrics import SINK_TABLE, SinkMetrics
from streams.sink.observing import SinkState
from streams.sink.target import Batch
from tests.notify.test_notify_metrics import shown_by

PART = ("x.cases", 0)


def series(metrics: SinkMetrics) -> set[tuple[str, ...]]:
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def batch() -> Batch:
    found = Batch()
    found.rows["cases"] = {"a": {"evidence": Jsonb([])}, "b": None, "c": {}}
    found.records["cases"] = 5
    found.refused_of["cases"] = 1
    found.offsets[PART] = 10, 15
    return found


def test_the_table_is_what_is_shown() -> None:
    metrics = SinkMetrics(("cases", "alerts"), "database x")
    metrics.lag({PART: 3})
    assert shown_by(metrics.registry) == {row.name: (row.type, set(row.labels), row.meaning) for row in SINK_TABLE}


def test_every_series_of_what_is_counted_is_there_from_the_start() -> None:
    """Else Prometheus takes the first refusal for the beginning of the series, and not for an increase."""
    metrics = SinkMetrics(("cases", "alerts"), "database x")
    before = series(metrics)
    metrics.wrote(batch())
    metrics.away()
    assert series(metrics) == before


def test_what_was_written_is_counted() -> None:
    metrics = SinkMetrics(("cases",), "database x")
    metrics.wrote(batch())
    value = metrics.registry.get_sample_value
    assert value("gridclock_sink_records_total", {"table": "cases"}) == 5
    assert value("gridclock_sink_rows_total", {"table": "cases", "change": "upserted"}) == 2
    assert value("gridclock_sink_rows_total", {"table": "cases", "change": "deleted"}) == 1
    assert value("gridclock_sink_refused_total", {"table": "cases"}) == 1
    assert (value("gridclock_sink_last_write_timestamp_seconds") or 0) > 1_700_000_000


def test_ready_is_who_writes_or_stands_by_and_not_who_waits_for_the_database() -> None:
    metrics = SinkMetrics(("cases",), "database x")
    assert metrics.health.ready() == (False, "starting")
    metrics.owns()
    metrics.lag({PART: 3})
    assert metrics.health.ready() == (True, "at work")
    metrics.away()
    assert metrics.health.ready() == (False, "database x: away for 0 s")
    assert metrics.health.alive()[0]
    value = metrics.registry.get_sample_value
    assert (value("gridclock_sink_away_seconds") or 0) > 0
    assert value("gridclock_sink_retries_total") == 1
    assert value("gridclock_sink_lag_records", {"topic": "x.cases", "partition": "0"}) == 3
    metrics.stands_by()
    assert metrics.health.ready() == (True, "at work")
    assert value("gridclock_sink_away_seconds") == 0
    assert value("gridclock_sink_active") == 0
    assert value("gridclock_sink_lag_records", {"topic": "x.cases", "partition": "0"}) is None


def test_what_is_said_of_the_network_in_the_address_counts() -> None:
    given = load_settings(database="postgresql://u@h/d?keepalives_idle=7")
    assert connection_options(given)["keepalives_idle"] == "7"
    assert connection_options(given)["tcp_user_timeout"] == 60_000


WELL = SinkState("database h/d, schema s", None, "10.1.2.3", {PART: 100}, {PART: 0})
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, None, []),
        (WELL, replace(WELL, written={PART: 120}), []),
        # what comes between two looks is no backlog
        (WELL, replace(WELL, behind={PART: 7}), []),
        (replace(WELL, behind={PART: 5}), replace(WELL, written={PART: 105}, behind={PART: 4}), []),
        (
            replace(WELL, behind={PART: 900}),
            replace(WELL, written={PART: 400}, behind={PART: 1600}),
            ["database h/d, schema s: 1,600 records of cases and alerts are not written; its sink (10.1.2.3) "
             "writes 100/s"],
        ),
        (
            replace(WELL, behind={PART: 5}),
            replace(WELL, behind={PART: 6}),
            ["database h/d, schema s: 6 records of cases and alerts are not written, and its sink (10.1.2.3) wrote "
             "none within 3.0 s"],
        ),
        (
            WELL,
            replace(WELL, writer=None),
            ["database h/d, schema s: 0 records of cases and alerts are not written, and no sink writes: start "
             "gridclock sink"],
        ),
        (
            WELL,
            SinkState("database h/d, schema s", "connection refused"),
            ["database h/d, schema s: cannot be asked how far the sink is: connection refused"],
        ),
        (SinkState("database h/d, schema s", "connection refused"), replace(WELL, behind={PART: 9}), []),
    ],
)  # fmt: skip
def test_status_says_whether_a_sink_writes_and_gets_on(
    before: SinkState | None, after: SinkState | None, said: list[str]
) -> None:
    first, second = (Observation(at, (), (), sink=sink) for at, sink in ((0, before), (3 * SECOND, after)))
    assert [one.text for one in problems(first, second, late=60)] == said
