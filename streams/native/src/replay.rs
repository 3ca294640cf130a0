//! A replay: lines in, alerts out; what is not known here is named, for Python to judge.

use crate::calendar::Days;
use crate::document::ActBody;
use crate::document::{Choice, Document, Fold, FoldEntry, LimitChoice, Lines, VERSION};
use crate::events::{Event, Reader};
use crate::kinds::{acts, deadline, sequence};
use crate::lines::Line;
use crate::subject::{Alert, Alerts, ParsedLines, SUBJECTS, Subject};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The folds and tables of one rulebook.
pub struct Rulebook {
    reader: Reader,
    days: Days,
    types: Vec<String>,
    concerns: Vec<Vec<u8>>,
    folds: Vec<(FoldEntry, Option<Fold>)>,
    durations: Vec<(String, String)>,
    type_field: Option<usize>,
}

impl Rulebook {
    pub fn parse(text: &[u8]) -> Result<Rulebook, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!("version {} of the compiled rulebook, {VERSION} is known", document.version));
        }
        Ok(Rulebook {
            reader: Reader::new(&document.types, &document.watched),
            days: Days::new(&document.calendar),
            concerns: document.types.iter().map(|found| found.subjects.clone()).collect(),
            types: document.types.into_iter().map(|found| found.name).collect(),
            folds: document
                .folds
                .into_iter()
                .map(|mut entry| {
                    let body = entry.body.take().and_then(|body| serde_json::from_value(body).ok());
                    (entry, body)
                })
                .collect(),
            durations: document.durations,
            type_field: document.watched.iter().position(|name| name == "event_type"),
        })
    }

    /// The ids of the folds that are known here.
    pub fn known(&self) -> Vec<String> {
        self.folds.iter().filter(|(_, body)| body.is_some()).map(|(entry, _)| entry.id.clone()).collect()
    }

    fn lines(&self) -> ParsedLines {
        let mut found = ParsedLines::new();
        let mut add = |lines: &Lines| {
            let parsed = SUBJECTS.iter().filter_map(|kind| {
                let (plain, provisional) = lines.get(*kind)?;
                Some((*kind, (Line::parse(plain), Line::parse(provisional))))
            });
            found.insert(lines as *const Lines, parsed.collect());
        };
        for body in self.folds.iter().filter_map(|(_, body)| body.as_ref()) {
            match body {
                Fold::Deadline(versions) => {
                    let choices = versions.iter().flat_map(|version| &version.choices);
                    choices.for_each(|choice| lines_of(choice, &mut add));
                }
                Fold::Act(versions) => {
                    for version in versions {
                        version.lines.values().for_each(&mut add);
                        if let ActBody::RecordingDelay { choices, .. } = &version.body {
                            choices.iter().flat_map(|choice: &LimitChoice| choice.lines.values()).for_each(&mut add);
                        }
                    }
                }
                Fold::Sequence(versions) => {
                    versions.iter().flat_map(|version| &version.lines).for_each(&mut add);
                }
            }
        }
        found
    }
}

fn lines_of(choice: &Choice, add: &mut impl FnMut(&Lines)) {
    add(&choice.breach);
    add(&choice.late_completion);
    choice.warnings.iter().for_each(|warning| add(&warning.lines));
    if let Some(instant) = &choice.instant {
        lines_of(instant, add);
    }
}

/// Counts of reading, as `streams.replay.input_counts` has them.
#[derive(Default)]
pub struct Counts {
    pub events: u64,
    pub after_until: u64,
    pub not_yet_recorded: u64,
    pub unwatched: u64,
    pub out_of_order: u64,
    pub late: [u64; 3],
}

const MINUTE: i64 = 60_000_000;
const BEGINNING: i64 = -(1 << 62);

pub type Key = (u8, Vec<u8>);

/// The events of one replay, from several sources.
pub struct Replay {
    rulebook: Rulebook,
    store: Vec<u8>,
    events: Vec<Event>,
    counts: Counts,
    highest: i64,
    unwatched_at: Option<i64>,
    latest: i64,
    ends_at: Option<i64>,
    as_of: Option<i64>,
    next: u64,
    back: HashSet<Key>,
}

