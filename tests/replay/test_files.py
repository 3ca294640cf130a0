"""Files as other people's systems write them: each fault as a kind, with its neighbours, and the right value.

The table is always the same five rows: BX1 arrives after 44 minutes (met), BX2 after 46 (met late), BX3 never.
"""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from streams.replay.sources.opening import Mappings, open_sources
from tests.replay.runs import Ran, Runner, data_of, of_rule, records_of

MADE_UP = Path(__file__).parent / "logs" / "made_up"
WIDE = MADE_UP / "wide.yaml"
UNTIL = "2026-03-02T12:00:00+08:00"
MAP = """time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
event_type: {column: 环节, values: {受理: repair.reported, 到达: repair.arrived}}
fields: {order_id: 工单编号, occurred_at: 时间, area: {column: 地区, values: {城区: urban, 农村: rural}}}
"""
HEAD = "工单编号,环节,时间,地区"
ROWS = [
    "BX1,受理,2026-03-02 09:00:00,城区",
    "BX1,到达,2026-03-02 09:44:00,城区",
    "BX2,受理,2026-03-02 09:00:00,城区",
    "BX2,到达,2026-03-02 09:46:00,城区",
    "BX3,受理,2026-03-02 09:00:00,城区",
]
RIGHT = {"BX1": "met", "BX2": "met_late", "BX3": "breached"}


def table(head: str = HEAD, rows: list[str] = ROWS) -> str:
    return "\r\n".join([head, *rows]) + "\r\n"


def judged(gridclock: Runner, path: Path, mapping: str | Path | None = MAP, *more: str) -> tuple[Ran, dict[str, str]]:
    """The run, and how the arrival of each order was judged."""
    cases = gridclock.path / "cases.jsonl"
    cases.unlink(missing_ok=True)
    if isinstance(mapping, str):
        mapping = gridclock.file("map.yaml", mapping)
    given: list[str | Path] = [] if mapping is None else ["--map", mapping]
    ran = gridclock("replay", path, *given, "--until", UNTIL, "--cases", cases, *more)
    found = of_rule(data_of(cases), "repair-arrival") if cases.exists() else []
    return ran, {case["subject"]["id"]: case["outcome"] for case in found}


def right(gridclock: Runner, path: Path, mapping: str | Path | None = MAP, *more: str) -> Ran:
    ran, found = judged(gridclock, path, mapping, *more)
    assert (ran.code, found) == (0, RIGHT), ran.err
    return ran


def refused(gridclock: Runner, path: Path, mapping: str | Path | None, *said: str) -> None:
    ran, _ = judged(gridclock, path, mapping)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1, ran.err
    for part in said:
        assert part in ran.err


def test_the_good_table(gridclock: Runner) -> None:
    right(gridclock, gridclock.file("f0.csv", table()))


# --- f1: quotes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opens_in", [1, 3, 5])
def test_a_quote_that_is_never_closed_names_its_row(gridclock: Runner, opens_in: int) -> None:
    rows = [row + (',"未填' if n == opens_in else ",") for n, row in enumerate(ROWS, start=1)]
    path = gridclock.file("f1.csv", table(HEAD + ",备注", rows))
    refused(gridclock, path, MAP, f"f1.csv:{opens_in + 1}: quote: a quote opens in row {opens_in}")


def test_a_quote_closed_rows_later_swallows_nothing_in_silence(gridclock: Runner) -> None:
    rows = [*(row + "," for row in ROWS[:1]), ROWS[1] + ',"未填', ROWS[2] + ",", ROWS[3] + ',"', ROWS[4] + ","]
    refused(gridclock, gridclock.file("f1.csv", table(HEAD + ",备注", rows)), MAP, "a quote opens in row 2")


def test_a_quote_closed_in_the_next_row(gridclock: Runner) -> None:
    rows = [*(row + "," for row in ROWS[:1]), ROWS[1] + ',"未填', ROWS[2] + ',"', *(row + "," for row in ROWS[3:])]
    refused(gridclock, gridclock.file("f1.csv", table(HEAD + ",备注", rows)), MAP, "a quote opens in row 2")


@pytest.mark.parametrize("place", [0, 4])
def test_a_cell_of_several_lines_is_one_cell(gridclock: Runner, place: int) -> None:
    def with_note(row: str, note: str) -> str:
        cells = row.split(",")
        return ",".join([*cells[:place], note, *cells[place:]])

    rows = [with_note(row, '"一,\r\n""二"",三"') for row in ROWS]
    right(gridclock, gridclock.file("f1.csv", table(with_note(HEAD, "备注"), rows)))


