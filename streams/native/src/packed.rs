//! Subjects whose rows lie elsewhere, each packed into a few bytes: there may be millions of them.
//!
//! What is packed is what is asked of a subject while nothing happens to it: its key, whether it has an expiry, when it
//! is due, its running clocks. Numbers have seven bits a byte, the lowest first. An instant is the difference from one
//! before it, in seconds where that is whole.

use crate::kept::KeyRef;
use crate::live::Clock;

const SECOND: i128 = 1_000_000;

/// The bit of the second byte that says whether there is an expiry.
const EXPIRES: u8 = 1;

/// One packed subject: the place of its type; the number of its clocks, and whether it is due and has an expiry; the
/// length of its id, and this; when it is due; the clocks.
pub struct Packed<'a>(&'a [u8]);

impl<'a> Packed<'a> {
    pub fn key(&self) -> KeyRef<'a> {
        let mut left = &self.0[1..];
        number(&mut left);
        let length = number(&mut left) as usize;
        (self.0[0], &left[..length])
    }

    pub fn due(&self) -> Option<i64> {
        self.dated().0
    }

    pub fn expires(&self) -> bool {
        self.0[1] & EXPIRES != 0
    }

    pub fn running(&self) -> Running<'a> {
        if self.0[1] < 4 {
            return Running { left: &[], clocks: 0, last: 0 }; // told at once, as most of millions have none
        }
        let (due, left, clocks) = self.dated();
        Running { left, clocks, last: due.unwrap_or_default() }
    }

    /// When it is due, and its clocks with their number.
    fn dated(&self) -> (Option<i64>, &'a [u8], usize) {
        let mut left = &self.0[1..];
        let head = number(&mut left) as usize;
        let length = number(&mut left) as usize;
        left = &left[length..];
        let due = (head & 2 != 0).then(|| instant(&mut left, 0));
        (due, left, head >> 2)
    }
}

/// The running clocks of a packed subject, in their order.
pub struct Running<'a> {
    left: &'a [u8],
    clocks: usize,
    last: i64,
}

impl Iterator for Running<'_> {
    type Item = Clock;

    fn next(&mut self) -> Option<Clock> {
        self.clocks = self.clocks.checked_sub(1)?;
        let head = number(&mut self.left);
        let deadline = (head & 1 != 0).then(|| instant(&mut self.left, self.last));
        self.last = deadline.unwrap_or(self.last); // which is often the same: the next clock begins from it
        Some(((head >> 1) as u32, instant(&mut self.left, self.last), deadline))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.clocks, Some(self.clocks))
    }
}

impl ExactSizeIterator for Running<'_> {}

