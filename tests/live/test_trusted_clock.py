"""The earlier of two clocks, and what is said where they differ."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from streams.live.trusted_clock import TrustedClock
from streams.wall_clock import WallClock

SECOND = 1_000_000
AT = 1_772_413_200 * SECOND  # true time when the test begins


@dataclass(frozen=True)
class Acknowledged:
    timestamp: int
    timestamp_type: int = 1


class Hands:
    """True time, which passes as the test says, and a machine whose clock is wrong by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wrong_by: float = 0, clock: WallClock | None = None) -> None:
        self.true = AT
        monkeypatch.setattr("streams.wall_clock._now", lambda: self.true + int(wrong_by * SECOND))
        self.time = TrustedClock(clock or WallClock(), lambda: (self.true - AT) / SECOND + 1000)

    def observe(self, *behind: float) -> None:
        """Brokers with clocks so many seconds behind the true time."""
        self.time.observe([Acknowledged(int(self.true / 1000 - seconds * 1000)) for seconds in behind])

    def passes(self, seconds: float) -> None:
        self.true += int(seconds * SECOND)


@pytest.mark.parametrize(
    ("wrong_by", "brokers_behind", "behind"),
    [
        (0, [0], 0),
        (3600, [0], 0),  # this machine is an hour ahead: the broker's time counts
        (-3600, [0], 3600),  # behind: late, but not false
        (0, [-3600], 0),  # the broker is an hour ahead
        (0, [3600], 3600),
        (0, [3600, 0, 5], 0),  # the broker that is furthest counts
        (3600, [3600, 5], 5),
    ],
)
def test_the_earlier_counts(
    wrong_by: float, brokers_behind: list[float], behind: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(monkeypatch, wrong_by)
    hands.observe(*brokers_behind)
    assert hands.time.now() == hands.true - behind * SECOND
    hands.passes(0.25)
    assert hands.time.now() == hands.true - behind * SECOND


def test_nothing_is_known_before_a_broker_has_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    with pytest.raises(LookupError):
        hands.time.now()
    assert hands.time.ahead() == 0
    hands.observe(0)
    assert hands.time.now() == hands.true


def test_a_log_without_the_brokers_stamps_leaves_this_machine_alone_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hands = Hands(monkeypatch, 3600)
    for _ in range(3):
        hands.time.observe([Acknowledged(AT // 1000, 0), Acknowledged(-1, 0), Acknowledged(1234)])
    assert hands.time.now() == hands.true + 3600 * SECOND
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "the log keeps its producers' timestamps (message.timestamp.type is not LogAppendTime)"
    ]


def test_a_late_acknowledgement_does_not_hold_time_back(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    hands.observe(0)
    hands.passes(1)
    hands.observe(0.5)  # appended half a second ago
    assert hands.true - hands.time.now() == 0.01 * SECOND
    hands.passes(20)
    hands.observe(0.5)
    assert hands.true - hands.time.now() == 0.21 * SECOND
    hands.passes(100)
    hands.observe(0.5)  # by now that is what the brokers' clock is taken to be
    assert hands.true - hands.time.now() == 0.5 * SECOND


@pytest.mark.parametrize(("wrong_by", "said"), [(1.9, None), (2.1, "2.1 s ahead of"), (-30, "30.0 s behind")])
def test_clocks_that_are_apart_are_told_of_once_a_minute(
    wrong_by: float, said: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    hands = Hands(monkeypatch, wrong_by)
    for _ in range(8):  # for 70 seconds
        hands.observe(0)
        hands.passes(10)
    assert hands.time.ahead() == pytest.approx(wrong_by)
    line = f"this machine's clock is {said} the brokers': the earlier counts"
    assert [record.getMessage() for record in caplog.records] == ([line, line] if said else [])


def test_a_clock_that_runs_fast_for_a_demonstration_takes_the_brokers_time_by_the_same_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hands = Hands(monkeypatch, 3600, WallClock.scaled(1_000 * SECOND, 60, AT))
    hands.observe(0)
    hands.passes(2)
    assert hands.time.now() == 1_120 * SECOND
