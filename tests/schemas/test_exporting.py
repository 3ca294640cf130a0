"""The exported JSON Schemas: fresh, valid, and true of what is really written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from schemas.alerts import AlertEvent, CaseEvent
from schemas.exporting import DIRECTORY, schemas
from schemas.opening_hours import OpeningHoursSpec
from streams.rulebooks.loader import shipped_directory
from streams.wire.cloudevents import CloudEvents, encode
from tests.stories import judge, shipped, us

STORY = """
    e1 2026-03-02T09:00 counter.service_started WO1 business=fee org={"province":"32","city":"3201"}
    p  +1m counter.interrupted WO1 reason=system_failure
    r  +2m counter.resumed WO1
    z  +9m counter.service_completed WO1
    k  +5m counter.service_completed WO1 corrects=z recorded=+2h
    a  2026-03-02T10:00 application.accepted WO2 category=residential
"""


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((DIRECTORY / f"{name}.json").read_text("utf-8")))


def test_exported_schemas_are_fresh() -> None:
    fresh = schemas()
    assert {path.name for path in DIRECTORY.glob("*.json")} == set(fresh), "run python -m schemas.exporting"
    for name, text in fresh.items():
        assert (DIRECTORY / name).read_text("utf-8") == text, f"{name} is stale: run python -m schemas.exporting"
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("path", sorted(shipped_directory().glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_rulebook_fits_its_schema(path: Path) -> None:
    # What an editor sees: dates are texts there.
    document = json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))
    validator("rulebook").validate(document)


def test_alerts_and_cases_are_what_the_schemas_say() -> None:
    judged = judge(STORY, "2026-04-01T00:00", arrival=True)
    writer = CloudEvents(shipped().rulebook.calendar)
    assert {alert.kind for alert in judged.alerts} >= {"warning", "breach", "late_completion", "retraction"}
    for alert in judged.alerts:
        written = json.loads(encode(writer.alert(alert)))
        validator("alert").validate(written)
        AlertEvent.model_validate(written)
        assert written["time"] == written["data"]["detected_at"]
        assert written["id"] == written["data"]["alert_id"]
    for case in judged.cases:
        written = json.loads(encode(writer.case(case, us("2026-04-01T00:00"))))
        validator("case").validate(written)
        CaseEvent.model_validate(written)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"business": "fee", "anything": [1, 2]}, True),
        ({"business": "fees"}, False),
        ({"event_id": ""}, False),
        ({"event_type": "counter.unheard_of"}, False),
        ({"event_type": "fee.charged", "amount": "12.50"}, True),
        ({"event_type": "fee.charged", "amount": 12.5}, True),
        ({"event_type": "bill.issued", "due_on": "2026-03-01"}, True),
    ],
)
def test_events_fit_their_schema_as_they_fit_the_model(change: dict[str, Any], fits: bool) -> None:
    event = {
        "event_id": "e1",
        "event_type": "counter.service_started",
        "occurred_at": "2026-03-02T09:00:00+08:00",
        "order_id": "WO1",
        **change,
    }
    assert validator("event").is_valid(event) is fits


def with_their_schemas(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each example below a node of a schema, with the schema that shows it."""
    if isinstance(node, dict):
        for example in node.get("examples", ()) if isinstance(node.get("examples"), list) else ():
            yield node, example
        for value in node.values():
            yield from with_their_schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from with_their_schemas(value)


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("rulebook", ({"until": "due_at"}, "2 business hours", {"field": "amount", "is": "start.amount"})),
        ("rulebook", ({"alert": "repair-arrival", "kind": "breach"},)),
        ("rulebook", ({"by": "org.unit", "of": {"U001": "office"}, "else": "hotline"},)),
        ("calendar", ()),
    ],
)
def test_the_new_forms_have_examples_that_fit(name: str, forms: tuple[Any, ...]) -> None:
    document = json.loads((DIRECTORY / f"{name}.json").read_text("utf-8"))
    shown = list(with_their_schemas(document))
    assert shown
    for schema, example in shown:
        jsonschema.Draft202012Validator({**schema, "$defs": document["$defs"]}).validate(example)
    for form in forms:
        assert form in [example for _, example in shown]


def test_the_example_of_opening_hours_is_taken() -> None:
    [(_, example)] = with_their_schemas(json.loads((DIRECTORY / "calendar.json").read_text("utf-8")))
    OpeningHoursSpec.model_validate(example)
