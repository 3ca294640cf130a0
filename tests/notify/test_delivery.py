"""The planner by example: who is told when, in which message, under which key."""

from __future__ import annotations

from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.subscriptions import SubscriptionFile
from streams.core.delivery import Planner
from streams.core.delivery_case import Event
from streams.core.delivery_message import Delivery
from streams.core.matching import release_at
from streams.notify.delivery_rows import case_from_bytes, case_to_bytes
from streams.notify.term import kept_for
from tests.notify.alerts import MINUTE, START, alert, id_of
from tests.stories import us

KEEP = 30 * 24 * 60 * MINUTE
Seen = tuple[str, str | None, list[str]]


def since_all(at: int) -> dict[str, int]:
    return dict.fromkeys(("warning", "breach", "violation"), at)


def file_of(*subscriptions: dict[str, Any], zone: str = "Asia/Shanghai") -> SubscriptionFile:
    channels = {name: {"kind": "kafka", "topic": name} for name in ("desk", "team", "county", "city")}
    return SubscriptionFile.model_validate({"zone": zone, "channels": channels, "subscriptions": subscriptions})


class Told:
    """A planner by the clock of Shanghai, on 2 March 2026."""

    def __init__(self, *subscriptions: dict[str, Any]) -> None:
        self.planner = Planner(file_of(*subscriptions), keep=KEEP)
        self.messages: list[Delivery] = []

    def at(
        self, clock: str, *events: Event, acknowledged: tuple[str, ...] = (), silenced: tuple[tuple[str, str], ...] = ()
    ) -> list[Seen]:
        """What is told at that time: channel, level, alert ids."""
        when = us(clock if "T" in clock else f"2026-03-02T{clock}")
        silences = [(id_of(name), us(f"2026-03-02T{until}")) for name, until in silenced]
        self.messages = self.planner.step(when, events, [id_of(name) for name in acknowledged], silences).deliveries
        return [(one.channel, one.level, [event["id"] for event in one.events]) for one in self.messages]


def to(channel: str, *names: str, level: str | None = None) -> Seen:
    return channel, level, [id_of(name) for name in names]


def test_the_example_of_the_module() -> None:
    step = {"after": "30 min", "to": "county", "channels": "county"}
    told = Told({"name": "all", "channels": "team", "digest": "15 min", "escalate": [step]})
    assert told.at("14:03", alert("b1")) == []
    assert told.at("14:14") == []
    assert told.at("14:15") == [to("team", "b1")]
    assert told.at("14:44") == []
    assert told.at("14:45") == [to("county", "b1", level="county")]
    assert told.at("15:10", alert("l1", "late_completion")) == []
    assert sorted(told.at("15:15")) == [to("county", "l1"), to("team", "l1")]


def test_a_digest_is_one_message_with_a_key_of_its_own() -> None:
    told = Told({"name": "all", "channels": "team", "digest": "15 min"})
    told.at("14:03", alert("b1", case="c1"))
    told.at("14:07", alert("b2", case="c2"))
    assert told.at("14:15") == [to("team", *sorted(("b1", "b2"), key=lambda name: id_of("c" + name[1])))]
    (message,) = told.messages
    assert message.key.startswith("digest-")
    told.at("14:20", alert("b3", case="c3"))
    told.at("14:30")
    assert [one.key for one in told.messages] == [id_of("b3")]


def test_a_long_digest_is_cut_into_messages() -> None:
    told = Told({"name": "all", "channels": "team", "digest": "15 min"})
    told.at("14:03", *(alert(f"b{number}", case=f"c{number}") for number in range(250)))
    assert [len(ids) for _, _, ids in told.at("14:15")] == [100, 100, 50]
    assert len({one.key for one in told.messages}) == 3


def test_red_lines_pass_quiet_hours_and_others_wait() -> None:
    told = Told({"name": "all", "channels": "team", "quiet": {"from": "22:00", "to": "07:00"}})
    assert told.at("22:00", alert("red", case="c1", severity="red_line"), alert("b1", case="c2")) == [to("team", "red")]
    assert told.at("2026-03-03T06:59") == []
    assert told.at("2026-03-03T07:00") == [to("team", "b1")]


def test_what_is_retracted_while_it_waits_is_never_told() -> None:
    told = Told({"name": "all", "channels": "team", "digest": "15 min"})
    told.at("14:03", alert("b1"))
    told.at("14:04", alert("not-b1", "retraction", retracts="b1"))
    assert told.at("14:15") == []
    assert told.at("15:00") == []


