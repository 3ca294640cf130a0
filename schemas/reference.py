"""The integrators' reference ``schemas/README.md``, made from the models: every event type and every output.

``python -m schemas.reference`` writes it; a test checks that it is fresh. Examples of events are made from the kinds of
their fields, examples of outputs are in ``schemas/examples``; each is validated by its model before it is written.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, TypeAdapter

from schemas.acknowledgements import Acknowledgement, Action
from schemas.alerts import Alert, AlertEvent, AlertKind, Case, CaseEvent, CaseFields
from schemas.dead_letters import REASONS, DeadLetter
from schemas.deliveries import UNDELIVERED_REASONS, Undelivered
from schemas.events import COMMON_FIELDS, EVENT, Envelope
from schemas.events.connection import ConnectionEvent
from schemas.events.counter import CounterEvent
from schemas.events.inspection import InspectionEvent
from schemas.events.metering import MeteringEvent
from schemas.events.reading import ReadingEvent
from schemas.mappings import EventFrom, FieldFrom, Mapping, Registry, TimeForm, TypeFrom, When
from schemas.reference_examples import (
    DISABLED,
    EVENTS,
    KINDS,
    MAPPED,
    REGISTRY,
    REGISTRY_TOKEN,
    WEBHOOK_HEADERS,
    WEBHOOK_SECRET,
    Mapped,
)
from schemas.reference_texts import (
    ACKNOWLEDGEMENTS,
    ALERTS,
    CASES,
    INTRODUCTION,
    ORGANISATIONS_AND_MAPPINGS,
    RULES,
    WEBHOOKS,
)
from schemas.titles import EVENT_TITLES

_HERE: Final = Path(__file__).parent
PAGE: Final = _HERE / "README.md"
EXAMPLES: Final = _HERE / "examples"
OUTPUTS: Final[dict[str, TypeAdapter[Any]]] = {
    "alert": TypeAdapter(AlertEvent),
    "case": TypeAdapter(CaseEvent),
    "dead-letter": TypeAdapter(DeadLetter),
    "acknowledgement": TypeAdapter(Acknowledgement),
    "undelivered": TypeAdapter(Undelivered),
    # the other kinds of alert, and the other acts
    **{f"alert-{kind}": TypeAdapter(AlertEvent) for kind in get_args(AlertKind) if kind != "breach"},
    **{f"acknowledgement-{act}": TypeAdapter(Acknowledgement) for act in get_args(Action) if act != "acknowledge"},
}

_CHAPTERS: Final[tuple[tuple[str, Any], ...]] = (
    ("Counter 窗口, inquiry 咨询", CounterEvent),
    ("Application 申请 to connection 接电", ConnectionEvent),
    ("Metering 计量, calibration 校验", MeteringEvent),
    ("Reading 抄表, bills and arrears 电费, disconnection 停电", ReadingEvent),
    ("Inspection 检查, capacity 减容暂停, outage 停电信息, repair 抢修", InspectionEvent),
)

# Example values that are clearer than those of the field's kind.
_SUBJECTS: Final = {
    "meter": {"meter_id": "M20017"},
    "calibration": {"order_id": "WO1", "meter_id": "M20017"},
    "reading": {"account_id": "A1", "meter_id": "M20017"},
    "bill": {"account_id": "A1"},
    "arrears": {"account_id": "A1"},
    "disconnection": {"account_id": "A1"},
    "capacity": {"order_id": "WO1", "account_id": "A1"},
    "meter.batch_filed": {"batch_id": "BN7"},
    "meter.batch_notice_posted": {"batch_id": "BN7"},
}
_CODES: Final = {
    "amount": "128.50",
    "approval_ref": "AP-2026-17",
    "channel": "counter",
    "code": "F-01",
    "community": "C0031",
    "contract_basis_ref": "CT-88",
    "delivery": "in_person",
    "document": "id_card",
    "evidence_ref": "EV-204",
    "level": "county",
    "meters": ["M20017", "M20018"],
    "payer": "customer",
    "period": "2026-03",
    "proof_ref": "PR-5",
    "reason": "system_failure",
    "ref": "DOC-12",
}
_MEANINGS: Final = {
    "event_id": "the sender's own; the same id with the same content is a duplicate and counts once",
    "event_type": "one of the types below, or one that a rulebook declares",
    "occurred_at": "event time: when it happened; verdicts follow it",
    "recorded_at": "when it was entered; default: `occurred_at`",
    "source": "the sending system",
    "order_id": "subject: a work order 工单",
    "account_id": "subject: an account 户号",
    "meter_id": "subject: a meter 电能表",
    "batch_id": "subject: a notice batch 批次",
    "org": "codes `province`, `city`, `county`, `unit`",
    "staff_id": "a staff number, never a name",
    "corrects": "the event that this one replaces, as if it had always been so",
    "void": "with `corrects`: that event never happened",
    "version": "numbers: of events with one `event_id` the highest version counts; with `void` it takes the event back",
    "snapshot": "it comes with all that is known of its subject, as a table when it is first read: never too old",
    "personal": "the one place for data about a person; removed before anything is stored",
}
_ALERT_MEANINGS: Final = {
    "account_id": "of the event that the clock started from",
    "alert_id": "derived from case, kind and cause: the same alert has the same id for ever",
    "as_of": "the instant of the question",
    "calendar_provisional": "holidays of that year are not announced yet, weekends were counted",
    "case_id": "one rule on one subject from one event",
    "clause": "of the standard",
    "explanation": "one sentence in Chinese (`zh`) and in English (`en`)",
    "limit": "as the rulebook writes it",
    "order_id": "of the event that the clock started from",
    "org": "codes of province, city, county, unit",
    "outcome": "how the case stands at `as_of`",
    "rule": "the id in the rulebook",
    "started_at": "where the clock started",
    "stopped_at": "where the clock stopped",
    "subject": "`type` (order, account, meter, batch) and `id`",
}


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A property without the ``null`` alternative, references followed by name."""
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        schema = {**schema, **options[0]}
        del schema["anyOf"]
    if reference := schema.get("$ref"):
        name = reference.rsplit("/", 1)[-1]
        found = definitions[name]
        return {**found, **schema, "title": name} if "enum" in found else {**schema, "title": name}
    return schema


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    return f" {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""


