"""Real change events: Debezium's embedded engines from Maven, in one Java process, on a PostgreSQL of the tests."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from streams.errors import BrokerError
from streams.kafka.java_broker import cached_class_path, java_version
from tests.sink.postgres import PASSWORD, Postgres, programs

VERSION: Final = "3.6.1.Final"
_PROGRAM: Final = Path(__file__).with_name("DebeziumChanges.java")
_ARTIFACTS: Final = ("debezium-api", "debezium-embedded", "debezium-connector-postgres")


class Change(NamedTuple):
    """One record as Kafka Connect would write it; ``value`` is ``None`` for a tombstone."""

    topic: str
    key: bytes
    value: bytes | None


class Engines:
    """The records so far, of all engines."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self._process, self._errors = process, errors
        self._changed = threading.Condition()
        self._found: list[Change] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            topic, key, value = line.rstrip(b"\n").split(b"\t")
            with self._changed:
                self._found.append(Change(topic.decode(), key, None if value == b"null" else value))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[Change]:
        """All records, as soon as there are so many."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._found) >= count or self._process.poll() is not None, 120)
            assert came, (len(self._found), self._errors.read_text("utf-8", "replace")[-2000:])
            assert len(self._found) >= count, self._errors.read_text("utf-8", "replace")[-2000:]
            return list(self._found)


def _class_path() -> str:
    dependencies = "".join(
        f"<dependency><groupId>io.debezium</groupId><artifactId>{name}</artifactId><version>{VERSION}</version>"
        "</dependency>"
        for name in _ARTIFACTS
    )
    pom = (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>gridclock</groupId><artifactId>debezium-for-tests</artifactId><version>1</version>"
        f"<packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )
    try:
        return cached_class_path(pom, f"debezium-{VERSION}", f"Debezium {VERSION}")
    except BrokerError as error:
        pytest.skip(str(error))


@contextmanager
def captured_database() -> Iterator[Postgres]:
    """A PostgreSQL whose changes can be captured."""
    if programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with Postgres() as database:
        with database.connect() as connection:
            connection.execute("ALTER SYSTEM SET wal_level = logical")
        database.stop()
        database.start()
        yield database


@contextmanager
def engines(database: Postgres, settings: Mapping[str, Mapping[str, str]], directory: Path) -> Iterator[Engines]:
    """An engine for each name, which is the prefix of its topics, with these settings besides the usual ones."""
    version = java_version()
    if version is None or version < 17 or shutil.which("javac") is None:
        pytest.skip(f"Debezium's engine needs a JDK 17 (javac); found is Java {version}")
    files = []
    for name, own in settings.items():
        usual = {
            "name": name,
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
            "database.hostname": "127.0.0.1",
            "database.port": str(database.port),
            "database.user": "sink",
            "database.password": PASSWORD,
            "database.dbname": "results",
            "topic.prefix": name,
            "plugin.name": "pgoutput",
            "slot.name": name,
            "publication.name": name,
            "publication.autocreate.mode": "filtered",
        }
        files.append(directory / f"{name}.properties")
        files[-1].write_text("".join(f"{key}={value}\n" for key, value in {**usual, **own}.items()), "utf-8")
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", _class_path(), str(_PROGRAM), *map(str, files)]
    errors = directory / "debezium.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    with process:
        running = Engines(process, errors)
        try:
            yield running
        finally:
            process.kill()
            running.reader.join()
