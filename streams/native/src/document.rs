//! The compiled rulebook: one JSON document, written by `streams/engine/document.py`. See README.md for its schema.
//!
//! A fold whose part does not have exactly the shape declared here is not known: its subjects are judged by Python.

use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

pub const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub version: u32,
    pub types: Vec<EventType>,
    pub watched: Vec<String>,
    pub calendar: Calendar,
    pub folds: Vec<FoldEntry>,
    pub durations: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    pub name: String,
    pub fields: HashMap<String, Check>,
    pub subjects: Vec<u8>,
    pub fans_out: bool,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Code,
    Id,
    Flag,
    Count,
    DayOfMonth,
    Number,
    Amount,
    Date,
    Instant,
    Codes,
    Words(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    pub first: i64,
    pub works: String,
    pub provisional: String,
    pub names: HashMap<i64, String>,
    pub settled_at: i64,
    pub settled_day: i64,
    pub offset: i64,
    pub suffix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldEntry {
    pub id: String,
    pub subjects: Vec<u8>,
    pub listens: Vec<usize>,
    pub begins: Vec<usize>,
    pub stops: Vec<usize>,
    pub body: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    Deadline(Vec<DeadlineVersion>),
    Act(Vec<ActVersion>),
    Sequence(Vec<SequenceVersion>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub field: usize,
    pub test: Test,
}

pub type Conditions = Vec<Condition>;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    Present(bool),
    Range(Option<f64>, Option<f64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    pub r#type: usize,
    pub r#where: Conditions,
    pub if_start: Conditions,
}

pub type Patterns = Vec<Pattern>;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Elapsed(i64),
    WorkingDays(i64),
    CalendarDays(i64),
    SameWorkingDay,
    UntilField(usize),
    UntilInstant,
}

/// Lines by subject type, each as it is without and with a provisional calendar; made of parts when it is filled.
pub type Lines = HashMap<String, (String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub when: Conditions,
    pub limit: Limit,
    pub breach: Lines,
    pub late_completion: Lines,
    pub warnings: Vec<Warning>,
    /// The same for an agreed time, where the limit is what a field agrees.
    pub instant: Option<Box<Choice>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Numerator and denominator of the fraction.
    pub fraction: (i64, i64),
    pub cause: String,
    pub lines: Lines,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadlineVersion {
    pub rule: String,
    pub first: i64,
    pub last: Option<i64>,
    pub groups: Vec<Patterns>,
    pub since: Option<Patterns>,
    pub until: Patterns,
    pub stop: Patterns,
    pub pause: Patterns,
    pub resume: Patterns,
    pub cancel: Patterns,
    pub facts: Option<usize>,
    pub choices: Vec<Choice>,
}

/// Half a sentence: what tells it from other faults of an act, and its JSON object, both with places to fill.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub key: String,
    pub zh: String,
    pub en: String,
    pub json: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    pub tests: Patterns,
    pub if_act: Conditions,
    pub same_day: bool,
    pub after_start: bool,
    pub missing: Fault,
    pub on_day: Fault,
    pub by_close: Fault,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitChoice {
    pub when: Conditions,
    pub limit: Limit,
    pub lines: HashMap<usize, Lines>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActBody {
    Prerequisite,
    RecordingDelay { choices: Vec<LimitChoice>, late: Fault },
    Evidence { by: Patterns, cancel: Patterns, carry: Vec<Conditions>, lacks: Fault },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActVersion {
    pub rule: String,
    pub first: i64,
    pub last: Option<i64>,
    pub act: Patterns,
    pub reset: Patterns,
    pub facts: Option<usize>,
    pub when: Conditions,
    pub slots: Vec<Slot>,
    pub listens: Vec<usize>,
    pub body: ActBody,
    /// By the act's event type.
    pub lines: HashMap<usize, Lines>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceVersion {
    pub rule: String,
    pub first: i64,
    pub last: Option<i64>,
    pub stages: Vec<Patterns>,
    /// By stage: the fault of every earlier stage that it overtakes, and the lines of a violation.
    pub faults: Vec<Vec<Fault>>,
    pub lines: Vec<Lines>,
}
