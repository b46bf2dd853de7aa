//! Reads labels off workloads' names, from the most certain reading to the least.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Ambiguity, Assignment, Backend, Basis, Group, Inference, MAX_SUGGESTIONS};
use crate::identity::name::{ends_in, is_of_a_canary, is_stem, is_version, same, tokens};
use crate::identity::proposal::quoted;
use crate::identity::workload;
use crate::split::Split;

/// A workload some of whose groups no mapping names.
struct Workload<'a> {
    name: &'a str,
    tokens: Vec<&'a str>,
    /// Those groups.
    open: Vec<usize>,
    /// The labels that the name ends in or equals.
    fits: Vec<usize>,
    label: Option<usize>,
}

/// The state of an inference: what is known so far, workload by workload.
pub(super) struct Inferring<'a> {
    labels: &'a [String],
    shares: &'a [f64],
    label_tokens: Vec<Vec<&'a str>>,
    groups: &'a [Group],
    /// Which labels have a group by mapping or inference.
    taken: Vec<bool>,
    workloads: Vec<Workload<'a>>,
    inferences: BTreeSet<Inference>,
}

impl<'a> Inferring<'a> {
    pub(super) fn new(split: &'a Split, groups: &'a [Group]) -> Self {
        let labels = split.labels();
        let label_tokens: Vec<_> = labels.iter().map(|label| tokens(label)).collect();
        let mut taken = vec![false; labels.len()];
        let mut inferences = BTreeSet::new();
        let mut open: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, group) in groups.iter().enumerate() {
            if let Some(label) = group.explicit {
                taken[label] = true;
                inferences.insert(Inference {
                    workload: group.workload.clone(),
                    label,
                    basis: Basis::Explicit,
                });
            } else if !group.is_foreign {
                open.entry(&group.workload).or_default().push(index);
            }
        }
        let workloads = open
            .into_iter()
            .map(|(name, open)| {
                let tokens = tokens(name);
                let fits = (0..labels.len())
                    .filter(|&label| {
                        labels[label] == name || ends_in(&tokens, &label_tokens[label])
                    })
                    .collect();
                Workload {
                    name,
                    tokens,
                    open,
                    fits,
                    label: None,
                }
            })
            .collect();
        Self {
            labels,
            shares: split.shares(),
            label_tokens,
            groups,
            taken,
            workloads,
            inferences,
        }
    }

    pub(super) fn run(mut self) -> Assignment {
        self.infer_exact_names();
        self.infer_name_tokens();
        self.infer_left_over();
        self.infer_alone();
        self.finish()
    }

    fn fix(&mut self, workload: usize, label: usize, basis: Basis) {
        self.taken[label] = true;
        self.workloads[workload].label = Some(label);
        self.inferences.insert(Inference {
            workload: self.workloads[workload].name.to_owned(),
            label,
            basis,
        });
    }

    fn infer_exact_names(&mut self) {
        for workload in 0..self.workloads.len() {
            let name = self.workloads[workload].name;
            let label = self.labels.iter().position(|label| label == name);
            if let Some(label) = label.filter(|&label| !self.taken[label]) {
                self.fix(workload, label, Basis::ExactName);
            }
        }
    }

    fn infer_name_tokens(&mut self) {
        let claims = self.claims();
        for workload in 0..self.workloads.len() {
            if self.workloads[workload].label.is_none()
                && let [label] = self.workloads[workload].fits[..]
                && !self.taken[label]
                && claims[label] == 1
            {
                self.fix(workload, label, Basis::NameToken);
            }
        }
    }

    /// How many workloads without a label fit each label.
    fn claims(&self) -> Vec<usize> {
        let mut claims = vec![0; self.labels.len()];
        for workload in self.workloads.iter().filter(|w| w.label.is_none()) {
            for &label in &workload.fits {
                claims[label] += 1;
            }
        }
        claims
    }

    fn infer_left_over(&mut self) {
        let label = only((0..self.labels.len()).filter(|&label| !self.taken[label]));
        let workloads = 0..self.workloads.len();
        let workload = only(workloads.filter(|&index| self.workloads[index].label.is_none()));
        if let (Some(label), Some(workload)) = (label, workload)
            && self.workloads[workload].fits.is_empty()
            && self.shares_stem_with_all(workload, label)
        {
            self.fix(workload, label, Basis::LeftOver);
        }
    }

    /// Whether the name of workload `left` is the stem of every assigned workload's name, or has it as
    /// its stem; `false` if nothing is assigned.
    fn shares_stem_with_all(&self, left: usize, left_label: usize) -> bool {
        let name = &self.workloads[left].tokens;
        let Some((last, stem)) = name.split_last() else {
            return false;
        };
        // `challenge-app-v3` is not v1, whatever else is left over.
        let contradicts = is_version(last)
            && self.label_tokens[left_label]
                .last()
                .is_some_and(|token| is_version(token));
        !self.inferences.is_empty()
            && self.inferences.iter().all(|known| {
                let other = tokens(&known.workload);
                if *name == other {
                    // The other part of a workload that mappings divide by ReplicaSet.
                    return self.workloads[left].open.len() == 1;
                }
                let label = &self.label_tokens[known.label];
                is_stem(name, &other, label) || (stem == other && !contradicts)
            })
    }

    /// One workload answered, whose name ends in no version: it is the one backend that may get anything, where
    /// every other would be a later version or a canary by its label. (`v1=0,v2=100` is another matter: there such
    /// a name is v1's as likely.)
    fn infer_alone(&mut self) {
        let positive = only((0..self.labels.len()).filter(|&label| self.shares[label] > 0.0));
        let (Some(label), [alone], 1) = (positive, &self.workloads[..], self.groups.len()) else {
            return;
        };
        let is_plain = |words: &[&str]| {
            let last = words.last();
            last.is_some_and(|word| !is_version(word) && !is_of_a_canary(word))
        };
        let others = || (0..self.labels.len()).filter(|&other| other != label);
        if alone.label.is_none()
            && alone.fits.is_empty()
            && is_plain(&alone.tokens)
            && others().next().is_some()
            && others().all(|other| self.comes_after(other, label))
        {
            self.fix(0, label, Basis::Alone);
        }
    }

    /// Whether a label names a later version than another does, or a canary beside it.
    fn comes_after(&self, later: usize, earlier: usize) -> bool {
        let last = |label: usize| self.label_tokens[label].last().copied().unwrap_or("");
        let version = |word: &str| {
            let digits = word.trim_start_matches(['v', 'V']);
            digits.parse::<u64>().ok().filter(|_| is_version(word))
        };
        let (later, earlier) = (last(later), last(earlier));
        match (version(later), version(earlier)) {
            (Some(later), Some(earlier)) => later > earlier,
            _ => is_of_a_canary(later) && !is_of_a_canary(earlier),
        }
    }

    fn finish(self) -> Assignment {
        let claims = self.claims();
        let mut fixed: Vec<_> = self.groups.iter().map(|group| group.explicit).collect();
        let anything: Arc<[Backend]> = (0..self.labels.len())
            .map(Some)
            .chain(std::iter::once(None))
            .collect();
        let mut ambiguous = Vec::new();
        for workload in &self.workloads {
            if workload.label.is_some() {
                for &group in &workload.open {
                    fixed[group] = workload.label;
                }
                continue;
            }
            // A name that ends in several labels says that it is one of them, unless they are in dispute.
            let undisputed = |&label: &usize| !self.taken[label] && claims[label] == 1;
            let candidates = if workload.fits.len() > 1 && workload.fits.iter().all(undisputed) {
                workload.fits.iter().copied().map(Some).collect()
            } else {
                Arc::clone(&anything)
            };
            ambiguous.extend(workload.open.iter().map(|&group| Ambiguity {
                group,
                candidates: Arc::clone(&candidates),
            }));
        }
        let suggestions = self.suggestions();
        ambiguous.sort_unstable_by_key(|ambiguity| ambiguity.group);
        Assignment {
            fixed,
            inferences: self.inferences.into_iter().collect(),
            ambiguous,
            suggestions,
        }
    }

    fn suggestions(&self) -> Vec<String> {
        let unsettled: Vec<_> = self
            .workloads
            .iter()
            .filter(|workload| workload.label.is_none())
            .flat_map(|workload| workload.open.iter().map(move |&group| (workload, group)))
            .take(MAX_SUGGESTIONS + 1)
            .collect();
        let left = only((0..self.labels.len()).filter(|&label| !self.taken[label]));
        let is_only = unsettled.len() == 1;
        let line = |(workload, group): &(&Workload, usize)| {
            let contains = |label: &usize| {
                let wanted = &self.label_tokens[*label];
                let mut windows = workload.tokens.windows(wanted.len().max(1));
                windows.any(|window| same(window, wanted))
            };
            // That another version answers under a label is what the run is to find out, and no advice.
            let may_be = |label: &usize| {
                let is_version_of_its_own =
                    workload.tokens.last().is_some_and(|word| is_version(word));
                let is_first = self.label_tokens[*label].last().is_none_or(|word| {
                    !is_of_a_canary(word) && (!is_version(word) || word.ends_with('1'))
                });
                !is_version_of_its_own && (is_first || self.labels.len() > 1)
            };
            let label = only((0..self.labels.len()).filter(contains))
                .or_else(|| left.filter(|label| is_only && may_be(label)));
            let label = label.map_or("LABEL", |label| &self.labels[label]);
            let pattern = self.pattern(workload, &self.groups[*group]);
            format!("--backend {}", quoted(&format!("{label}={pattern}")))
        };
        unsettled.iter().take(MAX_SUGGESTIONS).map(line).collect()
    }

    /// A pattern that matches the pods of `group` and no others that were seen.
    fn pattern(&self, workload: &Workload, group: &Group) -> String {
        let is_whole = workload.open.len() == 1
            && !self
                .groups
                .iter()
                .any(|other| other.explicit.is_some() && other.workload == group.workload);
        if is_whole {
            group.workload.clone()
        } else if workload::is_replica_set(&group.owner) {
            format!("{}-*", group.owner)
        } else if group.owner == group.workload {
            format!("{}-?????", group.owner)
        } else {
            group.owner.clone()
        }
    }
}

/// The one item, if it is the only one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