def test_a_retraction_before_its_alert_stops_it() -> None:
    told = Told({"name": "all", "channels": "team"})
    assert told.at("14:00", alert("not-b1", "retraction", retracts="b1")) == []
    assert told.at("14:01", alert("b1")) == []


def test_a_channel_of_two_subscriptions_is_told_once() -> None:
    told = Told({"name": "one", "channels": ["team", "desk"]}, {"name": "two", "channels": ["team", "city"]})
    assert told.at("14:00", alert("b1"), alert("b1")) == [to("team", "b1"), to("desk", "b1"), to("city", "b1")]
    assert told.at("14:01", alert("not-b1", "retraction", retracts="b1")) == [
        to("desk", "not-b1"),
        to("team", "not-b1"),
        to("city", "not-b1"),
    ]
    assert [event["id"] for one in told.messages for event in one.closes] == [id_of("b1")] * 3


ESCALATE = [
    {"after": "30 min", "to": "county", "channels": "county"},
    {"after": "2 h", "to": "city", "channels": "city"},
]


@pytest.mark.parametrize(
    ("between", "county", "city"),
    [
        ((), True, True),
        ((alert("l1", "late_completion"),), False, False),
        ((alert("not-b1", "retraction", retracts="b1"),), False, False),
        ((alert("l1", "late_completion"), alert("not-l1", "retraction", retracts="l1")), True, True),
    ],
)
def test_what_is_over_goes_no_further_up(between: tuple[Event, ...], county: bool, city: bool) -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE})
    assert told.at("14:00", alert("b1")) == [to("team", "b1")]
    told.at("14:10", *between)
    assert told.at("14:30") == ([to("county", "b1", level="county")] if county else [])
    assert told.at("16:00") == ([to("city", "b1", level="city")] if city else [])


def test_an_acknowledged_breach_goes_no_further_up_but_its_completion_is_told() -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE})
    told.at("14:00", alert("b1"))
    assert told.at("14:30") == [to("county", "b1", level="county")]
    assert told.at("14:40", acknowledged=("b1",)) == []
    assert told.at("16:00") == []
    assert sorted(told.at("16:10", alert("l1", "late_completion"))) == [to("county", "l1"), to("team", "l1")]


def test_a_silenced_breach_goes_up_when_the_silence_is_over_and_not_before() -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE})
    told.at("14:00", alert("b1"), alert("b2", case="2"))
    assert told.at("14:10", silenced=(("b1", "15:00"),)) == []
    assert told.at("14:30") == [to("county", "b2", level="county")]
    assert told.at("14:59") == []
    assert told.planner.next_due() == us("2026-03-02T15:00")
    assert told.at("15:00") == [to("county", "b1", level="county")]
    assert sorted(told.at("16:00")) == [to("city", "b1", level="city"), to("city", "b2", level="city")]


@pytest.mark.parametrize(
    ("later", "county"),
    [
        (("b1", "14:20"), "14:30"),  # taken back: it goes up at its own time
        (("b1", "14:40"), "14:40"),
        (("b1", "15:30"), "15:30"),
        (("other", "15:30"), "15:00"),
    ],
)
def test_of_several_silences_the_last_counts(later: tuple[str, str], county: str) -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE[:1]})
    told.at("14:00", alert("b1"), silenced=(("b1", "15:00"),))
    assert told.at("14:20", silenced=(later,)) == []
    found = [minute for minute in ("14:29", "14:30", "14:40", "15:00", "15:30") if told.at(minute)]
    assert found == [county]


def test_a_silence_holds_back_steps_and_nothing_else() -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE})
    assert told.at("14:00", alert("b1"), silenced=(("b1", "17:00"),)) == [to("team", "b1")]
    assert told.at("16:10", alert("l1", "late_completion")) == [to("team", "l1")]
    assert told.at("17:00", alert("not-l1", "retraction", retracts="l1")) == [
        to("team", "not-l1"), to("county", "b1", level="county"), to("city", "b1", level="city"),
    ]  # fmt: skip


def test_a_violation_goes_up_although_nothing_completes_it() -> None:
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE})
    told.at("14:00", alert("v", "violation"))
    assert told.at("14:30") == [to("county", "v", level="county")]


