//! What Python calls for the subjects of a partition that are kept here; `streams/engine/subjects.py` is its only user.
//!
//! The lock is for calls from another thread, which counts clocks: while it is held, no code of Python runs.

use crate::broken;
use crate::hashing::{HashMap, HashSet};
use crate::kept::{Given, Kept, Key, KeyRef, Pruned, Stored, Withdrawn};
use crate::live::{Ending, ReportKey, entries_of, read_one};
use crate::partition::{Partition, Taken, Times};
use crate::places::Place;
use crate::standing::standing_of;
use crate::subject::SUBJECTS;
use crate::worker::{KnownPlaces, Named, Worker, named, placed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See `partition.rs`. A subject is given by its type and id, a place of a running clock by its number, where `all_places`
/// has it.
#[pyclass(frozen)]
pub struct Subjects {
    worker: Py<Worker>,
    inner: Mutex<Partition>,
    /// The places of the partition; for the thread that decides.
    places: Mutex<KnownPlaces>,
}

/// Reports as a row has them, and their keys; those withdrawn likewise, each with how often.
type WrittenReports = (Vec<u8>, Vec<ReportKey>, Vec<u8>, Vec<(ReportKey, u32)>);

/// Until when, of each event the rules, and these as a row has them.
type WrittenPruned = (Option<i64>, Vec<(String, Vec<String>)>, Vec<u8>);

/// A key of the state and its row.
type StoredRow<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Type and id of the subject, origin and event of an entry.
type Entry<'py> = (Bound<'py, PyString>, Bound<'py, PyString>, Bound<'py, PyString>, Bound<'py, PyBytes>);

fn all_named<'py>(py: Python<'py>, keys: Vec<Key>) -> Vec<Named<'py>> {
    keys.iter().map(|(kind, id)| named(py, (*kind, id))).collect()
}

impl Subjects {
    fn inner(&self) -> MutexGuard<'_, Partition> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All places of the partition as Python has them. Its classes are called here, so the partition is not locked.
    fn places(&self, py: Python) -> PyResult<MutexGuard<'_, KnownPlaces>> {
        let mut known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let new = self.inner().places.all[known.len()..].to_vec();
        known.learn(py, self.worker.get(), &new)?;
        Ok(known)
    }
}

#[pymethods]
impl Subjects {
    #[new]
    fn new(worker: Py<Worker>) -> Subjects {
        Subjects { worker, inner: Mutex::default(), places: Mutex::default() }
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.inner().len()
    }

    /// Take an event as it is written: what has become of it; see `Taken`.
    fn take(&self, subject: (&str, &str), raw: &[u8], watermark: i64, keep_for: Option<i64>) -> u8 {
        let times = Times { watermark, keep_for, prunes: None };
        let rulebook = &self.worker.get().rulebook;
        let Ok(came) = catch_unwind(|| read_one(rulebook, raw)) else { return Taken::Failed as u8 };
        self.inner().take(placed(subject), came, times).0 as u8
    }