@pytest.mark.parametrize(("quote", "note"), [("none", '"未填'), ('"\'"', "'a,b'"), ("'\"'", '"two\r\nlines"')])
def test_quotes_can_be_set_and_switched_off(gridclock: Runner, quote: str, note: str) -> None:
    path = gridclock.file("f1.csv", table(HEAD + ",备注", [f"{row},{note}" for row in ROWS]))
    right(gridclock, path, f"quote: {quote}\n{MAP}")


# --- f2, f3, f4: columns, formats, encodings -----------------------------------------------------------------


def test_two_columns_of_one_name_are_refused_where_they_are_named(gridclock: Runner) -> None:
    twice = table(HEAD + ",时间", [row + ",2026-03-02 12:00:00" for row in ROWS])
    refused(gridclock, gridclock.file("f2.csv", twice), MAP, "map.yaml:3: fields.occurred_at: ", "2 columns '时间'")
    right(gridclock, gridclock.file("other.csv", table(HEAD + ",备注,备注", [row + ",a,b" for row in ROWS])))


@pytest.mark.parametrize("name", ["f3.txt", "f3", "f3.dat.gz"])
def test_the_format_of_the_mapping_counts(gridclock: Runner, name: str) -> None:
    text = table().replace(",", "\t").encode()
    path = gridclock.file(name, gzip.compress(text) if name.endswith(".gz") else text)
    right(gridclock, path, f'format: csv\ndelimiter: "\\t"\n{MAP}')


def test_tabs_are_the_delimiter_of_tsv(gridclock: Runner) -> None:
    right(gridclock, gridclock.file("f3.tsv", table().replace(",", "\t")))


def test_another_delimiter_is_recognised(gridclock: Runner) -> None:
    refused(gridclock, gridclock.file("f3.csv", table().replace(",", ";")), MAP, "separated by ';': set delimiter")


@pytest.mark.parametrize("mapping", [MAP, f"format: csv\n{MAP}"])
def test_a_mapping_that_is_not_used_is_an_error(gridclock: Runner, mapping: str) -> None:
    line = {"event_id": "e1", "event_type": "repair.reported", "occurred_at": UNTIL, "order_id": "A"}
    refused(gridclock, gridclock.lines("plain.jsonl", [line]), mapping, "map.yaml: format: this mapping is not used")


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_an_encoding_that_is_not_said_is_named(gridclock: Runner, encoding: str) -> None:
    path = gridclock.file("f4.csv", table().encode(encoding))
    refused(gridclock, path, MAP, f"f4.csv is not UTF-8; looks like {encoding}: set encoding")
    right(gridclock, path, f"encoding: {encoding}\n{MAP}")


def test_utf_8_read_as_gb18030_is_named(gridclock: Runner) -> None:
    path = gridclock.file("f4.csv", table())
    refused(gridclock, path, f"encoding: gb18030\n{MAP}", "looks like utf-8: set encoding: utf-8")


# --- f5, f6: blanks, titles, empty rows ------------------------------------------------------------------------


def test_blanks_around_cells_are_taken_off(gridclock: Runner) -> None:
    rows = [row.replace("到达", "到达 ").replace("BX1,到", "BX1  ,到").replace("城区", "\u3000城区") for row in ROWS]
    path = gridclock.file("f5.csv", table(HEAD, rows))
    right(gridclock, path)
    ran, found = judged(gridclock, path, f"strip: false\n{MAP}")
    assert ran.code == 3
    assert "column '环节' has '到达 '" in ran.err
    assert found == {}


def test_rows_passed_over_are_counted_by_value(gridclock: Runner) -> None:
    skip = MAP.replace("repair.arrived}", "repair.arrived}, other: skip")
    rows = [*ROWS, *(f"BX{n},{word},2026-03-02 09:00:00,城区" for n, word in enumerate(["回访", "回访", "派工"]))]
    ran = right(gridclock, gridclock.file("f5.csv", table(HEAD, rows)), skip)
    assert "2 skipped: 环节 is not mapped: 回访\n1 skipped: 环节 is not mapped: 派工\n" in ran.err
    assert "8 lines, 5 events" in ran.err


