//! Workload → backend label: which backend of the expected split a group of pods is.
//!
//! What the user says ([`Mappings`], `--backend`) counts first. Names are read next, and only where they
//! leave no doubt ([`Basis`]). Everything else is ambiguous: it may be any backend of the split, or a
//! foreign one that should have got nothing, and a verdict must hold for every [`Possibilities`].
//! A name is never made to fit, since a wrong assignment could turn a wrong split into a PASS.

use std::sync::Arc;

pub use super::mapping::{Group, MappingError, Mappings};
use crate::split::Split;
use inferring::Inferring;

mod inferring;

/// Which backend a group is; an index into the split's labels, or `None` for no backend of the split, so
/// that its responses count as hits on a backend of weight 0.
pub type Backend = Option<usize>;

/// How many `--backend` lines are suggested at most.
const MAX_SUGGESTIONS: usize = 8;

/// Why a workload is taken for a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// `--backend` says so.
    Explicit,
    /// The workload is called as the label is.
    ExactName,
    /// The workload's name ends in the label (`challenge-app-v2` is `v2`), no other workload's does, and
    /// it ends in no other label.
    NameToken,
    /// The one workload left over shares a stem with all others (`challenge-app`, beside
    /// `challenge-app-v2`), and one label is left over for it.
    LeftOver,
    /// It is the only workload that answered, and only one backend may get anything.
    Alone,
}

/// A workload that is taken for a label, and why; for the reader to check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inference {
    /// The workload's name.
    pub workload: String,
    /// The index of the label.
    pub label: usize,
    /// Why.
    pub basis: Basis,
}

/// A group that could be more than one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguity {
    /// The index of the group.
    pub group: usize,
    /// What it could be; at least two.
    pub candidates: Arc<[Backend]>,
}

/// Which group is which backend, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// `fixed[g]` is the label of group `g`, or `None` where it is ambiguous or certainly none of the split's.
    pub fixed: Vec<Option<usize>>,
    /// One entry for a workload, label and basis, sorted by workload.
    pub inferences: Vec<Inference>,
    /// The groups that `fixed` leaves open, in their order.
    pub ambiguous: Vec<Ambiguity>,
    /// What to add to the command line to settle the ambiguous groups, a whole option each (the first
    /// eight); `LABEL` stands where even a guess would be unfounded. Quoted for a shell, though names may
    /// still hold characters beyond ASCII.
    pub suggestions: Vec<String>,
}

impl Assignment {
    /// Every complete assignment that is still possible, `None` if they are more than `limit`.
    ///
    /// Over that, count the ambiguous groups among the responses without an identity: a FAIL that holds
    /// for every way of attributing those holds here too, and a PASS is out of reach.
    pub fn possibilities(&self, limit: usize) -> Option<Possibilities<'_>> {
        let mut count = 1_usize;
        for ambiguity in &self.ambiguous {
            count = count
                .checked_mul(ambiguity.candidates.len())
                .filter(|&count| count <= limit)?;
        }
        (count <= limit).then(|| Possibilities {
            assignment: self,
            next: Some(vec![0; self.ambiguous.len()]),
        })
    }

    /// Counts by group as counts by each of so many backends, without the groups that are nobody's or may be several's.
    pub fn by_backend(&self, observed: &[u64], backends: usize) -> Vec<u64> {
        let mut counts = vec![0; backends];
        for (observed, assigned) in observed.iter().zip(&self.fixed) {
            if let Some(backend) = assigned {
                counts[*backend] += observed;
            }
        }
        counts
    }
}

/// Iterates over complete assignments: item `a` says of group `g` that it is backend `a[g]`.
#[derive(Debug, Clone)]
pub struct Possibilities<'a> {
    assignment: &'a Assignment,
    /// For each ambiguous group the number of its candidate; `None` at the end.
    next: Option<Vec<usize>>,
}

impl Iterator for Possibilities<'_> {
    type Item = Vec<Backend>;

    fn next(&mut self) -> Option<Vec<Backend>> {
        let choice = self.next.as_mut()?;
        let ambiguous = &self.assignment.ambiguous;
        let mut complete = self.assignment.fixed.clone();
        for (ambiguity, &number) in ambiguous.iter().zip(choice.iter()) {
            complete[ambiguity.group] = ambiguity.candidates[number];
        }
        // Count up, the first group turning fastest.
        let carry = choice.iter_mut().zip(ambiguous).all(|(number, ambiguity)| {
            *number = (*number + 1) % ambiguity.candidates.len();
            *number == 0
        });
        if carry {
            self.next = None;
        }
        Some(complete)
    }
}

/// Assigns `groups` to the backends of `split`; pure, and the same for the same input.
///
/// Where the backends are pods of which all are to get the same, each group is the next pod, and those
/// beyond the last are none of them; where their names are known, it is the pod of its name.
///
/// A group that a mapping names is fixed, and closes its label to what follows. A workload (all of its
/// groups at once) is then fixed by its exact name, by the label at its end, or as the one left over; see
/// [`Basis`]. The rest is ambiguous, each group for itself: two `ReplicaSets` of a workload whose name
/// fits no label may be two backends.
pub fn assign(split: &Split, groups: &[Group]) -> Assignment {
    if split.is_of_pods() {
        let pod = |(number, group): (usize, &Group)| {
            if split.are_named() {
                return split.position(&group.workload);
            }
            Some(number).filter(|&number| number < split.len())
        };
        return Assignment {
            fixed: groups.iter().enumerate().map(pod).collect(),
            inferences: Vec::new(),
            ambiguous: Vec::new(),
            suggestions: Vec::new(),
        };
    }
    Inferring::new(split, groups).run()
}

#[cfg(test)]
mod tests;
