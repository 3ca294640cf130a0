//! The decision on one subject of a live worker, from all its events; nothing is kept here between two calls.
//!
//! Mirrors `_decide_timed` of `streams/core/engine.py` where no report is to be withdrawn.

use crate::alerts::{Outcome, Roots, Told, Verdict};
use crate::calendar::Pause;
use crate::document::{ActBody, ActVersion, CaseLines, DeadlineVersion, Fold, Types};
use crate::events::{Event, Field, IDS, MOST_TEXT, Piece, Scan, Span, Val};
use crate::hashing::{HashMap, HashSet};
use crate::history::Came;
use crate::kinds::{Spare, State, Status};
use crate::life::{Route, as_corrected, routes_by, routes_of};
use crate::places::Places;
use crate::replay::Rulebook;
use crate::subject::{KIND, PLAIN, REPORT, Reason, Subject, TABLES};

/// The key of a report in a row: rule, root, kind, cause.
pub type ReportKey = (String, String, String, String);

/// By fold, the next instant at which time alone changes its result; few, so a list.
#[derive(Clone, Default)]
pub struct Dues(Vec<(usize, i64)>);

impl Dues {
    fn get(&self, fold: usize) -> Option<i64> {
        self.0.iter().find(|due| due.0 == fold).map(|due| due.1)
    }

    fn set(&mut self, fold: usize, due: Option<i64>) {
        self.0.retain(|known| known.0 != fold);
        self.0.extend(due.map(|due| (fold, due)));
    }

    /// The first of these instants.
    pub fn first(&self) -> Option<i64> {
        self.0.iter().map(|due| due.1).min()
    }

    pub fn into_map(self) -> HashMap<usize, i64> {
        self.0.into_iter().collect()
    }
}

impl From<HashMap<usize, i64>> for Dues {
    fn from(dues: HashMap<usize, i64>) -> Dues {
        Dues(dues.into_iter().collect())
    }
}

/// By the id of an event, the only folds that may still see it.
pub type Only = Vec<(Box<[u8]>, Vec<usize>)>;

/// Whether a fold may see an event.
fn may_see(only: &Only, subject: &Subject, fold: usize, event: usize) -> bool {
    if only.is_empty() {
        return true; // the usual case
    }
    let id = subject.bytes(subject.events[event].id);
    only.iter().find(|(known, _)| **known == *id).is_none_or(|(_, folds)| folds.contains(&fold))
}

/// One subject at a decision.
pub struct Asked<'a> {
    pub subject: (u8, &'a [u8]),
    /// Events at the decision before; `None` where all folds begin again.
    pub counted: Option<usize>,
    /// As of the decision before.
    pub dues: Dues,
    pub watermark: i64,
    /// Reports due by this instant are over.
    pub pruned_until: Option<i64>,
    pub only: &'a Only,
    /// The reports made and not withdrawn.
    pub reported: &'a [ReportKey],
    /// How often each was withdrawn, where one was.
    pub withdrawn: &'a [(ReportKey, u32)],
    /// The watermark of the decision before, where cases are written.
    pub since: Option<i64>,
}

/// A case to be written, without faults, as the verdict on it has it. Events are named by their place.
pub struct Case {
    /// The places of the version, of the limit chosen (the only one of an act's version being the first), and of the
    /// calendar.
    pub rule: (usize, Option<usize>, usize),
    pub anchor: usize,
    pub outcome: Outcome,
    /// When it was started, due, stopped, ended; and until when the limit lasts where that was agreed.
    pub times: (i64, Option<i64>, Option<i64>, i64, Option<i64>),
    pub pauses: Vec<Pause>,
    pub is_provisional: bool,
    pub evidence: Vec<usize>,
}

impl Case {
    fn of(fold: &Fold, verdict: &Verdict) -> Result<Case, Reason> {
        if !verdict.faults.is_empty() {
            return Err(REPORT);
        }
        Ok(Case {
            rule: rule_of(fold, verdict).map(|(version, limit)| (version, limit, verdict.calendar)).ok_or(REPORT)?,
            anchor: verdict.anchor,
            outcome: verdict.outcome,
            times: (verdict.started_at, verdict.deadline, verdict.stopped_at, verdict.ended_at, verdict.until),
            pauses: verdict.pauses.clone(),
            is_provisional: verdict.is_provisional,
            evidence: verdict.evidence.clone(),
        })
    }
}

