//! What the user says of pods and labels: `--backend LABEL=PATTERN`.

use super::glob::{Glob, MAX_PATTERN_LENGTH};
use super::{name, workload};

/// Pods that are certainly behind the same backend; compare for equality to count them together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// What the pods' workload is called; see [`workload::workload`].
    pub workload: String,
    /// What owns the pods; see [`workload::owner`].
    pub owner: String,
    /// The index of the label that the mappings give them.
    pub explicit: Option<usize>,
    /// Whether the mappings give every label to others, so that they are no backend of the split.
    pub is_foreign: bool,
}

impl Group {
    /// Pods of a workload and an owner that are both called so, of which the mappings say nothing.
    pub fn alone(name: &str) -> Self {
        Self {
            workload: name.to_owned(),
            owner: name.to_owned(),
            explicit: None,
            is_foreign: false,
        }
    }
}

/// The `--backend` options, and the labels that they speak of.
#[derive(Debug, Clone)]
pub struct Mappings {
    labels: Vec<String>,
    given: Vec<(usize, Glob)>,
    are_single: bool,
}

/// Why a `--backend` option is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// There is no `=`.
    #[error("--backend '{0}' has no '=': write it as LABEL=WORKLOAD, such as v2=challenge-app-v2")]
    NoPattern(String),
    /// The label is none of the split's.
    #[error("--backend names the label '{label}', which the expected split lacks: it has {known}")]
    UnknownLabel {
        /// The label, escaped.
        label: String,
        /// The split's labels.
        known: String,
    },
    /// The name or pattern is empty or too long.
    #[error(
        "--backend '{0}' needs a workload's name or a pattern after the '=', of at most {MAX_PATTERN_LENGTH} bytes"
    )]
    BadPattern(String),
    /// The same name or pattern is given to two labels.
    #[error("--backend gives '{pattern}' to both {first} and {second}: a workload is one backend")]
    Conflict {
        /// The name or pattern, escaped.
        pattern: String,
        /// The label that had it first.
        first: String,
        /// The other label.
        second: String,
    },
}

impl Mappings {
    /// Reads `LABEL=PATTERN` texts, where LABEL is one of `labels` (a split's, in its order) and PATTERN
    /// is a name, or a glob in which `*` is any run of characters and `?` any one.
    ///
    /// # Errors
    /// The first text that is no mapping, or contradicts an earlier one.
    pub fn parse(labels: &[String], texts: &[String]) -> Result<Self, MappingError> {
        let mut mappings: Vec<(usize, Glob)> = Vec::new();
        for text in texts {
            let shown = || text.escape_debug().to_string();
            let (label, pattern) = text
                .split_once('=')
                .ok_or_else(|| MappingError::NoPattern(shown()))?;
            let (label, pattern) = (label.trim(), pattern.trim());
            let index = labels
                .iter()
                .position(|known| known == label)
                .ok_or_else(|| MappingError::UnknownLabel {
                    label: label.escape_debug().to_string(),
                    known: labels.join(", "),
                })?;
            let glob = Glob::new(pattern).ok_or_else(|| MappingError::BadPattern(shown()))?;
            let same = mappings.iter().find(|(_, known)| known.as_str() == pattern);
            match same {
                Some((other, _)) if *other != index => {
                    return Err(MappingError::Conflict {
                        pattern: pattern.escape_debug().to_string(),
                        first: labels[*other].clone(),
                        second: label.to_owned(),
                    });
                }
                Some(_) => {}
                None => mappings.push((index, glob)),
            }
        }
        let labels = labels.to_vec();
        Ok(Self {
            labels,
            given: mappings,
            are_single: false,
        })
    }

    /// The same mappings, where each pod is a group of its own.
    pub fn of_single_pods(self) -> Self {
        Self {
            are_single: true,
            ..self
        }
    }

    /// Whether each pod is a group of its own.
    pub fn are_single(&self) -> bool {
        self.are_single
    }

