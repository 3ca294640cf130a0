"""Records as rows, and addresses of databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import schemas
from streams.errors import ConfigError
from streams.settings import load_settings
from streams.sink.database import connection_options
from streams.sink.rows import COLUMNS, NoRow, Table, row_of

EXAMPLES = Path(schemas.__file__).parent / "examples"


def example(name: str, **changes: Any) -> bytes:
    event = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    event["data"] |= changes
    return json.dumps(event).encode()


@pytest.mark.parametrize(("table", "name"), [("cases", "case"), ("alerts", "alert")])
def test_a_row_has_every_column(table: Table, name: str) -> None:
    row = row_of(table, example(name))
    assert set(row) == set(COLUMNS[table])
    assert row["title_zh"] == json.loads(example(name))["data"]["title"]["zh"]


def test_an_alert_that_may_be_wrong_says_so() -> None:
    assert row_of("alerts", example("alert"))["incomplete"] is False
    assert row_of("alerts", example("alert", incomplete=True))["incomplete"] is True


@pytest.mark.parametrize(
    ("outcome", "deadline", "stopped_at", "day"),
    [
        ("met", "2026-03-05T00:00:00.000+08:00", "2026-03-04T23:30:00.000+08:00", "2026-03-04"),
        ("met_late", "2026-03-05T00:00:00.000+08:00", "2026-03-07T09:00:00.000+08:00", "2026-03-04"),
        ("breached", "2026-03-05T00:00:00.000+08:00", None, "2026-03-04"),
        ("violated", None, None, "2026-03-02"),
        ("running", "2026-03-05T00:00:00.000+08:00", None, None),
        ("cancelled", "2026-03-05T00:00:00.000+08:00", "2026-03-04T23:30:00.000+08:00", None),
    ],
)
def test_a_case_is_decided_by_its_deadline_or_its_stop(
    outcome: str, deadline: str | None, stopped_at: str | None, day: str | None
) -> None:
    times = {"started_at": "2026-03-02T00:10:00.000+08:00", "deadline": deadline, "stopped_at": stopped_at}
    assert row_of("cases", example("case", outcome=outcome, **times))["decided_on"] == day


@pytest.mark.parametrize("text", [r"A\u0000B", "A\\\\u0000B", "A\\"])
def test_a_backslash_and_digits_are_no_null_character(text: str) -> None:
    assert row_of("cases", example("case", order_id=text))["order_id"] == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"not json", "not a record of cases|Invalid JSON"),
        (b"\xff", "."),
        (b"[]", "."),
        (example("alert"), "not a record of cases"),
        (example("case", outcome="excused"), "outcome"),
        (example("case", order_id="A\0B"), "null character"),
    ],
)
def test_what_is_no_record_is_refused_with_a_reason(value: bytes, why: str) -> None:
    with pytest.raises(NoRow, match=why):
        row_of("cases", value)


NO_INSTANTS = (
    0, 1772415700, 1772415700.5, "1772415700", "2026-03-01T09:00:00", "2026-03-01t09:00:00z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize("at", NO_INSTANTS)
@pytest.mark.parametrize(
    ("table", "name", "field"),
    [
        *(("cases", "case", field) for field in ("started_at", "deadline", "stopped_at", "as_of")),
        *(("alerts", "alert", field) for field in ("started_at", "deadline", "stopped_at", "due_at", "detected_at")),
    ],
)
def test_an_instant_that_somebody_cannot_read_is_none(table: Table, name: str, field: str, at: object) -> None:
    with pytest.raises(NoRow, match=f"data.{field}"):
        row_of(table, example(name, **{field: at}))


@pytest.mark.parametrize(
    ("table", "changes", "why"),
    [
        ("cases", {"calendar_provisional": 0}, "calendar_provisional"),
        ("alerts", {"incomplete": "yes"}, "incomplete"),
        ("cases", {"case_id": "x" * 2_501}, "case_id"),
        ("cases", {"order_id": "工" * 834}, "order_id"),
        ("alerts", {"retracts": "x" * 2_501}, "retracts"),
        ("alerts", {"org": dict.fromkeys(("province", "city", "county", "unit"), "x" * 626)}, "province"),
    ],
)
def test_what_the_database_would_not_take_is_refused_before(table: Table, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(NoRow, match=why):
        row_of(table, example("case" if table == "cases" else "alert", **changes))


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 400 + b".5"])
def test_a_number_that_is_none_is_refused_before(number: bytes) -> None:
    value = example("case", arithmetic={"days": ["@"]}).replace(b'"@"', number)
    with pytest.raises(NoRow, match="holds the number"):
        row_of("cases", value)
    with pytest.raises(NoRow, match="holds the number"):
        row_of("cases", example("case", paused=f"PT{'9' * 400}S"))


def test_what_is_no_text_is_no_code_of_an_organisation() -> None:
    row = row_of("cases", example("case", org={"province": {}, "city": 3201, "county": "320101", "unit": None}))
    assert [row[level] for level in ("province", "city", "county", "unit")] == [None, None, "320101", None]


@pytest.mark.parametrize("address", ["postgresql://u:hidden@h/d", "host=h password=hidden"])
def test_an_address_with_a_password_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ConfigError, match="GRIDCLOCK_DATABASE_PASSWORD_FILE") as error:
        connection_options(load_settings(database=address))
    assert "hidden" not in str(error.value)


def test_the_password_goes_to_the_database_alone() -> None:
    settings = load_settings(database="postgresql://u@h:1/d", database_password=SecretStr("hidden"))
    assert connection_options(settings)["password"] == "hidden"
    assert "hidden" not in f"{settings!r} {settings.shown()}"


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="no address of a database"):
        connection_options(load_settings(database="a=b=c"))
