//! Pod name → workload: undo what Kubernetes appends to the name of a Deployment, `DaemonSet`, Job or
//! `StatefulSet`.
//!
//! | controller | pod name |
//! |---|---|
//! | Deployment | `NAME-<ReplicaSet hash>-<suffix>` |
//! | `DaemonSet`, `ReplicaSet`, Job | `NAME-<suffix>` |
//! | `StatefulSet` | `NAME-<ordinal>` |
//!
//! The suffix is five characters that `rand.String` draws from 27 (`k8s.io/apimachinery`,
//! `pkg/util/rand`, appended by `k8s.io/apiserver`, `pkg/storage/names`). The hash is narrower: it is
//! `SafeEncodeString` of an unsigned 32-bit number in decimal, and as ten digits can map to ten characters
//! at most, it is written in `456789bcdf` alone, one character a digit. So `v2` is never a hash.
//!
//! Two readings stay open, and both are settled the cautious way. A hash of under six digits has
//! probability 2.3e-5, while names such as `web-b` and `app-5` are common: such an end is kept, because
//! a hash mistaken for a name splits one workload in two, which is noticed, whereas a name mistaken for
//! a hash would merge two backends into one. And a bare pod whose last word happens to be spelt in the
//! alphabet (`web-https`) reads as a `DaemonSet`'s; controllers append a suffix to such a name, and then
//! only that is removed.

/// What `rand.String` draws from: no vowels, no digit that looks like a letter.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The characters that `SafeEncodeString` gives to the digits 6, 7, 8, 9, 0, 1, 2, 3, 4, 5.
const HASH_ALPHABET: &[u8] = b"bcdf456789";

/// The length of the random end of a generated name (`names.randomLength`).
const SUFFIX_LENGTH: usize = 5;

/// The longest generated name; a longer one loses the end of its base (`names.maxNameLength`).
const GENERATED_LENGTH: usize = 63;

/// How many digits an accepted hash has: at most those of 2³² − 1, at least six (see the module's text).
const HASH_LENGTH: std::ops::RangeInclusive<usize> = 6..=10;

/// The largest number of digits in a `StatefulSet` ordinal, a 32-bit number.
const ORDINAL_LENGTH: usize = 10;

/// The workload that `pod` belongs to, as far as its name tells; a name in none of Kubernetes' forms is
/// its own workload: `challenge-app-v2-6b8464cddd-nnjmj` is of `challenge-app-v2`, `web-0` of `web`, and `app-v2` of itself.
pub fn workload(pod: &str) -> &str {
    match Form::of(pod) {
        Form::Generated { owner } => without_hash(owner).unwrap_or(owner),
        Form::Truncated { base } => match base.rsplit_once('-') {
            // The cut may have gone through the hash, so that any length is left of it.
            Some((name, end))
                if !name.is_empty()
                    && end.len() <= *HASH_LENGTH.end()
                    && spelt_in(end, HASH_ALPHABET) =>
            {
                name
            }
            _ => base,
        },
        Form::Ordinal { name, .. } => name,
        Form::Plain => pod,
    }
}

/// The part of `pod` that names the smallest set of pods known to be alike: the `ReplicaSet` of a
/// Deployment's pod, the `DaemonSet` or Job, and otherwise the pod itself.
///
/// Pods of one workload may stand behind different backends (two `ReplicaSets` of an Argo Rollout, the
/// partitions of a `StatefulSet`), pods of one owner can't.
pub fn owner(pod: &str) -> &str {
    match Form::of(pod) {
        Form::Generated { owner } => owner,
        // Two long names may differ in the part that was cut off.
        Form::Truncated { .. } | Form::Ordinal { .. } | Form::Plain => pod,
    }
}

/// Whether `name` is the name of a `ReplicaSet` of a Deployment, that is, ends in a template hash.
pub(super) fn is_replica_set(name: &str) -> bool {
    without_hash(name).is_some()
}

/// Whether `name` is that of a Deployment's pod: `NAME-<hash>-<suffix>`.
pub(crate) fn is_deployment_pod(name: &str) -> bool {
    match Form::of(name) {
        Form::Generated { owner } => without_hash(owner).is_some(),
        Form::Truncated { .. } | Form::Ordinal { .. } | Form::Plain => false,
    }
}

/// Whether a text that is nothing but `text` may be taken for a pod's name.
///
/// It must be an RFC 1123 name in one of Kubernetes' forms. Ordinals count up to 99, since `error-503`
/// is more likely a message than a pod.
pub(super) fn is_generated_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let spelt = bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte));
    spelt
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && match Form::of(text) {
            Form::Generated { .. } | Form::Truncated { .. } => true,
            Form::Ordinal { ordinal, .. } => ordinal.len() <= 2,
            Form::Plain => false,
        }
}

/// The form of a pod's name.
enum Form<'a> {
    /// `owner-<suffix>`.
    Generated {
        owner: &'a str,
    },
    /// A generated name at the limit, whose base was cut to make room for the suffix.
    Truncated {
        base: &'a str,
    },
    Ordinal {
        name: &'a str,
        ordinal: &'a str,
    },
    /// None of these.
    Plain,
}

impl<'a> Form<'a> {
    fn of(pod: &'a str) -> Self {
        if let Some((head, end)) = pod.rsplit_once('-')
            && head.bytes().any(|byte| byte != b'-')
        {
            if end.len() == SUFFIX_LENGTH && spelt_in(end, SUFFIX_ALPHABET) {
                return Self::Generated { owner: head };
            }
            if is_ordinal(end) {
                return Self::Ordinal {
                    name: head,
                    ordinal: end,
                };
            }
        }
        if pod.len() == GENERATED_LENGTH
            && let Some((base, suffix)) = pod.split_at_checked(GENERATED_LENGTH - SUFFIX_LENGTH)
            && base.contains('-')
            && spelt_in(suffix, SUFFIX_ALPHABET)
        {
            return Self::Truncated { base };
        }
        Self::Plain
    }
}

