//! Kinds about an act: at one instant what speaks for the person counts as earlier, what speaks against as later, so an
//! act waits until an event at a later instant comes.

use crate::alerts::{Outcome, Report, Said, Verdict, put_number};
use crate::calendar::Days;
use crate::document::{ActBody, ActVersion, CaseLines, Conditions, Fault, Limit, Lines, Named, Period, Slot};
use crate::events::{Val, date};
use crate::hashing::HashMap;
use crate::kinds::{Judged, State, Status, earlier};
use crate::lines::{Place, Text};
use crate::subject::{Fields, Subject, TABLES, TEXTS, sayable};

/// As `MOST_WAITING` of `streams/core/kinds/evidence.py`.
const MOST_WAITING: usize = 2_000;

/// As `MOST_VIOLATIONS` of `streams/core/kinds/at_most.py`.
const MOST_VIOLATIONS: usize = 500;

/// What became of one act. `due` is the instant from which its faults are certain.
#[derive(Clone)]
struct Finding<'a> {
    version: &'a ActVersion,
    act: usize,
    faults: Vec<Said>,
    due: i64,
    grounds: Vec<usize>,
    is_provisional: bool,
    /// The place of the calendar by which it was counted; open time counted where the limit is one.
    calendar: usize,
    is_open_time: bool,
    is_cancelled: bool,
    lines: Option<&'a Lines>,
    case: &'a CaseLines,
}

impl<'a> Finding<'a> {
    fn is_violation(&self) -> bool {
        !self.faults.is_empty() && !self.is_cancelled
    }

    /// Where the case stands as of an instant not before the act; until it is certain nothing is known of it.
    fn verdict(&self, subject: &Subject, as_of: i64) -> Verdict<'a> {
        let at = subject.at(self.act);
        let is_certain = self.due <= as_of;
        let outcome = match (is_certain, self.is_cancelled, self.faults.is_empty()) {
            (false, _, _) => Outcome::Running,
            (true, true, _) => Outcome::Cancelled,
            (true, false, false) => Outcome::Violated,
            (true, false, true) => Outcome::Met,
        };
        let mut reports = Vec::new();
        if outcome == Outcome::Violated {
            let mut cause = Text::default();
            put_number(&mut cause, self.due);
            for (place, said) in self.faults.iter().enumerate() {
                cause.push_str(if place == 0 { ": " } else { "; " });
                cause.put(&said.key);
            }
            let cause = cause.into_string();
            match self.lines {
                None => subject.hand_back(TEXTS),
                Some(lines) => reports.push(Report { kind: "violation", cause, due: self.due, lines }),
            }
        }
        let mut evidence = if is_certain { self.grounds.clone() } else { vec![self.act] };
        if is_certain && !self.is_cancelled {
            evidence.sort_unstable(); // by their place, which is the order of time
            evidence.dedup();
        }
        Verdict {
            span: &self.version.span,
            root: None,
            item: None,
            anchor: self.act,
            outcome,
            started_at: at,
            deadline: None,
            stopped_at: None,
            ended_at: self.due.max(at).min(as_of.max(at)),
            reports,
            limit: None,
            pauses: Vec::new(),
            until: None,
            is_provisional: self.is_provisional,
            calendar: self.calendar,
            is_open_time: self.is_open_time,
            after: None,
            evidence,
            faults: if is_certain { self.faults.clone() } else { Vec::new() },
            case: self.case,
        }
    }
}

/// An act whose close is still to come: the facts known at it, and the reset before which nothing counts.
struct Pending {
    act: usize,
    facts: Option<usize>,
    since: i64,
}

/// What acts are counted with: a value of a field, and a period.
type CountKey = (u8, Vec<u8>, i64);

/// What one version has seen; the kind's own part last.
#[derive(Default)]
struct Watch {
    found: Vec<Option<usize>>,
    facts: Option<usize>,
    held: Vec<usize>,
    /// Whether what it is about has ended, so that nothing seen counts for a later act.
    is_closed: bool,
    reset_at: i64,
    /// Acts of the latest instant, each with the reset before it: they stand apart until its facts are all known.
    latest: Vec<(usize, i64)>,
    /// Notices, or what else an act is counted from.
    since: Vec<usize>,
    // evidence
    pending: Vec<Pending>,
    cancelled: Vec<Pending>,
    cancel: Option<usize>,
    seen: Vec<Vec<usize>>,
    // at_most
    counted: HashMap<CountKey, Vec<usize>>,
    // forbidden_while
    lifted_at: i64,
    is_kept_out: bool,
    // retention
    reading_day: Option<i64>,
}

