//! What Python calls for the intake and the clocks of a worker.

use crate::broken;
use crate::hashing::HashMap;
use crate::kept::{self, Change, Given};
use crate::subject::SUBJECTS;
use crate::{intake, live, replay};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Intake and clocks of a live worker under one compiled rulebook. Instants are microseconds since the epoch.
#[pyclass(frozen)]
pub struct Worker {
    rulebook: replay::Rulebook,
    /// The ids of the folds and the names of the event types, as Python has them.
    ids: Vec<Py<PyString>>,
    types: Vec<Py<PyString>>,
    /// Python's classes of a place and of a running clock.
    place: Py<PyAny>,
    running: Py<PyAny>,
    places: Mutex<HashMap<live::Place, KnownPlace>>,
}

/// A place as Python has it, and its endings by their outcome.
struct KnownPlace {
    place: Py<PyAny>,
    endings: HashMap<&'static str, Py<PyAny>>,
}

#[pymethods]
impl Worker {
    #[new]
    fn new(py: Python, document: &[u8], place: Py<PyAny>, running: Py<PyAny>) -> PyResult<Worker> {
        let rulebook = replay::Rulebook::parse(document).map_err(PyValueError::new_err)?;
        let ids = rulebook.folds.iter().map(|(entry, _)| PyString::new(py, &entry.id).unbind()).collect();
        let types = rulebook.types.iter().map(|name| PyString::new(py, name).unbind()).collect();
        Ok(Worker { rulebook, ids, types, place, running, places: Mutex::default() })
    }

    /// See `intake::entries`: the name of the event type, and the entries.
    #[allow(clippy::type_complexity)]
    fn entries<'py>(
        &self, py: Python<'py>, line: &[u8], latest: i64, origin: &str, partitions: u32,
    ) -> PyResult<Option<(&Py<PyString>, Vec<(u32, Bound<'py, PyBytes>)>)>> {
        let route = || intake::entries(&self.rulebook, line, latest, origin.as_bytes(), partitions);
        let Some((event_type, found)) = catch_unwind(AssertUnwindSafe(route)).map_err(broken)? else { return Ok(None) };
        let entries = found.into_iter().map(|(partition, entry)| (partition, PyBytes::new(py, &entry)));
        Ok(Some((&self.types[event_type], entries.collect())))
    }

    /// See `live::is_idle`; the reason where Python must tell.
    fn is_idle<'py>(&self, py: Python<'py>, subject: (&str, &str), text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let ask = || live::is_idle(&self.rulebook, placed(subject), text);
        match catch_unwind(AssertUnwindSafe(ask)).map_err(broken)? {
            Ok(is_idle) => is_idle.into_bound_py_any(py),
            Err(reason) => reason.into_bound_py_any(py),
        }
    }

    /// See `live::decide`. `events` are those of the text, of which the results name some; `when` are its `counted`,
    /// `watermark`, `pruned_until` and `since`, `known` its `dues`, `reported` and `withdrawn`. The reason where Python
    /// must decide; else the parts of a decision, with rules by their id.
    #[allow(clippy::type_complexity)]
    fn decide<'py>(
        &self, py: Python<'py>, subject: (&str, &str), events: &Bound<'py, PyList>, text: &[u8],
        when: (Option<usize>, i64, Option<i64>, Option<i64>),
        known: (HashMap<usize, i64>, Vec<live::ReportKey>, Vec<(live::ReportKey, u32)>),
    ) -> PyResult<Bound<'py, PyAny>> {
        let ((counted, watermark, pruned_until, since), (dues, reported, withdrawn)) = (when, known);
        let asked = live::Asked {
            subject: placed(subject),
            counted,
            dues,
            watermark,
            pruned_until,
            reported: &reported,
            withdrawn: &withdrawn,
            since,
        };
        let decide = || live::decide(&self.rulebook, asked, text);
        let found = match catch_unwind(AssertUnwindSafe(decide)).map_err(broken)? {
            Ok(found) => found,
            Err(reason) => return reason.into_bound_py_any(py),
        };
        let mut places = self.places.lock().map_err(|_| PyRuntimeError::new_err("panic"))?;
        let mut ended = Vec::with_capacity(found.ended.len());
        for (place, outcome) in found.ended {
            ended.push(self.known(py, &mut places, place)?.ending(py, outcome.name())?);
        }
        let mut running = Vec::with_capacity(found.running.len());
        for (place, started_at, deadline) in found.running {
            let place = &self.known(py, &mut places, place)?.place;
            running.push(self.running.call1(py, (place, started_at, deadline))?);
        }
        let asked: Vec<_> = found.asked.iter().map(|fold| &self.ids[*fold]).collect();
        let open: Vec<_> = found.open.into_iter().map(|place| (&self.ids[place.fold], place.city)).collect();
        let case = |case: live::Case| -> PyResult<_> {
            let anchor = events.get_item(case.anchor)?;
            let evidence: Vec<_> =
                case.evidence.into_iter().map(|event| events.get_item(event)).collect::<PyResult<_>>()?;
            Ok((case.rule, anchor, case.outcome.name(), case.times, case.pauses, case.is_provisional, evidence))
        };
        let reports = found.reports.into_iter().map(|made| self.report(py, made));
        let reports: Vec<_> = reports.collect::<PyResult<_>>()?;
        let looked: Vec<_> = found.looked.iter().map(|fold| &self.ids[*fold]).collect();
        let written = |(fold, root, written): (usize, String, live::Case)| -> PyResult<_> {
            Ok(((&self.ids[fold], root), case(written)?))
        };
        let cases: Vec<_> = found.cases.into_iter().map(written).collect::<PyResult<_>>()?;
        (found.dues, asked, ended, running, open, reports, looked, cases).into_bound_py_any(py)
    }
}

