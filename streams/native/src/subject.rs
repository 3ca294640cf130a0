//! What the folds of one subject share: its events, conditions over their fields, days, and the alerts found.

use crate::calendar::Days;
use crate::document::{Condition, Conditions, Lines, Pattern, Patterns, Test};
use crate::events::{Event, Span, Val};
use crate::lines::Line;
use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use serde_json::Value;
use std::cell::Cell;
use std::collections::HashMap;

/// The place of one alert in the order of all, and its line.
pub struct Alert {
    pub detected_at: i64,
    pub due_at: i64,
    pub subject_type: &'static str,
    pub subject: String,
    pub rule: String,
    pub kind: &'static str,
    pub id: String,
    pub by_event: bool,
    pub line: Vec<u8>,
}

pub const SUBJECTS: [&str; 4] = ["order", "account", "meter", "batch"];

/// The most events that an alert lists as they are; of more Python lists the first and the last.
pub const MOST_EVIDENCE: usize = 40;

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
    pub days: &'a Days,
    pub types: &'a [String],
    pub durations: &'a [(String, String)],
    pub until: i64,
    /// The field under which conditions ask for an event's type, where any does.
    pub type_field: Option<usize>,
    /// Set where Python must judge the subject.
    pub is_unsure: Cell<bool>,
}

impl<'a> Subject<'a> {
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        &self.store[span.at..span.at + span.len as usize]
    }

    pub fn text(&self, span: Span) -> &'a str {
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    pub fn id_of(&self, event: usize) -> &'a str {
        self.text(self.events[event].id)
    }

    pub fn at(&self, event: usize) -> i64 {
        self.events[event].at
    }

    pub fn event_type(&self, event: usize) -> usize {
        self.events[event].event_type
    }

    /// Leave the subject to Python.
    pub fn hand_back(&self) {
        self.is_unsure.set(true);
    }

    pub fn value(&self, fields: Fields, field: usize) -> Val {
        let of = |event: usize| self.events[event].fields.iter().find(|(known, _)| *known == field).map(|(_, v)| *v);
        of(fields.event).or_else(|| fields.facts.and_then(of)).unwrap_or(Val::Null)
    }

    pub fn holds(&self, conditions: &Conditions, fields: Fields) -> bool {
        conditions.iter().all(|condition| self.meets(condition, fields))
    }

    fn meets(&self, condition: &Condition, fields: Fields) -> bool {
        let event_type = &self.types[self.event_type(fields.event)];
        let value = self.value(fields, condition.field);
        let text = match value {
            _ if fields.type_field == Some(condition.field) => Some(event_type.as_str()),
            Val::Text(span) => Some(self.text(span)),
            _ => None,
        };
        match &condition.test {
            Test::OneOf(wanted) => wanted.iter().any(|item| self.equals(value, text, item)),
            Test::NoneOf(unwanted) => !unwanted.iter().any(|item| self.equals(value, text, item)),
            Test::Present(wanted) => {
                let is_there = match (text, value) {
                    (Some(text), _) => !text.is_empty(),
                    (None, Val::Null | Val::List(true)) => false,
                    _ => true,
                };
                is_there == *wanted
            }
            Test::Range(low, high) => match value {
                Val::Int(n) if text.is_none() && n.abs() < 1 << 52 => {
                    low.is_none_or(|low| n as f64 >= low) && high.is_none_or(|high| n as f64 <= high)
                }
                Val::Int(_) | Val::Decimal => {
                    self.hand_back(); // exact decimals are compared by Python
                    false
                }
                _ => false,
            },
        }
    }

    fn equals(&self, value: Val, text: Option<&str>, wanted: &Value) -> bool {
        match (wanted, text, value) {
            (Value::String(word), Some(text), _) => word == text,
            (Value::Bool(wanted), None, Val::Bool(value)) => *wanted == value,
            (Value::Number(wanted), None, Val::Int(value)) if value.abs() < 1 << 52 => {
                wanted.as_f64() == Some(value as f64)
            }
            (Value::Number(_), None, Val::Int(_) | Val::Decimal) => {
                self.hand_back();
                false
            }
            _ => false,
        }
    }

    pub fn plain(&self, event: usize) -> Fields {
        Fields { event, facts: None, type_field: None }
    }

    pub fn fits(&self, patterns: &Patterns, event: usize, start: Option<Fields>) -> bool {
        let event_type = self.event_type(event);
        patterns.iter().any(|pattern| pattern.r#type == event_type && self.fits_one(pattern, event, start))
    }

    fn fits_one(&self, pattern: &Pattern, event: usize, start: Option<Fields>) -> bool {
        self.holds(&pattern.r#where, self.plain(event))
            && (pattern.if_start.is_empty() || start.is_some_and(|start| self.holds(&pattern.if_start, start)))
    }
}

pub fn names(patterns: &Patterns, event_type: usize) -> bool {
    patterns.iter().any(|pattern| pattern.r#type == event_type)
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Blake2b::<U16>::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            hash.update(b"\x1f");
        }
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One report on a case, with what its line is filled with.
pub struct Report<'a> {
    pub rule: &'a str,
    pub kind: &'static str,
    pub cause: String,
    pub due: i64,
    pub anchor: usize,
    pub deadline: Option<i64>,
    pub stopped_at: Option<i64>,
    pub ended_at: i64,
    pub evidence: Vec<usize>,
    pub is_provisional: bool,
    pub arithmetic: String,
    pub faults: Option<(String, String)>,
    pub lines: &'a Lines,
}

/// The alerts of one subject; a report that was made already is not made again.
pub struct Alerts<'a> {
    pub found: Vec<Alert>,
    pub parsed: &'a ParsedLines,
}