impl Watch {
    fn clear(&mut self) {
        let Watch {
            found,
            facts,
            held,
            is_closed,
            reset_at,
            latest,
            since,
            pending,
            cancelled,
            cancel,
            seen,
            counted,
            lifted_at,
            is_kept_out,
            reading_day,
        } = self;
        found.fill(None);
        held.clear();
        latest.clear();
        since.clear();
        pending.clear();
        cancelled.clear();
        seen.iter_mut().for_each(Vec::clear);
        counted.clear();
        (*facts, *cancel, *reading_day) = (None, None, None);
        (*is_closed, *is_kept_out) = (false, false);
        (*reset_at, *lifted_at) = (NEVER, NEVER);
    }
}

impl ActBody {
    /// Whether its limit is one of open time; of a recording delay each choice says so.
    fn is_open_time(&self) -> bool {
        match self {
            ActBody::NotBefore { limit, .. }
            | ActBody::Retention { limit, .. }
            | ActBody::MinimumNotice { limit, .. } => {
                matches!(limit, Limit::BusinessTime(_))
            }
            _ => false,
        }
    }
}

const NEVER: i64 = -(1 << 62);

impl ActVersion {
    fn watch(&self) -> Watch {
        Watch {
            found: vec![None; self.slots.len()],
            seen: if self.is_closing() { vec![Vec::new(); self.slots.len()] } else { Vec::new() },
            reset_at: NEVER,
            lifted_at: NEVER,
            ..Watch::default()
        }
    }

    /// Whether acts wait for their close.
    fn is_closing(&self) -> bool {
        matches!(&self.body, ActBody::Evidence { by, .. } if !by.is_empty())
    }

    fn is_act(&self, subject: &Subject, event: usize) -> bool {
        subject.fits(&self.act, event, None)
    }

    fn is_trigger(&self, subject: &Subject, event: usize) -> bool {
        match &self.body {
            ActBody::Evidence { by, cancel, .. } if !by.is_empty() => {
                subject.fits(by, event, None) || subject.fits(cancel, event, None)
            }
            _ => self.is_act(subject, event) && self.span.holds(subject.at(event)),
        }
    }

    fn applies(&self, facts: Option<usize>, subject: &Subject, act: usize) -> bool {
        self.when.is_empty() || subject.holds(&self.when, Fields { event: act, facts, type_field: None })
    }

    /// Take what speaks for the person at once.
    fn note(&self, watch: &mut Watch, subject: &Subject, event: usize) {
        let at = subject.at(event);
        if watch.latest.last().is_some_and(|(act, _)| subject.at(*act) != at) {
            match self.body {
                ActBody::Evidence { .. } => watch.pending.extend(self.admitted(watch, subject)),
                ActBody::AtMost { .. } => self.count(watch, subject),
                _ => {}
            }
            watch.latest.clear();
        }
        for (slot, found) in self.slots.iter().zip(&mut watch.found) {
            if subject.fits(&slot.tests, event, None) {
                *found = Some(event);
                watch.is_closed = false;
            }
        }
        if self.facts == Some(subject.event_type(event)) {
            watch.facts = Some(event);
            watch.is_closed = false;
        }
        let is_reset = subject.fits(&self.reset, event, None);
        if is_reset {
            watch.held.push(event);
        }
        if subject.fits(&self.closed_by, event, None) {
            watch.is_closed = true;
        }
        self.note_own(watch, subject, event, is_reset);
    }

