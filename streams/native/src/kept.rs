//! The subjects of one partition of a worker's clocks that are kept here between its records.
//!
//! Mirrors what `streams/core/engine.py` remembers of a subject without corrections, withdrawn reports, written cases and
//! pruned events; any other is Python's.

use crate::alerts::Outcome;
use crate::events::{Event, Span};
use crate::hashing::HashMap;
use crate::live::{self, Asked, Decision, Made, Place, ReportKey};
use crate::replay::Rulebook;
use crate::subject::{MANY, PLAIN, Reason};
use std::io::Write;

/// As `MOST_EVENTS` of `streams/engine/clocks.py`.
const MOST_EVENTS: usize = 24;

/// As `FEWEST_EVENTS` of `streams/core/pruning.py`.
const FEWEST_EVENTS: usize = 8;

/// As `BEGINNING` of `streams/core/records.py`.
const BEGINNING: i64 = -(1 << 62);

/// Type and id.
pub type Key = (u8, Box<[u8]>);

/// A place and an outcome; a running clock's place, start and deadline. Places are named by their number.
pub type Ending = (u32, Outcome);
pub type Clock = (u32, i64, Option<i64>);

/// Places by number, each once.
#[derive(Default)]
pub struct Places {
    numbers: HashMap<Place, u32>,
    pub all: Vec<Place>,
}

impl Places {
    /// `None` where Python must order or write it.
    fn number(&mut self, place: Place) -> Option<u32> {
        if let Some(known) = self.numbers.get(&place) {
            return Some(*known);
        }
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:/".contains(&c);
        let is_code = |code: &Option<String>| code.iter().all(|code| code.bytes().all(is_plain));
        (is_code(&place.city) && is_code(&place.county)).then_some(())?;
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(place.clone());
        self.numbers.insert(place, number);
        Some(number)
    }
}

/// Events of one subject: the JSON list of them, in the order of histories.
#[derive(Clone)]
struct History {
    text: Vec<u8>,
    /// Of each: its instant, when it was recorded, its id, and where it ends.
    known: Vec<(i64, i64, Span, usize)>,
    /// Whether all folds begin again at the next decision.
    begins_again: bool,
}

impl History {
    fn new() -> History {
        History { text: b"[]".to_vec(), known: Vec::new(), begins_again: true }
    }

    fn insert(&mut self, event: &Event, raw: &[u8]) {
        let id_of = |id: Span| id.of(&self.text);
        let own = (event.at, event.recorded, id_in(raw, event));
        let place = self.known.partition_point(|known| (known.0, known.1, id_of(known.2)) < own);
        let mut from = if place == 0 { 1 } else { self.known[place - 1].3 };
        let mut piece = Vec::with_capacity(raw.len() + 1);
        if place == self.known.len() {
            piece.extend_from_slice(if place > 0 { b"," } else { b"" });
            piece.extend_from_slice(raw);
        } else {
            from += usize::from(place > 0); // behind the comma
            piece.extend_from_slice(raw);
            piece.push(b',');
            self.begins_again = true;
        }
        self.text.splice(from..from, piece.iter().copied());
        for known in &mut self.known[place..] {
            known.2 = Span::new(known.2.at() + piece.len(), known.2.len());
            known.3 += piece.len();
        }
        let start = if piece[0] == b',' { from + 1 } else { from };
        let id = Span::new(start + event.id.at(), event.id.len());
        self.known.insert(place, (event.at, event.recorded, id, start + raw.len()));
    }

    /// The event of that id, as it is written.
    fn find(&self, id: &[u8]) -> Option<&[u8]> {
        let place = self.known.iter().position(|known| known.2.of(&self.text) == id)?;
        let from = if place == 0 { 1 } else { self.known[place - 1].3 + 1 };
        Some(&self.text[from..self.known[place].3])
    }
}

fn id_in<'a>(raw: &'a [u8], event: &Event) -> &'a [u8] {
    event.id.of(raw)
}

