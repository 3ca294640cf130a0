//! Lines with places to fill: `⟦name⟧` in the text of the document.

use serde::Deserialize;
use std::sync::Arc;

/// A text being written, in UTF-8 as all that goes into it is; its bytes are not looked at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(Vec<u8>);

impl Text {
    pub fn with_capacity(capacity: usize) -> Text {
        Text(Vec::with_capacity(capacity))
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
pub struct Line {
    /// A text, and the place after it; the last has none.
    parts: Arc<[(String, Option<Place>)]>,
}

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Line, String> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('⟦') {
            let (name, following) = after.split_once('⟧').ok_or("a place without an end")?;
            let place = Place::named(name).ok_or_else(|| format!("no place is called {name}"))?;
            parts.push((before.to_owned(), Some(place)));
            rest = following;
        }
        parts.push((rest.to_owned(), None));
        Ok(Line { parts: parts.into() })
    }
}

impl Line {
    pub fn fill(&self, value: impl FnMut(&mut Text, Place)) -> Text {
        let mut found = Text::with_capacity(self.parts.iter().map(|(text, _)| text.len() + 32).sum());
        self.fill_into(&mut found, value);
        found
    }

    pub fn fill_into(&self, found: &mut Text, mut value: impl FnMut(&mut Text, Place)) {
        for (text, place) in self.parts.iter() {
            found.push_str(text);
            if let Some(place) = place {
                value(found, *place);
            }
        }
    }

    /// Only what is filled in, each part behind its length: a quarter of the memory of the line. See `write`.
    pub fn values_into(&self, found: &mut Text, mut value: impl FnMut(&mut Text, Place)) {
        for place in self.parts.iter().filter_map(|(_, place)| *place) {
            let at = found.len();
            found.put(&[0; 4]);
            value(found, place);
            let length = found.len() - at - 4;
            found.0[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        }
    }

    /// The line with what `values_into` gave.
    pub fn write(&self, mut values: &[u8], found: &mut Text) {
        for (text, place) in self.parts.iter() {
            found.push_str(text);
            if let (Some(_), Some((length, rest))) = (place, values.split_first_chunk()) {
                let (value, following) = rest.split_at(u32::from_le_bytes(*length) as usize);
                found.put(value);
                values = following;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let line = Line::try_from("a⟦id⟧b⟦due full⟧".to_owned()).unwrap();
        let value = |text: &mut Text, place| text.push_str(&format!("<{place:?}>"));
        assert_eq!(&*line.fill(value), b"a<Id>b<DueFull>");
        let (mut values, mut written) = (Text::default(), Text::default());
        line.values_into(&mut values, value);
        line.write(&values, &mut written);
        assert_eq!(written, line.fill(value));
        assert!(Line::try_from("⟦nothing⟧".to_owned()).is_err());
    }
}
