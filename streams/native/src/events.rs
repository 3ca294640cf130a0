//! Lines to events: what passes every check here is an event; everything else is left to Python, which says why.

use crate::document::{Check, EventType};
use crate::hashing::HashMap;
use crate::shapes::Shapes;
use crate::subject::{METER, SUBJECTS};
use foldhash::fast::RandomState;
use memchr::memchr;
use std::hash::BuildHasher;

/// A part of the store, in one word: where it begins, and its length in bytes, which is less than `MOST_TEXT`.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Span(u64);

/// Longer texts have no spans.
pub const MOST_TEXT: usize = 1 << LENGTH_BITS;
const LENGTH_BITS: u32 = 24;

impl Span {
    pub fn new(at: usize, length: usize) -> Span {
        Span((at as u64) << LENGTH_BITS | length as u64)
    }

    pub fn at(self) -> usize {
        (self.0 >> LENGTH_BITS) as usize
    }

    pub fn len(self) -> usize {
        self.0 as usize % MOST_TEXT
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.at()..self.at() + self.len()]
    }

    /// The same part, where what it is a part of begins so many bytes later; nothing stays nothing.
    fn moved(self, by: isize) -> Span {
        if self.is_empty() { self } else { Span::new(self.at().wrapping_add_signed(by), self.len()) }
    }
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

impl Val {
    pub fn move_by(&mut self, by: isize) {
        if let Val::Text(span) | Val::List(span) = self {
            *span = span.moved(by);
        }
    }
}

/// A watched field of an event, by its place among those that are watched.
pub type Field = (usize, Val);

/// One event, or the copy of one for a meter of its list. Instants are microseconds since the epoch; an id of no length
/// is not there.
#[derive(Clone, Default)]
pub struct Event {
    pub line: Span,
    pub number: u64,
    pub origin: u64,
    pub at: i64,
    pub recorded: i64,
    pub id: Span,
    pub subjects: [Span; 4],
    pub corrects: Span,
    pub org: Span,
    /// A list of meters, each of which it concerns.
    pub meters: Span,
    /// From (inclusive) and to (exclusive), among the fields of all events.
    pub fields: (u32, u32),
    /// Equal for equal ids, within one reader; 0 where it was not asked for.
    pub id_hash: u32,
    pub event_type: u16,
    /// Whether it concerns each of these subjects.
    pub concerns: [bool; 4],
    pub is_void: bool,
    pub is_copy: bool,
}

impl Event {
    pub fn event_type(&self) -> usize {
        usize::from(self.event_type)
    }

    /// Whether it corrects another one, or is void.
    pub fn is_correction(&self) -> bool {
        self.is_void || !self.corrects.is_empty()
    }

    /// Have its text begin so many bytes later; see `Val::move_by` for its fields.
    pub fn move_by(&mut self, by: isize) {
        let others = [&mut self.line, &mut self.id, &mut self.corrects, &mut self.org, &mut self.meters];
        for span in others.into_iter().chain(&mut self.subjects) {
            *span = span.moved(by);
        }
    }
}

/// Longer lines are left to Python, which takes some more and refuses what is too large.
const MOST_BYTES: usize = 200_000;

/// Lines with more fields are left to Python too.
const MOST_FIELDS: usize = 48;

pub const IDS: [&[u8]; 4] = [b"order_id", b"account_id", b"meter_id", b"batch_id"];
const LEVELS: [&[u8]; 4] = [b"province", b"city", b"county", b"unit"];

/// A declared field of an event type: its name, its check, and its place among those that are watched.
struct Declared {
    name: Vec<u8>,
    check: Check,
    place: Option<usize>,
    is_meters: bool,
}

/// What a member of a line is, by its key; `Early` before the type is known, and after it the place of a declared field.
#[derive(Clone, Copy)]
pub enum Role {
    EventType,
    EventId,
    OccurredAt,
    RecordedAt,
    Id(usize),
    Personal,
    Org,
    Corrects,
    Version,
    Void,
    Refused,
    Early,
    Declared(usize),
    Undeclared,
}

pub struct Reader {
    pub types: HashMap<Vec<u8>, usize>,
    fields: Vec<Vec<Declared>>,
    ids: RandomState,
    fans_out: Vec<bool>,
    pub watched: HashMap<Vec<u8>, usize>,
    /// The places of ids that conditions ask for, with their kinds.
    pub watched_ids: Vec<(usize, usize)>,
}

