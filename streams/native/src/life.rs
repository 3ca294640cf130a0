//! A subject's whole life: everything that was ever told of it, from all its events.
//!
//! Mirrors `streams/core/offline.py` and `offline_engine.py`: folded once where nothing is ever taken back, else lived
//! through step by step.

use crate::alerts::{Alerts, Report, Roots, Told, Verdict, WrittenCases, write_case};
use crate::corrections::{Effective, effective};
use crate::document::{Fold, FoldEntry, Types};
use crate::events::Event;
use crate::hashing::{HashMap, HashSet};
use crate::kinds::{Spare, State, earlier};
use crate::subject::{KIND, STRAY, Subject};
use std::rc::Rc;

pub type Folds = [(FoldEntry, Option<Fold>)];

/// Stops without a start, by fold.
pub type Orphans = HashMap<usize, u64>;

/// What tells one report from another on a subject: fold, root, kind, cause.
type ReportKey = (usize, String, &'static str, String);

/// A fold that matters to the subject: its place, its body, the subject types that take precedence.
pub struct Route<'a> {
    pub index: usize,
    pub entry: &'a FoldEntry,
    pub fold: &'a Fold,
    before: &'a [u8],
}

impl Route<'_> {
    pub fn sees(&self, subject: &Subject, event: usize) -> bool {
        self.entry.listens.contains(subject.event_type(event)) && !is_of_one(subject, event, self.before)
    }

    pub fn begins(&self, subject: &Subject, event: usize) -> bool {
        self.entry.begins.contains(subject.event_type(event)) && !is_of_one(subject, event, self.before)
    }
}

fn is_of_one(subject: &Subject, event: usize, kinds: &[u8]) -> bool {
    kinds.iter().any(|kind| !subject.events[event].subjects[*kind as usize].is_empty())
}

fn is_corrected(subject: &Subject) -> bool {
    subject.events.iter().any(|event| event.is_correction())
}

/// All its events as corrected, in order, and what those that correct stand for.
pub fn as_corrected<'a>(subject: &Subject<'a>) -> (Vec<usize>, Roots<'a>) {
    let events: Vec<usize> = (0..subject.events.len()).collect();
    if !is_corrected(subject) {
        return (events, Roots::default());
    }
    let found = effective(subject, &events);
    *subject.entered.borrow_mut() = found.entered;
    (found.events, found.roots)
}

/// The folds that may have a case; `None` where one of them is not known here.
pub fn routes_of<'a>(folds: &'a Folds, subject: &Subject) -> Option<Vec<Route<'a>>> {
    let words = subject.folds.len().div_ceil(64);
    let mut routes = Vec::new();
    for word in 0..words {
        let of_type = |event: &&Event| subject.begun[event.event_type() * words + word];
        let mut bits = subject.events.iter().map(of_type).fold(0, |found, more| found | more);
        routes.reserve(bits.count_ones() as usize);
        while bits != 0 {
            routes.push(route(folds, subject, 64 * word + bits.trailing_zeros() as usize)?);
            bits &= bits - 1;
        }
    }
    Some(routes)
}

fn route<'a>(folds: &'a Folds, subject: &Subject, place: usize) -> Option<Route<'a>> {
    let (index, place) = subject.folds[place];
    let (entry, fold) = &folds[index];
    let Some(fold) = fold else {
        subject.hand_back(KIND);
        return None;
    };
    Some(Route { index, entry, fold, before: &entry.subjects[..place] })
}

/// The folds to which one of these types matters, where one of these events has it.
pub fn routes_by<'a>(
    folds: &'a Folds, subject: &Subject, events: &[usize], by: fn(&FoldEntry) -> &Types,
) -> Option<Vec<Route<'a>>> {
    let types: Types = events.iter().map(|event| subject.event_type(*event)).collect();
    let is_met = |place: &usize| by(&folds[subject.folds[*place].0].0).meets(&types);
    (0..subject.folds.len()).filter(is_met).map(|place| route(folds, subject, place)).collect()
}

/// Every case of one subject as of the end, `with_alerts` on them; `None` where Python must write them.
pub fn cases<'a>(
    folds: &'a Folds, subject: &Subject, with_alerts: bool, spare: &mut Spare<'a>,
) -> Option<WrittenCases> {
    let routes = routes_of(folds, subject)?;
    let (mut events, roots) = as_corrected(subject);
    events.retain(|event| subject.at(*event) <= subject.until);
    let mut found = WrittenCases::default();
    for route in &routes {
        let mut state = spare.take(route);
        events.iter().filter(|event| route.sees(subject, **event)).for_each(|event| state.step(subject, *event));
        for verdict in state.judge(subject, subject.until, true).0 {
            write_case(subject, &verdict, &roots, subject.until, with_alerts, &mut found)?;
        }
        spare.give(route.index, state);
    }
    subject.unsure.get().is_none().then_some(found)
}

