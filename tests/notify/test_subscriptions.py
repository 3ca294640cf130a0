"""Files of subscriptions: what may stand in them, what is said where something is wrong, and who is meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from schemas.alerts import AlertEvent
from schemas.exporting import DIRECTORY
from schemas.subscriptions import Match, OrgMatch, Secret, SubscriptionFile
from streams.cli import gridclock, run
from streams.commands.subscriptions import test_alert as made_alert
from streams.core.matching import concerns
from streams.errors import ConfigError
from streams.notify.subscription_files import load_subscriptions, reveal
from streams.rulebooks.organisations import load_organisations
from tests.notify.alerts import START, alert
from tests.notify.receiver import receiver

EXAMPLE = Path(__file__).parents[2] / "deploy" / "subscriptions.example.yaml"

GOOD = """\
channels:
  desk:
    kind: webhook
    url: https://desk.example.com/hook
    secret: {env: DESK_SECRET}
  wall: {kind: kafka, topic: wall}
subscriptions:
  - name: all
    channels: [desk]
    quiet: {from: "22:00", to: "07:00"}
    escalate:
      - {after: 30 min, to: county, channels: wall}
"""


DESK = "    channels: [desk]\n"
ITEM = "subscriptions.0"


def written(folder: Path, text: str) -> Path:
    path = folder / "subscriptions.yaml"
    path.write_text(text, "utf-8")
    return path


ORGANISATIONS = """\
organisations:
  - {code: "3201", name: {zh: 南京公司, en: Nanjing}}
  - {code: U001, name: {zh: 鼓楼供电所, en: Gulou Station}}
  - {code: U002, name: {zh: 玄武供电所, en: Xuanwu}}
  - {code: U003, name: {zh: 玄武供电所, en: Xuanwu 2}}
