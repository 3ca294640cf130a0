"""JSON Schemas of all input and output, for editors and for other programs.

``python -m schemas.exporting`` writes them to ``schemas/export``; a test checks that they are fresh.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.acknowledgements import Acknowledgement
from schemas.alerts import AlertEvent, CaseEvent
from schemas.calendars import CalendarSpec
from schemas.dead_letters import DeadLetter
from schemas.deliveries import CaseRow, ChannelRow, DeliveryRow, Undelivered
from schemas.events import EVENT
from schemas.mappings import Mapping
from schemas.organisations import OrganisationFile
from schemas.rules import RulebookFile
from schemas.snapshots import LogRecord, PartitionState, SubjectState
from schemas.subscriptions import SubscriptionFile

DIRECTORY: Final = Path(__file__).parent / "export"

_CONTRACTS: Final[dict[str, tuple[str, TypeAdapter[Any]]]] = {
    "event": ("A work-order event", EVENT),
    "alert": ("An alert, as a CloudEvent", TypeAdapter(AlertEvent)),
    "case": ("A case as of an instant, as a CloudEvent", TypeAdapter(CaseEvent)),
    "dead-letter": ("A record that could not be taken", TypeAdapter(DeadLetter)),
    "rulebook": ("One file of a rulebook", TypeAdapter(RulebookFile)),
    "mapping": ("A mapping of columns to events", TypeAdapter(Mapping)),
    "calendar": ("A calendar (calendar.yaml)", TypeAdapter(CalendarSpec)),
    "organisations": ("Names of organisations (organisations.yaml)", TypeAdapter(OrganisationFile)),
    "subscriptions": ("A file of subscriptions", TypeAdapter(SubscriptionFile)),
    "acknowledgement": ("An acknowledgement of an alert, or a note on it", TypeAdapter(Acknowledgement)),
    "undelivered": ("A message that a channel did not take", TypeAdapter(Undelivered)),
    "delivery-case": ("What was sent of a case", TypeAdapter(CaseRow)),
    "delivery": ("A message on its way to a channel", TypeAdapter(DeliveryRow)),
    "delivery-channel": ("A channel whose last attempt failed", TypeAdapter(ChannelRow)),
    "log-record": ("One record of the ordered log", TypeAdapter(LogRecord)),
    "subject-state": ("The state of a subject in the changelog", TypeAdapter(SubjectState)),
    "partition-state": ("The state of a partition in the changelog", TypeAdapter(PartitionState)),
}


def schemas() -> dict[str, str]:
    """File name to the text of the schema."""
    found = {}
    for name, (title, adapter) in _CONTRACTS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            **adapter.json_schema(by_alias=True),
        }
        found[f"{name}.json"] = json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return found


def main() -> None:
    """Write every schema."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