/// Judge one subject: its alerts are added; where it is to be left to Python the subject says so, and what is given
/// counts for nothing.
pub fn judge<'a>(folds: &'a Folds, subject: &Subject<'a>, alerts: &mut Alerts, spare: &mut Spare<'a>) -> Orphans {
    let within = subject.events.partition_point(|event| event.at <= subject.until);
    let mut found = Orphans::default();
    let Some(routes) = routes_of(folds, subject) else { return found };
    let before = alerts.all.len();
    let (has_case, events) = if is_corrected(subject) {
        step_by_step(&routes, subject, within, alerts, spare)
    } else {
        match at_once(&routes, subject, within, alerts, spare) {
            Some(true) => return found,
            Some(false) => (false, (0..within).collect()),
            None => {
                alerts.truncate(before);
                step_by_step(&routes, subject, within, alerts, spare)
            }
        }
    };
    if !has_case {
        orphans(folds, subject, &events, &mut found);
    }
    found
}

/// Stops on a subject that never had a case, by fold.
fn orphans(folds: &Folds, subject: &Subject, events: &[usize], found: &mut Orphans) {
    let types: Types = events.iter().map(|event| subject.event_type(*event)).collect();
    for &(index, place) in subject.folds.iter().filter(|(index, _)| folds[*index].0.stops.meets(&types)) {
        let (entry, fold) = &folds[index];
        let is_seen = |event: &&usize| {
            entry.stops.contains(subject.event_type(**event)) && !is_of_one(subject, **event, &entry.subjects[..place])
        };
        for event in events.iter().filter(is_seen) {
            let versions = match fold {
                Some(Fold::Deadline(versions)) => versions,
                Some(Fold::Each(each)) => &each.versions,
                _ => return subject.hand_back(STRAY),
            };
            let event_type = subject.event_type(*event);
            let stops = versions.iter().flat_map(|version| &version.stop);
            let mut stops = stops.filter(|pattern| pattern.r#type == event_type);
            if stops.any(|pattern| subject.holds(&pattern.r#where, subject.plain(*event))) {
                *found.entry(index).or_default() += 1;
            }
        }
    }
}

/// Fold all events once; whether there was any case. `None` where something is taken back.
fn at_once<'a>(
    routes: &[Route<'a>], subject: &Subject, within: usize, alerts: &mut Alerts, spare: &mut Spare<'a>,
) -> Option<bool> {
    let mut has_case = false;
    let mut told: HashSet<ReportKey> = HashSet::default();
    let nothing = Roots::default();
    let mut seen: Vec<usize> = Vec::with_capacity(within);
    for route in routes {
        seen.clear();
        seen.extend((0..within).filter(|event| route.sees(subject, *event)));
        let mut state = spare.take(route);
        seen.iter().for_each(|event| state.step(subject, *event));
        has_case = has_case || state.has_case(subject, subject.until);
        let mut tell = |verdict: &Verdict, report: &Report, watermark: i64, by_event: bool| {
            let root = verdict.root(subject, &nothing);
            if told.insert((route.index, root.to_string(), report.kind, report.cause.clone())) {
                let told = Told::new(subject, verdict, report, &root, 0);
                told.and_then(|told| told.alert(subject, watermark, by_event, alerts));
            }
        };
        match state.reported(subject, subject.until) {
            Some(verdicts) => {
                for verdict in &verdicts {
                    if let Some(report) = verdict.reports.last() {
                        tell(verdict, report, report.due, false);
                    }
                }
            }
            None => {
                state.clear();
                asked_all_along(&mut *state, subject, &seen, tell)?;
            }
        }
        spare.give(route.index, state);
        if subject.unsure.get().is_some() {
            break;
        }
    }
    Some(has_case)
}

/// What one fold tells as its events come and time passes; `None` where it takes something back.
fn asked_all_along(
    state: &mut dyn State, subject: &Subject, events: &[usize], mut tell: impl FnMut(&Verdict, &Report, i64, bool),
) -> Option<()> {
    let nothing = Roots::default();
    let mut known: HashSet<(String, &'static str, String)> = HashSet::default();
    let mut ask = |state: &dyn State, watermark: i64, by_event: bool| -> Option<Option<i64>> {
        let (verdicts, due) = state.judge(subject, watermark, false);
        let mut owed = HashSet::default();
        for verdict in &verdicts {
            let root = verdict.root(subject, &nothing);
            for report in &verdict.reports {
                let key = (root.to_string(), report.kind, report.cause.clone());
                if !known.contains(&key) {
                    tell(verdict, report, watermark, by_event);
                }
                owed.insert(key);
            }
        }
        if known.iter().any(|key| key.1 != "warning" && !owed.contains(key)) {
            return None;
        }
        known.extend(owed);
        Some(due)
    };
    let mut due: Option<i64> = None;
    for together in events.chunk_by(|one, other| subject.at(*one) == subject.at(*other)) {
        let at = subject.at(together[0]);
        while let Some(passed) = due.filter(|due| *due < at) {
            due = ask(state, passed, false)?;
        }
        together.iter().for_each(|event| state.step(subject, *event));
        due = ask(state, at - 1, true)?;
        if subject.unsure.get().is_some() {
            return Some(());
        }
    }
    while let Some(passed) = due.filter(|due| *due <= subject.until) {
        due = ask(state, passed, false)?;
    }
    Some(())
}

/// A subject as it is known so far, and what was told of it.
struct Record<'a, 'b> {
    spare: &'b mut Spare<'a>,
    routes: &'b [Route<'a>],
    subject: &'b Subject<'a>,
    /// All events known so far, in order, and what they come to.
    history: Vec<usize>,
    effective: Effective<'a>,
    states: Vec<(usize, Box<dyn State<'a> + 'a>)>,
    due: Option<i64>,
    told: HashMap<ReportKey, Told<'a>>,
    withdrawn: HashMap<ReportKey, u32>,
}

impl<'a> Record<'a, '_> {
    fn fold(&mut self) {
        let subject = self.subject;
        let mut found = effective(subject, &self.history);
        found.events.retain(|event| subject.at(*event) <= subject.until);
        *subject.entered.borrow_mut() = std::mem::take(&mut found.entered);
        for (index, state) in self.states.drain(..) {
            self.spare.give(index, state);
        }
        for route in self.routes {
            if found.events.iter().any(|event| route.begins(subject, *event)) {
                let mut state = self.spare.take(route);
                let seen = found.events.iter().filter(|event| route.sees(subject, **event));
                seen.for_each(|event| state.step(subject, *event));
                self.states.push((route.index, state));
            }
        }
        self.effective = found;
    }

    /// Ask all folds; tell the difference to what was told before.
    fn decide(&mut self, watermark: i64, by_event: bool, alerts: &mut Alerts) {
        let subject = self.subject;
        let mut owed: Vec<(ReportKey, Rc<Verdict>, usize)> = Vec::new();
        self.due = None;
        for (index, state) in &self.states {
            let (verdicts, following) = state.judge(subject, watermark, false);
            self.due = earlier(self.due, following);
            for verdict in verdicts {
                let root = verdict.root(subject, &self.effective.roots).into_owned();
                let verdict = Rc::new(verdict);
                for (place, report) in verdict.reports.iter().enumerate() {
                    let key = (*index, root.clone(), report.kind, report.cause.clone());
                    owed.push((key, Rc::clone(&verdict), place));
                }
            }
        }
        let is_owed = |key: &ReportKey| owed.iter().any(|(other, _, _)| other == key);
        let gone: Vec<ReportKey> =
            self.told.keys().filter(|key| key.2 != "warning" && !is_owed(key)).cloned().collect();
        for key in gone {
            let now = self.case(&key, watermark);
            if let Some(told) = self.told.remove(&key) {
                told.retraction(subject, now.as_ref(), watermark, by_event, alerts);
            }
            *self.withdrawn.entry(key).or_default() += 1;
        }
        for (key, verdict, place) in owed {
            if self.told.contains_key(&key) {
                continue;
            }
            let generation = self.withdrawn.get(&key).copied().unwrap_or(0);
            let Some(told) = Told::new(subject, &verdict, &verdict.reports[place], &key.1, generation) else { return };
            told.alert(subject, watermark, by_event, alerts);
            self.told.insert(key, told);
        }
    }

    /// How a case stands today.
    fn case(&self, key: &ReportKey, watermark: i64) -> Option<Verdict<'a>> {
        let (_, state) = self.states.iter().find(|(index, _)| *index == key.0)?;
        let verdicts = state.judge(self.subject, watermark, true).0.into_iter();
        let mut verdicts =
            verdicts.filter(|verdict| verdict.root(self.subject, &self.effective.roots) == key.1.as_str());
        verdicts.next()
    }
}

