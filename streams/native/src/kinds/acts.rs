//! Kinds about an act (`prerequisite`, `recording_delay`, `evidence`): at one instant what speaks for the person counts
//! as earlier, what speaks against as later, so an act waits until an event at a later instant comes.

use crate::document::{ActBody, ActVersion, Fault, Lines};
use crate::lines::Line;
use crate::subject::{Alerts, Fields, Report, Subject};

/// What became of an act, and the faults as they read: keys, Chinese, English, JSON.
struct Finding<'a> {
    version: &'a ActVersion,
    act: usize,
    faults: Vec<(String, String, String, String)>,
    due: i64,
    grounds: Vec<usize>,
    is_provisional: bool,
    is_cancelled: bool,
    lines: Option<&'a Lines>,
}

struct Pending {
    act: usize,
    facts: Option<usize>,
    since: i64,
}

struct Watch {
    found: Vec<Option<usize>>,
    facts: Option<usize>,
    held: Vec<usize>,
    pending: Vec<Pending>,
    latest: Vec<(usize, i64)>,
    cancelled: Vec<Pending>,
    cancel: Option<usize>,
    reset_at: i64,
    seen: Vec<Vec<usize>>,
}

struct State<'a> {
    watches: Vec<Watch>,
    instant: i64,
    waiting: Vec<(usize, usize)>,
    settled: Vec<Finding<'a>>,
}

const NEVER: i64 = -(1 << 62);

/// Judge one subject; whether it had any case.
pub fn judge(versions: &[ActVersion], subject: &Subject, seen: &[usize], alerts: &mut Alerts) -> bool {
    let mut state = State {
        watches: versions
            .iter()
            .map(|version| Watch {
                found: vec![None; version.slots.len()],
                facts: None,
                held: Vec::new(),
                pending: Vec::new(),
                latest: Vec::new(),
                cancelled: Vec::new(),
                cancel: None,
                reset_at: NEVER,
                seen: vec![Vec::new(); version.slots.len()],
            })
            .collect(),
        instant: NEVER,
        waiting: Vec::new(),
        settled: Vec::new(),
    };
    for &event in seen {
        step(versions, &mut state, subject, event);
        if subject.is_unsure.get() {
            return true;
        }
    }
    let shown = shown(versions, &state, subject);
    let is_open = versions.iter().zip(&state.watches).any(|(version, watch)| {
        is_closing(version) && (!watch.pending.is_empty() || !admitted(version, watch, subject).is_empty())
    });
    let has_case = is_open || !state.settled.is_empty() || !shown.is_empty();
    for finding in state.settled.iter().chain(&shown) {
        if !finding.faults.is_empty() && !finding.is_cancelled && finding.due <= subject.until {
            report(finding, subject, alerts);
        }
    }
    has_case
}

/// Whether acts wait for their close.
fn is_closing(version: &ActVersion) -> bool {
    matches!(&version.body, ActBody::Evidence { by, .. } if !by.is_empty())
}

fn step<'a>(versions: &'a [ActVersion], state: &mut State<'a>, subject: &Subject, event: usize) {
    let at = subject.at(event);
    if at != state.instant {
        if !state.waiting.is_empty() {
            let findings = shown(versions, state, subject);
            state.settled.extend(findings);
            for (index, _) in std::mem::take(&mut state.waiting) {
                found(&versions[index], &mut state.watches[index]);
            }
        }
        for watch in &mut state.watches {
            for held in std::mem::take(&mut watch.held) {
                spoil(watch, subject, subject.at(held));
            }
        }
        state.instant = at;
    }
    let event_type = subject.event_type(event);
    for (index, version) in versions.iter().enumerate() {
        if !version.listens.contains(&event_type) {
            continue;
        }
        let watch = &mut state.watches[index];
        note(version, watch, subject, event);
        if is_trigger(version, subject, event) {
            state.waiting.push((index, event));
        }
    }
}

fn spoil(watch: &mut Watch, subject: &Subject, at: i64) {
    for found in &mut watch.found {
        *found = found.filter(|event| subject.at(*event) >= at);
    }
    watch.reset_at = at;
}

fn found(version: &ActVersion, watch: &mut Watch) {
    watch.cancelled.clear();
    if is_closing(version) {
        watch.pending.clear();
        watch.latest.clear();
    }
}

fn note(version: &ActVersion, watch: &mut Watch, subject: &Subject, event: usize) {
    if watch.latest.last().is_some_and(|(act, _)| subject.at(*act) != subject.at(event)) {
        let now = admitted(version, watch, subject);
        watch.pending.extend(now);
        watch.latest.clear();
    }
    for (slot, found) in version.slots.iter().zip(&mut watch.found) {
        if subject.fits(&slot.tests, event, None) {
            *found = Some(event);
        }
    }
    if version.facts == Some(subject.event_type(event)) {
        watch.facts = Some(event);
    }
    if subject.fits(&version.reset, event, None) {
        watch.held.push(event);
    }
    let ActBody::Evidence { by, cancel, .. } = &version.body else { return };
    if by.is_empty() {
        return;
    }
    for (slot, seen) in version.slots.iter().zip(&mut watch.seen) {
        if subject.fits(&slot.tests, event, None) {
            seen.push(event);
        }
    }
    if subject.fits(cancel, event, None) {
        if watch.cancel.is_none_or(|known| subject.at(known) != subject.at(event)) {
            watch.cancel = Some(event);
        }
        watch.cancelled.append(&mut watch.pending);
    }
    if is_act(version, subject, event) {
        watch.latest.push((event, watch.reset_at));
    }
}