@pytest.mark.parametrize(
    ("above", "below", "keys"),
    [
        ("抢修工单明细表,,,\r\n", "", "header_row: 2"),
        ("抢修工单明细表,,,\r\n", "", "skip_rows: 1"),
        ("抢修工单明细表,,,\r\n打印时间,2026,,\r\n", "", "header_row: 3"),
        ("抢修工单明细表,,,\r\n", "文本,文本,时间,文本\r\n", "header_row: 2\nskip_rows: 1"),
    ],
)
def test_a_title_above_and_an_empty_row_below(gridclock: Runner, above: str, below: str, keys: str) -> None:
    text = above + HEAD + "\r\n" + below + table(HEAD, ROWS).split("\r\n", 1)[1] + ",,,\r\n\r\n"
    path = gridclock.file("f6.csv", text)
    ran = right(gridclock, path, f"{keys}\n{MAP}")
    assert "2 skipped: empty row" in ran.err
    refused(gridclock, path, MAP, "row 1 looks like a title: set header_row")


# --- f7: several events a row -----------------------------------------------------------------------------------


def test_one_row_an_order_with_times_as_people_write_them(gridclock: Runner) -> None:
    rows = [
        "BX1,2026/3/2 9:00,2026/3/2 9:44,城区",
        "BX2,46083.375,46083.4069444,城区",
        "BX3,2026年3月2日 9:00,NULL,城区",
    ]
    path = gridclock.file("f7.csv", table("工单编号,受理时间,到达时间,地区", rows))
    wide = WIDE.read_text("utf-8").replace("header_row: 2\n", "")
    ran = right(gridclock, path, wide)
    assert "3 lines, 5 events" in ran.err
    arrived = [case for case in of_rule(data_of(gridclock.path / "cases.jsonl"), "repair-arrival")]
    assert [case["stopped_at"] for case in arrived] == [
        "2026-03-02T09:44:00.000+08:00",
        "2026-03-02T09:46:00.000+08:00",
        None,
    ]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y/%m/%d %p %I:%M", "2026/3/2 上午 9:44"),
        ("%Y/%m/%d %p%I:%M", "2026/3/2 上午9:44"),
        ("%d-%b-%y %I.%M.%S.%f %p", "02-3月 -26 09.44.00.000000000 上午"),
        ("%d-%b-%y %I.%M.%S.%f %p", "02-MAR-26 09.44.00.000000 AM"),
        ("%d-%b-%y %I.%M.%S.%f %p %z", "02-MAR-26 01.44.00.000000 AM +00:00"),
        ("epoch_s", "1772415840"),
        ("epoch_ms", "1772415840000"),
        ("epoch_us", "1772415840000000"),
        ("epoch_ns", "1772415840000000000"),
        ("excel", "46083.4055555556"),
        ("iso", "2026-03-02T01:44:00Z"),
    ],
)
def test_forms_of_times(gridclock: Runner, form: str, text: str) -> None:
    rows = [row.replace("2026-03-02 09:44:00", text) for row in ROWS]
    mapping = MAP.replace('format: "%Y-%m-%d %H:%M:%S"', f'formats: ["%Y-%m-%d %H:%M:%S", "{form}"]')
    right(gridclock, gridclock.file("times.csv", table(HEAD, rows)), mapping)


def test_an_afternoon_is_one(gridclock: Runner) -> None:
    mapping = 'time: {format: "%Y/%m/%d %p %I:%M", zone: Asia/Shanghai}\nkey: [n]\nevents:\n' + (
        "  - {event_type: repair.reported, occurred_at: a}\n  - {event_type: repair.arrived, occurred_at: b}\n"
        "fields: {order_id: n}\nconstants: {area: urban}\n"
    )
    path = gridclock.file("t.csv", "n,a,b\r\nBX1,2026/3/2 上午 11:30,2026/3/2 下午 12:14\r\n")
    _, found = judged(gridclock, path, mapping, "--at-most", "0")
    assert found == {"BX1": "running"}  # half past eleven, and time ends at noon
    bad = gridclock.file("bad.yaml", mapping.replace("%I", "%H"))
    refused(gridclock, path, bad, "bad.yaml:1: time.format: ", "%p (上午/下午) needs %I")


