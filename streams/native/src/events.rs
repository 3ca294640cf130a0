//! Lines to events: what passes every check here is an event; everything else is left to Python, which says why.

use crate::document::{Check, EventType};
use crate::hashing::HashMap;
use crate::subject::{METER, SUBJECTS};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// A part of the store: from (inclusive) and length, in bytes.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Span {
    pub at: usize,
    pub len: u32,
}

#[derive(Clone, Copy)]
pub enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Text(Span),
    /// A list of texts, as it is written.
    List(Span),
    /// A number that is no integer.
    Decimal,
}

/// One event, or the copy of one for a meter of its list. Instants are microseconds since the epoch; an id of no length
/// is not there.
#[derive(Clone, Default)]
pub struct Event {
    pub line: Span,
    pub number: u64,
    pub origin: u64,
    pub at: i64,
    pub recorded: i64,
    pub event_type: usize,
    pub id: Span,
    /// Equal for equal ids, within one reader; 0 where it was not asked for.
    pub id_hash: u64,
    pub subjects: [Span; 4],
    /// Whether it concerns each of these subjects.
    pub concerns: [bool; 4],
    pub corrects: Span,
    pub is_void: bool,
    pub is_copy: bool,
    pub org: Option<Span>,
    /// A list of meters, each of which it concerns.
    pub meters: Option<Span>,
    pub fields: Vec<(usize, Val)>,
}

/// Longer lines are left to Python, which takes some more and refuses what is too large.
const MOST_BYTES: usize = 200_000;

pub const IDS: [&[u8]; 4] = [b"order_id", b"account_id", b"meter_id", b"batch_id"];
const LEVELS: [&[u8]; 4] = [b"province", b"city", b"county", b"unit"];

/// A declared field of an event type: its check, and its place among those that are watched.
type Declared = (Check, Option<usize>);

pub struct Reader {
    pub types: HashMap<Vec<u8>, usize>,
    fields: Vec<HashMap<Vec<u8>, Declared>>,
    ids: RandomState,
    fans_out: Vec<bool>,
    pub watched: HashMap<Vec<u8>, usize>,
    /// The places of ids that conditions ask for, with their kinds.
    pub watched_ids: Vec<(usize, usize)>,
}

impl Reader {
    pub fn new(types: &[EventType], watched: &[String]) -> Reader {
        let places: HashMap<Vec<u8>, usize> =
            watched.iter().enumerate().map(|(n, name)| (name.clone().into_bytes(), n)).collect();
        let declared = |(name, check): (&String, &Check)| {
            (name.clone().into_bytes(), (check.clone(), places.get(name.as_bytes()).copied()))
        };
        Reader {
            types: types.iter().enumerate().map(|(n, t)| (t.name.clone().into_bytes(), n)).collect(),
            fields: types.iter().map(|t| t.fields.iter().map(declared).collect()).collect(),
            ids: RandomState::default(),
            fans_out: types.iter().map(|t| t.fans_out).collect(),
            watched_ids: SUBJECTS
                .iter()
                .enumerate()
                .filter_map(|(kind, name)| Some((watched.iter().position(|w| *w == format!("id of {name}"))?, kind)))
                .collect(),
            watched: places,
        }
    }

    /// Lists of meters count where they count for another reader of the same types, too.
    pub fn fan_out_too(&mut self, other: &Reader) {
        self.fans_out.iter_mut().zip(&other.fans_out).for_each(|(own, more)| *own |= more);
    }

    /// The event in a line that lies at `base` of the store; `None` where Python must decide.
    pub fn read(&self, line: &[u8], base: usize, latest: i64) -> Option<Event> {
        self.read_kept(line, base, latest, |_, _, _| Some(()))
    }