    fn note_own(&self, watch: &mut Watch, subject: &Subject, event: usize, is_reset: bool) {
        let at = subject.at(event);
        match &self.body {
            ActBody::Prerequisite | ActBody::RecordingDelay { .. } => {}
            ActBody::Evidence { by, cancel, .. } if !by.is_empty() => {
                for (slot, seen) in self.slots.iter().zip(&mut watch.seen) {
                    if subject.fits(&slot.tests, event, None) {
                        seen.push(event);
                    }
                }
                if subject.fits(cancel, event, None) {
                    if watch.cancel.is_none_or(|known| subject.at(known) != at) {
                        watch.cancel = Some(event);
                    }
                    watch.cancelled.append(&mut watch.pending);
                }
                if self.is_act(subject, event) && self.span.holds(at) {
                    watch.latest.push((event, watch.reset_at));
                    watch.is_closed = false;
                }
            }
            ActBody::Evidence { .. } => {}
            ActBody::AtMost { .. } => {
                if is_reset {
                    // It speaks for the person, and so parts the acts of its own instant too.
                    watch.counted.clear();
                    watch.reset_at = at;
                }
                if self.is_act(subject, event) {
                    watch.latest.push((event, NEVER));
                    watch.is_closed = false;
                }
            }
            ActBody::ForbiddenWhile { since, until, not_after, .. } => {
                if subject.fits(not_after, event, None) {
                    watch.is_kept_out = true;
                    watch.since.retain(|since| subject.at(*since) < at);
                }
                if subject.fits(until, event, None) {
                    watch.lifted_at = at;
                    watch.since.clear();
                }
                if subject.fits(since, event, None) {
                    watch.is_closed = false;
                    if !watch.is_kept_out && watch.lifted_at != at {
                        watch.since.push(event);
                    }
                }
            }
            ActBody::NotBefore { since, .. } | ActBody::MinimumNotice { notice: since, .. } => {
                if subject.fits(since, event, None) {
                    watch.since.push(event);
                    watch.is_closed = false;
                }
            }
            ActBody::Retention { since, days, reading_day, .. } => {
                if subject.fits(days, event, None) {
                    match subject.value(subject.plain(event), *reading_day) {
                        Val::Int(day) if (1..=31).contains(&day) => watch.reading_day = Some(day),
                        _ => {}
                    }
                }
                if self.is_act(subject, event) {
                    watch.is_closed = true; // done away with; a new beginning opens it again
                }
                if subject.fits(since, event, None) {
                    watch.since.push(event);
                    watch.is_closed = false;
                }
            }
        }
    }

    /// A reset at an instant: nothing earlier counts any more.
    fn spoil(&self, watch: &mut Watch, subject: &Subject, at: i64) {
        for found in &mut watch.found {
            *found = found.filter(|event| subject.at(*event) >= at);
        }
        match &self.body {
            ActBody::Evidence { .. } => watch.reset_at = at,
            ActBody::NotBefore { .. } | ActBody::MinimumNotice { .. } | ActBody::Retention { .. } => {
                watch.since.retain(|event| subject.at(*event) >= at);
            }
            ActBody::Prerequisite
            | ActBody::RecordingDelay { .. }
            | ActBody::AtMost { .. }
            | ActBody::ForbiddenWhile { .. } => {}
        }
    }

    /// The trigger's findings have been taken.
    fn found(&self, watch: &mut Watch) {
        watch.cancelled.clear();
        if self.is_closing() {
            watch.pending.clear();
            watch.latest.clear();
        }
    }

    /// The acts of the latest instant that the rule is about, as many as there is room for.
    fn admitted(&self, watch: &Watch, subject: &Subject) -> Vec<Pending> {
        let room = MOST_WAITING - watch.pending.len() - watch.cancelled.len();
        let open = watch.latest.iter().filter(|(act, _)| self.applies(watch.facts, subject, *act)).take(room);
        open.map(|(act, since)| Pending { act: *act, facts: watch.facts, since: *since }).collect()
    }

    /// Whether no event seen matters to a later act.
    fn is_idle(&self, watch: &Watch) -> bool {
        let is_bare = watch.facts.is_none() && watch.held.is_empty() && watch.found.iter().all(Option::is_none);
        let is_own_bare = match &self.body {
            ActBody::AtMost { .. } => watch.counted.is_empty() && watch.latest.is_empty(),
            _ => watch.since.is_empty(),
        };
        // An event that accompanies an act counts for no other one.
        watch.is_closed || self.is_closing() || (is_bare && is_own_bare)
    }

    fn open_acts(&self, watch: &Watch, subject: &Subject) -> Vec<usize> {
        if !self.is_closing() {
            return Vec::new();
        }
        let now = self.admitted(watch, subject);
        watch.pending.iter().chain(&now).map(|pending| pending.act).collect()
    }

    /// What an act is counted with; `None` where the field that tells is not there.
    fn count_key(&self, subject: &Subject, act: usize) -> Option<CountKey> {
        let ActBody::AtMost { per, period, .. } = &self.body else { return None };
        let (tag, value) = match per.map(|per| subject.value(subject.plain(act), per)) {
            None => (0, Vec::new()),
            Some(Val::Text(span)) => (1, subject.bytes(span).to_vec()),
            Some(Val::Int(number)) => (2, number.to_string().into_bytes()),
            Some(Val::Bool(value)) => (3, if value { b"True".to_vec() } else { b"False".to_vec() }),
            Some(Val::Null | Val::Decimal | Val::List(_)) => return None,
        };
        let at = subject.at(act);
        let period = match period {
            None => 0,
            Some(Period::Day) => subject.days.date(at),
            Some(Period::Month) => subject.days.month(at),
        };
        Some((tag, value, period))
    }