def kind_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The kind of a property in words, from its JSON Schema."""
    schema = _resolved(schema, definitions)
    if "enum" in schema or "const" in schema:
        return " \\| ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return f"object `{schema['title']}`"
    if "anyOf" in schema:
        kinds = [kind_of(option, definitions) for option in schema["anyOf"]]
        return "amount, yuan: number or text" if kinds[0] == "number" else " or ".join(kinds)
    match schema.get("type"), schema.get("format"):
        case "string", "date-time":
            return "instant with offset"
        case "string", "date":
            return "local date, `YYYY-MM-DD`"
        case "string", _ if schema.get("maxLength") == 100 and "pattern" not in schema:
            return "code, 1 to 100 characters"
        case "string", _ if "{1,200}" in schema.get("pattern", ""):
            return "id, 1 to 200 characters"
        case "string", _:
            return "text"
        case "boolean", _:
            return "true or false"
        case "integer" | "number" as kind, _:
            return f"{kind}{_bounds(schema)}"
        case "array", _:
            return f"list of {kind_of(schema.get('items', {}), definitions)}"
        case "object", _:
            return "object"
        case _:
            return "any value"


def table_of(model: type[BaseModel], *, without: frozenset[str] = frozenset()) -> Iterator[str]:
    """The model's fields as a Markdown table; empty without fields."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    rows = [(name, one) for name, one in schema.get("properties", {}).items() if name not in without]
    if not rows:
        return
    required = set(schema.get("required", ()))
    meanings = _MEANINGS if issubclass(model, Envelope) else _ALERT_MEANINGS if issubclass(model, CaseFields) else {}
    cells = [
        (
            f"`{name}`",
            kind_of(one, definitions)
            + (" or null" if name in required and {"type": "null"} in one.get("anyOf", ()) else ""),
            "yes" if name in required else "",
            one.get("description") or meanings.get(name, ""),
        )
        for name, one in rows
    ]
    headings = ("field", "kind", "required", "meaning")
    shown = [number for number in range(4) if any(row[number] for row in cells)]
    for row in (headings, ("---",) * 4, *cells):
        yield "| " + " | ".join(row[number] for number in shown) + " |"
    yield ""


def _value(name: str, schema: dict[str, Any]) -> Any:
    """A value for an example, by the field's name or its kind."""
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    if name in _CODES:
        return _CODES[name]
    match schema.get("type"), schema.get("format"):
        case "string", "date-time":
            return "2026-03-09T14:00:00+08:00"
        case "string", "date":
            return "2026-03-16"
        case "boolean", _:
            return True
        case "integer" | "number", _:
            return 2
        case _:
            raise KeyError(f"no example for the field {name}: add one to _CODES in schemas/reference.py")


def example_of(model: type[Envelope], event_type: str) -> dict[str, Any]:
    """An event of this type with all its own fields."""
    found: dict[str, Any] = {"event_id": "e1", "event_type": event_type, "occurred_at": "2026-03-02T09:00:00+08:00"}
    family = event_type.partition(".")[0]
    found |= _SUBJECTS.get(event_type) or _SUBJECTS.get(family) or {"order_id": "WO1"}
    schema = model.model_json_schema()
    for name, one in schema["properties"].items():
        if name not in COMMON_FIELDS:
            found[name] = _value(name, _resolved(one, schema.get("$defs", {})))
    EVENT.validate_python(found)
    return found


