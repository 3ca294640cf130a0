"""Batches in every codec, made by Java: every topic of an installation has it, and everything that reads them does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from streams.kafka.admin import ensure_topics
from streams.kafka.brokers import Broker
from streams.kafka.topics import topics_of
from streams.settings import load_settings
from tests.integration.live import LONG, Live, command
from tests.stories import wire

pytestmark = pytest.mark.broker

MANY = 3_000
"""Events more of each codec, so that the batches are large."""

CODECS = ("gzip", "snappy", "lz4", "zstd")


def test_every_topic_may_have_every_codec(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """One codec after the other, so that each topic has batches of all."""
    if kafka.kind == "embedded":
        pytest.skip(f"{kafka.description} has no compression.type")
    with Live(kafka.bootstrap, prefix, tmp_path) as live:
        live.make_source(partitions=1)
        settings = load_settings(bootstrap=kafka.bootstrap, name=live.name, partitions=4, retention_days=LONG)
        specs = topics_of(settings)
        ensure_topics(kafka.bootstrap, specs)
        # A change replaces all settings of a topic: without its retention the cleaner takes records stamped 2025.
        configs = {spec.name: spec.config() for spec in specs} | {f"{live.name}.events": {"retention.ms": "-1"}}
        told: dict[str, dict[str, Any]] = {}
        for number, codec in enumerate(CODECS):
            compress(kafka.bootstrap, configs, codec)
            # The broker compresses it anew, with Java's codec.
            live.send(wire(story(codec, hour := 9 + number)))
            if number == 0:
                worker = live.worker()
            told = live.settle(f"2025-03-03T{hour:02d}:20")
            assert {alert["subject"]["id"] for alert in told.values()} == {f"WO-{one}" for one in CODECS[: number + 1]}
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
        source = lines("replay", "--topic", f"{live.name}.events", code=3)
        assert {json.loads(line)["id"] for line in source} >= set(told)
        assert len(lines("dead-letters", "list", "--json")) == len(CODECS)
        assert lines("status", "--json") != []


def story(codec: str, hour: int) -> str:
    """A breach, a type that is refused, and so many events that the batches are large; the last is half an hour on."""
    many = "".join(f"{codec}{n} 2025-03-03T{hour:02d}:00 counter.ticket_taken M-{codec}-{n}\n" for n in range(MANY))
    return f"""
{codec}-e1 2025-03-03T{hour:02d}:00 counter.service_started WO-{codec} business=fee
{codec}-x1 2025-03-03T{hour:02d}:01 counter.service_startd XX-{codec} business=fee
{codec}-e2 2025-03-03T{hour:02d}:30 counter.ticket_taken T-{codec}
{many}"""


def compress(bootstrap: str, configs: dict[str, dict[str, str]], codec: str) -> None:
    """Each topic's compression from now on."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.alter_configs(
        [
            ConfigResource(ConfigResourceType.TOPIC, name, {**config, "compression.type": codec})
            for name, config in configs.items()
        ]
    )
    admin.close()
