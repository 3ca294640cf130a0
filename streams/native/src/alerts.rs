//! Verdicts, and the lines of what is reported of them; see `streams/core/verdicts.py`, `alerts.py`, `explanations.py`.

use crate::calendar::{DayCount, Pause, running};
use crate::document::{CaseLines, Fault, InForce, Limit, Lines, Words};
use crate::events::Span;
use crate::hashing::HashMap;
use crate::large_pages;
use crate::lines::{Line, Place, Text};
use crate::subject::{MANY, MOST_DAYS, MOST_LISTED, SUBJECTS, Subject, TABLES, TEXTS, hexadecimal};
use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use std::borrow::Cow;

/// The place of one alert in the order of all, and where its texts are.
#[derive(Clone)]
pub struct Alert {
    pub detected_at: i64,
    pub due_at: i64,
    pub by_event: bool,
    pub subject_type: &'static str,
    pub kind: &'static str,
    from: usize,
    /// Of the subject, the rule, the id, and the line.
    lengths: [usize; 4],
    /// What the values are filled into; none where the line lies there as it is.
    line: Option<Line>,
}

/// An alert has room for so many bytes beforehand; it needs fewer, as a rule.
const ROOM: usize = 4 << 10;

/// Alerts in the order in which they were found; their texts lie behind one another.
#[derive(Default)]
pub struct Alerts {
    pub all: Vec<Alert>,
    texts: Text,
}

impl Alerts {
    /// `alert` says when it was detected and due, whether by an event, its subject's type, and its kind; `texts` are
    /// subject, rule and id. `write` writes the line, or the values of the one that it gives; `None` where Python must
    /// judge.
    pub fn add(
        &mut self, (detected_at, due_at, by_event): (i64, i64, bool),
        (subject_type, kind): (&'static str, &'static str), texts: [&str; 3],
        write: impl FnOnce(&mut Text) -> Option<Option<Line>>,
    ) -> Option<()> {
        large_pages::make_room(&mut self.all, 1);
        self.texts.make_room(ROOM);
        let from = self.texts.len();
        texts.iter().for_each(|text| self.texts.push_str(text));
        let first = self.texts.len();
        let Some(line) = write(&mut self.texts) else {
            self.texts.truncate(from);
            return None;
        };
        let [subject, rule, id] = texts.map(str::len);
        let lengths = [subject, rule, id, self.texts.len() - first];
        self.all.push(Alert { detected_at, due_at, by_event, subject_type, kind, from, lengths, line });
        Some(())
    }

    /// Subject, rule and id.
    pub fn texts(&self, alert: &Alert) -> [&[u8]; 3] {
        let [subject, rule, id, _] = self.parts(alert);
        [subject, rule, id]
    }

    /// Write the line, without its end.
    pub fn write(&self, alert: &Alert, text: &mut Text) {
        let [_, _, _, written] = self.parts(alert);
        match &alert.line {
            None => text.put(written),
            Some(line) => line.write(written, text),
        }
    }

    fn parts(&self, alert: &Alert) -> [&[u8]; 4] {
        let mut from = alert.from;
        alert.lengths.map(|length| {
            from += length;
            &self.texts[from - length..from]
        })
    }

    /// Keep the first ones.
    pub fn truncate(&mut self, count: usize) {
        if let Some(first) = self.all.get(count) {
            self.texts.truncate(first.from);
            self.all.truncate(count);
        }
    }

    pub fn append(&mut self, mut other: Alerts) {
        if self.all.is_empty() {
            return *self = other;
        }
        other.all.iter_mut().for_each(|alert| alert.from += self.texts.len());
        self.all.append(&mut other.all);
        self.texts.put(&other.texts);
    }