"""


def test_a_subscription_names_an_organisation_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "organisations.yaml").write_text(ORGANISATIONS, "utf-8")
    names = load_organisations(rules)

    def matched(org: str) -> OrgMatch:
        text = GOOD.replace(DESK, f"{DESK}    match: {{org: {org}}}\n")
        return load_subscriptions(written(tmp_path, text), names).subscriptions[0].match.org

    assert matched("{city: Nanjing, unit: [鼓楼供电所, U002, U-999]}") == OrgMatch(
        city=("3201",), unit=("U001", "U002", "U-999")
    )
    for value, problem in (
        ("鼓楼供所", "organisation '鼓楼供所' is neither a name nor a known code; did you mean '鼓楼供电所'?"),
        ("玄武供电所", "organisation '玄武供电所' names U002, U003: write the code"),
        ("Gulou Sta", "organisation 'Gulou Sta' is neither a name nor a known code; did you mean 'Gulou Station'?"),
    ):
        with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
            matched(f"{{unit: {value}}}")
        assert caught.value.key == f"{ITEM}.match.org.unit"
        assert caught.value.line == 10
        assert run(["subscriptions", "check", str(tmp_path / "subscriptions.yaml"), "--rules", str(rules)]) == 2
        assert problem in capsys.readouterr().err


def test_the_example_is_in_order_and_fits_the_exported_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["subscriptions", "check", str(EXAMPLE)]) == 0
    out, err = capsys.readouterr()
    assert "6 channels, 3 subscriptions: in order" in out
    assert "environment variable GRIDCLOCK_DESK_SECRET is not set" in err
    assert run(["subscriptions", "check", str(EXAMPLE), "--secrets"]) == 2
    schema = json.loads((DIRECTORY / "subscriptions.json").read_text("utf-8"))
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text("utf-8")), schema)


def test_list_says_who_gets_what_and_when(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["subscriptions", "list", str(EXAMPLE)]) == 0
    lines = [re.sub(r" {2,}", "  ", line).strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "name 名称  what 内容  to 渠道  when 时间  then 升级",
        "operations-centre  breach/violation  alertmanager, desk  at once",
        "red-lines  breach/violation; red_line  wall  at once",
        "team-320102  warning/breach/violation; chapter W/F; county 320102  team-320102  "
        "every 15 min, red lines at once; not 22:00-07:00, red lines pass  "
        "30 min: county (county-320102); 120 min: city (city-3201)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("kind: webhook", "kind: pigeon", 2, "channels.desk", "pigeon"),
        ("secret: {env: DESK_SECRET}", "secret: hunter2", 5, "channels.desk.secret", "dictionary"),
        ("{env: DESK_SECRET}", "{env: A, file: b}", 5, "channels.desk.secret", "either env or file"),
        ("https://desk", "https://me:hunter2@desk", 4, "channels.desk.url", "is a secret"),
        ("com/hook", "com/hook?key=hunter2", 4, "channels.desk.url", "is a secret"),
        ("https://desk.example.com/hook", "desk", 4, "channels.desk.url", "is no address"),
        ("channels: [desk]", "channels: [dusk]", 9, "subscriptions.0.channels", "it has desk, wall"),
        ("channels: [desk]", "channels: []", 9, "subscriptions.0.channels", "at least 1"),
        ("channels: [desk]", "channel: [desk]", 8, "subscriptions.0.channels", "required"),
        ('"22:00"', "22:00", 10, "subscriptions.0.quiet.from", "in quotes"),
        ('"22:00"', '"24:00"', 10, "subscriptions.0.quiet.from", "time of day"),
        ('"07:00"', '"22:00"', 10, "subscriptions.0.quiet", "the same"),
        ("30 min", "30", 12, "subscriptions.0.escalate.0.after", "length of time"),
        ("30 min", "0 min", 12, "subscriptions.0.escalate.0.after", "length of time"),
        ("to: county", "to: moon", 12, "subscriptions.0.escalate.0.to", "'province'"),
        ("channels: wall", "channels: desk", 12, "subscriptions.0.escalate.0.channels", "has got the alert already"),
        ("name: all", "name: All", 8, "subscriptions.0.name", "pattern"),
        (DESK, DESK + "    template: '{secret}'\n", 10, f"{ITEM}.template", "not known"),
        (DESK, DESK + "    template: '{rule.x}'\n", 10, f"{ITEM}.template", "not known"),
        (DESK, DESK + "    template: '{rule!r}'\n", 10, f"{ITEM}.template", "no format"),
        (DESK, DESK + "    template: '{rule'\n", 10, f"{ITEM}.template", "no template"),
        (DESK, DESK + "    digest: 90 s\n", 10, f"{ITEM}.digest.every", "whole minutes"),
        (DESK, DESK + "    channels: [wall]\n", 10, "channels", "twice"),
        (DESK, DESK + "    match: {kind: retraction}\n", 10, f"{ITEM}.match.kind.0", "'warning'"),
        ("channels:\n  desk", "zone: Mars\nchannels:\n  desk", 1, "zone", "not a time zone"),
        ("subscriptions:", "subscriptions: [", 8, None, "not YAML"),
        ("channels:\n", "channels:\n  A b: text\n", 2, "channels.A b.[key]", "pattern"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, key: str | None, says: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=says) as caught:
        load_subscriptions(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert caught.value.key == key
    assert not any("hunter2" in str(problem) for problem in (caught.value, *caught.value.others))


def test_steps_come_later_and_later(tmp_path: Path) -> None:
    text = GOOD.replace("wall: {kind", "roof: {kind: kafka, topic: roof}\n  wall: {kind")
    path = written(tmp_path, text + "      - {after: 20 min, to: city, channels: roof}\n")
    with pytest.raises(ConfigError, match=r":14: subscriptions\.0\.escalate\.1\.after: comes no later"):
        load_subscriptions(path)


def test_a_rule_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GOOD.replace("channels: [desk]", "channels: [desk]\n    match: {rule: fee-5-minuts}"))
    assert run(["subscriptions", "check", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}:10: subscriptions.0.match.rule: 'fee-5-minuts' is not a rule" in err
    assert "did you mean 'fee-5-minutes'" in err


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"rule": "fee-5-minutes"}, True),
        ({"rule": ["power-20-minutes"]}, False),
        ({"chapter": ["B", "W"]}, True),
        ({"chapter": "B"}, False),
        ({"severity": "norm"}, True),
        ({"severity": "red_line"}, False),
        ({"kind": "violation"}, False),
        ({"org": {"city": "3201"}}, True),
        ({"org": {"city": ["3201", "3205"], "county": "320102"}}, True),
        ({"org": {"city": "3201", "county": "320103"}}, False),
        ({"org": {"unit": "U002"}}, False),
        ({"subject": {"type": "order"}}, True),
        ({"subject": {"type": ["meter", "account"]}}, False),
        ({"subject": {"id": "WO*"}}, True),
        ({"subject": {"id": "WO"}}, False),
        ({"subject": {"id": ["A1", "WO1"]}}, True),
    ],
)
def test_who_is_meant(match: dict[str, Any], fits: bool) -> None:
    assert concerns(Match.model_validate(match), alert("b1")["data"]) is fits


def test_an_alert_without_org_belongs_to_no_subtree() -> None:
    data = {**alert("b1")["data"], "org": None}
    assert concerns(Match(), data)
    assert not concerns(Match.model_validate({"org": {"province": "32"}}), data)


def test_secrets_come_from_the_environment_or_a_file_and_are_not_shown(tmp_path: Path) -> None:
    file = written(tmp_path, "hunter2\n")
    found = [
        reveal(Secret(env="DESK"), key="k", environment={"DESK": "hunter2"}),
        reveal(Secret(file=str(file)), key="k"),
    ]
    assert [secret.get_secret_value() for secret in found] == ["hunter2"] * 2
    assert "hunter2" not in repr(found) + str(found)
    for secret in (Secret(env="DESK"), Secret(file=str(tmp_path / "absent")), Secret(file=str(written(tmp_path, "")))):
        with pytest.raises(ConfigError):
            reveal(secret, key="k", environment={"DESK": " "})


def test_a_test_alert_is_marked_and_reaches_the_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_SECRET", "hunter2")
    with receiver([200, 500]) as hook:
        text = GOOD.replace("https://desk.example.com/hook", hook.url)
        path = str(written(tmp_path, text))
        first = CliRunner().invoke(gridclock, ["subscriptions", "test", "all", path], standalone_mode=False)
        second = CliRunner().invoke(gridclock, ["subscriptions", "test", "all", path], standalone_mode=False)
    assert (first.return_value, first.output) == (0, "desk: test alert delivered\n")
    assert (second.return_value, second.output) == (1, "desk: server_error: HTTP 500\n")
    sent = json.loads(hook.received[0].body)
    assert hook.received[0].headers["gridclock-test"] == "true"
    assert (sent["source"], sent["data"]["title"]["zh"]) == ("gridclock/test", "测试告警")


def test_a_test_alert_is_an_alert_that_its_subscription_asks_for() -> None:
    file: SubscriptionFile = load_subscriptions(EXAMPLE)
    for item in file.subscriptions:
        event = made_alert(item, START)
        AlertEvent.model_validate(event)
        assert concerns(item.match, event["data"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ack", "nonsense"], "alert_id"),
        (["ack", "0" * 32, "--annotate"], "--annotate needs a --note"),
        (["ack", "0" * 32, "--assign", "D7", "--silence", "1 h"], "are three actions: give one at a time"),
        (["ack", "0" * 32, "--assign", ""], "to: string should have at least 1 character"),
        (["ack", "0" * 32, "--assign", "x" * 101], "to: string should have at most 100 characters"),
        (["ack", "0" * 32, "--silence", "soon"], "'soon' is no length of time; write for example 30 s"),
        (["ack", "0" * 32, "--silence", "8 days"], "a silence lasts at most 7 days"),
        (["ack", "0" * 32, "--note", "x" * 501], "note"),
        (["ack", "0" * 32, "--note", "a\nb"], "note"),
        (["ack", "0" * 32, "--by", "D1"], "no broker given"),
        (["acks"], "no broker given"),
        (["notify"], "--subscriptions"),
        (["notify", "--subscriptions", str(EXAMPLE)], "no broker given"),
        (["notify", "--subscriptions", "absent.yaml"], "absent.yaml: cannot be read"),
        (["subscriptions", "test", "nobody", str(EXAMPLE)], "the file has operations-centre"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert run(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("match", "key", "said"),
    [
        ({"rule": "survey-on-time"}, "rule", "'survey-on-time' is not enabled in this rulebook"),
        ({"rule": "fee-5-minutes", "chapter": "F"}, "chapter", "chapter F is that of no such rule; here it is W"),
        ({"rule": "fee-5-minutes", "severity": "red_line"}, "severity", "here it is norm"),
        ({"chapter": "R", "subject": {"type": "batch"}, "severity": "red_line"}, "subject.type", "subject type batch"),
        ({"org": {"city": "32*"}}, "org.city", "'32*' is never the code"),
        ({"org": {"county": ["320102", "320103 "]}}, "org.county", "'320103 ' is never the code"),
        ({"org": {"unit": ""}}, "org.unit", "'' is never the code"),
        ({"subject": {"id": "WO*1"}}, "subject.id", "'WO*1' is never the id"),
        ({"subject": {"id": ["*", ""]}}, "subject.id", "'' is never the id"),
    ],
)
def test_a_filter_that_never_matches_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], match: dict[str, Any], key: str, said: str
) -> None:
    channels = {"desk": {"kind": "kafka", "topic": "desk"}}
    path = tmp_path / "subscriptions.yaml"
    one = {"name": "one", "channels": "desk", "match": match}
    path.write_text(json.dumps({"channels": channels, "subscriptions": [one]}), "utf-8")
    assert run(["subscriptions", "check", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}:1: subscriptions.0.match.{key}: " in err
    assert said in err


@pytest.mark.parametrize(
    "match",
    [
        {"rule": ["fee-5-minutes", "whole-connection"], "chapter": ["B", "F"], "severity": "red_line"},
        {"chapter": "W", "kind": "warning", "subject": {"type": ["order", "meter"], "id": ["WO1*", "*"]}},
        {"org": {"city": "3201", "unit": "U 1"}},
    ],
)
def test_a_filter_that_may_match_is_in_order(tmp_path: Path, match: dict[str, Any]) -> None:
    channels = {"desk": {"kind": "kafka", "topic": "desk"}}
    path = tmp_path / "subscriptions.yaml"
    one = {"name": "one", "channels": "desk", "match": match}
    path.write_text(json.dumps({"channels": channels, "subscriptions": [one]}), "utf-8")
    assert run(["subscriptions", "check", str(path)]) == 0
