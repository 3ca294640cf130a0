"""The integrators' reference: fresh, complete, and its examples are what the program takes and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from schemas.events import EventCatalogue
from schemas.exporting import DIRECTORY
from schemas.reference import EXAMPLES, OUTPUTS, PAGE, example_of, page
from streams.rulebooks.impossible_rules import check_possible
from streams.rulebooks.loader import load_rulebook
from streams.rulebooks.mapping_files import load_mapping
from streams.wire.cloudevents import CloudEvents
from streams.wire.decoder import Decoder
from tests.stories import judge, shipped, us

STORY = """
    e1 2026-03-02T09:00 counter.service_started WO1 business=fee
       org={"province":"32","city":"3201","county":"320102","unit":"U1"}
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
    judged = judge(" ".join(STORY.split()), until)
    writer = CloudEvents(shipped().rulebook.calendar)
    alert, case = (json.loads((EXAMPLES / f"{name}.json").read_text("utf-8")) for name in ("alert", "case"))
    assert writer.alert(judged.alerts[-1]) == alert
    assert writer.case(judged.cases[0], us(until)) == case


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


def mappings() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8").split("## Mappings of other formats")[1], re.DOTALL)


def test_the_page_has_mappings() -> None:
    assert len(mappings()) == 6


@pytest.mark.parametrize("text", mappings(), ids=lambda text: text.splitlines()[0])
def test_every_mapping_of_the_page_is_taken(text: str, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text, "utf-8")
    assert load_mapping(path, EventCatalogue.shipped()).unused == ()