    fn count(&self, watch: &mut Watch, subject: &Subject) {
        let ActBody::AtMost { n, .. } = &self.body else { return };
        for (act, _) in std::mem::take(&mut watch.latest) {
            if let Some(key) = self.count_key(subject, act) {
                if subject.at(act) != watch.reset_at && self.applies(watch.facts, subject, act) {
                    let acts = watch.counted.entry(key).or_default();
                    if acts.len() < *n + MOST_VIOLATIONS {
                        acts.push(act);
                    }
                }
            }
        }
    }

    fn missing(&self, watch: &Watch, subject: &Subject, act: usize) -> Vec<Said> {
        let slots = self.slots.iter().zip(&watch.found);
        slots.filter_map(|(slot, found)| slot.missing(subject, *found, act, subject.at(act), None)).collect()
    }

    /// Add what is found out at a trigger, with everything up to its instant noted.
    fn find<'a>(&'a self, watch: &Watch, subject: &Subject, act: usize, found: &mut Vec<Finding<'a>>) {
        if self.is_closing() {
            found.extend(self.closing(watch, subject, act));
        } else {
            found.extend(self.found_at(watch, subject, act));
        }
    }

    /// What is found out at an act that waits for nothing.
    fn found_at<'a>(&'a self, watch: &Watch, subject: &Subject, act: usize) -> Option<Finding<'a>> {
        let lines = self.lines.get(&subject.event_type(act));
        let at = subject.at(act);
        let own = subject.calendar(&self.span.counted_by, Fields { event: act, facts: watch.facts, type_field: None });
        let days = &subject.calendars[own];
        let finding = |faults: Vec<Said>, more: &[usize], is_provisional| {
            let grounds = watch.facts.iter().chain(watch.found.iter().flatten()).chain(more).copied().chain([act]);
            let grounds = grounds.collect();
            let case = &self.case;
            let (calendar, is_open_time) = (own, self.body.is_open_time());
            Finding {
                version: self,
                act,
                faults,
                due: at,
                grounds,
                is_provisional,
                calendar,
                is_open_time,
                is_cancelled: false,
                lines,
                case,
            }
        };
        if let ActBody::RecordingDelay { choices, late } = &self.body {
            let fields = Fields { event: act, facts: None, type_field: subject.type_field };
            let chosen = choices.iter().find(|choice| subject.holds(&choice.when, fields));
            let choice = chosen.filter(|_| self.applies(watch.facts, subject, act))?;
            let mut found = finding(Vec::new(), &[], false);
            self.recorded(&mut found, subject, &choice.limit, late);
            found.lines = choice.lines.get(&subject.event_type(act));
            found.case = &choice.case;
            return Some(found);
        }
        if let ActBody::AtMost { .. } = &self.body {
            return self.too_many(watch, subject, act, finding);
        }
        self.applies(watch.facts, subject, act).then_some(())?;
        Some(match &self.body {
            ActBody::Evidence { carry, lacks, .. } => {
                let mut faults = carried(carry, lacks, subject, act);
                faults.extend(self.missing(watch, subject, act));
                finding(faults, &[], false)
            }
            ActBody::ForbiddenWhile { forbidden, .. } => {
                let since = watch.since.iter().rev().copied().find(|since| subject.at(*since) < at);
                let said = since.map(|since| {
                    Said::new(forbidden, |text, place| match place {
                        Place::Since => subject.days.shown(text, subject.at(since)),
                        _ => subject.hand_back(TEXTS),
                    })
                });
                finding(said.into_iter().collect(), since.as_slice(), false)
            }
            ActBody::NotBefore { date_field, limit, early, .. } => {
                let began = |event: usize| began(subject, event, *date_field);
                // Of several that began at once the first counts.
                let since = watch.since.iter().copied().min_by_key(|event| began(*event).0)?;
                let (began, day) = began(since);
                let (faults, is_provisional) =
                    self.early(subject, early, days.earliest(limit, began, None), (began, day), at);
                finding(faults, &[since], is_provisional)
            }
            ActBody::Retention { limit, early, .. } => {
                let since = latest_before(subject, &watch.since, at)?;
                let began = subject.at(since);
                let lawful = days.earliest(limit, began, watch.reading_day);
                let (faults, is_provisional) = self.early(subject, early, lawful, (began, None), at);
                finding(faults, &[since], is_provisional)
            }
            ActBody::MinimumNotice { .. } => {
                let (notice, mut faults, is_provisional) = self.noticed(watch, subject, act, days);
                faults.extend(self.missing(watch, subject, act));
                finding(faults, notice.as_slice(), is_provisional)
            }
            _ => finding(self.missing(watch, subject, act), &[], false),
        })
    }

    fn recorded(&self, found: &mut Finding, subject: &Subject, limit: &Limit, late: &Fault) {
        found.is_open_time = matches!(limit, Limit::BusinessTime(_));
        let by = subject.calendars[found.calendar].deadline(limit, subject.at(found.act), &[], None, None);
        let Some((by, is_provisional)) = by.and_then(|by| Some((by.at?, by.is_provisional))) else {
            return subject.hand_back(TABLES);
        };
        found.is_provisional = is_provisional;
        let entered = subject.entered(found.act);
        if entered > by {
            found.due = by;
            found.faults.push(Said::new(late, |text, place| match place {
                Place::Recorded => subject.days.shown(text, entered),
                Place::RecordedBy => subject.days.shown(text, by),
                Place::Number => put_number(text, entered),
                _ => subject.hand_back(TEXTS),
            }));
        }
    }

    fn too_many<'a>(
        &'a self, watch: &Watch, subject: &Subject, act: usize,
        finding: impl Fn(Vec<Said>, &[usize], bool) -> Finding<'a>,
    ) -> Option<Finding<'a>> {
        let ActBody::AtMost { n, per, many, .. } = &self.body else { return None };
        let key = self.count_key(subject, act).filter(|_| self.applies(watch.facts, subject, act))?;
        let mut before = watch.counted.get(&key).cloned().unwrap_or_default();
        if watch.reset_at != subject.at(act) {
            let own = watch.latest.iter().map(|(other, _)| *other).filter(|other| {
                *other < act
                    && self.count_key(subject, *other).as_ref() == Some(&key)
                    && self.applies(watch.facts, subject, *other)
            });
            before.extend(own);
        }
        if before.len() >= *n + MOST_VIOLATIONS {
            return None;
        }
        let count = before.len() + 1;
        let mut faults = Vec::new();
        if count > *n {
            faults.push(Said::new(many, |text, place| match place {
                Place::Number => put_number(text, count as i64),
                Place::Value if per.is_some() => text.push_str(&sayable(subject, &key.1)),
                _ => subject.hand_back(TEXTS),
            }));
        }
        Some(finding(faults, &before, false))
    }

    /// The fault of an act before a limit has passed since something began, and whether that is provisional.
    fn early(
        &self, subject: &Subject, early: &Fault, lawful: Option<(i64, bool)>, (began, day): (i64, Option<i64>), at: i64,
    ) -> (Vec<Said>, bool) {
        let Some((lawful, is_provisional)) = lawful else {
            subject.hand_back(TABLES);
            return (Vec::new(), false);
        };
        let said = (at < lawful).then(|| too_early(subject, early, began, day, lawful));
        (said.into_iter().collect(), is_provisional)
    }

    /// The notice that an act rests on, what is wrong with it, and whether that is provisional.
    fn noticed(&self, watch: &Watch, subject: &Subject, act: usize, days: &Days) -> (Option<usize>, Vec<Said>, bool) {
        let ActBody::MinimumNotice { covers, limit, at_most, without, early, late, .. } = &self.body else {
            return (None, Vec::new(), false);
        };
        let at = subject.at(act);
        let mut notices: Vec<usize> = watch.since.clone();
        notices.retain(|notice| {
            covers.iter().all(|(wanted, given)| {
                covers_one(subject, subject_value(subject, act, wanted), subject_value(subject, *notice, given))
            })
        });
        if at_most.is_some() {
            notices = latest_before(subject, &notices, at).into_iter().collect();
        }
        let mut best = None;
        for notice in notices.iter().rev().chain(notices.first()) {
            let since = subject.at(*notice);
            let latest = at_most.as_ref().map(|limit| days.latest(limit, since));
            let (Some((least, is_provisional)), false) = (days.earliest(limit, since, None), latest == Some(None))
            else {
                subject.hand_back(TABLES);
                return (None, Vec::new(), false);
            };
            // The latest one that makes the act lawful; where none does, the earliest, which comes last here.
            best = Some((*notice, least, latest.flatten(), is_provisional));
            if at >= least && latest.flatten().is_none_or(|latest| at <= latest) {
                break;
            }
        }
        let nothing = |_: &mut Text, _| subject.hand_back(TEXTS);
        let Some((notice, least, latest, is_provisional)) = best else {
            return (None, vec![Said::new(without, nothing)], false);
        };
        let since = subject.at(notice);
        let mut faults = Vec::new();
        if at < least {
            faults.push(too_early(subject, early, since, None, least));
        } else if let Some(latest) = latest.filter(|latest| at > *latest) {
            faults.push(too_early(subject, late, since, None, latest));
        }
        (Some(notice), faults, is_provisional)
    }

    fn closing<'a>(&'a self, watch: &Watch, subject: &Subject, trigger: usize) -> Vec<Finding<'a>> {
        let at = subject.at(trigger);
        let now = self.admitted(watch, subject);
        if let Some(cancel) = watch.cancel.filter(|cancel| subject.at(*cancel) == at) {
            let called_off = |pending: &Pending| Finding {
                version: self,
                act: pending.act,
                faults: Vec::new(),
                due: at,
                grounds: vec![pending.act, cancel],
                is_provisional: false,
                calendar: 0,
                is_open_time: false,
                is_cancelled: true,
                lines: None,
                case: &self.case,
            };
            return watch.cancelled.iter().chain(&now).map(called_off).collect();
        }
        let acts: Vec<&Pending> = watch.pending.iter().chain(&now).collect();
        let Some(start) = acts.first().map(|pending| subject.at(pending.act)) else { return Vec::new() };
        acts.iter().map(|pending| self.closed(watch, subject, pending, start, trigger)).collect()
    }

    fn closed<'a>(
        &'a self, watch: &Watch, subject: &Subject, pending: &Pending, start: i64, close: usize,
    ) -> Finding<'a> {
        let act = pending.act;
        let by = subject.at(close);
        let mut faults = match &self.body {
            ActBody::Evidence { carry, lacks, .. } => carried(carry, lacks, subject, act),
            _ => Vec::new(),
        };
        let mut grounds = vec![act];
        grounds.extend(pending.facts);
        grounds.push(close);
        for (slot, seen) in self.slots.iter().zip(&watch.seen) {
            let there: Vec<usize> = seen.iter().copied().filter(|event| subject.at(*event) >= pending.since).collect();
            // Not only the latest: what happened on the act's day is not undone by its happening again.
            let is_good = |event: &usize| slot.missing(subject, Some(*event), act, start, None).is_none();
            let latest = there.iter().copied().rfind(is_good).or(there.last().copied());
            faults.extend(slot.missing(subject, latest, act, start, Some(by)));
            grounds.extend(latest);
        }
        Finding {
            version: self,
            act,
            faults,
            due: by,
            grounds,
            is_provisional: false,
            calendar: 0,
            is_open_time: false,
            is_cancelled: false,
            lines: self.lines.get(&subject.event_type(act)),
            case: &self.case,
        }
    }
}

