//! The native engine of gridclock. Python defines what a verdict is; here the same is worked out faster, and whatever is
//! not known here is handed back. `streams/engine` is the only caller.

#![deny(unsafe_code)]

mod alerts;
mod calendar;
mod corrections;
mod document;
mod events;
mod groups;
mod hashing;
mod history;
mod intake;
mod kept;
mod kinds;
mod large_pages;
mod life;
mod lines;
mod live;
mod packed;
mod partition;
mod places;
mod replay;
mod shapes;
mod slots;
mod standing;
mod subject;
mod subjects;
mod told;
mod worker;

use crate::hashing::HashMap;
use memchr::memchr_iter;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::subject::SUBJECTS;

/// `(number, origin, line)` of a line that Python must judge.
type Line<'py> = (u64, u64, Bound<'py, PyBytes>);

/// What an alert is sorted by: `AlertKey` of `streams.replay.judging`.
type AlertKey = (i64, bool, i64, String, String, String, String, String);

/// One replay under one compiled rulebook. Instants are microseconds since the epoch.
#[pyclass]
struct Replay {
    inner: replay::Replay,
    found: alerts::Alerts,
    /// The places of those still to be given out, in order; once it is asked for.
    ordered: Option<std::vec::IntoIter<usize>>,
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

/// So many documents, each of a quarter of a megabyte, are kept with their rulebooks.
const KEPT: usize = 16;

/// The rulebooks of the latest replays, by their documents. To read one takes as long as to judge many subjects, and a
/// replay over files has a native one for each of its tasks.
#[allow(clippy::type_complexity)]
static PARSED: Mutex<VecDeque<(Vec<u8>, Option<Vec<u8>>, replay::Rulebooks)>> = Mutex::new(VecDeque::new());

fn rulebooks_of(document: &[u8], rival: Option<&[u8]>) -> Result<replay::Rulebooks, String> {
    let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., found)) = parsed.iter().find(|(own, other, _)| own == document && other.as_deref() == rival) {
        return Ok(found.clone());
    }
    let found = replay::Rulebooks::parse(document, rival)?;
    parsed.truncate(KEPT - 1);
    parsed.push_front((document.to_vec(), rival.map(<[u8]>::to_vec), found.clone()));
    Ok(found)
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
        let rulebooks = rulebooks_of(document, rival).map_err(PyValueError::new_err)?;
        Ok(Replay {
            inner: replay::Replay::new(rulebooks, latest, ends_at, as_of),
            found: alerts::Alerts::default(),
            ordered: None,
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
        self.found = alerts::Alerts::default();
        self.ordered = None;
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
        (self.found, self.ordered) = (judged.alerts, None);
        Ok((lines, subjects.collect(), judged.judged, judged.repetitions.into_iter().collect(), judged.orphans))
    }

    /// Cases as of an instant, of so many subjects from a place on, in order: type and id of each, its lines, each with
    /// its end, or `with_alerts` each line without its end and an alert on the case, where there is one; and, where
    /// Python must write them instead, the lines of its events. `of_rival`: by the other rulebook.
    #[allow(clippy::type_complexity)]
    fn cases<'py>(
        &mut self, py: Python<'py>, until: i64, some: (usize, usize), of_rival: bool, with_alerts: bool,
    ) -> PyResult<
        Vec<(
            (&'static str, String),
            Bound<'py, PyBytes>,
            Vec<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)>,
            Vec<Line<'py>>,
        )>,
    > {
        let (inner, (from, most)) = (&self.inner, some);
        if from == 0 {
            self.subjects = inner.subjects(&self.back);
        }
        let chosen: Vec<usize> = self.subjects.iter().skip(from).take(most).copied().collect();
        let written = || {
            let mut spare = kinds::Spare::default();
            let cases = |subject: &usize| inner.cases(*subject, until, of_rival, with_alerts, &mut spare);
            chosen.iter().map(cases).collect::<Vec<_>>()
        };
        let written = py.detach(|| catch_unwind(AssertUnwindSafe(written))).map_err(broken)?;
        let found = chosen.iter().zip(written).map(|(subject, cases)| {
            let left = if cases.is_none() { self.inner.lines_of(*subject) } else { Vec::new() };
            let left = left.into_iter().map(|(number, origin, line)| (number, origin, PyBytes::new(py, line)));
            let cases = cases.unwrap_or_default();
            let mut from = 0;
            let alone = cases.alerts.iter().map(|(end, alert)| {
                let line = &cases.text[std::mem::replace(&mut from, *end)..end - 1];
                (bytes(py, line), alert.as_ref().map(|alert| bytes(py, alert)))
            });
            let alone = alone.collect();
            let text: &[u8] = if with_alerts { b"" } else { &cases.text };
            (named(self.inner.key(*subject)), bytes(py, text), alone, left.collect())
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
        self.found.add((detected_at, due_at, by_event), (subject_type, kind), [&subject, &rule, &id], |text| {
            text.put(&line);
            Some(None)
        });
    }

    /// The next alerts in order, at most so many, each as a line, and how many there are by rule and kind.
    #[allow(clippy::type_complexity)]
    fn alerts<'py>(
        &mut self, py: Python<'py>, most: usize,
    ) -> (Vec<Bound<'py, PyBytes>>, Vec<(String, &'static str, usize)>) {
        let found = &self.found;
        let ordered = self.ordered.get_or_insert_with(|| found.in_order().into_iter());
        let mut counts: HashMap<(&[u8], &'static str), usize> = HashMap::default();
        let mut given = Vec::with_capacity(most.min(ordered.len()));
        let mut line = lines::Text::default();
        for place in ordered.take(most) {
            let alert = &found.all[place];
            let [_, rule, _] = found.texts(alert);
            line.truncate(0);
            found.write(alert, &mut line);
            line.push_str("\n");
            given.push(bytes(py, &line));
            *counts.entry((rule, alert.kind)).or_default() += 1;
        }
        let counts = counts.into_iter().map(|((rule, kind), count)| (string(rule), kind, count)).collect();
        if ordered.len() == 0 {
            self.found = alerts::Alerts::default(); // cases may take the memory
        }
        (given, counts)
    }

    /// All alerts in order: what `add` takes of each.
    fn keyed_alerts<'py>(&mut self, py: Python<'py>) -> Vec<(AlertKey, Bound<'py, PyBytes>)> {
        let found = std::mem::take(&mut self.found);
        let keyed = found.in_order().into_iter().map(|place| {
            let alert = &found.all[place];
            let [subject, rule, id] = found.texts(alert);
            let mut line = lines::Text::default();
            found.write(alert, &mut line);
            let [kind, subject_type] = [alert.kind, alert.subject_type].map(str::to_owned);
            let [subject, rule, id] = [subject, rule, id].map(string);
            let first = (alert.detected_at, alert.by_event, alert.due_at);
            let key = (first.0, first.1, first.2, subject_type, subject, rule, kind, id);
            (key, bytes(py, &line))
        });
        keyed.collect()
    }
}

fn bytes<'py>(py: Python<'py>, text: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, text)
}

fn string(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Replay {
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
    module.add_class::<subjects::Subjects>()?;
    module.add_function(wrap_pyfunction!(known_rules, module)?)
}
