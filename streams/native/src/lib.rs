//! The native engine of gridclock. Python defines what a verdict is; here the same is worked out faster, and whatever is
//! not known here is handed back. `streams/engine` is the only caller.

#![deny(unsafe_code)]

mod alerts;
mod calendar;
mod corrections;
mod document;
mod events;
mod hashing;
mod intake;
mod kept;
mod kinds;
mod life;
mod lines;
mod live;
mod replay;
mod subject;
mod worker;

use crate::hashing::HashMap;
use memchr::memchr_iter;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::subject::SUBJECTS;

/// `(number, origin, line)` of a line that Python must judge.
type Line<'py> = (u64, u64, Bound<'py, PyBytes>);

/// What an alert is sorted by: `AlertKey` of `streams.replay.judging`.
type AlertKey = (i64, bool, i64, String, String, String, String, String);

/// One replay under one compiled rulebook. Instants are microseconds since the epoch.
#[pyclass]
struct Replay {
    inner: replay::Replay,
    found: Vec<alerts::Alert>,
    /// Those still to be given out, in order.
    ordered: std::vec::IntoIter<alerts::Alert>,
    back: HashMap<replay::Key, subject::Reason>,
    /// The subjects whose cases are still to be written, in order.
    subjects: Vec<usize>,
}

fn named((kind, id): replay::Key) -> (&'static str, String) {
    (SUBJECTS[kind as usize], String::from_utf8_lossy(&id).into_owned())
}

fn key_of((kind, id): (String, String)) -> replay::Key {
    (SUBJECTS.iter().position(|known| *known == kind).unwrap_or(0) as u8, id.into_bytes())
}

fn broken(_: Box<dyn std::any::Any + Send>) -> PyErr {
    PyRuntimeError::new_err("panic")
}

#[pymethods]
impl Replay {
    /// `rival` is the document of another rulebook, whose cases are asked for too.
    #[new]
    fn new(
        document: &[u8], rival: Option<&[u8]>, latest: i64, ends_at: Option<i64>, as_of: Option<i64>,
    ) -> PyResult<Replay> {
        let parse = |document| replay::Rulebook::parse(document).map_err(PyValueError::new_err);
        Ok(Replay {
            inner: replay::Replay::new(parse(document)?, rival.map(parse).transpose()?, latest, ends_at, as_of),
            found: Vec::new(),
            ordered: Vec::new().into_iter(),
            back: HashMap::default(),
            subjects: Vec::new(),
        })
    }

    /// Take one line; false where Python must read it.
    fn take(&mut self, line: &[u8], origin: u64) -> bool {
        self.inner.take(line, origin)
    }

    /// Take the whole lines that a text begins with, up to one that Python must read: the bytes and lines taken.
    /// `origin` is that of the line before.
    fn skim(&mut self, text: &[u8], origin: u64) -> (usize, u64) {
        let (mut from, mut count) = (0, 0);
        for end in memchr_iter(b'\n', text) {
            let mut line = &text[from..end];
            while let Some(without) = line.strip_suffix(b"\r") {
                line = without;
            }
            if !self.inner.take(line, origin + count + 1) {
                break;
            }
            from = end + 1;
            count += 1;
        }
        (from, count)
    }

    /// Take what one line says of one subject; false where Python must read it.
    fn take_for(&mut self, line: &[u8], kind: &str, id: &str) -> bool {
        SUBJECTS
            .iter()
            .position(|known| *known == kind)
            .is_some_and(|kind| self.inner.take_for(line, kind as u8, id.as_bytes()))
    }