impl Replay {
    pub fn new(rulebook: Rulebook, latest: i64, ends_at: Option<i64>, as_of: Option<i64>) -> Replay {
        Replay {
            rulebook,
            store: Vec::new(),
            events: Vec::new(),
            counts: Counts::default(),
            highest: BEGINNING,
            unwatched_at: None,
            latest,
            ends_at,
            as_of,
            next: 0,
            back: HashSet::new(),
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn unwatched_at(&self) -> Option<i64> {
        self.unwatched_at
    }

    /// The latest instant of the events counted so far.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.store.len() + self.events.len() * (size_of::<Event>() + 64)
    }

    /// Take one line; false, and nothing is changed, where Python must read it.
    pub fn take(&mut self, line: &[u8], origin: u64) -> bool {
        let base = self.store.len();
        let read = || self.rulebook.reader.read(line, base, self.latest);
        let Ok(Some(mut event)) = catch_unwind(AssertUnwindSafe(read)) else { return false };
        let concerns = &self.rulebook.concerns[event.event_type];
        let is_watched = concerns.iter().any(|kind| event.subjects[*kind as usize].len > 0);
        if let Some(number) = self.count(event.at, event.recorded, is_watched, false) {
            self.store.extend_from_slice(line);
            (event.number, event.origin) = (number, origin);
            self.events.push(event);
        }
        true
    }

    /// Count an event that Python has read, and leave its subjects to Python; its number of arrival, where it is kept.
    pub fn note(&mut self, at: i64, recorded: i64, corrects: bool, subjects: Vec<Key>) -> Option<u64> {
        let number = self.count(at, recorded, !subjects.is_empty(), corrects)?;
        self.back.extend(subjects);
        Some(number)
    }

    fn count(&mut self, at: i64, recorded: i64, is_watched: bool, corrects: bool) -> Option<u64> {
        self.counts.events += 1;
        if self.as_of.is_some_and(|as_of| recorded > as_of) {
            self.counts.not_yet_recorded += 1;
            return None;
        }
        let is_beyond = self.ends_at.is_some_and(|end| at > end);
        if is_beyond {
            self.counts.after_until += u64::from(!corrects);
        } else {
            if at < self.highest {
                self.counts.out_of_order += 1;
            } else {
                self.highest = at;
            }
            let late = recorded - at;
            if late > MINUTE {
                self.counts.late[usize::from(late > 60 * MINUTE) + usize::from(late > 1440 * MINUTE)] += 1;
            }
            if !is_watched {
                self.counts.unwatched += 1;
                self.unwatched_at = Some(self.unwatched_at.map_or(at, |known| known.max(at)));
            }
        }
        is_watched.then(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Every line held, with number and origin: for Python, should it take over.
    pub fn lines(&self) -> impl Iterator<Item = (u64, u64, &[u8])> {
        self.events.iter().map(|event| {
            let line = event.line;
            (event.number, event.origin, &self.store[line.at..line.at + line.len as usize])
        })
    }

    /// Leave subjects with repeated ids to Python; the instant of the last event of all that are not Python's so far.
    pub fn divide(&mut self) -> Option<i64> {
        let groups = self.groups();
        let mut last = None;
        let mut repeated: Vec<Key> = Vec::new();
        for ((kind, id), events) in &groups {
            let key = (*kind, id.to_vec());
            if has_repeated(&self.store, events) {
                repeated.push(key);
            } else if !self.back.contains(&key) {
                last = last.max(events.iter().map(|event| event.at).max());
            }
        }
        self.back.extend(repeated);
        last
    }

    /// The subjects that are Python's so far.
    pub fn back(&self) -> &HashSet<Key> {
        &self.back
    }

    fn groups(&self) -> HashMap<(u8, &[u8]), Vec<&Event>> {
        let mut groups: HashMap<(u8, &[u8]), Vec<&Event>> = HashMap::new();
        for event in &self.events {
            for &kind in &self.rulebook.concerns[event.event_type] {
                let id = event.subjects[kind as usize];
                if id.len > 0 {
                    groups.entry((kind, &self.store[id.at..id.at + id.len as usize])).or_default().push(event);
                }
            }
        }
        groups
    }

    /// The alerts up to an instant (inclusive), the subjects that Python must judge, and the number of judged events.
    pub fn judge(&self, until: i64) -> (Vec<Alert>, HashSet<Key>, u64) {
        let parsed = self.rulebook.lines();
        let mut back = self.back.clone();
        let mut found = Vec::new();
        let mut judged = 0;
        for ((kind, id), mut events) in self.groups() {
            let key = (kind, id.to_vec());
            if back.contains(&key) {
                continue;
            }
            events.sort_by(|a, b| {
                let id_of = |event: &Event| &self.store[event.id.at..event.id.at + event.id.len as usize];
                (a.at, a.recorded).cmp(&(b.at, b.recorded)).then_with(|| id_of(a).cmp(id_of(b)))
            });
            events.retain(|event| event.at <= until);
            let subject = Subject {
                kind,
                id,
                events,
                store: &self.store,
                days: &self.rulebook.days,
                types: &self.rulebook.types,
                durations: &self.rulebook.durations,
                until,
                type_field: self.rulebook.type_field,
                is_unsure: Cell::new(false),
            };
            let mut alerts = Alerts { found: Vec::new(), parsed: &parsed };
            self.rulebook.judge(&subject, &mut alerts);
            if subject.is_unsure.get() {
                back.insert(key);
            } else {
                judged += subject.events.len() as u64;
                found.append(&mut alerts.found);
            }
        }
        (found, back, judged)
    }

    /// The lines that Python must judge, with number and origin.
    pub fn handed_back(&self, back: &HashSet<Key>) -> Vec<(u64, u64, &[u8])> {
        let is_back = |event: &Event| {
            self.rulebook.concerns[event.event_type].iter().any(|&kind| {
                let id = event.subjects[kind as usize];
                id.len > 0 && back.contains(&(kind, self.store[id.at..id.at + id.len as usize].to_vec()))
            })
        };
        self.lines().zip(&self.events).filter(|(_, event)| is_back(event)).map(|(line, _)| line).collect()
    }
}

fn has_repeated(store: &[u8], events: &[&Event]) -> bool {
    let mut seen = HashSet::with_capacity(events.len());
    !events.iter().all(|event| seen.insert(&store[event.id.at..event.id.at + event.id.len as usize]))
}

impl Rulebook {
    fn judge(&self, subject: &Subject, alerts: &mut Alerts) {
        let types: HashSet<usize> = subject.events.iter().map(|event| event.event_type).collect();
        let is_any = |wanted: &[usize]| wanted.iter().any(|event_type| types.contains(event_type));
        let mut has_case = false;
        for (entry, body) in &self.folds {
            let Some(place) = entry.subjects.iter().position(|kind| *kind == subject.kind) else { continue };
            if !is_any(&entry.begins) {
                continue;
            }
            let Some(body) = body else { return subject.hand_back() };
            let before = &entry.subjects[..place];
            let seen: Vec<usize> = (0..subject.events.len())
                .filter(|&event| {
                    let event = subject.events[event];
                    entry.listens.contains(&event.event_type)
                        && before.iter().all(|kind| event.subjects[*kind as usize].len == 0)
                })
                .collect();
            has_case |= match body {
                Fold::Deadline(versions) => deadline::judge(versions, subject, &seen, alerts),
                Fold::Act(versions) => acts::judge(versions, subject, &seen, alerts),
                Fold::Sequence(versions) => sequence::judge(versions, subject, &seen, alerts),
            };
            if subject.is_unsure.get() {
                return;
            }
        }
        // A stop without a case is counted by Python.
        let stops =
            |(entry, _): &(FoldEntry, Option<Fold>)| entry.subjects.contains(&subject.kind) && is_any(&entry.stops);
        if !has_case && self.folds.iter().any(stops) {
            subject.hand_back();
        }
    }
}
