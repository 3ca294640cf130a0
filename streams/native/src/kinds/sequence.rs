//! Kind `sequence`: stages do not run backwards. Only the first event of a stage counts.

use crate::alerts::{Outcome, Report, Said, Verdict};
use crate::document::SequenceVersion;
use crate::kinds::{Judged, State, Status, earlier};
use crate::lines::Place;
use crate::subject::Subject;

pub struct Stages<'a> {
    versions: &'a [SequenceVersion],
    /// The first event of each stage, by version.
    firsts: Vec<Vec<Option<usize>>>,
    /// Whether any first comes after one of a later stage.
    is_backwards: bool,
    is_closed: bool,
}

impl<'a> Stages<'a> {
    pub fn new(versions: &'a [SequenceVersion]) -> Stages<'a> {
        let firsts = versions.iter().map(|version| vec![None; version.stages.len()]).collect();
        Stages { versions, firsts, is_backwards: false, is_closed: false }
    }

    /// Each first event of a version in force: its version, stage and place.
    fn cases(&self, subject: &Subject) -> impl Iterator<Item = (&'a SequenceVersion, &[Option<usize>], usize, usize)> {
        self.versions.iter().zip(&self.firsts).flat_map(move |(version, firsts)| {
            let named = firsts.iter().enumerate().filter_map(|(stage, event)| Some((stage, (*event)?)));
            let known = named.filter(|(_, event)| version.span.holds(subject.at(*event)));
            known.map(move |(stage, event)| (version, firsts.as_slice(), stage, event)).collect::<Vec<_>>()
        })
    }

    /// The stage that it comes after, and when that was.
    fn overtaken(subject: &Subject, firsts: &[Option<usize>], stage: usize, event: usize) -> Option<(usize, usize)> {
        let later = firsts.iter().enumerate().skip(stage + 1).filter_map(|(stage, other)| Some(((*other)?, stage)));
        // Places are in the order of histories.
        later.filter(|(other, _)| subject.at(*other) < subject.at(event)).min()
    }

    fn verdict(
        subject: &Subject, version: &'a SequenceVersion, stage: usize, event: usize, overtaken: Option<(usize, usize)>,
    ) -> Verdict<'a> {
        let at = subject.at(event);
        let said = overtaken.map(|(other, later)| {
            let fault = &version.faults[stage][later - stage - 1];
            Said::new(fault, |text, place| match place {
                Place::At => subject.days.shown(text, subject.at(other)),
                _ => subject.hand_back(crate::subject::TEXTS),
            })
        });
        let reports = said.iter().map(|said| Report {
            kind: "violation",
            cause: format!("{at}: {}", said.key.clone().into_string()),
            due: at,
            lines: &version.lines[stage],
        });
        Verdict {
            span: &version.span,
            root: None,
            item: None,
            anchor: event,
            outcome: if said.is_some() { Outcome::Violated } else { Outcome::Met },
            started_at: at,
            deadline: None,
            stopped_at: None,
            ended_at: at,
            reports: reports.collect(),
            limit: None,
            pauses: Vec::new(),
            until: None,
            is_provisional: false,
            calendar: 0,
            is_open_time: false,
            after: None,
            evidence: overtaken.into_iter().map(|(other, _)| other).chain([event]).collect(),
            faults: said.into_iter().collect(),
            case: &version.span.case,
        }
    }
}

impl<'a> State<'a> for Stages<'a> {
    fn clear(&mut self) {
        let Stages { versions: _, firsts, is_backwards, is_closed } = self;
        firsts.iter_mut().for_each(|firsts| firsts.fill(None));
        (*is_backwards, *is_closed) = (false, false);
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        for (version, firsts) in self.versions.iter().zip(&mut self.firsts) {
            for (index, stage) in version.stages.iter().enumerate() {
                if firsts[index].is_none() && subject.fits(stage, event, None) {
                    firsts[index] = Some(event);
                    let at = subject.at(event);
                    self.is_backwards |= firsts[index + 1..].iter().flatten().any(|later| subject.at(*later) < at);
                }
            }
            self.is_closed |= subject.fits(&version.closed_by, event, None);
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        let (mut verdicts, mut following) = (Vec::new(), None);
        if !every && !self.is_backwards {
            return (verdicts, following);
        }
        for (version, firsts, stage, event) in self.cases(subject) {
            let overtaken = Self::overtaken(subject, firsts, stage, event);
            let at = subject.at(event);
            if at <= as_of {
                if every || overtaken.is_some() {
                    verdicts.push(Self::verdict(subject, version, stage, event, overtaken));
                }
            } else if overtaken.is_some() {
                following = earlier(following, Some(at));
            }
        }
        (verdicts, following)
    }

    fn reported(&self, subject: &Subject, until: i64) -> Option<Vec<Verdict<'a>>> {
        if !self.is_backwards {
            return Some(Vec::new());
        }
        let within = self.cases(subject).filter(|(_, _, _, event)| subject.at(*event) <= until);
        let found = within.filter_map(|(version, firsts, stage, event)| {
            let overtaken = Self::overtaken(subject, firsts, stage, event)?;
            Some(Self::verdict(subject, version, stage, event, Some(overtaken)))
        });
        Some(found.collect())
    }

    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        let begun = self.cases(subject).filter(|(_, _, _, event)| subject.at(*event) <= as_of);
        let found = begun.map(|(_, firsts, stage, event)| {
            let is_violated = self.is_backwards && Self::overtaken(subject, firsts, stage, event).is_some();
            let at = subject.at(event);
            Status {
                anchor: event,
                outcome: if is_violated { Outcome::Violated } else { Outcome::Met },
                started_at: at,
                deadline: None,
                is_certain: !is_violated || at <= watermark,
                is_running: false,
            }
        });
        found.collect()
    }

    fn open_cases(&self, _subject: &Subject, _as_of: i64) -> Vec<usize> {
        Vec::new()
    }

    fn is_idle(&self, _subject: &Subject) -> bool {
        self.is_closed || !self.firsts.iter().flatten().any(Option::is_some)
    }

    fn has_case(&self, subject: &Subject, as_of: i64) -> bool {
        self.cases(subject).any(|(_, _, _, event)| subject.at(event) <= as_of)
    }
}
