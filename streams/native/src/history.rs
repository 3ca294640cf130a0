//! The events of one subject between its decisions: as they are written, and what was read from them.

use crate::events::{Event, Field, Span};
use crate::live::Events;

/// An event that has come: what was read from it, and how it is written. Its spans are parts of that.
pub struct Came {
    pub event: Event,
    pub fields: Vec<Field>,
    pub raw: Box<[u8]>,
}

impl Came {
    pub fn id(&self) -> &[u8] {
        self.event.id.of(&self.raw)
    }

    /// What orders events in histories.
    fn order(&self) -> (i64, i64, &[u8]) {
        (self.event.at, self.event.recorded, self.id())
    }
}

/// The events that a subject was decided with.
#[derive(Clone)]
pub struct History {
    /// The JSON list of them, in the order of histories.
    pub text: Vec<u8>,
    /// In the same order. Their spans are parts of the text; `line` is the event itself.
    pub events: Vec<Event>,
    /// Of all of them.
    pub fields: Vec<Field>,
    /// Whether all folds begin again at the next decision.
    pub begins_again: bool,
    /// Whether one of them corrects another or is void.
    pub is_corrected: bool,
}

/// How a history was before some events were put into it.
pub enum Mark {
    /// They came after all others: the lengths of its lists.
    Ends {
        text: usize,
        events: usize,
        fields: usize,
        begins_again: bool,
        is_corrected: bool,
    },
    Whole(Box<History>),
}

impl History {
    pub fn new() -> History {
        History {
            text: b"[]".to_vec(),
            events: Vec::new(),
            fields: Vec::new(),
            begins_again: true,
            is_corrected: false,
        }
    }

    pub fn all(&self) -> Events<'_> {
        Events { list: &self.events, fields: &self.fields, text: &self.text }
    }

    fn order_of(&self, event: &Event) -> (i64, i64, &[u8]) {
        (event.at, event.recorded, event.id.of(&self.text))
    }

    /// How it is before these are put into it.
    pub fn mark(&self, coming: &[Came]) -> Mark {
        let orders =
            self.events.last().map(|last| self.order_of(last)).into_iter().chain(coming.iter().map(Came::order));
        if !orders.is_sorted() {
            return Mark::Whole(Box::new(self.clone()));
        }
        Mark::Ends {
            text: self.text.len(),
            events: self.events.len(),
            fields: self.fields.len(),
            begins_again: self.begins_again,
            is_corrected: self.is_corrected,
        }
    }

    /// Have it as it was.
    pub fn go_back(&mut self, to: Mark) {
        match to {
            Mark::Whole(history) => *self = *history,
            Mark::Ends { text, events, fields, begins_again, is_corrected } => {
                self.text.truncate(text - 1);
                self.text.push(b']');
                self.events.truncate(events);
                self.fields.truncate(fields);
                (self.begins_again, self.is_corrected) = (begins_again, is_corrected);
            }
        }
    }

    pub fn insert(&mut self, came: &Came) {
        let place = self.events.partition_point(|known| self.order_of(known) < came.order());
        let length = came.raw.len() + usize::from(!self.events.is_empty()); // with a comma
        let from = if place == self.events.len() {
            self.text.pop();
            if place > 0 {
                self.text.push(b',');
            }
            let from = self.text.len();
            self.text.reserve_exact(if place == 0 { length + 1 } else { 0 });
            self.text.extend_from_slice(&came.raw);
            self.text.push(b']');
            from
        } else {
            let from = self.events[place].line.at();
            self.text.splice(from..from, came.raw.iter().copied().chain([b',']));
            for later in &mut self.events[place..] {
                later.move_by(length as isize);
                let (first, end) = later.fields;
                self.fields[first as usize..end as usize]
                    .iter_mut()
                    .for_each(|(_, value)| value.move_by(length as isize));
            }
            self.begins_again = true;
            from
        };
        self.is_corrected |= came.event.is_correction();
        self.begins_again |= self.is_corrected;
        let mut event = came.event.clone();
        event.line = Span::new(0, came.raw.len());
        event.move_by(from as isize);
        let first = self.fields.len();
        if first == 0 {
            self.fields.reserve_exact(came.fields.len());
            self.events.reserve_exact(1);
        }
        self.fields.extend(came.fields.iter().map(|(field, value)| {
            let mut value = *value;
            value.move_by(from as isize);
            (*field, value)
        }));
        event.fields = (first as u32, self.fields.len() as u32);
        self.events.insert(place, event);
    }

    /// The event of that id, as it is written.
    pub fn find(&self, id: &[u8]) -> Option<&[u8]> {
        let event = self.events.iter().find(|event| event.id.of(&self.text) == id)?;
        Some(event.line.of(&self.text))
    }

    /// Bytes of memory, about.
    pub fn size(&self) -> usize {
        self.text.capacity() + size_of::<Event>() * self.events.capacity() + size_of::<Field>() * self.fields.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Val;

    fn came(at: i64, id: &str) -> Came {
        let raw = format!("[\"{id}\",{at}]");
        let event = Event { at, id: Span::new(2, id.len()), fields: (0, 1), ..Event::default() };
        Came { event, fields: vec![(7, Val::Text(Span::new(2, id.len())))], raw: raw.into_bytes().into() }
    }

    fn history(all: &[(i64, &str)]) -> History {
        let mut history = History::new();
        all.iter().for_each(|(at, id)| history.insert(&came(*at, id)));
        history
    }

    /// Its text; and what each event reads as: its id, its field, and itself.
    fn seen(history: &History) -> (&str, Vec<[&str; 3]>) {
        let text = |span: Span| std::str::from_utf8(span.of(&history.text)).unwrap();
        let read = |event: &Event| {
            let (7, Val::Text(field)) = history.fields[event.fields.0 as usize] else { panic!("another field") };
            [text(event.id), text(field), text(event.line)]
        };
        (std::str::from_utf8(&history.text).unwrap(), history.events.iter().map(read).collect())
    }

    #[test]
    fn events_are_in_order_whatever_the_order_in_which_they_come() {
        let whole = ("[[\"a\",1],[\"bb\",2],[\"b\",3]]", [("a", 1), ("bb", 2), ("b", 3)]);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let all = order.map(|place| [(1, "a"), (2, "bb"), (3, "b")][place]);
            let history = history(&all);
            let (text, events) = seen(&history);
            assert_eq!(text, whole.0);
            assert_eq!(events, whole.1.map(|(id, at)| [id.to_owned(), id.to_owned(), format!("[\"{id}\",{at}]")]));
            assert_eq!(history.find(b"bb"), Some(&b"[\"bb\",2]"[..]));
            assert_eq!(history.find(b"c"), None);
        }
    }

    #[test]
    fn a_history_goes_back_to_what_it_was() {
        for coming in [&[(5, "e")][..], &[(5, "e"), (6, "f")], &[(6, "f"), (5, "e")], &[(2, "c")], &[]] {
            for known in [&[][..], &[(1, "a"), (3, "d")]] {
                let (mut one, other) = (history(known), history(known));
                one.begins_again = false;
                let coming: Vec<_> = coming.iter().map(|(at, id)| came(*at, id)).collect();
                let mark = one.mark(&coming);
                coming.iter().for_each(|came| one.insert(came));
                assert_eq!(one.events.len(), known.len() + coming.len());
                one.go_back(mark);
                assert_eq!(seen(&one), seen(&other));
                assert!(!one.begins_again);
            }
        }
    }
}
