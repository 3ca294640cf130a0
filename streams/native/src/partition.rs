//! The subjects of one partition of a worker's clocks that are kept here, with what is to happen to them and when.
//!
//! Mirrors `handle`, `advancing` and `_forget` of `streams/core/engine.py`, for what `kept.rs` keeps.

use crate::hashing::{HashMap, HashSet};
use crate::kept::{Clock, Counts, Kept, Key, Places, Pruned};
use crate::live::{self, Made, ReportKey};
use crate::replay::Rulebook;
use crate::subject::SUBJECTS;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    /// Subjects that Python must decide, and those that it must prune.
    pub left: Vec<Key>,
    pub to_prune: Vec<Key>,
    pub failures: usize,
    /// Whether no more are to be decided.
    pub is_done: bool,
}

/// An instant, and the slot of a subject.
type Timers = BinaryHeap<Reverse<(i64, u32)>>;

/// A subject has a slot, whose number is used again after its end; so an entry of a list may be of another subject, and
/// each is looked at again.
#[derive(Default)]
pub struct Partition {
    slots: Vec<Option<Kept>>,
    free: Vec<u32>,
    numbers: HashMap<Key, u32>,
    pub places: Places,
    timers: Timers,
    expiries: Timers,
    touched: Vec<u32>,
    changed: Vec<u32>,
    came: Vec<u32>,
    dropped: Vec<Key>,
    pub counts: Counts,
}

