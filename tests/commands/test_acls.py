"""``gridclock acls``: the permissions of each process, for a shell and for programs."""

from __future__ import annotations

import json
import shlex

import pytest

from streams.cli import run
from streams.kafka.acls import NEEDS


def test_rights_as_commands(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["acls", "send", "--user", "it's me", "--name", "city7"]) == 0
    words = shlex.split(capfd.readouterr().out)
    assert words == [
        "kafka-acls.sh", "--bootstrap-server", "$BOOTSTRAP", "--command-config", "${ADMIN_CONFIG:-admin.properties}",
        "--add", "--allow-principal", "User:it's me", "--operation", "Write", "--topic", "city7.events",
    ]  # fmt: skip


@pytest.mark.parametrize("process", sorted(NEEDS))
def test_rights_as_json(capfd: pytest.CaptureFixture[str], process: str) -> None:
    assert run(["acls", process, "--user", "u", "--json", "--source", "in.one", "--channel-topic", "out.copy"]) == 0
    permissions = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert permissions
    assert {permission["user"] for permission in permissions} == {"u"}
    written = {
        permission["name"]
        for permission in permissions
        if permission["resource"] == "topic" and "write" in permission["operations"]
    }
    assert written == {
        "run": {"gridclock.log", "gridclock-state-changelog", "gridclock.alerts", "gridclock.dead-letters"},
        "notify": {"gridclock.deliveries", "gridclock.undelivered", "out.copy"},
        "send": {"in.one"},
        "ack": {"gridclock.acks"},
        "dead-letters": {"gridclock.dead-letters", "gridclock.log", "in.one"},
    }.get(process, set())


def test_a_board_writes_acknowledgements_only_where_people_act_from_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDCLOCK_BOARD_TRUST_HEADER", "X-Forwarded-User")
    assert run(["acls", "board", "--user", "u", "--json"]) == 0
    permissions = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    written = [permission["name"] for permission in permissions if "write" in permission["operations"]]
    assert written == ["gridclock.acks"]


def test_an_unknown_process(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["acls", "walk", "--user", "u"]) == 2
    assert "'run'" in capfd.readouterr().err


def test_a_worker_that_writes_cases_writes_to_their_topic_too(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDCLOCK_CASES", "true")
    assert run(["acls", "run", "--user", "u", "--json"]) == 0
    permissions = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (found,) = [permission["operations"] for permission in permissions if permission["name"] == "gridclock.cases"]
    assert found == ["write"]
