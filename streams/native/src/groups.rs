//! The events of a replay by their subjects: those are found while a line is read, when its ids are at hand.

use crate::events::{Event, Span};
use crate::hashing::HashMap;

/// So many events are compared one by one.
const FEW: usize = 16;

/// Ids are rarely longer.
const SHORT: usize = 22;

/// What is known of the events taken so far.
#[derive(Default)]
pub struct Grouping {
    short: HashMap<[u8; SHORT + 2], u32>,
    long: HashMap<(u8, Box<[u8]>), u32>,
    /// The subjects in the order in which they came.
    pub keys: Vec<(u8, Span)>,
    members: Vec<Member>,
}

/// An event of a subject, each by its number.
struct Member {
    subject: u32,
    place: u32,
    id_hash: u32,
}

impl Grouping {
    /// The event at a place concerns a subject. `id` is the text of its span.
    pub fn add(&mut self, kind: u8, id: &[u8], place: usize, event: &Event) {
        let begin = || {
            self.keys.push((kind, event.subjects[usize::from(kind)]));
            self.keys.len() as u32 - 1
        };
        let subject = match packed(kind, id) {
            Some(key) => *self.short.entry(key).or_insert_with(begin),
            None => *self.long.entry((kind, id.into())).or_insert_with(begin),
        };
        self.members.push(Member { subject, place: place as u32, id_hash: event.id_hash });
    }

    pub fn clear(&mut self) {
        *self = Grouping::default();
    }

    pub fn groups(&self) -> Groups {
        let mut ends = vec![0; self.keys.len()];
        self.members.iter().for_each(|member| ends[member.subject as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end); // for now where its places begin
        }
        let (mut places, mut hashes) = (vec![0; sum], vec![0; sum]);
        for member in &self.members {
            let end = &mut ends[member.subject as usize];
            (places[*end], hashes[*end]) = (member.place, member.id_hash);
            *end += 1;
        }
        let mut from = 0;
        let may_repeat = |end: &usize| may_repeat(&mut hashes[std::mem::replace(&mut from, *end)..*end]);
        Groups { may_repeat: ends.iter().map(may_repeat).collect(), ends, places }
    }
}

/// The key of a subject with its id, if that is short: the id, its length and the kind.
fn packed(kind: u8, id: &[u8]) -> Option<[u8; SHORT + 2]> {
    let mut key = [0; SHORT + 2];
    key[..SHORT].get_mut(..id.len())?.copy_from_slice(id);
    (key[SHORT], key[SHORT + 1]) = (id.len() as u8, kind);
    Some(key)
}

/// The places of the events of each subject, in the order of arrival: those of all lie behind one another.
pub struct Groups {
    /// Whether two events of a subject may have the same id.
    pub may_repeat: Vec<bool>,
    ends: Vec<usize>,
    places: Vec<u32>,
}

impl Groups {
    pub fn places_of(&self, subject: usize) -> &[u32] {
        let from = subject.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.places[from..self.ends[subject]]
    }
}

/// Whether any two of the hashes are equal; they are sorted where they are many.
fn may_repeat(hashes: &mut [u32]) -> bool {
    if hashes.len() <= FEW {
        return (1..hashes.len()).any(|place| hashes[..place].contains(&hashes[place]));
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|two| two[0] == two[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_ids_are_subjects_of_their_own() {
        let ids: [&[u8]; 6] = [b"a", b"a\0", b"", &[b'x'; SHORT], &[b'x'; SHORT + 1], &[b'x'; SHORT + 2]];
        let mut grouping = Grouping::default();
        for round in 0..2 {
            for kind in 0..2 {
                for (place, id) in ids.iter().enumerate() {
                    grouping.add(kind, id, 12 * round + 6 * usize::from(kind) + place, &Event::default());
                }
            }
        }
        let groups = grouping.groups();
        assert_eq!(grouping.keys.len(), 12);
        assert!((0..12).all(|subject| groups.places_of(subject) == [subject as u32, subject as u32 + 12]));
    }
}
