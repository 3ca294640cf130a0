//! One module a rule kind, or a family of kinds. Each mirrors the module of that name in `streams/core/kinds`.

pub mod acts;
pub mod cadence;
pub mod clock;
pub mod deadline;
pub mod each;
pub mod follow_up;
pub mod sequence;

use crate::alerts::{Outcome, Verdict};
use crate::document::Fold;
use crate::life::Route;
use crate::subject::Subject;

/// The verdicts as of an instant, and the next instant at which silence changes them.
pub type Judged<'a> = (Vec<Verdict<'a>>, Option<i64>);

/// Where one case stands, in short; see `Status` in `streams/core/verdicts.py`.
#[derive(Debug, PartialEq)]
pub struct Status {
    pub anchor: usize,
    pub outcome: Outcome,
    pub started_at: i64,
    pub deadline: Option<i64>,
    /// Whether all its reports were due by the watermark.
    pub is_certain: bool,
    /// Whether its clock still runs, also past its deadline.
    pub is_running: bool,
}

/// What one fold has made of a subject's events so far; see `Fold` in `streams/core/verdicts.py`.
pub trait State<'a> {
    /// Forget all events; it is as `start` gives it, and keeps the memory that it has.
    fn clear(&mut self);

    /// Take the next event, in the order of the history.
    fn step(&mut self, subject: &Subject, event: usize);

    /// The verdicts that owe reports as of an instant; with `every`, those of every case.
    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a>;

    /// Everything that asking all along would have told up to an instant; `None` where only asking can tell.
    fn reported(&self, subject: &Subject, until: i64) -> Option<Vec<Verdict<'a>>>;

    /// Every case as `judge` gives it, in short, as of an instant that is no earlier than any event.
    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status>;

    /// The starts of the cases that are open.
    fn open_cases(&self, subject: &Subject, as_of: i64) -> Vec<usize>;

    /// Whether no case is open and nothing seen matters to a later event.
    fn is_idle(&self, subject: &Subject) -> bool;

    /// Whether there is any case as of an instant.
    fn has_case(&self, subject: &Subject, as_of: i64) -> bool;
}

/// The state of an empty history.
pub fn start(fold: &Fold) -> Box<dyn State<'_> + '_> {
    match fold {
        Fold::Deadline(versions) => Box::new(deadline::Deadlines::new(versions)),
        Fold::Each(each) => Box::new(each::Things::new(each)),
        Fold::Act(versions) => Box::new(acts::Acts::new(versions)),
        Fold::Sequence(versions) => Box::new(sequence::Stages::new(versions)),
        Fold::Cadence(versions) => Box::new(cadence::Periods::new(versions)),
        Fold::FollowUp(rule) => Box::new(follow_up::FollowUps::new(rule)),
    }
}

/// States that are clear, by fold: a subject's are those of the one before it.
#[derive(Default)]
pub struct Spare<'a>(Vec<Option<Box<dyn State<'a> + 'a>>>);

impl<'a> Spare<'a> {
    /// The state of an empty history.
    pub fn take(&mut self, route: &Route<'a>) -> Box<dyn State<'a> + 'a> {
        let known = self.0.get_mut(route.index).and_then(Option::take);
        known.unwrap_or_else(|| start(route.fold))
    }

    pub fn give(&mut self, fold: usize, mut state: Box<dyn State<'a> + 'a>) {
        state.clear();
        if self.0.len() <= fold {
            self.0.resize_with(fold + 1, || None);
        }
        self.0[fold] = Some(state);
    }
}

/// The earlier of two instants, where there are any.
pub fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.min(other).or(one).or(other)
}