/// Live through all events; whether there is any case at the end, and the events as corrected.
fn step_by_step<'a>(
    routes: &[Route<'a>], subject: &Subject<'a>, within: usize, alerts: &mut Alerts, spare: &mut Spare<'a>,
) -> (bool, Vec<usize>) {
    let mut record = Record {
        spare,
        routes,
        subject,
        // Corrections are all known from the beginning, whatever their own instant.
        history: (within..subject.events.len()).collect(),
        effective: Effective { events: Vec::new(), roots: Roots::default(), entered: HashMap::default() },
        states: Vec::new(),
        due: None,
        told: HashMap::default(),
        withdrawn: HashMap::default(),
    };
    let mut position = 0;
    while position < within && subject.unsure.get().is_none() {
        let at = subject.at(position);
        while let Some(due) = record.due.filter(|due| *due < at) {
            record.decide(due, false, alerts);
        }
        let together = (position..within).take_while(|event| subject.at(*event) == at).count();
        let place = record.history.partition_point(|event| *event < position);
        record.history.splice(place..place, position..position + together);
        position += together;
        record.fold();
        record.decide(at - 1, true, alerts);
    }
    while let Some(due) = record.due.filter(|due| *due <= subject.until && subject.unsure.get().is_none()) {
        record.decide(due, false, alerts);
    }
    if within == 0 {
        record.fold();
    }
    let has_case = record.states.iter().any(|(_, state)| state.has_case(subject, subject.until));
    (has_case, record.effective.events)
}
