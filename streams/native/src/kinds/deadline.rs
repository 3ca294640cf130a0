//! Kind `deadline`: the stop must occur within the limit of the start.

use crate::alerts::Verdict;
use crate::document::{DeadlineVersion, Limit, Pattern, Patterns};
use crate::events::{Val, date, instant};
use crate::kinds::clock::Clock;
use crate::kinds::{Judged, State, Status, earlier};
use crate::subject::{Fields, Subject, TABLES, names};

/// What one version has seen apart from any case.
struct Watch {
    /// Of the groups that make the start together; none where there is but one.
    marks: Vec<Option<usize>>,
    holds: bool,
    paused_since: Option<usize>,
    facts: Option<usize>,
    /// Of the types after which something does not pause the clock, those that came since the case before.
    seen: Vec<usize>,
}

pub struct Case<'a> {
    pub clock: Clock<'a>,
    version: &'a DeadlineVersion,
    /// Its place among the versions.
    index: usize,
    fields: Fields,
    /// The events for which it stands still, where the version tells them apart: one of a type.
    held: Vec<usize>,
    /// Closed, and not simply met: only such a case, or an open one, can owe a report.
    is_owing: bool,
}

pub struct Deadlines<'a> {
    versions: &'a [DeadlineVersion],
    watches: Vec<Watch>,
    pub open: Option<Case<'a>>,
    pub closed: Vec<Case<'a>>,
    /// The start of the latest case.
    pub latest: Option<usize>,
    /// Stops at the latest instant that ended nothing.
    strays: Vec<usize>,
}

impl<'a> Deadlines<'a> {
    pub fn new(versions: &'a [DeadlineVersion]) -> Deadlines<'a> {
        let watch = |version: &DeadlineVersion| Watch {
            marks: if version.groups.len() > 1 { vec![None; version.groups.len()] } else { Vec::new() },
            holds: version.since.is_none(),
            paused_since: None,
            facts: None,
            seen: Vec::new(),
        };
        Deadlines {
            versions,
            watches: versions.iter().map(watch).collect(),
            open: None,
            closed: Vec::new(),
            latest: None,
            strays: Vec::new(),
        }
    }

    fn cases(&self) -> impl Iterator<Item = &Case<'a>> {
        self.closed.iter().chain(&self.open)
    }

    /// Whether the event is the stop of the open case.
    fn step_open(&mut self, subject: &Subject, event: usize) -> bool {
        let Some(case) = &mut self.open else { return false };
        let (start, at, clock) = (Some(case.fields), subject.at(event), &mut case.clock);
        if subject.fits(&case.version.stop, event, start) {
            clock.stop = Some(event);
        } else if subject.fits(&case.version.cancel, event, start) {
            clock.cancel = Some(event);
        } else if pauses(case.version, subject, event, case.fields, &self.watches[case.index].seen) {
            if clock.pauses.last().is_none_or(|(_, until)| until.is_some()) {
                // Resumed at this very instant: the clock has not run between, it is one standstill.
                match clock.pauses.last_mut() {
                    Some((_, until)) if *until == Some(at) => *until = None,
                    _ => clock.pauses.push((at, None)),
                }
                clock.paused_by.push(event);
                clock.time(subject);
                case.held.clear();
                case.held.push(event);
            } else if !case.version.ends.is_empty() {
                clock.paused_by.push(event);
                case.held.retain(|one| subject.event_type(*one) != subject.event_type(event));
                case.held.push(event);
            }
            return false;
        } else {
            if !subject.fits(&case.version.resume, event, start) {
                return false;
            }
            let (version, fields) = (case.version, case.fields);
            let left = |pause: &usize| is_left(version, subject, event, fields, *pause);
            if case.held.iter().any(left) {
                if !case.held.iter().all(left) {
                    clock.paused_by.push(event);
                    case.held.retain(left);
                }
            } else if clock.end_pause(at) {
                case.held.clear();
                clock.paused_by.push(event);
                clock.time(subject);
            }
            return false;
        }
        let is_stop = clock.stop == Some(event);
        self.close(subject, at);
        is_stop
    }

    fn close(&mut self, subject: &Subject, at: i64) {
        let Some(mut case) = self.open.take() else { return };
        if case.clock.end_pause(at) {
            case.clock.time(subject);
        }
        for watch in &mut self.watches {
            watch.paused_since = None;
            watch.seen.clear();
        }
        case.is_owing = case.clock.cancel.is_some() || case.clock.deadline.is_some_and(|deadline| at > deadline);
        self.closed.push(case);
    }

