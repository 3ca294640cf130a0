"""A registry is asked once for a schema, waited for while it is away, and believed when it knows none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

import schemas.mappings as schema
from streams.errors import ConfigError, InputError, RegistryAwayError
from streams.rulebooks.mapping_files import load_mapping
from streams.rulebooks.schema_registry import SchemaRegistry, Time

URL = "http://127.0.0.1:1"
SETTINGS = schema.Registry(url=URL)
MAPPING = """format: avro
registry: {url: http://127.0.0.1:1%s}
event_type: kind
fields: {event_id: id, order_id: id, occurred_at: at}
"""


class Found:
    """A schema as confluent-kafka's client gives it."""

    def __init__(self, text: str, kind: str = "AVRO", references: list[Any] | None = None) -> None:
        self.schema_str, self.schema_type, self.references = text, kind, references or []
        self.schema = self


class Reference:
    def __init__(self, name: str) -> None:
        self.name, self.subject, self.version = name, name, 1


class Client:
    """Answers from a list, one a call; then for ever with its last one."""

    def __init__(self, *answers: Found | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[object] = []
        self.versions: dict[str, Found] = {}

    def get_schema(self, schema_id: int, subject: str | None, form: str) -> Found:
        assert (subject, form) == (None, "serialized")
        self.asked.append(schema_id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_version(self, subject: str, version: int, deleted: bool, form: str) -> Found:
        assert (version, deleted, form) == (1, True, "serialized")
        self.asked.append(subject)
        return self.versions[subject]


class Clock:
    def __init__(self) -> None:
        self.at = 1_000.0

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def registry(client: Client, patience: float = 0) -> tuple[SchemaRegistry, Clock]:
    clock = Clock()
    time = Time(lambda: clock.at, clock.sleep)
    return SchemaRegistry(SETTINGS, client=client, patience=patience, time=time), clock


UNKNOWN = SchemaRegistryError(404, 40403, "no such schema")
AWAY = OSError("refused")


def test_a_schema_is_asked_for_once() -> None:
    found, _ = registry(client := Client(Found('"string"')))
    assert not found.has(7)
    assert found.get(7) is found.get(7)
    assert found.has(7)
    assert client.asked == [7]


def test_an_unknown_schema_is_named_and_asked_for_again_after_a_minute() -> None:
    found, clock = registry(client := Client(UNKNOWN, Found('"string"')))
    for _ in range(3):
        with pytest.raises(InputError, match=f"unknown_schema: schema 7 of {URL}: the registry does not know it"):
            found.get(7)
    assert client.asked == [7]
    clock.at += 60
    assert found.get(7).form == "avro"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (AWAY, "no answer (refused)"),
        (SchemaRegistryError(503, -1, "busy"), "answers 503"),
        (SchemaRegistryError(401, 401, "who?"), "answers 401: check user, password or token"),
        (SchemaRegistryError(403, 403, "no"), "answers 403: check its rights"),
        (SchemaRegistryError(404, 404, "no such page"), "answers 404: check the path of url"),
        (ValueError("not JSON"), "answers what is no schema"),
    ],
)
def test_a_registry_that_is_away_is_no_matter_of_the_record(answer: Exception, said: str) -> None:
    found, clock = registry(client := Client(answer, Found('"string"')))
    for _ in range(3):
        with pytest.raises(RegistryAwayError) as caught:
            found.get(7)
        assert f"schema registry {URL}: {said}" in str(caught.value)
    assert client.asked == [7], "it is asked once a second, however many records want it"
    clock.at += 1
    assert found.get(7).form == "avro"


def test_one_line_when_it_goes_one_a_minute_and_one_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(*[AWAY] * 121, Found('"string"'))
    found, _ = registry(client, patience=1_000)
    with caplog.at_level(logging.INFO):
        found.get(7)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition("; partitions")[0] for line in lines] == [
        f"schema registry {URL}: no answer (refused), for 0 s",
        f"schema registry {URL}: no answer (refused), for 60 s",
        f"schema registry {URL}: no answer (refused), for 120 s",
        f"schema registry {URL}: answers again after 121 s",
    ]


def test_patience_ends() -> None:
    found, clock = registry(Client(AWAY), patience=60)
    with pytest.raises(RegistryAwayError):
        found.get(7)
    assert clock.at == 1_060


def test_references_come_before_what_refers_to_them_though_two_share_one() -> None:
    def record(name: str, *types: str) -> str:
        fields = ",".join(f'{{"name": "f{n}", "type": "{one}"}}' for n, one in enumerate(types))
        return f'{{"type": "record", "name": "{name}", "fields": [{fields}]}}'

    client = Client(Found(record("A", "B", "C"), references=[Reference("C"), Reference("B")]))
    client.versions = {
        "B": Found(record("B", "D"), references=[Reference("D")]),
        "C": Found(record("C", "B", "D"), references=[Reference("B"), Reference("D")]),
        "D": Found(record("D", "int")),
    }
    found, _ = registry(client)
    assert found.get(7).read(b"\0\0\0\0\7\2\4\6") == {
        "f0": {"f0": {"f0": 1}},
        "f1": {"f0": {"f0": {"f0": 2}}, "f1": {"f0": 3}},
    }
    assert sorted(map(str, client.asked)) == ["7", "B", "C", "D"]


def test_references_that_go_on_for_ever_are_refused() -> None:
    class Endless(Client):
        def get_version(self, subject: str, version: int, deleted: bool, form: str) -> Found:
            return Found("{}", references=[Reference(subject + "x")])

    found, _ = registry(Endless(Found("{}", references=[Reference("x")])))
    with pytest.raises(InputError, match="refers to more than 200 schemas"):
        found.get(7)


def test_references_in_a_circle_are_refused() -> None:
    client = Client(Found('"B"', references=[Reference("B")]))
    client.versions = {"B": Found('"C"', references=[Reference("C")]), "C": Found('"B"', references=[Reference("B")])}
    found, _ = registry(client)
    with pytest.raises(InputError, match="a schema that is not Avro"):
        found.get(7)


def loaded(tmp_path: Path, more: str) -> Callable[[], object]:
    path = tmp_path / "map.yaml"
    path.write_text(MAPPING % more, "utf-8")
    return lambda: load_mapping(path)


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = loaded(tmp_path, ", user: gridclock, password: {env: REGISTRY_WORD}")
    monkeypatch.delenv("REGISTRY_WORD", raising=False)
    with pytest.raises(
        ConfigError, match=r"map.yaml:2: registry.password: environment variable REGISTRY_WORD is not set"
    ):
        load()
    monkeypatch.setenv("REGISTRY_WORD", "a:b")
    load()
    loaded(tmp_path, ", token: {env: REGISTRY_WORD}")()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", password: secret", "registry.password"),
        (", user: gridclock", "user and password go together"),
        (", user: u, password: {env: A}, token: {env: B}", "not both"),
        ("?user=x", "write user and password"),
        (", ca: /nowhere/ca.pem", "cannot be used"),
    ],
)
def test_a_wrong_registry_is_refused_with_its_key(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, more)()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format: avro\n", "format avro needs a registry"),
        ("format: json\nregistry: {url: http://127.0.0.1:1}\n", "registry is for format avro"),
        ("registry: {url: http://127.0.0.1:1}\n", "registry is for format avro"),
        ("format: debezium\nregistry: {url: ftp://127.0.0.1:1}\n", "is no address"),
    ],
)
def test_format_and_registry_go_together(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text + "event_type: kind\nfields: {event_id: id, order_id: id, occurred_at: at}\n", "utf-8")
    with pytest.raises(ConfigError, match=said):
        load_mapping(path)