    /// Mappings that give each pod a group of its own, whatever its workload.
    pub fn of_each_pod() -> Self {
        Self {
            labels: Vec::new(),
            given: Vec::new(),
            are_single: true,
        }
    }

    /// The index of the label that a mapping gives to `pod` of `workload`.
    ///
    /// A pattern is matched against the workload's name and the pod's. If several match, the narrowest
    /// counts: a plain name before a pattern, then the pattern with the most fixed characters, then the
    /// one given first.
    pub fn explicit(&self, pod: &str, workload: &str) -> Option<usize> {
        let fitting = self
            .given
            .iter()
            .filter(|(_, glob)| glob.matches(workload) || glob.matches(pod));
        // The last of equals is the maximum, so the first given is the last seen.
        let narrowest = fitting.rev().max_by_key(|(_, glob)| glob.specificity());
        narrowest.map(|(label, _)| *label)
    }

    /// The group that `pod` belongs to; for use where a pod is first seen.
    ///
    /// A pod that is called exactly as a label is its own workload, so that `app-1` and `app-2` may be
    /// labels although they look like a `StatefulSet`'s pods.
    pub fn group(&self, pod: &str) -> Group {
        let is_its_own = self.labels.iter().any(|label| label == pod);
        let (workload, owner) = match self.are_single {
            _ if is_its_own => (pod, pod),
            // Without labels nobody asks after workloads.
            true if self.labels.is_empty() => (pod, pod),
            true => (workload::workload(pod), pod),
            false => (workload::workload(pod), workload::owner(pod)),
        };
        let explicit = self.explicit(pod, workload);
        let mut open = (0..self.labels.len()).filter(|label| !self.speaks_of(*label));
        let (first, second) = (open.next(), open.next());
        Group {
            workload: workload.to_owned(),
            owner: owner.to_owned(),
            explicit: explicit
                .or_else(|| first.filter(|_| second.is_none() && self.is_stem_of_all(workload))),
            is_foreign: explicit.is_none() && first.is_none() && !self.labels.is_empty(),
        }
    }

    fn speaks_of(&self, label: usize) -> bool {
        self.given.iter().any(|(other, _)| *other == label)
    }