/// What a line gives on its way to an event.
struct Found<'a, 'b> {
    event: Event,
    fields: &'b mut Vec<Field>,
    /// Where the line lies in the store.
    base: usize,
    /// Fields that came before the type was known, each with its value; and how many there are altogether.
    early: Vec<(Piece, Piece)>,
    count: usize,
    has_type: bool,
    has_org: bool,
    scan: Scan<'a>,
}

impl Found<'_, '_> {
    fn span(&self, piece: Piece) -> Span {
        Span::new(self.base + piece.from, piece.to - piece.from)
    }

    /// An id; it stands in the line once.
    fn id(&mut self, known: Span) -> Option<Span> {
        known.is_empty().then_some(())?;
        let piece = self.scan.text_piece()?;
        self.scan.is_printable(piece.of(self.scan.text), 200).then_some(())?;
        Some(self.span(piece))
    }

    fn count_field(&mut self) -> Option<()> {
        self.count += 1;
        (self.count <= MOST_FIELDS).then_some(())
    }

    fn id_or_null(&mut self, known: Span) -> Option<Span> {
        known.is_empty().then_some(())?;
        if self.scan.word(b"null").is_some() { Some(known) } else { self.id(known) }
    }
}

impl Reader {
    pub fn new(types: &[EventType], watched: &[String]) -> Reader {
        let places: HashMap<Vec<u8>, usize> =
            watched.iter().enumerate().map(|(n, name)| (name.clone().into_bytes(), n)).collect();
        let declared = |(name, check): (&String, &Check)| Declared {
            name: name.clone().into_bytes(),
            check: check.clone(),
            place: places.get(name.as_bytes()).copied(),
            is_meters: name == "meters",
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

    /// The event in a line that lies at `base` of the store, its watched fields at the end of `fields`; `None` where
    /// Python must decide, and the end of `fields` counts for nothing.
    pub fn read(
        &self, line: &[u8], base: usize, latest: i64, fields: &mut Vec<Field>, shapes: &mut Shapes,
    ) -> Option<Event> {
        self.read_by(line, (base, latest), fields, Some(shapes), |_, _, _| Some(()))
    }

    /// `read`, of a single line; `keep` takes each field that events keep, in the order of the line: its name, what is written, and its
    /// value. It refuses the line by `None`. The organisation has no value.
    pub fn read_kept<'a>(
        &self, line: &'a [u8], base: usize, latest: i64, fields: &mut Vec<Field>,
        keep: impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<Event> {
        self.read_by(line, (base, latest), fields, None, keep)
    }

    fn read_by<'a>(
        &self, line: &'a [u8], (base, latest): (usize, i64), fields: &mut Vec<Field>, mut shapes: Option<&mut Shapes>,
        mut keep: impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<Event> {
        (line.len() <= MOST_BYTES).then_some(())?;
        let scan = Scan::new(line);
        (scan.is_ascii || std::str::from_utf8(line).is_ok()).then_some(())?;
        let first = fields.len() as u32;
        let event = Event {
            line: Span::new(base, line.len()),
            at: i64::MIN,
            recorded: i64::MIN,
            fields: (first, first),
            ..Event::default()
        };
        let mut found =
            Found { event, fields, base, early: Vec::new(), count: 0, has_type: false, has_org: false, scan };
        found.scan.expect(b'{')?;
        if !found.scan.ends(b'}') {
            let mut next = 0;
            loop {
                let had_type = found.has_type;
                let (key, role) = self.key(&mut found, &mut shapes, &mut next)?;
                self.member(&mut found, key, role, &mut shapes, &mut keep)?;
                if found.has_type != had_type {
                    next = 0;
                }
                if found.scan.ends(b'}') {
                    break;
                }
                found.scan.expect(b',')?;
            }
        }
        found.scan.blank();
        (found.scan.at == line.len() && found.has_type).then_some(())?;
        self.whole(found, latest)
    }

    /// The key of the next member, whose value follows, and what the member is.
    #[inline(always)]
    fn key(&self, found: &mut Found, shapes: &mut Option<&mut Shapes>, next: &mut usize) -> Option<(Piece, Role)> {
        let scan = &mut found.scan;
        let event_type = found.has_type.then(|| found.event.event_type());
        let mut shape = shapes.as_deref_mut().map(|shapes| match event_type {
            None => &mut shapes.before,
            Some(event_type) => &mut shapes.after[event_type],
        });
        if let Some((key, end, role)) = shape.as_ref().and_then(|shape| shape.find(scan.text, scan.at, next)) {
            scan.at = end;
            scan.blank();
            return Some((key, role));
        }
        let key = scan.text_piece()?;
        scan.expect(b':')?;
        let role = self.role(event_type, key.of(scan.text));
        if let Some(shape) = &mut shape {
            shape.learn(key.of(scan.text), role, next);
        }
        Some((key, role))
    }

    fn role(&self, event_type: Option<usize>, key: &[u8]) -> Role {
        match key {
            b"event_type" => Role::EventType,
            b"event_id" => Role::EventId,
            b"occurred_at" => Role::OccurredAt,
            b"recorded_at" => Role::RecordedAt,
            b"personal" => Role::Personal,
            b"org" => Role::Org,
            b"corrects" => Role::Corrects,
            b"version" => Role::Version,
            b"void" => Role::Void,
            b"specversion" | b"snapshot" => Role::Refused,
            _ => {
                if let Some(kind) = IDS.iter().position(|id| *id == key) {
                    return Role::Id(kind);
                }
                let Some(event_type) = event_type else { return Role::Early };
                let place = self.fields[event_type].iter().position(|declared| declared.name == key);
                place.map_or(Role::Undeclared, Role::Declared)
            }
        }
    }

    #[inline(always)]
    fn member<'a>(
        &self, found: &mut Found<'a, '_>, key: Piece, role: Role, shapes: &mut Option<&mut Shapes>,
        keep: &mut impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<()> {
        let line = found.scan.text;
        match role {
            Role::EventType => {
                (!found.has_type).then_some(())?;
                found.event.event_type = *self.types.get(found.scan.text_piece()?.of(line))? as u16;
                found.has_type = true;
                for (key, value) in std::mem::take(&mut found.early) {
                    self.field(found, key, value, keep)?;
                }
            }
            Role::EventId => {
                found.event.id = found.id(found.event.id)?;
                let id = &line[found.event.id.at() - found.base..][..found.event.id.len()];
                found.event.id_hash = self.ids.hash_one(id) as u32;
            }
            Role::OccurredAt => {
                (found.event.at == i64::MIN).then_some(())?;
                found.event.at = found.scan.instant()?;
            }
            Role::RecordedAt => {
                (found.event.recorded == i64::MIN).then_some(())?;
                found.event.recorded = found.scan.instant()?;
            }
            Role::Id(kind) => found.event.subjects[kind] = found.id_or_null(found.event.subjects[kind])?,
            Role::Personal => found.scan.flat_texts()?,
            Role::Org => {
                (!found.has_org).then_some(())?;
                found.has_org = true;
                let from = found.scan.at;
                if let Some(org) = found.scan.known_org(shapes)? {
                    found.event.org = found.span(org);
                }
                let value = Piece { from, to: found.scan.at };
                self.field_or_early(found, key, value, keep)?;
            }
            Role::Corrects => found.event.corrects = found.id_or_null(found.event.corrects)?,
            Role::Version => found.scan.word(b"null")?,
            Role::Void => {
                (!found.event.is_void).then_some(())?;
                found.event.is_void = found.scan.word(b"true").is_some();
                (found.event.is_void || found.scan.word(b"false").is_some()).then_some(())?;
            }
            Role::Refused => return None,
            Role::Early => {
                let value = found.scan.value()?;
                self.field_or_early(found, key, value, keep)?;
            }
            Role::Declared(place) => {
                let value = found.scan.value()?;
                found.count_field()?;
                self.declared(found, place, (key, value), keep)?;
            }
            Role::Undeclared => {
                let value = found.scan.value()?;
                found.count_field()?;
                (line[value.from] != b'[').then_some(())?;
            }
        }
        Some(())
    }

    fn field_or_early<'a>(
        &self, found: &mut Found<'a, '_>, key: Piece, value: Piece,
        keep: &mut impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<()> {
        found.count_field()?;
        if found.has_type {
            return self.field(found, key, value, keep);
        }
        found.early.push((key, value));
        Some(())
    }

    /// Check a field of an event of a known type.
    fn field<'a>(
        &self, found: &mut Found<'a, '_>, key: Piece, value: Piece,
        keep: &mut impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<()> {
        let (name, written) = (key.of(found.scan.text), value.of(found.scan.text));
        match self.fields[found.event.event_type()].iter().position(|declared| declared.name == name) {
            Some(place) => self.declared(found, place, (key, value), keep),
            None if name == b"org" => keep(name, written, None),
            None => (written[0] != b'[').then_some(()),
        }
    }

    /// The same of one that is declared, by its place among those of the type.
    fn declared<'a>(
        &self, found: &mut Found<'a, '_>, place: usize, (key, value): (Piece, Piece),
        keep: &mut impl FnMut(&'a [u8], &'a [u8], Option<Val>) -> Option<()>,
    ) -> Option<()> {
        let event_type = found.event.event_type();
        let declared = &self.fields[event_type][place];
        let kept = checked(&declared.check, &found.scan, value, found.base)?;
        keep(key.of(found.scan.text), value.of(found.scan.text), Some(kept))?;
        if declared.is_meters && self.fans_out[event_type] {
            found.event.meters.is_empty().then_some(())?;
            match kept {
                Val::Null => {}
                Val::List(span) => found.event.meters = span,
                _ => return None,
            }
        }
        if let Some(field) = declared.place {
            let own = &found.fields[found.event.fields.0 as usize..];
            own.iter().all(|(known, _)| *known != field).then_some(())?;
            found.fields.push((field, kept));
        }
        Some(())
    }

    /// The event of a line that has been read to its end.
    fn whole(&self, found: Found, latest: i64) -> Option<Event> {
        let Found { mut event, fields, base, scan, .. } = found;
        let text = |span: Span| &scan.text[span.at() - base..span.at() - base + span.len()];
        let is_correction = !event.corrects.is_empty();
        (!event.id.is_empty() && event.at != i64::MIN).then_some(())?;
        if (event.is_void && !is_correction) || (is_correction && text(event.corrects) == text(event.id)) {
            return None;
        }
        if event.recorded == i64::MIN {
            event.recorded = event.at;
        }
        if event.at > latest || event.recorded > latest || event.subjects.iter().all(|id| id.is_empty()) {
            return None;
        }
        let named = self.watched_ids.iter().map(|(field, kind)| (*field, event.subjects[*kind]));
        fields.extend(named.filter(|(_, id)| !id.is_empty()).map(|(field, id)| (field, Val::Text(id))));
        event.fields.1 = fields.len() as u32;
        Some(event)
    }

    /// The copy of an event for one meter of its list.
    pub fn copy_for(&self, event: &Event, meter: Span, fields: &mut Vec<Field>) -> Event {
        let first = fields.len();
        let list = self.watched.get(&b"meters"[..]);
        for place in event.fields.0 as usize..event.fields.1 as usize {
            let (field, value) = fields[place];
            if Some(&field) != list && self.watched_ids.iter().all(|(id, _)| *id != field) {
                fields.push((field, value));
            }
        }
        let own = self.watched_ids.iter().find(|(_, kind)| *kind == METER);
        fields.extend(own.map(|(field, _)| (*field, Val::Text(meter))));
        let fields = (first as u32, fields.len() as u32);
        let mut copy = Event { is_copy: true, meters: Span::default(), fields, ..event.clone() };
        copy.subjects = [Span::default(); 4];
        copy.subjects[METER] = meter;
        copy.concerns = [false; 4];
        copy.concerns[METER] = true;
        copy
    }
}

/// A declared field's value, in a line that lies at `base` of the store.
fn checked(check: &Check, scan: &Scan, place: Piece, base: usize) -> Option<Val> {
    let value = place.of(scan.text);
    if value == b"null" {
        return Some(Val::Null);
    }
    let text = (value[0] == b'"').then(|| &value[1..value.len() - 1]);
    let as_text = |is_good: bool| is_good.then_some(Val::Text(Span::new(base + place.from + 1, value.len() - 2)));
    match check {
        Check::Code => as_text(scan.is_printable(text?, 100)),
        Check::Id => as_text(scan.is_printable(text?, 200)),
        Check::Words(words) => {
            let text = text?;
            as_text(words.iter().any(|word| word.as_bytes() == text))
        }
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
            let mut scan = Scan { text: value, at: 0, ..*scan };
            let as_list = Some(Val::List(Span::new(base + place.from, value.len())));
            scan.expect(b'[')?;
            if scan.ends(b']') {
                return as_list;
            }
            for _ in 0..20_000 {
                scan.blank();
                let piece = scan.text_piece()?;
                scan.is_printable(piece.of(value), 100).then_some(())?;
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

#[inline(always)]
fn digits<const N: usize>(text: &[u8; N]) -> Option<u32> {
    let (mut number, mut is_good) = (0, true);
    for c in text {
        let digit = c.wrapping_sub(b'0');
        is_good &= digit < 10;
        number = number * 10 + u32::from(digit);
    }
    is_good.then_some(number)
}

/// Days of the year before each month.
const BEFORE: [u32; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

#[inline(always)]
fn last_of_month(year: u32, month: u32) -> u32 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    BEFORE[month as usize] - BEFORE[month as usize - 1] + u32::from(month == 2 && is_leap)
}

#[inline(always)]
fn ordinal(year: u32, month: u32, day: u32) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = year - 1;
    let days = before * 365 + before / 4 - before / 100 + before / 400 + BEFORE[month as usize - 1];
    i64::from(days + u32::from(is_leap && month > 2) + day)
}

/// The ordinal of a date (proleptic Gregorian, 1 is 0001-01-01); of a day past its month's end, of that end.
pub fn ordinal_within(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year as u32, month as u32);
    ordinal(year, month, (day as u32).min(last_of_month(year, month)))
}

/// The ordinal of `2026-03-02`, in the years that Python's tables hold.
pub fn date(text: &[u8]) -> Option<i64> {
    day(text.try_into().ok()?)
}

#[inline(always)]
fn day(text: &[u8; 10]) -> Option<i64> {
    let [y, e, a, r, b'-', m, o, b'-', d, n] = *text else { return None };
    let (year, month, day) = (digits(&[y, e, a, r])?, digits(&[m, o])?, digits(&[d, n])?);
    day_of(year, month, day)
}

#[inline(always)]
fn day_of(year: u32, month: u32, day: u32) -> Option<i64> {
    ((1900..=2998).contains(&year) && (1..=12).contains(&month)).then_some(())?;
    (1..=last_of_month(year, month)).contains(&day).then(|| ordinal(year, month, day))
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
    text.try_into().ok().and_then(usual_instant).or_else(|| any_instant(text))
}

/// The same of the first form alone, eight bytes at a time.
#[inline(always)]
fn usual_instant(text: &[u8; 29]) -> Option<i64> {
    const FORM: &[u8; 29] = b"0000-00-00T00:00:00.000+00:00";
    let (mut pairs, mut wrong) = ([[0; 8]; 4], 0);
    for (part, from) in pairs.iter_mut().zip([0, 8, 16, 21]) {
        let (form, mut most) = (eight(FORM, from), [0x7f; 8]);
        for (place, most) in most.iter_mut().enumerate() {
            *most -= if FORM[from + place] == b'0' { 9 } else { 0 };
        }
        // Digits become their value, all else zero, unless the byte is a wrong one.
        let digits = eight(text, from) ^ form;
        wrong |= (digits | ((digits & (ONES * 0x7f)) + u64::from_le_bytes(most))) & (ONES << 7);
        *part = (digits.wrapping_mul(10).wrapping_add(digits >> 8)).to_le_bytes();
    }
    (wrong == 0).then_some(())?;
    let [date, time, seconds, zone] = pairs.map(|part| part.map(u32::from));
    let day = day_of(date[0] * 100 + date[2], date[5], time[0])?;
    let (hour, minute, second) = (time[3], time[6], seconds[1]);
    let (hours, minutes) = (zone[3], zone[6]);
    let is_good = hour < 24 && minute < 60 && second < 60 && hours < 24 && minutes < 60;
    (is_good && day >= EPOCH + 366).then_some(())?;
    let milliseconds = seconds[4] * 10 + u32::from(text[22] - b'0');
    let seconds = i64::from((hour * 60 + minute) * 60 + second) - i64::from((hours * 60 + minutes) * 60);
    Some((day - EPOCH) * DAY + seconds * 1_000_000 + i64::from(milliseconds) * 1000)
}

const ONES: u64 = u64::MAX / 255;

#[inline(always)]
fn eight(text: &[u8; 29], from: usize) -> u64 {
    text[from..].first_chunk().map_or(0, |part| u64::from_le_bytes(*part))
}

fn any_instant(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let ([b'T', h, o, b':', m, i, b':', s, e], rest) = rest.split_first_chunk::<9>()? else { return None };
    let day = day(date)?;
    let (hour, minute, second) = (digits(&[*h, *o])?, digits(&[*m, *i])?, digits(&[*s, *e])?);
    (hour < 24 && minute < 60 && second < 60 && day >= EPOCH + 366).then_some(())?;
    let (fraction, zone) = match rest {
        [b'.', a, b, c, zone @ (b'Z' | b'+' | b'-'), ..] => (digits(&[*a, *b, *c])? * 1000, (zone, &rest[5..])),
        [b'.', a, b, c, d, e, f, zone @ (b'Z' | b'+' | b'-'), ..] => {
            (digits(&[*a, *b, *c, *d, *e, *f])?, (zone, &rest[8..]))
        }
        [zone, rest @ ..] => (0, (zone, rest)),
        [] => return None,
    };
    let offset = match zone {
        (b'Z', []) => 0,
        (sign @ (b'+' | b'-'), [h, o, b':', m, i]) => {
            let (hours, minutes) = (digits(&[*h, *o])?, digits(&[*m, *i])?);
            (hours < 24 && minutes < 60).then_some(())?;
            i64::from(hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = (i64::from(hour * 60 + minute) - offset) * 60 + i64::from(second);
    Some((day - EPOCH) * DAY + seconds * 1_000_000 + i64::from(fraction))
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

    pub fn span(self) -> Span {
        Span::new(self.from, self.to - self.from)
    }
}

/// A text of JSON, from a place on.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    pub text: &'a [u8],
    pub at: usize,
    /// Whether there is nothing but ASCII in it.
    is_ascii: bool,
    /// Whether anything in it is escaped or a control character.
    has_special: bool,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a [u8]) -> Scan<'a> {
        let (mut above, mut special) = (0, 0);
        for c in text {
            above |= *c | c.wrapping_add(1); // 0x7f is none that is printed
            special |= u8::from(*c < b' ') | u8::from(*c == b'\\');
        }
        Scan { text, at: 0, is_ascii: above < 0x80, has_special: special != 0 }
    }

    #[inline(always)]
    fn blank(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline(always)]
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
    #[inline(always)]
    pub fn text_piece(&mut self) -> Option<Piece> {
        (self.text.get(self.at) == Some(&b'"')).then_some(())?;
        let from = self.at + 1;
        let to = self.quotation_mark(from)?;
        if self.has_special && self.text[from..to].iter().any(|c| *c == b'\\' || *c < b' ') {
            return None;
        }
        self.at = to + 1;
        Some(Piece { from, to })
    }

    /// The next one from a place on; eight bytes at a time.
    #[inline(always)]
    fn quotation_mark(&self, mut at: usize) -> Option<usize> {
        while let Some(eight) = self.text.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*eight) ^ (ONES * b'"' as u64);
            let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
            if zeros != 0 {
                return Some(at + zeros.trailing_zeros() as usize / 8);
            }
            at += 8;
        }
        self.text.get(at..)?.iter().position(|c| *c == b'"').map(|length| at + length)
    }

