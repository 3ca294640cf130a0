"""What the page of one case shows, and that of one order, account, meter or notice batch, as JSON values.

A subject's row is read from the state's topic when a page asks for it, and judged by the board's rulebook as of its
partition's watermark. Its alerts are those in the row, which stand; those in the deliveries topic; and those that the
board keeps. Who was sent what comes from the deliveries topic, acknowledgements and notes from the board.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final, assert_never

from schemas.base import Text
from schemas.clauses import CLAUSES
from schemas.deliveries import CaseRow
from schemas.rules import RuleBase
from streams.board.deliveries import Deliveries, GivenUp, UnderWay
from streams.board.lookup import Found, Lookup
from streams.board.messages import BoardWire, text_values
from streams.core.alerts import Subject
from streams.core.board import Board, BoardAlert
from streams.core.case_changes import is_open
from streams.core.cases import cases_of
from streams.core.event import Event
from streams.core.explanations import limit_zh
from streams.core.faults import local_time
from streams.core.instants import instant_us
from streams.core.records import JudgedCase, SubjectRecord
from streams.live.quarantine import cause_of
from streams.rulebooks.loader import LoadedRulebook
from streams.wire.cloudevents import CloudEvents
from streams.wire.time_line import Reported, TimeLine, fields_of, outcome_of

logger = logging.getLogger(__name__)

_CLAUSES = {clause.code: clause.place for clause in CLAUSES}

MOST_CLOCKS: Final = 200
"""Clocks on one page: the one asked for, those that are open, and the newest of the others."""

MOST_MOMENTS: Final = 2_000
"""Moments on one time line, the newest."""


@dataclass(frozen=True, slots=True)
class _Sources:
    """What one page is made of; all ids are as shown.

    ``alerts`` are by alert id, ``of_case`` the same by case id, oldest first; ``sent`` is by case id. ``under_way`` are
    messages that are not confirmed, by channel and alert id.
    """

    found: Found
    time_line: TimeLine
    alerts: Mapping[str, dict[str, Any]]
    of_case: Mapping[str, Sequence[dict[str, Any]]]
    retracted: Set[str]
    sent: Mapping[str, CaseRow]
    under_way: Mapping[tuple[str, str], UnderWay]
    problem: str | None


class CasePages:
    """Makes the pages of one board."""

    def __init__(
        self, board: Board, wire: BoardWire, loaded: LoadedRulebook, *, lookup: Lookup, deliveries: Deliveries
    ) -> None:
        self._board = board
        self._wire = wire
        self._loaded = loaded
        self._rulebook = loaded.rulebook
        self._calendar = loaded.rulebook.calendar
        self._writer = CloudEvents(self._calendar)
        self._lookup = lookup
        self._deliveries = deliveries
        self._chapters = {book.chapter: book.title for book in loaded.files}
        self._rules = {item.rule.id: item.rule for item in loaded.loaded}

    async def of_subject(self, shown: Subject) -> dict[str, Any] | None:
        """The page of a subject; ``None`` where nothing is known of it.

        Raises:
            BrokerError: where the topics cannot be read.
        """
        sources = await self._sources(shown)
        if sources.found.snapshot is None and sources.found.problem is None and not sources.alerts:
            return None
        return self._page(sources)

    async def of_case(self, number: str, hint: Subject | None) -> dict[str, Any] | None:
        """The page of the case, or of the alert, with an id; ``hint`` is the subject that the link names.

        ``None`` where it is not known. Without a hint, a case that is over and of which no alert is known is not found.

        Raises:
            BrokerError: where the topics cannot be read.
        """
        shown = hint or await self._lookup.of_case(number)
        if shown is None:
            return None
        sources = await self._sources(shown)
        alert = sources.alerts.get(number)
        case_id = number if alert is None else alert["case_id"]
        page = self._page(sources, case_id)
        if not page["clocks"] or page["clocks"][0]["case_id"] != case_id:
            return await self.of_case(number, None) if hint is not None else None
        page["asked"] = {"case_id": case_id, "alert_id": None if alert is None else number}
        return page

    async def has_alert(self, alert_id: str, shown: Subject | None) -> bool:
        """Whether there is such an alert: among the newest, or of the subject, where its page shows it.

        Raises:
            BrokerError: where the topics cannot be read.
        """
        if self._board.has_alert(alert_id):
            return True
        return shown is not None and alert_id in (await self._sources(shown)).alerts

    # -- sources -----------------------------------------------------------------------------------------

    async def _sources(self, shown: Subject) -> _Sources:
        found = await self._lookup.subject(shown)
        kept = self._board.alerts_of(lambda alert: alert.subject == shown)
        alerts = {alert.alert_id: self._kept(alert) for alert in kept}
        standing = self._standing(found)
        cases, problem = self._cases(found)
        reported = {alert["case_id"] for alert in (*alerts.values(), *standing)}
        sent = await self._deliveries.of(
            reported | {self._wire.case_id(case.case_id) for case in cases if case.verdict.reports}
        )
        # That records were lost is in the alert as written, not in the row.
        for alert in chain((event["data"] for row in sent.values() for event in row.events.values()), standing):
            alerts[alert["alert_id"]] = {**alerts.get(alert["alert_id"], {}), **alert}
        time_line = TimeLine(
            self._rulebook,
            found.subject,
            () if found.snapshot is None else found.snapshot.events,
            cases,
            [_reported(alert) for alert in alerts.values()],
            max((_instant(alert["detected_at"]) for alert in alerts.values()), default=0)
            if found.as_of is None
            else found.as_of,
        )
        of_case: dict[str, list[dict[str, Any]]] = {}
        for alert in sorted(alerts.values(), key=lambda one: (_instant(one["detected_at"]), one["alert_id"])):
            of_case.setdefault(alert["case_id"], []).append(alert)
        retracted = {alert["retracts"] for alert in alerts.values() if alert["retracts"]}
        under_way = self._deliveries.under_way()
        return _Sources(found, time_line, alerts, of_case, retracted, sent, under_way, problem)

    def _cases(self, found: Found) -> tuple[Sequence[JudgedCase], str | None]:
        """The cases of a subject, or why it cannot be judged."""
        snapshot = found.snapshot
        if snapshot is None or found.as_of is None:
            return (), found.problem
        record = SubjectRecord(found.subject)
        record.pruned = snapshot.pruned
        record.history = self._rulebook.history_of(snapshot.events, snapshot.pruned)
        try:
            return list(cases_of(record, self._rulebook, found.as_of)), found.problem
        except Exception as error:  # the workers set such a subject aside, too
            logger.warning("%s %s cannot be judged: %s", *found.shown, cause_of(error))
            return (), cause_of(error)

    def _standing(self, found: Found) -> list[dict[str, Any]]:
        """The alerts of the subject's row: those reported and not withdrawn, as they were written."""
        alerts = () if found.snapshot is None else [alert for _, alert in found.snapshot.reported]
        events = [self._writer.alert(alert) for alert in alerts]
        if (pseudonyms := self._wire.pseudonyms) is not None:
            events = [pseudonyms.reported(event) for event in events]
        return [event["data"] for event in events]

    def _kept(self, alert: BoardAlert) -> dict[str, Any]:
        """An alert as the board keeps it; the deliveries topic has more of it, where somebody was sent it."""
        incomplete = {"incomplete": True} if alert.incomplete else {}
        return {**self._wire.kept(alert), "retracts": alert.retracts, **incomplete}

    # -- values ------------------------------------------------------------------------------------------

    def _page(self, sources: _Sources, asked: str | None = None) -> dict[str, Any]:
        """All values; the clock that is asked for comes first."""
        found, time_line = sources.found, sources.time_line
        cases = {self._wire.case_id(case.case_id): case for case in time_line.cases}
        by_alert = {
            case_id: {name: value for alert in alerts for name, value in alert.items()}
            for case_id, alerts in sources.of_case.items()
            if case_id not in cases
        }
        ordered = [*sorted(cases, key=lambda case_id: _rank(cases[case_id], time_line.end)), *by_alert]
        ordered.sort(key=lambda case_id: case_id != asked)
        moments = time_line.moments()
        return {
            "subject": {"type": found.shown[0], "id": found.shown[1]},
            "asked": None,
            "judged_until": self._time(time_line.end),
            "notices": self._notices(sources),
            "related": [self._wire.subject(other) for other in time_line.related()],
            "time_line": [self._moment(at, moment) for at, moment in moments[-MOST_MOMENTS:]],
            "clocks": [
                self._clock(cases[case_id], sources)
                if case_id in cases
                else self._clock_by_alert(by_alert[case_id], sources)
                for case_id in ordered[:MOST_CLOCKS]
            ],
            "omitted": {
                "moments": max(0, len(moments) - MOST_MOMENTS),
                "clocks": max(0, len(ordered) - MOST_CLOCKS),
            },
            "never_started": [self._rule(rule, self._rules[rule]) for rule in time_line.never_started()],
        }

    def _time(self, instant: int | None) -> dict[str, str] | None:
        """An instant as ISO 8601 and as people read it."""
        if instant is None:
            return None
        return {"iso": self._wire.time(instant) or "", "text": local_time(instant, self._calendar)}

    def _notices(self, sources: _Sources) -> dict[str, Any]:
        found = sources.found
        aside, snapshot = found.aside, found.snapshot
        return {
            "quarantined": None if aside is None else {"reason": aside.reason, "since": self._time(aside.at)},
            "problem": sources.problem,
            "has_history": snapshot is not None,
            "has_deliveries": self._deliveries.rows.partitions > 0,
            "pruned_until": None if snapshot is None else self._time(snapshot.pruned.until),
            "incomplete": any(alert.get("incomplete") for alert in sources.alerts.values()),
            "unknown_rules": sorted({alert["rule"] for alert in sources.alerts.values()} - self._rules.keys()),
        }

    def _moment(self, at: int, moment: Event | JudgedCase | Reported) -> dict[str, Any]:
        time = {"at": self._time(at)}
        match moment:
            case Event():
                pseudonyms = self._wire.pseudonyms
                fields = fields_of(moment)
                title = self._loaded.titles.get(moment.type)
                return {
                    **time,
                    "kind": "event",
                    "event_id": moment.event_id,
                    "event_type": moment.type,
                    "title": text_values(title),
                    "fields": fields if pseudonyms is None else pseudonyms.fields(fields),
                    "recorded_at": self._time(moment.recorded if moment.recorded > moment.at else None),
                    "corrects": moment.corrects,
                    "void": moment.void,
                }
            case JudgedCase():
                title = moment.verdict.rule.title
                return {
                    **time,
                    "kind": "due",
                    "case_id": self._wire.case_id(moment.case_id),
                    "title": text_values(title),
                }
            case Reported():
                return {
                    **time,
                    "kind": "alert",
                    "alert_id": moment.alert_id,
                    "case_id": moment.case_id,
                    "alert_kind": moment.kind,
                    "retracts": moment.retracts,
                    "incomplete": moment.incomplete,
                    "explanation": text_values(moment.sentence),
                }
            case _:
                assert_never(moment)

    def _clock(self, case: JudgedCase, sources: _Sources) -> dict[str, Any]:
        """A case as judged now."""
        verdict = case.verdict
        event = self._writer.case(case, sources.time_line.end)
        sentence = text_values(sources.time_line.sentence(case))
        if (pseudonyms := self._wire.pseudonyms) is not None:
            # Only the sentence of a report names the subject.
            event = pseudonyms.reported(event, sentence if verdict.reports else None)
        calendars = self._rulebook.calendars
        calendar = verdict.calendar or self._calendar
        return {
            **event["data"],
            "outcome_text": text_values(outcome_of(case)),
            "sentence": sentence,
            "limit_text": None if verdict.limit is None else {"zh": limit_zh(verdict.limit), "en": verdict.limit.text},
            "started": self._time(verdict.started_at),
            "due": self._time(verdict.deadline),
            "stopped": self._time(verdict.stopped_at),
            "calendar": {
                "name": next((name for name, one in calendars.items() if one is calendar), None),
                "zone": calendar.zone_name,
            },
            "rule_text": self._rule(verdict.rule.id, verdict.rule),
            **self._alerts(event["data"]["case_id"], sources),
        }

    def _clock_by_alert(self, alert: Mapping[str, Any], sources: _Sources) -> dict[str, Any]:
        """A case of which only alerts are known: its history is not kept any more, or its rule is gone."""
        rule = self._rules.get(alert["rule"])
        times = {name: alert.get(name) for name in ("started_at", "deadline", "stopped_at")}
        limit = alert.get("limit")
        return {
            **{"evidence": [], "arithmetic": {}, "calendar_provisional": False, **alert},
            **times,
            "outcome": None,
            "outcome_text": None,
            "sentence": alert["explanation"],
            "limit_text": None if limit is None else {"zh": limit, "en": limit},
            "started": self._time(_instant_or_none(times["started_at"])),
            "due": self._time(_instant_or_none(times["deadline"] or alert["due_at"])),
            "stopped": self._time(_instant_or_none(times["stopped_at"])),
            "calendar": None,
            "rule_text": self._rule(alert["rule"], rule, alert),
            **self._alerts(alert["case_id"], sources),
        }

    def _rule(self, rule_id: str, rule: RuleBase | None, alert: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a rule says of itself; as much of it as an alert carries where the board does not have it."""
        if rule is None:
            found = alert or {}
            clauses, title = [found["clause"]], found["title"]
            more: dict[str, Any] = {"source": None, "note": None, "basis": None, "version": None}
        else:
            clauses, title = list(rule.clauses), text_values(rule.title)
            more = {"source": rule.source, "note": text_values(rule.note), "basis": rule.basis, "version": rule.version}
        places = [_CLAUSES.get(clause) for clause in clauses]
        return {
            "id": rule_id,
            "title": title,
            "clauses": [
                {"code": clause, "place": text_values(place)} for clause, place in zip(clauses, places, strict=True)
            ],
            **more,
        }

    def _alerts(self, case_id: str, sources: _Sources) -> dict[str, Any]:
        """The alerts of a case, oldest first, with what became of each; and what the notifier has yet to send."""
        row = sources.sent.get(case_id)
        return {
            "alerts": [
                {
                    "alert_id": alert["alert_id"],
                    "kind": alert["kind"],
                    "detected": self._time(_instant(alert["detected_at"])),
                    "explanation": alert["explanation"],
                    "retracts": alert["retracts"],
                    "is_retracted": alert["alert_id"] in sources.retracted,
                    "incomplete": bool(alert.get("incomplete")),
                    "sent": [] if row is None else list(self._sent(alert["alert_id"], row, sources.under_way)),
                    "undelivered": [self._given_up(one) for one in self._deliveries.given_up(alert["alert_id"])],
                    "acks": [self._wire.ack(ack) for ack in self._board.acks_of(alert["alert_id"])],
                }
                for alert in sources.of_case.get(case_id, ())
            ],
            "to_send": [] if row is None else self._to_send(row),
        }

    def _sent(
        self, alert_id: str, row: CaseRow, under_way: Mapping[tuple[str, str], UnderWay]
    ) -> Iterable[dict[str, Any]]:
        channels = row.told.get(alert_id, {})
        for channel, at in sorted(channels.items(), key=lambda item: (item[1], item[0])):
            waiting = under_way.get((channel, alert_id))
            yield {
                "channel": channel,
                "subscription": row.told_by.get(alert_id, {}).get(channel),
                "at": self._time(at),
                "is_under_way": waiting is not None,
                "trouble": None if waiting is None else self._trouble(waiting),
            }

    def _trouble(self, waiting: UnderWay) -> dict[str, Any] | None:
        """Why a message has not gone through yet: its own last attempt, or that of one before it."""
        row = waiting.trouble
        if row is None:
            return None
        return {
            "is_own": waiting.is_tried,
            "reason": row.reason,
            "detail": row.detail,
            "attempts": row.attempts,
            "next": self._time(row.next_at),
        }

    def _given_up(self, one: GivenUp) -> dict[str, Any]:
        return {
            "channel": one.channel,
            "subscription": one.subscription,
            "at": self._time(one.at),
            "reason": one.reason,
            "detail": one.detail,
            "attempts": one.attempts,
        }

    def _to_send(self, row: CaseRow) -> list[dict[str, Any]]:
        waiting = [(one.subscription, one.due, "waits") for one in row.waiting]
        waiting += [(one.subscription, one.due, "escalates") for one in row.escalations if one.due is not None]
        return [
            {"subscription": subscription, "due": self._time(due), "kind": kind}
            for subscription, due, kind in sorted(waiting, key=lambda one: one[1:])
        ]


def _rank(case: JudgedCase, as_of: int) -> tuple[bool, int, str]:
    """Open cases first, by when they run out; then the others, the one that started last first."""
    verdict = case.verdict
    if is_open(verdict, as_of):
        return False, verdict.started_at if verdict.deadline is None else verdict.deadline, case.case_id
    return True, -verdict.started_at, case.case_id


def _instant(text: str) -> int:
    return instant_us(datetime.fromisoformat(text))


def _instant_or_none(text: str | None) -> int | None:
    return None if text is None else _instant(text)


def _reported(alert: Mapping[str, Any]) -> Reported:
    return Reported(
        alert["alert_id"],
        alert["case_id"],
        alert["kind"],
        _instant(alert["detected_at"]),
        Text(**alert["explanation"]),
        alert["retracts"],
        bool(alert.get("incomplete")),
    )
