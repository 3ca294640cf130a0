"""Whether an alert matches a subscription, and when it may be sent. Pure functions.

Example: with ``digest: 15 min`` and quiet hours from 22:00 to 07:00, an alert at 21:50 local is due in the digest of
22:00, which is quiet, so it is sent at 07:00; one at 14:03 is sent at 14:15, one at 14:15:00 at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.limits import DAY, SECOND
from schemas.subscriptions import Match, QuietHours, Subscription
from streams.core.instants import instant_us, moment_of

AlertData = Mapping[str, Any]
"""The ``data`` of an alert's CloudEvent: ``schemas.alerts.Alert`` as JSON values."""


def concerns(match: Match, alert: AlertData) -> bool:
    """Whether the alert matches the subscription."""
    subject = alert["subject"]
    org = alert["org"] or {}
    return (
        alert["kind"] in match.kind
        and (match.rule is None or alert["rule"] in match.rule)
        and (match.chapter is None or str(alert["clause"]).partition("-")[0] in match.chapter)
        and (match.severity is None or alert["severity"] in match.severity)
        and (match.subject.type is None or subject["type"] in match.subject.type)
        and (match.subject.id is None or any(_fits(pattern, subject["id"]) for pattern in match.subject.id))
        and all(
            wanted is None or org.get(level) in wanted
            for level, wanted in (
                ("province", match.org.province),
                ("city", match.org.city),
                ("county", match.org.county),
                ("unit", match.org.unit),
            )
        )
    )


def _fits(pattern: str, number: str) -> bool:
    return number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern


def release_at(subscription: Subscription, zone: ZoneInfo, severity: str, now: int) -> int:
    """The first instant, at or after ``now``, at which an alert read now may be sent."""
    at, red = now, severity == "red_line"
    digest = subscription.digest
    if digest is not None and not (red and digest.red_lines == "pass"):
        at = _boundary(at, digest.every, zone)
    return after_quiet(subscription.quiet, zone, red=red, at=at)


def after_quiet(quiet: QuietHours | None, zone: ZoneInfo, *, red: bool, at: int) -> int:
    """``at``, or the end of the quiet hours that it falls into."""
    if quiet is None or (red and quiet.red_lines == "pass"):
        return at
    moment = moment_of(at, zone)
    clock = moment.timetz().replace(tzinfo=None)
    over_midnight = quiet.end < quiet.start
    is_quiet = (clock >= quiet.start or clock < quiet.end) if over_midnight else quiet.start <= clock < quiet.end
    if not is_quiet:
        return at
    day = moment.date() + timedelta(days=1 if over_midnight and clock >= quiet.start else 0)
    # A zone may skip the local time or repeat it; the end of the quiet hours then shifts slightly, never before `at`.
    return max(at, instant_us(datetime.combine(day, quiet.end, zone)))


def _boundary(at: int, every: int, zone: ZoneInfo) -> int:
    """The first multiple of ``every`` on the local clock since midnight, or midnight itself, at or after ``at``."""
    midnight = datetime.combine(moment_of(at, zone).date(), time())
    clock = _on_clock(at, zone)
    # A length that does not divide a day begins anew at midnight: 21:00, 00:00 and 07:00 for 7 h, the same every day.
    ahead = min(-(-clock // every) * every, DAY) - clock
    wall = (midnight + timedelta(microseconds=clock + ahead)).replace(tzinfo=zone)
    found = instant_us(wall)
    if found < at:  # the clock shows it twice, and `at` is in the second hour
        found = instant_us(wall.replace(fold=1))
    # Where the clock is set back on the way, it shows a multiple before `wall`.
    return min(found, at + ahead) if _on_clock(at + ahead, zone) % every == 0 else found


def _on_clock(at: int, zone: ZoneInfo) -> int:
    """What the local clock shows, microseconds from midnight."""
    moment = moment_of(at, zone)
    return (moment.hour * 3600 + moment.minute * 60 + moment.second) * SECOND + moment.microsecond
