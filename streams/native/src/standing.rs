//! What a row of the state says of a subject ahead of its events, for one that is put to rest without being loaded.
//!
//! Mirrors `standing_from_bytes` of `streams/wire/state_rows.py`.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Rule, city and county; start and deadline.
type Running<'a> = (&'a str, Option<&'a str>, Option<&'a str>, i64, Option<i64>);

#[derive(Deserialize)]
struct Row<'a> {
    v: u32,
    #[serde(borrow)]
    standing: (&'a str, Option<i64>, IgnoredAny, Vec<Running<'a>>),
    decided_at: i64,
}

/// When a subject was decided and is due, and its running clocks.
pub struct Standing<'a> {
    pub decided_at: i64,
    pub due: Option<i64>,
    pub running: Vec<Running<'a>>,
}

/// That in a row; `None` where Python must look: under other rules, of a newer version, or not plain.
pub fn standing_of<'a>(row: &'a [u8], judged_by: &str, version: u32) -> Option<Standing<'a>> {
    let row: Row = serde_json::from_str(std::str::from_utf8(row).ok()?).ok()?;
    let (by, due, _, running) = row.standing;
    (row.v <= version && by == judged_by).then_some(Standing { decided_at: row.decided_at, due, running })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_when_it_is_due_and_what_runs() {
        let row = br#"{"v":2,"standing":["ab",7,[["r",null]],[["r","3201",null,3,7],["s",null,null,4,null]]],"pruned":[1,2,[]],"events":[["e"]],"decided_at":5}"#;
        let found = standing_of(row, "ab", 2).unwrap();
        assert_eq!((found.decided_at, found.due), (5, Some(7)));
        assert_eq!(found.running, [("r", Some("3201"), None, 3, Some(7)), ("s", None, None, 4, None)]);
    }

    #[test]
    fn all_else_is_left() {
        let row = r#"{"v":1,"standing":["ab",null,[],[]],"events":[],"decided_at":5}"#;
        assert!(standing_of(row.as_bytes(), "ab", 1).is_some_and(|found| found.due.is_none()));
        assert!(standing_of(row.as_bytes(), "ac", 1).is_none());
        assert!(standing_of(row.as_bytes(), "ab", 0).is_none());
        assert!(standing_of(&row.as_bytes()[..row.len() - 1], "ab", 1).is_none());
        assert!(standing_of(row.replace("[],[]", "[],[],[]").as_bytes(), "ab", 1).is_none());
        assert!(standing_of(row.replace(r#"["ab",null,[],[]]"#, "null").as_bytes(), "ab", 1).is_none());
        assert!(standing_of(row.replace("ab", r"\u0061b").as_bytes(), "ab", 1).is_none());
    }
}
