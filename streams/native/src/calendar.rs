//! Days by the tables of the document: which are worked, when they begin, how an instant reads.

use crate::document::{Calendar, Limit};
use crate::events::{DAY, EPOCH, civil};
use std::collections::HashMap;

pub struct Days {
    first: i64,
    works: Vec<bool>,
    provisional: Vec<bool>,
    names: HashMap<i64, String>,
    settled_at: i64,
    settled_day: i64,
    offset: i64,
    suffix: String,
}

/// When a limit runs out, and the first and the last day of its count, where it counts days.
pub struct Deadline {
    pub at: i64,
    pub is_provisional: bool,
    pub counted: Option<(i64, i64, bool)>,
}

const MOST_DAYS: i64 = 400;

impl Days {
    pub fn new(calendar: &Calendar) -> Days {
        let flags = |text: &str| text.bytes().map(|c| c == b'1').collect();
        Days {
            first: calendar.first,
            works: flags(&calendar.works),
            provisional: flags(&calendar.provisional),
            names: calendar.names.clone(),
            settled_at: calendar.settled_at.max(0),
            settled_day: calendar.settled_day,
            offset: calendar.offset,
            suffix: calendar.suffix.clone(),
        }
    }

    fn last(&self) -> i64 {
        self.first + self.works.len() as i64 - 1
    }

    /// Whether the tables hold for an instant: no later change of the zone, and a date that they have.
    pub fn is_settled(&self, at: i64) -> bool {
        at >= self.settled_at && (self.first..=self.last()).contains(&self.date(at))
    }

    pub fn date(&self, at: i64) -> i64 {
        (at + self.offset).div_euclid(DAY) + EPOCH
    }

    pub fn start(&self, day: i64) -> i64 {
        (day - EPOCH) * DAY - self.offset
    }

    fn index(&self, day: i64) -> Option<usize> {
        (day >= self.settled_day && (self.first..=self.last()).contains(&day)).then(|| (day - self.first) as usize)
    }

    fn works(&self, day: i64) -> Option<bool> {
        self.index(day).map(|index| self.works[index])
    }

    /// `None` where the tables do not hold what is asked for.
    pub fn deadline(&self, limit: &Limit, start: i64) -> Option<Deadline> {
        self.is_settled(start).then_some(())?;
        let first = self.date(start);
        let found = match limit {
            Limit::Elapsed(length) => Deadline { at: start + length, is_provisional: false, counted: None },
            Limit::CalendarDays(days) => {
                let last = first + days;
                Deadline { at: self.start(last + 1), is_provisional: false, counted: Some((first, last, false)) }
            }
            Limit::WorkingDays(days) => {
                let last = self.worked(first, *days)?;
                Deadline {
                    at: self.start(last + 1),
                    is_provisional: self.provisional[self.index(last)?],
                    counted: Some((first, last, true)),
                }
            }
            Limit::SameWorkingDay => {
                let day = self.worked(first - 1, 1)?;
                Deadline { at: self.start(day + 1), is_provisional: self.provisional[self.index(day)?], counted: None }
            }
            Limit::UntilField(_) | Limit::UntilInstant => return None,
        };
        (self.is_settled(found.at)).then_some(found)
    }

    /// The last of so many working days after a date.
    pub fn worked(&self, after: i64, days: i64) -> Option<i64> {
        let (mut day, mut left) = (after, days);
        while left > 0 {
            day += 1;
            left -= i64::from(self.works(day)?);
        }
        Some(day)
    }

    /// When a fraction of a limit is used up, as `streams.core.deadlines.warning_instant` has it without pauses.
    pub fn warning(&self, limit: &Limit, start: i64, deadline: i64, (part, whole): (i64, i64)) -> Option<i64> {
        let of = |length: i64| (i128::from(length) * i128::from(part) / i128::from(whole)) as i64;
        match limit {
            Limit::Elapsed(length) => Some(start + of(*length)),
            Limit::UntilField(_) | Limit::UntilInstant => Some(start + of(deadline - start)),
            Limit::SameWorkingDay => {
                let begins = start.max(self.start(self.date(deadline - 1)));
                Some(begins + of(deadline - begins))
            }
            Limit::WorkingDays(days) | Limit::CalendarDays(days) => {
                let (full, rest) = (days * part / whole, days * part % whole);
                let number = full + i64::from(rest != 0);
                if number == 0 {
                    return Some(start);
                }
                let first = self.date(start);
                let day = match limit {
                    Limit::WorkingDays(_) => self.worked(first, number)?,
                    _ => first + number,
                };
                let (begins, ends) = (self.start(day), self.start(day + 1));
                match rest {
                    0 => Some(ends),
                    _ => Some(ends.min(begins + (i128::from(rest) * i128::from(DAY) / i128::from(whole)) as i64)),
                }
            }
        }
    }

    /// The days of a count as the alert's JSON lists them; `None` where there are too many.
    pub fn arithmetic(&self, counted: Option<(i64, i64, bool)>) -> Option<String> {
        let Some((first, last, is_working)) = counted else { return Some("{}".to_owned()) };
        (last - first <= MOST_DAYS).then_some(())?;
        let (mut days, mut off) = (Vec::new(), Vec::new());
        for day in first + 1..=last {
            if is_working && !self.works(day)? {
                let name = self.names.get(&day).map_or("null".to_owned(), |name| format!("\"{name}\""));
                off.push(format!("{{\"date\":\"{}\",\"name\":{name}}}", iso(day)));
            } else {
                days.push(format!("\"{}\"", iso(day)));
            }
        }
        let (days, off) = (days.join(","), off.join(","));
        Some(format!("{{\"counted_days\":[{days}],\"days_off\":[{off}],\"paused_days\":[]}}"))
    }

    fn clock(&self, at: i64, between: char) -> (String, i64) {
        let rest = (at + self.offset).rem_euclid(DAY);
        let seconds = rest / 1_000_000;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        (format!("{}{between}{hour:02}:{minute:02}:{second:02}", iso(self.date(at))), rest % 1_000_000)
    }

    /// `2026-03-02T09:00:00.000+08:00`.
    pub fn full(&self, at: i64) -> String {
        let (clock, rest) = self.clock(at, 'T');
        match rest % 1000 {
            0 => format!("{clock}.{:03}{}", rest / 1000, self.suffix),
            _ => format!("{clock}.{rest:06}{}", self.suffix),
        }
    }

    /// `2026-03-02 09:00:00`, with what there is below the second.
    pub fn shown(&self, at: i64) -> String {
        let (clock, rest) = self.clock(at, ' ');
        match rest {
            0 => clock,
            _ if rest % 1000 == 0 => format!("{clock}.{:03}", rest / 1000),
            _ => format!("{clock}.{rest:06}"),
        }
    }
}

fn iso(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}
