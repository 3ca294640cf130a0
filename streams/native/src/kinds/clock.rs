//! A clock: one deadline running from a start to a stop, and what must be told of it by an instant.

use crate::alerts::{Outcome, Report, Verdict};
use crate::calendar::Pause;
use crate::document::{Choice, InForce, Limit};
use crate::kinds::Status;
use crate::subject::{Fields, Subject, TABLES};

pub struct Clock<'a> {
    pub span: &'a InForce,
    pub choice: Option<&'a Choice>,
    pub start: usize,
    pub started_at: i64,
    pub started_by: Vec<usize>,
    pub until: Option<i64>,
    pub root: Option<String>,
    pub item: Option<usize>,
    /// The rule whose breach started it.
    pub after: Option<&'a InForce>,
    pub pauses: Vec<Pause>,
    pub paused_by: Vec<usize>,
    pub stop: Option<usize>,
    pub cancel: Option<usize>,
    pub deadline: Option<i64>,
    pub is_provisional: bool,
    /// Whether the deadline is the end of a given period, all of which counts.
    pub is_given: bool,
    /// The place of the calendar by which it is counted.
    pub calendar: usize,
}

impl<'a> Clock<'a> {
    pub fn new(span: &'a InForce, choice: Option<&'a Choice>, fields: Fields, subject: &Subject) -> Clock<'a> {
        let start = fields.event;
        Clock {
            span,
            choice,
            start,
            started_at: subject.at(start),
            started_by: vec![start],
            until: None,
            root: None,
            item: None,
            after: None,
            pauses: Vec::new(),
            paused_by: Vec::new(),
            stop: None,
            cancel: None,
            deadline: None,
            is_provisional: false,
            is_given: false,
            calendar: subject.calendar(&span.counted_by, fields),
        }
    }

    /// Work out the deadline again from the pauses known.
    pub fn time(&mut self, subject: &Subject) {
        let Some(choice) = self.choice else { return };
        match subject.calendars[self.calendar].deadline(&choice.limit, self.started_at, &self.pauses, self.until, None)
        {
            None => subject.hand_back(TABLES),
            Some(found) => (self.deadline, self.is_provisional) = (found.at, found.is_provisional),
        }
    }

    /// Close the open pause, if there is one, at an instant.
    pub fn end_pause(&mut self, at: i64) -> bool {
        let Some((since, None)) = self.pauses.last().copied() else { return false };
        self.pauses.pop();
        if at > since {
            self.pauses.push((since, Some(at)));
        }
        true
    }

    fn ended(&self, subject: &Subject) -> Option<i64> {
        self.stop.or(self.cancel).map(|event| subject.at(event))
    }

    /// The next instant at which silence changes the reports, and those that must have been made by now.
    pub fn reports(&self, subject: &Subject, as_of: i64) -> (Option<i64>, Vec<Report<'a>>) {
        let (Some(deadline), Some(choice)) = (self.deadline, self.choice) else { return (None, Vec::new()) };
        let ended = self.ended(subject);
        let is_over = ended.is_some_and(|at| at <= deadline);
        if is_over && ended.is_some_and(|at| at <= as_of) {
            return (None, Vec::new());
        }
        if as_of < deadline {
            let mut due = if is_over { ended.unwrap_or(deadline) } else { deadline };
            let mut found: Option<Report> = None;
            for (at, report) in self.warnings(subject, deadline, choice) {
                if at > as_of {
                    due = due.min(at);
                } else if found.as_ref().is_none_or(|known| at >= known.due) {
                    found = Some(report);
                }
            }
            return (Some(due), found.into_iter().collect());
        }
        if is_over {
            return (None, Vec::new());
        }
        let mut found = vec![breach(deadline, choice)];
        match self.stop {
            None => (None, found),
            Some(stop) if subject.at(stop) > as_of => (Some(subject.at(stop)), found),
            Some(stop) => {
                found.push(late(subject, stop, choice));
                (None, found)
            }
        }
    }

    /// What was told of it up to an instant (inclusive), where it never stood still.
    pub fn reported(&self, subject: &Subject, until: i64, found: &mut Vec<Verdict<'a>>) {
        let (Some(deadline), Some(choice)) = (self.deadline, self.choice) else { return };
        let ended = self.ended(subject);
        let is_over = ended.is_some_and(|at| at <= deadline);
        let last = until.min(if is_over { ended.unwrap_or(deadline) } else { deadline } - 1);
        let mut warnings: Vec<(i64, Report)> = Vec::new();
        for (at, report) in self.warnings(subject, deadline, choice) {
            if at <= last {
                warnings.retain(|(known, _)| *known != at); // of several at one instant the last is told
                warnings.push((at, report));
            }
        }
        found.extend(warnings.into_iter().map(|(at, report)| self.verdict(subject, at, vec![report])));
        if is_over || deadline > until {
            return;
        }
        found.push(self.verdict(subject, deadline, vec![breach(deadline, choice)]));
        if let Some(stop) = self.stop.filter(|stop| subject.at(*stop) <= until) {
            let reports = vec![breach(deadline, choice), late(subject, stop, choice)];
            found.push(self.verdict(subject, subject.at(stop), reports));
        }
    }

    fn warnings(&self, subject: &Subject, deadline: i64, choice: &'a Choice) -> Vec<(i64, Report<'a>)> {
        let mut found = Vec::new();
        for warning in &choice.warnings {
            let at = if self.is_given {
                let (part, whole) = warning.fraction;
                let length = i128::from(deadline - self.started_at) * i128::from(part) / i128::from(whole);
                Some(Some(self.started_at + length as i64))
            } else {
                let days = &subject.calendars[self.calendar];
                days.warning(&choice.limit, self.started_at, &self.pauses, deadline, warning.fraction)
            };
            match at {
                None => subject.hand_back(TABLES),
                Some(Some(at)) if at >= self.started_at => found.push((
                    at,
                    Report { kind: "warning", cause: warning.cause.clone(), due: at, lines: &warning.lines },
                )),
                Some(_) => {}
            }
        }
        found
    }

    /// Where it stands, in short.
    pub fn status(&self, subject: &Subject, as_of: i64, watermark: i64) -> Status {
        let by_now = |event: &usize| subject.at(*event) <= as_of;
        let (stop, cancel) = (self.stop.filter(by_now), self.cancel.filter(by_now));
        let passed = self.deadline.filter(|deadline| *deadline <= as_of);
        let late = passed.filter(|deadline| self.ended(subject).is_none_or(|at| at > *deadline));
        let outcome = match (stop, late, cancel) {
            (Some(_), Some(_), _) => Outcome::MetLate,
            (Some(_), None, _) => Outcome::Met,
            (None, Some(_), _) => Outcome::Breached,
            (None, None, Some(_)) => Outcome::Cancelled,
            (None, None, None) => Outcome::Running,
        };
        let is_certain = |deadline| deadline <= watermark && stop.is_none_or(|stop| subject.at(stop) <= watermark);
        Status {
            anchor: self.start,
            outcome,
            started_at: self.started_at,
            deadline: self.deadline,
            is_certain: late.is_none_or(is_certain),
            is_running: stop.is_none() && cancel.is_none(),
        }
    }

    /// Where it stands; `reports` are those of the same instant.
    pub fn verdict(&self, subject: &Subject, as_of: i64, reports: Vec<Report<'a>>) -> Verdict<'a> {
        let by_now = |event: &usize| subject.at(*event) <= as_of;
        let (stop, cancel) = (self.stop.filter(by_now), self.cancel.filter(by_now));
        let is_late = reports.iter().any(|report| report.kind == "breach");
        let outcome = match (stop, is_late, cancel) {
            (Some(_), true, _) => Outcome::MetLate,
            (Some(_), false, _) => Outcome::Met,
            (None, true, _) => Outcome::Breached,
            (None, false, Some(_)) => Outcome::Cancelled,
            (None, false, None) => Outcome::Running,
        };
        let ended = stop.or(cancel);
        let mut evidence = self.started_by.clone();
        evidence.extend(&self.paused_by);
        evidence.extend(ended);
        Verdict {
            span: self.span,
            root: self.root.clone(),
            item: self.item,
            anchor: self.start,
            outcome,
            started_at: self.started_at,
            deadline: self.deadline,
            stopped_at: stop.map(|event| subject.at(event)),
            ended_at: ended.map_or(as_of, |event| subject.at(event)).max(self.started_at),
            reports,
            limit: self.choice.map(|choice| &choice.limit),
            pauses: self.pauses.clone(),
            until: self.until,
            is_provisional: self.is_provisional,
            calendar: self.calendar,
            is_open_time: self.choice.is_some_and(|choice| matches!(choice.limit, Limit::BusinessTime(_))),
            after: self.after,
            evidence,
            faults: Vec::new(),
            case: self.choice.map_or(&self.span.case, |choice| &choice.case),
        }
    }
}

fn breach(deadline: i64, choice: &Choice) -> Report<'_> {
    Report { kind: "breach", cause: deadline.to_string(), due: deadline, lines: &choice.breach }
}

fn late<'a>(subject: &Subject, stop: usize, choice: &'a Choice) -> Report<'a> {
    let cause = subject.id_of(stop).to_owned();
    Report { kind: "late_completion", cause, due: subject.at(stop), lines: &choice.late_completion }
}