fn is_act(version: &ActVersion, subject: &Subject, event: usize) -> bool {
    let at = subject.at(event);
    subject.fits(&version.act, event, None) && version.first <= at && version.last.is_none_or(|last| at < last)
}

fn is_trigger(version: &ActVersion, subject: &Subject, event: usize) -> bool {
    match &version.body {
        ActBody::Evidence { by, cancel, .. } if !by.is_empty() => {
            subject.fits(by, event, None) || subject.fits(cancel, event, None)
        }
        _ => is_act(version, subject, event),
    }
}

fn applies(version: &ActVersion, facts: Option<usize>, subject: &Subject, act: usize) -> bool {
    version.when.is_empty() || subject.holds(&version.when, Fields { event: act, facts, type_field: None })
}

fn admitted(version: &ActVersion, watch: &Watch, subject: &Subject) -> Vec<Pending> {
    let open = watch.latest.iter().filter(|(act, _)| applies(version, watch.facts, subject, *act));
    open.map(|(act, since)| Pending { act: *act, facts: watch.facts, since: *since }).collect()
}

/// What the waiting triggers show; of two for one act at the same instant the first counts.
fn shown<'a>(versions: &'a [ActVersion], state: &State<'a>, subject: &Subject) -> Vec<Finding<'a>> {
    let mut all: Vec<Finding> = Vec::new();
    for (index, trigger) in &state.waiting {
        let findings = find(&versions[*index], &state.watches[*index], subject, *trigger);
        if state.waiting.len() == 1 {
            return findings;
        }
        for finding in findings {
            if all.iter().all(|known| known.act != finding.act) {
                all.push(finding);
            }
        }
    }
    all
}

fn find<'a>(version: &'a ActVersion, watch: &Watch, subject: &Subject, trigger: usize) -> Vec<Finding<'a>> {
    let at = subject.at(trigger);
    let lines = version.lines.get(&subject.event_type(trigger));
    let finding = |faults, due, is_provisional, lines| Finding {
        version,
        act: trigger,
        faults,
        due,
        grounds: watch.facts.into_iter().chain(watch.found.iter().flatten().copied()).chain([trigger]).collect(),
        is_provisional,
        is_cancelled: false,
        lines,
    };
    match &version.body {
        ActBody::Prerequisite if applies(version, watch.facts, subject, trigger) => {
            vec![finding(missing(version, watch, subject, trigger), at, false, lines)]
        }
        ActBody::RecordingDelay { choices, late } => {
            let fields = |field| Fields { event: trigger, facts: None, type_field: field };
            let type_field = subject.type_field;
            let Some(choice) = choices.iter().find(|choice| subject.holds(&choice.when, fields(type_field))) else {
                return Vec::new();
            };
            if !applies(version, watch.facts, subject, trigger) {
                return Vec::new();
            }
            let Some(found) = subject.days.deadline(&choice.limit, at) else {
                subject.hand_back();
                return Vec::new();
            };
            let recorded = subject.events[trigger].recorded;
            if recorded <= found.at {
                return vec![finding(Vec::new(), at, found.is_provisional, None)];
            }
            if !subject.days.is_settled(recorded) {
                subject.hand_back();
            }
            let fault = said(late, |place| match place {
                "recorded" => subject.days.shown(recorded),
                "recorded by" => subject.days.shown(found.at),
                _ => recorded.to_string(),
            });
            let lines = choice.lines.get(&subject.event_type(trigger));
            vec![finding(vec![fault], found.at, found.is_provisional, lines)]
        }
        ActBody::Evidence { by, carry, lacks, .. } if by.is_empty() => {
            if !applies(version, watch.facts, subject, trigger) {
                return Vec::new();
            }
            let mut faults = carried(carry, lacks, subject, trigger);
            faults.extend(missing(version, watch, subject, trigger));
            vec![finding(faults, at, false, lines)]
        }
        ActBody::Evidence { .. } => closing(version, watch, subject, trigger),
        ActBody::Prerequisite => Vec::new(),
    }
}

