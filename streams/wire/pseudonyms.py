"""Replaces account and meter numbers by keyed pseudonyms in all output.

With the setting ``pseudonym_key`` every account and meter number in an alert or a case becomes ``~`` and twenty
hexadecimal digits of HMAC-SHA256 under that key: the same number is the same pseudonym in every alert, live and in
replays; without the key one cannot be computed from the other. Order and batch numbers stay: they identify work, not a
customer, and supervisors look cases up by them.

Ids of cases and alerts are hashes of the real number beside things that an alert shows (rule, first event). All
account numbers can be tried out, so with the setting these ids are hashed again with the key. They then differ
from those without the setting: turn it on before the first alert, or under another name. A new key changes them. Event
ids in ``evidence`` are the sender's own and stay.

Staff numbers (``staff_id``) are hashed as they come in, so that the log and the state never hold them; a rule may
compare them with one another, not with a number. Who acknowledges an alert, or is to look after it, is hashed as it is
written. Account and meter numbers stay real in internal topics (log, state), and everything does in sources and dead
letters. Restrict access to those topics. With ``pseudonyms_inside`` an installation that begins under a new name
replaces account and meter numbers as they come in, too: ``account_id``, ``meter_id``, ``meters``. Then no log or state
holds them, and alerts show the same pseudonyms. Ids of cases and alerts are others, because they are hashes of the
number as it is inside.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from streams.core.alerts import Alert
from streams.core.explanations import SUBJECTS_ZH
from streams.core.records import JudgedCase
from streams.core.working_days import WorkingCalendar
from streams.errors import InvariantError
from streams.wire.cloudevents import CloudEvents

REPLACED: Final = frozenset({"account", "meter"})
"""The types of subject whose numbers identify a customer."""

MARK: Final = "~"
_DIGITS: Final = 20  # 80 bits: no collision is expected among a hundred million numbers
_ID_DIGITS: Final = 32


_PSEUDONYM: Final = re.compile(rf"{MARK}[0-9a-f]{{{_DIGITS}}}")


def is_pseudonym(number: str) -> bool:
    """Whether it has the form of a pseudonym."""
    return _PSEUDONYM.fullmatch(number) is not None


class Pseudonyms:
    """Replaces numbers under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _hash(self, *parts: str) -> str:
        return hmac.digest(self._key, "\x1f".join(parts).encode(), "sha256").hex()

    @property
    def mark(self) -> str:
        """Tells one key from another, without the key."""
        return self._hash("mark")[:_DIGITS]

    def number(self, kind: str, number: str) -> str:
        """The pseudonym of a subject's number; unchanged where it is one, or where its type is not replaced."""
        if kind not in REPLACED or is_pseudonym(number):
            return number
        return f"{MARK}{self._hash(kind, number)[:_DIGITS]}"

    def staff(self, number: str) -> str:
        """The replacement of a staff number; unchanged if it is a pseudonym already."""
        return number if is_pseudonym(number) else f"{MARK}{self._hash('staff', number)[:_DIGITS]}"

    def id(self, known: str) -> str:
        """The replacement of the id of a case or an alert."""
        return self._hash("id", known)[:_ID_DIGITS]

    def reported(self, event: dict[str, Any], explanation: dict[str, str] | None = None) -> dict[str, Any]:
        """An alert or case as a CloudEvent, with its numbers replaced in place.

        ``explanation`` is one that is not part of the event.
        """
        data = event["data"]
        kind, number = data["subject"]["type"], data["subject"]["id"]
        event["id"], event["subject"] = self.id(event["id"]), self.id(event["subject"])
        for name in ("alert_id", "case_id", "retracts"):
            if data.get(name) is not None:
                data[name] = self.id(data[name])
        if data["account_id"] is not None:
            data["account_id"] = self.number("account", data["account_id"])
        if kind in REPLACED:
            shown = self.number(kind, number)
            data["subject"]["id"] = shown
            for sentences in (data.get("explanation"), explanation):
                if sentences is None:
                    continue
                sentences["zh"] = _renamed(sentences["zh"], SUBJECTS_ZH[kind], number, shown)
                sentences["en"] = _renamed(sentences["en"], kind.capitalize(), number, shown)
        return event

    def fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """The fields of an event; in those named after accounts or meters every text is replaced."""
        found = {}
        for name, value in fields.items():
            kind = next((kind for kind in sorted(REPLACED) if kind in name), None)
            found[name] = value if kind is None else self._values(kind, value)
        return found

    def _values(self, kind: str, value: object) -> object:
        if isinstance(value, list):
            return [self._values(kind, one) for one in value]
        if isinstance(value, dict):
            return {name: self._values(kind, one) for name, one in value.items()}
        return self.number(kind, value) if isinstance(value, str) else value

    def change(self, change: dict[str, Any]) -> dict[str, Any]:
        """A row of a comparison, replaced in place."""
        change["case_id"] = self.id(change["case_id"])
        subject = change["subject"]
        subject["id"] = self.number(subject["type"], subject["id"])
        return change


def _renamed(sentence: str, kind: str, number: str, shown: str) -> str:
    """The sentence with its number replaced; the number occurs once, at the beginning."""
    head = f"{kind} {number}"
    if not sentence.startswith(head):
        raise InvariantError("a sentence does not begin with its subject")  # its text must not appear here
    return f"{kind} {shown}{sentence[len(head) :]}"


class Hidden:
    """``Pseudonyms`` where there is a key; without a key values stay unchanged."""

    def __init__(self, key: bytes | None) -> None:
        self._pseudonyms = None if key is None else Pseudonyms(key)

    @property
    def fingerprint(self) -> str | None:
        """Identifies the key without revealing it."""
        return None if self._pseudonyms is None else self._pseudonyms.id("fingerprint")

    def reported(self, event: dict[str, Any], explanation: dict[str, str] | None = None) -> dict[str, Any]:
        """See ``Pseudonyms.reported``."""
        return event if self._pseudonyms is None else self._pseudonyms.reported(event, explanation)

    def number(self, kind: str, number: str) -> str:
        """See ``Pseudonyms.number``."""
        return number if self._pseudonyms is None else self._pseudonyms.number(kind, number)

    def staff(self, number: str) -> str:
        """See ``Pseudonyms.staff``."""
        return number if self._pseudonyms is None else self._pseudonyms.staff(number)

    def change(self, change: dict[str, Any]) -> dict[str, Any]:
        """See ``Pseudonyms.change``."""
        return change if self._pseudonyms is None else self._pseudonyms.change(change)


class PseudonymousCloudEvents(CloudEvents):
    """Writes like ``CloudEvents``, with pseudonyms."""

    def __init__(self, calendar: WorkingCalendar, pseudonyms: Pseudonyms) -> None:
        super().__init__(calendar)
        self._pseudonyms = pseudonyms

    def id(self, known: str) -> str:
        """The id of a case or an alert as it is written."""
        return self._pseudonyms.id(known)

    def alert(self, alert: Alert) -> dict[str, Any]:
        """One alert as a CloudEvent, JSON values only."""
        return self._pseudonyms.reported(super().alert(alert))

    def case(self, case: JudgedCase, as_of: int) -> dict[str, Any]:
        """One case as a CloudEvent, JSON values only."""
        return self._pseudonyms.reported(super().case(case, as_of))


def cloud_events(calendar: WorkingCalendar, key: bytes | None) -> CloudEvents:
    """A writer with pseudonyms under the key, or with real numbers where there is none."""
    return CloudEvents(calendar) if key is None else PseudonymousCloudEvents(calendar, Pseudonyms(key))
