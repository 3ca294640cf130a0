//! The history with corrections applied; see `streams/core/history.py`.

use crate::alerts::Roots;
use crate::hashing::HashMap;
use crate::subject::Subject;

/// Nobody corrects a correction sixty times; a hostile sender might.
const LONGEST_CHAIN: usize = 60;

/// What a history comes to: its events in order, what each stands for, and when the facts were first entered.
pub struct Effective<'a> {
    pub events: Vec<usize>,
    pub roots: Roots<'a>,
    pub entered: HashMap<usize, i64>,
}

struct Claims<'a, 'b> {
    subject: &'b Subject<'a>,
    by_event: HashMap<&'a str, Vec<usize>>,
    known: HashMap<usize, bool>,
}

impl Claims<'_, '_> {
    fn of(&self, event: usize) -> Vec<usize> {
        self.by_event.get(self.subject.id_of(event)).cloned().unwrap_or_default()
    }

    /// Whether the event was ever so: false once a standing void claims it.
    fn stands(&mut self, event: usize) -> bool {
        if let Some(known) = self.known.get(&event) {
            return *known;
        }
        let stands = !self.of(event).into_iter().any(|claim| self.subject.events[claim].is_void && self.stands(claim));
        self.known.insert(event, stands);
        stands
    }
}

/// `events` are those known so far, in the order of histories.
pub fn effective<'a>(subject: &Subject<'a>, events: &[usize]) -> Effective<'a> {
    let by_id: HashMap<&str, usize> = events.iter().map(|event| (subject.id_of(*event), *event)).collect();
    let mut roots = Roots::default();
    let mut claims = Claims { subject, by_event: HashMap::default(), known: HashMap::default() };
    for &event in events {
        if let Some(corrects) = subject.corrects(event) {
            if let Some(root) = root_of(subject, event, &by_id) {
                roots.insert(subject.id_of(event), root);
                claims.by_event.entry(corrects).or_default().push(event);
            }
        }
    }
    let mut contest: HashMap<&str, Vec<usize>> = HashMap::default();
    for &event in events {
        let id = subject.id_of(event);
        let root = roots.get(id).copied().unwrap_or(id);
        let withdraws = subject.events[event].is_void && subject.corrects(event) != Some(root);
        let is_replaced = claims.of(event).into_iter().any(|claim| claims.stands(claim));
        if !withdraws && !is_replaced && claims.stands(event) {
            contest.entry(root).or_default().push(event);
        }
    }
    let mut kept = Vec::new();
    let mut entered = HashMap::default();
    for (root, claimants) in contest {
        let last = |event: &usize| (subject.events[*event].recorded, subject.id_of(*event));
        let Some(winner) = claimants.into_iter().max_by_key(|event| last(event)) else { continue };
        if subject.events[winner].is_void {
            continue;
        }
        if subject.corrects(winner).is_some() {
            // Entered when what it corrects was; where that is not known, nothing is held against it.
            let own = subject.events[winner].recorded;
            let first = by_id.get(root).map_or(subject.at(winner), |first| subject.events[*first].recorded.min(own));
            entered.insert(winner, first);
        }
        kept.push(winner);
    }
    kept.sort_unstable(); // by their place, which is the order of histories
    Effective { events: kept, roots, entered }
}

/// The id that a chain of corrections begins with; `None` where it runs in a circle or absurdly long.
fn root_of<'a>(subject: &Subject<'a>, event: usize, by_id: &HashMap<&str, usize>) -> Option<&'a str> {
    let mut seen = vec![subject.id_of(event)];
    let mut current = Some(event);
    let mut root = subject.id_of(event);
    while let Some(corrects) = current.and_then(|event| subject.corrects(event)) {
        root = corrects;
        if seen.contains(&root) || seen.len() > LONGEST_CHAIN {
            return None;
        }
        seen.push(root);
        current = by_id.get(root).copied();
    }
    Some(root)
}