fn without_hash(name: &str) -> Option<&str> {
    let (head, hash) = name.rsplit_once('-')?;
    (!head.is_empty() && is_hash(hash)).then_some(head)
}

/// Whether `text` is a template hash. Those of other makers use the whole alphabet: they are taken from
/// eight characters on, two of them digits, which no word is.
fn is_hash(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let other_maker = (8..=*HASH_LENGTH.end()).contains(&text.len())
        && digits >= 2
        && spelt_in(text, SUFFIX_ALPHABET);
    (HASH_LENGTH.contains(&text.len()) && spelt_in(text, HASH_ALPHABET)) || other_maker
}

fn is_ordinal(text: &str) -> bool {
    let canonical = text == "0" || !text.starts_with('0');
    canonical
        && (1..=ORDINAL_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` is not empty and has characters of `alphabet` alone.
fn spelt_in(text: &str, alphabet: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| alphabet.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_controller_form_gives_its_workload_and_owner() {
        let cases = [
            // Deployments
            (
                "challenge-app-6f79ff6b8d-fmzvc",
                "challenge-app",
                "challenge-app-6f79ff6b8d",
            ),
            (
                "challenge-app-v2-6b8464cddd-nnjmj",
                "challenge-app-v2",
                "challenge-app-v2-6b8464cddd",
            ),
            ("burnham-9d686dc7b-dw45m", "burnham", "burnham-9d686dc7b"),
            ("app-2-6b8464cddd-nnjmj", "app-2", "app-2-6b8464cddd"),
            // DaemonSets, Jobs, bare ReplicaSets
            ("coffee-rc-blkhf", "coffee-rc", "coffee-rc"),
            ("frontend-v2-bcdfg", "frontend-v2", "frontend-v2"),
            (
                "backup-28123456-x7kfd",
                "backup-28123456",
                "backup-28123456",
            ),
            // StatefulSets
            ("web-0", "web", "web-0"),
            ("web-v2-12", "web-v2", "web-v2-12"),
        ];
        for (pod, expected_workload, expected_owner) in cases {
            assert_eq!(workload(pod), expected_workload, "{pod}");
            assert_eq!(owner(pod), expected_owner, "{pod}");
        }
    }

    #[test]
    fn names_in_no_form_stay_as_they_are() {
        for name in [
            "app-v2",
            "challenge-app",
            "v1",
            "localhost",
            "83eaa3309703",
            "-fmzvc",
            "--fmzvc",
            "-0",
            "app-007",
            "app-aeiou",
            "app-12345678901",
            "web_https",
            "",
            "-",
            "pod-é",
            "日本語-ポッド",
        ] {
            assert_eq!(workload(name), name);
            assert_eq!(owner(name), name);
        }
    }

    #[test]
    fn a_version_or_a_single_letter_before_the_suffix_is_not_a_hash() {
        for (pod, expected) in [
            ("app-v2-x7kfd", "app-v2"),
            ("web-b-x7kfd", "web-b"),
            ("web-c-x7kfd", "web-c"),
            ("app-5-x7kfd", "app-5"),
            ("app-2048-x7kfd", "app-2048"),
            ("app-proxy-x7kfd", "app-proxy"),
        ] {
            assert_eq!(workload(pod), expected);
        }
    }

    #[test]
    fn hashes_use_only_the_ten_characters_that_digits_map_to() {
        // SafeEncodeString: alphanums[byte % 27] of the digits '0' to '9'.
        let mut encoded: Vec<u8> = (b'0'..=b'9')
            .map(|digit| SUFFIX_ALPHABET[usize::from(digit) % SUFFIX_ALPHABET.len()])
            .collect();
        let mut expected = HASH_ALPHABET.to_vec();
        encoded.sort_unstable();
        expected.sort_unstable();
        assert_eq!(encoded, expected);
        assert_eq!(workload("app-ghjklmnpqr-x7kfd"), "app-ghjklmnpqr");
    }

    #[test]
    fn a_name_cut_at_63_characters_loses_the_glued_suffix() {
        let deployment = "a".repeat(24) + "-" + &"b".repeat(22) + "-v2"; // 50 characters
        let pod = format!("{deployment}-6b8464cddd-")[..58].to_owned() + "nnjmj";
        assert_eq!(pod.len(), 63);
        assert_eq!(workload(&pod), deployment);
        assert_eq!(owner(&pod), pod);
        let exact = format!("{}-6b8464cddd-nnjmj", "n".repeat(46));
        assert_eq!(exact.len(), 63);
        assert_eq!(workload(&exact), "n".repeat(46));
    }

    #[test]
    fn a_bare_text_counts_as_a_pod_only_in_a_generated_form() {
        for name in [
            "challenge-app-6f79ff6b8d-fmzvc",
            "netexec-x7kfd",
            "web-0",
            "web-12",
        ] {
            assert!(is_generated_name(name), "{name}");
        }
        for text in [
            "ok",
            "healthy",
            "default backend - 404",
            "error-503",
            "not-found",
            "Web-0",
            "web-0\n",
            "v2",
            "app-v2",
            "1.2.3",
            "",
        ] {
            assert!(!is_generated_name(text), "{text}");
        }
    }
}
