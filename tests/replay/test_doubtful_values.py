"""Values of which a mapping cannot know what they were: the row is refused, and no event is made of a guess."""

from __future__ import annotations

from typing import Any

import pytest

from tests.replay.runs import Runner
from tests.replay.test_sources import events_of

ZONE = "time: {zone: Asia/Shanghai}\n"
NOT_SENT = "__debezium_unavailable_value"
NINE = "2026-03-02 09:00"


def found_in(gridclock: Runner, mapping: str, *rows: dict[str, Any], form: str = "json") -> list[Any]:
    """The events of rows through a mapping, or why there are none, without their numbers."""
    path = gridclock.lines("rows.jsonl", list(rows))
    zone = "" if mapping.startswith("time:") else ZONE
    return [one for _, one in events_of(path, gridclock.file("map.yaml", f"format: {form}\n{zone}{mapping}"))]


TYPED = (
    "event_type: {column: s, values: {完成: repair.completed}, other: skip}\nfields: {order_id: o, occurred_at: at}\n"
)
WHEN = """fields: {order_id: o}
events: [{event_type: repair.completed, occurred_at: at, when: {column: s, equals: 完成}}]
"""
PLAIN = "constants: {event_type: repair.completed}\nfields: {order_id: o, occurred_at: at, cause: s}\n"
KEYED = "key: s\n" + PLAIN.replace(", cause: s", "")


@pytest.mark.parametrize("mapping", [TYPED, WHEN, PLAIN, KEYED])
@pytest.mark.parametrize("text", [NOT_SENT, "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", [NOT_SENT]])
def test_a_value_that_debezium_has_not_sent_is_no_text_and_no_id(gridclock: Runner, mapping: str, text: Any) -> None:
    row = {"o": "W1", "at": NINE, "s": text}
    for form, record in (("json", row), ("debezium", {"op": "u", "before": None, "after": row})):
        (problem,) = found_in(gridclock, mapping, record, form=form)
        assert "column 's'" in problem
        assert "was not sent, because the update did not change it: set REPLICA IDENTITY FULL" in problem


def test_a_value_that_was_not_sent_hinders_only_where_it_is_used_and_may_be_named(gridclock: Runner) -> None:
    row = {"o": "W1", "at": NINE, "s": NOT_SENT}
    assert found_in(gridclock, PLAIN.replace("s}", "other}"), row)[0]["order_id"] == "W1"
    (event,) = found_in(gridclock, f"null_values: {NOT_SENT}\n{PLAIN}", row)
    assert (event["order_id"], "cause" in event) == ("W1", False)
    assert gridclock("map", "suggest", gridclock.path / "rows.jsonl").code == 0


@pytest.mark.parametrize("value", [["完成"], 10**500])
def test_a_type_that_is_no_text_is_not_passed_over(gridclock: Runner, value: Any) -> None:
    for mapping in (TYPED, WHEN):
        (problem,) = found_in(gridclock, mapping, {"o": "W1", "at": NINE, "s": value})
        assert str(problem).startswith("bad_field: ")


DELETED = """key: id
fields: {order_id: o}
events:
  - {event_type: repair.reported, occurred_at: at}
  - {event_type: repair.arrived, occurred_at: there, when: {column: there, present: true}}
"""


def test_a_deleted_row_of_debezium_takes_its_events_back_wherever_it_says_so(gridclock: Runner) -> None:
    row = {"id": 7, "o": "W1", "at": NINE, "there": "2026-03-02 09:30"}
    known = {"id": 7, "o": "W1", "at": None, "there": None}  # of a deleted row often only the key is
    for deleted in ("true", True):
        made = found_in(gridclock, DELETED, row | {"__deleted": "false"}, known | {"__deleted": deleted})
        assert [(one["event_id"], one.get("void", False)) for one in made] == [
            ("7/repair.reported", False), ("7/repair.arrived", False),
            ("7/repair.reported", True), ("7/repair.arrived", True),
        ]  # fmt: skip
    enveloped = found_in(gridclock, DELETED, {"op": "d", "before": known, "after": None}, form="debezium")
    assert enveloped == [{**one, "version": enveloped[0]["version"]} for one in made[2:]]


