"""Every secret, by every way of giving it, with every command: honoured, and printed by none."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from streams.cli import gridclock, run
from streams.errors import BrokerError
from streams.settings import SECRETS
from streams.wire.pseudonyms import Pseudonyms
from tests.stories import wire

BROKER = "127.0.0.1:1"
SECRET = "a secret of sixteen characters and more"
SUBSCRIPTIONS = {
    "channels": {"copy": {"kind": "kafka", "topic": "copy"}},
    "subscriptions": [{"name": "all", "channels": "copy"}],
}
# The command lines that go to a broker; every command that takes --bootstrap stands here, or in WITHOUT.
WORDS: Mapping[str, tuple[str, ...]] = {
    "run": (),
    "replay": ("--topic", "t"),
    "explain": ("A1", "--topic", "t"),
    "send": ("EVENTS",),
    "feed": (),
    "map suggest": ("--topic", "t"),
    "map check": ("MAPPING", "--topic", "t"),
    "map preview": ("MAPPING", "--topic", "t"),
    "status": (),
    "alerts": (),
    "dead-letters list": (),
    "dead-letters show": ("0123456789abcdef",),
    "dead-letters retry": ("--all",),
    "topics create": (),
    "topics check": (),
    "board": (),
    "notify": ("--subscriptions", "SUBSCRIPTIONS"),
    "sink": ("--database", "postgresql://127.0.0.1:1/none"),
    "subscriptions test": ("all", "SUBSCRIPTIONS"),
    "ack": ("0123456789abcdef0123456789abcdef",),
    "acks": (),
}
WITHOUT = {"demo", "ops", "acls", "health"}
"""They start processes of their own, or speak to no broker."""


def lines_of(story: str) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in wire(story))


def leaves(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its words."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= leaves(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


def test_no_command_with_a_broker_is_missing_here() -> None:
    having = {
        name
        for name, command in leaves(gridclock).items()
        if any("--bootstrap" in option.opts for option in command.params)
    }
    assert having - WITHOUT == set(WORDS)


@pytest.fixture
def words_of(tmp_path: Path) -> Mapping[str, str]:
    events = tmp_path / "events.jsonl"
    events.write_bytes(lines_of("e1 2026-03-02T09:00 counter.service_started WO1 business=fee"))
    subscriptions = tmp_path / "subscriptions.yaml"
    subscriptions.write_text(json.dumps(SUBSCRIPTIONS), "utf-8")
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "{format: json, event_type: type, fields: {event_id: id, occurred_at: at, order_id: order}}", "utf-8"
    )
    return {"EVENTS": str(events), "SUBSCRIPTIONS": str(subscriptions), "MAPPING": str(mapping)}


def give(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, way: str) -> None:
    if way == "variable":
        monkeypatch.setenv(f"GRIDCLOCK_{name.upper()}", SECRET)
    else:
        file = folder / name
        file.write_text(f"{SECRET}\n", "utf-8")
        monkeypatch.setenv(f"GRIDCLOCK_{name.upper()}_FILE", str(file))


@pytest.mark.parametrize("way", ["variable", "file"])
@pytest.mark.parametrize("secret", ["sasl_password", "ssl_key_password"])
@pytest.mark.parametrize("name", WORDS)
def test_each_command_logs_in_with_the_secret(
    name: str,
    secret: str,
    way: str,
    words_of: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    used: list[Any] = []

    def check_login(options: Mapping[str, Any]) -> None:
        used.append(options.get("sasl_plain_password"))
        raise BrokerError("seen")

    monkeypatch.setattr("streams.kafka.authentication.check_login", check_login)
    # it would look for the broker as long as the tests run
    monkeypatch.setattr("streams.kafka.outage.Outage.keep_looking", lambda _self: None)
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda _self, _cert, _key, password: used.append(password))
    give(monkeypatch, tmp_path, secret, way)
    if secret == "sasl_password":
        monkeypatch.setenv("GRIDCLOCK_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        monkeypatch.setenv("GRIDCLOCK_SASL_USERNAME", "worker")
    else:
        monkeypatch.setenv("GRIDCLOCK_SECURITY_PROTOCOL", "SSL")
        monkeypatch.setenv("GRIDCLOCK_SSL_CERTFILE", str(tmp_path / "certificate"))
    words = [words_of.get(word, word) for word in (*name.split(), *WORDS[name])]
    assert run([*words, "--bootstrap", BROKER]) == 2
    assert SECRET in used
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err


OVERDUE = """
n 2026-03-01T17:00 disconnection.notice_delivered N1 account=1234567890 cause=arrears proof_ref=EMS1
x 2026-03-02T10:00 disconnection.performed D1 account=1234567890 cause=arrears customer_class=ordinary
p 2026-03-03T09:00 bill.paid - account=1234567890 amount=300 owing=false
"""


@pytest.mark.parametrize("way", ["variable", "file", "option"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_replay_writes_pseudonyms_however_the_key_is_given(
    way: str, jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events, out = (
        tmp_path / "events.jsonl",
        [tmp_path / name for name in ("alerts.jsonl", "cases.jsonl", "report.html")],
    )
    events.write_bytes(lines_of(OVERDUE))
    more = []
    if way == "option":
        (tmp_path / "key").write_text(SECRET, "utf-8")
        more = ["--pseudonym-key-file", str(tmp_path / "key")]
    else:
        give(monkeypatch, tmp_path, "pseudonym_key", way)
    named = ["--alerts", str(out[0]), "--cases", str(out[1]), "--report", str(out[2]), "--jobs", jobs]
    until = ["--until", "2026-03-09T00:00:00+08:00"]
    assert run(["replay", str(events), *named, *until, *more]) == 0
    shown = capsys.readouterr()
    written = "".join(path.read_text("utf-8") for path in out) + shown.out + shown.err
    pseudonym = Pseudonyms(SECRET.encode()).number("account", "1234567890")
    assert pseudonym in written
    assert "1234567890" not in written
    assert SECRET not in written


def test_every_secret_is_tried_above() -> None:
    tried_with_a_database = {"database_password"}  # tests/sink
    assert set(SECRETS) == {"sasl_password", "ssl_key_password", "pseudonym_key"} | tried_with_a_database
