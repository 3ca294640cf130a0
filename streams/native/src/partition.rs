//! The subjects of one partition of a worker's clocks that are kept here, with what is to happen to them and when.
//!
//! Mirrors `handle`, `advancing` and `_forget` of `streams/core/engine.py`, for what `kept.rs` keeps.

use crate::hashing::{HashSet, HashTable, Hasher};
use crate::history::Came;
use crate::kept::{Counts, Kept, Key, KeyRef, Stored};
use crate::kinds::Spare;
use crate::live::{Clock, Made};
use crate::places::Places;
use crate::replay::Rulebook;
use crate::slots::{Slots, Subject};
use crate::subject::SUBJECTS;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What has become of an event; the numbers are those of `streams/engine/subjects.py`.
#[derive(Clone, Copy)]
pub enum Taken {
    Applied = 0,
    Late = 1,
    Duplicate = 2,
    /// Python must take it, and all that come after it for this subject in its record.
    Left = 3,
    Failed = 4,
    /// It is at rest: it must be loaded first.
    AtRest = 5,
}

/// How long subjects are kept, and their events where these are pruned; microseconds.
#[derive(Clone, Copy)]
pub struct Times {
    pub watermark: i64,
    pub keep_for: Option<i64>,
    pub prunes: Option<i64>,
}

/// What some decisions leave to Python.
#[derive(Default)]
pub struct Step {
    pub reports: Vec<(Key, Vec<Made>)>,
    /// Subjects that Python must decide, those that must be loaded first, and those that Python must prune.
    pub left: Vec<Key>,
    pub at_rest: Vec<Key>,
    pub to_prune: Vec<Key>,
    pub failures: usize,
    /// Whether no more are to be decided.
    pub is_done: bool,
}

/// An instant, and the slot of a subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))] // twelve bytes, as there are millions of them
struct Timer {
    at: i64,
    number: u32,
}

/// The first one comes first.
type Timers = BinaryHeap<Reverse<Timer>>;

/// The number of a slot is used again after its subject's end; so an entry of a list may be of another subject, and each
/// is looked at again.
#[derive(Default)]
pub struct Partition {
    slots: Slots,
    /// The slots by their keys, which these hold.
    numbers: HashTable<u32>,
    hasher: Hasher,
    pub places: Places,
    timers: Timers,
    expiries: Timers,
    touched: Vec<u32>,
    changed: Vec<u32>,
    came: Vec<u32>,
    dropped: Vec<Key>,
    pub counts: Counts,
    /// The memory of those that are not at rest, about.
    size: usize,
}

