"""One trace from a record of a source to the header of its alert: a real worker, broker and OTLP receiver."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from streams.kafka.brokers import Broker
from streams.kafka.threaded_producer import ThreadedProducer
from tests.integration.live import Live, until
from tests.stories import wire

TRACES = {"e1": "0af7651916cd43dd8448eb211c80319c", "e3": "1bf7651916cd43dd8448eb211c80319c"}
STARTED = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
e2 2025-03-03T09:01 counter.service_started WO2 business=fee
"""
LATE = "fee-5-minutes", "WO1", "late_completion"
COMPLETED = "e3 2025-03-03T09:07 counter.service_completed WO1"


@contextmanager
def receiver(spans: list[Any]) -> Iterator[str]:
    """An OTLP receiver over HTTP on loopback, which keeps all spans; its address."""

    class Receives(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend((resource.resource, span) for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receives) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def send(live: Live, story: str) -> None:
    """Each event at its own time, in a trace of its sender, which samples those of ``TRACES``."""
    producer = ThreadedProducer(bootstrap_servers=live.bootstrap)
    for event in wire(story):
        trace = TRACES.get(event["event_id"])
        flags = "01" if trace else "00"
        parent = f"00-{trace or 'c' * 32}-b7ad6b7169203331-{flags}"
        producer.send(
            f"{live.name}.events",
            json.dumps(event).encode(),
            headers=[("traceparent", parent.encode())],
            timestamp_ms=int(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000),
        )
    producer.flush()
    producer.close()


def headers_of_alerts(live: Live) -> dict[tuple[str, str, str], dict[str, str]]:
    """The headers of each alert by rule, order and kind."""
    consumer = KafkaConsumer(bootstrap_servers=live.bootstrap, enable_auto_commit=False)
    parts = [TopicPartition(f"{live.name}.alerts", number) for number in range(live.partitions)]
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends = consumer.end_offsets(parts)
    found = {}
    while any(consumer.position(part) < ends[part] for part in parts):
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                data = json.loads(record.value)["data"]
                key = data["rule"], data["subject"]["id"], data["kind"]
                found[key] = {name: value.decode() for name, value in record.headers}
    consumer.close()
    return found


def test_one_trace_from_source_record_to_alert(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    spans: list[Any] = []
    with receiver(spans) as address, Live(kafka.bootstrap, prefix, tmp_path, partitions=2) as live:
        live.make_source(partitions=1)
        send(live, STARTED)
        worker = live.worker(
            OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_SERVICE_NAME="gridclock-worker", OTEL_BSP_SCHEDULE_DELAY="200",
            NO_PROXY="127.0.0.1",
        )  # fmt: skip
        live.settle("2025-03-03T09:30")
        send(live, COMPLETED)
        until(lambda: LATE in headers_of_alerts(live), 60, lambda: f"{headers_of_alerts(live)}{worker.output}")
        found = headers_of_alerts(live)
        breach, late = found["fee-5-minutes", "WO1", "breach"], found[LATE]
        # The breach came by time alone, long after its record: of the event that began the case.
        assert breach["traceparent"].split("-")[1] == TRACES["e1"]
        assert late["traceparent"].split("-")[1] == TRACES["e3"]
        # The sender of the other order does not sample.
        assert "traceparent" not in found["fee-5-minutes", "WO2", "breach"]
        wanted = {breach["traceparent"].split("-")[2], late["traceparent"].split("-")[2]}
        until(lambda: wanted <= {span.span_id.hex() for _, span in spans}, 30, lambda: f"{spans}{worker.output}")
        by_id = {span.span_id.hex(): span for _, span in spans}
        for span_id, event_id in zip(
            (breach["traceparent"].split("-")[2], late["traceparent"].split("-")[2]), ("e1", "e3"), strict=True
        ):
            sent = by_id[span_id]
            taken = by_id[sent.parent_span_id.hex()]
            assert sent.name == f"send {live.name}.alerts"
            assert (taken.name, taken.parent_span_id.hex()) == (f"process {live.name}.events", "b7ad6b7169203331")
            assert sent.trace_id.hex() == taken.trace_id.hex() == TRACES[event_id]
            assert taken.start_time_unix_nano <= sent.end_time_unix_nano
        assert not [span for _, span in spans if span.trace_id.hex() == "c" * 32]
        resources = {one.value.string_value for resource, _ in spans for one in resource.attributes
                     if one.key == "service.name"}  # fmt: skip
        assert resources == {"gridclock-worker"}
        assert worker.stop() == 0, worker.output
