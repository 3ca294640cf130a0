"""Traces from a source record to its alerts: what is carried, what is left out, and that off means off."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from streams.core.alerts import Alert
from streams.errors import ConfigError
from streams.live.clock_partition import ClockPartition
from streams.live.spans import CARRIED, MOST_BYTES, MOST_KEPT, Headers, Spans
from streams.live.tracing import exporters_of, spans_of
from streams.settings import load_settings
from tests.property.test_crashes import HOUR, Arrival
from tests.stories import shipped

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
OTHER = SAMPLED.replace("0af7", "1bf7")
IN = TopicPartition("in", 3)


class Traced:
    """Spans that end in a list."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.spans = Spans(provider, "x.alerts")

    def take(self, event_id: str, traceparent: str | None, partitions: list[int], *, refused: bool = False) -> None:
        """One source record that gives one event."""

        def taking(_tp: Any, _record: Any, _entries: Any, letters: list[Any]) -> None:
            if refused:
                letters.append(1)
            else:
                self.spans.routed(event_id, partitions)

        headers = () if traceparent is None else (("traceparent", traceparent.encode()), ("other", None))
        record = ConsumerRecord("in", 3, 17, 0, 0, None, b"{}", None, 0, 0, headers)
        self.spans.around(taking)(IN, record, [], [])

    def log(self) -> None:
        """All log records are written, and read by the clocks."""
        for headers in self.spans.carried().values():
            self.spans.read(headers)

    def send(self, alert: Alert) -> Headers | None:
        with self.spans.sending([alert], lambda name: f"shown {name}") as (headers,):
            return headers


@pytest.fixture(scope="module")
def alert() -> Alert:
    """One of a simulated order."""
    partition = ClockPartition(0, shipped().rulebook, keep_for=None)
    for offset, record in enumerate(Arrival(1, 1, 3 * 24 * HOUR, -HOUR).log()):
        applied = partition.apply(record, offset)
        assert applied is not None
        for found in applied.alerts:
            return found
    raise AssertionError("no alert")


def test_one_trace_from_a_source_record_to_the_alert(alert: Alert) -> None:
    traced = Traced()
    (cause, *_) = alert.evidence
    traced.take(cause, SAMPLED, [2])
    traced.log()
    headers = traced.send(replace(alert, evidence=(cause,)))
    taken, sent = traced.exporter.get_finished_spans()
    assert {span.context.trace_id for span in (taken, sent)} == {int(TRACE, 16)}
    assert taken.parent is not None
    assert (taken.parent.span_id, taken.kind, taken.name) == (int(PARENT, 16), SpanKind.CONSUMER, "process in")
    assert taken.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "in",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 17,
    }
    assert sent.parent is not None
    assert (sent.parent.span_id, sent.kind, sent.name) == (taken.context.span_id, SpanKind.PRODUCER, "send x.alerts")
    assert sent.attributes is not None
    assert sent.attributes["gridclock.alert_id"] == f"shown {alert.alert_id}"
    assert headers == [("traceparent", f"00-{TRACE}-{sent.context.span_id:016x}-01".encode())]


def test_an_alert_follows_its_newest_cause_and_links_to_the_others(alert: Alert) -> None:
    traced = Traced()
    traced.take("first", SAMPLED, [0, 1])
    traced.take("second", OTHER, [0])
    traced.log()
    headers = traced.send(replace(alert, evidence=("first", "unknown", "second")))
    *_, sent = traced.exporter.get_finished_spans()
    assert headers is not None
    assert headers[0][1].startswith(b"00-1bf7")
    assert [link.context.trace_id for link in sent.links] == [int(TRACE, 16)]


def test_a_record_without_a_context_begins_a_trace(alert: Alert) -> None:
    traced = Traced()
    traced.take("a", None, [0])
    traced.log()
    headers = traced.send(replace(alert, evidence=("a",)))
    taken, _ = traced.exporter.get_finished_spans()
    assert taken.parent is None
    assert headers is not None
    assert f"-{taken.context.trace_id:032x}-" in headers[0][1].decode()


def test_what_the_sender_does_not_sample_is_not_carried(alert: Alert) -> None:
    traced = Traced()
    traced.take("a", SAMPLED[:-2] + "00", [0])
    assert traced.spans.carried() == {}
    assert traced.send(replace(alert, evidence=("a",))) is None
    assert traced.exporter.get_finished_spans() == ()