    /// The places of all in their order.
    pub fn in_order(&self) -> Vec<usize> {
        let first = |(place, alert): (usize, &Alert)| (alert.detected_at, alert.by_event, alert.due_at, place);
        let mut order: Vec<_> = self.all.iter().enumerate().map(first).collect();
        order.sort_unstable_by(|a, b| {
            let rest = |place: usize| {
                let alert = &self.all[place];
                let [subject, rule, id] = self.texts(alert);
                (alert.subject_type, subject, rule, alert.kind, id, place)
            };
            (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| rest(a.3).cmp(&rest(b.3)))
        });
        order.into_iter().map(|(_, _, _, place)| place).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Met,
    MetLate,
    Breached,
    Violated,
    Cancelled,
    Running,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Met => "met",
            Outcome::MetLate => "met_late",
            Outcome::Breached => "breached",
            Outcome::Violated => "violated",
            Outcome::Cancelled => "cancelled",
            Outcome::Running => "running",
        }
    }
}

/// One thing to be told: `due` is the instant at which it becomes certain, `cause` tells it from others of its kind.
#[derive(Clone)]
pub struct Report<'a> {
    pub kind: &'static str,
    pub cause: String,
    pub due: i64,
    pub lines: &'a Lines,
}

/// Half a sentence on what is wrong with an act.
#[derive(Clone)]
pub struct Said {
    pub key: Text,
    pub zh: Text,
    pub en: Text,
    pub json: Text,
}

impl Said {
    pub fn new(fault: &Fault, mut value: impl FnMut(&mut Text, Place)) -> Said {
        Said {
            key: fault.key.fill(&mut value),
            zh: fault.zh.fill(&mut value),
            en: fault.en.fill(&mut value),
            json: fault.json.fill(&mut value),
        }
    }
}

/// One case as of an instant.
pub struct Verdict<'a> {
    pub span: &'a InForce,
    /// What tells the case from others of its rule, where it is not its first event.
    pub root: Option<String>,
    pub item: Option<usize>,
    pub anchor: usize,
    pub outcome: Outcome,
    pub started_at: i64,
    pub deadline: Option<i64>,
    pub stopped_at: Option<i64>,
    pub ended_at: i64,
    pub reports: Vec<Report<'a>>,
    pub limit: Option<&'a Limit>,
    pub pauses: Vec<Pause>,
    pub until: Option<i64>,
    pub is_provisional: bool,
    /// The place of the calendar by which it was counted.
    pub calendar: usize,
    /// Whether open time counted.
    pub is_open_time: bool,
    /// The rule whose breach started it.
    pub after: Option<&'a InForce>,
    pub evidence: Vec<usize>,
    pub faults: Vec<Said>,
    pub case: &'a CaseLines,
}

/// The root of each event that stands for another one.
pub type Roots<'a> = HashMap<&'a str, &'a str>;

impl Verdict<'_> {
    pub fn root<'b>(&'b self, subject: &Subject<'b>, roots: &Roots<'b>) -> Cow<'b, str> {
        let own = self.root.as_deref().unwrap_or(subject.id_of(self.anchor));
        let root = roots.get(own).copied().unwrap_or(own);
        match self.item {
            None => Cow::Borrowed(root),
            Some(item) => Cow::Owned(format!("{root}/{}", subject.id_of(item))),
        }
    }

    /// Running and paused up to an instant; `None` where Python must say it.
    fn counted(&self, subject: &Subject, end: i64) -> Option<(i64, i64)> {
        if !self.is_open_time {
            return Some(running(self.started_at, end, &self.pauses));
        }
        let open = |pauses: &[Pause]| subject.calendars[self.calendar].open_time(self.started_at, end, pauses);
        let (Some(all), Some(running)) = (open(&[]), open(&self.pauses)) else {
            subject.hand_back(TABLES);
            return None;
        };
        Some((running, all - running))
    }
}

pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Blake2b::<U16>::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            hash.update(b"\x1f");
        }
        hash.update(part);
    }
    hexadecimal(&hash.finalize())
}

/// What an alert says of a case.
pub struct Told<'a> {
    id: String,
    case_id: String,
    rule: &'a str,
    after: Option<&'a InForce>,
    kind: &'static str,
    anchor: usize,
    started_at: i64,
    deadline: Option<i64>,
    due_at: i64,
    stopped_at: Option<i64>,
    elapsed: i64,
    paused: i64,
    evidence: Vec<usize>,
    arithmetic: Text,
    left_out: Words,
    /// What is wrong, in Chinese and in English.
    faults: (Text, Text),
    is_provisional: bool,
    /// The place of the calendar whose open time counted.
    open_time_of: Option<usize>,
    lines: &'a Lines,
}