def _events() -> Iterator[str]:
    for title, union in _CHAPTERS:
        yield from (f"### {title}", "")
        for model in get_args(union):
            types = get_args(model.model_fields["event_type"].annotation)
            yield from (f"**{(model.__doc__ or '').strip().splitlines()[0].replace('``', '`')}**", "")
            yield from (f"- `{name}` {EVENT_TITLES[name].zh}, {EVENT_TITLES[name].en}" for name in types)
            yield ""
            yield from table_of(model, without=COMMON_FIELDS)
            yield from ("```json", json.dumps(example_of(model, types[0]), ensure_ascii=False), "```", "")


def _output(name: str) -> Iterator[str]:
    text = (EXAMPLES / f"{name}.json").read_text("utf-8")
    OUTPUTS[name].validate_json(text)
    yield from ("```json", text.rstrip(), "```", "")
    for other in OUTPUTS:
        if other.startswith(f"{name}-"):
            value = json.loads((EXAMPLES / f"{other}.json").read_text("utf-8"))
            OUTPUTS[other].validate_python(value)
            yield from (f"`{other.removeprefix(f'{name}-')}`:", "")
            yield from ("```json", json.dumps(value, ensure_ascii=False), "```", "")


def _common() -> Iterator[str]:
    for text, event in EVENTS:
        EVENT.validate_python(event)
        yield from (text, "", "```json", json.dumps(event, ensure_ascii=False), "```", "")


def _webhook() -> Iterator[str]:
    """The text up to the next heading, and a whole request."""
    body = json.dumps(json.loads((EXAMPLES / "alert.json").read_text("utf-8")), ensure_ascii=False)
    signed = ".".join((WEBHOOK_HEADERS["webhook-id"], WEBHOOK_HEADERS["webhook-timestamp"], body)).encode()
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    yield from (f"A request, signed under the secret `{WEBHOOK_SECRET}`:", "", "```http", "POST / HTTP/1.1")
    yield from (f"{name}: {value.replace('@SIGNATURE@', signature)}" for name, value in WEBHOOK_HEADERS.items())
    yield from ("", body, "```", "")


def _mapped(one: Mapped) -> Iterator[str]:
    yield from (one.text, "", "```yaml", one.mapping.rstrip(), "```", "")
    yield from ("```csv" if one.form == "csv" else "```json", one.given.rstrip(), "```", "")
    yield from ("gives", "", "```json", *one.events, "```", "")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _rules() -> Iterator[str]:
    """What goes into a rulebook directory."""
    yield from [
        *RULES.splitlines(),
        "",
        "The other kinds of rules, each at its simplest (`cadence` begins with the first act):",
        "",
        *("```yaml", *KINDS.splitlines(), "```", ""),
        *("A shipped rule switched off:", "", "```yaml", *DISABLED.splitlines(), "```", ""),
    ]


def _webhooks_and_mappings() -> Iterator[str]:
    """Webhooks, names of organisations, mappings."""
    yield from [
        *WEBHOOKS.splitlines(),
        "",
        *_webhook(),
        *ORGANISATIONS_AND_MAPPINGS.splitlines(),
        "",
        *(line for one in MAPPED for line in _mapped(one)),
        *("A registry that asks for a log-in:", "", "```yaml", *REGISTRY.splitlines(), "```", ""),
        *("```yaml", *REGISTRY_TOKEN.splitlines(), "```", ""),
        "All keys of a mapping:",
        "",
        *table_of(Mapping),
        *("`registry`:", "", *table_of(Registry)),
        *("`time`:", "", *table_of(TimeForm)),
        *("A field made of a column:", "", *table_of(FieldFrom)),
        *("`event_type` made of a column:", "", *table_of(TypeFrom)),
        *("An entry of `events`:", "", *table_of(EventFrom)),
        *("A condition of `when`; of several all hold:", "", *table_of(When)),
    ]


def page() -> str:
    """The whole of ``schemas/README.md``."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        *table_of(Envelope),
        *_common(),
        "Fields of a type are checked where they are present; others are not kept. An event whose time has no",
        "offset, of an unknown type or without a subject becomes a dead letter; the stream goes on.",
        "",
        "## Event types",
        "",
        *_events(),
        "## Alerts out",
        "",
        *ALERTS.splitlines(),
        "",
        *table_of(Alert),
        *_output("alert"),
        "## Cases out",
        "",
        *CASES.splitlines(),
        "",
        *table_of(Case),
        *_output("case"),
        "## Dead letters out",
        "",
        "On `<name>.dead-letters`; reasons: " + _listed(REASONS) + ".",
        "",
        *table_of(DeadLetter),
        *_output("dead-letter"),
        "## Acknowledgements in",
        "",
        *ACKNOWLEDGEMENTS.splitlines(),
        "",
        *table_of(Acknowledgement),
        *_output("acknowledgement"),
        "## Undelivered messages out",
        "",
        "On `<name>.undelivered`; reasons: " + _listed(UNDELIVERED_REASONS) + ".",
        "",
        *table_of(Undelivered),
        *_output("undelivered"),
        *_rules(),
        *_webhooks_and_mappings(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
