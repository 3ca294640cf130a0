//! What the folds of one subject share: its events, conditions over their fields, and days.

use crate::calendar::Days;
use crate::document::{Condition, Conditions, CountedBy, Pattern, Patterns, Phrases, Test, Words};
use crate::events::{Event, Field, Span, Val};
use crate::hashing::{HashMap, HashSet};
use blake2::digest::consts::U4;
use blake2::{Blake2b, Digest};
use serde_json::Value;
use std::cell::{Cell, RefCell};

/// Why a subject is left to Python, in a few words.
pub type Reason = &'static str;

pub const PLAIN: Reason = "an event that is not plain";
/// Of a decision of a live worker.
pub const REPORT: Reason = "a report to withdraw, or a violation to write";
pub const REPEATED: Reason = "an id that is repeated with other content";
pub const KIND: Reason = "a rule that is not known here";
pub const STRAY: Reason = "a stop without a start, of a rule that is not known here";
pub const DECIMAL: Reason = "exact decimals";
pub const TABLES: Reason = "an instant outside the tables";
pub const MANY: Reason = "more evidence or days than are listed";
pub const TEXTS: Reason = "a text that is not in the document";

pub const SUBJECTS: [&str; 4] = ["order", "account", "meter", "batch"];

/// The place of meters among them.
pub const METER: usize = 2;

/// The most events that an alert lists as they are; of more Python lists the first and the last.
pub const MOST_LISTED: usize = 40;

/// The same of days.
pub const MOST_DAYS: usize = 400;

/// The fields of an event, under those of the facts known at it.
#[derive(Clone, Copy)]
pub struct Fields {
    pub event: usize,
    pub facts: Option<usize>,
    /// The field that holds the event's type here, where conditions may ask for it.
    pub type_field: Option<usize>,
}

/// One subject under judgement. An event is named by its place in `events`, which are in the order of histories.
pub struct Subject<'a> {
    pub kind: u8,
    pub id: &'a [u8],
    pub events: Vec<&'a Event>,
    pub store: &'a [u8],
    /// Of all events in the store.
    pub fields: &'a [Field],
    /// The folds about its type, each with the place of that among its types.
    pub folds: &'a [(usize, usize)],
    /// By event type, which of these it begins: so many words of bits a type as they need.
    pub begun: &'a [u64],
    /// Of the rulebook's own calendar.
    pub days: &'a Days,
    pub calendars: &'a [Days],
    pub types: &'a [String],
    pub durations: &'a [Words],
    pub phrases: &'a Phrases,
    pub words: &'a HashSet<String>,
    pub until: i64,
    /// The field under which conditions ask for an event's type, where any does.
    pub type_field: Option<usize>,
    /// When facts were first entered, of events that stand in place of earlier ones.
    pub entered: RefCell<HashMap<usize, i64>>,
    /// Set where Python must judge the subject.
    pub unsure: Cell<Option<Reason>>,
}