@pytest.mark.parametrize("word", ["NULL", "~", r"\N", "无", "null", "-"])
def test_null_words_are_words(gridclock: Runner, word: str) -> None:
    path = gridclock.file("n.csv", table("工单编号,受理时间,到达时间,地区", [f"BX3,2026/3/2 9:00,{word},城区"]))
    wide = WIDE.read_text("utf-8").replace("header_row: 2\n", "")
    ran, found = judged(gridclock, path, wide.replace(r"[NULL, \N, 无]", f"[{word}]"))
    assert (ran.code, found) == (0, {"BX3": "breached"})


@pytest.mark.parametrize("name", ["wide.xlsx", "wide.xls"])
def test_spreadsheets_with_a_title_and_chinese_headings(gridclock: Runner, name: str) -> None:
    ran, found = judged(gridclock, MADE_UP / name, WIDE, "--sheet", "工单")
    assert (ran.code, found) == (0, {**RIGHT, "400123456789": "met"})
    assert "5 lines, 7 events" in ran.err
    assert "1 skipped: empty row" in ran.err


def test_a_spreadsheet_without_that_sheet(gridclock: Runner) -> None:
    ran, _ = judged(gridclock, MADE_UP / "wide.xlsx", WIDE, "--sheet", "工单表")
    assert ran.code == 2
    assert "wide.xlsx: sheet: has no sheet '工单表'; it has 工单, 说明" in ran.err


# --- f8, f13: ids that are numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1.23457E+18", "1.23457e+18", "4E+11"])
def test_ids_as_a_spreadsheet_rounded_them_are_refused(gridclock: Runner, text: str) -> None:
    rows = [row.replace("BX1", text).replace("BX2", text) for row in ROWS]
    ran, found = judged(gridclock, gridclock.file("f8.csv", table(HEAD, rows)))
    assert (ran.code, found) == (3, {"BX3": "breached"})
    assert f"f8.csv:1: bad_field: order_id: column '工单编号' has '{text}'" in ran.err
    assert "(mapping key: fields.order_id)" in ran.err
    assert f"  4 bad_field: order_id: {text}\n" in ran.err


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pl.Series("n", [b"BX1"], dtype=pl.Binary), "BX1"),
        (pl.Series("n", [Decimal("1.0000000000")], dtype=pl.Decimal(20, 10)), "1"),
        (pl.Series("n", [20260302001.0]), "20260302001"),
        (pl.Series("n", [123456789012345]), "123456789012345"),
        (pl.Series("n", [1234567890123456]), None),
        (pl.Series("n", [1.5]), None),
        (pl.Series("n", [b"\xff"], dtype=pl.Binary), None),
    ],
)
def test_ids_in_parquet_are_their_digits(gridclock: Runner, column: pl.Series, ids: str | None) -> None:
    path = gridclock.path / "f13.parquet"
    pl.DataFrame([column, pl.Series("at", ["2026-03-02T09:00:00"])]).write_parquet(path)
    mapping = "time: {zone: Asia/Shanghai}\nconstants: {event_type: repair.reported, area: urban}\n"
    ran, found = judged(gridclock, path, mapping + "fields: {order_id: n, occurred_at: at}\n")
    assert (ran.code, found) == ((3, {}) if ids is None else (0, {ids: "breached"}))
    if ids is None:
        assert "f13.parquet:1: " in ran.err
        assert "column 'n' has" in ran.err


def test_a_long_id_that_is_exact_can_be_taken(gridclock: Runner) -> None:
    path = gridclock.path / "f13.parquet"
    pl.DataFrame({"n": [1234567890123456789], "at": ["2026-03-02T09:00:00"]}).write_parquet(path)
    mapping = "time: {zone: Asia/Shanghai}\nconstants: {event_type: repair.reported, area: urban}\n"
    _, found = judged(gridclock, path, mapping + "fields: {order_id: {column: n, as: text}, occurred_at: at}\n")
    assert found == {"1234567890123456789": "breached"}


# --- f9, f10: marks, damage --------------------------------------------------------------------------------------

LINE = {"event_id": "e1", "event_type": "repair.reported", "occurred_at": "2026-03-02T09:00:00+08:00"}
LINES = json.dumps({**LINE, "order_id": "BX3", "area": "urban"}).encode() + b"\n"


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_byte_order_mark_before_json_lines(gridclock: Runner, jobs: str, pack: Any) -> None:
    path = gridclock.file("f9.jsonl", pack(b"\xef\xbb\xbf" + LINES))
    ran, found = judged(gridclock, path, None, "--jobs", jobs)
    assert (ran.code, found) == (0, {"BX3": "breached"})


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["f10.jsonl", "f10.csv", "f10.json"])
def test_a_compressed_file_cut_short_is_damaged(gridclock: Runner, name: str, pack: Any) -> None:
    lines = b"".join(LINES.replace(b"e1", b"e%d" % n) for n in range(3000))
    text = {"jsonl": lines, "csv": table(HEAD, ROWS * 600).encode(), "json": b"[" + lines.replace(b"\n", b",")}
    whole = pack(text[name.split(".")[1]])
    path = gridclock.file(name, whole[:-20])
    refused(gridclock, path, MAP if name == "f10.csv" else None, f"{name}", "damaged after")