/// A report to be made.
pub struct Made {
    /// The place of the first event that began a case of its fold, and the fold: the order of reports.
    pub order: (usize, usize),
    pub key: (String, &'static str, String),
    /// Of the alert and of its case.
    pub ids: [String; 2],
    pub place: u32,
    /// Started, deadline, due, stopped.
    pub instants: (i64, Option<i64>, i64, Option<i64>),
    /// Running and paused, in microseconds.
    pub counted: (i64, i64),
    /// The alert as it is written.
    pub line: Vec<u8>,
}

/// A place and an outcome; a running clock's place, start and deadline. Places are named by their number.
pub type Ending = (u32, Outcome);
pub type Clock = (u32, i64, Option<i64>);

/// `asked` are the folds whose cases may have changed; `ended`, `running` (each with its start and its deadline) and `open` are
/// their cases. `looked` are the folds of which a written case may have changed, `cases` all of theirs, each with its
/// fold and root.
#[derive(Default)]
pub struct Decision {
    pub dues: Dues,
    pub asked: Vec<usize>,
    pub ended: Vec<Ending>,
    pub running: Vec<Clock>,
    pub open: Vec<u32>,
    pub reports: Vec<Made>,
    pub looked: Vec<usize>,
    pub cases: Vec<(usize, String, Case)>,
}

impl Decision {
    /// As `OutcomeCounts.take` does.
    fn count(&mut self, cases: &[Status], mut place_of: impl FnMut(usize) -> u32) {
        for case in cases {
            if case.is_certain && case.outcome != Outcome::Running {
                self.ended.push((place_of(case.anchor), case.outcome));
            }
            if case.is_running {
                self.running.push((place_of(case.anchor), case.started_at, case.deadline));
            }
        }
    }
}

/// The events of one subject in the order of histories: what was read from them, and the text of which that is a part.
#[derive(Clone, Copy)]
pub struct Events<'a> {
    pub list: &'a [Event],
    pub fields: &'a [Field],
    pub text: &'a [u8],
}

/// `events` are all of a subject.
pub fn decide<'a>(
    rulebook: &'a Rulebook, places: &mut Places, mut asked: Asked, events: Events, spare: &mut Spare<'a>,
) -> Result<Decision, Reason> {
    let subject = settled(rulebook, asked.subject, events)?;
    let Some(routes) = routes_of(&rulebook.folds, &subject) else { return Err(subject.unsure.get().unwrap_or(PLAIN)) };
    if routes.iter().any(|route| matches!(route.fold, Fold::FollowUp(_))) {
        return Err(KIND);
    }
    let (known, roots) = as_corrected(&subject);
    let events = events.list;
    let new: Types = events[asked.counted.unwrap_or(0)..].iter().map(|event| event.event_type()).collect();
    let come = |event: &&Event| asked.since.is_some_and(|since| since < event.at) && event.at <= asked.watermark;
    let come: Types = events.iter().filter(come).map(|event| event.event_type()).collect();
    let as_of = events.last().map_or(asked.watermark, |last| last.at.max(asked.watermark));
    let mut found = Decision::default();
    let mut standing = 0;
    for route in &routes {
        let has_passed = asked.dues.get(route.index).is_some_and(|due| due <= asked.watermark);
        let is_asked = asked.counted.is_none() || has_passed || route.entry.listens.meets(&new);
        // Of a cadence the next month's case begins by time alone.
        let is_counted = is_asked || matches!(route.fold, Fold::Cadence(_));
        let is_looked_at = asked.since.is_some() && (is_counted || route.entry.listens.meets(&come));
        if !(is_counted || is_looked_at) {
            continue;
        }
        let sees = |event: &usize| may_see(asked.only, &subject, route.index, *event);
        let first = known.iter().copied().filter(sees).find(|event| route.begins(&subject, *event));
        let Some(first) = first else { continue };
        let state = folded(route, &subject, &known, asked.only, spare);
        if is_looked_at {
            found.looked.push(route.index);
            for verdict in state.judge(&subject, asked.watermark, true).0 {
                let root = verdict.root(&subject, &roots).into_owned();
                found.cases.push((route.index, root, Case::of(route.fold, &verdict)?));
            }
        }
        if is_asked {
            let (verdicts, following) = state.judge(&subject, asked.watermark, false);
            standing += compare(&asked, places, (&subject, &roots), route, first, &verdicts, &mut found.reports)?;
            asked.dues.set(route.index, following);
        }
        if !is_counted {
            spare.give(route.index, state);
            continue;
        }
        found.asked.push(route.index);
        let mut place_of = |start| place_of(places, &subject, route, start);
        found.count(&state.statuses(&subject, as_of, asked.watermark), &mut place_of);
        found.open.extend(state.open_cases(&subject, as_of).into_iter().map(place_of));
        spare.give(route.index, state);
    }
    if asked.counted.is_none() {
        asked.dues.0.retain(|(fold, _)| found.asked.contains(fold));
        let known = asked.reported.iter().filter(|known| known.2 != "warning");
        if standing < known.count() {
            return Err(REPORT); // of a rule that has no case any more
        }
    }
    found.reports.sort_by_key(|made| made.order);
    found.dues = asked.dues;
    subject.unsure.get().map_or(Ok(found), Err)
}