/// One subject: the events that it was decided with, and those that came since.
pub struct Kept {
    history: History,
    pending: Vec<Vec<u8>>,
    decided_at: i64,
    looked_at: usize,
    dues: HashMap<usize, i64>,
    reported: Vec<ReportKey>,
    /// The reports as a row has them, without the brackets around all.
    told: Vec<u8>,
    ended: Vec<Ending>,
    running: Vec<Clock>,
    open: Vec<u32>,
}

/// What a subject is given back with: its events, its reports as a row has them (a list without its brackets), the number
/// of events at which pruning was looked at, and the events that came since it was decided.
pub type Given = (Vec<u8>, Vec<u8>, usize, Vec<Vec<u8>>);

/// What a decision changes; `open` and `running` are all there are, where these have changed.
pub struct Change {
    pub due: Option<i64>,
    pub ended: Vec<Ending>,
    pub reopened: Vec<Ending>,
    pub open: Option<Vec<u32>>,
    pub running: Option<Vec<Clock>>,
    pub reports: Vec<Made>,
    /// Whether Python must prune it.
    pub is_to_prune: bool,
}

impl Kept {
    fn new() -> Kept {
        Kept {
            history: History::new(),
            pending: Vec::new(),
            decided_at: BEGINNING,
            looked_at: 0,
            dues: HashMap::default(),
            reported: Vec::new(),
            told: Vec::new(),
            ended: Vec::new(),
            running: Vec::new(),
            open: Vec::new(),
        }
    }

    fn asked<'a>(&'a self, key: &'a Key, counted: Option<usize>, watermark: i64) -> Asked<'a> {
        Asked {
            subject: (key.0, &key.1),
            counted,
            dues: self.dues.clone(),
            watermark,
            pruned_until: None,
            reported: &self.reported,
            withdrawn: &[],
            since: None,
        }
    }

    fn take(&mut self, rulebook: &Rulebook, places: &Places, found: Decision, new: Numbered, watermark: i64) -> Change {
        let is_asked =
            |number: u32| self.history.begins_again || found.asked.contains(&places.all[number as usize].fold);
        let (asked, stay): (Vec<Ending>, Vec<Ending>) = self.ended.iter().partition(|(place, _)| is_asked(*place));
        let (mut ended, mut running, mut open) = new;
        running.extend(self.running.iter().filter(|(place, ..)| !is_asked(*place)));
        open.extend(self.open.iter().filter(|place| !is_asked(**place)));
        let change = Change {
            due: found.dues.values().copied().min(),
            reopened: less(&asked, &ended),
            ended: less(&ended, &asked),
            open: (open != self.open).then(|| open.clone()),
            running: (running != self.running).then(|| running.clone()),
            reports: Vec::new(),
            is_to_prune: false,
        };
        ended.extend(stay);
        (self.ended, self.running, self.open) = (ended, running, open);
        (self.decided_at, self.dues, self.history.begins_again) = (watermark, found.dues, false);
        let key = |made: &Made| {
            let (root, kind, cause) = &made.key;
            (rulebook.folds[made.order.1].0.id.clone(), root.clone(), (*kind).to_owned(), cause.clone())
        };
        self.reported.extend(found.reports.iter().map(key));
        Change { reports: found.reports, ..change }
    }

    /// Whether Python must prune it; `keep_for` back from the watermark, but not what `came` with this step, is over.
    fn is_to_prune(&mut self, watermark: i64, keep_for: i64, came: Option<i64>) -> bool {
        let count = self.history.known.len();
        if count < FEWEST_EVENTS || count < 2 * self.looked_at {
            return false;
        }
        let cut = (watermark - keep_for).min(watermark - 1).min(came.map_or(i64::MAX, |came| came - 1));
        if self.history.known[0].0 <= cut {
            return true;
        }
        self.looked_at = count;
        false
    }

    /// The instant of the last event.
    pub fn last_at(&self) -> i64 {
        self.history.known.last().map_or(BEGINNING, |known| known.0)
    }

    pub fn given(self) -> Given {
        (self.history.text, self.told, self.looked_at, self.pending)
    }

    /// Reports that were made: as a row has them, without the brackets around all.
    pub fn add_reports(&mut self, told: &[u8]) {
        if !self.told.is_empty() && !told.is_empty() {
            self.told.push(b',');
        }
        self.told.extend_from_slice(told);
    }
}

