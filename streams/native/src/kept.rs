//! One subject of a worker's clocks that is kept here between its records.
//!
//! Mirrors what `streams/core/engine.py` remembers of a subject without written cases and saved states; any other is
//! Python's.

use crate::hashing::HashMap;
use crate::history::{Came, History, Mark};
use crate::kinds::Spare;
use crate::live::{self, Asked, Clock, Decision, Dues, Ending, Made, Only, ReportKey};
use crate::places::Places;
use crate::replay::Rulebook;
use crate::subject::{MANY, PLAIN, Reason, TEXTS};
use crate::told::row_form;
use std::io::Write;

/// As `MOST_EVENTS` of `streams/engine/clocks.py`.
const MOST_EVENTS: usize = 24;

/// As `FEWEST_EVENTS` of `streams/core/pruning.py`.
const FEWEST_EVENTS: usize = 8;

/// Bytes of a subject besides its texts and events, about.
const FIXED: usize = 500;

/// As `BEGINNING` of `streams/core/records.py`.
const BEGINNING: i64 = -(1 << 62);

/// Type and id.
pub type Key = (u8, Box<[u8]>);
pub type KeyRef<'a> = (u8, &'a [u8]);

/// How a history was pruned: until when, and the events that only some folds may still see; also as a row has these.
#[derive(Default)]
pub struct Pruned {
    pub until: Option<i64>,
    pub only: Only,
    pub written: Vec<u8>,
}

/// How often each report was withdrawn, where one was; also as a row has these.
#[derive(Default)]
pub struct Withdrawn {
    pub times: Vec<(ReportKey, u32)>,
    pub written: Vec<u8>,
}

/// One subject: the events that it was decided with, those that came since, and what follows from them.
pub struct Kept {
    pub key: Key,
    history: History,
    /// The events that came since.
    pending: Vec<Came>,
    pub decided_at: i64,
    looked_at: usize,
    pruned: Box<Pruned>,
    dues: Dues,
    /// The next instant at which time alone changes a verdict.
    pub due: Option<i64>,
    reported: Vec<ReportKey>,
    /// The reports as a row has them, without the brackets around all.
    told: Vec<u8>,
    withdrawn: Option<Box<Withdrawn>>,
    ended: Vec<Ending>,
    pub running: Vec<Clock>,
    open: Vec<u32>,
    /// The earliest event that came with this step.
    pub came: Option<i64>,
    /// Whether events came since the last decision; whether its row is to be written; whether it has an expiry.
    pub is_touched: bool,
    pub is_changed: bool,
    pub expires: bool,
    /// Whether anything happened to it since it was last looked at for rest.
    pub is_used: bool,
}

/// The state of a subject that was decided: its events, its reports as a row has them (a list without its brackets) and
/// their keys, those withdrawn, when it was decided, the number of events at which pruning was looked at, when it is due.
pub struct Stored {
    pub events: Vec<Vec<u8>>,
    pub told: Vec<u8>,
    pub reported: Vec<ReportKey>,
    pub withdrawn: Withdrawn,
    pub decided_at: i64,
    pub looked_at: usize,
    pub due: Option<i64>,
    pub pruned: Pruned,
}

/// What a subject is given back with: its events, its reports as a row has them (a list without its brackets) and those
/// withdrawn likewise; when it was decided, the number of events at which pruning was looked at, until when it was pruned
/// and its `Pruned::written`; the events that came since, the earliest that came with this step; whether it is touched,
/// changed, and has an expiry.
pub type Given =
    (Vec<u8>, [Vec<u8>; 2], (i64, usize, Option<i64>, Vec<u8>), Vec<Vec<u8>>, Option<i64>, (bool, bool, bool));

/// What decisions have changed: how often what has ended, and has not after all; and how many more clocks are running.
#[derive(Default)]
pub struct Counts {
    pub ended: HashMap<Ending, i64>,
    pub reopened: HashMap<Ending, i64>,
    pub clocks: i64,
}

