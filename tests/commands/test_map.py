"""From a file to right breaches: a mapping suggested, checked, looked at, and used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.replay.conftest import gridclock  # noqa: F401 (a fixture)
from tests.replay.runs import Runner, data_of, of_rule

MADE_UP = Path(__file__).parent.parent / "replay" / "logs" / "made_up"
UNTIL = "2026-03-02T12:00:00+08:00"
LONG = "\r\n".join(
    [
        "工单编号,环节,时间,地区",
        "BX1,受理,2026-03-02 09:00:00,城区",
        "BX1,到达,2026-03-02 09:44:00,城区",
        "BX2,受理,2026-03-02 09:00:00,城区",
        "BX2,到达,2026-03-02 09:46:00,城区",
        "BX3,受理,2026-03-02 09:00:00,城区",
        "",
    ]
)
WIDE = "\r\n".join(
    [
        "抢修工单明细表;;;",
        "工单编号;受理时间;到达时间;地区",
        "BX1;2026年3月2日 9:00;2026年3月2日 9:44;城区",
        "BX2;2026年3月2日 9:00;2026年3月2日 9:46;城区",
        "BX3;2026年3月2日 9:00;NULL;城区",
        "",
    ]
)
RIGHT = {"BX1": "met", "BX2": "met_late", "BX3": "breached"}


def debezium() -> bytes:
    def change(number: int, order: str, arrived: str | None) -> dict[str, Any]:
        row = {"order_no": order, "reported_at": "2026-03-02T01:00:00Z", "arrived_at": arrived, "area": "城区"}
        return {"before": None, "after": row, "op": "c", "source": {"lsn": number}, "ts_ms": 1772413200000}

    rows = [("BX1", "2026-03-02T01:44:00Z"), ("BX2", "2026-03-02T01:46:00Z"), ("BX3", None)]
    return "\n".join(json.dumps(change(n, *row)) for n, row in enumerate(rows)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("orders.csv", LONG.encode()),
        ("gbk.csv", LONG.encode("gbk")),
        ("utf16.csv", LONG.encode("utf-16")),
        ("wide.csv", WIDE.encode("gb18030")),
        ("orders.txt", LONG.replace(",", "\t").encode()),
        ("orders.xlsx", (MADE_UP / "wide.xlsx").read_bytes()),
        ("orders.xls", (MADE_UP / "wide.xls").read_bytes()),
        ("changes.jsonl", debezium()),
    ],
)
def test_a_suggestion_gives_the_right_breaches_as_it_stands(gridclock: Runner, name: str, content: bytes) -> None:  # noqa: F811
    path, mapping, cases = gridclock.file(name, content), gridclock.path / "map.yaml", gridclock.path / "cases.jsonl"
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    checked = gridclock("map", "check", mapping, path)
    assert (checked.code, checked.out) == (0, ""), checked.err + mapping.read_text("utf-8")
    ran = gridclock("replay", path, "--map", mapping, "--until", UNTIL, "--cases", cases)
    assert ran.code == 0
    found = {case["subject"]["id"]: case["outcome"] for case in of_rule(data_of(cases), "repair-arrival")}
    assert {order: found.get(order) for order in RIGHT} == RIGHT


def test_a_suggestion_shows_values_with_their_counts_and_asks(gridclock: Runner) -> None:  # noqa: F811
    ran = gridclock("map", "suggest", gridclock.file("wide.csv", WIDE.encode("gb18030")))
    assert "#   工单编号: text; 3 of 3 filled, 3 different: BX1 (1), BX2 (1), BX3 (1)\n" in ran.out
    assert "到达时间: times (%Y年%m月%d日 %H:%M); 2 of 3 filled" in ran.out
    for line in (
        "encoding: gb18030",
        'delimiter: ";"',
        "header_row: 2",
        'null_values: ["NULL"]',
        "key: [工单编号]   # ?",
    ):
        assert f"\n{line}" in ran.out


def test_the_first_rows_stand_beside_their_events(gridclock: Runner) -> None:  # noqa: F811
    path = gridclock.file("orders.csv", LONG + "BX4,受理,heute,城区\r\nBX5,受理,2026-03-02 09:00:00,山区\r\n")
    mapping = gridclock.file(
        "map.yaml",
        'time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}\n'
        "event_type: {column: 环节, values: {受理: repair.reported}, other: skip}\n"
        "fields: {order_id: 工单编号, occurred_at: 时间, area: {column: 地区, values: {城区: urban}}}\n",
    )
    ran = gridclock("map", "preview", mapping, path, "--rows", "2")
    assert ran.code == 3
    assert "工单编号=BX1" in ran.out
    assert "repair.reported 2026-03-02T09:00:00.000+08:00 order BX1 area=urban" in ran.out
    assert "skipped: 环节 is not mapped 到达" in ran.out
    assert "BX2" not in ran.out
    assert "7 rows, 3 events\n2 skipped: 环节 is not mapped: 到达\n" in ran.err
    assert "  1 impossible_time: occurred_at: heute\n  1 bad_field: area: 山区\n" in ran.err


def test_check_names_what_the_rulebook_does_not_know(gridclock: Runner) -> None:  # noqa: F811
    text = (
        "time: {zone: Asia/Shanghai}\nconstants: {event_type: repair.reported}\nfields: {order_id: a, occurred_at: b}\n"
    )
    good = gridclock("map", "check", gridclock.file("good.yaml", text))
    assert (good.code, good.err) == (0, f"gridclock: {gridclock.path / 'good.yaml'}: no errors\n")
    for old, new, said in (
        ("repair.reported", "repair.reportet", ":2: constants.event_type: the rulebook knows no event type"),
        ("b}", "b, households: c}", ":3: fields.households: the rulebook knows no field 'households'"),
        ("b}", "b, order_type: c, zone: d}", ":3: fields."),
    ):
        bad = gridclock("map", "check", gridclock.file("bad.yaml", text.replace(old, new, 1)))
        assert bad.code == 2
        assert said in bad.err


@pytest.mark.parametrize("name", ["mapping.yaml", "wide.yaml", "xes.yaml"])
def test_editors_have_a_schema(gridclock: Runner, name: str) -> None:  # noqa: F811
    schema = json.loads(gridclock("map", "schema").out)
    mapping = yaml.safe_load((MADE_UP / name).read_text("utf-8"))
    jsonschema.validate(mapping, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**mapping, "feilds": {}}, schema)