/// Those of the one that the other has not; each as often as it has more of it.
fn less(one: &[Ending], other: &[Ending]) -> Vec<Ending> {
    let mut other = other.to_vec();
    let is_more = |ending: &&Ending| match other.iter().position(|known| known == *ending) {
        Some(place) => {
            other.swap_remove(place);
            false
        }
        None => true,
    };
    one.iter().filter(is_more).copied().collect()
}

/// All subjects that are kept.
#[derive(Default)]
pub struct Subjects {
    of: HashMap<Key, Kept>,
    pub places: Places,
}

impl Subjects {
    pub fn get(&mut self, key: &Key) -> Option<&mut Kept> {
        self.of.get_mut(key)
    }

    pub fn remove(&mut self, key: &Key) -> Option<Kept> {
        self.of.remove(key)
    }

    /// Take an event, which is neither a correction nor void: whether it was known; `None` where Python must take it.
    pub fn add(&mut self, rulebook: &Rulebook, key: Key, raw: &[u8]) -> Option<bool> {
        let event = live::read_one(rulebook, raw)?;
        let own = id_in(raw, &event);
        let kept = self.of.entry(key).or_insert_with(Kept::new);
        if let Some(known) = kept.history.find(own) {
            return (known == raw).then_some(true);
        }
        for known in &kept.pending {
            if id_in(known, &live::read_one(rulebook, known)?) == own {
                return (known == raw).then_some(true);
            }
        }
        kept.pending.push(raw.to_vec());
        Some(false)
    }

    /// Decide a subject at a watermark; the reason where Python must, which must then get it as it is. `prunes` is for how
    /// long its events are kept, where they are pruned, and the earliest that came with this step.
    pub fn decide(
        &mut self, rulebook: &Rulebook, key: &Key, watermark: i64, prunes: Option<(i64, Option<i64>)>,
    ) -> Result<Change, Reason> {
        let kept = self.of.get_mut(key).ok_or(PLAIN)?;
        let counted = kept.history.known.len();
        if counted + kept.pending.len() > MOST_EVENTS {
            return Err(MANY);
        }
        let mut history = None;
        for raw in &kept.pending {
            let event = live::read_one(rulebook, raw).ok_or(PLAIN)?;
            history.get_or_insert_with(|| kept.history.clone()).insert(&event, raw);
        }
        let after = history.as_ref().unwrap_or(&kept.history);
        let counted = (!after.begins_again).then_some(counted);
        let found = live::decide(rulebook, kept.asked(key, counted, watermark), &after.text)?;
        let new = numbered(&mut self.places, &found).ok_or(PLAIN)?;
        if let Some(history) = history {
            kept.history = history;
            kept.pending.clear();
        }
        let mut change = kept.take(rulebook, &self.places, found, new, watermark);
        change.is_to_prune = prunes.is_some_and(|(keep_for, came)| kept.is_to_prune(watermark, keep_for, came));
        Ok(change)
    }

    /// Keep a subject that was decided with these events, and has made these reports. `false` where it stays Python's.
    pub fn load(
        &mut self, rulebook: &Rulebook, key: Key, events: &[Vec<u8>], (told, reported): (&[u8], Vec<ReportKey>),
        (decided_at, looked_at): (i64, usize),
    ) -> bool {
        let mut kept = Kept { decided_at, looked_at, reported, told: told.to_vec(), ..Kept::new() };
        for raw in events {
            let Some(event) = live::read_one(rulebook, raw) else { return false };
            kept.history.insert(&event, raw);
        }
        // Its folds begin again at the next decision, as Python's would.
        kept.history.begins_again = true;
        let Ok(found) = live::decide(rulebook, kept.asked(&key, None, decided_at), &kept.history.text) else {
            return false;
        };
        match numbered(&mut self.places, &found) {
            Some(numbered) if found.reports.is_empty() => (kept.ended, kept.running, kept.open) = numbered,
            _ => return false,
        }
        self.of.insert(key, kept);
        true
    }

