//! A replay: lines in, alerts out; what is not known here is named, for Python to judge.

use crate::alerts::{Alerts, WrittenCases};
use crate::calendar::Days;
use crate::corrections::effective;
use crate::document::{Document, Fold, FoldEntry, Phrases, VERSION, Words};
use crate::events::{Event, Field, Reader, Span, Val};
use crate::groups::{Grouping, Groups};
use crate::hashing::{HashMap, HashSet};
use crate::kinds::Spare;
use crate::large_pages;
use crate::life::{self, Folds};
use crate::shapes::Shapes;
use crate::subject::{METER, PLAIN, REPEATED, Reason, SUBJECTS, Subject, TABLES};
use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::hint::black_box;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// The events of so many subjects are fetched from memory together. They lie all over it, in the order of arrival: one
/// after the other, judging would wait for each.
const FETCHED: usize = 32;

/// The folds and tables of one rulebook.
pub struct Rulebook {
    pub reader: Reader,
    /// Of each calendar, the rulebook's own first.
    pub days: Vec<Days>,
    pub types: Vec<String>,
    pub concerns: Vec<Vec<u8>>,
    pub folds: Box<Folds>,
    /// By subject type the folds about it, each with the place of the type among its own.
    of_kind: [Vec<(usize, usize)>; 4],
    /// As `begun` of a subject.
    begun: [Vec<u64>; 4],
    durations: Vec<Words>,
    phrases: Phrases,
    words: HashSet<String>,
    type_field: Option<usize>,
}

