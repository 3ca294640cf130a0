//! Days by the tables of the document: which are worked, when they begin, how an instant reads; and when limits run out.
//!
//! Mirrors `streams/core/deadlines.py`. `None` stands for what the tables do not hold, which is Python's.

use crate::document::{self, Calendar, Limit};
use crate::events::{DAY, EPOCH, civil, ordinal_within};
use crate::hashing::HashMap;
use crate::lines::Text;

/// From (inclusive) and to (exclusive); `None` while it is open.
pub type Pause = (i64, Option<i64>);

pub struct Days {
    first: i64,
    works: Vec<bool>,
    provisional: Vec<bool>,
    /// How many days are worked up to each day (inclusive), and which they are.
    rank: Vec<usize>,
    worked: Vec<i64>,
    names: HashMap<i64, String>,
    /// The dates of all days, one behind the other.
    texts: Vec<[u8; DAY_TEXT]>,
    settled_at: i64,
    settled_day: i64,
    offset: i64,
    suffix: String,
    hours: Option<Hours>,
}

/// Opening hours, as `streams/core/opening_hours.py` has them; `before` is the open time before each span.
struct Hours {
    opens: Vec<i64>,
    closes: Vec<i64>,
    before: Vec<i64>,
}

impl Hours {
    fn new(given: &document::Hours) -> Hours {
        let mut found = Hours { opens: Vec::new(), closes: Vec::new(), before: vec![0] };
        let (mut at, mut sum) = (given.from, 0);
        for (closed, open) in &given.minutes {
            let opens = at + closed * MINUTE;
            at = opens + open * MINUTE;
            sum += open * MINUTE;
            found.opens.push(opens);
            found.closes.push(at);
            found.before.push(sum);
        }
        found
    }

    /// The open time up to an instant.
    fn until(&self, at: i64) -> i64 {
        match self.opens.partition_point(|opens| *opens <= at) {
            0 => 0,
            index => self.before[index - 1] + at.min(self.closes[index - 1]) - self.opens[index - 1],
        }
    }

    fn open_time(&self, start: i64, end: i64, pauses: &[Pause]) -> i64 {
        let paused = pauses.iter().map(|(since, until)| {
            let (low, high) = ((*since).max(start), until.map_or(end, |until| until.min(end)));
            if low < high { self.until(high) - self.until(low) } else { 0 }
        });
        self.until(end) - self.until(start) - paused.sum::<i64>()
    }

    /// When so much open time has run; `Some(None)` while the clock stands still for good.
    fn used_up(&self, length: i64, start: i64, pauses: &[Pause]) -> Option<Option<i64>> {
        if length <= 0 {
            return Some(Some(start));
        }
        let mut total = self.until(start) + length;
        for (since, until) in pauses.iter().filter(|(_, until)| until.is_none_or(|until| until > start)) {
            let reached = self.until((*since).max(start));
            if reached >= total {
                break;
            }
            let Some(until) = until else { return Some(None) };
            total += self.until(*until) - reached;
        }
        let index = self.before.partition_point(|before| *before < total) - 1;
        Some(Some(self.opens.get(index)? + total - self.before[index]))
    }

    fn spans(&self, start: i64, end: i64) -> Vec<(i64, i64)> {
        let first = self.closes.partition_point(|closes| *closes <= start);
        let last = self.opens.partition_point(|opens| *opens < end);
        (first..last).map(|index| (self.opens[index].max(start), self.closes[index].min(end))).collect()
    }
}

const MINUTE: i64 = 60_000_000;

/// When a limit runs out (`None` while the clock stands still).
#[derive(Clone, Copy)]
pub struct Deadline {
    pub at: Option<i64>,
    pub is_provisional: bool,
}

/// The days of a limit, as ordinals.
#[derive(Default)]
pub struct DayCount {
    pub counted: Vec<i64>,
    pub off: Vec<i64>,
    pub paused: Vec<i64>,
}

