//! Lines with places to fill: `⟦name⟧` in the text of the document.

use crate::large_pages;
use serde::Deserialize;
use std::sync::Arc;

/// A text being written, in UTF-8 as all that goes into it is; its bytes are not looked at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(Vec<u8>);

impl Text {
    pub fn with_capacity(capacity: usize) -> Text {
        Text(Vec::with_capacity(capacity))
    }

    pub fn make_room(&mut self, more: usize) {
        large_pages::make_room(&mut self.0, more);
    }

    pub fn push_str(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn put(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn into_string(self) -> String {
        String::from_utf8(self.0).unwrap_or_default()
    }
}

impl std::ops::Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What an alert or a fault fills in. The names are those of `streams/engine/texts.py`.
/// `Value` is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Id,
    Alert,
    Case,
    Order,
    Account,
    Org,
    Started,
    StartedFull,
    Due,
    DueFull,
    Stopped,
    StoppedFull,
    ReportedFull,
    DetectedFull,
    Deadline,
    Elapsed,
    Paused,
    Outcome,
    AsOf,
    Provisional,
    Evidence,
    Arithmetic,
    AfterZh,
    AfterEn,
    LateZh,
    LateEn,
    LeftOutZh,
    LeftOutEn,
    FaultsZh,
    FaultsEn,
    Retracts,
    NowZh,
    NowEn,
    By,
    Recorded,
    RecordedBy,
    At,
    Since,
    Lawful,
    Number,
    Value,
}

/// There are no more kinds of places.
const MOST_PLACES: usize = Place::Value as usize + 1;

impl Place {
    fn named(name: &str) -> Option<Place> {
        Some(match name {
            "id" => Place::Id,
            "alert" => Place::Alert,
            "case" => Place::Case,
            "order" => Place::Order,
            "account" => Place::Account,
            "org" => Place::Org,
            "started" => Place::Started,
            "started full" => Place::StartedFull,
            "due" => Place::Due,
            "due full" => Place::DueFull,
            "stopped" => Place::Stopped,
            "stopped full" => Place::StoppedFull,
            "reported full" => Place::ReportedFull,
            "detected full" => Place::DetectedFull,
            "deadline" => Place::Deadline,
            "outcome" => Place::Outcome,
            "as of" => Place::AsOf,
            "provisional" => Place::Provisional,
            "elapsed" => Place::Elapsed,
            "paused" => Place::Paused,
            "evidence" => Place::Evidence,
            "arithmetic" => Place::Arithmetic,
            "after zh" => Place::AfterZh,
            "after en" => Place::AfterEn,
            "late zh" => Place::LateZh,
            "late en" => Place::LateEn,
            "left out zh" => Place::LeftOutZh,
            "left out en" => Place::LeftOutEn,
            "faults zh" => Place::FaultsZh,
            "faults en" => Place::FaultsEn,
            "retracts" => Place::Retracts,
            "now zh" => Place::NowZh,
            "now en" => Place::NowEn,
            "by" => Place::By,
            "recorded" => Place::Recorded,
            "recorded by" => Place::RecordedBy,
            "at" => Place::At,
            "since" => Place::Since,
            "lawful" => Place::Lawful,
            "number" => Place::Number,
            "value" => Place::Value,
            _ => return None,
        })
    }
}

#[derive(Deserialize, Clone)]
#[serde(try_from = "String")]
pub struct Line(Arc<Parts>);

struct Parts {
    /// A text, and the value after it, by its place among `places`; the last has none.
    parts: Vec<(String, Option<usize>)>,
    /// Each once: a value that stands there twice is made once.
    places: Vec<Place>,
}

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Line, String> {
        let (mut parts, mut places) = (Vec::new(), Vec::new());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('⟦') {
            let (name, following) = after.split_once('⟧').ok_or("a place without an end")?;
            let place = Place::named(name).ok_or_else(|| format!("no place is called {name}"))?;
            let known = places.iter().position(|known| *known == place).unwrap_or(places.len());
            if known == places.len() {
                places.push(place);
            }
            parts.push((before.to_owned(), Some(known)));
            rest = following;
        }
        parts.push((rest.to_owned(), None));
        Ok(Line(Arc::new(Parts { parts, places })))
    }
}

impl Line {
    pub fn fill(&self, value: impl FnMut(&mut Text, Place)) -> Text {
        let mut found = Text::with_capacity(self.0.parts.iter().map(|(text, _)| text.len() + 32).sum());
        self.fill_into(&mut found, value);
        found
    }

    /// `value` writes what belongs at a place; it is the same wherever in the line that is.
    pub fn fill_into(&self, found: &mut Text, mut value: impl FnMut(&mut Text, Place)) {
        let mut known: [(usize, usize); MOST_PLACES] = [(0, 0); MOST_PLACES];
        for (text, place) in &self.0.parts {
            found.push_str(text);
            let Some(place) = *place else { continue };
            match known[place] {
                (0, 0) => {
                    let from = found.len();
                    value(found, self.0.places[place]);
                    known[place] = (from, found.len());
                }
                (from, to) => found.0.extend_from_within(from..to),
            }
        }
    }

    /// Only what is filled in, each behind its length: less than half the memory of the line. See `write`.
    pub fn values_into(&self, found: &mut Text, mut value: impl FnMut(&mut Text, Place)) {
        for place in &self.0.places {
            let at = found.len();
            found.put(&[0; 4]);
            value(found, *place);
            let length = found.len() - at - 4;
            found.0[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        }
    }

    /// The line with what `values_into` gave.
    pub fn write(&self, mut values: &[u8], found: &mut Text) {
        let mut known: [&[u8]; MOST_PLACES] = [b""; MOST_PLACES];
        for value in known.iter_mut().take(self.0.places.len()) {
            let Some((length, rest)) = values.split_first_chunk() else { break };
            (*value, values) = rest.split_at(u32::from_le_bytes(*length) as usize);
        }
        for (text, place) in &self.0.parts {
            found.push_str(text);
            if let Some(place) = place {
                found.put(known[*place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let line = Line::try_from("a⟦id⟧b⟦due full⟧⟦id⟧".to_owned()).unwrap();
        let value = |text: &mut Text, place| text.push_str(&format!("<{place:?}>"));
        assert_eq!(&*line.fill(value), b"a<Id>b<DueFull><Id>");
        let (mut values, mut written) = (Text::default(), Text::default());
        line.values_into(&mut values, value);
        line.write(&values, &mut written);
        assert_eq!(written, line.fill(value));
        assert!(Line::try_from("⟦nothing⟧".to_owned()).is_err());
    }
}
