"""The integrators' reference: fresh, complete, and its examples are what the program takes and writes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import certifi
import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from schemas.alerts import AlertEvent, AlertKind
from schemas.events import COMMON_FIELDS, EventCatalogue
from schemas.exporting import DIRECTORY
from schemas.mappings import EventFrom, FieldFrom, Mapping, Registry, TimeForm, TypeFrom, When
from schemas.reference import EXAMPLES, OUTPUTS, PAGE, example_of, page
from schemas.reference_examples import DISABLED, EVENTS, MAPPED, WEBHOOK_SECRET, Mapped
from schemas.rules import Rule
from streams.notify.channels.webhook import key_of, signature_of
from streams.replay.sources.opening import Mappings, open_sources
from streams.rulebooks.impossible_rules import check_possible
from streams.rulebooks.loader import load_rulebook
from streams.rulebooks.mapping_files import load_mapping
from streams.wire.cloudevents import CloudEvents
from streams.wire.decoder import Decoder
from streams.wire.envelopes import changes_of
from streams.wire.mapping import Place
from tests.stories import judge, shipped, us

ORG = 'org={"province":"32","city":"3201","county":"320102","unit":"U1"}'
STORY = f"""
e1 2026-03-02T09:00 counter.service_started WO1 business=fee {ORG}
"""
CORRECTED = f"""{STORY}
e2 2026-03-02T09:07 counter.service_completed WO1 {ORG}
e3 2026-03-02T09:04 counter.service_completed WO1 corrects=e2 recorded=2026-03-02T09:20 {ORG}
"""


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m schemas.reference"


@pytest.mark.parametrize(("event_type", "model"), sorted(EventCatalogue.shipped().models.items()))
def test_every_event_type_has_an_example_that_is_taken(event_type: str, model: type) -> None:
    assert f"- `{event_type}` " in PAGE.read_text("utf-8")
    example = example_of(model, event_type)
    decoder = Decoder(EventCatalogue.shipped())
    assert decoder.decode(json.dumps(example).encode(), received=us("2026-03-02T09:01")).type == event_type


def test_every_output_has_an_example_of_its_model() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == set(OUTPUTS)
    for name, adapter in OUTPUTS.items():
        adapter.validate_json((EXAMPLES / f"{name}.json").read_text("utf-8"))


def test_the_examples_of_alert_and_case_are_what_the_engine_gives() -> None:
    until = "2026-03-02T09:10"
    judged = judge(STORY, until)
    writer = CloudEvents(shipped().rulebook.calendar)
    alert, case = (json.loads((EXAMPLES / f"{name}.json").read_text("utf-8")) for name in ("alert", "case"))
    assert writer.alert(judged.alerts[-1]) == alert
    assert writer.case(judged.cases[0], us(until)) == case


def test_the_example_of_each_kind_of_alert_is_what_the_engine_gives() -> None:
    writer = CloudEvents(shipped().rulebook.calendar)
    first: dict[str, Any] = {}
    for alert in judge(CORRECTED, "2026-03-02T09:30", arrival=True).alerts:
        first.setdefault(alert.kind, writer.alert(alert))
    assert set(first) == set(get_args(AlertKind))
    for kind, found in first.items():
        name = "alert" if kind == "breach" else f"alert-{kind}"
        assert json.loads((EXAMPLES / f"{name}.json").read_text("utf-8")) == found


def test_the_examples_of_common_fields_are_taken_and_do_what_the_page_says() -> None:
    decoder = Decoder(EventCatalogue.shipped())
    plain, corrected, void, row = (
        decoder.decode(json.dumps(event).encode(), received=us("2026-03-02T11:00")) for _, event in EVENTS
    )
    assert plain.data["org"]["unit"] == "U1"
    assert (corrected.corrects, void.corrects, void.void) == (plain.event_id, plain.event_id, True)
    assert "personal" not in row.data
    assert "13800000000" not in repr(row)
    # Every field common to all types but the other subjects' ids is in one of them.
    shown = {name for _, event in EVENTS for name in event}
    assert set(COMMON_FIELDS) - shown == {"account_id", "meter_id", "batch_id"}

    def arrival(*given: dict[str, Any]) -> list[str]:
        reported = {**EVENTS[3][1], "area": "urban"}
        found = judge([reported, *given], "2026-03-02T11:00", arrival=True)
        return [case.verdict.outcome for case in found.cases if case.verdict.rule.id == "repair-arrival"]

    events = [event for _, event in EVENTS]
    assert arrival(events[0]) == ["met"]
    assert arrival(events[0], events[1]) == ["met"]
    assert arrival(events[0], events[2]) == ["breached"]


def rule_files() -> dict[str, str]:
    section = PAGE.read_text("utf-8").split("## Rules in")[1].split("\n## ")[0]
    return dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", section, re.DOTALL))


def test_the_rules_of_the_page_are_loaded_and_can_work(tmp_path: Path) -> None:
    for name, text in rule_files().items():
        (tmp_path / name).write_text(text, "utf-8")
    loaded = load_rulebook(only=tmp_path)
    check_possible(loaded)
    schema = json.loads((DIRECTORY / "rulebook.json").read_text("utf-8"))
    written = yaml.safe_load(rule_files()["desk.yaml"])
    # Dates are dates in YAML, and texts in JSON.
    jsonschema.validate(json.loads(json.dumps(written, default=str)), schema)
    rules = {rule.id: rule for rule in loaded.rulebook.rules}
    assert sorted(loaded.rulebook.calendars) == ["hotline", "office"]
    assert {rule.id for rule in rules.values()} == loaded.rulebook.watched
    shown = rule_files()["desk.yaml"]
    for form in ("until:", "business hours", "calendar: {by", "is: start.", "kind: breach"):
        assert form in shown, f"no example of {form}"
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in get_args(get_args(Rule)[0])}
    assert {rule.kind for rule in rules.values()} == kinds


# A story against each rule of kinds.yaml, and what it comes to.
KINDS_BROKEN = {
    "not-turned-away": "a 2026-03-02T09:00 counter.ticket_taken WO1\nb 2026-03-02T09:30 counter.turned_away WO1",
    "thirty-days-first": "a 2026-03-02T09:00 bill.overdue - account=A1 since_on=2026-02-20\n"
    "b 2026-03-20T09:00 disconnection.performed - account=A1",
    "old-meter-kept": "a 2026-03-02T09:00 meter.removed - meter=M1\nb 2026-04-20T09:00 meter.disposed - meter=M1",
    "asked-once": "a 2026-03-02T09:00 survey.performed WO1\nb 2026-03-03T09:00 survey.performed WO1",
    "reason-on-file": "a 2026-03-02T09:00 application.terminated WO1 reason=customer",
    "entered-in-time": "a 2026-03-02T09:00 survey.performed WO1 recorded=2026-03-05T09:00",
    "stages-in-order": "a 2026-03-02T09:00 repair.arrived WO1\nb 2026-03-02T09:30 repair.reported WO1\n"
    "c 2026-03-02T10:00 repair.completed WO1",
    "read-every-month": "a 2026-01-10T09:00 reading.collected - meter=M1 period=2026-01",
}


@pytest.mark.parametrize("rule", sorted(KINDS_BROKEN))
def test_a_rule_of_each_kind_reports_what_its_comment_says(rule: str, tmp_path: Path) -> None:
    (tmp_path / "kinds.yaml").write_text(rule_files()["kinds.yaml"], "utf-8")
    loaded = load_rulebook(only=tmp_path)
    assert {one.id for one in loaded.rulebook.rules} == set(KINDS_BROKEN)
    found = judge(KINDS_BROKEN[rule], "2026-05-01T00:00", loaded=loaded).told()
    assert {name for name, kind, _ in found if kind in ("violation", "breach")} == {rule}


def test_the_rule_that_the_page_switches_off_is_off(tmp_path: Path) -> None:
    (tmp_path / "off.yaml").write_text(DISABLED, "utf-8")
    assert "one-survey" in {rule.id for rule in shipped().rulebook.rules if rule.enabled}
    found = load_rulebook([tmp_path]).rulebook
    assert "one-survey" not in {rule.id for rule in found.rules if rule.enabled}


def test_the_request_of_the_page_is_signed_as_a_webhook_is() -> None:
    (text,) = re.findall(r"```http\n(.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)
    head, _, body = text.partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    key = key_of(WEBHOOK_SECRET, key="secret")
    signature = signature_of(key, headers["webhook-id"], headers["webhook-timestamp"], body.encode())
    assert headers["webhook-signature"] == signature
    assert headers["webhook-id"] == json.loads(body)["id"]
    AlertEvent.model_validate_json(body)


def mappings() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8").split("## Mappings of other formats")[1], re.DOTALL)


def test_the_page_has_a_mapping_with_every_key() -> None:
    assert len(mappings()) == 7 + len(MAPPED) + 2
    used = set[str]()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            used.update(map(str, value))
            value = list(value.values())
        for one in value if isinstance(value, list) else ():
            look(one)

    for text in mappings():
        look(yaml.safe_load(text))
    models: list[type[BaseModel]] = [Mapping, Registry, TimeForm, FieldFrom, TypeFrom, EventFrom, When]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert keys - used == set()


@pytest.mark.parametrize("example", MAPPED, ids=lambda example: example.text[:20])
def test_a_mapping_gives_the_events_that_the_page_shows(example: Mapped, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(example.mapping, "utf-8")
    made = list(made_of(example, path, tmp_path))
    assert [one.note for one in made] == [None] * len(made)
    assert [json.loads(one.raw) for one in made] == [json.loads(line) for line in example.events]
    decoder = Decoder(EventCatalogue.shipped())
    for one in made:
        decoder.decode(one.raw, received=us("2026-03-31T00:00"))


def made_of(example: Mapped, path: Path, directory: Path) -> Iterator[Any]:
    """What a mapping makes of an input: of a file, or of a topic's records."""
    catalogue = EventCatalogue.shipped()
    mapping = load_mapping(path, catalogue)
    if example.form == "csv":
        file = directory / "rows.csv"
        file.write_bytes(example.given.encode(mapping.mapping.encoding))
        for source in open_sources([str(file)], Mappings.load([path], catalogue)):
            yield from (made for _, _, made in source.records())
        return
    for line in example.given.splitlines():
        record = json.loads(line)
        headers = [(name, value.encode()) for name, value in record.get("headers", {}).items()]
        yield from changes_of(mapping.rows, json.dumps(record["value"]).encode(), headers, Place("0.17", (17,)))


@pytest.mark.parametrize("text", mappings(), ids=lambda text: text.splitlines()[0])
def test_every_mapping_of_the_page_is_taken(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_PASSWORD", "REGISTRY_TOKEN"):
        monkeypatch.setenv(name, "a secret")
    path = tmp_path / "map.yaml"
    path.write_text(text.replace("/etc/gridclock/registry-ca.pem", certifi.where()), "utf-8")
    assert load_mapping(path, EventCatalogue.shipped()).unused == ()