def test_a_step_waits_for_the_end_of_quiet_hours() -> None:
    quiet = {"from": "22:00", "to": "07:00"}
    told = Told({"name": "all", "channels": "team", "escalate": ESCALATE, "quiet": quiet})
    told.at("21:50", alert("b1"))
    assert told.at("22:20") == []
    assert told.at("2026-03-03T07:00") == [to("county", "b1", level="county"), to("city", "b1", level="city")]


def test_whom_a_message_did_not_reach_hears_no_more_of_it() -> None:
    told = Told({"name": "all", "channels": ["team", "desk"]})
    told.at("14:00", alert("b1"))
    lost = next(one for one in told.messages if one.channel == "desk")
    assert told.planner.failed(lost) == {id_of("c1")}
    assert told.at("14:01", alert("not-b1", "retraction", retracts="b1")) == [to("team", "not-b1")]


def test_a_retraction_already_on_its_way_behind_a_lost_alert_is_moot() -> None:
    told = Told({"name": "all", "channels": "team"})
    told.at("14:00", alert("b1"))
    (lost,) = told.messages
    told.at("14:01", alert("not-b1", "retraction", retracts="b1"))
    (behind,) = told.messages
    assert told.planner.wanted(behind) == behind
    told.planner.failed(lost)
    assert told.planner.wanted(behind) is None


def test_a_digest_tells_of_a_withdrawal_only_whom_the_alert_reached() -> None:
    """The alerts were given up while the digest of what follows them waited behind them."""
    told = Told({"name": "all", "channels": "team", "digest": "15 min", "match": {"kind": ["warning", "breach"]}})
    told.at("14:01", alert("b1", case="c1"), alert("b2", case="c2"))
    told.at("14:15")
    (lost,) = told.messages
    told.at("14:16", alert("b3", case="c3"), alert("b4", case="c4"), alert("w4", "warning", case="c4"))
    reached = told.at("14:30")
    assert sorted(reached[0][2]) == sorted(map(id_of, ("b3", "b4", "w4")))
    told.at("14:31", alert("not-b1", "retraction", case="c1", retracts="b1"), alert("b5", case="c5"))
    told.at("14:32", alert("l2", "late_completion", case="c2"), alert("l3", "late_completion", case="c3"))
    told.at("14:33", alert("not-b4", "retraction", case="c4", retracts="b4"))
    told.at("14:45")
    (digest,) = told.messages
    assert told.planner.wanted(digest) == digest
    assert len(digest.events) == 5
    told.planner.failed(lost)
    left = told.planner.wanted(digest)
    assert left is not None
    assert left.key == digest.key
    assert {event["id"] for event in left.events} == {id_of(name) for name in ("b5", "l3", "not-b4")}


QUIET = {"from": "22:00", "to": "07:00"}


def test_of_two_withdrawals_of_a_case_each_follows_its_own_alert() -> None:
    told = Told({"name": "all", "channels": "team", "quiet": QUIET, "match": {"kind": ["warning", "breach"]}})
    told.at("21:50", alert("w1", "warning"))
    (lost,) = told.messages
    told.at("21:55", alert("b1"))
    told.at("22:30", *(alert(f"not-{name}", "retraction", retracts=name) for name in ("w1", "b1")))
    told.at("2026-03-03T07:00")
    (digest,) = told.messages
    told.planner.failed(lost)
    left = told.planner.wanted(digest)
    assert left is not None
    assert [event["id"] for event in left.events] == [id_of("not-b1")]


def test_a_completion_that_was_asked_for_is_sent_whatever_became_of_the_breach() -> None:
    told = Told({"name": "all", "channels": "team", "match": {"kind": ["breach", "late_completion"]}})
    told.at("14:00", alert("b1"))
    (lost,) = told.messages
    told.at("14:20", alert("l1", "late_completion"))
    (behind,) = told.messages
    told.planner.failed(lost)
    assert told.planner.wanted(behind) == behind


def test_a_digest_with_a_withdrawal_is_known_to_follow() -> None:
    """Such a message is queued however many wait already."""
    told = Told({"name": "all", "channels": "team", "digest": "15 min"})
    told.at("14:01", alert("b1", case="c1"))
    told.at("14:15")
    told.at("14:16", alert("b2", case="c2"), alert("not-b1", "retraction", case="c1", retracts="b1"))
    told.at("14:30")
    (digest,) = told.messages
    assert len(digest.events) == 2
    assert digest.follows == (id_of("b1"),)