impl<'a> Told<'a> {
    /// `report_alert`; `None` where Python must say it.
    pub fn new(
        subject: &Subject, verdict: &Verdict<'a>, report: &Report<'a>, root: &str, generation: u32,
    ) -> Option<Told<'a>> {
        let kind = SUBJECTS[subject.kind as usize];
        let case_id = digest(&[verdict.span.rule.as_bytes(), kind.as_bytes(), subject.id, root.as_bytes()]);
        let id = digest(&[
            case_id.as_bytes(),
            report.kind.as_bytes(),
            report.cause.as_bytes(),
            generation.to_string().as_bytes(),
        ]);
        let (elapsed, paused) = verdict.counted(subject, verdict.ended_at)?;
        let mut faults = (Text::default(), Text::default());
        for (place, said) in verdict.faults.iter().enumerate() {
            if place > 0 {
                faults.0.push_str("；");
                faults.1.push_str("; ");
            }
            faults.0.put(&said.zh);
            faults.1.put(&said.en);
        }
        let evidence = distinct(verdict.evidence.iter().copied());
        if evidence.len() > MOST_LISTED {
            subject.hand_back(MANY);
            return None;
        }
        Some(Told {
            id,
            case_id,
            rule: &verdict.span.rule,
            after: verdict.after,
            kind: report.kind,
            anchor: verdict.anchor,
            started_at: verdict.started_at,
            deadline: verdict.deadline,
            due_at: report.due,
            stopped_at: verdict.stopped_at,
            elapsed,
            paused,
            evidence,
            arithmetic: arithmetic(subject, verdict)?,
            left_out: left_out(subject, verdict)?,
            faults,
            is_provisional: verdict.is_provisional,
            open_time_of: verdict.is_open_time.then_some(verdict.calendar),
            lines: report.lines,
        })
    }

    /// Its id, and that of its case.
    pub fn ids(&self) -> [String; 2] {
        [self.id.clone(), self.case_id.clone()]
    }

    /// Running and paused.
    pub fn counted(&self) -> (i64, i64) {
        (self.elapsed, self.paused)
    }

    /// Add the alert itself, under the watermark that showed it; `None` where Python must say it.
    pub fn alert(&self, subject: &Subject, detected_at: i64, by_event: bool, alerts: &mut Alerts) -> Option<()> {
        self.add(subject, self.kind, &self.id, (detected_at, by_event), &Stands::default(), alerts)
    }

    /// The same line alone.
    pub fn line(&self, subject: &Subject, detected_at: i64) -> Option<Text> {
        let mut line = Text::with_capacity(2048);
        self.write(subject, self.kind, &self.id, detected_at, &Stands::default(), (&mut line, true))?;
        Some(line)
    }

    /// `retraction_of`: add the alert that withdraws this one; `now` is how the case stands today, if it still stands.
    pub fn retraction(
        mut self, subject: &Subject, now: Option<&Verdict>, detected_at: i64, by_event: bool, alerts: &mut Alerts,
    ) -> Option<()> {
        let id = digest(&[self.id.as_bytes(), b"retraction"]);
        self.stopped_at = now.and_then(|now| now.stopped_at);
        if let Some(now) = now {
            self.evidence = distinct(self.evidence.iter().chain(&now.evidence).copied());
            if self.evidence.len() > MOST_LISTED {
                subject.hand_back(MANY);
                return None;
            }
        }
        let stands = stands(subject, now)?;
        self.add(subject, "retraction", &id, (detected_at, by_event), &stands, alerts)
    }

    fn add(
        &self, subject: &Subject, kind: &'static str, id: &str, (detected_at, by_event): (i64, bool), now: &Stands,
        alerts: &mut Alerts,
    ) -> Option<()> {
        let (instants, texts) = ((detected_at, self.due_at, by_event), [subject.text_of_id(), self.rule, id]);
        alerts.add(instants, (SUBJECTS[subject.kind as usize], kind), texts, |text| {
            self.write(subject, kind, id, detected_at, now, (text, false)).cloned().map(Some)
        })
    }

    /// Write the line, or only its values; the line.
    fn write(
        &self, subject: &Subject, kind: &str, id: &str, detected_at: i64, now: &Stands,
        (text, is_whole): (&mut Text, bool),
    ) -> Option<&'a Line> {
        let subject_type = SUBJECTS[subject.kind as usize];
        let Some(lines) = self.lines.get(subject_type) else {
            subject.hand_back(TEXTS);
            return None;
        };
        let (plain, provisional) = if kind == "retraction" { &lines.retraction } else { &lines.report };
        let days = subject.days;
        let instants = [Some(self.started_at), self.deadline, self.stopped_at, Some(self.due_at), Some(detected_at)];
        if !instants.iter().flatten().all(|at| days.is_settled(*at)) {
            subject.hand_back(TABLES);
            return None;
        }
        let anchor = subject.events[self.anchor];
        let late = match (self.stopped_at, self.deadline) {
            (Some(stopped), Some(deadline)) if self.kind == "late_completion" => {
                let late = match self.open_time_of {
                    None => stopped - deadline,
                    Some(calendar) => subject.calendars[calendar].open_time(deadline, stopped, &[])?,
                };
                duration(late, subject.durations)
            }
            _ => Default::default(),
        };
        let line = if self.is_provisional { provisional } else { plain };
        let value = |text: &mut Text, place| match place {
            Place::Id => text.put(subject.id),
            Place::Alert => text.push_str(id),
            Place::Case => text.push_str(&self.case_id),
            Place::Order => nullable(text, subject, anchor.subjects[0]),
            Place::Account => nullable(text, subject, anchor.subjects[1]),
            Place::Org => organisation(text, subject.org(self.anchor).map_or(b"null", |org| subject.bytes(org))),
            Place::Started => days.shown(text, self.started_at),
            Place::StartedFull => days.full(text, self.started_at),
            Place::Due => self.deadline.iter().for_each(|at| days.shown(text, *at)),
            Place::DueFull => self.deadline.iter().for_each(|at| days.full(text, *at)),
            Place::Stopped => self.stopped_at.iter().for_each(|at| days.shown(text, *at)),
            Place::StoppedFull => full_or_null(text, subject, self.stopped_at),
            Place::ReportedFull => days.full(text, self.due_at),
            Place::DetectedFull => days.full(text, detected_at),
            Place::Elapsed => length(text, self.elapsed),
            Place::Paused => length(text, self.paused),
            Place::Evidence => {
                listed(text, self.evidence.iter(), |text, event| quoted(text, subject.bytes(subject.events[*event].id)))
            }
            Place::Arithmetic => text.put(&self.arithmetic),
            Place::AfterZh => self.after.iter().for_each(|rule| text.push_str(&rule.title.0)),
            Place::AfterEn => self.after.iter().for_each(|rule| text.push_str(&rule.title.1)),
            Place::LateZh => text.put(&late.0),
            Place::LateEn => text.put(&late.1),
            Place::LeftOutZh => text.push_str(&self.left_out.0),
            Place::LeftOutEn => text.push_str(&self.left_out.1),
            Place::FaultsZh => text.put(&self.faults.0),
            Place::FaultsEn => text.put(&self.faults.1),
            Place::Retracts => quoted(text, self.id.as_bytes()),
            Place::NowZh => text.put(&now.0),
            Place::NowEn => text.put(&now.1),
            _ => subject.hand_back(TEXTS),
        };
        if is_whole {
            line.fill_into(text, value)
        } else {
            line.values_into(text, value)
        }
        Some(line)
    }
}