    fn step_watch(&mut self, index: usize, subject: &Subject, event: usize) {
        let version = &self.versions[index];
        if version.since.as_ref().is_some_and(|since| subject.fits(since, event, None)) {
            self.watches[index].holds = true;
        }
        if version.facts == Some(subject.event_type(event)) {
            self.watches[index].facts = Some(event);
        }
        for (group, patterns) in version.groups.iter().enumerate() {
            if subject.fits(patterns, event, None) {
                self.mark(index, subject, event, group);
            }
        }
        if self.open.is_none() {
            // Outside any case a pause counts only if the next case would begin under it.
            let watch = &self.watches[index];
            let fields = Fields { event, facts: watch.facts, type_field: None };
            let still = still_after(version, subject, event, fields, watch.paused_since, &watch.seen);
            self.watches[index].paused_since = still;
        }
        if subject.fits(&version.until, event, None) {
            self.watches[index].holds = false;
        }
    }

    fn mark(&mut self, index: usize, subject: &Subject, event: usize, group: usize) {
        if self.open.is_some() || self.latest == Some(event) {
            return;
        }
        let watch = &mut self.watches[index];
        if !watch.marks.is_empty() {
            watch.marks[group] = Some(event);
            if watch.marks.contains(&None) {
                return;
            }
        }
        if watch.holds && self.versions[index].span.holds(subject.at(event)) {
            self.begin(index, subject, event);
        }
    }

    fn begin(&mut self, index: usize, subject: &Subject, event: usize) {
        let (version, watch) = (&self.versions[index], &self.watches[index]);
        let fields = Fields { event, facts: watch.facts, type_field: None };
        let choice = version.choices.iter().find(|choice| subject.holds(&choice.when, fields));
        let mut clock = Clock::new(&version.span, choice, fields, subject);
        if watch.marks.iter().any(Option::is_some) {
            clock.started_by = watch.marks.iter().flatten().copied().collect();
        }
        clock.started_by.extend(watch.facts.filter(|facts| !clock.started_by.contains(facts)));
        agree(&mut clock, subject, fields);
        let mut held = Vec::new();
        if let Some(still) = still_after(version, subject, event, fields, watch.paused_since, &watch.seen) {
            clock.pauses.push((subject.at(event), None));
            clock.paused_by.push(still);
            held.push(still);
        }
        clock.time(subject);
        // What this start used up, no other version may use again.
        for watch in &mut self.watches {
            watch.marks.fill(None);
        }
        self.open = Some(Case { clock, version, index, fields, held, is_owing: false });
        self.latest = Some(event);
        let at = subject.at(event);
        let is_stop = |stray: &usize| subject.at(*stray) == at && subject.fits(&version.stop, *stray, Some(fields));
        if let Some(place) = self.strays.iter().position(is_stop) {
            // Both at the same instant: only the ids put the stop first.
            let stray = self.strays.remove(place);
            self.open.iter_mut().for_each(|case| case.clock.stop = Some(stray));
            self.close(subject, at);
        }
    }
}

/// What events make of a case that another rule's breach has started.
pub fn goes_on<'a>(
    clock: Clock<'a>, version: &'a DeadlineVersion, fields: Fields, subject: &Subject, events: &[usize],
) -> Option<Clock<'a>> {
    let mut own = Deadlines::new(std::slice::from_ref(version));
    own.open = Some(Case { clock, version, index: 0, fields, held: Vec::new(), is_owing: false });
    for event in events {
        own.step_open(subject, *event);
    }
    own.open.or(own.closed.pop()).map(|case| case.clock)
}

/// Until when, where that is what a field says.
pub fn agree(clock: &mut Clock, subject: &Subject, fields: Fields) {
    let Some(choice) = clock.choice else { return };
    let Limit::UntilField(field) = choice.limit else { return };
    let start = clock.started_at;
    let Val::Text(span) = subject.value(fields, field) else { return };
    let text = subject.bytes(span);
    if let Some(day) = date(text) {
        clock.until = (day >= subject.days.date(start)).then(|| subject.days.start(day + 1));
    } else if let Some(at) = instant(text) {
        clock.choice = choice.instant.as_deref();
        clock.until = (start <= at).then_some(at);
    } else {
        subject.hand_back(TABLES);
    }
}

