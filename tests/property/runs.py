"""The engine run as a live worker runs it, and held against the oracle at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from streams.core.alerts import Alert, Subject, case_id_of
from streams.core.engine import Engine
from streams.core.event import Event
from streams.core.faults import Backwards, Fault, Forbidden, Lacks, RecordedLate, TooEarly, TooLate, TooMany, Without
from streams.core.history import Notice
from streams.core.records import BEGINNING, JudgedCase
from streams.core.verdicts import root_of
from streams.wire.state_rows import snapshot_from_bytes, snapshot_to_bytes, standing_from_bytes
from tests.oracle import Standing, cases, standing
from tests.oracle.common import Fact, Flaw, Found
from tests.property.stories import World
from tests.stories import open_cases

MONTHS = {f"month/{year}-{month:02d}" for year in (2026, 2027) for month in range(1, 13)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(instant: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant)


def event_of(fact: Fact) -> Event:
    return Event(
        fact.event_id,
        fact.type,
        us(fact.at),
        us(fact.recorded),
        dict(fact.fields),
        order_id=fact.ids.get("order"),
        account_id=fact.ids.get("account"),
        meter_id=fact.ids.get("meter"),
        batch_id=fact.ids.get("batch"),
        corrects=fact.corrects,
        void=fact.void,
        version=None if fact.version is None else (fact.version,),
    )


def flaw_of(fault: Fault) -> Flaw:
    """What the oracle would have written of a fault."""
    match fault:
        case Without():
            types = frozenset(named.split()[0] for named in fault.what.key.split(" or "))
            return "without", types, fault.on_day
        case TooEarly():
            return "early", moment(fault.since), moment(fault.lawful_from)
        case TooLate():
            return "late", moment(fault.since), moment(fault.lawful_until)
        case Forbidden():
            return "forbidden", moment(fault.since)
        case TooMany():
            return "many", fault.count
        case Lacks():
            return ("lacks",)
        case RecordedLate():
            return "recorded", moment(fault.recorded), moment(fault.recorded_by)
        case Backwards():
            return "backwards", moment(fault.at)


def found_of(case: JudgedCase, roots: dict[str, str] | None = None) -> Found:
    """What the oracle would have written of the engine's case."""
    verdict = case.verdict
    rests = verdict.rule.kind != "deadline" and verdict.outcome != "running"  # type: ignore[attr-defined]
    return Found(
        verdict.rule.id,
        verdict.rule.version,
        root_of(verdict, roots or {}),
        moment(verdict.started_at),
        None if verdict.deadline is None else moment(verdict.deadline),
        None if verdict.stopped_at is None else moment(verdict.stopped_at),
        verdict.outcome,
        tuple((report.kind, moment(report.due)) for report in verdict.reports if report.kind != "warning"),
        frozenset(map(flaw_of, verdict.faults)),
        frozenset(verdict.evidence if rests else ()),
    )


def restore_from(other: Engine, engine: Engine, judged_by: str = "") -> None:
    """Fill an empty engine from the rows of another; with its rulebook's fingerprint the subjects sleep if they can."""
    other.watermark = engine.watermark
    for subject in engine.subjects():
        snapshot, standing = engine.snapshot(subject), engine.standing(subject) if judged_by else None
        assert snapshot is not None
        raw = snapshot_to_bytes(snapshot, standing, judged_by)
        assert standing_from_bytes(raw, judged_by) == standing
        if standing is None:
            other.restore(snapshot_from_bytes(subject, raw))
        else:
            other.restore_asleep(subject, standing, partial(snapshot_from_bytes, subject, raw))