/// A subject by the place of its type.
fn placed<'a>((kind, id): (&str, &'a str)) -> (u8, &'a [u8]) {
    (SUBJECTS.iter().position(|known| *known == kind).unwrap_or(usize::MAX) as u8, id.as_bytes())
}

impl Worker {
    fn place_of(&self, py: Python, key: &live::Place) -> PyResult<KnownPlace> {
        let place = self.place.call1(py, (&self.ids[key.fold], &key.city, &key.county))?;
        Ok(KnownPlace { place, endings: HashMap::default() })
    }

    /// A report with its key, the alert, its instants and lengths of time.
    fn report<'py>(&self, py: Python<'py>, made: live::Made) -> PyResult<Bound<'py, PyAny>> {
        let (root, kind, cause) = made.key;
        let key = (&self.ids[made.order.1], root, kind, cause);
        (key, PyBytes::new(py, &made.line), made.instants, made.counted).into_bound_py_any(py)
    }

    fn known<'a>(
        &self, py: Python, places: &'a mut HashMap<live::Place, KnownPlace>, place: live::Place,
    ) -> PyResult<&'a mut KnownPlace> {
        Ok(match places.entry(place) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let known = self.place_of(py, new.key())?;
                new.insert(known)
            }
        })
    }
}

impl KnownPlace {
    fn ending(&mut self, py: Python, outcome: &'static str) -> PyResult<Py<PyAny>> {
        if !self.endings.contains_key(outcome) {
            self.endings.insert(outcome, (&self.place, PyString::intern(py, outcome)).into_py_any(py)?);
        }
        Ok(self.endings[outcome].clone_ref(py))
    }
}

/// The subjects of one partition that are kept here; see `kept.rs`. A subject is given by its type and id.
#[pyclass]
pub struct Subjects {
    worker: Py<Worker>,
    inner: kept::Subjects,
    /// The places of `inner`, by their numbers.
    places: Vec<KnownPlace>,
}

#[pymethods]
impl Subjects {
    #[new]
    fn new(worker: Py<Worker>) -> Subjects {
        Subjects { worker, inner: kept::Subjects::default(), places: Vec::new() }
    }

    /// See `kept::Subjects::add`.
    fn add(&mut self, subject: (&str, &str), event: &[u8]) -> PyResult<Option<bool>> {
        let (inner, rulebook) = (&mut self.inner, &self.worker.get().rulebook);
        catch_unwind(AssertUnwindSafe(|| inner.add(rulebook, key_of(subject), event))).map_err(broken)
    }