    /// The row of a subject without pending events; `judged_by` is a JSON text.
    pub fn row(&self, rulebook: &Rulebook, key: &Key, judged_by: &[u8], due: Option<i64>) -> Option<Vec<u8>> {
        let kept = self.of.get(key).filter(|kept| kept.pending.is_empty() && kept.decided_at != BEGINNING)?;
        let place = |number: u32| {
            let place = &self.places.all[number as usize];
            (rulebook.folds[place.fold].0.id.as_str(), place.city.as_deref(), place.county.as_deref())
        };
        let mut row = Vec::with_capacity(kept.history.text.len() + kept.told.len() + 300);
        row.extend_from_slice(b"{\"v\":1,\"standing\":[");
        row.extend_from_slice(judged_by);
        row.push(b',');
        number(&mut row, due);
        row.extend_from_slice(b",[");
        let mut open: Vec<_> = kept.open.iter().map(|number| place(*number)).collect();
        if open.len() > 1 {
            open.sort_by_cached_key(|(rule, city, _)| format!("('{rule}', {})", shown(*city)));
        }
        for (index, (rule, city, _)) in open.into_iter().enumerate() {
            row.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            texts(&mut row, &[Some(rule), city]);
            row.push(b']');
        }
        row.extend_from_slice(b"],[");
        let mut running: Vec<_> =
            kept.running.iter().map(|(number, start, by)| (place(*number), *start, *by)).collect();
        if running.len() > 1 {
            running.sort_by_cached_key(|((rule, city, county), start, by)| {
                let place = format!("Place(rule='{rule}', city={}, county={})", shown(*city), shown(*county));
                (place, start.to_string(), by.map_or("None".to_owned(), |by| by.to_string()))
            });
        }
        for (index, ((rule, city, county), start, by)) in running.into_iter().enumerate() {
            row.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            texts(&mut row, &[Some(rule), city, county]);
            row.push(b',');
            number(&mut row, Some(start));
            row.push(b',');
            number(&mut row, by);
            row.push(b']');
        }
        row.extend_from_slice(b"]]");
        if kept.looked_at > 0 {
            write!(row, ",\"pruned\":[null,{},[]]", kept.looked_at).ok()?;
        }
        row.extend_from_slice(b",\"events\":");
        row.extend_from_slice(&kept.history.text);
        row.extend_from_slice(b",\"told\":[");
        row.extend_from_slice(&kept.told);
        write!(row, "],\"withdrawn\":[],\"decided_at\":{}}}", kept.decided_at).ok()?;
        Some(row)
    }

    /// See `live::is_idle`; the reason where Python must tell.
    pub fn is_idle(&self, rulebook: &Rulebook, key: &Key) -> Result<bool, Reason> {
        let kept = self.of.get(key).ok_or(MANY)?;
        live::is_idle(rulebook, (key.0, &key.1), &kept.history.text)
    }
}

type Numbered = (Vec<Ending>, Vec<Clock>, Vec<u32>);

fn numbered(places: &mut Places, found: &Decision) -> Option<Numbered> {
    let mut number = |place: &Place| places.number(place.clone());
    let ended = found.ended.iter().map(|(place, outcome)| Some((number(place)?, *outcome))).collect::<Option<_>>()?;
    let running = found.running.iter().map(|(place, start, by)| Some((number(place)?, *start, *by)));
    let running = running.collect::<Option<_>>()?;
    let open = found.open.iter().map(number).collect::<Option<_>>()?;
    Some((ended, running, open))
}

fn shown(code: Option<&str>) -> String {
    code.map_or("None".to_owned(), |code| format!("'{code}'"))
}

fn number(row: &mut Vec<u8>, number: Option<i64>) {
    match number {
        Some(number) => row.extend_from_slice(number.to_string().as_bytes()),
        None => row.extend_from_slice(b"null"),
    }
}

fn texts(row: &mut Vec<u8>, texts: &[Option<&str>]) {
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            row.push(b',');
        }
        match text {
            None => row.extend_from_slice(b"null"),
            Some(text) => {
                row.push(b'"');
                row.extend_from_slice(text.as_bytes());
                row.push(b'"');
            }
        }
    }
}
