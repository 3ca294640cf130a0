"""Public logs of processes that have nothing to do with electricity, replayed with rules written for them only.

The verdicts are compared with a dataframe computation that shares no code with the engine. The logs lie outside
the project; without them these tests are skipped.
"""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl
import pytest

from tests.replay.runs import Runner, data_of

LOGS = Path(__file__).parent / "logs"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "logs"

Verdicts = dict[tuple[str, str], tuple[str, str | None]]
"""(rule, order) -> (outcome, deadline in UTC)."""


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the public log {name} is not here: it belongs at ../shared/data/logs beside the project")
    return path


def judged(table: pl.DataFrame, rule: str, deadline: pl.Expr, end: pl.Expr) -> Verdicts:
    """The verdicts of one rule over rows of (order, start, stop, cancel), all instants but the deadline's zone UTC."""
    stopped = pl.col("stop").is_not_null()
    cancelled = pl.col("cancel").is_not_null()
    if "cancel" not in table.columns:
        table = table.with_columns(cancel=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    rows = table.with_columns(deadline=deadline, end=end).with_columns(
        outcome=pl.when(stopped & (pl.col("stop") <= pl.col("deadline")))
        .then(pl.lit("met"))
        .when(cancelled & (pl.col("cancel") <= pl.col("deadline")))
        .then(pl.lit("cancelled"))
        .when(stopped)
        .then(pl.lit("met_late"))
        .when(pl.col("deadline") <= pl.col("end"))
        .then(pl.lit("breached"))
        .otherwise(pl.lit("running"))
    )
    return {
        (rule, order): (outcome, due)
        for order, outcome, due in rows.select(
            "order", "outcome", pl.col("deadline").dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")
        ).iter_rows()
    }


def midnight_after(days: pl.Expr, zone: str) -> pl.Expr:
    """24:00 local of a date, in UTC."""
    return (days + pl.duration(days=1)).cast(pl.Datetime("us")).dt.replace_time_zone(zone).dt.convert_time_zone("UTC")


def told(cases: Path) -> Verdicts:
    found: Verdicts = {}
    for case in data_of(cases):
        due = pl.Series([case["deadline"]]).str.to_datetime("%+", time_unit="us", time_zone="UTC")
        text = due.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")[0]
        key = (case["rule"], case["subject"]["id"])
        assert key not in found
        found[key] = (case["outcome"], text)
    return found


def first(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    """By order, the first event of some names."""
    return table.filter(pl.col("name").is_in(names)).group_by("order").agg(pl.col("at").min())


def stops(table: pl.DataFrame, starts: pl.DataFrame, name: str, column: str) -> pl.DataFrame:
    """The starts with, by order, the first event of a name at or after the start."""
    joined = table.filter(pl.col("name") == name).join(starts, on="order").filter(pl.col("at") >= pl.col("start"))
    return starts.join(joined.group_by("order").agg(pl.col("at").min().alias(column)), on="order", how="left")


def test_csv_of_permits_gives_the_verdicts_of_a_dataframe(gridclock: Runner) -> None:
    path, zone = shared("receipt.csv.gz"), "Europe/Amsterdam"
    cases = gridclock.path / "cases.jsonl"
    ran = gridclock(
        "replay", path, "--map", LOGS / "receipt/mapping.yaml", "--only", LOGS / "receipt/rules",
        "--alerts", gridclock.path / "alerts.jsonl", "--cases", cases, "--quiet",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")

    table = pl.read_csv(gzip.decompress(path.read_bytes())).select(
        order=pl.col("case:concept:name"),
        name=pl.col("concept:name"),
        channel=pl.col("case:channel"),
        at=pl.col("time:timestamp").str.to_datetime("%+", time_unit="us", time_zone="UTC"),
    )
    watched = {
        "confirmed-in-a-day": "T05 Print and send confirmation of receipt",
        "advised-in-5-working-days": "T06 Determine necessity of stop advice",
        "decided-in-time": "T10 Determine necessity to stop indication",
    }
    table = table.filter(pl.col("name").is_in([*watched.values(), "Confirmation of receipt"]))
    starts = first(table, "Confirmation of receipt").rename({"at": "start"})
    starts = starts.join(table.group_by("order").agg(pl.col("channel").first()), on="order")
    day = pl.col("start").dt.convert_time_zone(zone).dt.date()
    days = pl.when(pl.col("channel") == "Internet").then(7).otherwise(14)
    deadlines = {
        "confirmed-in-a-day": pl.col("start") + pl.duration(hours=24),
        "advised-in-5-working-days": midnight_after(day.dt.add_business_days(5, roll="backward"), zone),
        "decided-in-time": midnight_after(day + pl.duration(days=days), zone),
    }
    end = pl.lit(table["at"].max())
    expected: Verdicts = {}
    for rule, name in watched.items():
        expected |= judged(stops(table, starts, name, "stop"), rule, deadlines[rule], end)
    assert len(expected) == 3 * 1434
    assert {outcome for outcome, _ in expected.values()} == {"met", "met_late", "breached", "running"}
    assert told(cases) == expected


def test_xes_of_fines_gives_the_verdicts_of_a_dataframe(gridclock: Runner) -> None:
    path, zone = shared("roadtraffic100traces.xes"), "Europe/Rome"
    cases = gridclock.path / "cases.jsonl"
    ran = gridclock(
        "replay", path, "--map", LOGS / "roadtraffic/mapping.yaml", "--only", LOGS / "roadtraffic/rules",
        "--alerts", gridclock.path / "alerts.jsonl", "--cases", cases, "--quiet",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")

    rows = []
    for trace in ET.parse(path).getroot().iter("trace"):
        order = next(item.get("value") for item in trace.findall("string") if item.get("key") == "concept:name")
        for event in trace.findall("event"):
            values = {item.get("key"): item.get("value") for item in event}
            rows.append((order, values["concept:name"], values["time:timestamp"]))
    table = pl.DataFrame(rows, schema=["order", "name", "at"], orient="row").with_columns(
        pl.col("at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    )
    mapped = (
        "Create Fine", "Send Fine", "Insert Fine Notification", "Add penalty", "Payment", "Send for Credit Collection",
    )  # fmt: skip
    end = pl.lit(table.filter(pl.col("name").is_in(mapped))["at"].max())
    day = pl.col("start").dt.convert_time_zone(zone).dt.date()

    created = first(table, "Create Fine").rename({"at": "start"})
    fines = stops(table, created, "Send Fine", "stop").join(
        stops(table, created, "Payment", "cancel").select("order", "cancel"), on="order"
    )
    # paid before it was sent: the clock was cancelled, and what came later is no stop of it
    fines = fines.with_columns(
        stop=pl.when(pl.col("cancel") < pl.col("stop")).then(None).otherwise(pl.col("stop")),
        cancel=pl.when(pl.col("stop") <= pl.col("cancel")).then(None).otherwise(pl.col("cancel")),
    )
    expected = judged(fines, "sent-in-90-days", midnight_after(day + pl.duration(days=90), zone), end)
    notified = first(table, "Insert Fine Notification").rename({"at": "start"})
    paid = stops(table, notified, "Payment", "stop")
    expected |= judged(paid, "paid-in-60-days", midnight_after(day + pl.duration(days=60), zone), end)
    assert len(expected) > 100
    assert {outcome for outcome, _ in expected.values()} == {"met", "met_late", "breached", "cancelled"}
    assert told(cases) == expected