class Run:
    """One engine with its rows of state, its alerts, and all that was sent to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = Engine(world.rulebook)
        self.rows: dict[Subject, bytes] = {}
        self.alerts: list[Alert] = []
        self.told: dict[str, Alert] = {}
        """Reports not withdrawn, by alert id; warnings among them."""
        self.facts: list[Fact] = []

    def send(self, fact: Fact) -> list[Notice]:
        """Hand a fact to every subject that it concerns."""
        event = event_of(fact)
        notices = [self.engine.handle(subject, copy) for subject, copy in self.world.rulebook.copies_of(event)]
        # The first content of an id counts; here a second one always goes to the same subjects.
        if all((known.event_id, known.version) != (fact.event_id, fact.version) for known in self.facts):
            self.facts.append(fact)
        return notices

    def advance(self, to: datetime | None = None) -> list[Alert]:
        """Move time, keep the rows that changed, and see that what was told is consistent."""
        alerts = self.engine.advance_to(self.engine.watermark if to is None else us(to))
        for alert in alerts:
            if alert.retracts is None:
                assert alert.alert_id not in self.told
                self.told[alert.alert_id] = alert
            else:
                withdrawn = self.told.pop(alert.retracts)
                assert (withdrawn.case_id, withdrawn.rule) == (alert.case_id, alert.rule)
                assert withdrawn.kind not in ("warning", "retraction")
        self.alerts += alerts
        ids = [alert.alert_id for alert in self.alerts]
        assert len(set(ids)) == len(ids), "an alert id twice"
        keys = [(alert.case_id, alert.kind, alert.cause) for alert in self.told.values()]
        assert len(set(keys)) == len(keys), "told twice without a retraction between"
        for subject in self.engine.take_changed():
            snapshot = self.engine.snapshot(subject)
            assert snapshot is not None
            self.rows[subject] = snapshot_to_bytes(snapshot)
        return alerts

    def restart(self) -> None:
        """A new engine from the rows kept, as after a crash."""
        fresh = Engine(self.world.rulebook)
        fresh.watermark = self.engine.watermark
        for subject, row in sorted(self.rows.items()):
            fresh.restore(snapshot_from_bytes(subject, row))
        assert open_cases(fresh) == open_cases(self.engine)
        self.engine = fresh

    # -- what is so --------------------------------------------------------------------------------------

    def net(self) -> set[Standing]:
        """The reports that stand."""
        roots = self._roots() if self.told else {}
        return {
            (alert.subject, alert.rule, roots[alert.case_id], alert.kind, moment(alert.due_at))
            for alert in self.told.values()
            if alert.kind != "warning"
        }

    def _roots(self) -> dict[str, str]:
        ids = {fact.event_id for fact in self.facts} | {fact.corrects for fact in self.facts if fact.corrects}
        if self.world.has_things:
            ids |= {f"{root}/{since}" for root in ids for since in ids}
        ids |= MONTHS
        rules = {rule.id for rule in self.world.rules}
        subjects = {subject for fact in self.facts for subject in fact.ids.items()}
        return {case_id_of(rule, subject, root): root for rule in rules for subject in subjects for root in ids}

    def cases(self, as_of: datetime) -> dict[Subject, list[Found]]:
        found: dict[Subject, list[Found]] = {}
        for case in self.engine.cases(us(as_of)):
            record = self.engine._records[case.subject]
            found.setdefault(case.subject, []).append(found_of(case, record.history.roots))
        return found

    def check(self, as_of: datetime) -> None:
        """Verdicts as of an instant, and what stands as of the watermark, are the oracle's."""
        world = self.world
        expected = cases(world.rules, self.facts, world.calendar, as_of)
        found = self.cases(as_of)
        if any(fact.at > as_of for fact in self.facts):
            # A pause that is known to come has moved the deadline already.
            expected, found = without_deadlines(expected), without_deadlines(found)
        assert in_order(found) == in_order(expected)
        self.check_told()

    def check_told(self) -> None:
        """What stands as of the watermark is what the oracle says must."""
        if self.engine.watermark > BEGINNING:
            at = moment(self.engine.watermark)
            assert self.net() == standing(cases(self.world.rules, self.facts, self.world.calendar, at))


def in_order(found: dict[Subject, list[Found]]) -> dict[Subject, list[Found]]:
    return {
        subject: sorted(cases, key=lambda case: (case.rule, case.started_at, case.root))
        for subject, cases in found.items()
    }


def without_deadlines(found: dict[Subject, list[Found]]) -> dict[Subject, list[Found]]:
    return {subject: [replace(case, deadline=None) for case in cases] for subject, cases in found.items()}


def whole(world: World, facts: Sequence[Fact], until: datetime) -> Run:
    """Everything sent, then time moved once."""
    run = Run(world)
    for fact in facts:
        run.send(fact)
    run.advance(until)
    return run