    /// Printable ASCII and the usual Chinese characters: what else is printable, Python knows. The text is a piece.
    fn is_printable(&self, text: &[u8], most: usize) -> bool {
        if self.is_ascii { (1..=most).contains(&text.len()) } else { is_printable(text, most) }
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

    /// What is written in quotation marks as an instant.
    #[inline(always)]
    fn instant(&mut self) -> Option<i64> {
        if let Some([b'"', text @ .., b'"']) = self.text.get(self.at..)?.first_chunk::<31>() {
            if let Some(at) = usual_instant(text) {
                self.at += 31;
                return Some(at);
            }
        }
        any_instant(self.text_piece()?.of(self.text))
    }

    /// `org`; one that was good is not looked at again.
    fn known_org(&mut self, shapes: &mut Option<&mut Shapes>) -> Option<Option<Piece>> {
        let from = self.at;
        let (Some(shapes), Some(b'{')) = (shapes, self.text.get(from)) else { return self.org() };
        let length = memchr(b'}', &self.text[from..])? + 1;
        if shapes.knows_org(&self.text[from..from + length]) {
            self.at = from + length;
            self.blank();
            return Some(Some(Piece { from, to: self.at }));
        }
        let found = self.org()?;
        if found.is_some() && self.at == from + length {
            shapes.learn_org(&self.text[from..self.at]);
        }
        Some(found)
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
            self.is_printable(code.of(self.text), 100).then_some(())?;
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
    fn instants_of_the_usual_form_are_those_of_any_form() {
        let mut count = 0;
        for text in
            [b"2024-02-29T23:59:59.999+08:00", b"1999-12-31T00:00:00.000+23:59", b"2026-06-30T12:34:56.789-08:00"]
        {
            for place in 0..text.len() {
                for byte in 0..=255 {
                    let mut other = *text;
                    other[place] = byte;
                    let found = usual_instant(&other);
                    count += usize::from(found.is_some());
                    assert!(found.is_none() || found == any_instant(&other), "{other:?}");
                    let is_usual = other[23] == b'+' && any_instant(&other).is_some();
                    assert_eq!(found.is_some(), is_usual, "{other:?}");
                }
            }
        }
        assert!(count > 100);
    }

    fn read(line: &str) -> Option<(Event, Vec<Field>)> {
        let types =
            r#"[{"name": "a", "fields": {"code": "code", "many": "codes"}, "subjects": [0], "fans_out": false}]"#;
        let reader = Reader::new(&serde_json::from_str::<Vec<EventType>>(types).unwrap(), &["code".to_owned()]);
        let (mut fields, mut shapes) = (Vec::new(), Shapes::new(1));
        let mut read = || {
            fields.clear();
            reader.read(line.as_bytes(), 0, i64::MAX, &mut fields, &mut shapes)
        };
        let first = read();
        let event = read(); // with what is known of the line by now
        assert_eq!(event.is_some(), first.is_some(), "{line}");
        Some((event?, fields))
    }

    fn with(more: &str) -> String {
        format!(
            r#"{{"order_id":"W1","event_id":"e1",{more},"event_type":"a","occurred_at":"2026-03-02T09:00:00+08:00"}}"#
        )
    }

    #[test]
    fn fields_may_come_before_the_type() {
        let line = with(r#""code":"c 1","source":"s""#);
        let (event, fields) = read(&line).unwrap();
        let [(0, Val::Text(code))] = fields[..] else { panic!() };
        assert_eq!(code.of(line.as_bytes()), b"c 1");
        assert_eq!(event.id.of(line.as_bytes()), b"e1");
        assert_eq!(event.fields, (0, 1));
        assert!(read(&with(r#""code":"c","code":"c""#)).is_none());
    }

    #[test]
    fn what_is_not_plain_is_refused_wherever_it_stands() {
        for good in ["一 b", "b", "1234567", "12345678", "123456789"] {
            assert!(read(&with(&format!(r#""code":"{good}""#))).is_some(), "{good}");
            assert!(read(&with(&format!(r#""many": [ "{good}","{good}" ]"#))).is_some(), "{good}");
        }
        for bad in ["", "\u{7f}", "\u{80}", "a\tb", "\\n", "12345678\u{1}", "ü"] {
            assert!(read(&with(&format!(r#""code":"{bad}""#))).is_none(), "{bad:?}");
            assert!(read(&with(&format!(r#""many":["{bad}"]"#))).is_none(), "{bad:?}");
        }
        assert!(read(&with("\t\"code\" :\t\"b\"")).is_some());
    }

    #[test]
    fn so_many_fields_and_no_more() {
        let fields = |count: usize| (0..count).map(|n| format!(r#""f{n}":1"#)).collect::<Vec<_>>().join(",");
        assert!(read(&with(&fields(MOST_FIELDS))).is_some());
        assert!(read(&with(&fields(MOST_FIELDS + 1))).is_none());
    }

    #[test]
    fn dates_go_there_and_back() {
        for ordinal in [693_596, 719_163, 730_120, 739_677, 1_000_000] {
            let (year, month, day) = civil(ordinal);
            assert_eq!(date(format!("{year:04}-{month:02}-{day:02}").as_bytes()), Some(ordinal));
        }
    }
}