/// The cases of one subject: their lines, each with its end; and, where they are asked for, of each where its line ends
/// and the line of an alert on it.
#[derive(Default)]
pub struct WrittenCases {
    pub text: Text,
    pub alerts: Vec<(usize, Option<Text>)>,
}

/// Add a case as it is written, and `with_alerts` the alert on it, for its sentence; `None` where Python must write it.
pub fn write_case(
    subject: &Subject, verdict: &Verdict, roots: &Roots, as_of: i64, with_alerts: bool, cases: &mut WrittenCases,
) -> Option<()> {
    let root = verdict.root(subject, roots);
    let kind = SUBJECTS[subject.kind as usize];
    let instants = [Some(verdict.started_at), verdict.deadline, verdict.stopped_at, Some(as_of)];
    let Some(line) = verdict.case.get(kind) else {
        subject.hand_back(TEXTS);
        return None;
    };
    if !instants.iter().flatten().all(|at| subject.days.is_settled(*at)) {
        subject.hand_back(TABLES);
        return None;
    }
    let evidence = distinct(verdict.evidence.iter().copied());
    if evidence.len() > MOST_LISTED {
        subject.hand_back(MANY);
        return None;
    }
    let said = match verdict.reports.last().filter(|_| with_alerts) {
        None => None,
        Some(report) => Some(Told::new(subject, verdict, report, &root, 0)?.line(subject, as_of)?),
    };
    let case_id = digest(&[verdict.span.rule.as_bytes(), kind.as_bytes(), subject.id, root.as_bytes()]);
    let arithmetic = arithmetic(subject, verdict)?;
    let (elapsed, paused) = verdict.counted(subject, verdict.ended_at)?;
    let anchor = subject.events[verdict.anchor];
    line.fill_into(&mut cases.text, |text, place| match place {
        Place::Id => text.put(subject.id),
        Place::Case => text.push_str(&case_id),
        Place::Outcome => text.push_str(verdict.outcome.name()),
        Place::AsOf => subject.days.full(text, as_of),
        Place::Order => nullable(text, subject, anchor.subjects[0]),
        Place::Account => nullable(text, subject, anchor.subjects[1]),
        Place::Org => organisation(text, subject.org(verdict.anchor).map_or(b"null", |org| subject.bytes(org))),
        Place::StartedFull => subject.days.full(text, verdict.started_at),
        Place::Deadline => full_or_null(text, subject, verdict.deadline),
        Place::StoppedFull => full_or_null(text, subject, verdict.stopped_at),
        Place::Elapsed => length(text, elapsed),
        Place::Paused => length(text, paused),
        Place::Evidence => {
            listed(text, evidence.iter(), |text, event| quoted(text, subject.bytes(subject.events[*event].id)))
        }
        Place::Arithmetic => text.put(&arithmetic),
        Place::Provisional => text.push_str(if verdict.is_provisional { "true" } else { "false" }),
        _ => subject.hand_back(TEXTS),
    });
    cases.text.push_str("\n");
    if with_alerts {
        cases.alerts.push((cases.text.len(), said));
    }
    Some(())
}

