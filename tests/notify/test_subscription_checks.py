"""What a file of subscriptions asks for that does harm or nothing is named before it goes live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import run
from streams.notify.subscription_files import load_subscriptions

ALERTMANAGER = {"kind": "alertmanager", "url": "http://HOST:9093"}
STEP = {"after": "1 h", "to": "city", "channels": "next"}
OWN = (
    "events", "log", "alerts", "cases", "acks", "deliveries", "undelivered", "dead-letters",
)  # fmt: skip


def written(
    directory: Path, channel: dict[str, Any], *, zone: str = "Asia/Shanghai", **subscription: Any
) -> tuple[str, Path]:
    """A file whose subscription ``one`` has the channel ``desk``; ``next`` is another one."""
    path = directory / "subscriptions.yaml"
    channels = {"desk": channel, "next": {"kind": "kafka", "topic": "next"}}
    one = {"name": "one", "channels": "desk", **subscription}
    path.write_text(json.dumps({"zone": zone, "channels": channels, "subscriptions": [one]}), "utf-8")
    return str(path), path


@pytest.mark.parametrize("topic", [*(f"gridclock.{name}" for name in OWN), "gridclock-state-changelog"])
@pytest.mark.parametrize(
    "words", [("subscriptions", "check"), ("subscriptions", "test", "one"), ("notify", "--subscriptions")]
)
def test_no_channel_writes_to_a_topic_of_the_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], topic: str, words: tuple[str, ...]
) -> None:
    path, _ = written(tmp_path, {"kind": "kafka", "topic": topic})
    assert run([*words, path, *(["--bootstrap", "127.0.0.1:9"] if words[1] != "check" else [])]) == 2
    assert f"{path}:1: channels.desk.topic: {topic} is a topic of this installation" in capsys.readouterr().err


def test_which_topics_are_its_own_is_a_matter_of_its_name_and_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = written(tmp_path, {"kind": "kafka", "topic": "gridclock.events"})
    monkeypatch.setenv("GRIDCLOCK_NAME", "city7")
    assert run(["subscriptions", "check", path]) == 0
    monkeypatch.setenv("GRIDCLOCK_SOURCES", "marketing.orders=map.yaml,gridclock.events")
    assert run(["subscriptions", "check", path]) == 2
    assert "is a topic of this installation (--name city7)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
@pytest.mark.parametrize("port", ["99999", "abc", "0", "-1"])
def test_a_port_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, port: str
) -> None:
    secret = {"secret": {"env": "DESK_SECRET"}} if kind == "webhook" else {}
    path, _ = written(tmp_path, {"kind": kind, "url": f"http://desk:{port}/", **secret})
    assert run(["subscriptions", "check", path]) == 2
    assert f"{path}:1: channels.desk.url: has a port that is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("channel", "key", "said"),
    [
        ({"url": "http://HOST:9093/api/v2/alerts"}, "url", "write its beginning"),
        ({"url": "http://HOST/am/api/v2"}, "url", "write its beginning"),
        ({"url": "http://HOST:9093/#/alerts"}, "url", "write its beginning"),
        ({"refresh": "2 h", "hold": "1 h"}, "hold", "is shorter than refresh"),
        ({"refresh": "2 h", "violation_hold": "1 h"}, "violation_hold", "is shorter than refresh"),
    ],
)
def test_an_alertmanager_that_cannot_do_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], channel: dict[str, Any], key: str, said: str
) -> None:
    path, file = written(tmp_path, ALERTMANAGER | channel)
    assert run(["subscriptions", "check", path]) == 2
    err = capsys.readouterr().err
    assert f"{path}:1: channels.desk.{key}: " in err
    assert said in err
    assert load_subscriptions(file).channels  # ``gridclock notify`` takes it as before


@pytest.mark.parametrize(
    "channel",
    [{"url": "https://HOST/alertmanager/"}, {"url": "http://HOST"}, {"refresh": "1 h", "hold": "1 h"}],
)
def test_an_alertmanager_in_order(tmp_path: Path, channel: dict[str, Any]) -> None:
    assert run(["subscriptions", "check", written(tmp_path, ALERTMANAGER | channel)[0]]) == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [("warning", 2), (["warning", "late_completion"], 2), (["warning", "breach"], 0), ("violation", 0)],
)
def test_what_never_goes_up_has_no_escalation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: object, code: int
) -> None:
    path, _ = written(tmp_path, ALERTMANAGER, match={"kind": kind}, escalate=[STEP])
    assert run(["subscriptions", "check", path]) == code
    assert ("subscriptions.0.escalate: never happens" in capsys.readouterr().err) == (code == 2)


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "posix/Asia/Shanghai"])
def test_a_zone_that_only_the_operating_system_has_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zone: str
) -> None:
    path, _ = written(tmp_path, ALERTMANAGER, zone=zone)
    assert run(["subscriptions", "check", path]) == 2
    assert "not a time zone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        (ALERTMANAGER | {"ca": "/no/such/file.pem"}, "channels.desk.ca: cannot read the certificates"),
        (
            {"kind": "webhook", "url": "http://desk/", "secret": {"env": "DESK_SECRET"}},
            "channels.desk.secret: begins with whsec_",
        ),
        ({"kind": "people", "url": {"env": "DESK_SECRET"}}, "channels.desk.url: is not an address"),
        (ALERTMANAGER | {"url": {"env": "DESK_SECRET"}}, "channels.desk.url: what DESK_SECRET holds is no address"),
    ],
)
def test_with_secrets_every_channel_is_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    channel: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setenv("DESK_SECRET", "whsec_*")
    path, _ = written(tmp_path, channel)
    assert run(["subscriptions", "check", path]) == 0
    assert run(["subscriptions", "check", path, "--secrets"]) == 2
    assert said in capsys.readouterr().err