    /// `read`; `keep` takes each field that events keep, in the order of the line: its name, what is written, and its
    /// value. It refuses the line by `None`. The organisation has no value.
    pub fn read_kept<'a>(
        &self, line: &'a [u8], base: usize, latest: i64,
        mut keep: impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<Event> {
        (line.len() <= MOST_BYTES).then_some(())?;
        std::str::from_utf8(line).ok()?;
        let mut scan = Scan { text: line, at: 0 };
        let mut found = Event {
            line: Span { at: base, len: line.len() as u32 },
            number: 0,
            origin: 0,
            at: i64::MIN,
            recorded: i64::MIN,
            event_type: usize::MAX,
            id: Span::default(),
            id_hash: 0,
            subjects: [Span::default(); 4],
            concerns: [false; 4],
            corrects: Span::default(),
            is_void: false,
            is_copy: false,
            org: None,
            meters: None,
            fields: Vec::new(),
        };
        let mut has_org = false;
        // Fields may come before the type is known: they are checked at the end.
        let mut unchecked: [(Piece, Piece); 48] = [(Piece::default(), Piece::default()); 48];
        let mut count = 0;
        let spanned = |piece: Piece| Span { at: base + piece.from, len: (piece.to - piece.from) as u32 };
        scan.expect(b'{')?;
        if !scan.ends(b'}') {
            loop {
                let key = scan.text_piece()?;
                scan.expect(b':')?;
                scan.blank();
                let name = key.of(line);
                match name {
                    b"event_type" if found.event_type == usize::MAX => {
                        found.event_type = *self.types.get(scan.text_piece()?.of(line))?;
                    }
                    b"event_id" if found.id.len == 0 => {
                        let piece = scan.text_piece()?;
                        is_printable(piece.of(line), 200).then_some(())?;
                        found.id = spanned(piece);
                        found.id_hash = self.ids.hash_one(piece.of(line));
                    }
                    b"occurred_at" if found.at == i64::MIN => found.at = instant(scan.text_piece()?.of(line))?,
                    b"recorded_at" if found.recorded == i64::MIN => {
                        found.recorded = instant(scan.text_piece()?.of(line))?;
                    }
                    b"personal" => scan.flat_texts()?,
                    b"org" if !has_org => {
                        has_org = true;
                        let from = scan.at;
                        found.org = scan.org()?.map(spanned);
                        *unchecked.get_mut(count)? = (key, Piece { from, to: scan.at });
                        count += 1;
                    }
                    b"corrects" if found.corrects.len == 0 => {
                        if scan.word(b"null").is_none() {
                            let piece = scan.text_piece()?;
                            is_printable(piece.of(line), 200).then_some(())?;
                            found.corrects = spanned(piece);
                        }
                    }
                    b"version" => scan.word(b"null")?,
                    b"void" if !found.is_void => {
                        found.is_void = scan.word(b"true").is_some();
                        (found.is_void || scan.word(b"false").is_some()).then_some(())?;
                    }
                    b"event_type" | b"event_id" | b"occurred_at" | b"recorded_at" | b"org" | b"specversion"
                    | b"corrects" | b"void" | b"snapshot" => {
                        return None;
                    }
                    _ => {
                        if let Some(kind) = IDS.iter().position(|id| *id == name) {
                            (found.subjects[kind].len == 0).then_some(())?;
                            if scan.word(b"null").is_none() {
                                let piece = scan.text_piece()?;
                                is_printable(piece.of(line), 200).then_some(())?;
                                found.subjects[kind] = spanned(piece);
                            }
                        } else {
                            let value = scan.value()?;
                            *unchecked.get_mut(count)? = (key, value);
                            count += 1;
                        }
                    }
                }
                if scan.ends(b'}') {
                    break;
                }
                scan.expect(b',')?;
                scan.blank();
            }
        }
        scan.blank();
        if scan.at != line.len() || found.event_type == usize::MAX || found.id.len == 0 || found.at == i64::MIN {
            return None;
        }
        let text = |span: Span| &line[span.at - base..span.at - base + span.len as usize];
        let is_correction = found.corrects.len > 0;
        if (found.is_void && !is_correction) || (is_correction && text(found.corrects) == text(found.id)) {
            return None;
        }
        if found.recorded == i64::MIN {
            found.recorded = found.at;
        }
        if found.at > latest || found.recorded > latest || found.subjects.iter().all(|id| id.len == 0) {
            return None;
        }
        for (key, value) in &unchecked[..count] {
            let (name, value) = (key.of(line), value.of(line));
            let Some((check, place)) = self.fields[found.event_type].get(name) else {
                if name == b"org" {
                    keep(name, value, None)?;
                } else {
                    (value[0] != b'[').then_some(())?;
                }
                continue;
            };
            let kept = checked(check, value, base + unquoted_from(line, value))?;
            keep(name, value, Some(kept))?;
            if name == b"meters" && self.fans_out[found.event_type] {
                found.meters.is_none().then_some(())?;
                match kept {
                    Val::Null => {}
                    Val::List(span) => found.meters = Some(span),
                    _ => return None,
                }
            }
            if let Some(field) = *place {
                found.fields.iter().all(|(known, _)| *known != field).then_some(())?;
                found.fields.push((field, kept));
            }
        }
        let named = self.watched_ids.iter().map(|(field, kind)| (*field, found.subjects[*kind]));
        found.fields.extend(named.filter(|(_, id)| id.len > 0).map(|(field, id)| (field, Val::Text(id))));
        Some(found)
    }