impl Slot {
    /// The fault, where the latest event that would do does not.
    fn missing(
        &self, subject: &Subject, found: Option<usize>, act: usize, start: i64, by: Option<i64>,
    ) -> Option<Said> {
        if !self.if_act.is_empty() && !subject.holds(&self.if_act, subject.plain(act)) {
            return None;
        }
        let day = |event: usize| subject.days.date(subject.at(event));
        let fault = match found.filter(|found| !(self.after_start && subject.at(*found) < start)) {
            Some(found) if !self.same_day || day(found) == day(act) => return None,
            Some(_) => &self.on_day,
            None if by.is_some() => &self.by_close,
            None if self.same_day => &self.on_day,
            None => &self.missing,
        };
        Some(Said::new(fault, |text, place| match (place, by) {
            (Place::By, Some(by)) => subject.days.shown(text, by),
            _ => subject.hand_back(TEXTS),
        }))
    }
}

fn carried(carry: &[Conditions], lacks: &Fault, subject: &Subject, act: usize) -> Vec<Said> {
    let is_good = carry.is_empty() || carry.iter().any(|conditions| subject.holds(conditions, subject.plain(act)));
    let said = (!is_good).then(|| Said::new(lacks, |_, _| subject.hand_back(TEXTS)));
    said.into_iter().collect()
}

