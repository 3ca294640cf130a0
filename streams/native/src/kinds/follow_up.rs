//! Kind `deadline` where a case starts with the breach of another rule: worked out anew from its verdicts and the events
//! seen, so that a breach that is withdrawn leaves nothing behind.

use crate::alerts::{Roots, Verdict};
use crate::document::FollowUp;
use crate::kinds::clock::Clock;
use crate::kinds::deadline::{agree, goes_on, still_after};
use crate::kinds::{Judged, State, Status, earlier, start};
use crate::subject::{KIND, Subject};

pub struct FollowUps<'a> {
    rule: &'a FollowUp,
    base: Box<dyn State<'a> + 'a>,
    /// The events that concern its own cases.
    seen: Vec<usize>,
}

impl<'a> FollowUps<'a> {
    pub fn new(rule: &'a FollowUp) -> FollowUps<'a> {
        FollowUps { rule, base: start(&rule.base), seen: Vec::new() }
    }

    /// The cases that have started, and the next instant at which silence changes what the other rule tells.
    fn cases(&self, subject: &Subject, as_of: i64) -> (Vec<Clock<'a>>, Option<i64>) {
        let (verdicts, following) = self.base.judge(subject, as_of, false);
        let mut found = Vec::new();
        for breached in &verdicts {
            let breaches = breached.reports.iter().filter(|report| report.kind == "breach");
            found.extend(breaches.filter_map(|breach| self.case(subject, breached, breach.due)));
        }
        (found, following)
    }

    fn case(&self, subject: &Subject, breached: &Verdict<'a>, at: i64) -> Option<Clock<'a>> {
        let version = self.rule.versions.iter().find(|version| version.span.holds(at))?;
        let fields = subject.plain(breached.anchor);
        let choice = version.choices.iter().find(|choice| subject.holds(&choice.when, fields));
        let mut clock = Clock::new(&version.span, choice, fields, subject);
        clock.started_at = at;
        clock.started_by = self.evidence(subject, breached, at);
        (clock.root, clock.item, clock.after) = (breached.root.clone(), breached.item, Some(breached.span));
        agree(&mut clock, subject, fields);
        let (before, since) = self.seen.split_at(self.seen.partition_point(|event| subject.at(*event) < at));
        let mut still = None;
        for event in before {
            // A stop ends a pause as well.
            still = still.filter(|_| !subject.fits(&version.stop, *event, Some(fields)));
            still = still_after(version, subject, *event, fields, still, &[]);
        }
        if let Some(still) = still {
            clock.pauses.push((at, None));
            clock.paused_by.push(still);
        }
        clock.time(subject);
        goes_on(clock, version, fields, subject, since)
    }

    /// The events of the other case that were known when its deadline passed.
    fn evidence(&self, subject: &Subject, breached: &Verdict, at: i64) -> Vec<usize> {
        let nothing = Roots::default();
        let root = breached.root(subject, &nothing);
        let then = self.base.judge(subject, at, false).0;
        match then.into_iter().find(|one| one.root(subject, &nothing) == root) {
            Some(one) => one.evidence,
            None => {
                subject.hand_back(KIND);
                Vec::new()
            }
        }
    }
}

impl<'a> State<'a> for FollowUps<'a> {
    fn clear(&mut self) {
        let FollowUps { rule: _, base, seen } = self;
        base.clear();
        seen.clear();
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        let event_type = subject.event_type(event);
        if self.rule.own_listens.contains(event_type) {
            self.seen.push(event);
        }
        if self.rule.base_listens.contains(event_type) {
            self.base.step(subject, event);
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        let (cases, mut following) = self.cases(subject, as_of);
        let mut verdicts = Vec::new();
        for clock in cases {
            let (due, reports) = clock.reports(subject, as_of);
            following = earlier(following, due);
            if every || !reports.is_empty() {
                verdicts.push(clock.verdict(subject, as_of, reports));
            }
        }
        (verdicts, following)
    }

    /// A breach may hang on what was known by then.
    fn reported(&self, _subject: &Subject, _until: i64) -> Option<Vec<Verdict<'a>>> {
        None
    }

    /// A breach that the watermark has not passed starts nothing yet.
    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        let cases = self.cases(subject, as_of.min(watermark)).0;
        cases.iter().map(|clock| clock.status(subject, as_of, watermark)).collect()
    }

    /// The events with which the breached cases began.
    fn open_cases(&self, subject: &Subject, as_of: i64) -> Vec<usize> {
        let cases = self.cases(subject, as_of).0.into_iter();
        cases.filter(|clock| clock.stop.is_none() && clock.cancel.is_none()).map(|clock| clock.start).collect()
    }

    /// Whether one could start paused is Python's question.
    fn is_idle(&self, subject: &Subject) -> bool {
        subject.hand_back(KIND);
        false
    }

    fn has_case(&self, subject: &Subject, as_of: i64) -> bool {
        !self.cases(subject, as_of).0.is_empty()
    }
}