    /// Whether every name that is given is `workload` and a suffix: beside `v2=challenge-app-v2`,
    /// `challenge-app` is what the other label means, although nothing of v2 may ever answer.
    fn is_stem_of_all(&self, workload: &str) -> bool {
        let stem = name::tokens(workload);
        !self.given.is_empty()
            && self.given.iter().all(|(label, glob)| {
                let given = name::tokens(glob.as_str());
                let label = name::tokens(&self.labels[*label]);
                // Of a pod's name the stem is its own workload.
                let is_workload =
                    glob.is_plain() && workload::workload(glob.as_str()) == glob.as_str();
                is_workload && name::is_stem(&stem, &given, &label)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn mappings(texts: &[&str]) -> Result<Mappings, MappingError> {
        Mappings::parse(&strings(&["v1", "v2"]), &strings(texts))
    }

    #[test]
    fn a_pattern_matches_the_workload_or_the_whole_pod() {
        let mappings = mappings(&["v1=rollout-6f79ff6b8d-*", "v2 = app-v? ", "v2=web-1"]).unwrap();
        for (pod, label) in [
            ("rollout-6f79ff6b8d-fmzvc", Some(0)),
            ("rollout-54b75887bb-fmzvc", None),
            ("app-v7-6b8464cddd-nnjmj", Some(1)),
            ("app-v", None),
            ("web-1", Some(1)),
            ("web-0", None),
        ] {
            assert_eq!(mappings.group(pod).explicit, label, "{pod}");
        }
    }

    #[test]
    fn the_stem_of_the_names_given_is_the_one_label_that_none_is_given_for() {
        let mappings = mappings(&["v2=challenge-app-v2"]).unwrap();
        for (pod, label) in [
            ("challenge-app-6f79ff6b8d-fmzvc", Some(0)),
            ("challenge-app-v2-6b8464cddd-nnjmj", Some(1)),
            ("challenge-app-v3-6b8464cddd-nnjmj", None),
            ("challenge-6b8464cddd-nnjmj", None),
        ] {
            let group = mappings.group(pod);
            assert_eq!((group.explicit, group.is_foreign), (label, false), "{pod}");
        }
    }

    #[test]
    fn where_every_label_is_given_to_others_a_workload_is_none_of_them() {
        let mappings = mappings(&["v1=challenge-app", "v2=challenge-app-v2"]).unwrap();
        let group = mappings.group("challenge-app-v3-6b8464cddd-nnjmj");
        assert!(group.is_foreign && group.explicit.is_none());
        assert!(!mappings.group("challenge-app-6f79ff6b8d-fmzvc").is_foreign);
    }

    #[test]
    fn the_narrowest_pattern_counts_whatever_the_order() {
        for texts in [
            ["v1=app*", "v2=app-v2*"],
            ["v2=app-v2*", "v1=app*"],
            ["v1=app-v2*", "v2=app-v2"],
        ] {
            let mappings = mappings(&texts).unwrap();
            assert_eq!(mappings.explicit("app-v2-0", "app-v2"), Some(1));
        }
        let first = mappings(&["v2=*-app", "v1=web-*"]).unwrap();
        assert_eq!(first.explicit("web-app", "web-app"), Some(1));
    }

    #[test]
    fn pods_of_one_replica_set_are_one_group() {
        let mappings = mappings(&[]).unwrap();
        let group = |pod| mappings.group(pod);
        assert_eq!(group("app-6f79ff6b8d-fmzvc"), group("app-6f79ff6b8d-nnjmj"));
        assert_ne!(group("app-6f79ff6b8d-fmzvc"), group("app-54b75887bb-fmzvc"));
        assert_eq!(group("app-6f79ff6b8d-fmzvc").workload, "app");
        assert_ne!(group("web-0"), group("web-1"));
    }

    #[test]
    fn single_pods_keep_what_is_known_of_their_workload() {
        let mappings = mappings(&["v2=app-v2"]).unwrap().of_single_pods();
        let group = mappings.group("app-v2-6f79ff6b8d-fmzvc");
        assert_eq!((&*group.workload, group.explicit), ("app-v2", Some(1)));
        assert_ne!(group, mappings.group("app-v2-6f79ff6b8d-nnjmj"));
        assert_eq!(Mappings::of_each_pod().group("app-1-x").workload, "app-1-x");
    }

    #[test]
    fn a_pod_called_as_a_label_keeps_its_ordinal() {
        let labels = strings(&["app-1", "app-2"]);
        let mappings = Mappings::parse(&labels, &[]).unwrap();
        assert_eq!(mappings.group("app-1").workload, "app-1");
        assert_eq!(mappings.group("app-3").workload, "app");
    }

    #[test]
    fn bad_mappings_are_refused_in_a_sentence_that_names_the_option() {
        for (texts, part) in [
            (&["v2"][..], "'v2' has no '='"),
            (
                &["v3=app"],
                "'v3', which the expected split lacks: it has v1, v2",
            ),
            (&["v2="], "needs a workload's name"),
            (&["=app"], "label ''"),
            (&["v1=app", "v2=app"], "to both v1 and v2"),
            (&["\u{1b}=app"], r"\u{1b}"),
        ] {
            let message = mappings(texts).unwrap_err().to_string();
            assert!(message.contains("--backend"), "{message}");
            assert!(message.contains(part), "{message}");
        }
        assert!(mappings(&["v1=app", "v1=app"]).is_ok());
        assert!(mappings(&[&format!("v1={}", "x".repeat(507))]).is_err());
    }
}