/// The instant from which is counted, and the local date where it came from a field.
fn began(subject: &Subject, event: usize, date_field: Option<usize>) -> (i64, Option<i64>) {
    let at = subject.at(event);
    let Some(Val::Text(span)) = date_field.map(|field| subject.value(subject.plain(event), field)) else {
        return (at, None);
    };
    match date(subject.bytes(span)) {
        Some(day) => (subject.days.start(day), Some(day)),
        None => {
            subject.hand_back(TABLES);
            (at, None)
        }
    }
}

/// The last of the events; one at the act's own instant only where there is no other.
fn latest_before(subject: &Subject, events: &[usize], at: i64) -> Option<usize> {
    events.iter().copied().rfind(|event| subject.at(*event) < at).or(events.last().copied())
}

fn too_early(subject: &Subject, fault: &Fault, since: i64, since_on: Option<i64>, bound: i64) -> Said {
    Said::new(fault, |text, place| match (place, since_on) {
        (Place::Since, None) => subject.days.shown(text, since),
        (Place::Since, Some(day)) => subject.days.day(text, day),
        (Place::Lawful, _) => subject.days.shown(text, bound),
        (Place::Number, _) => put_number(text, bound),
        _ => subject.hand_back(TEXTS),
    })
}

fn subject_value(subject: &Subject, event: usize, named: &Named) -> Val {
    match named {
        Named::Field(field) => subject.value(subject.plain(event), *field),
        Named::Id(kind) => match subject.events[event].subjects[*kind] {
            span if span.is_empty() => Val::Null,
            span => Val::Text(span),
        },
    }
}