/// The number of the place of a case that begins with this event.
fn place_of(places: &mut Places, subject: &Subject, route: &Route, start: usize) -> u32 {
    places.of(route.index, subject.org(start).map_or(b"", |org| subject.bytes(org)))
}

/// Whether no case of a subject is open, and none of its events matters to a later one; also of rules without a case.
pub fn is_idle<'a>(
    rulebook: &'a Rulebook, subject: (u8, &[u8]), events: Events, only: &Only, spare: &mut Spare<'a>,
) -> Result<bool, Reason> {
    let subject = settled(rulebook, subject, events)?;
    let known = as_corrected(&subject).0;
    let Some(routes) = routes_by(&rulebook.folds, &subject, &known, |entry| &entry.listens) else {
        return Err(subject.unsure.get().unwrap_or(PLAIN));
    };
    let is_idle = routes.iter().all(|route| {
        let state = folded(route, &subject, &known, only, spare);
        let is_idle = state.is_idle(&subject);
        spare.give(route.index, state);
        is_idle
    });
    subject.unsure.get().map_or(Ok(is_idle), Err)
}

/// The subject of these events, all of which lie within the tables.
fn settled<'a>(rulebook: &'a Rulebook, subject: (u8, &'a [u8]), events: Events<'a>) -> Result<Subject<'a>, Reason> {
    let days = &rulebook.days[0];
    if !events.list.iter().all(|event| days.is_settled(event.at) && days.is_settled(event.recorded)) {
        return Err(TABLES);
    }
    Ok(rulebook.subject(subject, events.list.iter().collect(), (events.text, events.fields), i64::MAX))
}

/// The state of one fold after all of these events that it sees.
fn folded<'a>(
    route: &Route<'a>, subject: &Subject, events: &[usize], only: &Only, spare: &mut Spare<'a>,
) -> Box<dyn State<'a> + 'a> {
    let mut state = spare.take(route);
    let may_see = |event: &usize| may_see(only, subject, route.index, *event);
    let seen = events.iter().copied().filter(may_see).filter(|event| route.sees(subject, *event));
    seen.for_each(|event| state.step(subject, event));
    state
}

/// Collect the reports of one fold that are to be made; how many of those made stand, besides warnings.
fn compare(
    asked: &Asked, places: &mut Places, (subject, roots): (&Subject, &Roots), route: &Route, first: usize,
    verdicts: &[Verdict], made: &mut Vec<Made>,
) -> Result<usize, Reason> {
    let mut standing = 0;
    let mut owed: HashSet<(String, &str, &str)> = HashSet::default();
    for verdict in verdicts {
        let root = verdict.root(subject, roots);
        for report in &verdict.reports {
            if asked.pruned_until.is_some_and(|until| report.due <= until) {
                continue;
            }
            if !owed.insert((root.to_string(), report.kind, &report.cause)) {
                return Err(REPORT); // which of two verdicts counts, Python decides
            }
            let is_it = |known: &ReportKey| {
                known.0 == route.entry.id && known.1 == *root && known.2 == report.kind && known.3 == report.cause
            };
            if asked.reported.iter().any(is_it) {
                standing += usize::from(report.kind != "warning");
                continue;
            }
            let generation = asked.withdrawn.iter().find(|(known, _)| is_it(known)).map_or(0, |(_, times)| *times);
            let unsure = || subject.unsure.get().unwrap_or(PLAIN);
            let told = Told::new(subject, verdict, report, &root, generation).ok_or_else(unsure)?;
            made.push(Made {
                order: (first, route.index),
                key: (root.to_string(), report.kind, report.cause.clone()),
                ids: told.ids(),
                place: place_of(places, subject, route, verdict.anchor),
                instants: (verdict.started_at, verdict.deadline, report.due, verdict.stopped_at),
                counted: told.counted(),
                line: told.line(subject, asked.watermark).ok_or_else(unsure)?.into_bytes(),
            });
        }
    }
    let known = asked.reported.iter().filter(|known| known.0 == route.entry.id && known.2 != "warning").count();
    // Fewer: one of them is to be withdrawn.
    if standing < known { Err(REPORT) } else { Ok(standing) }
}

