//! The subjects of a partition by their slots: those that are kept, and those that are at rest.

use crate::kept::{Kept, KeyRef};
use crate::live::Clock;
use crate::packed::{self, Packed, Pieces};

/// Things by number; that of one that was taken is given again.
struct Numbered<T> {
    all: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered { all: Vec::new(), free: Vec::new() }
    }
}

impl<T> Numbered<T> {
    fn add(&mut self, one: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() as u32 - 1
        });
        self.all[number as usize] = Some(one);
        number
    }

    fn take(&mut self, number: u32) -> Option<T> {
        let one = self.all[number as usize].take()?;
        self.free.push(number);
        Some(one)
    }
}

/// Of eight bytes, because each subject has one.
#[derive(Clone, Copy)]
enum Slot {
    /// By its number among those that are kept.
    Kept(u32),
    AtRest(packed::Place),
}

pub enum Subject<'a> {
    Kept(&'a mut Kept),
    AtRest(Packed<'a>),
}

/// The number of a slot is used again after its subject's end.
#[derive(Default)]
pub struct Slots {
    slots: Numbered<Slot>,
    /// Each with its slot.
    kept: Numbered<(u32, Box<Kept>)>,
    at_rest: Pieces,
    /// The number, among those that are kept, at which was looked last for one that may rest.
    last_looked_at: usize,
}

impl Slots {
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let slots = self.slots.all.iter().zip(0..);
        slots.filter(|(slot, _)| slot.is_some()).map(|(_, number)| number)
    }

    fn slot(&self, number: u32) -> Option<Slot> {
        self.slots.all[number as usize]
    }

    fn kept_at(&self, place: u32) -> Option<&Kept> {
        self.kept.all[place as usize].as_ref().map(|(_, kept)| &**kept)
    }

    pub fn subject(&mut self, number: u32) -> Option<Subject<'_>> {
        Some(match self.slot(number)? {
            Slot::Kept(place) => Subject::Kept(&mut self.kept.all[place as usize].as_mut()?.1),
            Slot::AtRest(place) => Subject::AtRest(self.at_rest.at(place)),
        })
    }

    pub fn kept(&self, number: u32) -> Option<&Kept> {
        match self.slot(number)? {
            Slot::Kept(place) => self.kept_at(place),
            Slot::AtRest(_) => None,
        }
    }

    pub fn kept_mut(&mut self, number: u32) -> Option<&mut Kept> {
        match self.subject(number)? {
            Subject::Kept(kept) => Some(kept),
            Subject::AtRest(_) => None,
        }
    }

    pub fn at_rest(&self, number: u32) -> Option<Packed<'_>> {
        match self.slot(number)? {
            Slot::Kept(_) => None,
            Slot::AtRest(place) => Some(self.at_rest.at(place)),
        }
    }

    pub fn key(&self, number: u32) -> Option<KeyRef<'_>> {
        match self.slot(number)? {
            Slot::Kept(place) => self.kept_at(place).map(Kept::key),
            Slot::AtRest(place) => Some(self.at_rest.at(place).key()),
        }
    }

    pub fn due(&self, number: u32) -> Option<i64> {
        match self.slot(number)? {
            Slot::Kept(place) => self.kept_at(place)?.due,
            Slot::AtRest(place) => self.at_rest.at(place).due(),
        }
    }

    /// How many clocks of a subject are running.
    pub fn clocks(&self, number: u32) -> usize {
        let at_rest = self.at_rest(number).map(|at_rest| at_rest.running().len());
        at_rest.or(self.kept(number).map(|kept| kept.running.len())).unwrap_or_default()
    }

    /// All running clocks.
    pub fn running(&self) -> impl Iterator<Item = Clock> {
        let kept = self.kept.all.iter().flatten().flat_map(|(_, kept)| kept.running.iter().copied());
        let at_rest = self.slots.all.iter().filter_map(|slot| match slot {
            Some(Slot::AtRest(place)) => Some(self.at_rest.at(*place).running()),
            _ => None,
        });
        kept.chain(at_rest.flatten())
    }

    pub fn add_kept(&mut self, kept: Kept) -> u32 {
        let number = self.slots.add(Slot::Kept(0));
        self.keep(number, kept);
        number
    }

    pub fn add_at_rest(&mut self, key: KeyRef, due: Option<i64>, running: &[Clock], expires: bool) -> u32 {
        self.slots.add(Slot::AtRest(self.at_rest.add(key, due, running, expires)))
    }

    /// Keep in a slot a subject that is at rest there.
    pub fn wake(&mut self, number: u32, kept: Kept) {
        if let Some(Slot::AtRest(place)) = self.slot(number) {
            self.at_rest.remove(place);
            self.keep(number, kept);
        }
    }

    fn keep(&mut self, number: u32, kept: Kept) {
        let place = self.kept.add((number, Box::new(kept)));
        self.slots.all[number as usize] = Some(Slot::Kept(place));
    }

    /// As many steps of `rest_next` as look at each once, at least.
    pub fn round(&self) -> usize {
        self.kept.all.len()
    }

    /// Look at the next one that is kept: it goes to rest if that can be, and nothing happened to it since it was looked
    /// at before. How much memory it needed.
    pub fn rest_next(&mut self) -> Option<usize> {
        self.last_looked_at = (self.last_looked_at + 1) % self.kept.all.len();
        let (number, kept) = self.kept.all[self.last_looked_at].as_mut()?;
        if std::mem::take(&mut kept.is_used) || !kept.may_rest() {
            return None;
        }
        let place = self.at_rest.add(kept.key(), kept.due, &kept.running, kept.expires);
        self.slots.all[*number as usize] = Some(Slot::AtRest(place));
        self.kept.take(self.last_looked_at as u32).map(|(_, kept)| kept.size())
    }

    /// End the expiry of a subject that is at rest.
    pub fn end_expiry(&mut self, number: u32) {
        if let Some(Slot::AtRest(place)) = self.slot(number) {
            self.at_rest.end_expiry(place);
        }
    }

    /// Take a subject out; it, if it was kept.
    pub fn remove(&mut self, number: u32) -> Option<Kept> {
        match self.slots.take(number)? {
            Slot::Kept(place) => self.kept.take(place).map(|(_, kept)| *kept),
            Slot::AtRest(place) => {
                self.at_rest.remove(place);
                None
            }
        }
    }
}