impl Partition {
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn keys(&self) -> impl Iterator<Item = KeyRef<'_>> {
        self.slots.numbers().filter_map(|number| self.slots.key(number))
    }

    fn number(&self, key: KeyRef) -> Option<u32> {
        let is_it = |number: &u32| self.slots.key(*number) == Some(key);
        self.numbers.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub fn has(&self, key: KeyRef) -> bool {
        self.number(key).is_some()
    }

    pub fn is_at_rest(&self, key: KeyRef) -> bool {
        self.number(key).is_some_and(|number| self.slots.at_rest(number).is_some())
    }

    /// Have a subject that was put into a slot.
    fn enter(&mut self, number: u32) {
        self.counts.clocks += self.slots.clocks(number) as i64;
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |number: &u32| slots.key(*number).map_or(0, |key| hasher.hash_one(key));
        self.numbers.insert_unique(hash_of(&number), number, hash_of);
    }

    fn enter_kept(&mut self, kept: Kept) -> u32 {
        self.size += kept.size();
        let number = self.slots.add_kept(kept);
        self.enter(number);
        number
    }

    /// Take a subject out, with its clocks; it, if it was not at rest.
    pub fn remove(&mut self, key: KeyRef) -> Option<Kept> {
        let is_it = |number: &u32| self.slots.key(*number) == Some(key);
        let (number, _) = self.numbers.find_entry(self.hasher.hash_one(key), is_it).ok()?.remove();
        self.counts.clocks -= self.slots.clocks(number) as i64;
        let kept = self.slots.remove(number)?;
        self.size -= kept.size().min(self.size);
        Some(kept)
    }

    /// Take out a subject that is at rest: whether it has an expiry.
    pub fn remove_resting(&mut self, key: KeyRef) -> bool {
        let at_rest = self.number(key).and_then(|number| self.slots.at_rest(number));
        let expires = at_rest.is_some_and(|at_rest| at_rest.expires());
        self.remove(key);
        expires
    }

    /// Keep a subject of this state, with its expiry where it has one; or one that is at rest, which has these already.
    /// `false` where it stays Python's.
    pub fn load(&mut self, rulebook: &Rulebook, key: KeyRef, mut stored: Stored, expires: Option<i64>) -> bool {
        let number = self.number(key);
        if let Some(number) = number
            && let Some(at_rest) = self.slots.at_rest(number)
        {
            stored.due = at_rest.due();
            let (expires, clocks) = (at_rest.expires(), at_rest.running().len());
            let Some(mut kept) = Kept::loaded(rulebook, &mut self.places, key, stored) else { return false };
            kept.expires = expires;
            self.size += kept.size();
            self.counts.clocks += kept.running.len() as i64 - clocks as i64;
            self.slots.wake(number, kept);
            return true;
        }
        let Some(mut kept) = Kept::loaded(rulebook, &mut self.places, key, stored) else { return false };
        kept.expires = expires.is_some();
        let due = kept.due;
        let number = self.enter_kept(kept);
        self.expect(number, due, expires);
        true
    }

    fn expect(&mut self, number: u32, due: Option<i64>, expires: Option<i64>) {
        self.timers.extend(due.map(|at| Reverse(Timer { at, number })));
        self.expiries.extend(expires.map(|at| Reverse(Timer { at, number })));
    }

    /// Have a subject that is at rest, and its expiry where it has one.
    pub fn add_resting(&mut self, key: KeyRef, due: Option<i64>, running: &[Clock], expires: Option<i64>) {
        let number = self.slots.add_at_rest(key, due, running, expires.is_some());
        self.enter(number);
        self.expect(number, due, expires);
    }

    /// Put subjects to rest, those first to which nothing happened for long, until the others need at most so much memory.
    /// What is written must be where their rows are read.
    pub fn rest(&mut self, at_most: usize) {
        // Once around, each that was used since it was last looked at stays.
        for _ in 0..2 * self.slots.round() {
            if self.size <= at_most {
                return;
            }
            let size = self.slots.rest_next().unwrap_or_default();
            self.size -= size.min(self.size);
        }
    }

    /// Have a subject decided at the next step.
    pub fn touch(&mut self, key: KeyRef) {
        let Some(number) = self.number(key) else { return };
        let Some(kept) = self.slots.kept_mut(number) else { return };
        mark(&mut kept.is_touched, &mut self.touched, number);
    }

    /// Take an event of a subject, `None` where it is not plain: what has become of it, and its type where it was taken.
    pub fn take(&mut self, key: KeyRef, came: Option<Came>, times: Times) -> (Taken, usize) {
        let added = catch_unwind(AssertUnwindSafe(|| self.add(key, came?, times)));
        added.map_or((Taken::Failed, 0), |added| added.unwrap_or((Taken::Left, 0)))
    }

    fn add(&mut self, key: KeyRef, came: Came, times: Times) -> Option<(Taken, usize)> {
        let event = &came.event;
        let (at, event_type) = (event.at, event.event_type());
        if usize::from(key.0) >= SUBJECTS.len() {
            return None;
        }
        let number = match self.number(key) {
            Some(number) => number,
            // The subject may have been dropped: see `Engine.handle`.
            None if times.keep_for.is_some_and(|keep_for| at + keep_for <= times.watermark) => return None,
            None => self.enter_kept(Kept::new(key)),
        };
        let Some(kept) = self.slots.kept_mut(number) else { return Some((Taken::AtRest, event_type)) };
        kept.is_used = true;
        let is_known = kept.add(came)?;
        if kept.came.is_none() {
            self.came.push(number);
        }
        kept.came = Some(kept.came.map_or(at, |came| came.min(at)));
        if is_known {
            return Some((Taken::Duplicate, event_type));
        }
        mark(&mut kept.is_touched, &mut self.touched, number);
        mark(&mut kept.is_changed, &mut self.changed, number);
        Some((if at <= times.watermark { Taken::Late } else { Taken::Applied }, event_type))
    }

    /// Decide some of the subjects with new events or whose time has come.
    pub fn decide(&mut self, rulebook: &Rulebook, times: Times, at_most: usize) -> Step {
        let (mut step, mut spare) = (Step::default(), Spare::default());
        for _ in 0..at_most {
            let Some(number) = self.next(times.watermark) else {
                step.is_done = true;
                break;
            };
            self.decide_one(rulebook, times, number, &mut step, &mut spare);
        }
        step
    }

    fn next(&mut self, watermark: i64) -> Option<u32> {
        while let Some(number) = self.touched.pop() {
            if self.slots.kept(number).is_some_and(|kept| kept.is_touched) {
                return Some(number);
            }
        }
        while let Some(&Reverse(timer)) = self.timers.peek()
            && timer.at <= watermark
        {
            self.timers.pop();
            if !self.is_stale(timer) {
                return Some(timer.number);
            }
        }
        None
    }

    fn is_stale(&self, timer: Timer) -> bool {
        self.slots.due(timer.number) != Some(timer.at)
    }

    fn decide_one<'a>(
        &mut self, rulebook: &'a Rulebook, times: Times, number: u32, step: &mut Step, spare: &mut Spare<'a>,
    ) {
        let kept = match self.slots.subject(number) {
            Some(Subject::Kept(kept)) => kept,
            Some(Subject::AtRest(at_rest)) => return step.at_rest.push(owned(at_rest.key())),
            None => return,
        };
        let (due, size) = (kept.due, kept.size());
        kept.is_used = true;
        let (places, counts, before) = (&mut self.places, &mut self.counts, kept.mark());
        let decide = || kept.decide(rulebook, (places, counts), times.watermark, times.prunes, spare);
        let change = match catch_unwind(AssertUnwindSafe(decide)) {
            Ok(Ok(change)) => change,
            found => {
                kept.go_back(before);
                step.failures += usize::from(found.is_err());
                step.left.push(kept.key.clone());
                return;
            }
        };
        self.size = (self.size + kept.size()).saturating_sub(size);
        kept.is_touched = false;
        mark(&mut kept.is_changed, &mut self.changed, number);
        if kept.due != due {
            self.timers.extend(kept.due.map(|at| Reverse(Timer { at, number })));
        }
        // Where it is due it has an expiry from when it is decided then.
        if let Some(keep_for) = times.keep_for
            && !kept.expires
            && kept.due.is_none()
        {
            kept.expires = true;
            self.expiries.push(Reverse(Timer { at: times.watermark + keep_for, number }));
        }
        if !change.reports.is_empty() {
            step.reports.push((kept.key.clone(), change.reports));
        }
        if change.is_to_prune {
            step.to_prune.push(kept.key.clone());
        }
    }

    /// Drop the subjects without an open case that got nothing for as long as subjects are kept; those of which Python
    /// must tell whether they are idle, and those that must be loaded first: then it is to be done again.
    pub fn forget(&mut self, rulebook: &Rulebook, times: Times) -> (Vec<Key>, Vec<Key>) {
        let (mut later, mut to_ask, mut at_rest) = (Vec::new(), Vec::new(), Vec::new());
        let mut spare = Spare::default();
        while let Some(&Reverse(timer)) = self.expiries.peek()
            && timer.at <= times.watermark
        {
            self.expiries.pop();
            let number = timer.number;
            let kept = match self.slots.subject(number) {
                None => continue,
                Some(Subject::AtRest(known)) => {
                    if known.due().is_some() {
                        self.slots.end_expiry(number); // it has another from when that is decided
                    } else if known.expires() {
                        later.push(Reverse(timer));
                        at_rest.push(owned(known.key()));
                    }
                    continue;
                }
                Some(Subject::Kept(kept)) => kept,
            };
            if !kept.expires {
                continue;
            }
            if kept.came.is_some() {
                later.push(Reverse(timer));
                continue;
            }
            let kept_until = kept.decided_at.max(kept.last_at()) + times.keep_for.unwrap_or_default();
            if kept_until > times.watermark {
                self.expiries.push(Reverse(Timer { at: kept_until, number }));
                continue;
            }
            if kept.due.is_some() {
                kept.expires = false;
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| kept.is_idle(rulebook, &mut spare))) {
                Ok(Ok(false)) => kept.expires = false,
                Ok(Ok(true)) => {
                    let key = kept.key.clone();
                    self.remove((key.0, &key.1));
                    self.dropped.push(key);
                }
                _ => to_ask.push(kept.key.clone()),
            }
        }
        self.expiries.extend(later);
        if !at_rest.is_empty() {
            return (to_ask, at_rest);
        }
        self.end_step();
        if self.timers.len() > 2 * self.len() + 1000 {
            let due = |number| Some(Reverse(Timer { at: self.slots.due(number)?, number }));
            self.timers = self.slots.numbers().filter_map(due).collect();
        }
        (to_ask, at_rest)
    }

    /// The row of a subject, where it has one without Python.
    pub fn row(&self, rulebook: &Rulebook, key: KeyRef, judged_by: &[u8]) -> Option<Vec<u8>> {
        let mut row = Vec::new();
        self.slots.kept(self.number(key)?)?.row(rulebook, &self.places, judged_by, &mut row)?;
        Some(row)
    }

    fn end_step(&mut self) {
        for number in std::mem::take(&mut self.came) {
            if let Some(kept) = self.slots.kept_mut(number) {
                kept.came = None;
            }
        }
    }

    /// The changed rows, without one where a subject was dropped, each given to `write`; the subjects whose row Python must
    /// make.
    pub fn rows(
        &mut self, rulebook: &Rulebook, judged_by: &[u8], mut write: impl FnMut(KeyRef, Option<&[u8]>),
    ) -> Vec<Key> {
        self.dropped.drain(..).for_each(|(kind, id)| write((kind, &id), None));
        let (mut left, mut row) = (Vec::new(), Vec::new());
        for number in std::mem::take(&mut self.changed) {
            let Some(kept) = self.slots.kept_mut(number) else { continue };
            if !std::mem::take(&mut kept.is_changed) {
                continue;
            }
            row.clear();
            match kept.row(rulebook, &self.places, judged_by, &mut row) {
                Some(()) => write(kept.key(), Some(&row)),
                None => left.push(kept.key.clone()),
            }
        }
        self.end_step();
        left
    }

    /// The subjects that a step to that watermark decides or, `with_expiries`, may drop.
    pub fn concerned(&self, at: i64, with_expiries: bool) -> Vec<Key> {
        let expiries = self.expiries.iter().filter(|_| with_expiries);
        let timers = self.timers.iter().filter(|Reverse(timer)| !self.is_stale(*timer));
        let due = timers.chain(expiries).filter(|Reverse(timer)| timer.at <= at);
        let is_touched = |number: &&u32| self.slots.kept(**number).is_some_and(|kept| kept.is_touched);
        let touched = self.touched.iter().filter(is_touched).copied();
        let numbers: HashSet<u32> = due.map(|Reverse(timer)| timer.number).chain(touched).collect();
        numbers.into_iter().filter_map(|number| self.slots.key(number).map(owned)).collect()
    }

    pub fn next_due(&mut self) -> Option<i64> {
        while let Some(&Reverse(timer)) = self.timers.peek() {
            if !self.is_stale(timer) {
                return Some(timer.at);
            }
            self.timers.pop();
        }
        None
    }

    /// All running clocks.
    pub fn running(&self) -> impl Iterator<Item = Clock> {
        self.slots.running()
    }
}

fn owned((kind, id): KeyRef) -> Key {
    (kind, id.into())
}

fn mark(is_marked: &mut bool, all: &mut Vec<u32>, number: u32) {
    if !std::mem::replace(is_marked, true) {
        all.push(number);
    }
}
