"""Every kind of input, on small logs made up for it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.replay.sources.opening import Mappings, open_sources
from streams.wire.mapping import MappedEvent
from tests.replay.runs import Runner, data_of, of_rule, records_of

MADE_UP = Path(__file__).parent / "logs" / "made_up"
CSV, XES = MADE_UP / "orders.csv", MADE_UP / "orders.xes"
CSV_MAP, XES_MAP = MADE_UP / "mapping.yaml", MADE_UP / "xes.yaml"
ORG = {"province": "32"}


def events_of(path: Path, mapping: Path) -> list[tuple[int, dict[str, Any] | str]]:
    found: list[tuple[int, dict[str, Any] | str]] = []
    for source in open_sources([str(path)], Mappings.load([mapping])):
        for position, raw, note in source.records():
            problem = note.note if isinstance(note, MappedEvent) else note
            found.append((position, json.loads(raw) if problem is None else str(problem)))
    return found


def reported(order: str, at: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "repair.reported",
        "event_id": f"{order}/受理",
        "order_id": order,
        "occurred_at": at,
        **fields,
    }


FROM_TABLE = [
    (1, reported("BX1", "2026-03-02T09:00:00+08:00", recorded_at="2026-03-02T09:01:30+08:00", area="urban",
                 org={"city": "3201", **ORG}, households=3, outage=True, source="95598")),
    (2, {"event_type": "repair.arrived", "event_id": "BX1/到达", "order_id": "BX1", "area": "urban", "households": 3,
         "occurred_at": "2026-03-02T09:44:00+08:00", "recorded_at": "2026-03-02T10:59:00+08:00",
         "org": {"city": "3201", **ORG}, "source": "95598"}),
    (3, reported("BX2", "2026-03-02T09:10:00+08:00", area="rural", org={"city": "3202", **ORG}, outage=False,
                 source="95598")),
    (4, {"event_type": "repair.arrived", "event_id": "BX2/到达", "order_id": "BX2", "area": "rural",
         "occurred_at": "2026-03-02T10:45:00+08:00", "org": {"city": "3202", **ORG}, "source": "95598"}),
    (5, "impossible_time: occurred_at: column '时间' has '2026/03/02 09:20': fits none of the forms tried "
        "(%Y/%m/%d %H:%M:%S; zone Asia/Shanghai) (mapping key: time)"),
]  # fmt: skip


def test_csv_rows_become_wire_events() -> None:
    assert events_of(CSV, CSV_MAP) == [
        *FROM_TABLE,
        (6, "bad_field: has 6 columns; the header has 8"),
        (7, "Skipped(reason='环节 is not mapped', value='回访')"),
        (8, reported("BX6", "2026-03-02T09:40:00+08:00", area="remote", org={"city": "3203", **ORG}, source="95598")),
    ]


def test_what_a_mapping_cannot_read_becomes_a_dead_letter(gridclock: Runner) -> None:
    letters, cases = gridclock.path / "letters.jsonl", gridclock.path / "cases.jsonl"
    ran = gridclock("replay", CSV, "--map", CSV_MAP, "--dead-letters", letters, "--cases", cases, "--quiet")
    assert ran.code == 3
    assert [
        (letter["reason"], letter["field"], letter["source"], letter["position"]) for letter in records_of(letters)
    ] == [("impossible_time", "occurred_at", str(CSV), 5), ("bad_field", None, str(CSV), 6)]
    assert records_of(letters)[1]["payload"] == "BX4,受理,2026/03/02 09:30:00,,城区,3201"
    arrivals = of_rule(data_of(cases), "repair-arrival")
    assert [(case["subject"]["id"], case["outcome"]) for case in arrivals] == [
        ("BX1", "met"), ("BX2", "met_late"), ("BX6", "running"),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_csv_in_another_encoding_and_compressed(tmp_path: Path, encoding: str) -> None:
    path, mapping = tmp_path / "orders.csv.gz", tmp_path / "map.yaml"
    text = CSV.read_text("utf-8").replace(",", ";")
    mark = "\ufeff" if encoding == "utf-8" else ""
    path.write_bytes(gzip.compress((mark + text).encode(encoding)))
    mapping.write_text(f'encoding: {encoding}\ndelimiter: ";"\n{CSV_MAP.read_text("utf-8")}', "utf-8")
    assert events_of(path, mapping)[:5] == FROM_TABLE


def test_a_row_that_is_not_of_the_encoding_is_refused_and_the_rest_read(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(CSV.read_bytes().replace("农村".encode(), b"\xff\xfe", 1))
    found = events_of(path, CSV_MAP)
    assert (found[1], found[2], found[3]) == (FROM_TABLE[1], (3, "not_utf8: is not valid utf-8"), FROM_TABLE[3])


def parquet_of_csv(tmp_path: Path) -> Path:
    rows = [line.split(",") for line in CSV.read_text("utf-8").splitlines()]
    table = pl.DataFrame([row for row in rows[1:6]], schema=rows[0], orient="row")
    table = table.with_columns(
        pl.col("用户数").cast(pl.Int64, strict=False),
        pl.col("停电").replace_strict({"是": True, "否": False, "": None}, return_dtype=pl.Boolean),
        pl.when(pl.col("录入时间") != "").then(pl.col("录入时间")).str.to_datetime("%Y/%m/%d %H:%M:%S"),
    )
    path = tmp_path / "orders.parquet"
    table.write_parquet(path, row_group_size=2)
    return path


def test_parquet_rows_become_the_same_events(tmp_path: Path) -> None:
    assert events_of(parquet_of_csv(tmp_path), CSV_MAP) == FROM_TABLE


def test_xes_events_carry_their_trace_and_nothing_of_nested_attributes() -> None:
    first = {"event_type": "repair.reported", "order_id": "BX <1>", "area": "urban"}
    assert events_of(XES, XES_MAP) == [
        (1, {**first, "event_id": "1-8be23a74f3bb6a2e", "occurred_at": "2026-03-02T09:00:00+08:00"}),
        (2, {"event_type": "repair.arrived", "order_id": "BX <1>", "event_id": "2-f398b6be4f94d5cd",
             "occurred_at": "2026-03-02T09:46:00+08:00"}),
        (3, "naive_time: occurred_at: column 'time:timestamp' has '2026-03-02T09:00:00': has no offset such as +08:00, "
            "and time.zone is not set (mapping key: time.zone)"),
        (4, "Skipped(reason='concept:name is not mapped', value='noted')"),
    ]  # fmt: skip


def test_xes_is_judged(gridclock: Runner) -> None:
    packed = gridclock.file("orders.xes.gz", gzip.compress(XES.read_bytes()))
    ran = gridclock("replay", packed, "--map", XES_MAP)
    assert [(alert["subject"]["id"], alert["kind"]) for alert in of_rule(ran.alerts, "repair-arrival")] == [
        ("BX <1>", "warning"), ("BX <1>", "breach"), ("BX <1>", "late_completion"),
    ]  # fmt: skip
    assert ran.code == 3  # the time without an offset


BOMB = '<!DOCTYPE log [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE log [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"<?xml version='1.0'?>{OUTSIDE}<log><trace><string key='concept:name' value='&a;'/></trace></log>",
         "it declares an entity (a), which no log needs"),
        (f"<?xml version='1.0'?>{BOMB}<log/>", "it declares an entity (a), which no log needs"),
        ("<html><body/></html>", "it begins with <html> and not with <log>"),
        ("<log><trace>\n<event>", ":2: not an XES log: no element found: line 2, column 7"),
        ("", "not an XES log: no element found"),
    ],
)  # fmt: skip
def test_xes_that_is_none_is_refused(gridclock: Runner, content: str, said: str) -> None:
    ran = gridclock("replay", gridclock.file("bad.xes", content), "--map", XES_MAP)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("zone: Asia/Shanghai", "zone: Asia/Shangai", ":2: time.zone: 'Asia/Shangai' is not a time zone; did you mean"),
        ("  column: 环节", "  colum: 环节", "event_type"),
        ("  order_id: 工单编号\n", "", "fields has none of order_id, account_id, meter_id, batch_id"),
        ("  occurred_at: 时间\n", "", "fields has no occurred_at"),
        ("as: flag", "as: flags", ":15: fields.outage.as: "),
        ("area: {column: 地区", "area: {column: 地方", "orders.csv has no column '地方'; it has 工单编号, 环节"),
        ("other: skip", "other: [skip", "not YAML"),
    ],
)
def test_a_wrong_mapping_is_refused_by_file_line_and_key(gridclock: Runner, old: str, new: str, said: str) -> None:
    text = CSV_MAP.read_text("utf-8")
    assert old in text
    mapping = gridclock.file("map.yaml", text.replace(old, new, 1))
    ran = gridclock("replay", CSV, "--map", mapping)
    assert (ran.code, ran.out) == (2, "")
    assert f"gridclock: {mapping}:" in ran.err
    assert said in ran.err


def test_a_time_that_no_clock_showed_is_refused(gridclock: Runner) -> None:
    mapping = gridclock.file(
        "map.yaml",
        "time: {zone: Europe/Rome}\nconstants: {event_type: repair.reported}\n"
        "fields: {order_id: order, occurred_at: at}\n",
    )
    table = gridclock.file(
        "times.csv", "order,at\n1,2026-03-29T01:59:59\n2,2026-03-29T02:30:00\n3,2026-03-29T03:00:00\n"
    )
    letters = gridclock.path / "letters.jsonl"
    assert gridclock("replay", table, "--map", mapping, "--dead-letters", letters, "--quiet").code == 3
    assert [(letter["position"], letter["reason"]) for letter in records_of(letters)] == [(2, "naive_time")]


@pytest.mark.parametrize("name", ["orders.csv", "orders.xes", "orders.parquet"])
def test_a_table_without_a_mapping_is_refused(gridclock: Runner, name: str) -> None:
    ran = gridclock("replay", gridclock.file(name, "x"))
    assert ran.code == 2
    assert f"{name}: map: a {name.split('.')[1]} file needs a mapping: --map FILE" in ran.err


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_results_as_tables(gridclock: Runner, form: str) -> None:
    whole, table = gridclock.path / "cases.jsonl", gridclock.path / f"cases.{form}"
    alerts = gridclock.path / f"alerts.{form}"
    gridclock("replay", CSV, "--map", CSV_MAP, "--cases", whole, "--quiet")
    assert gridclock("replay", CSV, "--map", CSV_MAP, "--cases", table, "--alerts", alerts, "--quiet").code == 3
    rows = pl.read_csv(table, infer_schema=False) if form == "csv" else pl.read_parquet(table)
    cases = data_of(whole)
    assert len(cases) >= 3
    assert rows["subject.id"].to_list() == [case["subject"]["id"] for case in cases]
    assert rows["title.zh"].to_list() == [case["title"]["zh"] for case in cases]
    assert [json.loads(text) for text in rows["evidence"]] == [case["evidence"] for case in cases]
    deadlines = rows["deadline"]
    if form == "csv":
        assert deadlines.to_list() == [case["deadline"] for case in cases]
    else:
        assert [deadlines.dtype, rows["elapsed"].dtype] == [pl.Datetime("us", "UTC"), pl.Float64()]
        assert deadlines.dt.convert_time_zone("Asia/Shanghai").dt.strftime("%H:%M").to_list() == [
            case["deadline"] and case["deadline"][11:16] for case in cases
        ]
    told = pl.read_csv(alerts) if form == "csv" else pl.read_parquet(alerts)
    assert told.filter(pl.col("rule") == "repair-arrival")["kind"].to_list() == [
        "warning",
        "warning",
        "breach",
        "late_completion",
    ]
    assert {path.name for path in gridclock.path.iterdir()} == {f"alerts.{form}", "cases.jsonl", f"cases.{form}"}
