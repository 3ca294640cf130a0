"""A record of the alerts topic that is nested deeper than Python reads is no alert, and ends nobody."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition

from streams.commands.ack import _id_of
from streams.notify.term import Term

DEEP = b"[" * 100_000 + b"]" * 100_000


def test_the_notifier_records_it_as_undelivered() -> None:
    read: list[str] = []
    letters: list[Any] = []
    term = SimpleNamespace(
        _setup=SimpleNamespace(metrics=SimpleNamespace(alerts_read=read.append)), _letter=lambda *given: given
    )
    record = SimpleNamespace(value=DEEP, offset=7)
    Term._take_alert(cast(Term, term), TopicPartition("alerts", 0), record, [], letters)
    assert read == ["not_an_alert"]
    assert [letter[2:5] for letter in letters] == [("alerts/0/7", "not_an_alert", "RecursionError")]


def test_an_acknowledgement_looks_past_it() -> None:
    assert _id_of(DEEP) is None
