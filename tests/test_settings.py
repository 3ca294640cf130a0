"""Settings: flags before environment before defaults, checked once, printed without secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from streams.errors import ConfigError
from streams.settings import load_settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GRIDCLOCK_") or name == "KAFKA_BOOTSTRAP_SERVERS":
            monkeypatch.delenv(name)


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.bootstrap, settings.name, settings.partitions, settings.store) == ("", "gridclock", 8, "rocksdb")
    assert settings.source_topics == ("gridclock.events",)
    assert settings.keep_days == 90


def test_a_flag_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDCLOCK_PARTITIONS", "3")
    monkeypatch.setenv("GRIDCLOCK_GRACE_MS", "5")
    settings = load_settings(partitions=2, grace_ms=None)
    assert (settings.partitions, settings.grace_ms, settings.tick_ms) == (2, 5, 250)


@pytest.mark.parametrize(
    ("given", "environment", "bootstrap"),
    [
        (None, {"KAFKA_BOOTSTRAP_SERVERS": "a:1"}, "a:1"),
        (None, {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "GRIDCLOCK_BOOTSTRAP": "b:2"}, "b:2"),
        ("c:3", {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "GRIDCLOCK_BOOTSTRAP": "b:2"}, "c:3"),
    ],
)
def test_where_the_brokers_are_comes_from(
    monkeypatch: pytest.MonkeyPatch, given: str | None, environment: dict[str, str], bootstrap: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings(bootstrap=given).bootstrap == bootstrap


@pytest.mark.parametrize("text", ["a.events,b.events", "a.events b.events", " a.events,\n b.events, "])
def test_sources_are_split(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert load_settings(sources=text).source_topics == ("a.events", "b.events")
    monkeypatch.setenv("GRIDCLOCK_SOURCES", text)
    assert load_settings().source_topics == ("a.events", "b.events")


def test_every_topic_begins_with_the_name() -> None:
    settings = load_settings(name="city7")
    topics = [*settings.source_topics, settings.log_topic, settings.alerts_topic, settings.dead_letters_topic]
    assert [*topics, settings.changelog_topic] == [
        "city7.events", "city7.log", "city7.alerts", "city7.dead-letters", "city7-state-changelog",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partitions", 0),
        ("partitions", "many"),
        ("replication", 0),
        ("name", "a topic"),
        ("name", "x" * 81),
        ("sources", "good,bad/topic"),
        ("grace_ms", -1),
        ("tick_ms", 9),
        ("keep_days", 0),
        ("retention_days", -1),
        ("metrics_port", 65536),
        ("clock_speed", 0),
        ("store", "sqlite"),
        ("log_level", "loud"),
        ("security_protocol", "TLS"),
    ],
)
def test_a_wrong_setting_is_named_with_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(**{name: value})
    assert (caught.value.path, caught.value.key) == ("settings", name)
    variable = f"GRIDCLOCK_{name.upper()}"
    monkeypatch.setenv(variable, str(value))
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert (caught.value.path, caught.value.key) == (f"environment variable {variable}", name)


def test_every_wrong_setting_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(partitions=0, store="sqlite")
    assert [problem.key for problem in (caught.value, *caught.value.others)] == ["partitions", "store"]


def test_secrets_are_never_shown() -> None:
    settings = load_settings(security_protocol="SASL_SSL", sasl_username="clerk", sasl_password="hunter2")
    for text in (json.dumps(settings.shown()), repr(settings), str(settings)):
        assert "hunter2" not in text
    assert settings.kafka_python()["sasl_plain_password"] == "hunter2"


def test_a_secret_is_not_shown_when_it_is_wrong_either() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(sasl_password=["hunter2"])
    assert "hunter2" not in str(caught.value)


def test_what_a_client_is_told() -> None:
    plain = load_settings(bootstrap="a:1,b:2").kafka_python()
    assert plain == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    secure = load_settings(
        bootstrap="a:1", security_protocol="SASL_SSL", sasl_username="u", sasl_password="p", ssl_cafile=Path("ca.pem")
    ).kafka_python()
    assert secure == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_SSL",
        "ssl_cafile": "ca.pem",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }
