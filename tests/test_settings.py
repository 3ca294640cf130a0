"""Settings: flags before environment before defaults, checked once, printed without secrets."""

from __future__ import annotations

import json
import os
import re
import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest

from streams.cli import run
from streams.engine import VARIABLE
from streams.errors import ConfigError
from streams.kafka.brokers import FORCE
from streams.kafka.topics import topics_of
from streams.live.local_store import directory_of
from streams.settings import SECRETS, Settings, load_settings, misspelled, revealed

ROOT = Path(__file__).resolve().parent.parent


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
        ("keep_days", "inf"),
        ("keep_days", 1e12),
        ("retention_days", "inf"),
        ("retention_days", 1e300),
        ("acks_days", "inf"),
        ("clock_speed", "inf"),
        ("memory", "99999999999G"),
        ("grace_ms", 10**20),
        ("tick_ms", 10**14),
        ("batch", 10**14),
        ("fetch_wait_ms", 120_000),
        ("max_ahead_s", 10**17),
        ("metrics_host", ""),
        ("metrics_host", " "),
        ("board_host", ""),
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


def test_the_longest_times_can_be_counted_with() -> None:
    settings = load_settings(keep_days=365_000, retention_days=365_000, acks_days=365_000, max_ahead_s=31_536_000_000)
    assert settings.keep_for == 365_000 * 86_400 * 1_000_000
    assert (settings.max_ahead_s * 1_000_000 + settings.keep_for) < 2**63  # microseconds in the native engine
    assert topics_of(settings)[0].retention_ms == 365_000 * 86_400 * 1000


def test_every_wrong_setting_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(partitions=0, store="sqlite")
    assert [problem.key for problem in (caught.value, *caught.value.others)] == ["partitions", "store"]


SASL = {"security_protocol": "SASL_SSL", "sasl_username": "clerk"}
SECRET = "hunter2-hunter2-hunter2"


def texts_of(settings: Settings) -> list[str]:
    return [json.dumps(settings.shown()), repr(settings), str(settings), f"{settings.model_dump()}"]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n", "utf-8")
    others = {**SASL, "sasl_password": "x"} if name != "sasl_password" else dict(SASL)
    for given, variable in (
        ({name: SECRET}, None), ({f"{name}_file": path}, None), ({}, (name, SECRET)), ({}, (f"{name}_file", str(path))),
    ):  # fmt: skip
        with monkeypatch.context() as environment:
            if variable is not None:
                environment.setenv(f"GRIDCLOCK_{variable[0].upper()}", variable[1])
            settings = load_settings(**others, **given)
            assert revealed(getattr(settings, name)) == SECRET
            assert [text for text in texts_of(settings) if "hunter2" in text] == []


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_not_shown_when_it_is_wrong_either(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(**{name: [SECRET]})
    assert (caught.value.key, "hunter2" in "".join(traceback.format_exception(caught.value))) == (name, False)


def test_a_short_key_of_pseudonyms_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hunter2\n", "utf-8")
    for given in ({"pseudonym_key": "hunter2"}, {"pseudonym_key_file": path}):
        with pytest.raises(ConfigError) as caught:
            load_settings(**given)
        assert caught.value.key == "pseudonym_key"
        assert "16" in str(caught.value)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_files_of_secrets_that_are_none(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n", "utf-8")
    binary.write_bytes(b"hunter2\xff")
    for path, said in (
        (empty, "is empty"),
        (binary, "is no UTF-8"),
        (tmp_path / "none", "cannot be read: No such file"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(**SASL, sasl_password_file=path)
        assert str(caught.value).startswith(f"{path}: sasl_password_file: ")
        assert said in str(caught.value)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", [name for name in SECRETS if name != "pseudonym_key"])
def test_a_password_in_a_variable_is_read_as_one_in_a_file(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    monkeypatch.setenv(f"GRIDCLOCK_{name.upper()}", f" {SECRET} {end}")
    assert revealed(getattr(load_settings(), name)) == f" {SECRET} "


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_key_with_a_line_break_would_give_other_pseudonyms_than_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str
) -> None:
    (tmp_path / "key").write_bytes(f"{SECRET}{end}".encode())
    assert load_settings(pseudonym_key_file=tmp_path / "key").pseudonyms == SECRET.encode()
    monkeypatch.setenv("GRIDCLOCK_PSEUDONYM_KEY", f"{SECRET}{end}")
    with pytest.raises(ConfigError, match="GRIDCLOCK_PSEUDONYM_KEY: pseudonym_key: a secret: ends with a line") as told:
        load_settings()
    assert "hunter2" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GRIDCLOCK_PSEUDONYM_KEYFILE", "GRIDCLOCK_PSEUDONYM_KEY_FILE"),
        ("GRIDCLOCK_PSEUDONYMS_KEY", "GRIDCLOCK_PSEUDONYM_KEY"),
        ("GRIDCLOCK_SOURCE", "GRIDCLOCK_SOURCES"),
        ("GRIDCLOCK_RULE", "GRIDCLOCK_RULES"),
        ("GRIDCLOCK_KEEPDAYS", "GRIDCLOCK_KEEP_DAYS"),
        ("GRIDCLOCK_GRACE", "GRIDCLOCK_GRACE_MS"),
        ("gridclock_partition", "GRIDCLOCK_PARTITIONS"),
    ],
)
def test_a_misspelled_variable_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, meant: str
) -> None:
    monkeypatch.setattr("streams.settings._named", set())
    monkeypatch.setenv(variable, "hunter2")
    load_settings()
    load_settings()
    told = capsys.readouterr()
    assert told.err == f"gridclock: {variable} is no setting and is ignored: is {meant} meant?\n"
    assert told.out == ""


def test_what_is_no_misspelled_setting_is_not_named() -> None:
    """Options and scripts have variables, subscriptions name their own, Kubernetes adds some for its services."""
    own = ("TEAM_SECRET", "DESK_SECRET", "BOARD_SERVICE_HOST", "BOARD_SERVICE_PORT", "BOARD_PORT_80_TCP", "")
    scripts = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file() and path.suffix not in (".png", ".pyc")
    )
    used = set(re.findall(r"GRIDCLOCK_[A-Z_]*[A-Z]\b", scripts))
    assert {"GRIDCLOCK_OPS", "GRIDCLOCK_RULES", "GRIDCLOCK_WEBHOOK_SECRET"} < used
    assert misspelled(dict.fromkeys([*used, FORCE, VARIABLE, *(f"GRIDCLOCK_{name}" for name in own)], "")) == {}


def test_a_secret_given_twice(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET, "utf-8")
    with pytest.raises(ConfigError, match="pseudonym_key: give pseudonym_key or pseudonym_key_file, not both"):
        load_settings(pseudonym_key=SECRET, pseudonym_key_file=tmp_path / "key")


@pytest.mark.parametrize("missing", ["sasl_username", "sasl_password"])
def test_who_logs_in_needs_a_name_and_a_password(missing: str) -> None:
    given = {**SASL, "sasl_password": SECRET}
    del given[missing]
    with pytest.raises(ConfigError, match=f"{missing}: SASL_SSL needs it"):
        load_settings(**given)


def test_what_a_client_is_told(tmp_path: Path) -> None:
    plain = load_settings(bootstrap="a:1,b:2").kafka_python()
    assert plain == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    secure = load_settings(bootstrap="a:1", **SASL, sasl_password="p").kafka_python()
    context = secure.pop("ssl_context")
    assert secure == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "clerk",
        "sasl_plain_password": "p",
    }
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("name", ["ssl_cafile", "ssl_certfile"])
def test_certificates_that_are_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "wrong.pem").write_text("no certificate", "utf-8")
    for path, said in (("none.pem", "cannot be read: No such file or directory"), ("wrong.pem", "is not such a file")):
        settings = load_settings(security_protocol="SSL", **{name: tmp_path / path})
        with pytest.raises(ConfigError) as caught:
            settings.kafka_python()
        assert str(caught.value).startswith(f"{tmp_path / path}: {name}: {said}")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    settings = load_settings(bootstrap="127.0.0.1:1", name="city", data_dir=tmp_path / "deep" / "state")
    assert directory_of(settings) == tmp_path / "deep" / "state" / "city"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data_dir: .*/file/gridclock cannot be made: Not a directory"):
        directory_of(load_settings(bootstrap="127.0.0.1:1", data_dir=tmp_path / "file"))


def test_a_source_may_have_any_name_that_kafka_takes() -> None:
    longest = "_" + "a" * 248
    assert load_settings(bootstrap="h:1", sources=(longest, "b.c-d=map.yaml")).source_topics == (longest, "b.c-d")
    for wrong in ("a" * 250, "a b", "工单", ""):
        with pytest.raises(ConfigError, match="is not a topic's name"):
            load_settings(bootstrap="h:1", sources=(wrong,))


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]
)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_path_is_not_the_working_directory(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    variable = f"GRIDCLOCK_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"environment variable {variable}: {name}: .*is empty: name a file"):
        load_settings()
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigError, match=f"settings: {name}: .*is empty"):
        load_settings(**{name: value})


def test_an_empty_directory_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--bootstrap", "127.0.0.1:9", "--data-dir", ""]) == 2
    assert "data_dir: '': is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("a:1, b:2 ,", "a:1,b:2"),
        ("kafka", "kafka:9092"),
        ("[::1]:9093,[fe80::1%eth0]", "[::1]:9093,[fe80::1%eth0]:9092"),
        (" , ", ""),
    ],
)
def test_addresses_of_brokers(given: str, taken: str) -> None:
    assert load_settings(bootstrap=given).bootstrap == taken


@pytest.mark.parametrize(
    "given", ["a:1,kafka://b:2", "a:99999", "a:0", "a:abc", "a:1;b:2", "a:1 b:2", "user@a:1", "a:", "::1"]
)
def test_what_is_no_address_of_brokers(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", given)
    with pytest.raises(
        ConfigError, match=r"environment variable KAFKA_BOOTSTRAP_SERVERS: bootstrap: .*is no broker's address"
    ):
        load_settings()


@pytest.mark.parametrize("empty", ["sasl_username", "sasl_password"])
def test_who_logs_in_needs_more_than_an_empty_name_and_password(empty: str) -> None:
    given = {"sasl_username": "u", "sasl_password": "p", "security_protocol": "SASL_SSL"} | {empty: ""}
    with pytest.raises(ConfigError, match=f"{empty}: SASL_SSL needs it"):
        load_settings(**given)
