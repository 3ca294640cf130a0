"""Batches in every codec, made by Java: every topic of an installation has it, and everything that reads them does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.kafka.admin import ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from tests.integration.live import LONG, Live, command
from tests.stories import wire

pytestmark = pytest.mark.broker

STORY = """
e1 2025-03-03T09:00 counter.service_started WO1 business=fee
x1 2025-03-03T09:01 counter.service_startd WO2 business=fee
e2 2025-03-03T09:30 counter.ticket_taken WO3
"""
MANY = 3_000
"""Events more, so that the batches are large."""


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_every_topic_may_have_every_codec(kafka: Broker, prefix: str, tmp_path: Path, codec: str) -> None:
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description} has no compression.type")
    more = "\n".join(f"m{number} 2025-03-03T09:00 counter.ticket_taken M{number}" for number in range(MANY))
    with Live(kafka.bootstrap, prefix, tmp_path) as live:
        live.make_source(partitions=1)
        settings = load_settings(bootstrap=kafka.bootstrap, name=live.name, partitions=4, retention_days=LONG)
        specs = topics_of(settings)
        ensure_topics(kafka.bootstrap, specs)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        # A change replaces all settings of a topic: without its retention the cleaner takes records stamped 2025.
        own = {spec.name: spec.config() for spec in specs} | {f"{live.name}.events": {"retention.ms": "-1"}}
        configs = [
            ConfigResource(ConfigResourceType.TOPIC, name, {**config, "compression.type": codec})
            for name, config in own.items()
        ]
        admin.alter_configs(configs)
        admin.close()
        # The broker compresses it anew, with Java's codec. Time passes with the first batch, so the story is in that.
        live.send(wire(STORY + more))
        worker = live.worker()
        told = live.settle("2025-03-03T09:20")
        assert {alert["subject"]["id"] for alert in told.values()} == {"WO1"}
        where = ("--bootstrap", live.bootstrap, "--name", live.name)
        again = live.worker(store="another")  # reads the state back
        assert worker.exit_code is None, worker.output
        assert again.exit_code is None, again.output

        def lines(*words: str, code: int = 0) -> list[str]:
            done = command(*words, *where, environment={"GRIDCLOCK_KEEP_DAYS": str(LONG)})
            assert done.returncode == code, done.stderr
            return done.stdout.splitlines()

        assert {json.loads(line)["id"] for line in lines("alerts", "--json")} == set(told)
        assert {json.loads(line)["id"] for line in lines("replay", "--log")} >= set(told)
        assert {json.loads(line)["id"] for line in lines("replay", "--topic", f"{live.name}.events", code=3)} >= set(
            told
        )
        assert len(lines("dead-letters", "list", "--json")) == 1
        assert lines("status", "--json") != []