def test_a_context_goes_to_the_partitions_of_its_event_and_only_once() -> None:
    traced = Traced()
    traced.take("a", SAMPLED, [0, 2, 2])
    traced.take("b", SAMPLED, [2])
    carried = traced.spans.carried()
    named = {partition: set(json.loads(dict(headers)[CARRIED])) for partition, headers in carried.items()}
    assert named == {0: {"a"}, 2: {"a", "b"}}
    assert traced.spans.carried() == {}


def test_a_record_refused_is_a_span_with_an_error() -> None:
    traced = Traced()
    traced.take("a", SAMPLED, [0], refused=True)
    (taken,) = traced.exporter.get_finished_spans()
    assert taken.status.status_code == StatusCode.ERROR


@pytest.mark.parametrize("count", [2_000, 100_000])
def test_the_header_is_bounded_whatever_comes_in(count: int) -> None:
    traced = Traced()
    carrier = {"traceparent": SAMPLED}
    traced.spans._taken[0] = {f"event-{number:060}": carrier for number in range(count)}
    ((name, value),) = traced.spans.carried()[0]
    assert name == CARRIED
    assert len(value) <= MOST_BYTES
    assert len(json.loads(value)) > 500


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(alert: Alert) -> None:
    traced = Traced()
    carrier = {"traceparent": SAMPLED}
    for begin in range(0, MOST_KEPT + 1_000, 1_000):
        carriers = {f"e{number}": carrier for number in range(begin, begin + 1_000)}
        traced.spans.read([(CARRIED, json.dumps(carriers).encode())])
    assert traced.send(replace(alert, evidence=("e999",))) is None
    assert traced.send(replace(alert, evidence=("e1000",))) is not None


@pytest.mark.parametrize("value", [b"", b"[1]", b"\xff", b'{"a": 1}', b'{"a": {"traceparent": 1}}'])
def test_a_header_of_something_else_is_passed_over(alert: Alert, value: bytes) -> None:
    traced = Traced()
    traced.spans.read([(CARRIED, value)])
    assert traced.send(replace(alert, evidence=("a",))) is None


def test_a_context_that_is_none_begins_a_trace_and_fails_nothing(alert: Alert) -> None:
    traced = Traced()
    traced.take("a", "00-nothing", [0])
    traced.spans.read({CARRIED: b'{"b": {"traceparent": "nothing"}}'})
    assert traced.send(replace(alert, evidence=("b",))) is not None


# -- on and off ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "gridclock"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, ["otlp"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ["otlp", "console"]),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, []),
    ],
)
def test_the_variables_of_the_sdk_say_whether_there_are_traces(variables: dict[str, str], names: list[str]) -> None:
    assert exporters_of(variables) == names


async def spans_by(variables: dict[str, str]) -> Spans | None:
    async with spans_of(load_settings(name="x"), variables) as found:
        return found


def test_a_provider_that_is_there_already_is_used_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, ended = TracerProvider(), list[int]()
    monkeypatch.setattr(provider, "shutdown", lambda: ended.append(1))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    found = asyncio.run(spans_by({"OTEL_TRACES_EXPORTER": "no such one"}))
    assert found is not None
    found.around(lambda *_: None)(IN, ConsumerRecord("in", 3, 17, 0, 0, None, b"{}", None, 0, 0, ()), [], [])
    assert len(exporter.get_finished_spans()) == 1
    assert ended == []


def test_a_worker_ends_although_the_collector_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(provider, "shutdown", answered.wait)
    monkeypatch.setattr("streams.live.tracing._provider", lambda *_: provider)
    monkeypatch.setattr("streams.live.tracing.FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    try:
        assert asyncio.run(spans_by({"OTEL_TRACES_EXPORTER": "otlp"})) is not None
    finally:
        answered.set()


def test_off_nothing_is_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from streams.live import faust_app, tracing, worker\n"
        "from streams.settings import load_settings\n"
        "async def main():\n"
        "    async with tracing.spans_of(load_settings(name='x'), {}) as found:\n"
        "        assert found is None\n"
        "asyncio.run(main())\n"
        "sys.exit(str([name for name in sys.modules if name.startswith('opentelemetry')] or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.strip() == ""


def test_on_without_the_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'gridclock\[otel\]'"):
        asyncio.run(spans_by({"OTEL_TRACES_EXPORTER": "otlp"}))


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "no exporter 'zipkin'"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "thrift"}, r"otlp_proto_thrift"),
    ],
)
def test_an_exporter_that_is_not_installed_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        asyncio.run(spans_by(variables))
