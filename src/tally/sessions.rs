//! What the sessions of a run brought: where each began, and where its follow-ups went.
//!
//! Kept by group of pods, since which backend a group is may be known only at the end. Memory is bounded by
//! the number of groups and by a number of examples.

use std::collections::{BTreeMap, BTreeSet};

use crate::observation::PodId;

/// As many pairs of groups are shown by an example each.
const MOST_EXAMPLES: usize = 16;
/// As many names of cookies and headers are remembered.
const MOST_NAMES: usize = 16;

/// A follow-up that another group answered than its session's first request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The session's number, from 1 in the order in which they began.
    pub session: u64,
    /// The follow-up's number in its session, from 1.
    pub follow_up: u64,
    /// Who answered first.
    pub from: PodId,
    /// Who answered the follow-up.
    pub to: PodId,
    /// What the follow-up carried, as `NAME=VALUE`; empty for nothing.
    pub carried: String,
}

/// How one session went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneSession {
    /// The group of its first response.
    pub began: usize,
    /// The groups of its follow-ups; `None` for one without an identity.
    pub follow_ups: Vec<Option<usize>>,
    /// Whether every follow-up carried something of the responses before it.
    pub is_carried: bool,
}

/// Sessions that went the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Course {
    /// The group of the first response.
    pub began: usize,
    /// The first group other than that which answered a follow-up; `None` where none did.
    pub moved: Option<usize>,
    /// Whether a follow-up had no identity.
    pub is_in_doubt: bool,
    /// Whether every follow-up carried something of the responses before it.
    pub is_carried: bool,
}

/// The sessions of a thread, or of a run once merged.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    courses: BTreeMap<Course, u64>,
    /// One for each pair of groups.
    moves: BTreeMap<(usize, usize), Move>,
    carried: BTreeSet<String>,
    refused: BTreeMap<String, &'static str>,
}

impl Sessions {
    /// Folds in a session that has ended; one that was cut off counts with the follow-ups that it had.
    pub fn close(&mut self, session: &OneSession) {
        if session.follow_ups.is_empty() {
            return;
        }
        let began = session.began;
        let answered = session.follow_ups.iter().flatten();
        let course = Course {
            began,
            moved: answered.copied().find(|&group| group != began),
            is_in_doubt: session.follow_ups.contains(&None),
            is_carried: session.is_carried,
        };
        *self.courses.entry(course).or_default() += 1;
    }

    /// Remembers a move between two groups as an example, unless there is one.
    pub fn show(&mut self, groups: (usize, usize), example: impl FnOnce() -> Move) {
        if self.moves.len() < MOST_EXAMPLES && !self.moves.contains_key(&groups) {
            self.moves.insert(groups, example());
        }
    }

    /// Remembers the name of what was sent back.
    pub fn carry(&mut self, name: &str) {
        if self.carried.len() < MOST_NAMES && !self.carried.contains(name) {
            self.carried.insert(name.to_owned());
        }
    }

    /// Remembers the name of what a browser would not have sent back, and why.
    pub fn refuse(&mut self, name: &str, why: &'static str) {
        if self.refused.len() < MOST_NAMES && !self.refused.contains_key(name) {
            self.refused.insert(name.to_owned(), why);
        }
    }

    /// Adds the sessions of another thread.
    pub fn merge(&mut self, other: Self) {
        for (course, count) in other.courses {
            *self.courses.entry(course).or_default() += count;
        }
        for (groups, example) in other.moves {
            self.show(groups, || example);
        }
        for name in &other.carried {
            self.carry(name);
        }
        for (name, why) in other.refused {
            self.refuse(&name, why);
        }
    }

    /// How many sessions went which way.
    pub fn courses(&self) -> impl Iterator<Item = (Course, u64)> + '_ {
        self.courses.iter().map(|(&course, &count)| (course, count))
    }

    /// Examples of moves, with the groups that they are between.
    pub fn moves(&self) -> impl Iterator<Item = ((usize, usize), &Move)> {
        self.moves
            .iter()
            .map(|(&groups, example)| (groups, example))
    }

    /// The names of the cookies and headers that were sent back.
    pub fn carried(&self) -> impl Iterator<Item = &str> {
        self.carried.iter().map(String::as_str)
    }

    /// The names of cookies that a browser would not have sent back, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.refused.iter().map(|(name, &why)| (name.as_str(), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(began: usize, follow_ups: &[Option<usize>]) -> OneSession {
        OneSession {
            began,
            follow_ups: follow_ups.to_vec(),
            is_carried: true,
        }
    }

    #[test]
    fn a_session_counts_once_however_often_it_moves() {
        let mut sessions = Sessions::default();
        sessions.close(&session(0, &[Some(0), Some(0)]));
        sessions.close(&session(0, &[Some(1), None, Some(2)]));
        sessions.close(&session(1, &[]));
        let mut other = Sessions::default();
        other.close(&session(0, &[Some(0)]));
        sessions.merge(other);
        let parts: Vec<_> = sessions
            .courses()
            .map(|(course, count)| (course.moved, course.is_in_doubt, count))
            .collect();
        assert_eq!(parts, [(None, false, 2), (Some(1), true, 1)]);
    }

    #[test]
    fn examples_and_names_are_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..1000 {
            sessions.carry(&format!("cookie-{number}"));
            sessions.refuse(&format!("cookie-{number}"), "Secure");
            sessions.show((0, number), || Move {
                session: 1,
                follow_up: 1,
                from: PodId(0),
                to: PodId(1),
                carried: String::new(),
            });
        }
        assert_eq!(sessions.carried().count(), MOST_NAMES);
        assert_eq!(sessions.refused().count(), MOST_NAMES);
        assert_eq!(sessions.moves().count(), MOST_EXAMPLES);
    }
}