/// The places of the version and of the limit of a verdict, told by the line of its case; `None` for an agreed time.
fn rule_of(fold: &Fold, verdict: &Verdict) -> Option<(usize, Option<usize>)> {
    fn find<'a, V: 'a, C: Iterator<Item = &'a CaseLines>>(
        versions: &'a [V], lines: &CaseLines, own: impl Fn(&'a V) -> &'a CaseLines, chosen: impl Fn(&'a V) -> C,
    ) -> Option<(usize, Option<usize>)> {
        versions.iter().enumerate().find_map(|(version, body)| {
            if std::ptr::eq(own(body), lines) {
                return Some((version, None));
            }
            chosen(body).position(|known| std::ptr::eq(known, lines)).map(|choice| (version, Some(choice)))
        })
    }
    fn of_limits(version: &DeadlineVersion) -> impl Iterator<Item = &CaseLines> {
        version.choices.iter().map(|choice| &choice.case)
    }
    fn of_act(version: &ActVersion) -> Vec<&CaseLines> {
        match &version.body {
            ActBody::RecordingDelay { choices, .. } => choices.iter().map(|choice| &choice.case).collect(),
            _ => vec![&version.case],
        }
    }
    let lines = verdict.case;
    match fold {
        Fold::Deadline(versions) => find(versions, lines, |version| &version.span.case, of_limits),
        Fold::Each(each) => find(&each.versions, lines, |version| &version.span.case, of_limits),
        Fold::FollowUp(rule) => find(&rule.versions, lines, |version| &version.span.case, of_limits),
        Fold::Cadence(versions) => {
            find(versions, lines, |version| &version.span.case, |version| std::iter::once(&version.choice.case))
        }
        Fold::Act(versions) => {
            find(versions, lines, |version| &version.span.case, |version| of_act(version).into_iter())
        }
        Fold::Sequence(versions) => find(versions, lines, |version| &version.span.case, |_| std::iter::empty()),
    }
}

/// The JSON list of events of a subject, as in state rows.
pub fn read(rulebook: &Rulebook, text: &[u8]) -> Result<(Vec<Event>, Vec<Field>), Reason> {
    (text.len() < MOST_TEXT).then_some(()).ok_or(PLAIN)?;
    let mut scan = Scan::new(text);
    let (mut found, mut fields) = (Vec::new(), Vec::new());
    if scan.closes(b'[') && !scan.closes(b']') {
        loop {
            found.push(one(rulebook, &mut scan, &mut fields).ok_or(PLAIN)?);
            if !scan.closes(b',') {
                break;
            }
        }
        scan.closes(b']').then_some(()).ok_or(PLAIN)?;
    }
    (scan.at == text.len()).then_some((found, fields)).ok_or(PLAIN)
}

/// An entry of a record of the log: type and id of the subject, origin, and the event as it is written; `None` where
/// that is not plain.
pub struct Entry<'a> {
    pub kind: &'a str,
    pub id: &'a str,
    pub origin: &'a str,
    pub event: &'a [u8],
    pub came: Option<Came>,
}

/// The entries of a record of the log; `None` where Python must read it.
pub fn entries_of<'a>(rulebook: &Rulebook, record: &'a [u8]) -> Option<Vec<Entry<'a>>> {
    let record = (record.len() < MOST_TEXT).then(|| std::str::from_utf8(record).ok()).flatten()?;
    let mut scan = Scan::new(record.as_bytes());
    let mut found = Vec::new();
    scan.word(b"{\"v\":1,\"entries\":[")?;
    if !scan.closes(b']') {
        loop {
            scan.closes(b'[').then_some(())?;
            let mut texts = [""; 3];
            for text in &mut texts {
                let piece = scan.text_piece()?;
                *text = &record[piece.from..piece.to];
                scan.closes(b',').then_some(())?;
            }
            let from = scan.at;
            let came = came(rulebook, &mut scan);
            if came.is_none() {
                scan.at = from;
                scan.any()?;
            }
            let [kind, id, origin] = texts;
            found.push(Entry { kind, id, origin, event: &record.as_bytes()[from..scan.at], came });
            scan.closes(b']').then_some(())?;
            if !scan.closes(b',') {
                break;
            }
        }
        scan.closes(b']').then_some(())?;
    }
    scan.word(b",\"watermarks\":")?;
    Some(found)
}

/// One event in the form of a row; `None` where it is not plain.
pub fn read_one(rulebook: &Rulebook, raw: &[u8]) -> Option<Came> {
    (raw.len() < MOST_TEXT).then_some(())?;
    let mut scan = Scan::new(raw);
    came(rulebook, &mut scan).filter(|_| scan.at == raw.len())
}