    /// The copy of an event for one meter of its list.
    pub fn copy_for(&self, event: &Event, meter: Span) -> Event {
        let mut copy = Event { is_copy: true, meters: None, ..event.clone() };
        copy.subjects = [Span::default(); 4];
        copy.subjects[METER] = meter;
        copy.concerns = [false; 4];
        copy.concerns[METER] = true;
        let list = self.watched.get(&b"meters"[..]);
        copy.fields.retain(|(field, _)| Some(field) != list && self.watched_ids.iter().all(|(id, _)| id != field));
        let own = self.watched_ids.iter().find(|(_, kind)| *kind == METER);
        copy.fields.extend(own.map(|(field, _)| (*field, Val::Text(meter))));
        copy
    }
}

fn unquoted_from(line: &[u8], value: &[u8]) -> usize {
    value.as_ptr() as usize - line.as_ptr() as usize + 1
}

/// A declared field's value; `from` is where its text begins in the store, should it be one.
fn checked(check: &Check, value: &[u8], from: usize) -> Option<Val> {
    if value == b"null" {
        return Some(Val::Null);
    }
    let text = (value[0] == b'"').then(|| &value[1..value.len() - 1]);
    let as_text = |is_good: bool| is_good.then_some(Val::Text(Span { at: from, len: (value.len().max(2) - 2) as u32 }));
    match check {
        Check::Code => as_text(is_printable(text?, 100)),
        Check::Id => as_text(is_printable(text?, 200)),
        Check::Words(words) => as_text(words.iter().any(|word| word.as_bytes() == text.unwrap_or(b""))),
        Check::Instant => as_text(instant(text?).is_some()),
        Check::Date => as_text(date(text?).is_some()),
        Check::Flag => match value {
            b"true" => Some(Val::Bool(true)),
            b"false" => Some(Val::Bool(false)),
            _ => None,
        },
        Check::Count => integer(value).filter(|n| *n >= 0).map(Val::Int),
        Check::DayOfMonth => integer(value).filter(|n| (1..=31).contains(n)).map(Val::Int),
        Check::Number => number(value),
        Check::Amount => match text {
            None => number(value),
            Some(text) => {
                let dots = text.iter().filter(|c| **c == b'.').count();
                let digits = text.iter().filter(|c| c.is_ascii_digit()).count();
                as_text(digits > 0 && dots <= 1 && dots + digits == text.len())
            }
        },
        Check::Codes => {
            (value[0] == b'[').then_some(())?;
            let mut scan = Scan { text: value, at: 0 };
            let as_list = Some(Val::List(Span { at: from - 1, len: value.len() as u32 }));
            scan.expect(b'[')?;
            if scan.ends(b']') {
                return as_list;
            }
            for _ in 0..20_000 {
                scan.blank();
                is_printable(scan.text_piece()?.of(value), 100).then_some(())?;
                if scan.ends(b']') {
                    return as_list;
                }
                scan.expect(b',')?;
            }
            None
        }
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    (digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit)).then_some(())?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn number(value: &[u8]) -> Option<Val> {
    if value.contains(&b'.') {
        return matches!(value[0], b'-' | b'0'..=b'9').then_some(Val::Decimal);
    }
    integer(value).map(Val::Int)
}

/// Printable ASCII and the usual Chinese characters: what else is printable, Python knows.
fn is_printable(text: &[u8], most: usize) -> bool {
    if text.is_empty() {
        return false;
    }
    if text.iter().all(|c| (0x20..0x7f).contains(c)) {
        return text.len() <= most;
    }
    let text = std::str::from_utf8(text).unwrap_or("");
    let mut count = 0;
    text.chars().all(|c| {
        count += 1;
        (' '..='~').contains(&c) || ('\u{4e00}'..='\u{9fa5}').contains(&c)
    }) && count > 0
        && count <= most
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
}

fn last_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

/// The ordinal of a date (proleptic Gregorian, 1 is 0001-01-01); of a day past its month's end, of that end.
pub fn ordinal_within(year: i64, month: i64, day: i64) -> i64 {
    let is_leap = last_of_month(year, 2) == 29;
    let before = year - 1;
    let months = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    before * 365 + before / 4 - before / 100
        + before / 400
        + months
        + i64::from(is_leap && month > 2)
        + day.min(last_of_month(year, month))
}

/// The ordinal of `2026-03-02`, in the years that Python's tables hold.
pub fn date(text: &[u8]) -> Option<i64> {
    (text.len() == 10 && text[4] == b'-' && text[7] == b'-').then_some(())?;
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..])?);
    ((1900..=2998).contains(&year) && (1..=12).contains(&month)).then_some(())?;
    (1..=last_of_month(year, month)).contains(&day).then(|| ordinal_within(year, month, day))
}

