"""Channels against real servers on loopback: what they send, and what they make of every kind of failure."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from schemas.base import Text
from schemas.organisations import Organisation
from schemas.subscriptions import Retries, SubscriptionFile
from streams.core.delivery_message import Delivery
from streams.core.notices import NO_NAMES, Names
from streams.errors import ConfigError
from streams.kafka.java_broker import free_ports
from streams.notify.channels.contract import NotDelivered
from streams.notify.metrics import NotifyMetrics
from streams.notify.process import channels_of
from streams.notify.sending import Outcome, Sender, pause_us
from streams.wall_clock import WallClock
from tests.notify.alerts import START, alert, id_of
from tests.notify.receiver import CUT, HANG, Receiver, receiver

SECRET = "a secret of the desk"
ONE = Delivery("hook", "all", id_of("b1"), (alert("b1"),), START)
TWO = Delivery("hook", "all", "digest-1", (alert("b1"), alert("b2", case="c2")), START)
FAST = Retries().model_copy(update={"attempts": 4, "first": 10_000, "longest": 20_000, "timeout": 700_000})


def hurried(file: SubscriptionFile) -> SubscriptionFile:
    """With pauses shorter than a file may ask for."""
    channels = {name: one.model_copy(update={"retries": FAST}) for name, one in file.channels.items()}
    return file.model_copy(update={"channels": channels})


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_SECRET", SECRET)


def webhook_file(url: str, **more: Any) -> SubscriptionFile:
    channel = {"kind": "webhook", "url": url, "secret": {"env": "DESK_SECRET"}, **more}
    one = {"name": "all", "channels": "hook", "language": "both"}
    return hurried(SubscriptionFile.model_validate({"channels": {"hook": channel}, "subscriptions": [one]}))


def deliver(
    file: SubscriptionFile, delivery: Delivery, names: Names = NO_NAMES, *, test: bool = False
) -> NotDelivered | None:
    """One attempt."""

    async def attempt() -> NotDelivered | None:
        channel = channels_of(file, None, names=names)[delivery.channel]
        try:
            await channel.deliver(delivery, test=test)
        except NotDelivered as problem:
            return problem
        finally:
            await channel.close()
        return None

    return asyncio.run(attempt())


def send(file: SubscriptionFile, *deliveries: Delivery) -> list[Outcome]:
    """With the retries of the file, until something has become of all."""

    async def work() -> list[Outcome]:
        done: list[Outcome] = []
        finished = asyncio.Event()

        def on_done(outcome: Outcome) -> None:
            done.append(outcome)
            if len(done) == len(deliveries):
                finished.set()

        sender = Sender(
            "hook",
            channels_of(file, None)["hook"],
            file.channels["hook"].retries,
            metrics=NotifyMetrics(("hook",)),
            on_done=on_done,
            wanted=lambda delivery: None if delivery.key == "moot" else delivery,
            standing=lambda hold: (),
        )
        for delivery in deliveries:
            sender.put(delivery)
        running = asyncio.create_task(sender.run())
        await asyncio.wait_for(finished.wait(), 60)
        sender.stop()
        await running
        await sender.close()
        return done

    return asyncio.run(work())


# --- webhook --------------------------------------------------------------------------------------------


def test_a_webhook_is_signed_and_carries_the_alert_s_id() -> None:
    with receiver() as hook:
        assert deliver(webhook_file(f"{hook.url}/alerts"), ONE) is None
    (got,) = hook.received
    assert got.path == "/alerts"
    assert json.loads(got.body) == ONE.events[0]
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert got.headers["idempotency-key"] == ONE.events[0]["data"]["alert_id"]
    stamp = got.headers["webhook-timestamp"]
    assert got.headers["webhook-id"] == ONE.key
    signed = f"{ONE.key}.{stamp}.".encode() + got.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, "sha256").digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    old = "v1=" + hmac.new(SECRET.encode(), stamp.encode() + b"." + got.body, "sha256").hexdigest()
    assert (got.headers["gridclock-timestamp"], got.headers["gridclock-signature"]) == (stamp, old)
    assert "gridclock-test" not in got.headers


def test_a_digest_is_a_batch_and_a_test_says_so() -> None:
    with receiver() as hook:
        assert deliver(webhook_file(hook.url), TWO, test=True) is None
    (got,) = hook.received
    assert json.loads(got.body) == list(TWO.events)
    assert got.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert (got.headers["idempotency-key"], got.headers["gridclock-test"]) == ("digest-1", "true")


@pytest.mark.parametrize(
    ("answer", "reason", "again"),
    [
        (500, "server_error", True),
        (503, "server_error", True),
        (408, "server_error", True),
        (429, "rate_limited", True),
        (501, "server_error", True),
        (520, "server_error", True),
        (525, "server_error", True),
        (530, "server_error", True),
        (599, "server_error", True),
        (400, "refused", False),
        (401, "refused", False),
        (410, "refused", False),
        (404, "refused", False),
        (301, "refused", False),
        (308, "refused", False),
        (302, "refused", True),
        (303, "refused", True),
        (307, "refused", True),
        (CUT, "unreachable", True),
        (HANG, "timeout", True),
    ],
)
def test_what_a_webhook_answers_decides_whether_it_is_tried_again(answer: int, reason: str, again: bool) -> None:
    with receiver([answer]) as hook:
        problem = deliver(webhook_file(hook.url), ONE)
        assert len(hook.received) == 1, "a redirect was followed"
    assert problem is not None
    assert (problem.reason, problem.again) == (reason, again)
    assert problem.wait_us == (1_000_000 if answer == 429 else 0)
    assert hook.url not in str(problem)


DATE = "Sun, 01 Mar 2026 09:00:00 GMT"


@pytest.mark.parametrize("answer", [429, 503, 500, 520, 302, 408])
@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("Sun, 01 Mar 2026 09:01:30 GMT", 90),
        ("Sunday, 01-Mar-26 09:01:30 GMT", 90),
        ("Sun Mar  1 09:01:30 2026", 90),
        ("Sun, 01 Mar 2026 08:00:00 GMT", 0),
        ("-5", 0),
        ("1.5", 0),
        ("9" * 5000, 0),
        ("soon", 0),
        ("Sun, 99 Mar 2026 09:01:30 GMT", 0),
        ("Sun, 01 Mar 0000 09:01:30 GMT", 0),
        ("", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(answer: int, asked: str, seconds: int) -> None:
    """A date is later than the receiver's own ``Date`` by what it means, whatever its clock shows."""
    with receiver([answer]) as hook:
        hook.retry_after, hook.date = {answer: asked}, DATE
        problem = deliver(webhook_file(hook.url), ONE)
    assert problem is not None
    assert (problem.again, problem.wait_us) == (True, seconds * 1_000_000)


