//! What lines were like so far: the next one of a type most likely has the same members in the same order.

use crate::events::{Piece, Role};
use crate::hashing::HashSet;

/// So many members of a type are remembered, and so many organisations.
const MOST_MEMBERS: usize = 64;
const MOST_ORGS: usize = 4_096;

/// Nothing longer is remembered.
const LONGEST: usize = 300;

/// So many members may be left out between two that are there, at no cost.
const LEFT_OUT: usize = 4;

/// A key as it stands in lines, with its quotation marks and its colon; the first of it once more, to be compared at once.
struct Member {
    written: Box<[u8]>,
    first: u128,
    mask: u128,
    role: Role,
}

impl Member {
    fn new(key: &[u8], role: Role) -> Member {
        let written = [b"\"", key, b"\":"].concat();
        let mut first = [0; 16];
        let length = written.len().min(16);
        first[..length].copy_from_slice(&written[..length]);
        let mask = u128::MAX >> (8 * (16 - length));
        Member { written: written.into(), first: u128::from_le_bytes(first), mask, role }
    }

    #[inline(always)]
    fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(start) if u128::from_le_bytes(*start) & self.mask != self.first => false,
            Some(_) if self.written.len() <= 16 => true,
            _ => text.starts_with(&self.written),
        }
    }
}

/// The members that lines have, each with what it is; the order is that of the lines, as far as they agree.
#[derive(Default)]
pub struct Shape(Vec<Member>);

impl Shape {
    /// The member at a place of a line, where it is one of those that may come next: its key, where its value begins,
    /// and what it is. `next` is the place of the first of these, here.
    #[inline(always)]
    pub fn find(&self, line: &[u8], at: usize, next: &mut usize) -> Option<(Piece, usize, Role)> {
        let (text, following) = (line.get(at..)?, self.0.get(*next..)?);
        let left_out = following.iter().take(1 + LEFT_OUT).position(|member| member.begins(text))?;
        let member = &following[left_out];
        *next += left_out + 1;
        let end = at + member.written.len();
        Some((Piece { from: at + 1, to: end - 2 }, end, member.role))
    }

    /// Another one was there instead.
    #[cold]
    pub fn learn(&mut self, key: &[u8], role: Role, next: &mut usize) {
        let is_it = |member: &Member| &member.written[1..member.written.len() - 2] == key;
        if let Some(left_out) = self.0[*next..].iter().position(is_it) {
            *next += left_out + 1;
        } else if self.0.len() < MOST_MEMBERS && key.len() <= LONGEST {
            self.0.insert(*next, Member::new(key, role));
            *next += 1;
        }
    }
}

/// Of all lines up to their type, and of those of each type after it; and organisations that were good.
#[derive(Default)]
pub struct Shapes {
    pub before: Shape,
    pub after: Vec<Shape>,
    orgs: HashSet<Box<[u8]>>,
}

impl Shapes {
    pub fn new(types: usize) -> Shapes {
        Shapes { after: (0..types).map(|_| Shape::default()).collect(), ..Shapes::default() }
    }

    pub fn knows_org(&self, org: &[u8]) -> bool {
        self.orgs.contains(org)
    }

    #[cold]
    pub fn learn_org(&mut self, org: &[u8]) {
        if self.orgs.len() < MOST_ORGS && org.len() <= LONGEST {
            self.orgs.insert(org.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_where_they_may_come_next() {
        let mut shape = Shape::default();
        let mut next = 0;
        for key in ["a", "b", "a key longer than sixteen bytes"] {
            shape.learn(key.as_bytes(), Role::Undeclared, &mut next);
        }
        let found = |line: &str, mut next: usize| {
            let (key, end, _) = shape.find(line.as_bytes(), 0, &mut next)?;
            Some((key.from, key.to, end, next))
        };
        assert_eq!(found(r#""b":1}"#, 0), Some((1, 2, 4, 2)));
        assert_eq!(found(r#""b":"a text that makes it a long line"}"#, 0), Some((1, 2, 4, 2)));
        assert_eq!(found(r#""b":"a text that makes it a long line"}"#, 2), None);
        assert_eq!(found(r#""a key longer than sixteen bytes":1}"#, 0), Some((1, 32, 34, 3)));
        assert_eq!(found(r#""a key longer than sixteen byte":1}"#, 0), None);
        assert_eq!(found(r#""b" :1}"#, 0), None);
    }
}
