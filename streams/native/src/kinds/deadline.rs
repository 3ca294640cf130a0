//! Kind `deadline`: the stop must occur within the limit of the start. A case whose clock stands still is Python's.

use crate::document::{Choice, DeadlineVersion, Limit};
use crate::events::{Val, date, instant};
use crate::subject::{Alerts, Fields, Report, Subject, names};

struct Watch {
    marks: Vec<Option<usize>>,
    holds: bool,
    paused_since: Option<usize>,
    facts: Option<usize>,
}

struct Case<'a> {
    version: &'a DeadlineVersion,
    start: usize,
    started_by: Vec<usize>,
    choice: Option<&'a Choice>,
    deadline: Option<i64>,
    is_provisional: bool,
    counted: Option<(i64, i64, bool)>,
    fields: Fields,
    stop: Option<usize>,
    cancel: Option<usize>,
}

struct State<'a> {
    watches: Vec<Watch>,
    open: Option<Case<'a>>,
    closed: Vec<Case<'a>>,
    latest: Option<usize>,
    strays: Vec<usize>,
}

/// Judge one subject; whether it had any case. `seen` are the events that the fold takes, in order.
pub fn judge(versions: &[DeadlineVersion], subject: &Subject, seen: &[usize], alerts: &mut Alerts) -> bool {
    let mut state = State {
        watches: versions
            .iter()
            .map(|version| Watch {
                marks: vec![None; version.groups.len()],
                holds: version.since.is_none(),
                paused_since: None,
                facts: None,
            })
            .collect(),
        open: None,
        closed: Vec::new(),
        latest: None,
        strays: Vec::new(),
    };
    for &event in seen {
        step(versions, &mut state, subject, event);
        if subject.is_unsure.get() {
            return true;
        }
    }
    let State { mut closed, open, .. } = state;
    closed.extend(open);
    for case in &closed {
        report(case, subject, alerts);
    }
    !closed.is_empty()
}

fn step<'a>(versions: &'a [DeadlineVersion], state: &mut State<'a>, subject: &Subject, event: usize) {
    let had_case = state.open.is_some();
    let was_stopped_by = had_case && step_open(state, subject, event);
    for (index, version) in versions.iter().enumerate() {
        step_watch(versions, index, version, state, subject, event);
    }
    let event_type = subject.event_type(event);
    if versions.iter().any(|version| names(&version.stop, event_type)) && !was_stopped_by && state.latest != Some(event)
    {
        if state.strays.last().is_some_and(|last| subject.at(*last) != subject.at(event)) {
            state.strays.clear();
        }
        state.strays.push(event);
    }
}

/// Whether the event is the stop of the open case.
fn step_open(state: &mut State, subject: &Subject, event: usize) -> bool {
    let Some(case) = &mut state.open else { return false };
    let start = Some(case.fields);
    if subject.fits(&case.version.stop, event, start) {
        case.stop = Some(event);
    } else if subject.fits(&case.version.cancel, event, start) {
        case.cancel = Some(event);
    } else {
        if subject.fits(&case.version.pause, event, start) {
            subject.hand_back(); // it stands still from here on
        }
        return false;
    }
    let is_stop = case.stop == Some(event);
    close(state);
    is_stop
}

fn close(state: &mut State) {
    for watch in &mut state.watches {
        watch.paused_since = None;
    }
    state.closed.extend(state.open.take());
}

fn step_watch<'a>(
    versions: &'a [DeadlineVersion], index: usize, version: &'a DeadlineVersion, state: &mut State<'a>,
    subject: &Subject, event: usize,
) {
    let event_type = subject.event_type(event);
    if version.since.as_ref().is_some_and(|since| subject.fits(since, event, None)) {
        state.watches[index].holds = true;
    }
    if version.facts == Some(event_type) {
        state.watches[index].facts = Some(event);
    }
    for (group, patterns) in version.groups.iter().enumerate() {
        if subject.fits(patterns, event, None) {
            mark(versions, index, version, state, subject, event, group);
        }
    }
    if state.open.is_none() {
        let watch = &state.watches[index];
        let fields = Fields { event, facts: watch.facts, type_field: None };
        state.watches[index].paused_since = still_after(version, subject, event, fields, watch.paused_since);
    }
    if subject.fits(&version.until, event, None) {
        state.watches[index].holds = false;
    }
}

fn still_after(
    version: &DeadlineVersion, subject: &Subject, event: usize, fields: Fields, before: Option<usize>,
) -> Option<usize> {
    let start = Some(fields);
    let before = before.filter(|_| !subject.fits(&version.cancel, event, start));
    if subject.fits(&version.pause, event, start) {
        return before.or(Some(event));
    }
    before.filter(|_| !subject.fits(&version.resume, event, start))
}

#[allow(clippy::too_many_arguments)]
fn mark<'a>(
    versions: &'a [DeadlineVersion], index: usize, version: &'a DeadlineVersion, state: &mut State<'a>,
    subject: &Subject, event: usize, group: usize,
) {
    if state.open.is_some() || state.latest == Some(event) {
        return;
    }
    let watch = &mut state.watches[index];
    if watch.marks.len() > 1 {
        watch.marks[group] = Some(event);
        if watch.marks.contains(&None) {
            return;
        }
    }
    let at = subject.at(event);
    if watch.holds && version.first <= at && version.last.is_none_or(|last| at < last) {
        open(versions, index, version, state, subject, event);
    }
}