fn closing<'a>(version: &'a ActVersion, watch: &Watch, subject: &Subject, trigger: usize) -> Vec<Finding<'a>> {
    let at = subject.at(trigger);
    let now = admitted(version, watch, subject);
    if let Some(cancel) = watch.cancel.filter(|cancel| subject.at(*cancel) == at) {
        let off = watch.cancelled.iter().chain(&now);
        return off
            .map(|pending| Finding {
                version,
                act: pending.act,
                faults: Vec::new(),
                due: at,
                grounds: vec![pending.act, cancel],
                is_provisional: false,
                is_cancelled: true,
                lines: None,
            })
            .collect();
    }
    let acts: Vec<&Pending> = watch.pending.iter().chain(&now).collect();
    let Some(start) = acts.first().map(|pending| subject.at(pending.act)) else { return Vec::new() };
    acts.iter().map(|pending| closed(version, watch, subject, pending, start, trigger)).collect()
}

fn closed<'a>(
    version: &'a ActVersion, watch: &Watch, subject: &Subject, pending: &Pending, start: i64, close: usize,
) -> Finding<'a> {
    let ActBody::Evidence { carry, lacks, .. } = &version.body else { unreachable!("only evidence has a close") };
    let act = pending.act;
    let by = subject.at(close);
    let mut faults = carried(carry, lacks, subject, act);
    let mut grounds = vec![act];
    grounds.extend(pending.facts);
    grounds.push(close);
    for (index, seen) in watch.seen.iter().enumerate() {
        let there: Vec<usize> = seen.iter().copied().filter(|event| subject.at(*event) >= pending.since).collect();
        let is_good = |event: &usize| missing_of(version, index, subject, Some(*event), act, start, None).is_none();
        let latest = there.iter().copied().rfind(is_good).or(there.last().copied());
        faults.extend(missing_of(version, index, subject, latest, act, start, Some(by)));
        grounds.extend(latest);
    }
    Finding {
        version,
        act,
        faults,
        due: by,
        grounds,
        is_provisional: false,
        is_cancelled: false,
        lines: version.lines.get(&subject.event_type(act)),
    }
}

type Said = (String, String, String, String);

fn said(fault: &Fault, place: impl Fn(&str) -> String + Copy) -> Said {
    let fill = |text: &str| if text.contains('⟦') { Line::parse(text).fill(place) } else { text.to_owned() };
    (fill(&fault.key), fill(&fault.zh), fill(&fault.en), fill(&fault.json))
}

fn carried(carry: &[crate::document::Conditions], lacks: &Fault, subject: &Subject, act: usize) -> Vec<Said> {
    let is_there = carry.is_empty() || carry.iter().any(|conditions| subject.holds(conditions, subject.plain(act)));
    if is_there { Vec::new() } else { vec![said(lacks, |_| String::new())] }
}

fn missing(version: &ActVersion, watch: &Watch, subject: &Subject, act: usize) -> Vec<Said> {
    let found = watch.found.iter().enumerate();
    found.filter_map(|(index, event)| missing_of(version, index, subject, *event, act, subject.at(act), None)).collect()
}

fn missing_of(
    version: &ActVersion, index: usize, subject: &Subject, found: Option<usize>, act: usize, start: i64,
    by: Option<i64>,
) -> Option<Said> {
    let slot = &version.slots[index];
    if !slot.if_act.is_empty() && !subject.holds(&slot.if_act, subject.plain(act)) {
        return None;
    }
    let day = |event: usize| {
        if !subject.days.is_settled(subject.at(event)) {
            subject.hand_back();
        }
        subject.days.date(subject.at(event))
    };
    let close = |place: &str| match place {
        "by" => by.map_or(String::new(), |at| subject.days.shown(at)),
        _ => String::new(),
    };
    if let Some(found) = found.filter(|found| !(slot.after_start && subject.at(*found) < start)) {
        if !slot.same_day || day(found) == day(act) {
            return None;
        }
        return Some(said(&slot.on_day, close));
    }
    let fault = match by {
        Some(_) => &slot.by_close,
        None if slot.same_day => &slot.on_day,
        None => &slot.missing,
    };
    Some(said(fault, close))
}

fn report(finding: &Finding, subject: &Subject, alerts: &mut Alerts) {
    let Some(lines) = finding.lines else { return subject.hand_back() };
    let mut evidence = finding.grounds.clone();
    evidence.sort_unstable(); // by their place, which is the order of time
    let join = |of: fn(&Said) -> &str, between: &str| -> String {
        finding.faults.iter().map(of).collect::<Vec<_>>().join(between)
    };
    let at = subject.at(finding.act);
    alerts.add(
        subject,
        Report {
            rule: &finding.version.rule,
            kind: "violation",
            cause: format!("{}: {}", finding.due, join(|said| &said.0, "; ")),
            due: finding.due,
            anchor: finding.act,
            deadline: None,
            stopped_at: None,
            ended_at: finding.due.max(at),
            evidence,
            is_provisional: finding.is_provisional,
            arithmetic: format!("{{\"faults\":[{}]}}", join(|said| &said.3, ",")),
            faults: Some((join(|said| &said.1, "；"), join(|said| &said.2, "; "))),
            lines,
        },
    );
}
