"""Messages for channels: one alert, or the alerts of a digest, with what they close and open again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from streams.core.delivery_case import CaseState, Event, Waiting, data_of, kind_of


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one channel. The receiver recognises a repetition by ``key``.

    ``events`` are the alerts in it. ``closes`` are alerts sent to this channel before that are now over: retracted, or
    completed late. ``opens`` are breaches that a retracted completion opens again. ``level`` is set for an escalation.
    ``follows`` are ids of earlier alerts to which its follow-ups refer: each is sent only where one of its own was.
    """

    channel: str
    subscription: str
    key: str
    events: tuple[Event, ...]
    planned_at: int
    closes: tuple[Event, ...] = ()
    opens: tuple[Event, ...] = ()
    level: str | None = None
    follows: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of the delivery; the same after a crash."""
        return f"{self.channel}/{self.key}"


def message_of(subscription: str, channel: str, items: Sequence[tuple[CaseState, Waiting]], now: int) -> Delivery:
    """The message with these alerts for a channel, planned at the instant ``now``."""
    events = tuple(case.events[item.alert_id] for case, item in items)
    closes: dict[str, Event] = {}
    opens: dict[str, Event] = {}
    for case, item in items:
        kind = kind_of(case.events[item.alert_id])
        if kind == "retraction":
            target = str(data_of(case.events[item.alert_id])["retracts"])
            gone = case.events.get(target)
            if gone is not None and kind_of(gone) == "late_completion":
                opens |= {key: case.events[key] for key in case.sent if channel in case.sent[key] and case.is_open(key)}
            elif gone is not None:
                closes[target] = gone
        elif kind == "late_completion":
            closes |= {
                key: case.events[key]
                for key in case.sent
                if channel in case.sent[key] and kind_of(case.events[key]) == "breach"
            }
    ids = [str(data_of(event)["alert_id"]) for event in events]
    key = ids[0] if len(ids) == 1 else "digest-" + blake2b("\x1f".join(ids).encode(), digest_size=16).hexdigest()
    follows = tuple(dict.fromkeys(key for _, item in items for key in item.follows))
    return Delivery(
        channel, subscription, key, events, now, tuple(closes.values()), tuple(opens.values()), follows=follows
    )
