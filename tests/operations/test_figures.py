"""The board and Grafana show the same figures: both are fed with the same, and every shared figure is compared.

Grafana's side is a real Prometheus, which scrapes the metrics of a worker's partition and answers the queries of the
committed dashboards. The board's side is its view, fed with the rows and the alerts of that partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from streams.board.feed import StateReader
from streams.board.messages import alert_from_bytes
from streams.core.board import ROW_COUNTS, Board, View
from streams.core.filters import Filter
from streams.live.metrics_server import Health, MetricsServer
from streams.operations.monitoring import Prometheus, why_not
from streams.simulation import simulate
from streams.wire.cloudevents import CloudEvents, encode
from tests.operations.grafana import dashboards
from tests.operations.test_metrics import Worker
from tests.stories import moment, shipped

pytestmark = pytest.mark.whole

DAY, NOW = date(2026, 3, 4), "2026-03-04T17:00"
SECONDS = 60.0


class Both:
    """A worker's partition whose metrics are scraped, and a board fed with its state and its alerts."""

    def __init__(self, directory: Path) -> None:
        self.worker = Worker(NOW)
        rulebook = shipped().rulebook
        self.state = StateReader(rulebook)
        asyncio.run(self.state.loaded())
        self.board = Board(self.state.cases, rulebook.calendar)
        self.writer = CloudEvents(rulebook.calendar)
        self.server = MetricsServer("127.0.0.1", 0, self.worker.metrics.registry, Health())
        self.prometheus = Prometheus(directory, [f"127.0.0.1:{self.server.port}"], seconds=1)
        self.taken = 0

    def take(self, events: list[dict[str, Any]]) -> None:
        applied = self.worker.take(events, self.taken)
        self.taken += 1
        for row in applied.rows:
            self.state.take(row)
        for alert in applied.alerts:
            self.board.take_alert(alert_from_bytes(encode(self.writer.alert(alert))))

    def view(self) -> View:
        return self.board.view(Filter(), self.worker.now)

    def close(self) -> None:
        self.prometheus.stop()
        self.server.close()

    def samples(self, title: str, place: int) -> list[tuple[dict[str, str], float]]:
        """What Grafana's wall shows in a panel."""
        (wall,) = [dashboard for name, dashboard in dashboards() if name == "en/wall.json"]
        (panel,) = [panel for panel in wall["panels"] if panel["title"] == title]
        query = panel["targets"][place]["expr"].replace("$__range", "1h")
        return [(one["metric"], float(one["value"][1])) for one in self.prometheus.query(query)]

    def figures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every figure that both show: the wall's, and the board's."""
        view = self.view()
        grafana: dict[str, Any] = {
            name: sum(value for _, value in self.samples(name, 0))
            for name in ("Running", "Due in 15 min", "Overdue, open", "Red lines reported today")
        }
        board: dict[str, Any] = dict(
            zip(
                grafana,
                (view.counts[key] for key in ("running", "due_15_min", "overdue", "red_lines_reported_today")),
                strict=True,
            )
        )
        rows = {code: dict(zip(ROW_COUNTS, row, strict=True)) for code, row in view.places}
        grafana["by city"] = {
            metric["city"].rpartition(" ")[2]: value
            for metric, value in self.samples("Red lines reported today, by city", 0)
            if value
        }
        board["by city"] = {
            code: row["red_lines_reported_today"] for code, row in rows.items() if row["red_lines_reported_today"]
        }
        # the table is by rule and city; the board has the one and the other
        for place, key in ((2, "due_1_h"), (3, "overdue")):
            by_city: dict[str, float] = {}
            for metric, value in self.samples("What runs out next, by rule and city", place):
                by_city[metric["city"]] = by_city.get(metric["city"], 0) + value
            grafana[key] = {code: value for code, value in by_city.items() if value}
            board[key] = {code: row[key] for code, row in rows.items() if row[key]}
        return grafana, board


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    if (reason := why_not("Prometheus")) is not None:
        pytest.skip(reason)
    found = Both(tmp_path / "prometheus")
    try:
        yield found
    finally:
        found.close()


def agree(both: Both) -> dict[str, Any]:
    """Wait until Prometheus has scraped, and both are the same."""
    deadline = time.monotonic() + SECONDS
    while True:
        grafana, board = both.figures()
        if grafana == board:
            return board
        assert time.monotonic() < deadline, (grafana, board)
        time.sleep(0.2)


def test_grafana_and_the_board_show_the_same_figures(both: Both) -> None:
    until = moment(NOW).isoformat()
    events = [one for one in simulate(orders=400, seed=3, start=DAY, days=1).events if one["occurred_at"] < until]
    both.take(events[: len(events) // 2])
    agree(both)
    both.take(events[len(events) // 2 :])  # counters that are there already grow, others appear
    shown = agree(both)
    assert all(shown.values()), shown
    counts = both.view().counts
    assert counts["red_lines_reported_today"] <= counts["breaches_reported_today"] + counts["violations_reported_today"]


def test_a_scrape_that_fails_and_a_partition_that_is_missing_are_on_the_wall(both: Both) -> None:
    deadline = time.monotonic() + SECONDS
    names = ("Partitions unattended", "Scrapes failed")

    def wait_for(*expected: float) -> None:
        while True:
            shown = tuple(sum(value for _, value in both.samples(name, 0)) for name in names)
            if shown == expected:
                return
            assert time.monotonic() < deadline, (shown, expected)
            time.sleep(0.2)

    both.take([])
    wait_for(0, 0)
    partitions: Any = both.worker.metrics.registry._names_to_collectors["gridclock_log_partitions"]
    partitions.set(2)  # of which this worker has one, and no other is there
    wait_for(1, 0)
    both.server.close()
    wait_for(0, 1)  # nothing is known of partitions any more