    /// See `replay::Replay::routed`; a subject is its type and id.
    #[allow(clippy::type_complexity)]
    fn routed<'py>(
        &self, py: Python<'py>, from: usize, most: usize,
    ) -> Vec<(u64, u64, i64, &'static str, String, Bound<'py, PyBytes>)> {
        let routed = self.inner.routed(from, most);
        routed
            .map(|(number, origin, at, key, line)| {
                let (kind, id) = named(key);
                (number, origin, at, kind, id, PyBytes::new(py, line))
            })
            .collect()
    }

    #[getter]
    fn held(&self) -> usize {
        self.inner.held()
    }

    /// The subjects that are Python's, after `divide`.
    fn left(&self) -> Vec<(&'static str, String)> {
        self.inner.back().keys().cloned().map(named).collect()
    }

    /// See `replay::Replay::keep_highs`.
    fn keep_highs(&mut self) -> Vec<i64> {
        self.inner.keep_highs()
    }

    /// Forget the events held; counts stay.
    fn clear(&mut self) {
        self.inner.clear();
        self.found.clear();
        self.back.clear();
        self.subjects.clear();
    }

    /// See `replay::Replay::note`; subjects are `(type, id)`.
    fn note(&mut self, at: i64, recorded: i64, corrects: bool, subjects: Vec<(String, String)>) -> Option<u64> {
        self.inner.note(at, recorded, corrects, subjects.into_iter().map(key_of).collect())
    }

    /// See `replay::Replay::keep`.
    fn keep(&mut self, subjects: Vec<(String, String)>) -> u64 {
        self.inner.keep(subjects.into_iter().map(key_of).collect())
    }

    /// Events, after the end, not yet recorded, unwatched, out of order, late by a minute, an hour, a day.
    fn counts(&self) -> [u64; 8] {
        let counts = self.inner.counts();
        let [minute, hour, day] = counts.late;
        let other = [counts.events, counts.after_until, counts.not_yet_recorded, counts.unwatched];
        [other[0], other[1], other[2], other[3], counts.out_of_order, minute, hour, day]
    }

    #[getter]
    fn unwatched_at(&self) -> Option<i64> {
        self.inner.unwatched_at()
    }

    #[getter]
    fn highest(&self) -> i64 {
        self.inner.highest()
    }

    #[getter]
    fn memory(&self) -> usize {
        self.inner.memory()
    }

    /// Before `judge`: the instant of the last event that is not Python's so far, and the lines that are.
    fn divide<'py>(&mut self, py: Python<'py>) -> PyResult<(Option<i64>, Vec<Line<'py>>)> {
        let inner = &mut self.inner;
        let last = catch_unwind(AssertUnwindSafe(|| inner.divide())).map_err(broken)?;
        Ok((last, self.handed_back(py, self.inner.back())))
    }

    /// Judge up to an instant; the lines that Python must judge, their subjects with the reason, the number of events
    /// judged, the numbers of arrival of repeated events, and stops without a start by rule.
    #[allow(clippy::type_complexity)]
    fn judge<'py>(
        &mut self, py: Python<'py>, until: i64, threads: usize,
    ) -> PyResult<(Vec<Line<'py>>, Vec<(&'static str, String, subject::Reason)>, u64, Vec<u64>, HashMap<String, u64>)>
    {
        let inner = &self.inner;
        let judged = py.detach(|| catch_unwind(AssertUnwindSafe(|| inner.judge(until, threads)))).map_err(broken)?;
        let lines = self.handed_back(py, &judged.back);
        self.back = judged.back.clone();
        let subjects = judged.back.into_iter().map(|(key, reason)| {
            let (kind, id) = named(key);
            (kind, id, reason)
        });
        self.found = judged.alerts;
        Ok((lines, subjects.collect(), judged.judged, judged.repetitions.into_iter().collect(), judged.orphans))
    }

    /// Cases as of an instant, of so many subjects from a place on, in order: type and id of each, its lines, each with
    /// an alert on the case, and, where Python must write them instead, the lines of its events. `of_rival`: by the
    /// other rulebook.
    #[allow(clippy::type_complexity)]
    fn cases<'py>(
        &mut self, py: Python<'py>, until: i64, from: usize, most: usize, of_rival: bool,
    ) -> PyResult<Vec<(&'static str, String, Vec<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)>, Vec<Line<'py>>)>>
    {
        let inner = &self.inner;
        if from == 0 {
            self.subjects = inner.subjects(&self.back);
        }
        let chosen: Vec<usize> = self.subjects.iter().skip(from).take(most).copied().collect();
        let written = || chosen.iter().map(|subject| inner.cases(*subject, until, of_rival)).collect::<Vec<_>>();
        let written = py.detach(|| catch_unwind(AssertUnwindSafe(written))).map_err(broken)?;
        let found = chosen.iter().zip(written).map(|(subject, cases)| {
            let (kind, id) = self.inner.key(*subject);
            let left = match cases {
                None => self.inner.lines_of(*subject),
                Some(_) => Vec::new(),
            };
            let left = left.into_iter().map(|(number, origin, line)| (number, origin, PyBytes::new(py, line)));
            let cases = cases
                .into_iter()
                .flatten()
                .map(|(line, alert)| (PyBytes::new(py, line.as_bytes()), alert.map(|alert| PyBytes::new(py, &alert))));
            (SUBJECTS[kind as usize], String::from_utf8_lossy(&id).into_owned(), cases.collect(), left.collect())
        });
        Ok(found.collect())
    }

    /// All lines held, with number and origin.
    fn lines<'py>(&self, py: Python<'py>) -> Vec<Line<'py>> {
        self.inner.lines().map(|(number, origin, line)| (number, origin, PyBytes::new(py, line))).collect()
    }

    /// Add an alert of the Python engine.
    fn add(&mut self, key: AlertKey, line: Vec<u8>) {
        let (detected_at, by_event, due_at, kind_of_subject, subject, rule, kind, id) = key;
        let known = |wanted: &str, names: &[&'static str]| names.iter().find(|name| **name == wanted).copied();
        let subject_type = known(&kind_of_subject, &SUBJECTS).unwrap_or("");
        let kinds = ["warning", "breach", "late_completion", "violation", "retraction"];
        let kind = known(&kind, &kinds).unwrap_or("");
        self.found.push(alerts::Alert { detected_at, due_at, subject_type, subject, rule, kind, id, by_event, line });
    }

    /// The next alerts in order, at most so many, each as a line, and how many there are by rule and kind.
    #[allow(clippy::type_complexity)]
    fn alerts<'py>(
        &mut self, py: Python<'py>, most: usize,
    ) -> (Vec<Bound<'py, PyBytes>>, Vec<(String, &'static str, usize)>) {
        if !self.found.is_empty() {
            self.ordered = self.in_order().into_iter();
        }
        let mut counts: HashMap<(String, &'static str), usize> = HashMap::default();
        let mut lines = Vec::new();
        for mut alert in self.ordered.by_ref().take(most) {
            alert.line.push(b'\n');
            lines.push(PyBytes::new(py, &alert.line));
            *counts.entry((alert.rule, alert.kind)).or_default() += 1;
        }
        (lines, counts.into_iter().map(|((rule, kind), count)| (rule, kind, count)).collect())
    }

    /// All alerts in order: what `add` takes of each.
    fn keyed_alerts<'py>(&mut self, py: Python<'py>) -> Vec<(AlertKey, Bound<'py, PyBytes>)> {
        let found = self.in_order().into_iter();
        found
            .map(|alert| {
                let line = PyBytes::new(py, &alert.line);
                let (kind, subject_type) = (alert.kind.to_owned(), alert.subject_type.to_owned());
                let first = (alert.detected_at, alert.by_event, alert.due_at);
                ((first.0, first.1, first.2, subject_type, alert.subject, alert.rule, kind, alert.id), line)
            })
            .collect()
    }
}

