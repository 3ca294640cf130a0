"""The contenders: each reads the file and gives the breaches of five clocks as of the last event's instant.

The bare loops are what somebody would write for these five clocks and no others: decode, a dict of open orders, a heap
of deadlines. No pauses, corrections, late or repeated events, evidence, versions, no other rule, no explanation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec
import orjson
import polars as pl
from pydantic import BaseModel, TypeAdapter

from streams.core.instants import instant_us
from streams.core.working_days import WorkingCalendar
from streams.live.gc_tuning import rare_collections
from streams.replay.output_form import OutputForm
from streams.replay.replay import Replay, ReplayOptions
from streams.replay.sources.lines import Lines
from streams.rulebooks.loader import load_rulebook
from streams.wire.decoder import Decoder, decode_json

Breach = tuple[str, str, int]
"""Rule, order, deadline in microseconds."""

FEE, POWER = "fee-5-minutes", "power-20-minutes"
REPAIR, CALIBRATION, DISPUTE = "repair-arrival", "calibration-5-working-days", "reading-dispute-5-working-days"
RULES = (FEE, POWER, REPAIR, CALIBRATION, DISPUTE)
MINUTE = 60.0
AREAS = {"urban": 45 * MINUTE, "rural": 90 * MINUTE}
STOPS = {
    "counter.service_completed": "counter",
    "repair.arrived": "repair",
    "calibration.result_issued": "calibration",
    "reading.dispute_answered": "reading",
}


@dataclass(frozen=True)
class Result:
    """Events read, and the breaches found."""

    events: int
    breaches: list[Breach]


@cache
def _calendar() -> WorkingCalendar:
    return load_rulebook().rulebook.calendar


class FiveDays:
    """24:00 of the fifth working day after a local date, as a POSIX time: a table that a script would have."""

    def __init__(self) -> None:
        self._calendar = _calendar()
        self._known: dict[str, float] = {}

    def after(self, day: str) -> float:
        """``day`` is a local date, ``YYYY-MM-DD``."""
        found = self._known.get(day)
        if found is None:
            calendar, start = self._calendar, datetime.fromisoformat(day).toordinal()
            found = self._known[day] = calendar.start_of_day(calendar.add_working_days(start, 5) + 1) / 1e6
        return found


# -- bare loops ------------------------------------------------------------------------------------------


def _loop(rows: Iterator[tuple[str, str, float, str, str | None, str | None]]) -> Result:
    """The loop over ``(type, order, time, local date, business, area)``."""
    days = FiveDays()
    is_open: dict[tuple[str, str], tuple[str, float]] = {}
    deadlines: list[tuple[float, tuple[str, str]]] = []
    breaches: list[tuple[str, str, float]] = []
    count, at = 0, 0.0
    for kind, order, at, day, business, area in rows:
        count += 1
        while deadlines and deadlines[0][0] < at:
            deadline, key = heappop(deadlines)
            found = is_open.pop(key, None)
            if found is not None:
                breaches.append((found[0], key[1], deadline))
        stopped = STOPS.get(kind)
        if stopped is not None:
            is_open.pop((stopped, order), None)
            continue
        if kind == "counter.service_started":
            key, rule, due = ("counter", order), FEE, at + 5 * MINUTE
            if business != "fee":
                rule, due = POWER, at + 20 * MINUTE
        elif kind == "repair.reported":
            key, rule, due = ("repair", order), REPAIR, at + AREAS.get(area or "", 120 * MINUTE)
        elif kind == "calibration.requested":
            key, rule, due = ("calibration", order), CALIBRATION, days.after(day)
        elif kind == "reading.disputed":
            key, rule, due = ("reading", order), DISPUTE, days.after(day)
        else:
            continue
        is_open[key] = rule, due
        heappush(deadlines, (due, key))
    while deadlines and deadlines[0][0] <= at:
        deadline, key = heappop(deadlines)
        found = is_open.pop(key, None)
        if found is not None:
            breaches.append((found[0], key[1], deadline))
    return Result(count, [(rule, order, round(deadline * 1e6)) for rule, order, deadline in breaches])


def _by_dict(decode: Callable[[bytes], Any], path: Path) -> Result:
    def rows() -> Iterator[tuple[str, str, float, str, str | None, str | None]]:
        with open(path, "rb") as lines:
            for line in lines:
                event = decode(line)
                text = event["occurred_at"]
                at = datetime.fromisoformat(text).timestamp()
                yield event["event_type"], event["order_id"], at, text[:10], event.get("business"), event.get("area")

    return _loop(rows())


class _Row(msgspec.Struct, gc=False):
    event_type: str
    order_id: str
    occurred_at: datetime
    business: str | None = None
    area: str | None = None


class _Model(BaseModel):
    event_type: str
    order_id: str
    occurred_at: datetime
    business: str | None = None
    area: str | None = None


def _by_object(decode: Callable[[bytes], _Row | _Model], path: Path) -> Result:
    def rows() -> Iterator[tuple[str, str, float, str, str | None, str | None]]:
        with open(path, "rb") as lines:
            for line in lines:
                event = decode(line)
                at = event.occurred_at
                yield event.event_type, event.order_id, at.timestamp(), f"{at:%F}", event.business, event.area

    return _loop(rows())


def _msgspec(path: Path) -> Result:
    """The quickest: only five fields are made, and the local date only where it is needed."""
    decode, days = msgspec.json.Decoder(_Row).decode, FiveDays()
    is_open: dict[tuple[str, str], tuple[str, float]] = {}
    deadlines: list[tuple[float, tuple[str, str]]] = []
    breaches: list[tuple[str, str, float]] = []
    count, at = 0, 0.0
    with open(path, "rb") as lines:
        for line in lines:
            event = decode(line)
            count += 1
            at, kind, order = event.occurred_at.timestamp(), event.event_type, event.order_id
            while deadlines and deadlines[0][0] < at:
                deadline, key = heappop(deadlines)
                found = is_open.pop(key, None)
                if found is not None:
                    breaches.append((found[0], key[1], deadline))
            stopped = STOPS.get(kind)
            if stopped is not None:
                is_open.pop((stopped, order), None)
                continue
            if kind == "counter.service_started":
                key, rule, due = ("counter", order), FEE, at + 5 * MINUTE
                if event.business != "fee":
                    rule, due = POWER, at + 20 * MINUTE
            elif kind == "repair.reported":
                key, rule, due = ("repair", order), REPAIR, at + AREAS.get(event.area or "", 120 * MINUTE)
            elif kind == "calibration.requested":
                key, rule, due = ("calibration", order), CALIBRATION, days.after(f"{event.occurred_at:%F}")
            elif kind == "reading.disputed":
                key, rule, due = ("reading", order), DISPUTE, days.after(f"{event.occurred_at:%F}")
            else:
                continue
            is_open[key] = rule, due
            heappush(deadlines, (due, key))
    while deadlines and deadlines[0][0] <= at:
        deadline, key = heappop(deadlines)
        found = is_open.pop(key, None)
        if found is not None:
            breaches.append((found[0], key[1], deadline))
    return Result(count, [(rule, order, round(deadline * 1e6)) for rule, order, deadline in breaches])


# -- a batch ---------------------------------------------------------------------------------------------


def _polars(path: Path) -> Result:
    """The whole file in memory, one join of starts with stops."""
    days = FiveDays()
    schema = {name: pl.String for name in ("event_type", "order_id", "occurred_at", "business", "area")}
    table = pl.read_ndjson(path, schema=schema).with_columns(
        pl.col("occurred_at").str.to_datetime("%+", time_unit="us").alias("at")
    )
    end = table["at"].max()
    clock = pl.col("event_type").replace_strict(
        {**dict.fromkeys(("counter.service_started", "counter.service_completed"), "counter"),
         **dict.fromkeys(("repair.reported", "repair.arrived"), "repair"),
         **dict.fromkeys(("calibration.requested", "calibration.result_issued"), "calibration"),
         **dict.fromkeys(("reading.disputed", "reading.dispute_answered"), "reading")},
        default=None,
    )  # fmt: skip
    table = table.with_columns(clock.alias("clock")).filter(pl.col("clock").is_not_null())
    is_stop = pl.col("event_type").is_in(list(STOPS))
    stops = table.filter(is_stop).group_by("clock", "order_id").agg(pl.col("at").min().alias("stop"))
    starts = table.filter(~is_stop).with_columns(pl.col("occurred_at").str.slice(0, 10).alias("day"))
    fifth = {
        day: round(days.after(day) * 1e6)
        for day in starts.filter(pl.col("clock").is_in(["calibration", "reading"]))["day"].unique()
    }
    minutes = (
        pl.when(pl.col("clock") == "repair")
        .then(pl.col("area").replace_strict({"urban": 45, "rural": 90}, default=120, return_dtype=pl.Int64))
        .otherwise(pl.when(pl.col("business") == "fee").then(5).otherwise(20))
    )
    rule = (
        pl.when(pl.col("clock") == "repair").then(pl.lit(REPAIR))
        .when(pl.col("clock") == "calibration").then(pl.lit(CALIBRATION))
        .when(pl.col("clock") == "reading").then(pl.lit(DISPUTE))
        .when(pl.col("business") == "fee").then(pl.lit(FEE)).otherwise(pl.lit(POWER))
    )  # fmt: skip
    by_day = pl.col("day").replace_strict(fifth, default=None, return_dtype=pl.Int64)
    deadline = (
        pl.when(pl.col("clock").is_in(["calibration", "reading"]))
        .then(by_day)
        .otherwise(pl.col("at").dt.epoch("us") + minutes * 60_000_000)
    )
    late = (
        starts.with_columns(rule.alias("rule"), deadline.alias("deadline"))
        .join(stops, on=["clock", "order_id"], how="left")
        .filter(pl.col("deadline") <= pl.lit(end).dt.epoch("us"))
        .filter(pl.col("stop").is_null() | (pl.col("stop").dt.epoch("us") > pl.col("deadline")))
    )
    with open(path, "rb") as lines:
        count = sum(1 for _ in lines)
    return Result(count, [(row[0], row[1], row[2]) for row in late.select("rule", "order_id", "deadline").iter_rows()])


# -- gridclock -------------------------------------------------------------------------------------------


def _gridclock(path: Path, *, jobs: int, memory: int) -> Result:
    """The whole shipped rulebook, every alert encoded as it would be written."""
    loaded = load_rulebook()
    replay = Replay(
        loaded.rulebook,
        Decoder(loaded.catalogue),
        ReplayOptions(4_000_000_000_000_000, jobs=jobs, memory=memory, output_form=OutputForm(cases=None)),
    )
    breaches: list[Breach] = []
    with rare_collections():
        replay.read([Lines(str(path))])
        replay.judge()
        for alert in replay.alerts():
            if b'"kind":"breach"' not in alert:
                continue
            data = decode_json(alert)["data"]
            if data["rule"] in RULES:
                deadline = instant_us(datetime.fromisoformat(data["deadline"]))
                breaches.append((data["rule"], data["subject"]["id"], deadline))
    replay.close()
    return Result(replay.tally.events, breaches)


CONTENDERS: Mapping[str, Callable[[Path], Result]] = {
    "bare loop, json": partial(_by_dict, json.loads),
    "bare loop, pydantic": partial(_by_object, TypeAdapter(_Model).validate_json),
    "bare loop, orjson": partial(_by_dict, orjson.loads),
    "bare loop, msgspec to dicts": partial(_by_dict, msgspec.json.Decoder().decode),
    "bare loop, msgspec to structs": _msgspec,
    "polars, whole file, its own threads": _polars,
    "gridclock, 1 job": partial(_gridclock, jobs=1, memory=1 << 40),
    "gridclock, 2 jobs": partial(_gridclock, jobs=2, memory=1 << 40),
    "gridclock, 1 job, parts on disk": partial(_gridclock, jobs=1, memory=64 << 20),
}
BARE = "bare loop, msgspec to structs"