fn distinct(events: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut found = Vec::new();
    for event in events {
        if !found.contains(&event) {
            found.push(event);
        }
    }
    found
}

/// How a case stands today, in the words of a retraction: in Chinese and in English.
type Stands = (Text, Text);

fn stands(subject: &Subject, now: Option<&Verdict>) -> Option<Stands> {
    let Some(now) = now else {
        let mut found = Stands::default();
        found.0.push_str(&subject.phrases.never_started.0);
        found.1.push_str(&subject.phrases.never_started.1);
        return Some(found);
    };
    let due = if now.deadline.is_some() {
        "due"
    } else if now.pauses.is_empty() {
        "neither"
    } else {
        "paused"
    };
    let stopped = if now.stopped_at.is_some() { "stopped" } else { "open" };
    let Some((zh, en)) = subject.phrases.now.get(&format!("{} {due} {stopped}", now.outcome.name())) else {
        subject.hand_back(TEXTS);
        return None;
    };
    if now.deadline.is_some_and(|at| !subject.days.is_settled(at)) {
        subject.hand_back(TABLES);
        return None;
    }
    let mut fill = |text: &mut Text, place: Place| match place {
        Place::Due => now.deadline.iter().for_each(|at| subject.days.shown(text, *at)),
        Place::Stopped => now.stopped_at.iter().for_each(|at| subject.days.shown(text, *at)),
        _ => subject.hand_back(TEXTS),
    };
    Some((zh.fill(&mut fill), en.fill(&mut fill)))
}