impl<'a> Subject<'a> {
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        span.of(self.store)
    }

    pub fn text(&self, span: Span) -> &'a str {
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    pub fn text_of_id(&self) -> &'a str {
        std::str::from_utf8(self.id).unwrap_or_default()
    }

    pub fn id_of(&self, event: usize) -> &'a str {
        self.text(self.events[event].id)
    }

    pub fn at(&self, event: usize) -> i64 {
        self.events[event].at
    }

    pub fn event_type(&self, event: usize) -> usize {
        self.events[event].event_type()
    }

    /// The id of the event that it corrects.
    pub fn corrects(&self, event: usize) -> Option<&'a str> {
        let span = self.events[event].corrects;
        (!span.is_empty()).then(|| self.text(span))
    }

    /// When the fact was first entered.
    pub fn entered(&self, event: usize) -> i64 {
        self.entered.borrow().get(&event).copied().unwrap_or(self.events[event].recorded)
    }

    /// The id of the subject of that type, where the event names one; empty where not.
    pub fn subject_of(&self, event: usize, kind: usize) -> &'a [u8] {
        self.bytes(self.events[event].subjects[kind])
    }

    pub fn org(&self, event: usize) -> Option<Span> {
        Some(self.events[event].org).filter(|org| !org.is_empty())
    }

    /// Leave the subject to Python.
    pub fn hand_back(&self, reason: Reason) {
        self.unsure.set(self.unsure.get().or(Some(reason)));
    }

    pub fn value(&self, fields: Fields, field: usize) -> Val {
        let of = |event: usize| {
            let (from, to) = self.events[event].fields;
            self.fields[from as usize..to as usize].iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
        };
        of(fields.event).or_else(|| fields.facts.and_then(of)).unwrap_or(Val::Null)
    }

    pub fn holds(&self, conditions: &Conditions, fields: Fields) -> bool {
        conditions.iter().all(|condition| self.meets(condition, fields))
    }

    fn meets(&self, condition: &Condition, fields: Fields) -> bool {
        let event_type = &self.types[self.event_type(fields.event)];
        let value = self.value(fields, condition.field);
        let text = match value {
            _ if fields.type_field == Some(condition.field) => Some(event_type.as_bytes()),
            Val::Text(span) => Some(self.bytes(span)),
            _ => None,
        };
        match &condition.test {
            Test::OneOf(wanted) => wanted.iter().any(|item| self.equals(value, text, item)),
            Test::NoneOf(unwanted) => !unwanted.iter().any(|item| self.equals(value, text, item)),
            Test::Present(wanted) => {
                let is_there = match (text, value) {
                    (Some(text), _) => !text.is_empty(),
                    (None, Val::Null) => false,
                    (None, Val::List(span)) => self.items(span).next().is_some(),
                    _ => true,
                };
                is_there == *wanted
            }
            Test::Range(low, high) => match value {
                Val::Int(n) if text.is_none() && n.abs() < 1 << 52 => {
                    low.is_none_or(|low| n as f64 >= low) && high.is_none_or(|high| n as f64 <= high)
                }
                Val::Int(_) | Val::Decimal => {
                    self.hand_back(DECIMAL);
                    false
                }
                _ => false,
            },
        }
    }

    fn equals(&self, value: Val, text: Option<&[u8]>, wanted: &Value) -> bool {
        match (wanted, text, value) {
            (Value::String(word), Some(text), _) => word.as_bytes() == text,
            (Value::Bool(wanted), None, Val::Bool(value)) => *wanted == value,
            (Value::Number(wanted), None, Val::Int(value)) if value.abs() < 1 << 52 => {
                wanted.as_f64() == Some(value as f64)
            }
            (Value::Number(_), None, Val::Int(_) | Val::Decimal) => {
                self.hand_back(DECIMAL);
                false
            }
            _ => false,
        }
    }

    /// The texts of a list.
    pub fn items(&self, list: Span) -> impl Iterator<Item = &'a [u8]> {
        // Nothing in it is escaped, so its texts are every other piece between quotation marks.
        self.bytes(list).split(|c| *c == b'"').skip(1).step_by(2)
    }

    /// Whether two values are equal, as Python has it.
    pub fn same(&self, one: Val, other: Val) -> bool {
        let number = |value| match value {
            Val::Bool(value) => Some(i64::from(value)),
            Val::Int(value) => Some(value),
            _ => None,
        };
        match (one, other) {
            (Val::Null, Val::Null) => true,
            (Val::Text(one), Val::Text(other)) => self.bytes(one) == self.bytes(other),
            (Val::List(one), Val::List(other)) => self.items(one).eq(self.items(other)),
            (Val::Decimal, Val::Decimal | Val::Int(_) | Val::Bool(_)) | (Val::Int(_) | Val::Bool(_), Val::Decimal) => {
                self.hand_back(DECIMAL);
                false
            }
            _ => number(one).is_some() && number(one) == number(other),
        }
    }

    /// The place of the calendar of a case that starts with these fields.
    pub fn calendar(&self, counted_by: &CountedBy, fields: Fields) -> usize {
        let place = match counted_by {
            CountedBy::Calendar(place) => *place,
            CountedBy::Field(field, of, otherwise) => match self.value(fields, *field) {
                Val::Text(span) => of.get(self.text(span)).copied().unwrap_or(*otherwise),
                _ => *otherwise,
            },
            CountedBy::Org(level, of, otherwise) => {
                let org = self.org(fields.event).or_else(|| fields.facts.and_then(|facts| self.org(facts)));
                org.and_then(|org| self.member(org, level)).and_then(|code| of.get(code)).copied().unwrap_or(*otherwise)
            }
        };
        if place >= self.calendars.len() {
            self.hand_back(TABLES);
            return 0;
        }
        place
    }

    /// A member of an organisation, in which nothing is escaped: names and codes stand between quotation marks in turn.
    fn member(&self, org: Span, level: &str) -> Option<&'a str> {
        let mut texts = self.text(org).split('"').skip(1).step_by(2);
        while let (Some(name), Some(code)) = (texts.next(), texts.next()) {
            if name == level {
                return Some(code);
            }
        }
        None
    }

    pub fn plain(&self, event: usize) -> Fields {
        Fields { event, facts: None, type_field: None }
    }

    #[inline(always)]
    pub fn fits(&self, patterns: &[Pattern], event: usize, start: Option<Fields>) -> bool {
        let event_type = self.event_type(event);
        // Most patterns are of another type, which is seen at once.
        patterns.iter().any(|pattern| pattern.r#type == event_type && self.fits_one(pattern, event, start))
    }

    #[inline(never)]
    fn fits_one(&self, pattern: &Pattern, event: usize, start: Option<Fields>) -> bool {
        self.holds(&pattern.r#where, self.plain(event))
            && (pattern.if_start.is_empty() || start.is_some_and(|start| self.holds(&pattern.if_start, start)))
    }
}

pub fn names(patterns: &Patterns, event_type: usize) -> bool {
    patterns.iter().any(|pattern| pattern.r#type == event_type)
}

/// A field's value as it may stand in a sentence: itself where it is a word of a closed list, else its hash.
pub fn sayable(subject: &Subject, value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(word) if subject.words.contains(word) => word.to_owned(),
        _ => format!("#{}", hexadecimal(&Blake2b::<U4>::digest(value))),
    }
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut found = Vec::with_capacity(2 * bytes.len());
    bytes
        .iter()
        .for_each(|byte| found.extend_from_slice(&[byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)])));
    String::from_utf8(found).unwrap_or_default()
}