    /// Take the entries of a record of the log as it is written, but not those for `theirs`: how many events of each type
    /// had which result, the entries that are left, and how often it failed. `None` where Python must read it.
    #[allow(clippy::type_complexity)]
    fn take_written<'py>(
        &self, py: Python<'py>, record: &[u8], theirs: &Bound<'py, PyAny>, watermark: i64, keep_for: Option<i64>,
    ) -> PyResult<Option<(Vec<(u8, &Py<PyString>, usize)>, Vec<Entry<'py>>, usize)>> {
        let worker = self.worker.get();
        let rulebook = &worker.rulebook;
        let times = Times { watermark, keep_for, prunes: None };
        let Some(entries) = catch_unwind(|| entries_of(rulebook, record)).map_err(broken)? else {
            return Ok(None);
        };
        let mut counts: Vec<(u8, usize, usize)> = Vec::new();
        let mut lefts: HashSet<KeyRef> = HashSet::default();
        let (mut entries_left, mut failures) = (Vec::new(), 0);
        for entry in entries {
            let key = placed((entry.kind, entry.id));
            let is_theirs = !self.inner().has(key) && theirs.contains((entry.kind, entry.id))?;
            let is_left = is_theirs || lefts.contains(&key);
            let taken = if is_left { (Taken::Left, 0) } else { self.inner().take(key, entry.came, times) };
            match taken {
                (Taken::Left | Taken::Failed | Taken::AtRest, _) => {
                    failures += usize::from(matches!(taken.0, Taken::Failed));
                    lefts.insert(key);
                    entries_left.push((
                        PyString::new(py, entry.kind),
                        PyString::new(py, entry.id),
                        PyString::new(py, entry.origin),
                        PyBytes::new(py, entry.event),
                    ));
                }
                (taken, event_type) => {
                    match counts.iter_mut().find(|known| (known.0, known.1) == (taken as u8, event_type)) {
                        Some(known) => known.2 += 1,
                        None => counts.push((taken as u8, event_type, 1)),
                    }
                }
            }
        }
        let counts = counts.into_iter().map(|(taken, event_type, n)| (taken, &worker.types[event_type], n)).collect();
        Ok(Some((counts, entries_left, failures)))
    }

    /// Decide some of the subjects whose turn it is: the reports to be made; the subjects that Python must decide, must load first, and must prune; how often it failed, and whether no more are to be decided.
    #[allow(clippy::type_complexity)]
    fn decide<'py>(
        &self, py: Python<'py>, watermark: i64, keep_for: Option<i64>, prunes: Option<i64>, at_most: usize,
    ) -> PyResult<(Vec<Bound<'py, PyAny>>, [Vec<Named<'py>>; 3], usize, bool)> {
        let worker = self.worker.get();
        let step = self.inner().decide(&worker.rulebook, Times { watermark, keep_for, prunes }, at_most);
        let places = self.places(py)?;
        let mut reports = Vec::new();
        for ((kind, id), made) in step.reports {
            let subject = named(py, (kind, &id));
            for made in made {
                reports.push(worker.report(py, &subject, places.place(made.place), made, watermark)?);
            }
        }
        let named = [step.left, step.at_rest, step.to_prune].map(|keys| all_named(py, keys));
        Ok((reports, named, step.failures, step.is_done))
    }

    /// See `Partition::forget`.
    fn forget<'py>(
        &self, py: Python<'py>, watermark: i64, keep_for: Option<i64>,
    ) -> (Vec<Named<'py>>, Vec<Named<'py>>) {
        let times = Times { watermark, keep_for, prunes: None };
        let (to_ask, at_rest) = self.inner().forget(&self.worker.get().rulebook, times);
        (all_named(py, to_ask), all_named(py, at_rest))
    }

    /// What has ended and what has not after all, each as often as it did, and how many more clocks are running, since it
    /// was last asked.
    #[allow(clippy::type_complexity)]
    fn take_counts(&self, py: Python) -> PyResult<([Vec<(Py<PyAny>, i64)>; 2], i64)> {
        let counts = std::mem::take(&mut self.inner().counts);
        let mut places = self.places(py)?;
        let mut list = |of: HashMap<Ending, i64>| {
            of.into_iter().map(|(ending, count)| Ok((places.ending(py, ending)?, count))).collect::<PyResult<_>>()
        };
        Ok(([list(counts.ended)?, list(counts.reopened)?], counts.clocks))
    }

    /// All places: rule, city and county; also from another thread.
    fn all_places(&self) -> Vec<(&Py<PyString>, Option<String>, Option<String>)> {
        let ids = &self.worker.get().ids;
        let inner = self.inner();
        let of = inner.places.all.iter();
        of.map(|place| (&ids[place.fold], place.city.clone(), place.county.clone())).collect()
    }

    /// All changed rows with their keys, `None` where a subject was dropped; and the subjects whose row Python must make.
    /// `judged_by` is a JSON text; a key is the prefix, the subject's type, a slash and its id.
    #[allow(clippy::type_complexity)]
    fn rows<'py>(
        &self, py: Python<'py>, judged_by: &[u8], prefix: &[u8],
    ) -> (Vec<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)>, Vec<Named<'py>>) {
        let (mut rows, mut key) = (Vec::new(), prefix.to_vec());
        let left = self.inner().rows(&self.worker.get().rulebook, judged_by, |(kind, id), row| {
            key.truncate(prefix.len());
            [SUBJECTS[usize::from(kind)].as_bytes(), b"/", id].into_iter().for_each(|part| key.extend_from_slice(part));
            rows.push((PyBytes::new(py, &key), row.map(|row| PyBytes::new(py, row))));
        });
        (rows, all_named(py, left))
    }

    /// Its row; `None` where it has one by Python only.
    fn row<'py>(&self, py: Python<'py>, subject: (&str, &str), judged_by: &[u8]) -> Option<Bound<'py, PyBytes>> {
        let row = self.inner().row(&self.worker.get().rulebook, placed(subject), judged_by);
        row.map(|row| PyBytes::new(py, &row))
    }

    /// See `Partition::load`, `Stored` and `Pruned`. `decided` is when it was decided, the number of events at which pruning
    /// was looked at, and when it is due. The subject must not be known here, or be at rest.
    fn load(
        &self, subject: (&str, &str), events: Vec<Vec<u8>>, reports: WrittenReports,
        decided: (i64, usize, Option<i64>), pruned: WrittenPruned, expires: Option<i64>,
    ) -> PyResult<bool> {
        let rulebook = &self.worker.get().rulebook;
        let (told, reported, withdrawn, times) = reports;
        let withdrawn = Withdrawn { times, written: withdrawn };
        let ((decided_at, looked_at, due), (until, only, written)) = (decided, pruned);
        let places = |rules: Vec<String>| -> Vec<usize> {
            let folds = rulebook.folds.iter().enumerate();
            folds.filter(|(_, (entry, _))| rules.contains(&entry.id)).map(|(place, _)| place).collect()
        };
        let only = only.into_iter().map(|(event, rules)| (event.into_bytes().into(), places(rules))).collect();
        let pruned = Pruned { until, only, written };
        let stored = Stored { events, told, reported, withdrawn, decided_at, looked_at, due, pruned };
        let load = || self.inner().load(rulebook, placed(subject), stored, expires);
        catch_unwind(AssertUnwindSafe(load)).map_err(broken)
    }

    /// Have the subjects of rows at rest, as far as they were decided by a watermark; the rows that are left. See
    /// `standing_of`; a key is the prefix, the subject's type, a slash and its id.
    fn add_rows<'py>(
        &self, rows: Vec<StoredRow<'py>>, prefix: &[u8], judged_by: &str, version: u32, watermark: i64,
        keep_for: Option<i64>,
    ) -> Vec<StoredRow<'py>> {
        let rulebook = &self.worker.get().rulebook;
        let mut inner = self.inner();
        let mut add = |(key, row): &StoredRow| {
            let (kind, id) = std::str::from_utf8(key.as_bytes().strip_prefix(prefix)?).ok()?.split_once('/')?;
            let found = standing_of(row.as_bytes(), judged_by, version)?;
            (SUBJECTS.contains(&kind) && found.decided_at <= watermark).then_some(())?;
            let mut clocks = Vec::with_capacity(found.running.len());
            for (rule, city, county, start, deadline) in found.running {
                let fold = rulebook.folds.iter().position(|(entry, _)| entry.id == rule)?;
                let (city, county) = (city.map(str::to_owned), county.map(str::to_owned));
                let place = inner.places.number(Place { fold, city, county });
                inner.places.is_plain(place).then_some(())?;
                clocks.push((place, start, deadline));
            }
            // Where it is due it has an expiry from when it is decided then.
            let expires = keep_for.map(|keep_for| found.decided_at + keep_for).filter(|_| found.due.is_none());
            inner.add_resting(placed((kind, id)), found.due, &clocks, expires);
            Some(())
        };
        rows.into_iter().filter(|row| !matches!(catch_unwind(AssertUnwindSafe(|| add(row))), Ok(Some(())))).collect()
    }

    /// See `Partition::rest`.
    fn rest(&self, at_most: usize) {
        self.inner().rest(at_most);
    }

    fn is_at_rest(&self, subject: (&str, &str)) -> bool {
        self.inner().is_at_rest(placed(subject))
    }

    /// Take out a subject that is at rest: whether it has an expiry.
    fn remove_resting(&self, subject: (&str, &str)) -> bool {
        self.inner().remove_resting(placed(subject))
    }

    /// Have a subject decided at the next step.
    fn touch(&self, subject: (&str, &str)) {
        self.inner().touch(placed(subject));
    }

    /// Give a subject back; see `Given`.
    fn remove(&self, subject: (&str, &str)) -> Option<Given> {
        self.inner().remove(placed(subject)).map(Kept::given)
    }

    /// All of them.
    fn subjects<'py>(&self, py: Python<'py>) -> Vec<Named<'py>> {
        self.inner().keys().map(|key| named(py, key)).collect()
    }

    /// See `Partition::concerned`.
    fn concerned<'py>(&self, py: Python<'py>, at: i64, with_expiries: bool) -> Vec<Named<'py>> {
        let keys = self.inner().concerned(at, with_expiries);
        all_named(py, keys)
    }

    /// The next instant at which time alone changes a verdict.
    fn next_due(&self) -> Option<i64> {
        self.inner().next_due()
    }

    /// All running clocks, by place: when those with a deadline were started and when they end, as native integers of
    /// eight bytes, and the number of the others.
    fn running<'py>(&self, py: Python<'py>) -> Vec<(u32, Bound<'py, PyBytes>, Bound<'py, PyBytes>, usize)> {
        let mut by_place: Vec<(Vec<u8>, Vec<u8>, usize)> = Vec::new();
        {
            let inner = self.inner();
            by_place.resize_with(inner.places.all.len(), Default::default);
            for (place, start, deadline) in inner.running() {
                let of = &mut by_place[place as usize];
                match deadline {
                    Some(deadline) => {
                        of.0.extend_from_slice(&start.to_ne_bytes());
                        of.1.extend_from_slice(&deadline.to_ne_bytes());
                    }
                    None => of.2 += 1,
                }
            }
        }
        let places = by_place.into_iter().enumerate().filter(|(_, of)| !of.0.is_empty() || of.2 > 0);
        places.map(|(n, of)| (n as u32, PyBytes::new(py, &of.0), PyBytes::new(py, &of.1), of.2)).collect()
    }
}