def test_a_date_without_the_receiver_s_own_counts_from_now() -> None:
    until = formatdate(WallClock().now() // 1_000_000 + 3600, usegmt=True)
    with receiver([503]) as hook:
        hook.retry_after, hook.date = {503: until}, "never"
        problem = deliver(webhook_file(hook.url), ONE)
    assert problem is not None
    assert 3590_000_000 < problem.wait_us <= 3600_000_000


def test_an_answer_that_is_no_use_to_repeat_asks_for_no_pause() -> None:
    with receiver([400]) as hook:
        hook.retry_after = {400: "120"}
        problem = deliver(webhook_file(hook.url), ONE)
    assert problem is not None
    assert (problem.again, problem.wait_us) == (False, 0)


def test_nobody_there_is_unreachable() -> None:
    (port,) = free_ports(1)
    problem = deliver(webhook_file(f"http://127.0.0.1:{port}"), ONE)
    assert problem is not None
    assert (problem.reason, problem.again) == ("unreachable", True)
    assert str(port) not in str(problem)


def test_a_slow_answer_is_an_answer() -> None:
    with receiver(slow=0.3) as hook:
        assert deliver(webhook_file(hook.url), ONE) is None


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1 in one file, signed by nobody but itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", file, "-out", file.with_suffix(".crt"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    with file.open("ab") as both:
        both.write(file.with_suffix(".crt").read_bytes())
    return file


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(certificate: Path) -> None:
    with receiver(certificate=certificate) as hook:
        problem = deliver(webhook_file(hook.url), ONE)
        assert problem is not None
        assert problem.reason == "tls"
        assert hook.received == []
        assert deliver(webhook_file(hook.url, ca=str(certificate.with_suffix(".crt"))), ONE) is None
        assert len(hook.received) == 1


def test_tls_where_none_is_spoken_is_an_error() -> None:
    with receiver() as hook:
        problem = deliver(webhook_file(hook.url.replace("http://", "https://")), ONE)
    assert problem is not None
    assert problem.reason == "tls"


# --- retries --------------------------------------------------------------------------------------------


def test_it_is_tried_again_with_the_same_key_until_it_is_taken() -> None:
    with receiver([503, CUT, HANG]) as hook:
        (outcome,) = send(webhook_file(hook.url), ONE)
    assert (outcome.problem, outcome.attempts) == (None, 4)
    assert {got.headers["idempotency-key"] for got in hook.received} == {ONE.key}
    assert {got.body for got in hook.received} == {hook.received[0].body}


def test_it_is_given_up_after_the_last_attempt_and_the_next_is_sent() -> None:
    with receiver([500] * 4) as hook:
        first, second = send(webhook_file(hook.url), ONE, TWO)
    assert first.problem is not None
    assert (first.problem.reason, first.attempts) == ("server_error", 4)
    assert (second.problem, second.attempts) == (None, 1)
    assert [got.headers["idempotency-key"] for got in hook.taken()] == ["digest-1"]


def test_what_has_lost_its_sense_is_not_sent() -> None:
    with receiver() as hook:
        moot = Delivery("hook", "all", "moot", (alert("x"),), START)
        outcomes = send(webhook_file(hook.url), moot, ONE)
    assert [outcome.moot for outcome in outcomes] == [True, False]
    assert [got.headers["idempotency-key"] for got in hook.received] == [ONE.key]


def test_pauses_double_up_to_the_longest_and_are_derived() -> None:
    retries = Retries.model_validate({"first": "1 s", "longest": "1 min"})
    second = 1_000_000
    for attempt, whole in ((1, 1), (2, 2), (3, 4), (7, 60), (80, 60)):
        pause = pause_us(retries, "hook/a", attempt)
        assert whole * second / 2 <= pause <= whole * second
        assert pause == pause_us(retries, "hook/a", attempt)
    assert len({pause_us(retries, f"hook/{number}", 5) for number in range(50)}) == 50


# --- people ---------------------------------------------------------------------------------------------


def people_file(**more: Any) -> SubscriptionFile:
    channel, one = {"kind": "people", "url": {"env": "TEAM_URL"}}, {"name": "all", "channels": "team", **more}
    return hurried(SubscriptionFile.model_validate({"channels": {"team": channel}, "subscriptions": [one]}))


def apprise_url(hook: Receiver) -> str:
    return hook.url.replace("http://", "json://") + "/robot?token=very-secret"


@pytest.mark.parametrize(
    ("language", "title", "body"),
    [
        ("zh", "供电服务时限：超时", "【超时】收费业务5分钟办结（W-S5，严格遵守）：WO1 超时。"),
        (
            "en",
            "Service time limit: Breach",
            "[Breach] Fee collected within 5 minutes (W-S5, norm): WO1 ran out.",
        ),
        (
            "both",
            "供电服务时限：超时 / Service time limit: Breach",
            "【超时】收费业务5分钟办结（W-S5，严格遵守）：WO1 超时。\n"
            "[Breach] Fee collected within 5 minutes (W-S5, norm): WO1 ran out.",
        ),
    ],
)
def test_people_read_a_sentence_in_their_language(
    monkeypatch: pytest.MonkeyPatch, language: str, title: str, body: str
) -> None:
    with receiver() as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        assert deliver(people_file(language=language), Delivery("team", "all", "k", ONE.events, START)) is None
    (got,) = hook.received
    sent = json.loads(got.body)
    assert (sent["title"], sent["message"], sent["type"]) == (title, body, "warning")


def test_people_read_a_digest_an_escalation_and_their_own_template(monkeypatch: pytest.MonkeyPatch) -> None:
    file = people_file(language="zh", template="{level}|{order_id}|{city}|{deadline}|{explanation}")
    with receiver() as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        later = alert("b0", at=START - 60_000_000, subject=("order", "WO0"))
        assert deliver(file, Delivery("team", "all", "k", (ONE.events[0], later), START)) is None
        assert deliver(file, Delivery("team", "all", "k", ONE.events, START, level="county"), test=True) is None
    digest, escalated = (json.loads(got.body) for got in hook.received)
    assert digest["title"] == "供电服务时限：2 条告警"
    assert digest["message"] == (
        "|WO0|3201|2026-03-02T13:59:00.000+08:00|WO0 超时。\n|WO1|3201|2026-03-02T14:00:00.000+08:00|WO1 超时。"
    )
    assert escalated["title"] == "【测试 TEST】供电服务时限：超时"
    assert escalated["message"].startswith("【测试 TEST】【升级至县】县|WO1|3201|")


def test_people_read_that_an_alert_may_be_wrong_whatever_their_template(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = alert("b0", subject=("order", "WO0"))
    doubtful["data"]["incomplete"] = True
    with receiver() as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        file = people_file(language="both", template="{explanation}")
        assert deliver(file, Delivery("team", "all", "k", (doubtful, *ONE.events), START)) is None
    (got,) = hook.received
    assert json.loads(got.body)["message"] == (
        "【数据不全，请先核实】WO0 超时。\n[records of its time were lost: check it first] WO0 ran out.\n"
        "WO1 超时。\nWO1 ran out."
    )


def test_people_read_names_of_organisations_and_codes_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"3201": named("3201", "南京\n公司", "Nanjing"), "U001": named("U001", "鼓楼供电所", "Gulou")}
    with receiver() as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        delivery = Delivery("team", "all", "k", (*ONE.events, alert("b9", org={}, subject=("order", "WO9"))), START)
        assert deliver(people_file(language="both"), delivery, names) is None
        assert deliver(people_file(template="{unit}|{county}|{place}|{explanation}"), delivery, names) is None
        assert deliver(people_file(template="{unit}|{county}|{place}"), delivery) is None
    assert [json.loads(got.body)["message"].splitlines() for got in hook.received] == [
        [
            "【超时】南京 公司 / 320102 / 鼓楼供电所：收费业务5分钟办结（W-S5，严格遵守）：WO1 超时。",
            "[Breach] Nanjing / 320102 / Gulou: Fee collected within 5 minutes (W-S5, norm): WO1 ran out.",
            "【超时】收费业务5分钟办结（W-S5，严格遵守）：WO9 超时。",
            "[Breach] Fee collected within 5 minutes (W-S5, norm): WO9 ran out.",
        ],
        ["鼓楼供电所|320102|南京 公司 / 320102 / 鼓楼供电所|WO1 超时。", "|||WO9 超时。"],
        ["U001|320102|3201 / 320102 / U001", "||"],
    ]


def named(code: str, zh: str, en: str) -> Organisation:
    """Not checked: what is loaded from a file has no line break."""
    return Organisation.model_construct(code=code, name=Text(zh=zh, en=en))


def test_a_text_too_long_for_the_service_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [f"WO{number:03d}" for number in range(100)]
    events = tuple(alert(order, case=order, subject=("order", order * 100)) for order in orders)
    with receiver() as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        assert deliver(people_file(), Delivery("team", "all", "k", events, START)) is None
    assert len(hook.received) > 1
    said = "".join(json.loads(got.body)["message"] for got in hook.received)
    assert [order for order in orders if order not in said] == []


def test_a_robot_that_answers_badly_is_tried_again_and_its_address_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="streams")
    with receiver([500]) as hook:
        monkeypatch.setenv("TEAM_URL", apprise_url(hook))
        problem = deliver(people_file(), Delivery("team", "all", "k", ONE.events, START))
    assert problem is not None
    assert problem.again
    assert "very-secret" not in str(problem) + repr(problem) + "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("streams")
    )


def test_an_address_that_apprise_does_not_know_is_refused_without_being_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEAM_URL", "pigeon://very-secret")
    with pytest.raises(ConfigError, match=r"channels\.team\.url: is not an address that apprise supports") as caught:
        channels_of(people_file(), None)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "wecombot://693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa",
        "dingtalk://abcdefghijklmnopqrstuvwxyz/",
        "feishu://abcdefghijklmnopqrstuvwxyz0123456789/",
        "mailtos://user:password@example.com",
    ],
)
def test_the_services_named_in_the_example_are_known(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TEAM_URL", url)
    assert list(channels_of(people_file(), None)) == ["team"]
