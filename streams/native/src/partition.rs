//! The subjects of one partition of a worker's clocks that are kept here, with what is to happen to them and when.
//!
//! Mirrors `handle`, `advancing` and `_forget` of `streams/core/engine.py`, for what `kept.rs` keeps.

use crate::hashing::{HashSet, HashTable, Hasher};
use crate::kept::{Clock, Counts, Kept, Key, Places, Resting, Stored};
use crate::live::{self, Made};
use crate::replay::Rulebook;
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
type Timers = BinaryHeap<Reverse<(i64, u32)>>;

enum Slot {
    Kept(Box<Kept>),
    AtRest(Box<Resting>),
}

impl Slot {
    fn kept(&mut self) -> Option<&mut Kept> {
        match self {
            Slot::Kept(kept) => Some(kept),
            Slot::AtRest(_) => None,
        }
    }

    fn key(&self) -> &Key {
        match self {
            Slot::Kept(kept) => &kept.key,
            Slot::AtRest(resting) => &resting.key,
        }
    }

    fn due(&self) -> Option<i64> {
        match self {
            Slot::Kept(kept) => kept.due,
            Slot::AtRest(resting) => resting.due,
        }
    }

    fn running(&self) -> &[Clock] {
        match self {
            Slot::Kept(kept) => &kept.running,
            Slot::AtRest(resting) => &resting.running,
        }
    }
}

/// A subject has a slot, whose number is used again after its end; so an entry of a list may be of another subject, and
/// each is looked at again.
#[derive(Default)]
pub struct Partition {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
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
    /// The memory of those that are not at rest, about; the slot at which is looked next for one that may rest.
    size: usize,
    next_to_rest: usize,
}