/// The event since which the clock stands still after this one, if it does; of two roles a pause holds.
pub fn still_after(
    version: &DeadlineVersion, subject: &Subject, event: usize, fields: Fields, before: Option<usize>, seen: &[usize],
) -> Option<usize> {
    let start = Some(fields);
    let before = before.filter(|_| !subject.fits(&version.cancel, event, start));
    if pauses(version, subject, event, fields, seen) {
        return before.or(Some(event));
    }
    let is_resume = subject.fits(&version.resume, event, start);
    before.filter(|before| !is_resume || is_left(version, subject, event, fields, *before))
}

/// Whether the event pauses the clock, after events of the types seen.
fn pauses(version: &DeadlineVersion, subject: &Subject, event: usize, fields: Fields, seen: &[usize]) -> bool {
    if version.unless.is_empty() || seen.is_empty() {
        return subject.fits(&version.pause, event, Some(fields));
    }
    version.pause.iter().zip(&version.unless).any(|(pattern, unless)| {
        subject.fits(std::slice::from_ref(pattern), event, Some(fields))
            && !unless.iter().any(|kind| seen.contains(kind))
    })
}

/// Whether a pause goes on after an event that resumes.
fn is_left(version: &DeadlineVersion, subject: &Subject, event: usize, fields: Fields, pause: usize) -> bool {
    let is_ended = |(way, ends): (&Pattern, &Patterns)| {
        subject.fits(std::slice::from_ref(way), event, Some(fields))
            && (ends.is_empty() || subject.fits(ends, pause, Some(fields)))
    };
    !version.ends.is_empty() && !version.resume.iter().zip(&version.ends).any(is_ended)
}

impl<'a> State<'a> for Deadlines<'a> {
    fn clear(&mut self) {
        let Deadlines { versions, watches, open, closed, latest, strays } = self;
        for (watch, version) in watches.iter_mut().zip(*versions) {
            let Watch { marks, holds, paused_since, facts, seen } = watch;
            marks.fill(None);
            seen.clear();
            *holds = version.since.is_none();
            (*paused_since, *facts) = (None, None);
        }
        closed.clear();
        strays.clear();
        (*open, *latest) = (None, None);
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        let was_stopped_by = self.step_open(subject, event);
        let kind = subject.event_type(event);
        for (watch, version) in self.watches.iter_mut().zip(self.versions) {
            if version.unless.iter().any(|unless| unless.contains(&kind)) && !watch.seen.contains(&kind) {
                watch.seen.push(kind);
            }
        }
        for index in 0..self.versions.len() {
            self.step_watch(index, subject, event);
        }
        let is_stop = self.versions.iter().any(|version| names(&version.stop, kind));
        if is_stop && !was_stopped_by && self.latest != Some(event) {
            if self.strays.last().is_some_and(|last| subject.at(*last) != subject.at(event)) {
                self.strays.clear();
            }
            self.strays.push(event);
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        let (mut verdicts, mut following) = (Vec::new(), None);
        let asked = self.closed.iter().filter(|case| every || case.is_owing).chain(&self.open);
        for case in asked {
            let (due, reports) = case.clock.reports(subject, as_of);
            following = earlier(following, due);
            if !reports.is_empty() || (every && case.clock.started_at <= as_of) {
                verdicts.push(case.clock.verdict(subject, as_of, reports));
            }
        }
        (verdicts, following)
    }

    fn reported(&self, subject: &Subject, until: i64) -> Option<Vec<Verdict<'a>>> {
        let mut found = Vec::new();
        for case in self.cases() {
            if !case.clock.paused_by.is_empty() {
                return None;
            }
            case.clock.reported(subject, until, &mut found);
        }
        Some(found)
    }

    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        let begun = self.cases().filter(|case| subject.at(case.clock.start) <= as_of);
        begun.map(|case| case.clock.status(subject, as_of, watermark)).collect()
    }

    fn open_cases(&self, _subject: &Subject, _as_of: i64) -> Vec<usize> {
        self.open.iter().map(|case| case.clock.start).collect()
    }

    fn is_idle(&self, _subject: &Subject) -> bool {
        let is_bare = |(version, watch): (&DeadlineVersion, &Watch)| {
            let holds = version.since.is_some() && watch.holds;
            !holds && watch.paused_since.is_none() && watch.marks.iter().all(Option::is_none)
        };
        self.open.is_none() && self.versions.iter().zip(&self.watches).all(is_bare)
    }

    fn has_case(&self, _subject: &Subject, as_of: i64) -> bool {
        self.cases().any(|case| case.clock.started_at <= as_of)
    }
}