def test_a_damaged_gzip_file(gridclock: Runner) -> None:
    whole = bytearray(gzip.compress(b"".join(LINES.replace(b"e1", b"e%d" % n) for n in range(20_000))))
    whole[len(whole) // 2 : len(whole) // 2 + 50] = b"\xff" * 50
    ran, _ = judged(gridclock, gridclock.file("f10.jsonl.gz", bytes(whole)), None)
    assert (ran.code, ran.out) == (2, "")
    assert "damaged after this line" in ran.err


def test_several_frames_of_zstandard_are_one_file(gridclock: Runner) -> None:
    frames = b"".join(zstandard.compress(row.encode() + b"\r\n") for row in [HEAD, *ROWS])
    right(gridclock, gridclock.file("orders.csv.zst", frames))


def test_utf_16_cut_short(gridclock: Runner) -> None:
    path = gridclock.file("f10.csv", table().encode("utf-16")[:-1])
    refused(gridclock, path, f"encoding: utf-16\n{MAP}", "damaged after row 4")


@pytest.mark.parametrize(("declared", "encoding"), [("GBK", "gbk"), ("gb2312", "gb2312"), ("GB18030", "gb18030")])
def test_xes_in_chinese_encodings(gridclock: Runner, declared: str, encoding: str) -> None:
    events = "".join(
        f"<trace><string key='concept:name' value='{order}'/><event><string key='环节' value='{step}'/>"
        f"<date key='时间' value='{at.replace(' ', 'T')}'/><string key='地区' value='{area}'/></event></trace>"
        for order, step, at, area in (row.split(",") for row in ROWS)
    )
    xes = f"<?xml version='1.0' encoding='{declared}'?><log>{events}</log>"
    mapping = MAP.replace("工单编号", "case:concept:name").replace("%d %H", "%dT%H")
    right(gridclock, gridclock.file("f10.xes", xes.encode(encoding)), mapping)


# --- f11: other formats -------------------------------------------------------------------------------------------


def archive_of(kind: str) -> bytes:
    target = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as zipped:
            zipped.writestr("orders.csv", table())
    else:
        with tarfile.open(fileobj=target, mode="w:gz") as tarred:
            info = tarfile.TarInfo("orders.csv")
            info.size = len(table().encode())
            tarred.addfile(info, io.BytesIO(table().encode()))
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", archive_of("zip"), "is a ZIP archive of 1 files (orders.csv): unpack it"),
        ("a.csv", archive_of("zip"), "is a ZIP archive"),
        ("a.tar.gz", archive_of("tar"), "is a tar archive: unpack it"),
        ("a.pdf", b"%PDF-1.7\n", "is a PDF document"),
        ("a.rar", b"Rar!\x1a\x07", "is a RAR archive"),
        ("a.avro", b"Obj\x01abc", "is an Avro file"),
        ("a.jsonl.bz2", b"BZh91AY", "bzip2"),
        ("a.dat", b"\x01\x00\x02\x00", "is neither text nor a format that is known"),
        ("a.xls", b"<html><table></table></html>", "is a web page, as some systems name .xls"),
        ("a.xlsx", table().encode(), "is called .xlsx and is a text"),
        ("a.xlsx", b"PK\x03\x04nothing", "is a damaged ZIP archive or spreadsheet"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(gridclock: Runner, name: str, content: bytes, said: str) -> None:
    refused(gridclock, gridclock.file(name, content), MAP, name, said)


def json_rows() -> list[dict[str, Any]]:
    return [dict(zip(HEAD.split(","), row.split(","), strict=True)) for row in ROWS]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("nested", [False, True])
def test_json_of_any_shape(gridclock: Runner, mark: str, indent: int | None, nested: bool) -> None:
    rows: list[dict[str, Any]] = json_rows()
    mapping = f"format: json\n{MAP}"
    if nested:
        rows = [{"data": {"order": row}, "seq": n} for n, row in enumerate(rows)]
        for column in HEAD.split(","):
            mapping = mapping.replace(f": {column}", f": data.order.{column}")
    text = json.dumps(rows, ensure_ascii=False, indent=indent)
    right(gridclock, gridclock.file("rows.json", mark + text), mapping)
    lines = "\n".join(json.dumps(row) for row in rows)
    right(gridclock, gridclock.file("rows.jsonl", mark + lines), mapping)


def test_an_array_of_events_needs_no_mapping(gridclock: Runner) -> None:
    path = gridclock.file(
        "events.json", b"[" + LINES + b"," + LINES.replace(b"BX3", b"BX4").replace(b"e1", b"e2") + b"]"
    )
    ran, found = judged(gridclock, path, None)
    assert (ran.code, found) == (0, {"BX3": "breached", "BX4": "breached"})
    for damaged in (b"[" + LINES, b"[" + LINES + b",{", b"[" + LINES + b",x]"):
        refused(gridclock, gridclock.file("events.json", damaged), None, "events.json: damaged after element 1")


def test_a_directory_of_parquet_files(gridclock: Runner) -> None:
    directory = gridclock.path / "orders"
    for n, row in enumerate(json_rows()):
        part = directory / f"地区={row.pop('地区')}"
        part.mkdir(parents=True, exist_ok=True)
        pl.DataFrame([row]).write_parquet(part / f"part-{n:05}.parquet")
    (directory / "_SUCCESS").write_bytes(b"")
    right(gridclock, directory)
    empty = gridclock.path / "empty"
    empty.mkdir()
    refused(gridclock, empty, MAP, "empty: has no .parquet file in it")


# --- f12: what the rulebook does not know ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("repair.arrived", "repair.arived", "map.yaml:2: event_type.values.到达: the rulebook knows no event type "
         "'repair.arived'; did you mean 'repair.arrived'?"),
        ("area:", "aera:", "fields.aera: the rulebook knows no field 'aera' of these events; did you mean 'area'?"),
        ("order_id:", "order_nr: 地区, order_id:", "fields.order_nr: the rulebook knows no field 'order_nr'"),
        ("area:", "org.citi: 地区, area:", "did you mean 'org.city'?"),
        ("%H:%M:%S", "%Q", "map.yaml:1: time.format: '%Y-%m-%d %Q' is not a pattern that can be read"),
        ('"%Y-%m-%d %H:%M:%S"', "epoch", "did you mean epoch_s?"),
    ],
)  # fmt: skip
def test_a_mapping_is_held_to_the_rulebook(gridclock: Runner, old: str, new: str, said: str) -> None:
    refused(gridclock, gridclock.file("f0.csv", table()), MAP.replace(old, new, 1), said)


