"""A record of the alerts topic that Python does not read, though it is JSON, is no alert, and ends nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from streams.commands.ack import _id_of
from streams.notify.term import Term
from streams.wire.decoder import encode_json
from tests.notify.alerts import alert

DEEP = b"[" * 100_000 + b"]" * 100_000
BEYOND = b'{"data": {"arithmetic": {"days": 1e99999999999999999999}}}'
"""Python's decimals end at an exponent of 18 digits."""


@pytest.mark.parametrize(("value", "why"), [(DEEP, "RecursionError"), (BEYOND, "ValueError")])
def test_the_notifier_records_it_as_undelivered(value: bytes, why: str) -> None:
    read: list[str] = []
    letters: list[Any] = []
    term = SimpleNamespace(
        _setup=SimpleNamespace(metrics=SimpleNamespace(alerts_read=read.append)), _letter=lambda *given: given
    )
    record = SimpleNamespace(value=value, offset=7)
    Term._take_alert(cast(Term, term), TopicPartition("alerts", 0), record, [], letters)
    assert read == ["not_an_alert"]
    assert [letter[2:5] for letter in letters] == [("alerts/0/7", "not_an_alert", why)]


@pytest.mark.parametrize(
    "at", [1772415700, "1772415700", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2026-03-01t09:00:00z"]
)
@pytest.mark.parametrize("field", ["due_at", "detected_at", "deadline", "started_at", "stopped_at"])
def test_an_alert_with_an_instant_that_a_channel_cannot_read_is_undelivered(field: str, at: object) -> None:
    letters: list[Any] = []
    term = SimpleNamespace(
        _setup=SimpleNamespace(metrics=SimpleNamespace(alerts_read=lambda _: None)), _letter=lambda *given: given
    )
    event = alert("b1")
    record = SimpleNamespace(value=encode_json({**event, "data": {**event["data"], field: at}}), offset=7)
    Term._take_alert(cast(Term, term), TopicPartition("alerts", 0), record, [], letters)
    assert [letter[2:5] for letter in letters] == [("alerts/0/7", "not_an_alert", "ValidationError")]


@pytest.mark.parametrize("value", [DEEP, BEYOND])
def test_an_acknowledgement_looks_past_it(value: bytes) -> None:
    assert _id_of(value) is None
