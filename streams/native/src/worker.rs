//! What Python calls for the intake and the clocks of a worker.

use crate::broken;
use crate::hashing::HashMap;
use crate::kinds::Spare;
use crate::places::Places;
use crate::subject::SUBJECTS;
use crate::{intake, live, replay};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Intake and clocks of a live worker under one compiled rulebook. Instants are microseconds since the epoch.
#[pyclass(frozen)]
pub struct Worker {
    pub rulebook: replay::Rulebook,
    /// The ids of the folds and the names of the event types, as Python has them.
    pub ids: Vec<Py<PyString>>,
    pub types: Vec<Py<PyString>>,
    /// Python's classes of a place and of a running clock.
    place: Py<PyAny>,
    running: Py<PyAny>,
    places: Mutex<(Places, Vec<KnownPlace>)>,
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

    /// Append the entries of records from the first on, as `intake::entries` makes them, to the lists of their
    /// partitions, up to a record that Python must decode or route. A record is its offset, its value and the last
    /// instant that its event may have, if it has one. The place where it ends, how many events of which type there
    /// were, and how many of them nothing watches; `None` where the first is Python's.
    #[allow(clippy::type_complexity)]
    fn route<'py>(
        &self, py: Python<'py>, records: &Bound<'py, PyList>, first: usize, source: &str, entries: &Bound<'py, PyList>,
    ) -> PyResult<Option<(usize, Vec<(&Py<PyString>, u32)>, u32)>> {
        let lists = entries.iter().map(|list| Ok(list.cast_into::<PyList>()?)).collect::<PyResult<Vec<_>>>()?;
        let (mut counts, mut unwatched, mut end) = (vec![0; self.types.len()], 0, first);
        for record in records.iter().skip(first) {
            let (offset, value, latest): (i64, Bound<'py, PyBytes>, Option<i64>) = record.extract()?;
            let Some(latest) = latest else { break };
            let origin = format!("{source}/{offset}");
            let route =
                || intake::entries(&self.rulebook, value.as_bytes(), latest, origin.as_bytes(), lists.len() as u32);
            let (event_type, found) = match catch_unwind(AssertUnwindSafe(route)) {
                Ok(Some(routed)) => routed,
                Err(panic) if end == first => return Err(broken(panic)),
                _ => break,
            };
            counts[event_type] += 1;
            unwatched += u32::from(found.is_empty());
            for (partition, entry) in found {
                lists[partition as usize].append(PyBytes::new(py, &entry))?;
            }
            end += 1;
        }
        let counted = self.types.iter().zip(counts).filter(|(_, count)| *count > 0).collect();
        Ok((end > first).then_some((end, counted, unwatched)))
    }

    /// See `live::is_idle`; the reason where Python must tell.
    fn is_idle<'py>(&self, py: Python<'py>, subject: (&str, &str), text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let ask = || {
            let (list, fields) = live::read(&self.rulebook, text)?;
            let events = live::Events { list: &list, fields: &fields, text };
            live::is_idle(&self.rulebook, placed(subject), events, &live::Only::new(), &mut Spare::default())
        };
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
            dues: dues.into(),
            watermark,
            pruned_until,
            only: &live::Only::new(),
            reported: &reported,
            withdrawn: &withdrawn,
            since,
        };
        let mut places = self.places.lock().map_err(|_| PyRuntimeError::new_err("panic"))?;
        let (places, known) = &mut *places;
        let decide = || {
            let (list, fields) = live::read(&self.rulebook, text)?;
            let events = live::Events { list: &list, fields: &fields, text };
            live::decide(&self.rulebook, places, asked, events, &mut Spare::default())
        };
        let found = match catch_unwind(AssertUnwindSafe(decide)).map_err(broken)? {
            Ok(found) => found,
            Err(reason) => return reason.into_bound_py_any(py),
        };
        for place in &places.all[known.len()..] {
            known.push(KnownPlace::new(&self.place, (&self.ids[place.fold], &place.city, &place.county), py)?);
        }
        let mut ended = Vec::with_capacity(found.ended.len());
        for (place, outcome) in found.ended {
            ended.push(known[place as usize].ending(py, outcome.name())?);
        }
        let mut running = Vec::with_capacity(found.running.len());
        for (place, started_at, deadline) in found.running {
            let place = &known[place as usize].place;
            running.push(self.running.call1(py, (place, started_at, deadline))?);
        }
        let asked: Vec<_> = found.asked.iter().map(|fold| &self.ids[*fold]).collect();
        let place_of = |number: u32| &places.all[number as usize];
        let open: Vec<_> =
            found.open.into_iter().map(|place| (&self.ids[place_of(place).fold], &place_of(place).city)).collect();
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
        (found.dues.into_map(), asked, ended, running, open, reports, looked, cases).into_bound_py_any(py)
    }
}

/// A subject by the place of its type.
pub fn placed<'a>((kind, id): (&str, &'a str)) -> (u8, &'a [u8]) {
    (SUBJECTS.iter().position(|known| *known == kind).unwrap_or(usize::MAX) as u8, id.as_bytes())
}

impl Worker {
    /// A report with its key, the alert, its instants and lengths of time.
    pub fn report<'py>(&self, py: Python<'py>, made: live::Made) -> PyResult<Bound<'py, PyAny>> {
        let (root, kind, cause) = made.key;
        let key = (&self.ids[made.order.1], root, kind, cause);
        (key, PyBytes::new(py, &made.line), made.instants, made.counted).into_bound_py_any(py)
    }
}

impl KnownPlace {
    /// `class` is Python's; of the rule, the city and the county.
    fn new(
        class: &Py<PyAny>, place: (&Py<PyString>, &Option<String>, &Option<String>), py: Python,
    ) -> PyResult<KnownPlace> {
        Ok(KnownPlace { place: class.call1(py, place)?, endings: HashMap::default() })
    }

    fn ending(&mut self, py: Python, outcome: &'static str) -> PyResult<Py<PyAny>> {
        if !self.endings.contains_key(outcome) {
            self.endings.insert(outcome, (&self.place, PyString::intern(py, outcome)).into_py_any(py)?);
        }
        Ok(self.endings[outcome].clone_ref(py))
    }
}
