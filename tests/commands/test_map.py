"""From a file to right breaches: a mapping suggested, checked, looked at, and used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from streams.errors import ConfigError
from streams.replay.sources.profile import json_settings, profiled
from tests.commands.exports_of_others import EXPORTS, LEDGER, OCEL, WORKBOOK, Export
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
EMPTY_RULES = "chapter: own\ntitle: {zh: 本单位, en: Own}\n"
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


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_exports_of_others_get_the_verdicts_worked_out_by_hand(gridclock: Runner, export: Export) -> None:  # noqa: F811
    path, mapping = gridclock.file(export.name, export.content), gridclock.path / "map.yaml"
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    text = mapping.read_text("utf-8")
    for old, new in export.answers:
        assert old in text
        text = text.replace(old, new)
    mapping.write_text(text, "utf-8")
    overlay = re.search(r"#   (chapter: own)\n#   (title: .*)\n#   (disabled: \[(.*)\])\n", text)
    assert (overlay[4] if overlay else "") == export.unmet
    own = gridclock.path / "own"
    own.mkdir()
    (own / "rules.yaml").write_text("\n".join(overlay.groups()[:3]) if overlay else EMPTY_RULES, "utf-8")
    cases = gridclock.path / "cases.jsonl"
    ran = gridclock("replay", path, "--map", mapping, "--until", export.until, "--cases", cases, "--rules", own)
    assert ran.code == (3 if export.refused else 0), ran.err
    assert f"{export.refused} lines refused" in ran.err or not export.refused
    found = {(case["rule"], case["subject"]["id"], case["outcome"]) for case in data_of(cases)}
    assert {(*key, outcome) for key, outcome in export.outcomes.items()} <= found
    wrong = {(rule, subject) for rule, subject, outcome in found if outcome in ("breached", "violated", "met_late")}
    assert wrong <= export.outcomes.keys(), "nothing else is reported"


def test_digits_of_ids_are_no_times_and_a_doubtful_type_is_only_a_question(gridclock: Runner) -> None:  # noqa: F811
    ran = gridclock("map", "suggest", gridclock.file("ledger.csv", LEDGER.content))
    assert "#   户号: text; 13 of 13 filled" in ran.out
    assert "\n  account_id: 户号\n" in ran.out
    assert "\n    停电前复核: arrears.status_rechecked   # ?" in ran.out
    assert "\n  # ? cause: COLUMN   or, if it is the same in all rows, constants: {cause: arrears}   (" in ran.out
    assert "\n  owing: {column: 是否结清, values: {否: true, 是: false}}   # ?" in ran.out
    ocel = gridclock("map", "suggest", gridclock.file(OCEL.name, OCEL.content))
    assert "\n    # ? Meter dismounted: family.what_happened   # ? no event type has such a title; " in ocel.out
    book = gridclock("map", "suggest", gridclock.file(WORKBOOK.name, WORKBOOK.content))
    assert "\nsheet: 环节明细   # ? the one with most cells; others with rows: 填报说明\n" in book.out
    assert (
        "  other: refuse   # ? or skip: rows of other words are passed over and counted; 1 rows have no 环节名称"
        in book.out
    )
    assert f"map preview MAPPING '{gridclock.path / WORKBOOK.name}'" in book.err


def test_days_without_a_time_of_day_are_only_a_question(gridclock: Runner) -> None:  # noqa: F811
    sheet = "工单编号,报修日期,到达时间\nBX1,2026-03-02,2026-03-02 09:44\nBX2,2026-03-02,2026-03-02 09:46\n"
    ran = gridclock("map", "suggest", gridclock.file("days.csv", sheet))
    assert "  # ? - {event_type: repair.reported, occurred_at: 报修日期}   # ? 报修; days only: 00:00" in ran.out
    assert "  - {event_type: repair.arrived, occurred_at: 到达时间}" in ran.out


def test_the_last_change_of_a_wide_row_is_not_when_each_of_its_steps_was_entered(gridclock: Runner) -> None:  # noqa: F811
    sheet = "order_no,reported_at,arrived_at,updated_at\n" + "BX1" + ",2026-03-02 09:44" * 3 + "\n"
    ran = gridclock("map", "suggest", gridclock.file("rows.csv", sheet))
    assert "\n  # ? recorded_at: updated_at   # ? when the event was entered\n" in ran.out


def test_columns_named_by_initials_and_words_of_another_language_are_known(gridclock: Runner) -> None:  # noqa: F811
    table = "id,gdbh,slsj,pgsj,ddsj,gdsj,gzqy,lrsj\n1,QX1" + ",2026-03-02 09:00" * 4 + ",城镇,2026-03-02 09:00\n"
    ran = gridclock("map", "suggest", gridclock.file("yx_qxgd.csv", table))
    for column, event_type in (("slsj", "reported"), ("pgsj", "dispatched"), ("ddsj", "arrived"), ("gdsj", "closed")):
        assert f"\n  - {{event_type: repair.{event_type}, occurred_at: {column}}}   # ?" in ran.out
    assert "\n  order_id: gdbh\n" in ran.out
    assert "\n  area: {column: gzqy, values: {城镇: urban}}   # ?" in ran.out, "by its words"
    nodes = (("ACCEPT", "CITY"), ("ARRIVE", "COUNTRY"), ("FINISH", "CITY"), ("CLOSE", "CITY"))
    common = {"workOrderId": "W-1", "operateTime": "2026-03-02T01:00:00Z"}
    lines = [
        json.dumps({"evtId": f"E{n}", "nodeCode": node, "areaType": area, **common})
        for n, (node, area) in enumerate(nodes)
    ]
    english = gridclock("map", "suggest", gridclock.file("nodes.jsonl", "\n".join(lines)))
    for node, event_type in (("ACCEPT", "reported"), ("ARRIVE", "arrived"), ("FINISH", "completed")):
        assert f"\n    {node}: repair.{event_type}   # ?" in english.out
    assert "\n  event_id: evtId\n" in english.out
    assert "{column: areaType, values: {CITY: urban, COUNTRY: rural}}" in english.out


def test_a_step_that_is_not_done_is_no_event(gridclock: Runner) -> None:  # noqa: F811
    words = ("受理", "待派单", "派单", "未到达现场", "派单失败", "到达现场", "取消归档", "抢修完成中", "不予受理")
    rows = "".join(f"BX{n},{word},2026-03-02 09:00\n" for n, word in enumerate(words))
    ran = gridclock("map", "suggest", gridclock.file("states.csv", f"工单编号,工单状态,时间\n{rows}"))
    found = dict(re.findall(r"\n    (\w+): ([a-z_.]+)   # ", ran.out))
    assert found == {
        "受理": "repair.reported",
        "派单": "repair.dispatched",
        "到达现场": "repair.arrived",
        "不予受理": "application.rejected",
    }
    assert "\n    # ? 未到达现场: family.what_happened   # ? no event type has such a title" in ran.out


def test_an_event_without_an_id_is_a_question(gridclock: Runner) -> None:  # noqa: F811
    ran = gridclock("map", "suggest", gridclock.file("orders.csv", LONG))
    assert "\n  # ? event_id: COLUMN, or [COLUMN, COLUMN]   (names an event; else one sent twice counts" in ran.out


def test_a_type_that_is_not_named_yet_is_said_so_at_its_line(gridclock: Runner) -> None:  # noqa: F811
    path, mapping = (
        gridclock.file("x.csv", "gdbh,qqsj,zzsj\n1" + ",2026-03-02 09:00" * 2 + "\n"),
        gridclock.path / "m.yaml",
    )
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    ran = gridclock("map", "check", mapping)
    assert ran.code == 2
    said = "name the event type, or leave this out: gridclock map types WORD lists event types"
    assert [line.partition(": events.")[2] for line in ran.err.splitlines()] == [
        f"{n}.event_type: {said}" for n in (0, 1)
    ]


def test_records_that_are_not_json_are_named_with_the_remedy(gridclock: Runner) -> None:  # noqa: F811
    with pytest.raises(
        ConfigError, match=r"the first begins as with a schema registry .*; give its address: --registry"
    ):
        profiled("topic", *json_settings([b"\0\0\0\0\7x", b"\0\0\0\0\7y"]))
    found = profiled("topic", *json_settings([b"\0", b'{"a": 1}', b"[1]", b'{"a": {"b": 2}}']))
    assert list(found.columns) == ["a", "a.b"], "what cannot be read is left out"


ROWS = "{0},2026-03-02 09:00:00.0,2026-03-02 09:44:00.0,城区\n{1},2026-03-02 09:00:00.0,2026-03-02 09:46:00.0,城区\n"
HEADER = "工单编号,受理时间,到达时间,地区\n"
TITLE = "抢修工单统计表,,,\n制表单位：城东所,,制表时间：2026-03-05,\n"
FORMS = {
    "formula.csv": (HEADER + ROWS.format('="001"', '="002"')).encode("utf-8-sig"),
    "apostrophe.csv": (HEADER + ROWS.format("'001", "'002")).encode("utf-8-sig"),
    "text.xls": (HEADER + ROWS.format("001", "002")).replace(",", "\t").encode("utf-16"),
    "sum.csv": (TITLE + HEADER + ROWS.format("001", "002") + "合计,2,,\n").encode("gbk"),
    "month_first.csv": (
        HEADER + "001,03/02/2026 09:00,03/02/2026 09:44,城区\n002,03/02/2026 09:00,03/02/2026 09:46,城区\n"
    ).encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_spreadsheets_and_systems_make_of_a_sheet_is_read(gridclock: Runner, name: str) -> None:  # noqa: F811
    path, mapping, cases = (
        gridclock.file(name, FORMS[name]),
        gridclock.path / "map.yaml",
        gridclock.path / "cases.jsonl",
    )
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    ran = gridclock("replay", path, "--map", mapping, "--until", UNTIL, "--cases", cases)
    assert ran.code == (3 if name == "sum.csv" else 0), ran.err
    found = {case["subject"]["id"]: case["outcome"] for case in of_rule(data_of(cases), "repair-arrival")}
    assert found == {"001": "met", "002": "met_late"}
    asked = "; month first, or day first: " in mapping.read_text("utf-8")
    assert asked == (name == "month_first.csv"), "02/03 may be the third of February"


def test_a_day_above_twelve_in_one_column_answers_which_comes_first(gridclock: Runner) -> None:  # noqa: F811
    ran = gridclock("map", "suggest", gridclock.file("days.csv", HEADER + "1,02/03/2026 09:00,13/03/2026 09:44,城区\n"))
    assert '\ntime: {formats: ["%d/%m/%Y %H:%M"], zone: Asia/Shanghai}   # ? of times without a zone\n' in ran.out


def test_one_json_object_over_several_lines_says_where_its_records_are(gridclock: Runner) -> None:  # noqa: F811
    whole = {"code": 0, "data": {"rows": [{"a": 1}, {"a": 2}], "pages": [{"n": 1}]}}
    ran = gridclock("map", "suggest", gridclock.file("api.json", json.dumps(whole, indent=1)))
    assert ran.code == 2
    assert (
        "is one JSON object over several lines; its records seem to be in data.rows (2): write one record a" in ran.err
    )
    assert "jq -c '.data.rows[]'" in ran.err


def test_without_a_column_that_is_known_all_is_a_question(gridclock: Runner) -> None:  # noqa: F811
    path, mapping = gridclock.file("x.csv", "a,when\n1,soon\n"), gridclock.path / "map.yaml"
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    assert "\n# ? events: no column of times is known" in mapping.read_text("utf-8")
    assert "\n# ? fields:\n" in mapping.read_text("utf-8")
    assert "give event_type once: a column" in gridclock("map", "check", mapping).err


def test_event_types_are_found_by_a_word(gridclock: Runner) -> None:  # noqa: F811
    found = gridclock("map", "types", "停电通知")
    assert found.code == 0
    assert found.out.splitlines()[1].startswith("outage.notified")
    assert "disconnection.notice_delivered" in found.out
    assert "cause (arrears|violation|theft|administrative|works)" in found.out
    assert len(gridclock("map", "types").out.splitlines()) > 100
    none = gridclock("map", "types", "xyzzy")
    assert (none.code, "no event type has a name or title like xyzzy" in none.err) == (2, True)


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
    assert f"gridclock: to judge it: gridclock replay {path} --map {mapping}\n" in ran.err
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


OWN_ENTRY_TIMES = """\
key: n
fields: {order_id: n}
events:
  - {event_type: repair.reported, occurred_at: a, recorded_at: ra, when: {column: a, present: true}}
  - {event_type: repair.arrived, occurred_at: b, recorded_at: rb, when: {column: b, present: true}}