impl Replay {
    fn in_order(&mut self) -> Vec<alerts::Alert> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|a, b| {
            let place = |alert: &alerts::Alert| (alert.detected_at, alert.by_event, alert.due_at, alert.subject_type);
            place(a)
                .cmp(&place(b))
                .then_with(|| (&a.subject, &a.rule, a.kind, &a.id).cmp(&(&b.subject, &b.rule, b.kind, &b.id)))
        });
        found
    }

    fn handed_back<'py>(&self, py: Python<'py>, back: &HashMap<replay::Key, subject::Reason>) -> Vec<Line<'py>> {
        let lines = self.inner.handed_back(back).into_iter();
        lines.map(|(number, origin, line)| (number, origin, PyBytes::new(py, line))).collect()
    }
}

/// The ids of the rules that a compiled rulebook's native folds know.
#[pyfunction]
fn known_rules(document: &[u8]) -> PyResult<Vec<String>> {
    Ok(replay::Rulebook::parse(document).map_err(PyValueError::new_err)?.known())
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DOCUMENT_VERSION", document::VERSION)?;
    module.add_class::<Replay>()?;
    module.add_class::<worker::Worker>()?;
    module.add_class::<worker::Subjects>()?;
    module.add_function(wrap_pyfunction!(known_rules, module)?)
}