/// Every line of the document, parsed once, by its address in the document.
pub type ParsedLines = HashMap<*const Lines, HashMap<&'static str, (Line, Line)>>;

impl Alerts<'_> {
    pub fn add(&mut self, subject: &Subject, report: Report) {
        let kind = SUBJECTS[subject.kind as usize];
        let anchor = subject.events[report.anchor];
        let root = subject.id_of(report.anchor);
        let case_id = digest(&[report.rule.as_bytes(), kind.as_bytes(), subject.id, root.as_bytes()]);
        let id = digest(&[case_id.as_bytes(), report.kind.as_bytes(), report.cause.as_bytes(), b"0"]);
        if self.found.iter().any(|known| known.id == id) {
            return;
        }
        let Some((line, provisional)) = self.parsed.get(&(report.lines as *const Lines)).and_then(|l| l.get(kind))
        else {
            return subject.hand_back();
        };
        let mut evidence: Vec<&str> = Vec::with_capacity(report.evidence.len());
        for event in &report.evidence {
            let id = subject.id_of(*event);
            if !evidence.contains(&id) {
                evidence.push(id);
            }
        }
        let days = subject.days;
        let instants = [Some(anchor.at), report.deadline, report.stopped_at, Some(report.due)];
        if evidence.len() > MOST_EVIDENCE || !instants.iter().flatten().all(|at| days.is_settled(*at)) {
            return subject.hand_back();
        }
        let nullable = |span: Span| match span.len {
            0 => "null".to_owned(),
            _ => format!("\"{}\"", subject.text(span)),
        };
        let optional = |at: Option<i64>, is_full: bool| match at {
            None => String::new(),
            Some(at) if is_full => days.full(at),
            Some(at) => days.shown(at),
        };
        let late = match (report.stopped_at, report.deadline) {
            (Some(stopped), Some(deadline)) => duration(stopped - deadline, subject.durations),
            _ => Default::default(),
        };
        let faults = report.faults.unwrap_or_default();
        let number = subject.text_of_id();
        let text = if report.is_provisional { provisional } else { line }.fill(|place| match place {
            "id" => number.to_owned(),
            "alert" => id.clone(),
            "case" => case_id.clone(),
            "order" => nullable(anchor.subjects[0]),
            "account" => nullable(anchor.subjects[1]),
            "org" => anchor.org.map_or("null".to_owned(), |org| subject.text(org).to_owned()),
            "started" => days.shown(anchor.at),
            "started full" => days.full(anchor.at),
            "due" => optional(report.deadline, false),
            "due full" => optional(report.deadline, true),
            "stopped" => optional(report.stopped_at, false),
            "stopped full" => optional(report.stopped_at, true),
            "detected full" => days.full(report.due),
            "elapsed" => length(report.ended_at - anchor.at),
            "evidence" => evidence.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","),
            "arithmetic" => report.arithmetic.clone(),
            "late zh" => late.0.clone(),
            "late en" => late.1.clone(),
            "faults zh" => faults.0.clone(),
            "faults en" => faults.1.clone(),
            _ => {
                subject.hand_back();
                String::new()
            }
        });
        self.found.push(Alert {
            detected_at: report.due,
            due_at: report.due,
            subject_type: kind,
            subject: number.to_owned(),
            rule: report.rule.to_owned(),
            kind: report.kind,
            id,
            by_event: false,
            line: text.into_bytes(),
        });
    }
}

impl<'a> Subject<'a> {
    fn text_of_id(&self) -> &'a str {
        std::str::from_utf8(self.id).unwrap_or_default()
    }
}

/// `PT362.5S`.
fn length(microseconds: i64) -> String {
    let (seconds, rest) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    match rest {
        0 => format!("PT{seconds}S"),
        _ => format!("PT{}S", format!("{seconds}.{rest:06}").trim_end_matches('0')),
    }
}

/// A length of time in words; `units` are days, hours, minutes, seconds, milliseconds, microseconds, each in Chinese and
/// in English.
fn duration(microseconds: i64, units: &[(String, String)]) -> (String, String) {
    let one = |n: i64, unit: usize| (format!("{n}{}", units[unit].0), format!("{n} {}", units[unit].1));
    match microseconds {
        1..1000 => return one(microseconds, 5),
        1000..1_000_000 => return one(microseconds / 1000, 4),
        _ => {}
    }
    let seconds = microseconds / 1_000_000;
    let parts = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let said: Vec<_> = parts.iter().enumerate().filter(|(_, n)| **n != 0).map(|(unit, n)| one(*n, unit)).collect();
    match said.is_empty() {
        true => one(0, 3),
        false => (
            said.iter().map(|(zh, _)| zh.as_str()).collect(),
            said.iter().map(|(_, en)| en.as_str()).collect::<Vec<_>>().join(" "),
        ),
    }
}
