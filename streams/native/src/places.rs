//! Rules in cities and counties, by number.

use crate::hashing::HashMap;

/// A fold, by its index, in a city and a county.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub fold: usize,
    pub city: Option<String>,
    pub county: Option<String>,
}

impl Place {
    /// Whether its codes can be ordered and written here; else that is Python's.
    fn is_plain(&self) -> bool {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:/".contains(&c);
        [&self.city, &self.county].into_iter().flatten().all(|code| code.bytes().all(is_plain))
    }
}

/// Organisations remembered as they are written; what is remembered of them is dropped when there are more.
const MOST_ORGS: usize = 50_000;

/// Places by number, each once.
#[derive(Default)]
pub struct Places {
    numbers: HashMap<Place, u32>,
    pub all: Vec<Place>,
    is_plain: Vec<bool>,
    /// Numbers of organisations as they are written, and places by fold and organisation.
    orgs: HashMap<Box<[u8]>, u32>,
    known: HashMap<(usize, u32), u32>,
}

impl Places {
    /// The number of a place.
    pub fn number(&mut self, place: Place) -> u32 {
        if let Some(known) = self.numbers.get(&place) {
            return *known;
        }
        let number = self.all.len() as u32;
        self.all.push(place.clone());
        self.is_plain.push(place.is_plain());
        self.numbers.insert(place, number);
        number
    }

    /// That of a fold in an organisation, as that is written in an event; an empty text where it has none.
    pub fn of(&mut self, fold: usize, org: &[u8]) -> u32 {
        let of_org = match self.orgs.get(org) {
            Some(known) => *known,
            None => {
                if self.orgs.len() >= MOST_ORGS {
                    self.orgs.clear();
                    self.known.clear();
                }
                let number = self.orgs.len() as u32;
                self.orgs.insert(org.into(), number);
                number
            }
        };
        if let Some(known) = self.known.get(&(fold, of_org)) {
            return *known;
        }
        let number = self.number(place_of(fold, org));
        self.known.insert((fold, of_org), number);
        number
    }

    /// See `Place::is_plain`.
    pub fn is_plain(&self, number: u32) -> bool {
        self.is_plain[number as usize]
    }
}

fn place_of(fold: usize, org: &[u8]) -> Place {
    let mut place = Place { fold, city: None, county: None };
    // Nothing in it is escaped, so its names and codes are every other piece between quotation marks.
    let mut texts = std::str::from_utf8(org).unwrap_or_default().split('"').skip(1).step_by(2);
    while let (Some(name), Some(code)) = (texts.next(), texts.next()) {
        match name {
            "city" => place.city = Some(code.to_owned()),
            "county" => place.county = Some(code.to_owned()),
            _ => {}
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_number_however_its_organisation_is_written() {
        let mut places = Places::default();
        let long = places.of(3, br#"{"province":"33","city":"0571","county":"01"}"#);
        assert_eq!(places.of(3, br#"{"county":"01","city":"0571"}"#), long);
        assert_ne!(places.of(4, br#"{"county":"01","city":"0571"}"#), long);
        let place = Place { fold: 3, city: Some("0571".to_owned()), county: Some("01".to_owned()) };
        assert_eq!(places.number(place), long);
        let nowhere = places.of(3, b"");
        assert!(places.all[nowhere as usize] == Place { fold: 3, city: None, county: None });
        assert!(places.is_plain(long) && places.is_plain(nowhere));
        let strange = places.of(3, r#"{"city":"杭州"}"#.as_bytes());
        assert!(!places.is_plain(strange));
    }

    #[test]
    fn organisations_that_are_dropped_keep_their_number() {
        let mut places = Places::default();
        let first = places.of(0, br#"{"city":"a"}"#);
        for number in 0..MOST_ORGS {
            places.of(0, format!("{{\"city\":\"a\",\"unit\":\"{number}\"}}").as_bytes());
        }
        assert_eq!(places.of(0, br#"{"city":"a"}"#), first);
        assert_eq!(places.all.len(), 1);
    }
}