/// The year, month and day of an ordinal.
pub fn civil(ordinal: i64) -> (i64, i64, i64) {
    let days = ordinal + 305; // from 1 March of the year 0
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

pub const EPOCH: i64 = 719_163;
pub const DAY: i64 = 86_400_000_000;

/// `2026-03-02T09:00:00.000+08:00`, also without a fraction or with microseconds; every other form is Python's.
pub fn instant(text: &[u8]) -> Option<i64> {
    (text.len() >= 20 && text[10] == b'T' && text[13] == b':' && text[16] == b':').then_some(())?;
    let day = date(&text[..10])?;
    let (hour, minute) = (digits(&text[11..13])?, digits(&text[14..16])?);
    let second = digits(&text[17..19])?;
    let length = text[19..].iter().position(|c| matches!(c, b'Z' | b'+' | b'-'))?;
    let fraction = match length {
        0 => 0,
        4 if text[19] == b'.' => digits(&text[20..23])? * 1000,
        7 if text[19] == b'.' => digits(&text[20..26])?,
        _ => return None,
    };
    (hour < 24 && minute < 60 && second < 60 && day >= EPOCH + 366).then_some(())?;
    let offset = match &text[19 + length..] {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 && rest[2] == b':' => {
            let (hours, minutes) = (digits(&rest[..2])?, digits(&rest[3..])?);
            (hours < 24 && minutes < 60).then_some(())?;
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some((day - EPOCH) * DAY + ((hour * 60 + minute - offset) * 60 + second) * 1_000_000 + fraction)
}

#[derive(Clone, Copy, Default)]
pub struct Piece {
    pub from: usize,
    pub to: usize,
}

impl Piece {
    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.from..self.to]
    }
}

pub struct Scan<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl Scan<'_> {
    fn blank(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    pub fn expect(&mut self, wanted: u8) -> Option<()> {
        self.blank();
        (self.text.get(self.at) == Some(&wanted)).then(|| self.at += 1)?;
        self.blank();
        Some(())
    }

    fn ends(&mut self, end: u8) -> bool {
        self.expect(end).is_some()
    }

    pub fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// What lies between quotation marks; `None` where anything in it is escaped or not allowed.
    pub fn text_piece(&mut self) -> Option<Piece> {
        (self.text.get(self.at) == Some(&b'"')).then_some(())?;
        let from = self.at + 1;
        let length = self.text[from..].iter().position(|c| *c == b'"' || *c == b'\\' || *c < 0x20)?;
        (self.text[from + length] == b'"').then_some(())?;
        self.at = from + length + 1;
        Some(Piece { from, to: from + length })
    }

    /// A scalar with its quotation marks, or a list of texts.
    pub fn value(&mut self) -> Option<Piece> {
        let from = self.at;
        match self.text.get(from)? {
            b'"' => {
                self.text_piece()?;
            }
            b'[' => {
                self.expect(b'[')?;
                if !self.ends(b']') {
                    loop {
                        self.blank();
                        self.text_piece()?;
                        self.blank();
                        if self.text.get(self.at) == Some(&b']') {
                            self.at += 1;
                            break;
                        }
                        self.expect(b',')?;
                    }
                }
                let to = self.text[..self.at].iter().rposition(|c| *c == b']')? + 1;
                return Some(Piece { from, to });
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Some(Piece { from, to: self.at })
    }

    /// Pass over any value, written without blanks.
    pub fn any(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match *self.text.get(self.at)? {
                b'"' => self.any_text()?,
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth > 0 => depth -= 1,
                b']' | b'}' | b',' if depth == 0 => return None, // there is none
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(self.text.get(self.at), None | Some(b',' | b']' | b'}')) {
                return Some(());
            }
        }
    }

    /// Move on to the end of a text, escaped or not.
    fn any_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match *self.text.get(self.at)? {
                b'"' => return Some(()),
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// An integer of at most 18 digits, or a decimal without an exponent.
    fn number(&mut self) -> Option<()> {
        let _ = self.word(b"-");
        let whole = self.digits();
        ((1..=18).contains(&whole) && (whole == 1 || self.text[self.at - whole] != b'0')).then_some(())?;
        if self.word(b".").is_some() {
            (1..=18).contains(&self.digits()).then_some(())?;
        }
        (!matches!(self.text.get(self.at), Some(b'e' | b'E'))).then_some(())
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        self.at += count;
        count
    }

    pub fn flat_texts(&mut self) -> Option<()> {
        if self.word(b"null").is_some() {
            return Some(());
        }
        self.expect(b'{')?;
        if self.closes(b'}') {
            return Some(());
        }
        loop {
            self.text_piece()?;
            self.expect(b':')?;
            self.text_piece()?;
            self.blank();
            if self.closes(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    pub fn closes(&mut self, end: u8) -> bool {
        (self.text.get(self.at) == Some(&end)).then(|| self.at += 1).is_some()
    }

    /// The organisation, with known members alone.
    pub fn org(&mut self) -> Option<Option<Piece>> {
        if self.word(b"null").is_some() {
            return Some(None);
        }
        let from = self.at;
        let mut seen = [false; 4];
        self.expect(b'{')?;
        if self.ends(b'}') {
            return Some(Some(Piece { from, to: self.at }));
        }
        loop {
            let name = self.text_piece()?;
            let level = LEVELS.iter().position(|level| *level == name.of(self.text))?;
            (!std::mem::replace(&mut seen[level], true)).then_some(())?;
            self.expect(b':')?;
            let code = self.text_piece()?;
            is_printable(code.of(self.text), 100).then_some(())?;
            if self.ends(b'}') {
                return Some(Some(Piece { from, to: self.at }));
            }
            self.expect(b',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_microseconds_since_the_epoch() {
        assert_eq!(instant(b"2026-03-02T09:00:00.001+08:00"), Some(1_772_413_200_001_000));
        assert_eq!(instant(b"2026-03-02T01:00:00.000Z"), Some(1_772_413_200_000_000));
        assert_eq!(instant(b"2026-03-02T09:00:00+08:00"), Some(1_772_413_200_000_000));
        assert_eq!(instant(b"2026-03-02T01:00:00.000001Z"), Some(1_772_413_200_000_001));
        for other in
            ["2026-02-29T09:00:00.000Z", "2026-03-02T24:00:00.000Z", "2026-03-02T09:00:00.1Z", "2026-03-02T09:00Z"]
        {
            assert_eq!(instant(other.as_bytes()), None);
        }
    }

    #[test]
    fn dates_go_there_and_back() {
        for ordinal in [693_596, 719_163, 730_120, 739_677, 1_000_000] {
            let (year, month, day) = civil(ordinal);
            assert_eq!(date(format!("{year:04}-{month:02}-{day:02}").as_bytes()), Some(ordinal));
        }
    }
}