impl Rulebook {
    pub fn parse(text: &[u8]) -> Result<Rulebook, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!("version {} of the compiled rulebook, {VERSION} is known", document.version));
        }
        if document.types.len() > usize::from(u16::MAX) {
            return Err("a compiled rulebook with too many event types".to_owned());
        }
        if document.calendars.is_empty() {
            return Err("a compiled rulebook without a calendar".to_owned());
        }
        let of_kind: [Vec<(usize, usize)>; 4] = std::array::from_fn(|kind| {
            let place = |entry: &FoldEntry| entry.subjects.iter().position(|known| usize::from(*known) == kind);
            document.folds.iter().enumerate().filter_map(|(fold, entry)| Some((fold, place(entry)?))).collect()
        });
        let begun = of_kind.each_ref().map(|known| {
            let words = known.len().div_ceil(64);
            let mut bits = vec![0; words * document.types.len()];
            for (place, (fold, _)) in known.iter().enumerate() {
                let begins = &document.folds[*fold].begins;
                for event_type in (0..document.types.len()).filter(|event_type| begins.contains(*event_type)) {
                    bits[event_type * words + place / 64] |= 1 << (place % 64);
                }
            }
            bits
        });
        Ok(Rulebook {
            of_kind,
            begun,
            reader: Reader::new(&document.types, &document.watched),
            days: document.calendars.iter().map(Days::new).collect(),
            concerns: document.types.iter().map(|found| found.subjects.clone()).collect(),
            types: document.types.into_iter().map(|found| found.name).collect(),
            folds: document
                .folds
                .into_iter()
                .map(|mut entry| {
                    let body: Option<Fold> = entry.body.take().and_then(|body| serde_json::from_value(body).ok());
                    (entry, body)
                })
                .collect(),
            durations: document.durations,
            phrases: document.phrases,
            words: document.words,
            type_field: document.watched.iter().position(|name| name == "event_type"),
        })
    }

    /// A subject, by its type and id, with its events in the order of histories; their spans and fields are parts of
    /// the store.
    pub fn subject<'a>(
        &'a self, (kind, id): (u8, &'a [u8]), events: Vec<&'a Event>, (store, fields): (&'a [u8], &'a [Field]),
        until: i64,
    ) -> Subject<'a> {
        Subject {
            kind,
            id,
            events,
            store,
            fields,
            folds: self.of_kind.get(usize::from(kind)).map_or(&[], Vec::as_slice),
            begun: self.begun.get(usize::from(kind)).map_or(&[], Vec::as_slice),
            days: &self.days[0],
            calendars: &self.days,
            types: &self.types,
            durations: &self.durations,
            phrases: &self.phrases,
            words: &self.words,
            until,
            type_field: self.type_field,
            entered: RefCell::new(HashMap::default()),
            unsure: Cell::new(None),
        }
    }

    /// The ids of the folds that are known here.
    pub fn known(&self) -> Vec<String> {
        self.folds.iter().filter(|(_, body)| body.is_some()).map(|(entry, _)| entry.id.clone()).collect()
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

/// So many fields have room beforehand; an event has fewer, as a rule.
const MOST_FIELDS: usize = 64;

pub type Key = (u8, Vec<u8>);

/// That of a replay, and another one whose cases are asked for too.
#[derive(Clone)]
pub struct Rulebooks {
    own: Arc<Rulebook>,
    rival: Option<Arc<Rulebook>>,
}

impl Rulebooks {
    /// The documents have the same event types, and the fields of the first are those of both.
    pub fn parse(document: &[u8], rival: Option<&[u8]>) -> Result<Rulebooks, String> {
        let (mut own, rival) = (Rulebook::parse(document)?, rival.map(Rulebook::parse).transpose()?);
        if let Some(rival) = &rival {
            own.reader.fan_out_too(&rival.reader);
        }
        Ok(Rulebooks { own: Arc::new(own), rival: rival.map(Arc::new) })
    }
}

/// The events of one replay, from several sources.
pub struct Replay {
    rulebook: Arc<Rulebook>,
    /// Another one, whose cases are asked for too.
    rival: Option<Arc<Rulebook>>,
    /// By event type the subject types that it concerns under either.
    concerns: Vec<Vec<u8>>,
    store: Vec<u8>,
    events: Vec<Event>,
    /// The watched ones of all events.
    fields: Vec<Field>,
    /// What the lines read were like.
    shapes: Shapes,
    counts: Counts,
    highest: i64,
    /// The rising maxima of the events' instants.
    highs: Option<Vec<i64>>,
    unwatched_at: Option<i64>,
    latest: i64,
    ends_at: Option<i64>,
    as_of: Option<i64>,
    next: u64,
    /// Whether each event was taken for one subject, so that a copy stands for its line.
    is_parted: bool,
    back: HashMap<Key, Reason>,
    grouping: Grouping,
    /// By subject; made when no more events come.
    groups: OnceLock<Groups>,
}

impl Replay {
    pub fn new(rulebooks: Rulebooks, latest: i64, ends_at: Option<i64>, as_of: Option<i64>) -> Replay {
        let Rulebooks { own: rulebook, rival } = rulebooks;
        let mut concerns = rulebook.concerns.clone();
        if let Some(rival) = &rival {
            concerns.iter_mut().zip(&rival.concerns).for_each(|(own, more)| own.extend(more));
        }
        let shapes = Shapes::new(rulebook.types.len());
        Replay {
            rulebook,
            rival,
            concerns,
            store: Vec::new(),
            events: Vec::new(),
            fields: Vec::new(),
            shapes,
            counts: Counts::default(),
            highest: BEGINNING,
            highs: None,
            unwatched_at: None,
            latest,
            ends_at,
            as_of,
            next: 0,
            is_parted: false,
            back: HashMap::default(),
            grouping: Grouping::default(),
            groups: OnceLock::new(),
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

    /// From now on, keep the rising maxima of the events' instants; they are given once.
    pub fn keep_highs(&mut self) -> Vec<i64> {
        self.highs.replace(Vec::new()).unwrap_or_default()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let events = self.events.len() * (size_of::<Event>() + 64);
        self.store.len() + events + self.fields.len() * size_of::<Field>()
    }

    /// The event of a line and its copies for the meters of its list; `None`, and nothing is changed, where Python must
    /// read it.
    fn read(&mut self, line: &[u8]) -> Option<(Event, Vec<Event>)> {
        let (reader, base, before) = (&self.rulebook.reader, self.store.len(), self.fields.len());
        large_pages::make_room(&mut self.fields, MOST_FIELDS);
        let read = || {
            let mut event = reader.read(line, base, self.latest, &mut self.fields, &mut self.shapes)?;
            let is_correction = !event.corrects.is_empty(); // which concerns every subject that it names
            let concerned = &self.concerns[event.event_type()];
            for kind in 0..4 {
                let is_concerned = is_correction || concerned.contains(&(kind as u8));
                event.concerns[kind] = !event.subjects[kind].is_empty() && is_concerned;
            }
            let copies = copies(reader, &event, line, base, &mut self.fields);
            Some((event, copies))
        };
        let found = catch_unwind(AssertUnwindSafe(read)).ok().flatten();
        if found.is_none() {
            self.fields.truncate(before);
        }
        found
    }

    /// Take one line; false, and nothing is changed, where Python must read it.
    pub fn take(&mut self, line: &[u8], origin: u64) -> bool {
        let before = self.fields.len();
        let Some((event, copies)) = self.read(line) else { return false };
        let is_correction = !event.corrects.is_empty();
        let is_watched = event.concerns.contains(&true) || !copies.is_empty();
        if let Some(number) = self.count(event.at, event.recorded, is_watched, is_correction) {
            self.hold(line, event, copies, (number, origin));
        } else {
            self.fields.truncate(before);
        }
        true
    }

    /// Take what one line says of one subject, and count nothing; false, and nothing is changed, where Python must read
    /// it.
    pub fn take_for(&mut self, line: &[u8], kind: u8, id: &[u8]) -> bool {
        let (base, before) = (self.store.len(), self.fields.len());
        let Some((mut event, copies)) = self.read(line) else { return false };
        let names =
            |event: &Event| event.concerns[kind as usize] && part(line, base, event.subjects[kind as usize]) == id;
        if names(&event) {
            event.concerns = std::array::from_fn(|other| other == kind as usize);
        } else {
            let Some(copy) = copies.into_iter().find(names) else {
                self.fields.truncate(before);
                return false;
            };
            event = copy;
        }
        self.is_parted = true;
        self.hold(line, event, Vec::new(), (self.next, 0));
        self.next += 1;
        true
    }

    /// Hold what was read of a line, with its number and origin.
    fn hold(&mut self, line: &[u8], event: Event, copies: Vec<Event>, (number, origin): (u64, u64)) {
        self.groups.take();
        large_pages::make_room(&mut self.store, line.len());
        self.store.extend_from_slice(line);
        let first = self.events.len();
        large_pages::make_room(&mut self.events, 1 + copies.len());
        self.events.push(event);
        self.events.extend(copies);
        for (place, event) in self.events.iter_mut().enumerate().skip(first) {
            (event.number, event.origin) = (number, origin);
            for kind in (0..4).filter(|kind| event.concerns[*kind]) {
                self.grouping.add(kind as u8, event.subjects[kind].of(&self.store), place, event);
            }
        }
    }

    /// The subjects of the events held, from a place on, of so many: number, origin and instant of the event, the
    /// subject, and the event's line.
    pub fn routed(&self, from: usize, most: usize) -> impl Iterator<Item = (u64, u64, i64, Key, &[u8])> {
        self.events.iter().skip(from).take(most).flat_map(move |event| {
            let concerned = (0..4).filter(|kind| event.concerns[*kind]);
            concerned.map(move |kind| {
                let key = (kind as u8, self.text(event.subjects[kind]).to_vec());
                (event.number, event.origin, event.at, key, self.line(event))
            })
        })
    }

    /// Events held; one that concerns a list of meters counts for each.
    pub fn held(&self) -> usize {
        self.events.len()
    }

    /// Forget the events held, and what is left to Python; counts stay.
    pub fn clear(&mut self) {
        self.store.clear();
        self.events.clear();
        self.fields.clear();
        self.back.clear();
        self.grouping.clear();
        self.groups.take();
        self.next = 0;
    }

    /// Count an event that Python has read, and leave its subjects to Python; its number of arrival, where it is kept.
    pub fn note(&mut self, at: i64, recorded: i64, corrects: bool, subjects: Vec<Key>) -> Option<u64> {
        let number = self.count(at, recorded, !subjects.is_empty(), corrects)?;
        self.back.extend(subjects.into_iter().map(|key| (key, PLAIN)));
        Some(number)
    }

    /// The same for an event that is not counted; its number of arrival.
    pub fn keep(&mut self, subjects: Vec<Key>) -> u64 {
        self.back.extend(subjects.into_iter().map(|key| (key, PLAIN)));
        self.next += 1;
        self.next - 1
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
                self.highs.iter_mut().for_each(|highs| highs.push(at));
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
        let stands = |event: &&Event| self.is_parted || !event.is_copy;
        self.events.iter().filter(stands).map(|event| (event.number, event.origin, self.line(event)))
    }

    fn line(&self, event: &Event) -> &[u8] {
        event.line.of(&self.store)
    }

    fn text(&self, span: Span) -> &[u8] {
        span.of(&self.store)
    }

    /// Leave subjects to Python in which an id is repeated with other content; the instant of the last event that
    /// stands of all that are not Python's so far.
    pub fn divide(&mut self) -> Option<i64> {
        let mut last = None;
        let mut repeated: Vec<Key> = Vec::new();
        for subject in 0..self.grouping.keys.len() {
            let places = self.groups().places_of(subject);
            if self.groups().may_repeat[subject] && self.distinct_of(subject).is_none() {
                repeated.push(self.key(subject));
            } else if !self.is_back(&self.back, subject) {
                let events = || places.iter().map(|place| &self.events[*place as usize]);
                let read = events().map(|event| event.at).max();
                let is_corrected = read > last && events().any(Event::is_correction);
                last = last.max(if is_corrected { self.last_at(subject) } else { read });
            }
        }
        self.back.extend(repeated.into_iter().map(|key| (key, REPEATED)));
        last
    }

    /// The instant of the last event of a subject that stands; see `Deduplicated` in `streams/replay/judging.py`.
    fn last_at(&self, subject: usize) -> Option<i64> {
        let (mut events, _) = self.distinct_of(subject)?;
        self.sort(&mut events);
        let (kind, id) = self.grouping.keys[subject];
        let whole = self.rulebook.subject((kind, self.text(id)), events, (&self.store, &self.fields), i64::MAX);
        let known: Vec<usize> = (0..whole.events.len()).collect();
        effective(&whole, &known).events.into_iter().map(|event| whole.at(event)).max()
    }

    /// The events of a subject without those that are repeated as they are, and the numbers of these; `None` where the
    /// content is another one.
    fn distinct_of(&self, subject: usize) -> Option<(Vec<&Event>, Vec<u64>)> {
        let mut events = self.events_of(subject);
        if !self.groups().may_repeat[subject] {
            return Some((events, Vec::new()));
        }
        let (mut numbers, mut is_other) = (Vec::new(), false);
        let mut seen: HashMap<&[u8], &[u8]> = HashMap::default();
        events.retain(|event| match seen.entry(self.text(event.id)) {
            Entry::Vacant(place) => {
                place.insert(self.line(event));
                true
            }
            Entry::Occupied(known) => {
                is_other |= *known.get() != self.line(event);
                numbers.push(event.number);
                false
            }
        });
        (!is_other).then_some((events, numbers))
    }

    /// The subjects that are Python's so far.
    pub fn back(&self) -> &HashMap<Key, Reason> {
        &self.back
    }

    fn groups(&self) -> &Groups {
        self.groups.get_or_init(|| self.grouping.groups())
    }

    fn events_of(&self, subject: usize) -> Vec<&Event> {
        self.groups().places_of(subject).iter().map(|place| &self.events[*place as usize]).collect()
    }

    /// The subject type and id of a subject.
    pub fn key(&self, subject: usize) -> Key {
        let (kind, id) = self.grouping.keys[subject];
        (kind, self.text(id).to_vec())
    }

    fn is_back(&self, back: &HashMap<Key, Reason>, subject: usize) -> bool {
        !back.is_empty() && back.contains_key(&self.key(subject))
    }

    /// Judge all that is not Python's, up to an instant (inclusive), in so many threads.
    pub fn judge(&self, until: i64, threads: usize) -> Judged {
        let subjects = self.grouping.keys.len();
        let share = subjects.div_ceil(threads.max(1)).max(1);
        let mut found = Judged { back: self.back.clone(), ..Judged::default() };
        if subjects <= share {
            found.add(self.judge_some(0..subjects, until));
            return found;
        }
        std::thread::scope(|scope| {
            let parts: Vec<_> = (0..subjects)
                .step_by(share)
                .map(|from| scope.spawn(move || self.judge_some(from..subjects.min(from + share), until)))
                .collect();
            for part in parts {
                found.add(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        found
    }

    fn judge_some(&self, subjects: Range<usize>, until: i64) -> Judged {
        let (mut found, mut spare) = (Judged::default(), Spare::default());
        for (turn, number) in subjects.clone().enumerate() {
            if turn % FETCHED == 0 {
                self.fetch(number..subjects.end.min(number + FETCHED));
            }
            if self.is_back(&self.back, number) {
                continue;
            }
            let Some((mut events, repetitions)) = self.distinct_of(number) else {
                found.back.insert(self.key(number), REPEATED);
                continue;
            };
            self.sort(&mut events);
            let subject = self.subject(&self.rulebook, number, events, until);
            let (before, mut orphans) = (found.alerts.all.len(), life::Orphans::default());
            if is_settled(&subject) {
                orphans = life::judge(&self.rulebook.folds, &subject, &mut found.alerts, &mut spare);
            } else {
                subject.hand_back(TABLES);
            }
            if let Some(reason) = subject.unsure.get() {
                found.alerts.truncate(before);
                found.back.insert(self.key(number), reason);
                continue;
            }
            found.judged += subject.events.len() as u64;
            found.repetitions.extend(repetitions);
            for (fold, count) in orphans {
                *found.orphans.entry(self.rulebook.folds[fold].0.id.clone()).or_default() += count;
            }
        }
        found
    }

    /// Look at what judging needs of some subjects, so that it is in the processor's caches then.
    #[inline(never)]
    fn fetch(&self, subjects: Range<usize>) {
        let (groups, mut seen) = (self.groups(), 0);
        let events = || {
            subjects.clone().flat_map(|subject| groups.places_of(subject)).map(|place| &self.events[*place as usize])
        };
        for event in events() {
            seen ^= event.at as usize ^ event.event_type(); // its beginning and its end
        }
        for event in events() {
            let (from, to) = event.fields;
            for (_, value) in &self.fields[from as usize..to as usize] {
                if let Val::Text(text) = value {
                    seen ^= self.text(*text).first().map_or(0, |first| usize::from(*first));
                }
            }
        }
        black_box(seen);
    }

    fn sort(&self, events: &mut [&Event]) {
        events.sort_by(|a, b| {
            (a.at, a.recorded).cmp(&(b.at, b.recorded)).then_with(|| self.text(a.id).cmp(self.text(b.id)))
        });
    }

    /// The subjects that are not Python's, in the order of cases.
    pub fn subjects(&self, back: &HashMap<Key, Reason>) -> Vec<usize> {
        let keys = &self.grouping.keys;
        let mut found: Vec<usize> = (0..keys.len()).filter(|subject| !self.is_back(back, *subject)).collect();
        found.sort_by_key(|subject| (SUBJECTS[keys[*subject].0 as usize], self.text(keys[*subject].1)));
        found
    }

    /// Every case of one of them as of the end, by one rulebook or the other, `with_alerts` on them; `None` where Python
    /// must write them. `spare` is of the same rulebook.
    pub fn cases<'a>(
        &'a self, subject: usize, until: i64, of_rival: bool, with_alerts: bool, spare: &mut Spare<'a>,
    ) -> Option<WrittenCases> {
        let rulebook = self.rival.as_ref().filter(|_| of_rival).unwrap_or(&self.rulebook);
        let (mut events, _) = self.distinct_of(subject)?;
        self.sort(&mut events);
        let subject = self.subject(rulebook, subject, events, until);
        is_settled(&subject).then(|| life::cases(&rulebook.folds, &subject, with_alerts, spare)).flatten()
    }

    /// The lines of one subject, with number and origin.
    pub fn lines_of(&self, subject: usize) -> Vec<(u64, u64, &[u8])> {
        let events = self.events_of(subject).into_iter();
        events.map(|event| (event.number, event.origin, self.line(event))).collect()
    }

    /// A subject with those of its events that concern it under a rulebook.
    fn subject<'a>(
        &'a self, rulebook: &'a Rulebook, number: usize, mut events: Vec<&'a Event>, until: i64,
    ) -> Subject<'a> {
        let (kind, id) = self.grouping.keys[number];
        if self.rival.is_some() {
            let is_correction = |event: &Event| !event.corrects.is_empty() && !event.is_copy;
            events.retain(|event| is_correction(event) || rulebook.concerns[event.event_type()].contains(&kind));
        }
        rulebook.subject((kind, self.text(id)), events, (&self.store, &self.fields), until)
    }

    /// The lines that Python must judge, with number and origin.
    pub fn handed_back(&self, back: &HashMap<Key, Reason>) -> Vec<(u64, u64, &[u8])> {
        if back.is_empty() {
            return Vec::new();
        }
        let subjects = (0..self.grouping.keys.len()).filter(|subject| self.is_back(back, *subject));
        let places = subjects.flat_map(|subject| self.groups().places_of(subject));
        let numbers: HashSet<u64> = places.map(|place| self.events[*place as usize].number).collect();
        self.lines().filter(|(number, _, _)| numbers.contains(number)).collect()
    }
}

/// Whether the tables hold for all instants of its events.
fn is_settled(subject: &Subject) -> bool {
    let days = subject.days;
    subject.events.iter().all(|event| days.is_settled(event.at) && days.is_settled(event.recorded))
}

/// A copy for each meter of the event's list.
fn copies(reader: &Reader, event: &Event, line: &[u8], base: usize, fields: &mut Vec<Field>) -> Vec<Event> {
    if event.meters.is_empty() {
        return Vec::new();
    }
    let mut seen: HashSet<&[u8]> = [part(line, base, event.subjects[METER])].into_iter().collect();
    let mut found = Vec::new();
    // Nothing in it is escaped, so its texts are every other piece between quotation marks.
    for meter in part(line, base, event.meters).split(|c| *c == b'"').skip(1).step_by(2) {
        if seen.insert(meter) {
            let at = base + (meter.as_ptr() as usize - line.as_ptr() as usize);
            found.push(reader.copy_for(event, Span::new(at, meter.len()), fields));
        }
    }
    found
}

/// The part of a line that lies at `base` of the store; empty where there is none.
fn part(line: &[u8], base: usize, span: Span) -> &[u8] {
    if span.is_empty() { b"" } else { &line[span.at() - base..span.at() - base + span.len()] }
}

impl Judged {
    fn add(&mut self, other: Judged) {
        self.alerts.append(other.alerts);
        self.back.extend(other.back);
        self.judged += other.judged;
        self.repetitions.extend(other.repetitions);
        for (rule, count) in other.orphans {
            *self.orphans.entry(rule).or_default() += count;
        }
    }
}

/// What came of judging: alerts in no order, and what is left to Python with the reason.
#[derive(Default)]
pub struct Judged {
    pub alerts: Alerts,
    pub back: HashMap<Key, Reason>,
    /// Events judged, each counted for each of its subjects.
    pub judged: u64,
    /// Numbers of arrival of events that were there already.
    pub repetitions: HashSet<u64>,
    /// Stops without a start, by rule.
    pub orphans: HashMap<String, u64>,
}