def test_a_case_is_forgotten_when_it_has_been_quiet_for_long() -> None:
    told = Told({"name": "all", "channels": "team"})
    told.at("14:00", alert("b1"))
    due = told.planner.next_due()
    assert due == START + KEEP
    plan = told.planner.step(due)
    assert (plan.cases, told.planner.cases) == ({id_of("c1")}, {})


def test_a_step_later_than_a_case_is_kept_is_taken_after_a_silence() -> None:
    steps = [
        {"after": "20 days", "to": "county", "channels": "county"},
        {"after": "60 days", "to": "city", "channels": "city"},
    ]
    told = Told({"name": "all", "channels": "team", "escalate": steps})
    assert told.at("2026-03-02T14:00", alert("b1")) == [to("team", "b1")]
    assert told.at("2026-03-22T14:00") == [to("county", "b1", level="county")]
    told.planner.step(us("2026-04-30T14:00"), silenced=[(id_of("b1"), us("2026-05-02T14:00"))])
    assert told.at("2026-05-01T14:00") == []  # its time, in silence
    assert told.at("2026-05-02T14:00") == [to("city", "b1", level="city")]
    told.at("2026-06-01T14:00")
    assert told.planner.cases == {}


def test_what_was_acknowledged_goes_no_further_up_after_the_acknowledgement_is_forgotten() -> None:
    step = {"after": "60 days", "to": "county", "channels": "county"}
    told = Told({"name": "all", "channels": "team", "digest": "15 min", "escalate": [step]})
    told.at("2026-03-02T14:03", alert("b1", case="c1"))
    told.at("2026-03-02T14:15", alert("b2", case="c2"))
    told.at("2026-03-02T14:16", alert("b3", case="c3"), acknowledged=("b1", "b3"))  # the last one before it is sent
    told.at("2026-03-02T14:30")
    for day in ("2026-04-02T14:00", "2026-04-03T14:00"):
        assert told.at(day) == []
    assert told.planner.acknowledged == {}
    assert told.at("2026-05-01T14:30") == [to("county", "b2", level="county")]


def test_nothing_is_kept_of_what_nobody_asked_for() -> None:
    told = Told({"name": "red", "match": {"severity": "red_line"}, "channels": "team"})
    plan = told.planner.step(START, [alert("b1"), alert("b2", case="c2")])
    assert (plan.unasked, bool(plan), told.planner.cases) == (2, False, {})


@pytest.mark.parametrize(
    ("zone", "now", "told"),
    [
        ("Asia/Shanghai", "2026-03-02T14:03", "2026-03-02T14:15"),
        ("Asia/Shanghai", "2026-03-02T14:15", "2026-03-02T14:15"),
        ("Asia/Shanghai", "2026-03-02T14:15:00.000001", "2026-03-02T14:30"),
        ("Asia/Shanghai", "2026-03-02T21:44", "2026-03-02T21:45"),
        ("Asia/Shanghai", "2026-03-02T21:46", "2026-03-03T07:00"),
        ("Asia/Shanghai", "2026-03-02T23:59", "2026-03-03T07:00"),
        ("Asia/Shanghai", "2026-03-03T06:46", "2026-03-03T07:00"),
        # Summer time begins in Berlin at 02:00 on 29 March 2026: the night is an hour shorter.
        ("Europe/Berlin", "2026-03-28T23:30:00+01:00", "2026-03-29T07:00:00+02:00"),
        ("Europe/Berlin", "2026-03-29T01:30:00+01:00", "2026-03-29T07:00:00+02:00"),
    ],
)
def test_when_an_alert_may_be_told(zone: str, now: str, told: str) -> None:
    quiet = {"from": "22:00", "to": "07:00"}
    (item,) = file_of({"name": "all", "channels": "team", "digest": "15 min", "quiet": quiet}).subscriptions
    assert release_at(item, ZoneInfo(zone), "norm", us(now)) == us(told)


