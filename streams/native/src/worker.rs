//! What Python calls for the intake and the clocks of a worker.

use crate::broken;
use crate::hashing::HashMap;
use crate::kept::KeyRef;
use crate::kinds::Spare;
use crate::places::{Place, Places};
use crate::subject::SUBJECTS;
use crate::{intake, live, replay};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Intake and clocks of a live worker under one compiled rulebook. Instants are microseconds since the epoch.
#[pyclass(frozen)]
pub struct Worker {
    pub rulebook: replay::Rulebook,
    /// The ids of the folds and the names of the event types, as Python has them.
    pub ids: Vec<Py<PyString>>,
    pub types: Vec<Py<PyString>>,
    /// Python's classes of a place, a running clock and an alert that is written.
    place: Py<PyAny>,
    running: Py<PyAny>,
    alert: Py<PyAny>,
    places: Mutex<(Places, KnownPlaces)>,
}

/// Places as Python has them, by their number.
#[derive(Default)]
pub struct KnownPlaces(Vec<KnownPlace>);

/// A place, and its endings by their outcome.
struct KnownPlace {
    place: Py<PyAny>,
    endings: Vec<(&'static str, Py<PyAny>)>,
}

#[pymethods]
impl Worker {
    #[new]
    fn new(py: Python, document: &[u8], place: Py<PyAny>, running: Py<PyAny>, alert: Py<PyAny>) -> PyResult<Worker> {
        let rulebook = replay::Rulebook::parse(document).map_err(PyValueError::new_err)?;
        let ids = rulebook.folds.iter().map(|(entry, _)| PyString::new(py, &entry.id).unbind()).collect();
        let types = rulebook.types.iter().map(|name| PyString::new(py, name).unbind()).collect();
        Ok(Worker { rulebook, ids, types, place, running, alert, places: Mutex::default() })
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
        known.learn(py, self, &places.all[known.len()..])?;
        let mut ended = Vec::with_capacity(found.ended.len());
        for (place, outcome) in found.ended {
            ended.push(known.ending(py, (place, outcome))?);
        }
        let mut running = Vec::with_capacity(found.running.len());
        for (place, started_at, deadline) in found.running {
            let place = known.place(place);
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
        let subject = named(py, placed(subject));
        let reports =
            found.reports.into_iter().map(|made| self.report(py, &subject, known.place(made.place), made, watermark));
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

/// A subject as Python has it.
pub type Named<'py> = (Bound<'py, PyString>, Bound<'py, PyString>);

pub fn named<'py>(py: Python<'py>, (kind, id): KeyRef) -> Named<'py> {
    // The ids come from Python.
    let id = std::str::from_utf8(id).unwrap_or_default();
    (PyString::intern(py, SUBJECTS[usize::from(kind)]), PyString::new(py, id))
}

impl Worker {
    /// A report as Python has it.
    pub fn report<'py>(
        &self, py: Python<'py>, subject: &Named<'py>, place: &Py<PyAny>, made: live::Made, detected_at: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (root, kind, cause) = made.key;
        let [id, case_id] = made.ids;
        let hash = partition_hash(case_id.as_bytes());
        let (started, deadline, due, stopped) = made.instants;
        let values: [Bound<'py, PyAny>; 17] = [
            id.into_bound_py_any(py)?,
            case_id.into_bound_py_any(py)?,
            PyString::intern(py, kind).into_any(),
            self.ids[made.order.1].bind(py).clone().into_any(),
            subject.into_bound_py_any(py)?,
            place.bind(py).clone(),
            due.into_bound_py_any(py)?,
            detected_at.into_bound_py_any(py)?,
            PyBytes::new(py, &made.line).into_any(),
            hash.into_bound_py_any(py)?,
            root.into_bound_py_any(py)?,
            cause.into_bound_py_any(py)?,
            started.into_bound_py_any(py)?,
            deadline.into_bound_py_any(py)?,
            stopped.into_bound_py_any(py)?,
            made.counted.0.into_bound_py_any(py)?,
            made.counted.1.into_bound_py_any(py)?,
        ];
        self.alert.bind(py).call1(PyTuple::new(py, values)?)
    }
}

impl KnownPlaces {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Have those that follow.
    pub fn learn(&mut self, py: Python, worker: &Worker, new: &[Place]) -> PyResult<()> {
        for place in new {
            let place = worker.place.call1(py, (&worker.ids[place.fold], &place.city, &place.county))?;
            self.0.push(KnownPlace { place, endings: Vec::new() });
        }
        Ok(())
    }

    pub fn place(&self, number: u32) -> &Py<PyAny> {
        &self.0[number as usize].place
    }

    pub fn ending(&mut self, py: Python, (place, outcome): live::Ending) -> PyResult<Py<PyAny>> {
        let (known, name) = (&mut self.0[place as usize], outcome.name());
        if let Some((_, ending)) = known.endings.iter().find(|(known, _)| *known == name) {
            return Ok(ending.clone_ref(py));
        }
        let ending = (&known.place, PyString::intern(py, name)).into_py_any(py)?;
        known.endings.push((name, ending.clone_ref(py)));
        Ok(ending)
    }
}

/// The hash of a key by which Kafka's clients choose a partition (murmur2), as a number that is not negative.
fn partition_hash(key: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |found, byte| found << 8 | u32::from(*byte));
    let mixed = |word: u32| {
        let word = word.wrapping_mul(MIX);
        (word ^ word >> 24).wrapping_mul(MIX)
    };
    let words = key.chunks_exact(4);
    let rest = words.remainder();
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    for word in words {
        hash = hash.wrapping_mul(MIX) ^ mixed(number(word));
    }
    if !rest.is_empty() {
        hash = (hash ^ number(rest)).wrapping_mul(MIX);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MIX);
    (hash ^ hash >> 15) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_hash_of_kafka() {
        // By org.apache.kafka.common.utils.Utils.murmur2.
        let known: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, hash) in known {
            assert_eq!(partition_hash(key), hash as u32 & 0x7fff_ffff, "{key:?}");
        }
    }
}