/// Whether a notice's value covers that of an act; what either does not say covers.
fn covers_one(subject: &Subject, wanted: Val, given: Val) -> bool {
    match (wanted, given) {
        (Val::Null, _) | (_, Val::Null) => true,
        (Val::Text(wanted), Val::List(given)) => subject.items(given).any(|item| item == subject.bytes(wanted)),
        (_, Val::List(_)) => false,
        _ => subject.same(wanted, given),
    }
}

pub struct Acts<'a> {
    versions: &'a [ActVersion],
    watches: Vec<Watch>,
    instant: i64,
    waiting: Vec<(usize, usize)>,
    settled: Vec<Finding<'a>>,
}

impl<'a> Acts<'a> {
    pub fn new(versions: &'a [ActVersion]) -> Acts<'a> {
        let watches = versions.iter().map(ActVersion::watch).collect();
        Acts { versions, watches, instant: NEVER, waiting: Vec::new(), settled: Vec::new() }
    }

    /// What the waiting triggers show.
    fn shown(&self, subject: &Subject) -> Vec<Finding<'a>> {
        let mut found = Vec::new();
        self.show(subject, &mut found);
        found
    }

    /// Add it; of two for one act at the same instant the first counts.
    fn show(&self, subject: &Subject, found: &mut Vec<Finding<'a>>) {
        let first = found.len();
        for (index, trigger) in &self.waiting {
            self.versions[*index].find(&self.watches[*index], subject, *trigger, found);
        }
        if self.waiting.len() > 1 {
            let mut kept = first;
            for place in first..found.len() {
                if found[first..kept].iter().all(|known| known.act != found[place].act) {
                    found.swap(kept, place);
                    kept += 1;
                }
            }
            found.truncate(kept);
        }
    }

    /// Acts that still wait for something; what is waiting to be settled waits for nothing more.
    fn still_open(&self, subject: &Subject, waiting: &[Finding]) -> Vec<(usize, &'a ActVersion)> {
        let mut found = Vec::new();
        for (version, watch) in self.versions.iter().zip(&self.watches) {
            let open = version.open_acts(watch, subject).into_iter();
            found
                .extend(open.filter(|act| waiting.iter().all(|finding| finding.act != *act)).map(|act| (act, version)));
        }
        found
    }