"""


@pytest.mark.parametrize(
    ("mapping", "columns"),
    [
        (OWN_ENTRY_TIMES, ["ra", "rb"]),
        (OWN_ENTRY_TIMES.replace("recorded_at: ra, ", "").replace("recorded_at: rb, ", ""), []),
        (OWN_ENTRY_TIMES.replace("key: n", "constants: {area: urban}"), []),
        (OWN_ENTRY_TIMES.replace("key: n", "format: debezium\nkey: n"), []),
        (
            OWN_ENTRY_TIMES.replace("recorded_at: ra, ", "").replace("recorded_at: rb, ", "")
            + "  - {event_type: repair.supply_restored, occurred_at: c, recorded_at: changed}\n",
            [],
        ),
    ],
)
def test_an_entry_time_that_is_emptied_with_its_event_is_said(
    gridclock: Runner,  # noqa: F811
    mapping: str,
    columns: list[str],
) -> None:
    ran = gridclock("map", "check", gridclock.file("m.yaml", mapping))
    assert ran.code == 0
    noted = re.findall(r"^gridclock: note: .*m\.yaml:(\d+): (\S+): .* column '(\w+)' is empty", ran.err, re.M)
    assert noted == [(str(4 + n), f"events.{n}.recorded_at", column) for n, column in enumerate(columns)]


@pytest.mark.parametrize(("enveloped", "wall"), [(False, "wall: true"), (True, "wall: false")])
def test_numbers_that_may_be_on_the_wall_are_asked_about_and_the_answer_counts(
    gridclock: Runner,  # noqa: F811
    enveloped: bool,
    wall: str,
) -> None:
    """Rows of Debezium without their envelope were read as UTC: from 09:00 on it was night."""
    nine = 1_772_442_000_000_000 if not enveloped else 1_772_413_200_000_000
    rows: list[dict[str, Any]] = [
        {"id": n, "order_no": f"BX{n}", "reported_at": nine, "arrived_at": nine + minutes * 60_000_000, "area": "城区"}
        for n, minutes in enumerate((44, 46))
    ]
    if enveloped:
        rows = [{"before": None, "after": row, "op": "c"} for row in rows]
    path, mapping = gridclock.lines("rows.jsonl", rows), gridclock.path / "map.yaml"
    assert gridclock("map", "suggest", path, "--out", mapping).code == 0
    text = mapping.read_text("utf-8")
    asked = next(line for line in text.splitlines() if line.startswith("time:"))
    assert f"; {wall} for " in asked
    mapping.write_text(text.replace("zone: Asia/Shanghai}", f"zone: Asia/Shanghai, {wall}}}"), "utf-8")
    cases = gridclock.path / "cases.jsonl"
    assert gridclock("replay", path, "--map", mapping, "--cases", cases).code == 0
    found = list(of_rule(data_of(cases), "repair-arrival"))
    assert [case["outcome"] for case in found] == ["met", "met_late"]
    assert {case["started_at"] for case in found} == {"2026-03-02T09:00:00.000+08:00"}


def test_texts_are_not_asked_about_the_wall(gridclock: Runner) -> None:  # noqa: F811
    for name, content in (("orders.csv", LONG.encode()), ("changes.jsonl", debezium())):
        assert "wall" not in gridclock("map", "suggest", gridclock.file(name, content)).out