@pytest.mark.parametrize(
    ("zone", "every", "now", "told"),
    [
        # What does not divide a day: at the same times every day, whenever the alert came.
        ("Asia/Shanghai", "7 h", "2026-03-02T20:59", "2026-03-02T21:00"),
        ("Asia/Shanghai", "7 h", "2026-03-02T21:00:00.000001", "2026-03-03T00:00"),
        ("Asia/Shanghai", "7 h", "2026-03-03T00:00", "2026-03-03T00:00"),
        ("Asia/Shanghai", "7 h", "2026-03-03T00:00:01", "2026-03-03T07:00"),
        ("Asia/Shanghai", "1000 min", "2026-03-02T16:41", "2026-03-03T00:00"),
        ("Asia/Shanghai", "7 min", "2026-03-02T23:56", "2026-03-03T00:00"),
        ("Asia/Shanghai", "1 days", "2026-03-02T00:00:00.000001", "2026-03-03T00:00"),
        # On the local clock, also where it is set forward (29 March, 02:00) and back (25 October, 03:00).
        ("Europe/Berlin", "6 h", "2026-03-29T01:30:00+01:00", "2026-03-29T06:00:00+02:00"),
        ("Europe/Berlin", "6 h", "2026-03-29T23:00:00+02:00", "2026-03-30T00:00:00+02:00"),
        ("Europe/Berlin", "6 h", "2026-10-25T01:30:00+02:00", "2026-10-25T06:00:00+01:00"),
        ("Europe/Berlin", "6 h", "2026-10-25T18:30:00+01:00", "2026-10-26T00:00:00+01:00"),
        ("Europe/Berlin", "2 h", "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "15 min", "2026-10-25T02:50:00+02:00", "2026-10-25T02:00:00+01:00"),
        ("Europe/Berlin", "15 min", "2026-10-25T02:50:00+01:00", "2026-10-25T03:00:00+01:00"),
        ("Europe/Berlin", "15 min", "2026-10-25T02:05:00+01:00", "2026-10-25T02:15:00+01:00"),
        # A zone whose clock goes from 23:59:59 to 01:00 in that night.
        ("Africa/Cairo", "1 days", "2026-04-23T12:00:00+02:00", "2026-04-24T01:00:00+03:00"),
        ("Asia/Kathmandu", "1 h", "2026-03-02T14:03:00+05:45", "2026-03-02T15:00:00+05:45"),
    ],
)
def test_the_boundaries_of_a_digest_are_the_same_every_day(zone: str, every: str, now: str, told: str) -> None:
    (item,) = file_of({"name": "all", "channels": "team", "digest": every}).subscriptions
    assert release_at(item, ZoneInfo(zone), "norm", us(now)) == us(told)


def restored(told: Told, *subscriptions: dict[str, Any], without: tuple[str, ...] = ()) -> Told:
    """After a restart with another file, some channels of which are gone."""
    other = Told(*subscriptions)
    file = file_of(*subscriptions)
    there = {name: channel for name, channel in file.channels.items() if name not in without}
    other.planner = Planner(file.model_copy(update={"channels": there}), keep=KEEP)
    rows = {key: case_from_bytes(key, case_to_bytes(case)) for key, case in told.planner.cases.items()}
    other.planner.restore(rows, told.planner.acknowledged, told.planner.silenced)
    return other


NIGHTS = {"quiet": {"from": "22:00", "to": "07:00"}}


def test_what_a_renamed_subscription_sent_is_taken_back_under_its_new_name() -> None:
    told = Told({"name": "old", "channels": ["team", "desk"]})
    told.at("14:00", alert("b1"))
    later = restored(told, {"name": "new", "channels": ["team", "desk"]})
    assert later.at("14:10", alert("not-b1", "retraction", retracts="b1")) == [
        to("desk", "not-b1"), to("team", "not-b1"),
    ]  # fmt: skip
    assert {one.subscription for one in later.messages} == {"new"}


def test_what_a_removed_subscription_sent_is_followed_up_by_one_of_the_channel_and_nowhere_else() -> None:
    told = Told({"name": "red", "channels": ["team", "desk"]}, {"name": "fees", "channels": "city"})
    told.at("14:00", alert("b1"))
    fees = {"name": "fees", "match": {"rule": "another"}, "channels": ["city", "team"]}
    later = restored(told, fees)
    assert later.at("14:10", alert("l1", "late_completion")) == [to("city", "l1"), to("team", "l1")]
    later = restored(told, {"name": "fees", "channels": "county"})
    assert later.at("14:10", alert("not-b1", "retraction", retracts="b1")) == [to("city", "not-b1")]


def test_what_was_sent_to_a_channel_that_is_gone_is_followed_up_where_it_can_be() -> None:
    told = Told({"name": "all", "channels": ["team", "desk"]})
    told.at("14:00", alert("b1"))
    later = restored(told, {"name": "all", "channels": "desk"}, without=("team",))
    assert later.at("14:10", alert("not-b1", "retraction", retracts="b1")) == [to("desk", "not-b1")]


def test_what_waits_for_a_renamed_subscription_is_sent_under_its_new_name() -> None:
    told = Told({"name": "old", "channels": "team", **NIGHTS})
    assert told.at("22:30", alert("b1")) == []
    later = restored(told, {"name": "new", "channels": "team", **NIGHTS}, {"name": "x", "match": {"rule": "other"},
                                                                          "channels": "city"})  # fmt: skip
    assert later.at("23:00") == []
    assert later.at("2026-03-03T07:00") == [to("team", "b1")]
    later = restored(told, {"name": "new", "channels": "team", "quiet": {"from": "06:00", "to": "08:00"}})
    assert later.at("2026-03-03T07:00") == []
    assert later.at("2026-03-03T08:00") == [to("team", "b1")]
    assert restored(told, {"name": "x", "match": {"rule": "other"}, "channels": "team"}).at("2026-03-03T08:00") == []


def test_a_retraction_that_waits_for_a_renamed_subscription_is_sent_under_its_new_name() -> None:
    told = Told({"name": "old", "channels": "team", **NIGHTS})
    told.at("21:30", alert("b1"))
    assert told.at("22:30", alert("not-b1", "retraction", retracts="b1")) == []
    later = restored(told, {"name": "new", "channels": "team", **NIGHTS})
    assert later.at("2026-03-03T07:00") == [to("team", "not-b1")]


def test_what_waited_for_one_of_two_is_sent_once() -> None:
    other = {"name": "other", "channels": "team"}
    told = Told({"name": "old", "channels": "team", **NIGHTS}, other)
    assert told.at("22:30", alert("b1")) == [to("team", "b1")]
    later = restored(told, other)
    assert later.at("2026-03-03T07:00") == []


def test_a_breach_of_a_renamed_subscription_goes_up() -> None:
    step = {"after": "30 min", "to": "county", "channels": "county"}
    told = Told({"name": "old", "channels": "team", "escalate": [step]})
    told.at("14:00", alert("b1"))
    later = restored(told, {"name": "new", "channels": "team", "escalate": [step]})
    assert later.at("14:30") == [to("county", "b1", level="county")]
    assert restored(told, {"name": "new", "channels": "team"}).at("14:30") == []


def test_an_alarm_stands_until_it_is_over() -> None:
    told = Told({"name": "all", "match": {"kind": ["warning", "breach", "violation"]}, "channels": "team"})
    warning = alert("w", "warning", case="c0", at=START + 10 * MINUTE)
    told.at("14:00", warning, alert("b1"), alert("v", "violation", case="c2"))

    def standing(minutes: int) -> set[str]:
        now = START + minutes * MINUTE
        found = told.planner.firing_on("team", since=since_all(START), now=now)
        assert {name for _, name in found} <= {"all"}
        return {event["id"] for event, _ in found}

    assert standing(1) == {id_of("w"), id_of("b1"), id_of("v")}
    assert standing(10) == {id_of("b1"), id_of("v")}
    assert told.planner.firing_on("team", since=since_all(START + 1), now=START + 2) == []
    told.at("14:20", acknowledged=("v", "b1"))
    assert standing(20) == {id_of("b1")}
    told.at("14:30", alert("l1", "late_completion"))
    assert standing(30) == set()


def test_a_case_is_kept_for_as_long_as_an_alertmanager_is_reminded_of_it() -> None:
    days = 24 * 60 * MINUTE
    alarms = {"kind": "alertmanager", "url": "http://127.0.0.1:9093"}
    item = {"name": "all", "channels": "alarms"}
    for hold, kept in (({}, 30), ({"hold": "60 days"}, 60), ({"violation_hold": "45 days"}, 45)):
        file = SubscriptionFile.model_validate({"channels": {"alarms": {**alarms, **hold}}, "subscriptions": [item]})
        assert kept_for(file, Fraction(1)) == kept * days
    assert kept_for(file, Fraction(60)) == 60 * 45 * days


def test_an_alarm_stands_for_as_long_as_its_kind_is_held() -> None:
    told = Told({"name": "all", "match": {"kind": ["warning", "breach", "violation"]}, "channels": "team"})
    told.at("14:00", alert("b1"), alert("v", "violation", case="c2"))

    def standing(**since: int) -> set[str]:
        return {event["id"] for event, _ in told.planner.firing_on("team", since=since, now=START + 2)}

    assert standing(breach=START, violation=START + 1) == {id_of("b1")}
    assert standing(breach=START + 1, violation=START) == {id_of("v")}
    assert standing(violation=START) == {id_of("v")}