fn came(rulebook: &Rulebook, scan: &mut Scan) -> Option<Came> {
    let (from, mut fields) = (scan.at, Vec::new());
    let mut event = one(rulebook, scan, &mut fields)?;
    event.move_by(-(from as isize));
    fields.iter_mut().for_each(|(_, value)| value.move_by(-(from as isize)));
    Some(Came { event, fields, raw: scan.text[from..scan.at].into() })
}

/// One event, the list of its fields as `streams/core/event.py` has them; `None` where it is not plain: in another form
/// than it is written in here.
fn one(rulebook: &Rulebook, scan: &mut Scan, found: &mut Vec<Field>) -> Option<Event> {
    let mut event = Event::default();
    let first = found.len() as u32;
    let reader = &rulebook.reader;
    scan.closes(b'[').then_some(())?;
    event.id = text(scan)?;
    scan.closes(b',').then_some(())?;
    let name = text(scan)?;
    event.event_type = *reader.types.get(name.of(scan.text))? as u16;
    for at in [&mut event.at, &mut event.recorded] {
        scan.closes(b',').then_some(())?;
        *at = integer(scan)?;
    }
    scan.closes(b',').then_some(())?;
    fields(rulebook, scan, &mut event, found)?;
    for id in &mut event.subjects {
        scan.closes(b',').then_some(())?;
        if scan.word(b"null").is_none() {
            *id = text(scan)?;
        }
    }
    scan.closes(b',').then_some(())?;
    if scan.word(b"null").is_none() {
        event.corrects = text(scan)?;
    }
    event.is_void = scan.word(b",true,").is_some();
    (event.is_void || scan.word(b",false,").is_some()).then_some(())?;
    version(scan)?;
    scan.word(b",null,")?; // it does not stand in place of another
    scan.word(b"true").or_else(|| scan.word(b"false"))?; // whether it comes with everything known
    scan.closes(b']').then_some(())?;
    let named = reader.watched_ids.iter().map(|(field, kind)| (*field, event.subjects[*kind]));
    found.extend(named.filter(|(_, id)| !id.is_empty()).map(|(field, id)| (field, Val::Text(id))));
    event.fields = (first, found.len() as u32);
    Some(event)
}

/// Nothing, or a list of integers.
fn version(scan: &mut Scan) -> Option<()> {
    if scan.word(b"null").is_none() {
        let from = scan.at;
        scan.any()?;
        let numbers = scan.text[from..scan.at].strip_prefix(b"[")?.strip_suffix(b"]")?;
        let is_number = |number: &[u8]| matches!(number.len(), 1..=18) && number.iter().all(u8::is_ascii_digit);
        (numbers.is_empty() || numbers.split(|c| *c == b',').all(is_number)).then_some(())?;
    }
    Some(())
}

fn fields(rulebook: &Rulebook, scan: &mut Scan, event: &mut Event, found: &mut Vec<Field>) -> Option<()> {
    scan.closes(b'{').then_some(())?;
    if scan.closes(b'}') {
        return Some(());
    }
    loop {
        let name = scan.text_piece()?;
        scan.closes(b':').then_some(())?;
        match rulebook.reader.watched.get(name.of(scan.text)) {
            Some(&field) => found.push((field, value(scan)?)),
            None if name.of(scan.text) == b"org" => {
                event.org = scan.org()?.map_or(Span::default(), Piece::span);
            }
            None if IDS.contains(&name.of(scan.text)) => return None, // conditions would take it for the id itself
            None => scan.any()?,
        }
        if scan.closes(b'}') {
            return Some(());
        }
        scan.closes(b',').then_some(())?;
    }
}

/// A text that is not empty.
fn text(scan: &mut Scan) -> Option<Span> {
    let piece = scan.text_piece()?;
    (piece.to > piece.from).then_some(piece.span())
}

fn integer(scan: &mut Scan) -> Option<i64> {
    let piece = scan.value()?;
    std::str::from_utf8(piece.of(scan.text)).ok()?.parse().ok()
}

fn value(scan: &mut Scan) -> Option<Val> {
    let piece = scan.value()?;
    let written = piece.of(scan.text);
    Some(match written {
        b"null" => Val::Null,
        b"true" => Val::Bool(true),
        b"false" => Val::Bool(false),
        [b'"', ..] => Val::Text(Span::new(piece.from + 1, written.len() - 2)),
        [b'[', ..] => Val::List(Span::new(piece.from, written.len())),
        _ if written.contains(&b'.') => Val::Decimal,
        _ => Val::Int(std::str::from_utf8(written).ok()?.parse().ok()?),
    })
}