# --- f14, f15 -----------------------------------------------------------------------------------------------------


def test_ids_do_not_depend_on_the_path(gridclock: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mapping = gridclock.file("a.csv", table()), gridclock.file("map.yaml", MAP)
    monkeypatch.chdir(gridclock.path)
    runs = [
        {alert["alert_id"] for alert in gridclock("replay", name, "--map", mapping, "--until", UNTIL).alerts}
        for name in ("a.csv", "./a.csv", path)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) > 2


def test_a_time_that_fits_no_form_names_value_forms_and_zone(gridclock: Runner) -> None:
    letters = gridclock.path / "letters.jsonl"
    rows = [*ROWS[:4], "BX3,受理,2026年3月2日,城区"]
    ran, _ = judged(gridclock, gridclock.file("f15.csv", table(HEAD, rows)), MAP, "--dead-letters", str(letters))
    assert ran.code == 3
    detail = (
        "column '时间' has '2026年3月2日': fits none of the forms tried (%Y-%m-%d %H:%M:%S; zone Asia/Shanghai) "
        "(mapping key: time)"
    )
    assert f"f15.csv:5: impossible_time: occurred_at: {detail}" in ran.err
    assert [(one["position"], one["detail"]) for one in records_of(letters)] == [(5, detail)]


def test_an_epoch_in_another_unit_is_recognised(gridclock: Runner) -> None:
    rows = [row.replace("2026-03-02 09:00:00", "1772413200000") for row in ROWS[:1]]
    mapping = MAP.replace('"%Y-%m-%d %H:%M:%S"', "epoch_s")
    ran, _ = judged(gridclock, gridclock.file("e.csv", table(HEAD, rows)), mapping)
    assert ran.code == 3
    assert "as epoch_s gives no year at all: epoch_ms would fit" in ran.err


# --- how much is borne ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 3),
        (("--strict",), 3),
        (("--at-most", "1"), 3),
        (("--at-most", "2"), 0),
        (("--strict", "--at-most", "1"), 2),
    ],
)
def test_refusals_are_bounded(gridclock: Runner, options: tuple[str, ...], code: int) -> None:
    rows = [*ROWS, "BX4,受理,heute,城区", "BX5,受理,gestern,城区"]
    ran, found = judged(gridclock, gridclock.file("r.csv", table(HEAD, rows)), MAP, *options)
    assert ran.code == code
    if code != 2:
        assert found == RIGHT
        assert "2 lines refused: impossible_time 2\n" in ran.err
        assert "  1 impossible_time: occurred_at: gestern\n" in ran.err