    /// The due instant, what has ended and what has not after all, the open cases and running clocks where they have
    /// changed, the reports to be made, and whether Python must prune it; the reason where Python must decide.
    fn decide<'py>(
        &mut self, py: Python<'py>, subject: (&str, &str), watermark: i64, prunes: Option<(i64, Option<i64>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (inner, rulebook, key) = (&mut self.inner, &self.worker.get().rulebook, key_of(subject));
        let decide = || inner.decide(rulebook, &key, watermark, prunes);
        match catch_unwind(AssertUnwindSafe(decide)).map_err(broken)? {
            Ok(change) => self.given(py, change),
            Err(reason) => reason.into_bound_py_any(py),
        }
    }

    /// Add to the reports that were made, as a row has them.
    fn add_reports(&mut self, subject: (&str, &str), told: &[u8]) {
        if let Some(kept) = self.inner.get(&key_of(subject)) {
            kept.add_reports(told);
        }
    }

    /// See `kept::Subjects::load`.
    fn load(
        &mut self, subject: (&str, &str), events: Vec<Vec<u8>>, reports: (Vec<u8>, Vec<live::ReportKey>),
        decided: (i64, usize),
    ) -> PyResult<bool> {
        let (inner, rulebook) = (&mut self.inner, &self.worker.get().rulebook);
        let (told, reported) = reports;
        let load = || inner.load(rulebook, key_of(subject), &events, (&told, reported), decided);
        catch_unwind(AssertUnwindSafe(load)).map_err(broken)
    }

    /// Its row; `None` where it has one by Python only. `judged_by` is a JSON text.
    fn row<'py>(
        &self, py: Python<'py>, subject: (&str, &str), judged_by: &[u8], due: Option<i64>,
    ) -> Option<Bound<'py, PyBytes>> {
        let row = self.inner.row(&self.worker.get().rulebook, &key_of(subject), judged_by, due);
        row.map(|row| PyBytes::new(py, &row))
    }

    /// The instant of its last event.
    fn last_at(&mut self, subject: (&str, &str)) -> Option<i64> {
        self.inner.get(&key_of(subject)).map(|kept| kept.last_at())
    }

    /// Whether no case is open and none of its events matters any more; the reason where Python must tell.
    fn is_idle<'py>(&self, py: Python<'py>, subject: (&str, &str)) -> PyResult<Bound<'py, PyAny>> {
        let ask = || self.inner.is_idle(&self.worker.get().rulebook, &key_of(subject));
        match catch_unwind(AssertUnwindSafe(ask)).map_err(broken)? {
            Ok(is_idle) => is_idle.into_bound_py_any(py),
            Err(reason) => reason.into_bound_py_any(py),
        }
    }

    /// Give a subject back; see `Given`.
    fn remove(&mut self, subject: (&str, &str)) -> Option<Given> {
        self.inner.remove(&key_of(subject)).map(kept::Kept::given)
    }
}

impl Subjects {
    fn given<'py>(&mut self, py: Python<'py>, change: Change) -> PyResult<Bound<'py, PyAny>> {
        let worker = self.worker.get();
        for place in &self.inner.places.all[self.places.len()..] {
            self.places.push(worker.place_of(py, place)?);
        }
        let mut endings = |endings: Vec<kept::Ending>| -> PyResult<Vec<_>> {
            endings.into_iter().map(|(place, how)| self.places[place as usize].ending(py, how.name())).collect()
        };
        let (ended, reopened) = (endings(change.ended)?, endings(change.reopened)?);
        let case = |place: u32| {
            let place = &self.inner.places.all[place as usize];
            (&worker.ids[place.fold], &place.city).into_bound_py_any(py)
        };
        let open = change.open.map(|open| open.into_iter().map(case).collect::<PyResult<Vec<_>>>()).transpose()?;
        let clock = |(place, start, deadline): kept::Clock| {
            worker.running.call1(py, (&self.places[place as usize].place, start, deadline))
        };
        let running = change.running.map(|all| all.into_iter().map(clock).collect::<PyResult<Vec<_>>>()).transpose()?;
        let reports = change.reports.into_iter().map(|made| worker.report(py, made));
        let reports = reports.collect::<PyResult<Vec<_>>>()?;
        (change.due, ended, reopened, open, running, reports, change.is_to_prune).into_bound_py_any(py)
    }
}

fn key_of((kind, id): (&str, &str)) -> kept::Key {
    let (kind, id) = placed((kind, id));
    (kind, id.into())
}
