"""Spans of OpenTelemetry, from a source record to the alerts that it leads to. Imported only where traces are wanted.

The intake makes a span of each source record, under the trace context of the record's headers where it has one. A log
record holds events of many traces, so their contexts go along in one header of it, by the events' ids. The clocks keep
the newest of them. An alert is sent in a span under the context of the last event of its evidence that is known, with
links to the others, and its record has that context in its headers. What is kept is in memory: after a restart, an
alert of a limit that began before has no context.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, SpanKind, StatusCode, TracerProvider

from streams.core.alerts import Alert

CARRIED: Final = "gridclock-traces"
"""The header of a log record: JSON, the propagators' fields by event id."""

MOST_BYTES: Final = 200_000
"""Of that header; further events are not carried. A log record with it is within every broker's limit."""

MOST_KEPT: Final = 50_000
"""Events whose contexts the clocks keep, some 20 MB."""

Carrier = dict[str, str]
Headers = list[tuple[str, bytes]]

_DECODER: Final = msgspec.json.Decoder(dict[str, Carrier])


class Spans:
    """One worker's spans; ``topic`` is that of the alerts. For the event loop's thread."""

    def __init__(self, provider: TracerProvider, topic: str) -> None:
        self._tracer = provider.get_tracer("gridclock", version("gridclock"))
        self._topic = topic
        self._taken: dict[int, dict[str, Carrier]] = defaultdict(dict)
        self._known: OrderedDict[str, Carrier] = OrderedDict()

    # -- intake ------------------------------------------------------------------------------------------

    def around(self, take: Callable[..., None]) -> Callable[..., None]:
        """``take`` of the intake (partition, record, entries, letters), each record in a span."""

        def taken(tp: Any, record: Any, entries: Any, letters: list[Any]) -> None:
            refused = len(letters)
            with self._tracer.start_as_current_span(
                f"process {tp.topic}",
                propagate.extract({name: value.decode("latin-1") for name, value in record.headers if value}),
                SpanKind.CONSUMER,
                {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": tp.topic,
                    "messaging.destination.partition.id": str(tp.partition),
                    "messaging.kafka.offset": record.offset,
                },
            ) as span:
                take(tp, record, entries, letters)
                if len(letters) > refused:
                    span.set_status(StatusCode.ERROR, "refused: a dead letter")

        return taken

    def routed(self, event_id: str, partitions: Iterable[int]) -> None:
        """An event of the present span goes to these partitions of the log."""
        if trace.get_current_span().get_span_context().trace_flags.sampled:
            carrier: Carrier = {}
            propagate.inject(carrier)
            for partition in partitions:
                self._taken[partition][event_id] = carrier

    def carried(self) -> Mapping[int, Headers]:
        """The headers of the log records that are written next, by partition."""
        found = {}
        for partition, carriers in self._taken.items():
            value = msgspec.json.encode(carriers)
            while len(value) > MOST_BYTES:
                carriers = dict(list(carriers.items())[: len(carriers) // 2])
                value = msgspec.json.encode(carriers)
            found[partition] = [(CARRIED, value)]
        self._taken.clear()
        return found

    # -- clocks ------------------------------------------------------------------------------------------

    def read(self, headers: Any) -> None:
        """Keep the contexts in a log record's headers, pairs or a mapping."""
        value = dict(headers or ()).get(CARRIED)
        if value is None:
            return
        try:
            found = _DECODER.decode(value)
        except msgspec.MsgspecError:  # written by something else: a trace less
            return
        for event_id, carrier in found.items():
            self._known[event_id] = carrier
            self._known.move_to_end(event_id)
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)

    @contextmanager
    def sending(self, alerts: Iterable[Alert], shown: Callable[[str], str]) -> Iterator[list[Headers | None]]:
        """Spans around the sending of alerts; gives the headers of each. ``shown`` gives an id as it is written."""
        spans, headers = [], list[Headers | None]()
        for alert in alerts:
            contexts = [
                propagate.extract(self._known[event_id])
                for event_id in reversed(alert.evidence)
                if event_id in self._known
            ]
            if not contexts:
                headers.append(None)
                continue
            found = [trace.get_current_span(context).get_span_context() for context in contexts]
            span = self._tracer.start_span(
                f"send {self._topic}",
                contexts[0],
                SpanKind.PRODUCER,
                {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": self._topic,
                    "gridclock.alert_id": shown(alert.alert_id),
                    "gridclock.kind": alert.kind,
                    "gridclock.rule": alert.rule,
                },
                [Link(other) for other in found[1:]],
            )
            carrier: Carrier = {}
            propagate.inject(carrier, trace.set_span_in_context(span, contexts[0]))
            headers.append([(name, value.encode("latin-1")) for name, value in carrier.items()])
            spans.append(span)
        try:
            yield headers
        finally:
            for span in spans:
                span.end()