def test_several_mappings_each_for_its_files(gridclock: Runner) -> None:
    first, second = gridclock.file("one.csv", table(HEAD, ROWS[:2])), gridclock.file("two.txt", table(HEAD, ROWS[2:]))
    for_all, for_one = gridclock.file("all.yaml", MAP), gridclock.file("one.yaml", f"format: csv\n{MAP}")
    cases = gridclock.path / "cases.jsonl"
    arguments: list[str | Path] = [
        "--map",
        f"*.txt={for_one}",
        "--map",
        for_all,
        "--until",
        UNTIL,
        "--cases",
        cases,
        "--quiet",
    ]
    assert gridclock("replay", first, second, *arguments).code == 0
    assert {c["subject"]["id"]: c["outcome"] for c in of_rule(data_of(cases), "repair-arrival")} == RIGHT


# --- object-centric logs -----------------------------------------------------------------------------------------

OCEL_MAP = """time: {zone: Asia/Shanghai}
event_type: {column: "ocel:activity", values: {受理: repair.reported, 到达: repair.arrived}, other: skip}
fields: {event_id: "ocel:eid", occurred_at: "ocel:timestamp", order_id: "ocel:type:order",
         area: {column: 地区, values: {城区: urban}}}
"""
OCEL_EVENTS = [(f"e{n}", *row.split(",")) for n, row in enumerate(ROWS)]


def ocel_json() -> bytes:
    return json.dumps(
        {
            "objectTypes": [{"name": "order", "attributes": []}],
            "eventTypes": [{"name": "受理", "attributes": [{"name": "地区", "type": "string"}]}],
            "objects": [{"id": order, "type": "order", "attributes": []} for order in RIGHT],
            "events": [
                {"id": eid, "type": step, "time": at.replace(" ", "T"), "attributes": [{"name": "地区", "value": area}],
                 "relationships": [{"objectId": order, "qualifier": "of"}]}
                for eid, order, step, at, area in OCEL_EVENTS
            ],
        }
    ).encode()  # fmt: skip


def ocel_xml() -> bytes:
    objects = "".join(f'<object id="{order}" type="order"/>' for order in RIGHT)
    events = "".join(
        f'<event id="{eid}" type="{step}" time="{at.replace(" ", "T")}"><attributes><attribute name="地区">{area}'
        f'</attribute></attributes><objects><relationship object-id="{order}" qualifier="of"/></objects></event>'
        for eid, order, step, at, area in OCEL_EVENTS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><log><object-types/><event-types/>'
        f"<objects>{objects}</objects><events>{events}</events></log>"
    ).encode()


def ocel_sqlite(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE event(ocel_id, ocel_type); CREATE TABLE object(ocel_id, ocel_type);"
            "CREATE TABLE event_map_type(ocel_type, ocel_type_map);"
            "CREATE TABLE event_object(ocel_event_id, ocel_object_id, ocel_qualifier);"
            "CREATE TABLE event_in(ocel_id, ocel_time, 地区); CREATE TABLE event_there(ocel_id, ocel_time, 地区);"
            "INSERT INTO event_map_type VALUES ('受理', 'in'), ('到达', 'there');"
        )
        database.executemany("INSERT INTO object VALUES (?, 'order')", [(order,) for order in RIGHT])
        for eid, order, step, at, area in OCEL_EVENTS:
            database.execute("INSERT INTO event VALUES (?, ?)", (eid, step))
            table = "event_in" if step == "受理" else "event_there"
            database.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (eid, at, area))
            database.execute("INSERT INTO event_object VALUES (?, ?, 'of')", (eid, order))
        database.commit()
    return path.read_bytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["json", "xml", "sqlite"])