def test_a_deleted_row_that_gives_no_withdrawal_says_why(gridclock: Runner) -> None:
    row = {"id": 7, "o": None, "at": None, "__deleted": "true"}
    (problem,) = found_in(gridclock, DELETED, row)
    assert problem.startswith("bad_field: a deleted row does not name its order")
    (passed,) = found_in(gridclock, DELETED.replace("key: id\n", ""), row | {"o": "W1"})
    assert "deleted row without a key in the mapping" in passed
    table = gridclock.file("rows.csv", f"id,o,at,there,__deleted\n7,W1,{NINE},,TRUE\n")
    mapping = gridclock.file("map.yaml", ZONE + DELETED)
    assert all(isinstance(one, dict) and one["void"] for _, one in events_of(table, mapping))


def test_a_mapping_that_looks_at_deleted_rows_itself_decides(gridclock: Runner) -> None:
    asks = WHEN.replace("column: s, equals: 完成", "column: __deleted, equals: X")
    (passed,) = found_in(gridclock, asks.replace("X", '"false"'), {"o": "W1", "at": NINE, "__deleted": "true"})
    assert "row gives no event" in passed


def test_an_id_of_several_columns_needs_each_of_them(gridclock: Runner) -> None:
    """Order 12 of every county that was not filled in was one order, ``/12``."""
    mapping = (
        "constants: {event_type: repair.reported}\nfields: {order_id: [county, n], occurred_at: at, cause: [a, b]}\n"
    )
    whole, partly, none, several = found_in(
        gridclock,
        mapping,
        {"county": "3201", "n": 12, "at": NINE, "a": "x"},
        {"county": " ", "n": 12, "at": NINE},
        {"at": NINE},
        {"county": "3201", "n": [12], "at": NINE},
    )
    assert (whole["order_id"], whole["cause"]) == ("3201/12", "x/")
    empty = "bad_field: order_id: columns 'county', 'n' has '/12': column 'county' is empty, and the rest is the id of "
    assert partly == f"{empty}another thing (mapping key: fields.order_id)"
    assert isinstance(none, dict)  # the decoder names the subject that it lacks
    assert "holds several values; an id is one" in several


def test_elements_of_lists_are_cells(gridclock: Runner) -> None:
    mapping = (
        'null_values: ["-"]\nconstants: {event_type: outage.notice_given, kind: planned}\n'
        "fields: {batch_id: b, occurred_at: at, meters: {column: m, as: list}, account_id: a}\n"
    )
    row = {"b": "N1", "at": NINE, "m": [" M1 ", None, "-", "", "M2"], "a": [" A1 ", None]}
    listed, text, empty = found_in(
        gridclock, mapping, row, row | {"m": "M1; - ;M2"}, row | {"m": [None, "-"], "a": [""]}
    )
    assert (listed["meters"], listed["account_id"]) == (["M1", "M2"], "A1")
    assert text["meters"] == ["M1", "M2"]
    assert empty.keys().isdisjoint({"meters", "account_id"})


@pytest.mark.parametrize("text", ["1_000", "１０００", "١٠٠٠", "1e3_0", "0x10", "NaN", "Infinity", "1,00", "--1", "."])
def test_numbers_are_written_in_digits_from_0_to_9(gridclock: Runner, text: str) -> None:
    mapping = PLAIN.replace("cause: s", "households: {column: n, as: %s}")
    for kind in ("integer", "number"):
        (problem,) = found_in(gridclock, mapping % kind, {"o": "W1", "at": NINE, "n": text})
        assert "is not a number" in problem
    for good, value in (("1,000", 1000), ("+12", 12), ("3.", 3), (" 1e3 ", 1000)):
        assert found_in(gridclock, mapping % "integer", {"o": "W1", "at": NINE, "n": good})[0]["households"] == value


@pytest.mark.parametrize("form", ["epoch_s", "excel"])
def test_so_are_epochs_and_days_of_spreadsheets(gridclock: Runner, form: str) -> None:
    mapping = f"time: {{zone: Asia/Shanghai, format: {form}}}\n{PLAIN}"
    good, bad = ("1772413200", "1_772_413_200") if form == "epoch_s" else ("46083.375", "46_083.375")
    read, refused = found_in(gridclock, mapping, {"o": "W1", "at": good}, {"o": "W1", "at": bad})
    assert read["occurred_at"].startswith("2026-03-02T0")
    assert "fits none of the forms tried" in refused


