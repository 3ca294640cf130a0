//! A report as a row of the state has it: its key and its alert, as `streams/core/alerts.py` has it, from the line of
//! that alert. The line has the same values in the same order, but for instants and lengths of time, which it writes
//! for people.

use crate::events::Scan;
use crate::live::Made;

/// `None` where the line or the key has another form than it is written in here.
pub fn row_form(rule: &str, made: &Made, detected_at: i64) -> Option<Vec<u8>> {
    let (root, kind, cause) = &made.key;
    let (started, deadline, due, stopped) = made.instants;
    let mut text = Vec::with_capacity(made.line.len());
    for (place, part) in [rule, root, kind, cause].into_iter().enumerate() {
        part.bytes().all(|c| c >= b' ' && c != b'"' && c != b'\\').then_some(())?;
        put(&mut text, &[if place == 0 { b"[[\"" } else { b",\"" }, part.as_bytes(), b"\""]);
    }
    put(&mut text, &[b"],{"]);
    let mut scan = Scan::new(&made.line);
    let mut is_first = true;
    members(&mut scan, |name, scan| {
        if name != b"data" {
            return scan.any();
        }
        members(scan, |name, scan| {
            if name == b"retracts" {
                return scan.word(b"null");
            }
            if !std::mem::replace(&mut is_first, false) {
                text.push(b',');
            }
            let number = match name {
                b"title" => {
                    let mut is_first = true;
                    return members(scan, |language, scan| {
                        put(&mut text, &[if is_first { b"" } else { b"," }, b"\"title_", language, b"\":"]);
                        is_first = false;
                        value(&mut text, scan)
                    });
                }
                b"subject" => {
                    put(&mut text, &[b"\"subject\":"]);
                    let mut before = b'[';
                    members(scan, |_, scan| {
                        text.push(std::mem::replace(&mut before, b','));
                        value(&mut text, scan)
                    })?;
                    text.push(b']');
                    return Some(());
                }
                b"started_at" => Some(started),
                b"deadline" => deadline,
                b"due_at" => Some(due),
                b"detected_at" => Some(detected_at),
                b"stopped_at" => stopped,
                b"elapsed" => Some(made.counted.0),
                b"paused" => Some(made.counted.1),
                _ => {
                    put(&mut text, &[b"\"", name, b"\":"]);
                    value(&mut text, scan)?;
                    if name == b"kind" {
                        put(&mut text, &[b",\"cause\":\"", cause.as_bytes(), b"\""]);
                    }
                    return Some(());
                }
            };
            let number = number.map_or_else(|| "null".to_owned(), |number| number.to_string());
            put(&mut text, &[b"\"", name, b"\":", number.as_bytes()]);
            scan.any()
        })
    })?;
    put(&mut text, &[b",\"retracts\":null,\"incomplete\":false}]"]);
    (scan.at == made.line.len()).then_some(text)
}

fn put(text: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
}

/// Copy a value as it is written.
fn value(text: &mut Vec<u8>, scan: &mut Scan) -> Option<()> {
    let from = scan.at;
    scan.any()?;
    text.extend_from_slice(&scan.text[from..scan.at]);
    Some(())
}

/// Each member of an object that has some, written without blanks; `of_each` gets its name and moves behind its value.
fn members<'a>(scan: &mut Scan<'a>, mut of_each: impl FnMut(&'a [u8], &mut Scan<'a>) -> Option<()>) -> Option<()> {
    scan.closes(b'{').then_some(())?;
    loop {
        let name = scan.text_piece()?.of(scan.text);
        scan.closes(b':').then_some(())?;
        of_each(name, scan)?;
        if !scan.closes(b',') {
            return scan.closes(b'}').then_some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(data: &str, cause: &str) -> Made {
        Made {
            order: (0, 0),
            key: ("e1".to_owned(), "breach", cause.to_owned()),
            ids: [String::new(), String::new()],
            place: 0,
            instants: (1, None, 3, Some(4)),
            counted: (5, 6),
            line: format!("{{\"id\":\"a\",\"data\":{data},\"end\":[{{}}]}}").into_bytes(),
        }
    }

    #[test]
    fn a_row_has_the_values_of_the_line() {
        let data = "{\"alert_id\":\"a\",\"kind\":\"breach\",\"title\":{\"zh\":\"\\\"收\",\"en\":\"b\"},\
            \"subject\":{\"type\":\"order\",\"id\":\"W,1\"},\"started_at\":\"x\",\"deadline\":null,\"due_at\":\"y\",\
            \"detected_at\":\"z\",\"stopped_at\":\"s\",\"elapsed\":\"PT1S\",\"paused\":\"PT2S\",\"retracts\":null,\
            \"evidence\":[\"e1\"],\"arithmetic\":{\"a\":{\"b\":[1,2]}}}";
        let row = "[[\"rule\",\"e1\",\"breach\",\"c\"],{\"alert_id\":\"a\",\"kind\":\"breach\",\"cause\":\"c\",\
            \"title_zh\":\"\\\"收\",\"title_en\":\"b\",\"subject\":[\"order\",\"W,1\"],\"started_at\":1,\
            \"deadline\":null,\"due_at\":3,\"detected_at\":9,\"stopped_at\":4,\"elapsed\":5,\"paused\":6,\
            \"evidence\":[\"e1\"],\"arithmetic\":{\"a\":{\"b\":[1,2]}},\"retracts\":null,\"incomplete\":false}]";
        assert_eq!(row_form("rule", &made(data, "c"), 9).map(|text| String::from_utf8(text).unwrap()).unwrap(), row);
    }

    #[test]
    fn what_has_another_form_is_left() {
        assert!(row_form("rule", &made("{\"retracts\":\"b\"}", "c"), 9).is_none());
        assert!(row_form("rule", &made("{\"kind\": \"a\"}", "\"c"), 9).is_none());
        assert!(row_form("rule", &made("{\"kind\":}", "c"), 9).is_none());
        assert!(row_form("rule", &made("[]", "c"), 9).is_none());
    }
}