/// What a decision leaves to Python.
pub struct Change {
    pub reports: Vec<Made>,
    pub is_to_prune: bool,
}

impl Kept {
    pub fn new(key: KeyRef) -> Kept {
        Kept {
            key: (key.0, key.1.into()),
            history: History::new(),
            pending: Vec::new(),
            decided_at: BEGINNING,
            looked_at: 0,
            pruned: Box::default(),
            dues: Dues::default(),
            due: None,
            reported: Vec::new(),
            told: Vec::new(),
            withdrawn: None,
            ended: Vec::new(),
            running: Vec::new(),
            open: Vec::new(),
            came: None,
            is_touched: false,
            is_changed: false,
            expires: false,
            is_used: true,
        }
    }

    pub fn key(&self) -> KeyRef<'_> {
        (self.key.0, &self.key.1)
    }

    /// A subject of this state; `None` where it stays Python's.
    pub fn loaded(rulebook: &Rulebook, places: &mut Places, key: KeyRef, stored: Stored) -> Option<Kept> {
        let Stored { events, told, reported, withdrawn, decided_at, looked_at, due, pruned } = stored;
        let pruned = Box::new(pruned);
        let withdrawn = (!withdrawn.times.is_empty()).then(|| Box::new(withdrawn));
        let mut kept = Kept { decided_at, looked_at, due, reported, told, withdrawn, pruned, ..Kept::new(key) };
        for raw in &events {
            kept.history.insert(&live::read_one(rulebook, raw)?);
        }
        // Its folds begin again at the next decision, as Python's would.
        kept.history.begins_again = true;
        let asked = kept.asked(None, decided_at);
        let found = live::decide(rulebook, places, asked, kept.history.all(), &mut Spare::default()).ok()?;
        (found.reports.is_empty() && has_plain_places(places, &found)).then_some(())?;
        (kept.ended, kept.running, kept.open) = (found.ended, found.running, found.open);
        Some(kept)
    }

    /// Take an event: whether it was known; `None` where Python must take it.
    pub fn add(&mut self, came: Came) -> Option<bool> {
        let own = came.id();
        let known = self.history.find(own);
        if let Some(known) = known.or_else(|| self.pending.iter().find(|one| one.id() == own).map(|one| &*one.raw)) {
            return (known == &*came.raw).then_some(true);
        }
        // Of a pruned history Python must tell whether an event touches, by corrections, what is over.
        let is_corrected = || {
            let mut events = self.pending.iter().chain([&came]);
            self.history.is_corrected || events.any(|one| one.event.is_correction())
        };
        self.pruned.until.is_none_or(|until| came.event.at > until && !is_corrected()).then_some(())?;
        self.pending.push(came);
        Some(false)
    }

    /// How it is now, for `go_back`.
    pub fn mark(&self) -> Mark {
        self.history.mark(&self.pending)
    }

    /// Have it as it was before a decision that was not made.
    pub fn go_back(&mut self, to: Mark) {
        self.history.go_back(to);
    }

    /// Decide it at a watermark; the reason where Python must, to which it is then to be given after `go_back`. `prunes` is
    /// for how long its events are kept, where they are pruned.
    pub fn decide<'a>(
        &mut self, rulebook: &'a Rulebook, (places, counts): (&mut Places, &mut Counts), watermark: i64,
        prunes: Option<i64>, spare: &mut Spare<'a>,
    ) -> Result<Change, Reason> {
        let counted = self.history.events.len();
        if counted + self.pending.len() > MOST_EVENTS {
            return Err(MANY);
        }
        self.pending.iter().for_each(|came| self.history.insert(came));
        let counted = (!self.history.begins_again).then_some(counted);
        let found = live::decide(rulebook, places, self.asked(counted, watermark), self.history.all(), spare)?;
        has_plain_places(places, &found).then_some(()).ok_or(PLAIN)?;
        let row_form = |made: &Made| row_form(&rulebook.folds[made.order.1].0.id, made, watermark);
        let told: Vec<_> = found.reports.iter().map(row_form).collect::<Option<_>>().ok_or(TEXTS)?;
        self.pending = Vec::new(); // most subjects get no more for long
        for report in told {
            if !self.told.is_empty() {
                self.told.push(b',');
            }
            self.told.extend_from_slice(&report);
        }
        let reports = self.take(rulebook, places, counts, found, watermark);
        Ok(Change { reports, is_to_prune: prunes.is_some_and(|keep_for| self.is_to_prune(watermark, keep_for)) })
    }

    fn asked(&self, counted: Option<usize>, watermark: i64) -> Asked<'_> {
        Asked {
            subject: self.key(),
            counted,
            dues: self.dues.clone(),
            watermark,
            pruned_until: self.pruned.until,
            only: &self.pruned.only,
            reported: &self.reported,
            withdrawn: self.withdrawn.as_ref().map_or(&[], |withdrawn| &withdrawn.times),
            since: None,
        }
    }

    fn take(
        &mut self, rulebook: &Rulebook, places: &Places, counts: &mut Counts, found: Decision, watermark: i64,
    ) -> Vec<Made> {
        let is_asked =
            |number: u32| self.history.begins_again || found.asked.contains(&places.all[number as usize].fold);
        let (asked, stay): (Vec<Ending>, Vec<Ending>) = self.ended.iter().partition(|(place, _)| is_asked(*place));
        let (mut ended, mut running, mut open) = (found.ended, found.running, found.open);
        running.extend(self.running.iter().filter(|(place, ..)| !is_asked(*place)));
        open.extend(self.open.iter().filter(|place| !is_asked(**place)));
        for ending in less(&ended, &asked) {
            *counts.ended.entry(ending).or_default() += 1;
        }
        for ending in less(&asked, &ended) {
            *counts.reopened.entry(ending).or_default() += 1;
        }
        ended.extend(stay);
        counts.clocks += running.len() as i64 - self.running.len() as i64;
        (self.ended, self.running, self.open) = (ended, running, open);
        self.due = found.dues.first();
        (self.decided_at, self.dues, self.history.begins_again) = (watermark, found.dues, false);
        let key = |made: &Made| {
            let (root, kind, cause) = &made.key;
            (rulebook.folds[made.order.1].0.id.clone(), root.clone(), (*kind).to_owned(), cause.clone())
        };
        self.reported.extend(found.reports.iter().map(key));
        found.reports
    }

    /// Whether Python must prune it; `keep_for` back from the watermark, but not what came with this step, is over.
    fn is_to_prune(&mut self, watermark: i64, keep_for: i64) -> bool {
        let count = self.history.events.len();
        if count < FEWEST_EVENTS || count < 2 * self.looked_at {
            return false;
        }
        let cut = (watermark - keep_for).min(watermark - 1).min(self.came.map_or(i64::MAX, |came| came - 1));
        if self.history.events[0].at <= cut && self.pruned.until.is_none_or(|until| cut > until) {
            return true;
        }
        self.looked_at = count;
        false
    }

    /// Whether its row is all there is of it, once that is written.
    pub fn may_rest(&self) -> bool {
        !self.is_touched && !self.is_changed && self.pending.is_empty() && self.decided_at != BEGINNING
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        FIXED + self.history.size() + self.told.capacity()
    }

    /// The instant of the last event that it was decided with or that has come since.
    pub fn last_at(&self) -> i64 {
        let decided = self.history.events.last().map_or(BEGINNING, |last| last.at);
        self.pending.iter().map(|came| came.event.at).fold(decided, i64::max)
    }

    pub fn given(self) -> Given {
        (
            self.history.text,
            [self.told, self.withdrawn.map_or_else(Vec::new, |withdrawn| withdrawn.written)],
            (self.decided_at, self.looked_at, self.pruned.until, self.pruned.written),
            self.pending.into_iter().map(|came| came.raw.into_vec()).collect(),
            self.came,
            (self.is_touched, self.is_changed, self.expires),
        )
    }

    /// See `live::is_idle`; the reason where Python must tell.
    pub fn is_idle<'a>(&self, rulebook: &'a Rulebook, spare: &mut Spare<'a>) -> Result<bool, Reason> {
        live::is_idle(rulebook, self.key(), self.history.all(), &self.pruned.only, spare)
    }

    /// Write its row, where it has no pending events; `judged_by` is a JSON text.
    pub fn row(&self, rulebook: &Rulebook, places: &Places, judged_by: &[u8], row: &mut Vec<u8>) -> Option<()> {
        (self.pending.is_empty() && self.decided_at != BEGINNING).then_some(())?;
        let place = |number: u32| {
            let place = &places.all[number as usize];
            (rulebook.folds[place.fold].0.id.as_str(), place.city.as_deref(), place.county.as_deref())
        };
        row.extend_from_slice(if self.pruned.until.is_none() { b"{\"v\":1" } else { b"{\"v\":2" });
        row.extend_from_slice(b",\"standing\":[");
        row.extend_from_slice(judged_by);
        row.push(b',');
        number(row, self.due);
        row.extend_from_slice(b",[");
        let mut open: Vec<_> = self.open.iter().map(|number| place(*number)).collect();
        if open.len() > 1 {
            open.sort_by_cached_key(|(rule, city, _)| format!("('{rule}', {})", shown(*city)));
        }
        for (index, (rule, city, _)) in open.into_iter().enumerate() {
            row.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            texts(row, &[Some(rule), city]);
            row.push(b']');
        }
        row.extend_from_slice(b"],[");
        let mut running: Vec<_> =
            self.running.iter().map(|(number, start, by)| (place(*number), *start, *by)).collect();
        if running.len() > 1 {
            running.sort_by_cached_key(|((rule, city, county), start, by)| {
                let place = format!("Place(rule='{rule}', city={}, county={})", shown(*city), shown(*county));
                (place, start.to_string(), by.map_or("None".to_owned(), |by| by.to_string()))
            });
        }
        for (index, ((rule, city, county), start, by)) in running.into_iter().enumerate() {
            row.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            texts(row, &[Some(rule), city, county]);
            row.push(b',');
            number(row, Some(start));
            row.push(b',');
            number(row, by);
            row.push(b']');
        }
        row.extend_from_slice(b"]]");
        if self.looked_at > 0 || self.pruned.until.is_some() {
            row.extend_from_slice(b",\"pruned\":[");
            number(row, self.pruned.until);
            write!(row, ",{},[", self.looked_at).ok()?;
            row.extend_from_slice(&self.pruned.written);
            row.extend_from_slice(b"]]");
        }
        row.extend_from_slice(b",\"events\":");
        row.extend_from_slice(&self.history.text);
        row.extend_from_slice(b",\"told\":[");
        row.extend_from_slice(&self.told);
        row.extend_from_slice(b"],\"withdrawn\":[");
        row.extend_from_slice(self.withdrawn.as_ref().map_or(b"", |withdrawn| &withdrawn.written));
        write!(row, "],\"decided_at\":{}}}", self.decided_at).ok()?;
        Some(())
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

/// Whether Python need not order or write any of its places.
fn has_plain_places(places: &Places, found: &Decision) -> bool {
    let ended = found.ended.iter().map(|(place, _)| place);
    let running = found.running.iter().map(|(place, ..)| place);
    let told = found.reports.iter().map(|made| &made.place);
    ended.chain(running).chain(&found.open).chain(told).all(|place| places.is_plain(*place))
}

fn shown(code: Option<&str>) -> String {
    code.map_or("None".to_owned(), |code| format!("'{code}'"))
}

fn number(row: &mut Vec<u8>, number: Option<i64>) {
    match number {
        Some(number) => write!(row, "{number}").unwrap_or_default(),
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