    fn judge_every(&self, subject: &Subject, as_of: i64) -> Judged<'a> {
        let (mut verdicts, mut following) = (Vec::new(), None);
        let waiting = self.shown(subject);
        for finding in self.settled.iter().chain(&waiting) {
            if finding.due > as_of && finding.is_violation() {
                following = earlier(following, Some(finding.due));
            }
            if finding.due <= as_of || subject.at(finding.act) <= as_of {
                verdicts.push(finding.verdict(subject, as_of));
            }
        }
        for (act, version) in self.still_open(subject, &waiting) {
            if subject.at(act) <= as_of {
                let open = Finding {
                    version,
                    act,
                    faults: Vec::new(),
                    due: as_of + 1,
                    grounds: vec![act],
                    is_provisional: false,
                    calendar: 0,
                    is_open_time: false,
                    is_cancelled: false,
                    lines: None,
                    case: &version.span.case,
                };
                verdicts.push(open.verdict(subject, as_of));
            }
        }
        (verdicts, following)
    }
}

impl<'a> State<'a> for Acts<'a> {
    fn clear(&mut self) {
        let Acts { versions: _, watches, instant, waiting, settled } = self;
        watches.iter_mut().for_each(Watch::clear);
        *instant = NEVER;
        waiting.clear();
        settled.clear();
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        let at = subject.at(event);
        if at != self.instant {
            if !self.waiting.is_empty() {
                let mut settled = std::mem::take(&mut self.settled);
                self.show(subject, &mut settled);
                self.settled = settled;
                for (index, _) in self.waiting.drain(..) {
                    self.versions[index].found(&mut self.watches[index]);
                }
            }
            for (version, watch) in self.versions.iter().zip(&mut self.watches) {
                for place in 0..watch.held.len() {
                    version.spoil(watch, subject, subject.at(watch.held[place]));
                }
                watch.held.clear();
            }
            self.instant = at;
        }
        let event_type = subject.event_type(event);
        for (index, version) in self.versions.iter().enumerate() {
            if version.listens.contains(&event_type) {
                version.note(&mut self.watches[index], subject, event);
                if version.is_trigger(subject, event) {
                    self.waiting.push((index, event));
                }
            }
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        if every {
            return self.judge_every(subject, as_of);
        }
        let (mut verdicts, mut following) = (Vec::new(), None);
        let waiting = self.shown(subject);
        for finding in self.settled.iter().chain(&waiting).filter(|finding| finding.is_violation()) {
            if finding.due <= as_of {
                verdicts.push(finding.verdict(subject, as_of));
            } else {
                following = earlier(following, Some(finding.due));
            }
        }
        (verdicts, following)
    }

    fn reported(&self, subject: &Subject, until: i64) -> Option<Vec<Verdict<'a>>> {
        let waiting = self.shown(subject);
        let told = self.settled.iter().chain(&waiting);
        let told = told.filter(|finding| finding.is_violation() && finding.due <= until);
        Some(told.map(|finding| finding.verdict(subject, finding.due)).collect())
    }

    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        let waiting = self.shown(subject);
        let running = |act: usize| Status {
            anchor: act,
            outcome: Outcome::Running,
            started_at: subject.at(act),
            deadline: None,
            is_certain: true,
            is_running: true,
        };
        let mut found = Vec::new();
        for finding in self.settled.iter().chain(&waiting) {
            if finding.due <= as_of {
                let outcome = match (finding.is_cancelled, finding.faults.is_empty()) {
                    (true, _) => Outcome::Cancelled,
                    (false, false) => Outcome::Violated,
                    (false, true) => Outcome::Met,
                };
                let is_certain = outcome != Outcome::Violated || finding.due <= watermark;
                found.push(Status { outcome, is_certain, is_running: false, ..running(finding.act) });
            } else if subject.at(finding.act) <= as_of {
                found.push(running(finding.act));
            }
        }
        let open = self.still_open(subject, &waiting).into_iter().map(|(act, _)| act);
        found.extend(open.filter(|act| subject.at(*act) <= as_of).map(running));
        found
    }

    fn open_cases(&self, subject: &Subject, _as_of: i64) -> Vec<usize> {
        self.still_open(subject, &self.shown(subject)).into_iter().map(|(act, _)| act).collect()
    }

    fn is_idle(&self, subject: &Subject) -> bool {
        self.versions.iter().zip(&self.watches).all(|(version, watch)| version.is_idle(watch))
            && self.open_cases(subject, self.instant).is_empty()
    }

    fn has_case(&self, subject: &Subject, as_of: i64) -> bool {
        let waiting = self.shown(subject);
        let is_begun = |act: usize| subject.at(act) <= as_of;
        self.settled.iter().chain(&waiting).any(|finding| finding.due <= as_of || is_begun(finding.act))
            || self.still_open(subject, &waiting).iter().any(|(act, _)| is_begun(*act))
    }
}
