//! The compiled rulebook: one JSON document, written by `streams/engine/document.py`. See README.md for its schema.
//!
//! A fold whose part does not have exactly the shape declared here is not known: its subjects are judged by Python.

use crate::hashing::{HashMap, HashSet};
use crate::lines::Line;
use serde::Deserialize;
use serde_json::Value;

pub const VERSION: u32 = 11;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub version: u32,
    pub types: Vec<EventType>,
    pub watched: Vec<String>,
    /// The rulebook's own, and those that its rules name.
    pub calendars: Vec<Calendar>,
    pub folds: Vec<FoldEntry>,
    pub durations: Vec<Words>,
    pub phrases: Phrases,
    /// Words that may stand in a sentence as they are.
    pub words: HashSet<String>,
}

/// The same in Chinese and in English.
pub type Words = (String, String);

/// Parts of sentences, with `{}` where something is put in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrases {
    pub less: Words,
    pub not_counted: Words,
    pub span: Words,
    pub between: Words,
    pub and_others: Words,
    /// How a case stands now, by its outcome; whether it is `due`, `paused` or `neither`; whether it has `stopped`.
    pub now: HashMap<String, (Line, Line)>,
    pub never_started: Words,
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
    pub hours: Option<Hours>,
}

/// Opening hours: from an instant on, minutes closed and minutes open in turn.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    pub from: i64,
    pub minutes: Vec<(i64, i64)>,
}

/// The calendar of a case, by its place: always the same one, or chosen by a field of its start or by a member of the
/// organisation, the last being that of all other values.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    Calendar(usize),
    Field(usize, HashMap<String, usize>, usize),
    Org(String, HashMap<String, usize>, usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldEntry {
    pub id: String,
    pub subjects: Vec<u8>,
    pub listens: Types,
    pub begins: Types,
    pub stops: Types,
    pub body: Option<Value>,
}

/// Event types, each a bit.
#[derive(Deserialize, Default)]
#[serde(from = "Vec<usize>")]
pub struct Types(Vec<u64>);

impl Types {
    pub fn contains(&self, event_type: usize) -> bool {
        self.0.get(event_type / 64).is_some_and(|bits| bits >> (event_type % 64) & 1 == 1)
    }

    pub fn meets(&self, other: &Types) -> bool {
        self.0.iter().zip(&other.0).any(|(one, other)| one & other != 0)
    }
}

impl From<Vec<usize>> for Types {
    fn from(types: Vec<usize>) -> Types {
        types.into_iter().collect()
    }
}

impl FromIterator<usize> for Types {
    fn from_iter<I: IntoIterator<Item = usize>>(types: I) -> Types {
        let mut found = Vec::new();
        for event_type in types {
            if found.len() <= event_type / 64 {
                found.resize(event_type / 64 + 1, 0);
            }
            found[event_type / 64] |= 1 << (event_type % 64);
        }
        Types(found)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    Deadline(Vec<DeadlineVersion>),
    Each(Each),
    Act(Vec<ActVersion>),
    Sequence(Vec<SequenceVersion>),
    Cadence(Vec<CadenceVersion>),
    FollowUp(Box<FollowUp>),
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
    BusinessTime(i64),
    WorkingDays(i64),
    CalendarDays(i64),
    Months(i64),
    BillingCycles(i64),
    SameWorkingDay,
    UntilField(usize),
    UntilInstant,
}

/// The line of a report, and that of its retraction; each as it is without and with a provisional calendar.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportLines {
    pub report: (Line, Line),
    pub retraction: (Line, Line),
}

/// By subject type.
pub type Lines = HashMap<String, ReportLines>;

/// The line of a case, by subject type.
pub type CaseLines = HashMap<String, Line>;

/// One version of a rule is in force from an instant (inclusive) to another one (exclusive).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    pub rule: String,
    pub title: Words,
    pub first: i64,
    pub last: Option<i64>,
    pub counted_by: CountedBy,
    /// Of cases without a limit.
    pub case: CaseLines,
}

impl InForce {
    pub fn holds(&self, at: i64) -> bool {
        self.first <= at && self.last.is_none_or(|last| at < last)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub when: Conditions,
    pub limit: Limit,
    pub case: CaseLines,
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
    pub span: InForce,
    pub groups: Vec<Patterns>,
    pub since: Option<Patterns>,
    pub until: Patterns,
    pub stop: Patterns,
    pub pause: Patterns,
    /// For each way to pause the types after which it does not pause any more; empty where there are none.
    pub unless: Vec<Vec<usize>>,
    pub resume: Patterns,
    /// For each way to resume the pauses that it ends, none for all; empty where none are told apart.
    pub ends: Vec<Patterns>,
    pub cancel: Patterns,
    pub facts: Option<usize>,
    pub choices: Vec<Choice>,
}

/// A deadline whose condition holds for several things; `kinds` are the subject types whose ids tell them apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    pub kinds: Vec<usize>,
    pub since: Patterns,
    pub until: Patterns,
    /// Event types that may stop a case.
    pub stops: Vec<usize>,
    pub versions: Vec<DeadlineVersion>,
}

/// A deadline that starts with the breach of another rule, whose fold is `base`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    pub base: Fold,
    /// What the other rule listens to, and what its own cases do.
    pub base_listens: Types,
    pub own_listens: Types,
    pub versions: Vec<DeadlineVersion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CadenceVersion {
    pub span: InForce,
    pub act: Patterns,
    pub since: Patterns,
    pub until: Patterns,
    pub is_monthly: bool,
    pub period: Option<usize>,
    pub choice: Choice,
}

/// Half a sentence: what tells it from other faults of an act, and its JSON object, all with places to fill.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub key: Line,
    pub zh: Line,
    pub en: Line,
    pub json: Line,
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
    pub case: CaseLines,
    pub lines: HashMap<usize, Lines>,
}

/// A field, or the id of a subject.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    Field(usize),
    Id(usize),
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActBody {
    Prerequisite,
    RecordingDelay {
        choices: Vec<LimitChoice>,
        late: Fault,
    },
    Evidence {
        by: Patterns,
        cancel: Patterns,
        carry: Vec<Conditions>,
        lacks: Fault,
    },
    AtMost {
        n: usize,
        per: Option<usize>,
        period: Option<Period>,
        many: Fault,
    },
    ForbiddenWhile {
        since: Patterns,
        until: Patterns,
        not_after: Patterns,
        forbidden: Fault,
    },
    NotBefore {
        since: Patterns,
        date_field: Option<usize>,
        limit: Limit,
        early: Fault,
    },
    Retention {
        since: Patterns,
        days: Patterns,
        reading_day: usize,
        limit: Limit,
        early: Fault,
    },
    MinimumNotice {
        notice: Patterns,
        covers: Vec<(Named, Named)>,
        limit: Limit,
        at_most: Option<Limit>,
        without: Fault,
        early: Fault,
        late: Fault,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActVersion {
    pub span: InForce,
    pub act: Patterns,
    pub reset: Patterns,
    pub closed_by: Patterns,
    pub facts: Option<usize>,
    pub when: Conditions,
    pub slots: Vec<Slot>,
    pub listens: Vec<usize>,
    pub body: ActBody,
    pub case: CaseLines,
    /// By the act's event type.
    pub lines: HashMap<usize, Lines>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceVersion {
    pub span: InForce,
    pub stages: Vec<Patterns>,
    pub closed_by: Patterns,
    /// By stage: the fault of every later stage that came before it, and the lines of a violation.
    pub faults: Vec<Vec<Fault>>,
    pub lines: Vec<Lines>,
}
