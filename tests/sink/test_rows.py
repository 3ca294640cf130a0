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