impl Partition {
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.slots.iter().flatten().map(Slot::key)
    }

    fn number(&self, key: &Key) -> Option<u32> {
        let is_it = |number: &u32| self.slots[*number as usize].as_ref().is_some_and(|slot| slot.key() == key);
        self.numbers.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub fn get(&mut self, key: &Key) -> Option<&mut Kept> {
        self.kept(self.number(key)?)
    }

    fn kept(&mut self, number: u32) -> Option<&mut Kept> {
        self.slots[number as usize].as_mut()?.kept()
    }

    pub fn is_at_rest(&self, key: &Key) -> bool {
        let slot = self.number(key).map(|number| &self.slots[number as usize]);
        matches!(slot, Some(Some(Slot::AtRest(_))))
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.counts.clocks += slot.running().len() as i64;
        let hash = self.hasher.hash_one(slot.key());
        self.slots[number as usize] = Some(slot);
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |number: &u32| slots[*number as usize].as_ref().map_or(0, |slot| hasher.hash_one(slot.key()));
        self.numbers.insert_unique(hash, number, hash_of);
        number
    }

    fn remove_slot(&mut self, key: &Key) -> Option<Slot> {
        let slots = &self.slots;
        let is_it = |number: &u32| slots[*number as usize].as_ref().is_some_and(|slot| slot.key() == key);
        let (number, _) = self.numbers.find_entry(self.hasher.hash_one(key), is_it).ok()?.remove();
        let slot = self.slots[number as usize].take()?;
        self.free.push(number);
        self.counts.clocks -= slot.running().len() as i64;
        Some(slot)
    }

    /// Take a subject out, with its clocks. It must not be at rest.
    pub fn remove(&mut self, key: &Key) -> Option<Kept> {
        match self.remove_slot(key)? {
            Slot::Kept(kept) => {
                self.size -= kept.size().min(self.size);
                Some(*kept)
            }
            Slot::AtRest(_) => None,
        }
    }

    /// Take out a subject that is at rest.
    pub fn remove_resting(&mut self, key: &Key) -> Option<Resting> {
        match self.remove_slot(key)? {
            Slot::Kept(_) => None,
            Slot::AtRest(resting) => Some(*resting),
        }
    }

    /// Keep a subject of this state, with its expiry where it has one; or one that is at rest, which has these already.
    /// `false` where it stays Python's.
    pub fn load(&mut self, rulebook: &Rulebook, key: Key, mut stored: Stored, expires: Option<i64>) -> bool {
        let number = self.number(&key);
        if let Some(number) = number
            && let Some(Slot::AtRest(resting)) = &mut self.slots[number as usize]
        {
            stored.due = resting.due;
            let Some(mut kept) = Kept::loaded(rulebook, &mut self.places, key, stored) else { return false };
            kept.expires = resting.expires;
            self.size += kept.size();
            self.counts.clocks += kept.running.len() as i64 - resting.running.len() as i64;
            self.slots[number as usize] = Some(Slot::Kept(Box::new(kept)));
            return true;
        }
        let Some(mut kept) = Kept::loaded(rulebook, &mut self.places, key, stored) else { return false };
        kept.expires = expires.is_some();
        self.size += kept.size();
        let due = kept.due;
        let number = self.insert(Slot::Kept(Box::new(kept)));
        self.expect(number, due, expires);
        true
    }

    fn expect(&mut self, number: u32, due: Option<i64>, expires: Option<i64>) {
        self.timers.extend(due.map(|due| Reverse((due, number))));
        self.expiries.extend(expires.map(|at| Reverse((at, number))));
    }

    /// Have a subject that is at rest, and its expiry where it has one.
    pub fn add_resting(&mut self, resting: Resting, expires: Option<i64>) {
        let due = resting.due;
        let number = self.insert(Slot::AtRest(Box::new(resting)));
        self.expect(number, due, expires);
    }

    /// Put subjects to rest, those first to which nothing happened for long, until the others need at most so much memory.
    /// What is written must be where their rows are read.
    pub fn rest(&mut self, at_most: usize) {
        // Once around, each that was used since it was last looked at stays.
        for _ in 0..2 * self.slots.len() {
            if self.size <= at_most {
                return;
            }
            self.next_to_rest = (self.next_to_rest + 1) % self.slots.len();
            let slot = &mut self.slots[self.next_to_rest];
            if let Some(Slot::Kept(kept)) = slot
                && !std::mem::take(&mut kept.is_used)
                && kept.may_rest()
            {
                self.size -= kept.size().min(self.size);
                *slot = Some(Slot::AtRest(Box::new(kept.at_rest())));
            }
        }
    }

    /// Have a subject decided at the next step.
    pub fn touch(&mut self, key: &Key) {
        let Some(number) = self.number(key) else { return };
        let Some(kept) = self.slots[number as usize].as_mut().and_then(Slot::kept) else { return };
        mark(&mut kept.is_touched, &mut self.touched, number);
    }

    /// Take an event of a subject: what has become of it, and its type where it was taken.
    pub fn take(&mut self, rulebook: &Rulebook, key: &Key, raw: &[u8], times: Times) -> (Taken, usize) {
        let added = catch_unwind(AssertUnwindSafe(|| self.add(rulebook, key, raw, times)));
        added.map_or((Taken::Failed, 0), |added| added.unwrap_or((Taken::Left, 0)))
    }

    fn add(&mut self, rulebook: &Rulebook, key: &Key, raw: &[u8], times: Times) -> Option<(Taken, usize)> {
        let event = live::read_one(rulebook, raw)?;
        let (at, event_type) = (event.at, event.event_type());
        if usize::from(key.0) >= SUBJECTS.len() {
            return None;
        }
        let number = match self.number(key) {
            Some(number) => number,
            // The subject may have been dropped: see `Engine.handle`.
            None if times.keep_for.is_some_and(|keep_for| at + keep_for <= times.watermark) => return None,
            None => {
                let kept = Kept::new(key.clone());
                self.size += kept.size();
                self.insert(Slot::Kept(Box::new(kept)))
            }
        };
        let Some(kept) = self.slots[number as usize].as_mut()?.kept() else { return Some((Taken::AtRest, event_type)) };
        kept.is_used = true;
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
            if self.kept(number).is_some_and(|kept| kept.is_touched) {
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
        self.slots[number as usize].as_ref().is_none_or(|slot| slot.due() != Some(due))
    }

    fn decide_one(&mut self, rulebook: &Rulebook, times: Times, number: u32, step: &mut Step) {
        let kept = match &mut self.slots[number as usize] {
            Some(Slot::Kept(kept)) => kept,
            Some(Slot::AtRest(resting)) => return step.at_rest.push(resting.key.clone()),
            None => return,
        };
        let (before, size) = (kept.due, kept.size());
        kept.is_used = true;
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
        self.size = (self.size + kept.size()).saturating_sub(size);
        kept.is_touched = false;
        mark(&mut kept.is_changed, &mut self.changed, number);
        if kept.due != before {
            self.timers.extend(kept.due.map(|due| Reverse((due, number))));
        }
        // Where it is due it has an expiry from when it is decided then.
        if let Some(keep_for) = times.keep_for
            && !kept.expires
            && kept.due.is_none()
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
    /// must tell whether they are idle, and those that must be loaded first: then it is to be done again.
    pub fn forget(&mut self, rulebook: &Rulebook, times: Times) -> (Vec<Key>, Vec<Key>) {
        let (mut later, mut to_ask, mut at_rest) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(&Reverse((until, number))) = self.expiries.peek()
            && until <= times.watermark
        {
            self.expiries.pop();
            let kept = match &mut self.slots[number as usize] {
                None => continue,
                Some(Slot::AtRest(resting)) => {
                    if resting.due.is_some() {
                        resting.expires = false; // it has another from when that is decided
                    } else if resting.expires {
                        later.push(Reverse((until, number)));
                        at_rest.push(resting.key.clone());
                    }
                    continue;
                }
                Some(Slot::Kept(kept)) => kept,
            };
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
            if kept.due.is_some() {
                kept.expires = false;
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| kept.is_idle(rulebook))) {
                Ok(Ok(false)) => kept.expires = false,
                Ok(Ok(true)) => {
                    let key = kept.key.clone();
                    self.remove(&key);
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
            let slots =
                self.slots.iter().enumerate().filter_map(|(number, slot)| Some((number, slot.as_ref()?.due()?)));
            self.timers = slots.map(|(number, due)| Reverse((due, number as u32))).collect();
        }
        (to_ask, at_rest)
    }

    /// The row of a subject, where it has one without Python.
    pub fn row(&self, rulebook: &Rulebook, key: &Key, judged_by: &[u8]) -> Option<Vec<u8>> {
        match self.slots[self.number(key)? as usize].as_ref()? {
            Slot::Kept(kept) => kept.row(rulebook, &self.places, judged_by),
            Slot::AtRest(_) => None,
        }
    }

    fn end_step(&mut self) {
        for number in std::mem::take(&mut self.came) {
            if let Some(kept) = self.kept(number) {
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
            let Some(kept) = self.slots[number as usize].as_mut().and_then(Slot::kept) else { continue };
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
        let is_touched = |slot: &Option<Slot>| matches!(slot, Some(Slot::Kept(kept)) if kept.is_touched);
        let touched = self.touched.iter().filter(|number| is_touched(&self.slots[**number as usize])).copied();
        let numbers: HashSet<u32> = due.map(|Reverse((_, number))| *number).chain(touched).collect();
        numbers.into_iter().filter_map(|number| Some(self.slots[number as usize].as_ref()?.key().clone())).collect()
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
        self.slots.iter().flatten().flat_map(Slot::running)
    }
}

fn mark(is_marked: &mut bool, all: &mut Vec<u32>, number: u32) {
    if !std::mem::replace(is_marked, true) {
        all.push(number);
    }
}