impl Days {
    pub fn new(calendar: &Calendar) -> Days {
        let flags = |text: &str| -> Vec<bool> { text.bytes().map(|c| c == b'1').collect() };
        let works = flags(&calendar.works);
        let (mut rank, mut worked) = (Vec::with_capacity(works.len()), Vec::new());
        for (index, is_worked) in works.iter().enumerate() {
            if *is_worked {
                worked.push(calendar.first + index as i64);
            }
            rank.push(worked.len());
        }
        Days {
            texts: (calendar.first..).take(works.len()).map(day_text).collect(),
            first: calendar.first,
            works,
            provisional: flags(&calendar.provisional),
            rank,
            worked,
            names: calendar.names.clone(),
            settled_at: calendar.settled_at.max(0),
            settled_day: calendar.settled_day,
            offset: calendar.offset,
            suffix: calendar.suffix.clone(),
            hours: calendar.hours.as_ref().map(Hours::new),
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

    /// Months since the year 0.
    pub fn month(&self, at: i64) -> i64 {
        let (year, month, _) = civil(self.date(at));
        year * 12 + month - 1
    }

    pub fn start_of_month(&self, month: i64) -> i64 {
        self.start(ordinal_within(month.div_euclid(12), month.rem_euclid(12) + 1, 1))
    }

    fn index(&self, day: i64) -> Option<usize> {
        (day >= self.settled_day && (self.first..=self.last()).contains(&day)).then(|| (day - self.first) as usize)
    }

    fn works(&self, day: i64) -> Option<bool> {
        self.index(day).map(|index| self.works[index])
    }

    fn is_provisional(&self, day: i64) -> Option<bool> {
        self.index(day).map(|index| self.provisional[index])
    }

    /// Whether any date from the first to the last is provisional: whole years are, or are not.
    fn has_provisional(&self, first: i64, last: i64) -> Option<bool> {
        if self.is_provisional(last)? || self.is_provisional(first)? {
            return Some(true);
        }
        let mut day = first;
        while day < last {
            if self.is_provisional(day)? {
                return Some(true);
            }
            day += 365;
        }
        Some(false)
    }

    /// The last of so many working days after a date.
    fn worked(&self, after: i64, days: i64) -> Option<i64> {
        let index = self.index(after)?;
        if days == 0 {
            return Some(after);
        }
        self.worked.get(self.rank[index] + days as usize - 1).copied()
    }

    /// `deadline_of`; `until` is the instant of what was agreed.
    pub fn deadline(
        &self, limit: &Limit, start: i64, pauses: &[Pause], until: Option<i64>, trace: Option<&mut DayCount>,
    ) -> Option<Deadline> {
        self.is_settled(start).then_some(())?;
        let first = self.date(start);
        let plain = |at| Deadline { at, is_provisional: false };
        let found = match limit {
            Limit::Elapsed(length) => plain(elapsed(*length, start, pauses)),
            Limit::BusinessTime(length) => {
                let at = self.hours.as_ref()?.used_up(*length, start, pauses)?;
                let is_provisional = at.map_or(Some(false), |at| self.has_provisional(first, self.date(at - 1)))?;
                Deadline { at, is_provisional }
            }
            Limit::UntilField(_) | Limit::UntilInstant => plain(until),
            Limit::SameWorkingDay => self.same_working_day(first, pauses)?,
            Limit::WorkingDays(days) if pauses.is_empty() => {
                let last = self.worked(first, *days)?;
                self.trace(first, last, true, trace)?;
                Deadline { at: Some(self.start(last + 1)), is_provisional: self.has_provisional(first + 1, last)? }
            }
            Limit::CalendarDays(days) if pauses.is_empty() => {
                self.trace(first, first + days, false, trace)?;
                plain(Some(self.start(first + days + 1)))
            }
            Limit::WorkingDays(days) => self.counted(*days, first, pauses, true, trace)?,
            Limit::CalendarDays(_) | Limit::Months(_) | Limit::BillingCycles(_) => {
                let days = days_in(limit, first);
                if pauses.is_empty() && trace.is_none() {
                    plain(Some(self.start(first + days + 1)))
                } else {
                    self.counted(days, first, pauses, false, trace)?
                }
            }
        };
        found.at.is_none_or(|at| self.is_settled(at)).then_some(found)
    }

    fn trace(&self, first: i64, last: i64, is_working: bool, trace: Option<&mut DayCount>) -> Option<()> {
        let Some(count) = trace else { return Some(()) };
        for day in first + 1..=last {
            let is_off = is_working && !self.works(day)?;
            if is_off { &mut count.off } else { &mut count.counted }.push(day);
        }
        Some(())
    }

    fn same_working_day(&self, first: i64, pauses: &[Pause]) -> Option<Deadline> {
        let mut day = first - 1;
        let mut is_provisional = false;
        loop {
            day = self.worked(day, 1)?;
            is_provisional |= self.is_provisional(day)?;
            let ends = self.start(day + 1);
            if !stands_still_at(ends, pauses) {
                return Some(Deadline { at: Some(ends), is_provisional });
            }
            if pauses.last().is_some_and(|(since, until)| until.is_none() && *since <= ends) {
                return Some(Deadline { at: None, is_provisional });
            }
        }
    }

    fn counted(
        &self, days: i64, first: i64, pauses: &[Pause], is_working: bool, mut trace: Option<&mut DayCount>,
    ) -> Option<Deadline> {
        let mut counted = 0;
        let mut day = first;
        let mut is_provisional = false;
        loop {
            day += 1;
            let (begins, ends) = (self.start(day), self.start(day + 1));
            if is_working {
                is_provisional |= self.is_provisional(day)?;
                if !self.works(day)? {
                    trace.iter_mut().for_each(|count| count.off.push(day));
                    continue;
                }
            }
            self.index(day)?;
            if is_paused_all_day(begins, ends, pauses) {
                trace.iter_mut().for_each(|count| count.paused.push(day));
                if pauses.last().is_some_and(|(since, until)| until.is_none() && *since <= begins) {
                    return Some(Deadline { at: None, is_provisional });
                }
                continue;
            }
            counted += 1;
            trace.iter_mut().for_each(|count| count.counted.push(day));
            if counted >= days && !stands_still_at(ends, pauses) {
                return Some(Deadline { at: Some(ends), is_provisional });
            }
        }
    }

    /// `earliest_of`: the first instant at which a limit has passed, and whether it is provisional.
    pub fn earliest(&self, limit: &Limit, start: i64, reading_day: Option<i64>) -> Option<(i64, bool)> {
        self.is_settled(start).then_some(())?;
        let day = self.date(start);
        let found = match limit {
            Limit::Elapsed(length) => (start + length, false),
            Limit::BusinessTime(_) => {
                let found = self.deadline(limit, start, &[], None, None)?;
                (found.at?, found.is_provisional)
            }
            Limit::CalendarDays(days) => (self.start(day + days), false),
            Limit::WorkingDays(days) => {
                let last = self.worked(day, *days)?;
                (self.start(last), self.has_provisional(day + 1, last)?)
            }
            Limit::Months(months) => (self.start(later_month(day, *months)), false),
            Limit::BillingCycles(cycles) => match reading_day {
                None => (self.start(later_month(day, *cycles)), false),
                Some(reading) => (self.start(reading_day_after(day, reading, cycles + 1)), false),
            },
            Limit::SameWorkingDay | Limit::UntilField(_) | Limit::UntilInstant => return None,
        };
        self.is_settled(found.0).then_some(found)
    }

    /// `latest_of`: the last instant within a limit.
    pub fn latest(&self, limit: &Limit, start: i64) -> Option<i64> {
        let at = self.deadline(limit, start, &[], None, None)?.at?;
        Some(if matches!(limit, Limit::Elapsed(_) | Limit::BusinessTime(_)) { at } else { at - 1 })
    }

    /// `warning_instant`: when a fraction of a limit is used up; `Some(None)` while the clock stands still for good.
    pub fn warning(
        &self, limit: &Limit, start: i64, pauses: &[Pause], deadline: i64, fraction: (i64, i64),
    ) -> Option<Option<i64>> {
        let at = match limit {
            Limit::Elapsed(length) => elapsed(part_of(*length, fraction), start, pauses),
            Limit::BusinessTime(length) => self.hours.as_ref()?.used_up(part_of(*length, fraction), start, pauses)?,
            Limit::UntilField(_) | Limit::UntilInstant => Some(start + part_of(deadline - start, fraction)),
            Limit::SameWorkingDay => {
                let begins = start.max(self.start(self.date(deadline - 1)));
                Some(begins + part_of(deadline - begins, fraction))
            }
            _ => self.used_up(limit, start, pauses, fraction)?,
        };
        Some(at.and_then(|at| after_standstill(at, pauses)))
    }

    fn used_up(&self, limit: &Limit, start: i64, pauses: &[Pause], (part, whole): (i64, i64)) -> Option<Option<i64>> {
        let first = self.date(start);
        let days = days_in(limit, first);
        let (full, rest) = (days * part / whole, days * part % whole);
        let number = full + i64::from(rest != 0);
        if number == 0 {
            return Some(Some(start));
        }
        let is_working = matches!(limit, Limit::WorkingDays(_));
        let Some(day) = self.counted_day(number, first, pauses, is_working)? else { return Some(None) };
        let (begins, ends) = (self.start(day), self.start(day + 1));
        Some(Some(if rest == 0 { ends } else { ends.min(begins + part_of(DAY, (rest, whole))) }))
    }

    fn counted_day(&self, number: i64, first: i64, pauses: &[Pause], is_working: bool) -> Option<Option<i64>> {
        if pauses.is_empty() {
            return Some(Some(if is_working { self.worked(first, number)? } else { first + number }));
        }
        let (mut day, mut left) = (first, number);
        while left > 0 {
            day = if is_working { self.worked(day, 1)? } else { day + 1 };
            let (begins, ends) = (self.start(day), self.start(day + 1));
            self.index(day)?;
            if !is_paused_all_day(begins, ends, pauses) {
                left -= 1;
            } else if pauses.last().is_some_and(|(since, until)| until.is_none() && *since <= begins) {
                return Some(None);
            }
        }
        Some(Some(day))
    }

    /// The open time between two instants without that of pauses; `None` where the tables do not hold it.
    pub fn open_time(&self, start: i64, end: i64, pauses: &[Pause]) -> Option<i64> {
        let is_within = self.is_settled(start) && self.is_settled(end);
        self.hours.as_ref().filter(|_| is_within).map(|hours| hours.open_time(start, end, pauses))
    }

    /// The open spans between two instants.
    pub fn open_spans(&self, start: i64, end: i64) -> Vec<(i64, i64)> {
        self.hours.as_ref().map_or(Vec::new(), |hours| hours.spans(start, end))
    }

    /// The name of a special day, as it stands in JSON.
    pub fn name(&self, day: i64) -> Option<&str> {
        self.names.get(&day).map(String::as_str)
    }

    /// `2026-03-02`.
    pub fn day(&self, text: &mut Text, day: i64) {
        text.put(&self.day_text(day));
    }

    fn day_text(&self, day: i64) -> [u8; DAY_TEXT] {
        let known = usize::try_from(day - self.first).ok().and_then(|place| self.texts.get(place));
        known.copied().unwrap_or_else(|| day_text(day))
    }

    /// Date and time; with digits below the second where there are some, or `always`.
    fn clock(&self, text: &mut Text, at: i64, between: u8, always: bool) {
        let local = at + self.offset;
        let day = local.div_euclid(DAY);
        let rest = (local - day * DAY) as u64;
        let (seconds, rest) = ((rest / 1_000_000) as u32, (rest % 1_000_000) as u32);
        let minutes = seconds / 60;
        let [h, o] = two(minutes / 60);
        let [m, i] = two(minutes % 60);
        let [s, e] = two(seconds % 60);
        let mut shown = [0; DAY_TEXT + 16];
        shown[..DAY_TEXT].copy_from_slice(&self.day_text(day + EPOCH));
        shown[DAY_TEXT..DAY_TEXT + 10].copy_from_slice(&[between, h, o, b':', m, i, b':', s, e, b'.']);
        if rest == 0 && !always {
            return text.put(&shown[..DAY_TEXT + 9]);
        }
        let (thousands, below) = (rest / 1000, rest % 1000);
        let ([a, b], [c, d], [e, f]) = (two(thousands / 10), two(thousands % 10 * 10 + below / 100), two(below % 100));
        shown[DAY_TEXT + 10..].copy_from_slice(&[a, b, c, d, e, f]);
        text.put(&shown[..if below == 0 { DAY_TEXT + 13 } else { DAY_TEXT + 16 }]);
    }

    /// `2026-03-02T09:00:00.000+08:00`.
    pub fn full(&self, text: &mut Text, at: i64) {
        self.clock(text, at, b'T', true);
        text.push_str(&self.suffix);
    }

    /// `2026-03-02 09:00:00`, with what there is below the second.
    pub fn shown(&self, text: &mut Text, at: i64) {
        self.clock(text, at, b' ', false);
    }
}

fn two(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// How long the text of a day is.
const DAY_TEXT: usize = "2026-03-02".len();

fn day_text(day: i64) -> [u8; DAY_TEXT] {
    let (year, month, day) = civil(day);
    let [[y, e], [a, r], [m, o], [d, n]] = [year / 100, year % 100, month, day].map(|number| two(number as u32));
    [y, e, a, r, b'-', m, o, b'-', d, n]
}

fn part_of(length: i64, (part, whole): (i64, i64)) -> i64 {
    (i128::from(length) * i128::from(part) / i128::from(whole)) as i64
}

fn elapsed(length: i64, start: i64, pauses: &[Pause]) -> Option<i64> {
    let mut deadline = start + length;
    for (since, until) in pauses {
        if *since >= deadline {
            break;
        }
        deadline += (*until)? - *since.max(&start);
    }
    Some(deadline)
}

fn stands_still_at(midnight: i64, pauses: &[Pause]) -> bool {
    pauses.iter().any(|(since, until)| *since < midnight && until.is_none_or(|until| until > midnight))
}

fn is_paused_all_day(begins: i64, ends: i64, pauses: &[Pause]) -> bool {
    pauses.iter().any(|(since, until)| *since <= begins && until.is_none_or(|until| until >= ends))
}

fn after_standstill(at: i64, pauses: &[Pause]) -> Option<i64> {
    match pauses.iter().find(|(since, until)| *since <= at && until.is_none_or(|until| at < until)) {
        Some((_, until)) => *until,
        None => Some(at),
    }
}

/// `running_time`: running and paused between two instants.
pub fn running(start: i64, end: i64, pauses: &[Pause]) -> (i64, i64) {
    let length = |(since, until): &Pause| (until.map_or(end, |until| until.min(end)) - (*since).max(start)).max(0);
    let paused: i64 = pauses.iter().map(length).sum();
    (end - start - paused, paused)
}

/// How many counted days a day limit has from a date.
fn days_in(limit: &Limit, first: i64) -> i64 {
    match limit {
        Limit::WorkingDays(days) | Limit::CalendarDays(days) => *days,
        Limit::Months(months) | Limit::BillingCycles(months) => later_month(first, *months) - first,
        Limit::Elapsed(_)
        | Limit::BusinessTime(_)
        | Limit::SameWorkingDay
        | Limit::UntilField(_)
        | Limit::UntilInstant => 0,
    }
}

fn later_month(day: i64, months: i64) -> i64 {
    let (year, month, day) = civil(day);
    day_of_month(year * 12 + month - 1 + months, day)
}

fn day_of_month(month: i64, day: i64) -> i64 {
    ordinal_within(month.div_euclid(12), month.rem_euclid(12) + 1, day)
}

fn reading_day_after(day: i64, reading_day: i64, count: i64) -> i64 {
    let (year, month, _) = civil(day);
    let mut index = year * 12 + month - 1;
    if day_of_month(index, reading_day) > day {
        index -= 1;
    }
    day_of_month(index + count, reading_day)
}
