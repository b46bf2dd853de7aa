//! The pods behind the ingress, named as Kubernetes names the pods of a Deployment.

use std::num::NonZeroU32;
use std::str::FromStr;

use super::draw;
use super::error::ConfigError;

/// The alphabet of Kubernetes' generated names (`k8s.io/apimachinery/pkg/util/rand`): no vowels, and no
/// characters that are taken for another.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The part of it in which template hashes are written: a decimal number's digits, encoded one by one.
const HASH_ALPHABET: &[u8] = b"bcdf456789";

/// The most pods of all backends together.
pub(super) const MAX_PODS: u32 = 10_000;

/// `--pods v1=3,v2=1`: how many pods each backend has; a backend that is not named has one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodCounts(pub Vec<(String, NonZeroU32)>);

impl PodCounts {
    /// The number of pods of the backend called `label`.
    pub fn of(&self, label: &str) -> NonZeroU32 {
        self.0
            .iter()
            .find(|(known, _)| known == label)
            .map_or(NonZeroU32::MIN, |(_, count)| *count)
    }
}

impl FromStr for PodCounts {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        text.split(',')
            .map(|item| {
                let (label, count) = item.split_once('=')?;
                Some((label.trim().to_owned(), count.trim().parse().ok()?))
            })
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| {
                ConfigError::syntax("--pods", text, "LABEL=NUMBER pairs such as v1=3,v2=1")
            })
    }
}

/// One backend of the ingress with its workload and its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The label by which the split names it.
    pub label: String,
    /// The Deployment that its pods belong to.
    pub workload: String,
    /// The names of its pods, all different.
    pub pods: Vec<String>,
}

/// The backends called `labels`, in that order: the first one's workload is `stem` alone, the others'
/// is `stem-LABEL`. Names follow from stem, label and position; no two workloads are alike.
pub(super) fn backends(stem: &str, labels: &[String], counts: &PodCounts) -> Vec<Backend> {
    let stem = name_part(stem).unwrap_or_else(|| "app".to_owned());
    let mut backends: Vec<Backend> = Vec::with_capacity(labels.len());
    for (index, label) in labels.iter().enumerate() {
        let mut workload = match (index, name_part(label)) {
            (0, _) => stem.clone(),
            (_, Some(part)) => format!("{stem}-{part}"),
            (_, None) => format!("{stem}-backend-{index}"),
        };
        while backends.iter().any(|other| other.workload == workload) {
            workload = format!("{workload}-{index}");
        }
        let pods = (0..counts.of(label).get())
            .map(|pod| format!("{workload}-{}-{}", replica_set(label), suffix(label, pod)))
            .collect();
        backends.push(Backend {
            label: label.clone(),
            workload,
            pods,
        });
    }
    backends
}

/// `text` in the letters that an object's name may have, at most 40 of them; `None` where none is left.
fn name_part(text: &str) -> Option<String> {
    let mut part = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => part.push(c),
            // One hyphen for a run of anything else.
            _ if !part.is_empty() && !part.ends_with('-') => part.push('-'),
            _ => {}
        }
        if part.len() == 40 {
            break;
        }
    }
    let part = part.trim_end_matches('-');
    (!part.is_empty()).then(|| part.to_owned())
}

/// The `ReplicaSet`'s hash in a pod's name, 10 letters.
fn replica_set(label: &str) -> String {
    letters(draw::hash(label.as_bytes()), 10, HASH_ALPHABET)
}

/// The last part of a pod's name, 5 letters, different for every pod of the backend.
fn suffix(label: &str, pod: u32) -> String {
    const NAMES: u64 = 27_u64.pow(5);
    // A step that shares no factor with 27 visits every name before it repeats one.
    const STEP: u64 = 8_867_801;
    let start = draw::hash(label.as_bytes()).rotate_left(32) % NAMES;
    letters((start + u64::from(pod) * STEP) % NAMES, 5, ALPHABET)
}

fn letters(mut number: u64, length: usize, alphabet: &[u8]) -> String {
    let base = alphabet.len() as u64;
    (0..length)
        .map(|_| {
            let letter = usize::try_from(number % base).expect("a remainder of the length fits");
            number /= base;
            char::from(alphabet[letter])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn named(labels: &[&str], pods: &str) -> Vec<Backend> {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let counts = if pods.is_empty() {
            PodCounts::default()
        } else {
            pods.parse().unwrap()
        };
        backends("challenge-app", &labels, &counts)
    }

    #[test]
    fn pods_are_named_as_those_of_a_deployment() {
        let backends = named(&["v1", "v2"], "v1=3");
        assert_eq!(backends[0].workload, "challenge-app");
        assert_eq!(backends[1].workload, "challenge-app-v2");
        assert_eq!((backends[0].pods.len(), backends[1].pods.len()), (3, 1));
        for backend in &backends {
            for pod in &backend.pods {
                let rest = pod.strip_prefix(&format!("{}-", backend.workload)).unwrap();
                let (hash, suffix) = rest.split_once('-').unwrap();
                assert_eq!((hash.len(), suffix.len()), (10, 5));
                let known = |byte: u8| byte == b'-' || ALPHABET.contains(&byte);
                assert!(rest.bytes().all(known));
            }
        }
        assert_eq!(backends, named(&["v1", "v2"], "v1=3"));
    }

    #[test]
    fn ten_thousand_pods_of_one_backend_have_different_names() {
        let backends = named(&["v1"], "v1=10000");
        let names: HashSet<&String> = backends[0].pods.iter().collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn labels_that_no_object_could_carry_still_give_different_workloads() {
        let long = "x".repeat(250);
        let backends = named(&["v1", "v.2", "V/2", "::", "ä", &long, "v-2"], "");
        let workloads: HashSet<&str> = backends.iter().map(|b| b.workload.as_str()).collect();
        assert_eq!(workloads.len(), 7);
        assert_eq!(backends[1].workload, "challenge-app-v-2");
        for backend in &backends {
            assert!(backend.pods[0].len() <= 253);
            let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(backend.pods[0].chars().all(fit), "{}", backend.pods[0]);
        }
    }

    #[test]
    fn bad_pod_counts_are_refused() {
        for text in ["", "v1", "v1=0", "v1=-1", "v1=3,", "v1=x"] {
            let error = text.parse::<PodCounts>().unwrap_err().to_string();
            assert!(error.starts_with("--pods"), "{error}");
        }
    }
}
