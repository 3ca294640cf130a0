//! Kind `deadline` where its condition holds for several things of one subject: a state of the plain fold for each.

use crate::alerts::Verdict;
use crate::document::Each;
use crate::kinds::deadline::Deadlines;
use crate::kinds::{Judged, State, Status, earlier};
use crate::subject::Subject;

/// As `MOST_THINGS` of `streams/core/kinds/each.py`.
const MOST_THINGS: usize = 2_000;

struct Thing<'a> {
    since: usize,
    state: Deadlines<'a>,
    holds: bool,
}

impl Thing<'_> {
    /// Whether an event can still change something.
    fn is_live(&self) -> bool {
        self.holds || self.state.open.is_some()
    }
}

pub struct Things<'a> {
    each: &'a Each,
    things: Vec<Thing<'a>>,
}

impl<'a> Things<'a> {
    pub fn new(each: &'a Each) -> Things<'a> {
        Things { each, things: Vec::new() }
    }

    fn has_key_of(&self, subject: &Subject, one: usize, other: usize) -> bool {
        self.each.kinds.iter().all(|kind| subject.subject_of(one, *kind) == subject.subject_of(other, *kind))
    }

    fn is_named_by(&self, subject: &Subject, one: usize, other: usize) -> bool {
        self.each.kinds.iter().any(|kind| {
            let mine = subject.subject_of(one, *kind);
            !mine.is_empty() && mine == subject.subject_of(other, *kind)
        })
    }
}

impl<'a> State<'a> for Things<'a> {
    fn clear(&mut self) {
        let Things { each: _, things } = self;
        things.clear();
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        let is_since = subject.fits(&self.each.since, event, None);
        let is_until = subject.fits(&self.each.until, event, None);
        let live: Vec<usize> = (0..self.things.len()).filter(|place| self.things[*place].is_live()).collect();
        let mut concerned = live.clone();
        if is_until || self.each.stops.contains(&subject.event_type(event)) {
            let named = |place: &usize| self.is_named_by(subject, self.things[*place].since, event);
            let named: Vec<usize> = live.iter().copied().filter(named).collect();
            if !named.is_empty() {
                concerned = named;
            }
        } else if is_since {
            concerned.clear();
        }
        if is_since {
            let is_own = |place: &usize| {
                let thing = &self.things[*place];
                thing.holds && self.has_key_of(subject, thing.since, event)
            };
            let own = live.iter().copied().find(is_own).or_else(|| {
                if live.len() >= MOST_THINGS {
                    let oldest = live.iter().copied().find(|place| self.things[*place].state.open.is_none())?;
                    self.things[oldest].holds = false;
                    concerned.retain(|place| *place != oldest);
                }
                let state = Deadlines::new(&self.each.versions);
                self.things.push(Thing { since: event, state, holds: true });
                Some(self.things.len() - 1)
            });
            if let Some(own) = own.filter(|own| !concerned.contains(own)) {
                concerned.push(own);
            }
        }
        let mut has_started = false;
        for &place in &concerned {
            let Thing { since, state, .. } = &mut self.things[place];
            state.step(subject, event);
            if state.latest == Some(event) {
                if let Some(case) = state.open.as_mut().or(state.closed.last_mut()) {
                    if has_started {
                        case.clock.item = Some(*since);
                    }
                    case.clock.started_by.insert(0, *since);
                }
                has_started = true;
            }
        }
        if is_until {
            concerned.iter().for_each(|place| self.things[*place].holds = false);
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        let (mut found, mut following) = (Vec::new(), None);
        for thing in &self.things {
            let (verdicts, due) = thing.state.judge(subject, as_of, every);
            found.extend(verdicts);
            following = earlier(following, due);
        }
        (found, following)
    }

    fn reported(&self, subject: &Subject, until: i64) -> Option<Vec<Verdict<'a>>> {
        let mut found = Vec::new();
        for thing in &self.things {
            found.extend(thing.state.reported(subject, until)?);
        }
        Some(found)
    }

    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        self.things.iter().flat_map(|thing| thing.state.statuses(subject, as_of, watermark)).collect()
    }

    fn open_cases(&self, subject: &Subject, as_of: i64) -> Vec<usize> {
        self.things.iter().flat_map(|thing| thing.state.open_cases(subject, as_of)).collect()
    }

    fn is_idle(&self, _subject: &Subject) -> bool {
        !self.things.iter().any(Thing::is_live)
    }

    fn has_case(&self, subject: &Subject, as_of: i64) -> bool {
        self.things.iter().any(|thing| thing.state.has_case(subject, as_of))
    }
}
