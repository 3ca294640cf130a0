//! Records of source topics to entries of the log, in the bytes that `streams/live/routing.py` writes.

use crate::events::{Span, Val};
use crate::replay::Rulebook;
use crate::subject::SUBJECTS;
use std::io::Write;

/// An event type by its place, and the entries with the partition of each.
pub type Routed = (usize, Vec<(u32, Vec<u8>)>);

/// More digits after the point may be written with an exponent.
const MOST_DECIMALS: usize = 6;

/// The entries of the event in a record; `None` where Python must decode or route it. `latest` is the last instant that
/// it may have.
pub fn entries(rulebook: &Rulebook, line: &[u8], latest: i64, origin: &[u8], partitions: u32) -> Option<Routed> {
    let mut data = Vec::with_capacity(line.len());
    let mut names: Vec<&[u8]> = Vec::with_capacity(16);
    let event = rulebook.reader.read_kept(line, 0, latest, &mut Vec::new(), |name, written, value| {
        (!names.contains(&name)).then_some(())?; // the last of two counts, in the place of the first
        data.extend_from_slice(if names.is_empty() { b"\"" } else { b",\"" });
        names.push(name);
        data.extend_from_slice(name);
        data.extend_from_slice(b"\":");
        keep(&mut data, written, value)
    })?;
    event.meters.is_empty().then_some(())?; // it concerns each of these too
    let text = |span: Span| span.of(line);
    let is_correction = !event.corrects.is_empty();
    let body = {
        let mut body = Vec::with_capacity(data.len() + 200);
        body.extend_from_slice(b"[\"");
        body.extend_from_slice(text(event.id));
        write!(body, "\",\"{}\",{},{},{{", rulebook.types[event.event_type()], event.at, event.recorded).ok()?;
        body.extend_from_slice(&data);
        body.push(b'}');
        for id in event.subjects.into_iter().chain([event.corrects]) {
            body.push(b',');
            if id.is_empty() {
                body.extend_from_slice(b"null");
            } else {
                quoted(&mut body, text(id));
            }
        }
        // Whether it is void; no version, no event in whose place it stands, and no snapshot.
        write!(body, ",{},null,null,false]", event.is_void).ok()?;
        body
    };
    let mut found = Vec::new();
    for (kind, id) in event.subjects.into_iter().enumerate() {
        let is_concerned = is_correction || rulebook.concerns[event.event_type()].contains(&(kind as u8));
        if id.is_empty() || !is_concerned {
            continue;
        }
        let mut entry = Vec::with_capacity(body.len() + origin.len() + id.len() + 32);
        entry.push(b'[');
        for part in [SUBJECTS[kind].as_bytes(), text(id), origin] {
            quoted(&mut entry, part);
            entry.push(b',');
        }
        entry.extend_from_slice(&body);
        entry.push(b']');
        let checksum = [SUBJECTS[kind].as_bytes(), b"/", text(id)].into_iter().fold(!0, crc32);
        found.push((!checksum % partitions, entry));
    }
    Some((event.event_type(), found))
}

/// A value as it is written to the log.
fn keep(data: &mut Vec<u8>, written: &[u8], value: Option<Val>) -> Option<()> {
    match value {
        Some(Val::Int(number)) => write!(data, "{number}").ok()?,
        Some(Val::Decimal) => {
            let point = written.iter().position(|c| *c == b'.')?;
            (written.len() - point - 1 <= MOST_DECIMALS).then_some(())?;
            data.extend_from_slice(written);
        }
        Some(Val::Null | Val::Bool(_) | Val::Text(_)) => data.extend_from_slice(written),
        Some(Val::List(_)) | None => without_blanks(data, written),
    }
    Some(())
}

/// A list or an object, in which nothing is escaped, without the blanks between its parts.
fn without_blanks(data: &mut Vec<u8>, written: &[u8]) {
    for (place, piece) in written.split(|c| *c == b'"').enumerate() {
        if place > 0 {
            data.push(b'"');
        }
        if place % 2 == 1 {
            data.extend_from_slice(piece);
        } else {
            data.extend(piece.iter().filter(|c| !c.is_ascii_whitespace()));
        }
    }
}

fn quoted(found: &mut Vec<u8>, text: &[u8]) {
    found.push(b'"');
    found.extend_from_slice(text);
    found.push(b'"');
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let mut value = place as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[place] = value;
        place += 1;
    }
    table
};

/// The checksum of zlib, before its last step; that of nothing is all ones.
fn crc32(before: u32, text: &[u8]) -> u32 {
    text.iter().fold(before, |value, byte| TABLE[(value as u8 ^ byte) as usize] ^ value >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_zlib() {
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
    }
}