@pytest.mark.parametrize(
    ("zone", "twice", "clear"),
    [
        ("Europe/Berlin", "2026-10-25 02:30", ("2026-10-25 01:59:59", "2026-10-25 03:00", "2026-03-29 03:00")),
        ("America/New_York", "2026-11-01 01:00", ("2026-11-01 00:59:59", "2026-11-01 02:00")),
        ("Australia/Lord_Howe", "2026-04-05 01:45", ("2026-04-05 01:29", "2026-04-05 02:00")),
    ],
)
def test_a_time_that_clocks_showed_twice_is_refused_and_counted(
    gridclock: Runner, zone: str, twice: str, clear: tuple[str, ...]
) -> None:
    mapping = f"time: {{zone: {zone}}}\n{PLAIN}"
    rows = [{"o": "W1", "at": at} for at in (twice, *clear)]
    refused, *read = found_in(gridclock, mapping, *rows)
    assert refused.startswith(f"naive_time: occurred_at: column 'at' has '{twice}': is a time that clocks in {zone} ")
    assert "showed twice: export times with their offset or in UTC (mapping key: time.zone)" in refused
    assert [one["occurred_at"][:16] for one in read] == [at.replace(" ", "T")[:16] for at in clear]
    ran = gridclock("replay", gridclock.path / "rows.jsonl", "--map", gridclock.path / "map.yaml")
    assert (ran.code, "naive_time" in ran.err) == (3, True)
    day = PLAIN.replace("cause: s", "due: {column: at, as: date}")  # both are on one day
    assert "is a time that" in found_in(gridclock, f"time: {{zone: {zone}}}\n{day}", rows[0])[0]
    offset = f"time: {{zone: {zone}}}\n{PLAIN}"
    assert isinstance(found_in(gridclock, offset, {"o": "W1", "at": f"{twice}+01:00"})[0], dict)


@pytest.mark.parametrize("command", ["check", "preview"])
def test_a_column_that_no_row_has_is_noted(gridclock: Runner, command: str) -> None:
    """``check`` passed a misspelled column of JSON, and each order was then one at which nobody arrived."""
    rows: list[dict[str, Any]] = [{"id": 7, "o": "W1", "at": NINE}, {"id": 8, "o": "W2", "at": NINE, "there": None}]
    mapping = gridclock.file("map.yaml", f"format: json\n{ZONE}{DELETED.replace('column: there', 'column: ther')}")
    ran = gridclock("map", command, mapping, gridclock.lines("rows.jsonl", rows))
    (note,) = [line for line in ran.err.splitlines() if "note:" in line]
    assert (ran.code, note.partition("rows.jsonl")[2]) == (0, " has a column 'ther'; did you mean 'there'?")
    assert "map.yaml:7: events.1.when: no row of " in note
    mapping = gridclock.file("map.yaml", f"format: json\n{ZONE}{DELETED}")
    assert "note:" not in gridclock("map", command, mapping, gridclock.path / "rows.jsonl").err
    empty = gridclock("map", command, mapping, gridclock.file("none.jsonl", "\n"))
    assert "note:" not in empty.err


@pytest.mark.parametrize(
    "command",
    [
        ("replay", "--quiet"),
        ("replay", "--jobs", "2"),
        ("replay", "--checkpoint", "point"),
        ("explain", "W1"),
        ("rules", "suggest"),
    ],
    ids=" ".join,
)
def test_whatever_judges_rows_notes_a_column_that_none_had(gridclock: Runner, command: tuple[str, ...]) -> None:
    """Only ``map check`` and ``preview`` said it; the replay accused on, with exit code 0."""
    rows = [{"id": number, "o": f"W{number}", "at": NINE, "there": NINE} for number in range(3)]
    paths = [str(gridclock.lines(name, rows)) for name in ("rows.jsonl", "again.jsonl")]
    files = [one for path in paths for one in ("--events", path)] if command[0] != "replay" else paths
    mapping = gridclock.file("map.yaml", f"format: json\n{ZONE}{DELETED.replace('column: there', 'column: ther')}")
    arguments = [gridclock.path / one if one == "point" else one for one in command]
    ran = gridclock(*arguments, *files, "--map", mapping)
    (note,) = [line for line in ran.err.splitlines() if "note:" in line]
    assert ran.code == 0
    assert "map.yaml:7: events.1.when: no row of " in note
    assert "rows.jsonl and 1 more has a column 'ther'; did you mean 'there'?" in note
    gridclock.file("map.yaml", f"format: json\n{ZONE}{DELETED}")
    assert "note:" not in gridclock(*arguments, *files, "--map", mapping).err
