"""Null bytes in a text, as a crash leaves them, cost only the rows that have them; what is no text is refused."""

from __future__ import annotations

import json

import pytest

from tests.replay.runs import Runner, records_of

EVENTS = [
    {
        "event_id": f"e{number}",
        "event_type": "repair.reported",
        "occurred_at": f"2026-03-02T09:{number:02}:00+08:00",
        "order_id": f"BX{number}",
        "area": "urban",
    }
    for number in range(12)
]
LINES = [json.dumps(event).encode() for event in EVENTS]
HEAD = b"order,what,at"
ROWS = [b"BX%d,created,2026-03-02 09:%02d:00" % (number, number) for number in range(12)]
READ = """
format: csv
time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
fields: {order_id: order, occurred_at: at}
constants: {area: urban}
"""
MAPS = (
    READ + "event_type: {column: what, values: {created: repair.reported}, other: skip}",
    READ + "events: [{event_type: repair.reported, when: {column: what, equals: created}}]",
    READ + "events: [{event_type: repair.reported, when: {column: what, none_of: [other]}}]",
)


def replayed(gridclock: Runner, name: str, content: bytes, *options: str) -> tuple[int, int, list[tuple[int, str]]]:
    """The exit code, the number of orders, and of each dead letter its line and reason."""
    cases, letters = gridclock.path / "cases.jsonl", gridclock.path / "letters.jsonl"
    for file in (cases, letters):
        file.unlink(missing_ok=True)
    ran = gridclock("replay", gridclock.file(name, content), "--cases", cases, "--dead-letters", letters, *options)
    found = [(one["position"], one["reason"]) for one in records_of(letters)] if letters.exists() else []
    orders = {one["data"]["subject"]["id"] for one in records_of(cases)} if cases.exists() else set()
    return ran.code, len(orders), found


@pytest.mark.parametrize("name", ["events.jsonl", "events.txt", "events.jsonl.gz"])
@pytest.mark.parametrize("at", [0, 1, 11])
@pytest.mark.parametrize("nulls", [1, 4096])
def test_a_line_with_null_bytes_is_refused_and_no_other(gridclock: Runner, name: str, at: int, nulls: int) -> None:
    lines = list(LINES)
    lines[at] = lines[at][:40] + bytes(nulls) + lines[at][40:]
    assert replayed(gridclock, name, b"\n".join(lines) + b"\n") == (3, 11, [(at + 1, "not_json")])


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"BX%d", b"BX\0%d"), (b"created", b"crea\0ted"), (b"09:%02d", b"09:\0%02d")],
)
@pytest.mark.parametrize("at", [0, 7])
@pytest.mark.parametrize("mapping", MAPS)
def test_a_row_of_a_table_with_a_null_byte_is_refused_and_no_other(
    gridclock: Runner, mapping: str, old: bytes, new: bytes, at: int
) -> None:
    rows = list(ROWS)
    rows[at] = (b"BX%d,created,2026-03-02 09:%02d:00".replace(old, new)) % (at, at)
    path = str(gridclock.file("map.yaml", mapping))
    code, orders, refused = replayed(gridclock, "a.csv", b"\n".join([HEAD, *rows]), "--map", path)
    assert (code, orders, [position for position, _ in refused]) == (3, 11, [at + 1])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_in_utf_16_is_read_and_json_in_it_is_refused_with_the_remedy(gridclock: Runner, encoding: str) -> None:
    mapping = str(gridclock.file("map.yaml", f"encoding: {encoding}\n{MAPS[0]}"))
    table = b"\n".join([HEAD, *ROWS]).decode().encode(encoding)
    assert replayed(gridclock, "a.csv", table, "--map", mapping) == (0, 12, [])
    path = gridclock.file("events.jsonl", b"\n".join(LINES).decode().encode(encoding))
    for command in ("replay", "send"):
        ran = gridclock(command, path)
        assert ran.code == 2
        assert "JSON is read as UTF-8: save it as UTF-8" in ran.err


@pytest.mark.parametrize("content", [bytes(5000), b"\x7fELF\x02\x01\x01" + bytes(9), b"{\x01\0\x02}", b"ab\0cd\0" * 99])
def test_what_is_no_text_is_refused_whole(gridclock: Runner, content: bytes) -> None:
    for command in ("replay", "send"):
        ran = gridclock(command, gridclock.file("a.dat", content))
        assert ran.code == 2
        assert "is neither text nor a format that is known" in ran.err