fn open<'a>(
    versions: &'a [DeadlineVersion], index: usize, version: &'a DeadlineVersion, state: &mut State<'a>,
    subject: &Subject, event: usize,
) {
    let watch = &state.watches[index];
    let fields = Fields { event, facts: watch.facts, type_field: None };
    let mut started_by: Vec<usize> = watch.marks.iter().flatten().copied().collect();
    if started_by.is_empty() {
        started_by.push(event);
    }
    started_by.extend(watch.facts.filter(|facts| !started_by.contains(facts)));
    let mut case = Case {
        version,
        start: event,
        started_by,
        choice: version.choices.iter().find(|choice| subject.holds(&choice.when, fields)),
        deadline: None,
        is_provisional: false,
        counted: None,
        fields,
        stop: None,
        cancel: None,
    };
    if still_after(version, subject, event, fields, watch.paused_since).is_some() {
        subject.hand_back();
    }
    time(&mut case, subject);
    for (watch, version) in state.watches.iter_mut().zip(versions) {
        watch.marks = vec![None; version.groups.len()];
    }
    state.open = Some(case);
    state.latest = Some(event);
    let at = subject.at(event);
    let stray = state
        .strays
        .iter()
        .position(|&stray| subject.at(stray) == at && subject.fits(&version.stop, stray, Some(fields)));
    if let (Some(place), Some(case)) = (stray, &mut state.open) {
        case.stop = Some(state.strays.remove(place));
        close(state);
    }
}

fn time(case: &mut Case, subject: &Subject) {
    let Some(choice) = case.choice else { return };
    let start = subject.at(case.start);
    if let Limit::UntilField(field) = choice.limit {
        let Val::Text(span) = subject.value(case.fields, field) else { return };
        let text = subject.bytes(span);
        if let Some(day) = date(text) {
            case.deadline = (day >= subject.days.date(start)).then(|| subject.days.start(day + 1));
        } else if let Some(at) = instant(text) {
            case.choice = choice.instant.as_deref();
            case.deadline = (start <= at).then_some(at);
        } else {
            subject.hand_back();
        }
        if !subject.days.is_settled(start) || case.deadline.is_some_and(|at| !subject.days.is_settled(at)) {
            subject.hand_back();
        }
        return;
    }
    match subject.days.deadline(&choice.limit, start) {
        None => subject.hand_back(),
        Some(found) => {
            case.deadline = Some(found.at);
            case.is_provisional = found.is_provisional;
            case.counted = found.counted;
        }
    }
}

fn report(case: &Case, subject: &Subject, alerts: &mut Alerts) {
    let (Some(deadline), Some(choice)) = (case.deadline, case.choice) else { return };
    let start = subject.at(case.start);
    let ended = case.stop.or(case.cancel).map(|event| subject.at(event));
    let is_over = ended.is_some_and(|at| at <= deadline);
    let last = subject.until.min(if is_over { ended.unwrap_or(deadline) - 1 } else { deadline - 1 });
    let mut warnings: Vec<(i64, usize)> = Vec::new();
    for (index, warning) in choice.warnings.iter().enumerate() {
        match subject.days.warning(&choice.limit, start, deadline, warning.fraction) {
            None => return subject.hand_back(),
            Some(at) if at >= start && at <= last => match warnings.iter_mut().find(|known| known.0 == at) {
                Some(known) => known.1 = index, // of several at one instant the last counts
                None => warnings.push((at, index)),
            },
            Some(_) => {}
        }
    }
    for (at, index) in warnings {
        let warning = &choice.warnings[index];
        add(case, subject, alerts, ("warning", warning.cause.clone(), at), &warning.lines);
    }
    if is_over || deadline > subject.until {
        return;
    }
    add(case, subject, alerts, ("breach", deadline.to_string(), deadline), &choice.breach);
    if let Some(stop) = case.stop.filter(|stop| subject.at(*stop) <= subject.until) {
        let cause = subject.id_of(stop).to_owned();
        add(case, subject, alerts, ("late_completion", cause, subject.at(stop)), &choice.late_completion);
    }
}

fn add(
    case: &Case, subject: &Subject, alerts: &mut Alerts, (kind, cause, due): (&'static str, String, i64),
    lines: &crate::document::Lines,
) {
    let known = |event: &usize| subject.at(*event) <= due;
    let stop = case.stop.filter(known);
    let ended = stop.or(case.cancel.filter(known));
    let mut evidence = case.started_by.clone();
    evidence.extend(ended);
    let Some(arithmetic) = subject.days.arithmetic(case.counted) else { return subject.hand_back() };
    alerts.add(
        subject,
        Report {
            rule: &case.version.rule,
            kind,
            cause,
            due,
            anchor: case.start,
            deadline: case.deadline,
            stopped_at: stop.map(|event| subject.at(event)),
            ended_at: ended.map_or(due, |event| subject.at(event)).max(subject.at(case.start)),
            evidence,
            is_provisional: case.is_provisional,
            arithmetic,
            faults: None,
            lines,
        },
    );
}
