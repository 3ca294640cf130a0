//! Kind `cadence`: the act comes once in every period, which is a calendar month or rolls on from the last act.

use crate::alerts::Verdict;
use crate::document::CadenceVersion;
use crate::events::Val;
use crate::hashing::HashMap;
use crate::kinds::clock::Clock;
use crate::kinds::{Judged, State, Status, earlier};
use crate::subject::Subject;

pub struct Periods<'a> {
    versions: &'a [CadenceVersion],
    open: Option<Clock<'a>>,
    /// Closed clocks, each with whether it is not simply met.
    closed: Vec<(Clock<'a>, bool)>,
    ended: Vec<Option<usize>>,
    /// By version: when the obligation begins (or is kept up) and when it ends, with the event.
    turns: Vec<Vec<(i64, bool, usize)>>,
    acts: Vec<HashMap<i64, usize>>,
}

impl<'a> Periods<'a> {
    pub fn new(versions: &'a [CadenceVersion]) -> Periods<'a> {
        Periods {
            versions,
            open: None,
            closed: Vec::new(),
            ended: vec![None; versions.len()],
            turns: vec![Vec::new(); versions.len()],
            acts: vec![HashMap::default(); versions.len()],
        }
    }

    fn remember(&mut self, index: usize, subject: &Subject, event: usize, mut has_acted: bool) {
        let (version, turns, at) = (&self.versions[index], &mut self.turns[index], subject.at(event));
        let month_of = |at: i64| subject.days.month(at);
        if has_acted {
            let month = named_month(version, subject, event).unwrap_or_else(|| month_of(at));
            self.acts[index].entry(month).or_insert(event);
            has_acted = !turns.iter().any(|(end, up, _)| !up && *end < at && month <= month_of(*end));
        }
        if has_acted || subject.fits(&version.since, event, None) {
            let mut place = turns.len();
            while place > 0 && turns[place - 1].0 == at && !turns[place - 1].1 {
                place -= 1;
            }
            turns.insert(place, (at, true, event));
            // Of several in one month only the last is what the next month begins with.
            if place > 0 && turns[place - 1].1 && month_of(turns[place - 1].0) == month_of(at) {
                turns.remove(place - 1);
            }
        }
        if subject.fits(&version.until, event, None) {
            // Of several in one month only the first ends its cases, and only the last what begins at its instant.
            let is_of_this_month = |(end, up, _): &(i64, bool, usize)| !up && month_of(*end) == month_of(at);
            if turns.len() > 1 && turns[turns.len() - 2..].iter().all(is_of_this_month) {
                turns.pop();
            }
            turns.push((at, false, event));
        }
    }

    fn roll(&mut self, index: usize, subject: &Subject, event: usize, has_acted: bool) {
        let (version, at) = (&self.versions[index], subject.at(event));
        let is_until = subject.fits(&version.until, event, None);
        if let Some(mut clock) = self.open.take_if(|clock| std::ptr::eq(clock.span, &version.span)) {
            if has_acted {
                clock.stop = Some(event);
            } else if is_until {
                clock.cancel = Some(event);
            }
            if clock.stop.is_some() || clock.cancel.is_some() {
                self.close(clock, at);
            } else {
                self.open = Some(clock);
            }
        }
        let ended = self.ended[index];
        let ended_now = ended.filter(|ended| subject.at(*ended) == at);
        if is_until {
            self.ended[index] = ended_now.or(Some(event));
            return;
        }
        let begins = has_acted || subject.fits(&version.since, event, None);
        if begins && self.open.is_none() && version.span.holds(at) {
            let mut clock = Clock::new(&version.span, Some(&version.choice), subject.plain(event), subject);
            clock.time(subject);
            if ended_now.is_some() {
                clock.cancel = ended_now;
                self.close(clock, at);
            } else {
                self.open = Some(clock);
            }
        }
    }

    fn close(&mut self, clock: Clock<'a>, at: i64) {
        let is_owing = clock.deadline.is_none_or(|deadline| at > deadline) || clock.cancel.is_some();
        self.closed.push((clock, is_owing));
    }

    /// A clock for every month under the obligation that has begun by an instant, and for those that come next.
    fn months(&self, index: usize, subject: &Subject, as_of: i64, found: &mut Vec<Clock<'a>>) {
        let (version, turns, acts) = (&self.versions[index], &self.turns[index], &self.acts[index]);
        let (Some(first), Some(final_turn)) = (turns.first(), turns.last()) else { return };
        let (mut position, mut is_up, mut last_up) = (0, false, first.2);
        // An obligation known to begin later, by an event or by the rule's date, is what silence must wake up for.
        let last = as_of.max(final_turn.0).max(version.span.first);
        let (mut month, mut last_month) = (subject.days.month(first.0), subject.days.month(last) + 1);
        while month < last_month {
            month += 1;
            if month == last_month && acts.contains_key(&month) {
                last_month += 1; // met before it began: silence must wake up for a later one
            }
            let (begins, ends) = (subject.days.start_of_month(month), subject.days.start_of_month(month + 1));
            while position < turns.len() && turns[position].0 < begins {
                let (_, up, event) = turns[position];
                is_up = up;
                last_up = if up { event } else { last_up };
                position += 1;
            }
            if !is_up || !version.span.holds(begins) {
                continue;
            }
            let mut clock = Clock::new(&version.span, Some(&version.choice), subject.plain(last_up), subject);
            clock.started_at = begins;
            clock.root = Some(format!("month/{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12) + 1));
            clock.stop = acts.get(&month).copied();
            clock.deadline = Some(ends);
            clock.is_given = true;
            let is_end = |(at, up, _): &&(i64, bool, usize)| !up && *at <= ends;
            if let Some((at, _, event)) = turns[position..].iter().find(is_end) {
                if clock.stop.is_none_or(|stop| *at < subject.at(stop)) {
                    (clock.cancel, clock.stop) = (Some(*event), None);
                }
            }
            found.push(clock);
        }
    }

    fn visit(&self, subject: &Subject, as_of: i64, every: bool, mut visit: impl FnMut(&Clock<'a>)) {
        self.closed.iter().filter(|(_, is_owing)| every || *is_owing).for_each(|(clock, _)| visit(clock));
        self.open.iter().for_each(&mut visit);
        let mut found = Vec::new();
        for (index, version) in self.versions.iter().enumerate() {
            if version.is_monthly {
                self.months(index, subject, as_of, &mut found);
            }
        }
        found.iter().for_each(visit);
    }
}

/// The month that a field names, as `2026-03`, in months since the year 0.
fn named_month(version: &CadenceVersion, subject: &Subject, event: usize) -> Option<i64> {
    let Val::Text(span) = subject.value(subject.plain(event), version.period?) else { return None };
    let text = subject.text(span);
    (text.len() == 7 && text.as_bytes()[4] == b'-').then_some(())?;
    let number = |part: &str| part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse::<i64>().ok())?;
    let (year, month) = (number(text.get(..4)?)?, number(text.get(5..)?)?);
    ((1..=12).contains(&month) && year >= 1).then_some(year * 12 + month - 1)
}

impl<'a> State<'a> for Periods<'a> {
    fn clear(&mut self) {
        let Periods { versions: _, open, closed, ended, turns, acts } = self;
        *open = None;
        closed.clear();
        ended.fill(None);
        turns.iter_mut().for_each(Vec::clear);
        acts.iter_mut().for_each(HashMap::clear);
    }

    fn step(&mut self, subject: &Subject, event: usize) {
        for (index, version) in self.versions.iter().enumerate() {
            let has_acted = subject.fits(&version.act, event, None);
            if version.is_monthly {
                self.remember(index, subject, event, has_acted);
            } else {
                self.roll(index, subject, event, has_acted);
            }
        }
    }

    fn judge(&self, subject: &Subject, as_of: i64, every: bool) -> Judged<'a> {
        let (mut verdicts, mut following) = (Vec::new(), None);
        self.visit(subject, as_of, every, |clock| {
            let (due, reports) = clock.reports(subject, as_of);
            following = earlier(following, due);
            if clock.started_at <= as_of && (every || !reports.is_empty()) {
                verdicts.push(clock.verdict(subject, as_of, reports));
            }
        });
        (verdicts, following)
    }

    /// Which months are under the obligation hangs on what was known of it by then.
    fn reported(&self, _subject: &Subject, _until: i64) -> Option<Vec<Verdict<'a>>> {
        None
    }

    fn statuses(&self, subject: &Subject, as_of: i64, watermark: i64) -> Vec<Status> {
        let mut found = Vec::new();
        self.visit(subject, as_of, true, |clock| {
            if clock.started_at <= as_of {
                found.push(clock.status(subject, as_of, watermark));
            }
        });
        found
    }

    /// The last act, while another one must follow.
    fn open_cases(&self, _subject: &Subject, _as_of: i64) -> Vec<usize> {
        if let Some(clock) = &self.open {
            return vec![clock.start];
        }
        let last = self.turns.iter().filter_map(|turns| turns.last());
        last.filter(|(_, up, _)| *up).map(|(_, _, event)| *event).collect()
    }

    fn is_idle(&self, subject: &Subject) -> bool {
        self.open_cases(subject, i64::MAX).is_empty()
    }

    fn has_case(&self, subject: &Subject, as_of: i64) -> bool {
        let mut is_any = false;
        self.visit(subject, as_of, true, |clock| is_any |= clock.started_at <= as_of);
        is_any
    }
}