fn packed(key: KeyRef, due: Option<i64>, running: &[Clock], expires: bool) -> Vec<u8> {
    let mut bytes = vec![key.0];
    put(&mut bytes, (running.len() as u128) << 2 | u128::from(due.is_some()) << 1 | u128::from(expires));
    put(&mut bytes, key.1.len() as u128);
    bytes.extend_from_slice(key.1);
    if let Some(due) = due {
        put_instant(&mut bytes, due, 0);
    }
    let mut last = due.unwrap_or_default();
    for (place, start, deadline) in running {
        put(&mut bytes, u128::from(*place) << 1 | u128::from(deadline.is_some()));
        if let Some(deadline) = *deadline {
            put_instant(&mut bytes, deadline, last);
            last = deadline;
        }
        put_instant(&mut bytes, *start, last);
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, mut number: u128) {
    while number > 127 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(left: &mut &[u8]) -> u128 {
    let (mut found, mut bits) = (0, 0);
    loop {
        let byte = left[0];
        *left = &left[1..];
        found |= u128::from(byte & 127) << bits;
        if byte < 128 {
            return found;
        }
        bits += 7;
    }
}

/// The difference, its sign in the last bit but one; the last says whether it counts microseconds.
fn put_instant(bytes: &mut Vec<u8>, at: i64, from: i64) {
    let mut length = i128::from(at) - i128::from(from);
    let is_whole = length % SECOND == 0;
    if is_whole {
        length /= SECOND;
    }
    put(bytes, ((length << 1 ^ length >> 127) as u128) << 1 | u128::from(!is_whole));
}

fn instant(left: &mut &[u8], from: i64) -> i64 {
    let written = number(left);
    let (unit, signed) = (if written & 1 == 0 { SECOND } else { 1 }, written >> 1);
    let length = (signed >> 1) as i128 ^ -((signed & 1) as i128);
    (i128::from(from) + length * unit) as i64
}

/// Where a packed subject lies: the class of its size, and its number there.
#[derive(Clone, Copy)]
pub struct Place {
    class: u8,
    number: u32,
}

/// Packed subjects, by size next to each other: so none has an allocator's own bytes or a gap beside it.
#[derive(Default)]
pub struct Pieces {
    classes: Vec<Class>,
}

#[derive(Default)]
struct Class {
    bytes: Vec<u8>,
    free: Vec<u32>,
}

/// Up to this size every fourth one has a class; beyond, powers of two.
const MOST_IN_FOURS: usize = 128;

fn class_of(length: usize) -> usize {
    match length {
        0..=MOST_IN_FOURS => length.div_ceil(4),
        _ => MOST_IN_FOURS / 4 + (length.next_power_of_two() / MOST_IN_FOURS).trailing_zeros() as usize,
    }
}

fn size_of(class: usize) -> usize {
    match class.checked_sub(MOST_IN_FOURS / 4) {
        None | Some(0) => 4 * class,
        Some(doubled) => MOST_IN_FOURS << doubled,
    }
}

impl Pieces {
    pub fn add(&mut self, key: KeyRef, due: Option<i64>, running: &[Clock], expires: bool) -> Place {
        let packed = packed(key, due, running, expires);
        let class = class_of(packed.len());
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Class::default);
        }
        let (of, size) = (&mut self.classes[class], size_of(class));
        let number = of.free.pop().unwrap_or_else(|| {
            of.bytes.resize(of.bytes.len() + size, 0);
            (of.bytes.len() / size) as u32 - 1
        });
        let place = Place { class: class as u8, number };
        self.bytes_mut(place)[..packed.len()].copy_from_slice(&packed);
        place
    }

    pub fn at(&self, place: Place) -> Packed<'_> {
        let size = size_of(place.class.into());
        Packed(&self.classes[usize::from(place.class)].bytes[place.number as usize * size..][..size])
    }

    fn bytes_mut(&mut self, place: Place) -> &mut [u8] {
        let size = size_of(place.class.into());
        &mut self.classes[usize::from(place.class)].bytes[place.number as usize * size..][..size]
    }

    pub fn end_expiry(&mut self, place: Place) {
        self.bytes_mut(place)[1] &= !EXPIRES;
    }

    pub fn remove(&mut self, place: Place) {
        self.classes[usize::from(place.class)].free.push(place.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANTS: [Option<i64>; 7] = [
        None,
        Some(0),
        Some(1_777_305_600_000_000),
        Some(1_777_305_600_000_001),
        Some(-1),
        Some(i64::MIN),
        Some(i64::MAX),
    ];

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut pieces = Pieces::default();
        let ids = ["", "M000000001", &"电表".repeat(50)];
        for (kind, id) in ids.iter().enumerate() {
            for (expires, due) in INSTANTS.iter().enumerate() {
                for count in [0, 1, 3, 40, 1000] {
                    let instant = |n: usize| INSTANTS[n % INSTANTS.len()];
                    let clock = |n: usize| (n as u32 * 97, instant(n / 7).unwrap_or(1_773_104_399_999_000), instant(n));
                    let running: Vec<Clock> = (0..count).map(clock).collect();
                    let key = (kind as u8, id.as_bytes());
                    let place = pieces.add(key, *due, &running, expires % 2 == 1);
                    let found = pieces.at(place);
                    assert_eq!((found.key(), found.due(), found.expires()), (key, *due, expires % 2 == 1));
                    assert_eq!(found.running().len(), count);
                    assert_eq!(found.running().collect::<Vec<_>>(), running);
                    pieces.end_expiry(place);
                    let found = pieces.at(place);
                    assert_eq!((found.key(), found.due(), found.expires()), (key, *due, false));
                }
            }
        }
    }

    #[test]
    fn a_meter_that_waits_for_its_next_reading_takes_twenty_bytes() {
        let packed = packed((2, b"M000000001"), Some(1_777_305_600_000_000), &[], false);
        assert_eq!(size_of(class_of(packed.len())), 20);
    }

    #[test]
    fn pieces_are_as_long_as_they_must_be_and_used_again() {
        for length in 3..3000 {
            let size = size_of(class_of(length));
            assert!(length <= size && (size < length + 4 || size < 2 * length));
        }
        let mut pieces = Pieces::default();
        let places = [b"A1", b"A2", b"A3"].map(|id| pieces.add((0, id), Some(1), &[], false));
        pieces.remove(places[1]);
        let again = pieces.add((1, b"B2"), Some(2), &[], true);
        assert_eq!(again.number, places[1].number);
        assert_eq!(places.map(|place| pieces.at(place).key()), [(0, &b"A1"[..]), (1, &b"B2"[..]), (0, &b"A3"[..])]);
    }
}