/// The organisation as alerts show it: without the blanks between its members. Nothing in it is escaped.
fn organisation(text: &mut Text, org: &[u8]) {
    if !org.iter().fold(false, |found, c| found | c.is_ascii_whitespace()) {
        return text.put(org);
    }
    for (place, piece) in org.split(|c| *c == b'"').enumerate() {
        if place % 2 == 0 {
            piece.split(u8::is_ascii_whitespace).for_each(|part| text.put(part));
        } else {
            quoted(text, piece);
        }
    }
}

fn nullable(text: &mut Text, subject: &Subject, span: Span) {
    if span.is_empty() { text.push_str("null") } else { quoted(text, subject.bytes(span)) }
}

fn full_or_null(text: &mut Text, subject: &Subject, at: Option<i64>) {
    match at {
        None => text.push_str("null"),
        Some(at) => {
            text.push_str("\"");
            subject.days.full(text, at);
            text.push_str("\"");
        }
    }
}

fn quoted(text: &mut Text, what: &[u8]) {
    text.push_str("\"");
    text.put(what);
    text.push_str("\"");
}

/// Items with commas between.
fn listed<T>(text: &mut Text, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Text, T)) {
    for (place, item) in items.enumerate() {
        if place > 0 {
            text.push_str(",");
        }
        write(text, item);
    }
}