impl Partition {
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.numbers.keys()
    }

    pub fn get(&mut self, key: &Key) -> Option<&mut Kept> {
        let number = *self.numbers.get(key)?;
        self.slots[number as usize].as_mut()
    }

    fn insert(&mut self, kept: Kept) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.numbers.insert(kept.key.clone(), number);
        self.slots[number as usize] = Some(kept);
        number
    }

    /// Take a subject out, with its clocks.
    pub fn remove(&mut self, key: &Key) -> Option<Kept> {
        let number = self.numbers.remove(key)?;
        let kept = self.slots[number as usize].take()?;
        self.free.push(number);
        self.counts.clocks -= kept.running.len() as i64;
        Some(kept)
    }

    /// Keep a subject that was decided with these events, and has made these reports. `false` where it stays Python's.
    pub fn load(
        &mut self, rulebook: &Rulebook, key: Key, events: &[Vec<u8>], reports: (Vec<u8>, Vec<ReportKey>),
        decided: (i64, usize, Option<i64>), pruned: Pruned, expires: Option<i64>,
    ) -> bool {
        let Some(mut kept) = Kept::loaded(rulebook, &mut self.places, key, events, reports, decided, pruned) else {
            return false;
        };
        self.counts.clocks += kept.running.len() as i64;
        kept.expires = expires.is_some();
        let due = kept.due;
        let number = self.insert(kept);
        self.timers.extend(due.map(|due| Reverse((due, number))));
        self.expiries.extend(expires.map(|at| Reverse((at, number))));
        true
    }

    /// Have a subject decided at the next step.
    pub fn touch(&mut self, key: &Key) {
        let Some(number) = self.numbers.get(key) else { return };
        let Some(kept) = &mut self.slots[*number as usize] else { return };
        mark(&mut kept.is_touched, &mut self.touched, *number);
    }

    /// Take an event of a subject: what has become of it, and its type where it was taken.
    pub fn take(&mut self, rulebook: &Rulebook, key: Key, raw: &[u8], times: Times) -> (Taken, usize) {
        let added = catch_unwind(AssertUnwindSafe(|| self.add(rulebook, &key, raw, times)));
        added.map_or((Taken::Failed, 0), |added| added.unwrap_or((Taken::Left, 0)))
    }

    fn add(&mut self, rulebook: &Rulebook, key: &Key, raw: &[u8], times: Times) -> Option<(Taken, usize)> {
        let event = live::read_one(rulebook, raw)?;
        let (at, event_type) = (event.at, event.event_type());
        if usize::from(key.0) >= SUBJECTS.len() {
            return None;
        }
        let number = match self.numbers.get(key) {
            Some(number) => *number,
            // The subject may have been dropped: see `Engine.handle`.
            None if times.keep_for.is_some_and(|keep_for| at + keep_for <= times.watermark) => return None,
            None => self.insert(Kept::new(key.clone())),
        };
        let kept = self.slots[number as usize].as_mut()?;
        let is_known = kept.add(event, raw)?;
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
        let mut step = Step::default();
        for _ in 0..at_most {
            let Some(number) = self.next(times.watermark) else {
                step.is_done = true;
                break;
            };
            self.decide_one(rulebook, times, number, &mut step);
        }
        step
    }

    fn next(&mut self, watermark: i64) -> Option<u32> {
        while let Some(number) = self.touched.pop() {
            if let Some(kept) = &mut self.slots[number as usize]
                && kept.is_touched
            {
                return Some(number);
            }
        }
        while let Some(&Reverse((due, number))) = self.timers.peek()
            && due <= watermark
        {
            self.timers.pop();
            if !self.is_stale(due, number) {
                return Some(number);
            }
        }
        None
    }

    fn is_stale(&self, due: i64, number: u32) -> bool {
        self.slots[number as usize].as_ref().is_none_or(|kept| kept.due != Some(due))
    }

    fn decide_one(&mut self, rulebook: &Rulebook, times: Times, number: u32, step: &mut Step) {
        let Some(kept) = &mut self.slots[number as usize] else { return };
        let before = kept.due;
        let (places, counts) = (&mut self.places, &mut self.counts);
        let decide = || kept.decide(rulebook, places, counts, times.watermark, times.prunes);
        let change = match catch_unwind(AssertUnwindSafe(decide)) {
            Ok(Ok(change)) => change,
            found => {
                step.failures += usize::from(found.is_err());
                step.left.push(kept.key.clone());
                return;
            }
        };
        kept.is_touched = false;
        mark(&mut kept.is_changed, &mut self.changed, number);
        if kept.due != before {
            self.timers.extend(kept.due.map(|due| Reverse((due, number))));
        }
        if let Some(keep_for) = times.keep_for
            && !kept.expires
        {
            kept.expires = true;
            self.expiries.push(Reverse((times.watermark + keep_for, number)));
        }
        if !change.reports.is_empty() {
            step.reports.push((kept.key.clone(), change.reports));
        }
        if change.is_to_prune {
            step.to_prune.push(kept.key.clone());
        }
    }

    /// Drop the subjects without an open case that got nothing for as long as subjects are kept; those of which Python
    /// must tell whether they are idle.
    pub fn forget(&mut self, rulebook: &Rulebook, times: Times) -> Vec<Key> {
        let (mut later, mut to_ask) = (Vec::new(), Vec::new());
        while let Some(&Reverse((until, number))) = self.expiries.peek()
            && until <= times.watermark
        {
            self.expiries.pop();
            let Some(kept) = &mut self.slots[number as usize] else { continue };
            if !kept.expires {
                continue;
            }
            if kept.came.is_some() {
                later.push(Reverse((until, number)));
                continue;
            }
            let kept_until = kept.decided_at.max(kept.last_at()) + times.keep_for.unwrap_or_default();
            if kept_until > times.watermark {
                self.expiries.push(Reverse((kept_until, number)));
                continue;
            }
            kept.expires = false;
            if kept.due.is_some() {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| kept.is_idle(rulebook))) {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => {
                    let key = kept.key.clone();
                    self.remove(&key);
                    self.dropped.push(key);
                }
                _ => to_ask.push(kept.key.clone()),
            }
        }
        self.expiries.extend(later);
        self.end_step();
        if self.timers.len() > 2 * self.len() + 1000 {
            let kept = self.slots.iter().enumerate().filter_map(|(number, kept)| Some((number, kept.as_ref()?.due?)));
            self.timers = kept.map(|(number, due)| Reverse((due, number as u32))).collect();
        }
        to_ask
    }

    fn end_step(&mut self) {
        for number in self.came.drain(..) {
            if let Some(kept) = &mut self.slots[number as usize] {
                kept.came = None;
            }
        }
    }

    /// The changed rows, `None` where a subject was dropped, and the subjects whose row Python must make.
    #[allow(clippy::type_complexity)]
    pub fn rows(&mut self, rulebook: &Rulebook, judged_by: &[u8]) -> (Vec<(Key, Option<Vec<u8>>)>, Vec<Key>) {
        let mut rows: Vec<_> = self.dropped.drain(..).map(|key| (key, None)).collect();
        let mut left = Vec::new();
        for number in std::mem::take(&mut self.changed) {
            let Some(kept) = &mut self.slots[number as usize] else { continue };
            if !std::mem::take(&mut kept.is_changed) {
                continue;
            }
            match kept.row(rulebook, &self.places, judged_by) {
                Some(row) => rows.push((kept.key.clone(), Some(row))),
                None => left.push(kept.key.clone()),
            }
        }
        self.end_step();
        (rows, left)
    }

    /// The subjects that a step to that watermark decides or, `with_expiries`, may drop.
    pub fn concerned(&self, at: i64, with_expiries: bool) -> Vec<Key> {
        let expiries = self.expiries.iter().filter(|_| with_expiries);
        let timers = self.timers.iter().filter(|Reverse((due, number))| !self.is_stale(*due, *number));
        let due = timers.chain(expiries).filter(|Reverse((due, _))| *due <= at);
        let numbers: HashSet<u32> =
            due.map(|Reverse((_, number))| *number).chain(self.touched.iter().copied()).collect();
        numbers.into_iter().filter_map(|number| Some(self.slots[number as usize].as_ref()?.key.clone())).collect()
    }

    pub fn next_due(&mut self) -> Option<i64> {
        while let Some(&Reverse((due, number))) = self.timers.peek() {
            if !self.is_stale(due, number) {
                return Some(due);
            }
            self.timers.pop();
        }
        None
    }

    /// All running clocks.
    pub fn running(&self) -> impl Iterator<Item = &Clock> {
        self.slots.iter().flatten().flat_map(|kept| &kept.running)
    }
}

fn mark(is_marked: &mut bool, all: &mut Vec<u32>, number: u32) {
    if !std::mem::replace(is_marked, true) {
        all.push(number);
    }
}