def test_ocel_logs(gridclock: Runner, form: str, packed: bool) -> None:
    content = {"json": ocel_json, "xml": ocel_xml}.get(form, lambda: ocel_sqlite(gridclock.path / "made.sqlite"))()
    path = gridclock.file(f"log.{form}", gzip.compress(content) if packed else content)
    right(gridclock, path, OCEL_MAP)
    right(gridclock, path, f"format: ocel\n{OCEL_MAP}")


@pytest.mark.parametrize("content", [b'{"eventTypes": [], "objectTypes": [], "events": [{}]}', ocel_xml()[:-40]])
def test_a_damaged_ocel_log(gridclock: Runner, content: bytes) -> None:
    ran, _ = judged(gridclock, gridclock.file("log.ocel", content), f"format: ocel\n{OCEL_MAP}")
    assert (ran.code, ran.out) == (2, "")
    assert "log.ocel" in ran.err


def test_an_event_of_two_meters_is_judged_for_both(gridclock: Runner) -> None:
    rows = [{"id": "1", "meters": ["M1", "M2"], "order": "W1", "at": "2026-03-02T09:00:00+08:00"}]
    mapping = (
        "format: json\nconstants: {event_type: reading.collected, period: 2026-03, method: remote}\n"
        "fields: {event_id: id, occurred_at: at, meter_id: meters, order_id: order}\n"
    )
    found = [
        json.loads(raw)
        for source in open_sources(
            [str(gridclock.file("rows.json", json.dumps(rows)))],
            Mappings.load([gridclock.file("map.yaml", mapping)]),
        )
        for _, raw, _ in source.records()
    ]
    assert [(one["event_id"], one.get("order_id"), one["meter_id"]) for one in found] == [
        ("1", "W1", "M1"),
        ("1#M2", None, "M2"),
    ]


# --- rows that change ------------------------------------------------------------------------------------------------


def test_a_later_row_of_a_key_stands_in_place_of_the_earlier(gridclock: Runner) -> None:
    wide = WIDE.read_text("utf-8").replace("header_row: 2\n", "")
    head = "工单编号,受理时间,到达时间,地区"
    first = gridclock.file("mon.csv", table(head, [
        "BX1,2026/3/2 9:00,2026/3/2 9:50,城区", "BX2,2026/3/2 9:00,2026/3/2 9:46,城区",
        "BX3,2026/3/2 9:00,2026/3/2 9:10,城区", "BX1,2026/3/2 9:00,2026/3/2 9:50,城区",
    ]))  # fmt: skip
    second = gridclock.file("tue.csv", table(head, ["BX3,2026/3/2 9:00,,城区", "BX1,2026/3/2 9:00,2026/3/2 9:44,城区"]))
    mapping, cases = gridclock.file("map.yaml", wide), gridclock.path / "cases.jsonl"
    for jobs in ("1", "2"):
        arguments = ["--map", str(mapping), "--until", UNTIL, "--cases", str(cases), "--jobs", jobs]
        ran = gridclock("replay", first, second, *arguments)
        assert ran.code == 0
        found = {case["subject"]["id"]: case["outcome"] for case in of_rule(data_of(cases), "repair-arrival")}
        assert found == RIGHT
    explained = gridclock("explain", "BX1", "--events", first, "--events", second, "--map", mapping, "--until", UNTIL)
    assert explained.code == 0
    assert "09:44:00" in explained.out
    assert "09:50:00" not in explained.out


def test_the_later_recorded_row_stands_where_that_is_mapped(gridclock: Runner) -> None:
    mapping = (
        "time: {zone: Asia/Shanghai}\nkey: [n]\nevents:\n  - {event_type: repair.reported, occurred_at: a}\n"
        "  - {event_type: repair.arrived, occurred_at: b}\nfields: {order_id: n, recorded_at: r}\n"
        "constants: {area: urban}\n"
    )
    rows = [
        "BX1,2026-03-02 09:00,2026-03-02 09:44,2026-03-02 11:00",
        "BX1,2026-03-02 09:00,2026-03-02 09:50,2026-03-02 10:00",
    ]
    _, found = judged(gridclock, gridclock.file("r.csv", table("n,a,b,r", rows)), mapping)
    assert found == {"BX1": "met"}