/// `PT362.5S`.
pub fn length(text: &mut Text, microseconds: i64) {
    let (seconds, mut rest) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    text.push_str("PT");
    put_number(text, seconds);
    if rest != 0 {
        let mut shown = *b".000000";
        for digit in shown[1..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        let last = shown.iter().rposition(|digit| *digit != b'0').unwrap_or_default();
        text.put(&shown[..=last]);
    }
    text.push_str("S");
}

pub fn put_number(text: &mut Text, number: i64) {
    let (mut shown, mut from, mut rest) = ([0; 20], 20, number.unsigned_abs());
    while from == 20 || rest > 0 {
        from -= 1;
        shown[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if number < 0 {
        text.push_str("-");
    }
    text.put(&shown[from..]);
}

/// A length of time in words, Chinese and English; `units` are days, hours, minutes, seconds, milliseconds,
/// microseconds.
fn duration(microseconds: i64, units: &[Words]) -> (Text, Text) {
    let mut said = (Text::default(), Text::default());
    let mut say = |number: i64, unit: usize| {
        if !said.1.is_empty() {
            said.1.push_str(" ");
        }
        put_number(&mut said.0, number);
        said.0.push_str(&units[unit].0);
        put_number(&mut said.1, number);
        said.1.push_str(" ");
        said.1.push_str(&units[unit].1);
    };
    let seconds = microseconds / 1_000_000;
    match microseconds {
        1..1000 => say(microseconds, 5),
        1000..1_000_000 => say(microseconds / 1000, 4),
        _ if seconds == 0 => say(0, 3),
        _ => {
            let parts = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
            parts.iter().enumerate().filter(|(_, n)| **n != 0).for_each(|(unit, n)| say(*n, unit));
        }
    }
    said
}

fn day_count(subject: &Subject, verdict: &Verdict) -> Option<DayCount> {
    let mut count = DayCount::default();
    let found = verdict.limit.and_then(|limit| {
        let days = &subject.calendars[verdict.calendar];
        days.deadline(limit, verdict.started_at, &verdict.pauses, verdict.until, Some(&mut count))
    });
    if found.is_none() {
        subject.hand_back(TABLES);
        return None;
    }
    if [&count.counted, &count.off, &count.paused].iter().any(|days| days.len() > MOST_DAYS) {
        subject.hand_back(MANY);
        return None;
    }
    Some(count)
}

/// How a limit was counted, as JSON; `None` where Python must write it.
pub fn arithmetic(subject: &Subject, verdict: &Verdict) -> Option<Text> {
    let mut text = Text::with_capacity(256);
    text.push_str("{");
    let quoted_day = |text: &mut Text, day: i64| {
        text.push_str("\"");
        subject.days.day(text, day);
        text.push_str("\"");
    };
    match verdict.limit {
        Some(Limit::WorkingDays(_) | Limit::CalendarDays(_)) if verdict.deadline.is_some() => {
            let count = day_count(subject, verdict)?;
            text.push_str("\"counted_days\":[");
            listed(&mut text, count.counted.iter(), |text, day| quoted_day(text, *day));
            text.push_str("],\"days_off\":[");
            listed(&mut text, count.off.iter(), |text, day| {
                text.push_str("{\"date\":");
                quoted_day(text, *day);
                text.push_str(",\"name\":");
                match subject.calendars[verdict.calendar].name(*day) {
                    None => text.push_str("null"),
                    Some(name) => quoted(text, name.as_bytes()),
                }
                text.push_str("}");
            });
            text.push_str("],\"paused_days\":[");
            listed(&mut text, count.paused.iter(), |text, day| quoted_day(text, *day));
            text.push_str("],");
        }
        None | Some(Limit::Elapsed(_)) => {}
        Some(Limit::BusinessTime(_)) => {
            if let Some(deadline) = verdict.deadline {
                let spans = subject.calendars[verdict.calendar].open_spans(verdict.started_at, deadline);
                if spans.len() > MOST_LISTED {
                    subject.hand_back(MANY);
                    return None;
                }
                text.push_str("\"open_hours\":[");
                listed(&mut text, spans.iter(), |text, (from, to)| from_to(text, subject, *from, Some(*to)));
                text.push_str("],");
            }
        }
        Some(_) if verdict.deadline.is_some() && !verdict.pauses.is_empty() => {
            text.push_str("\"paused_days\":[");
            let count = day_count(subject, verdict)?;
            listed(&mut text, count.paused.iter(), |text, day| quoted_day(text, *day));
            text.push_str("],");
        }
        Some(_) => {}
    }
    if let Some(rule) = verdict.after {
        text.push_str("\"after_breach_of\":");
        quoted(&mut text, rule.rule.as_bytes());
        text.push_str(",");
    }
    if !verdict.faults.is_empty() {
        text.push_str("\"faults\":[");
        listed(&mut text, verdict.faults.iter(), |text, said| text.put(&said.json));
        text.push_str("],");
    }
    if !verdict.pauses.is_empty() {
        if verdict.pauses.len() > MOST_LISTED {
            subject.hand_back(MANY);
            return None;
        }
        text.push_str("\"pauses\":[");
        listed(&mut text, verdict.pauses.iter(), |text, (since, until)| from_to(text, subject, *since, *until));
        text.push_str("],");
    }
    if text.len() > 1 {
        text.truncate(text.len() - 1);
    }
    text.push_str("}");
    Some(text)
}

fn from_to(text: &mut Text, subject: &Subject, from: i64, to: Option<i64>) {
    text.push_str("{\"from\":\"");
    subject.days.shown(text, from);
    text.push_str("\",\"to\":");
    match to {
        None => text.push_str("null"),
        Some(to) => {
            text.push_str("\"");
            subject.days.shown(text, to);
            text.push_str("\"");
        }
    }
    text.push_str("}");
}

/// Runs of paused days that a sentence names by their dates.
const MOST_SPANS: usize = 3;

/// What a pause took out of the count, in words; empty where nothing.
fn left_out(subject: &Subject, verdict: &Verdict) -> Option<Words> {
    let Some(deadline) = verdict.deadline.filter(|_| !verdict.pauses.is_empty()) else {
        return Some(Words::default());
    };
    let phrases = subject.phrases;
    if matches!(verdict.limit, Some(Limit::Elapsed(_) | Limit::BusinessTime(_))) {
        let (_, paused) = verdict.counted(subject, deadline)?;
        if paused == 0 {
            return Some(Words::default());
        }
        let (zh, en) = duration(paused, subject.durations);
        let (zh, en) = (zh.into_string(), en.into_string());
        return Some((put_in(&phrases.less.0, &[&zh]), put_in(&phrases.less.1, &[&en])));
    }
    let count = day_count(subject, verdict)?;
    if count.paused.is_empty() {
        return Some(Words::default());
    }
    let spans = spans(&count);
    let shown = |span: &str, between: &str| {
        let texts: Vec<String> = spans
            .iter()
            .take(MOST_SPANS)
            .map(|(first, last)| {
                let (mut one, mut other) = (Text::default(), Text::default());
                subject.days.day(&mut one, *first);
                subject.days.day(&mut other, *last);
                let (one, other) = (one.into_string(), other.into_string());
                if first == last { one } else { put_in(span, &[&one, &other]) }
            })
            .collect();
        texts.join(between)
    };
    let mut zh = shown(&phrases.span.0, &phrases.between.0);
    let mut en = shown(&phrases.span.1, &phrases.between.1);
    if spans.len() > MOST_SPANS {
        let number = count.paused.len().to_string();
        zh = put_in(&phrases.and_others.0, &[&zh, &number]);
        en = put_in(&phrases.and_others.1, &[&en, &number]);
    }
    Some((put_in(&phrases.not_counted.0, &[&zh]), put_in(&phrases.not_counted.1, &[&en])))
}

fn spans(count: &DayCount) -> Vec<(i64, i64)> {
    let before = |day: i64| count.counted.partition_point(|counted| *counted < day);
    let mut found: Vec<(i64, i64)> = Vec::new();
    for &day in &count.paused {
        match found.last_mut() {
            Some((_, last)) if before(*last) == before(day) => *last = day,
            _ => found.push((day, day)),
        }
    }
    found
}

/// A phrase with what belongs at each `{}`.
fn put_in(phrase: &str, parts: &[&str]) -> String {
    let mut rest = phrase.split("{}");
    let mut found = rest.next().unwrap_or_default().to_owned();
    for (part, text) in parts.iter().zip(rest) {
        found.push_str(part);
        found.push_str(text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(found: &[(i64, &str)]) -> Alerts {
        let mut alerts = Alerts::default();
        for (at, id) in found {
            let write = |text: &mut Text| {
                text.push_str(&format!("{{{id}}}"));
                Some(None)
            };
            alerts.add((*at, *at, false), ("order", "breach"), ["W1", "rule", id], write);
        }
        alerts
    }

    fn lines(alerts: &Alerts) -> String {
        let mut text = Text::default();
        alerts.in_order().into_iter().for_each(|place| alerts.write(&alerts.all[place], &mut text));
        text.into_string()
    }

    #[test]
    fn alerts_are_ordered_by_instant_then_by_their_texts() {
        let mut one = alerts(&[(3, "c"), (1, "b")]);
        one.append(alerts(&[(2, "e"), (1, "a")]));
        assert_eq!(lines(&one), "{a}{b}{e}{c}");
        assert_eq!(one.texts(&one.all[2]).map(|text| str::from_utf8(text).unwrap()), ["W1", "rule", "e"]);
    }

    #[test]
    fn what_is_taken_back_or_not_written_leaves_nothing() {
        let mut one = alerts(&[(1, "a"), (2, "b"), (3, "c")]);
        one.truncate(1);
        let write = |text: &mut Text| {
            text.push_str("?");
            None
        };
        assert_eq!(one.add((2, 2, false), ("order", "breach"), ["W1", "rule", "d"], write), None);
        one.append(alerts(&[(1, "e")]));
        assert_eq!(lines(&one), "{a}{e}");
    }

    #[test]
    fn lengths_of_time_are_written_without_zeros_at_their_end() {
        for (microseconds, wanted) in
            [(0, "PT0S"), (362_500_000, "PT362.5S"), (1, "PT0.000001S"), (90_000_000_000, "PT90000S")]
        {
            let mut text = Text::default();
            length(&mut text, microseconds);
            assert_eq!(&*text, wanted.as_bytes());
        }
    }
}
