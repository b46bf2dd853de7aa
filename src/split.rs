//! The expected split: which backends there are, and the share of the requests that each must get.
//!
//! The first noun of the pipeline; every later stage refers to a backend by its index here.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// The largest number of backends in one split.
pub const MAX_BACKENDS: usize = 255;

/// The largest number of pods whose evenness is judged: so many groups a run tells apart.
pub const MAX_PODS: usize = 1000;

/// Backend labels and their expected shares, in the order in which they were given.
///
/// At least one share is positive, every share lies in `0..=1`, and they sum to 1 (within rounding).
/// A share of 0 means "must get nothing".
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    labels: Vec<String>,
    weights: Vec<f64>,
    shares: Vec<f64>,
    is_of_pods: bool,
    are_named: bool,
}

/// Why a text or a list is not an expected split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// The text holds no `label=weight` at all.
    #[error("no backends given: write label=weight pairs such as v1=70,v2=30")]
    Empty,
    /// An item lacks its `=weight`.
    #[error("'{0}' has no weight: write LABEL=WEIGHT pairs such as v1=70,v2=30")]
    NoWeight(String),
    /// An item has an empty label, or one with white space or control characters in it.
    #[error("'{0}' is not a backend label: use letters, digits, '-', '_', '.' or '/'")]
    BadLabel(String),
    /// A label stands twice.
    #[error("backend '{0}' is given twice: name each backend once")]
    Duplicate(String),
    /// A weight is not a finite number of at least 0.
    #[error("weight '{weight}' of backend '{label}' is not a number of at least 0")]
    BadWeight {
        /// The backend.
        label: String,
        /// What stands for its weight.
        weight: String,
    },
    /// No backend is to get anything, or the sum overflows.
    #[error("the weights sum to {0}: at least one must be positive and their sum finite")]
    BadSum(f64),
    /// More than [`MAX_BACKENDS`].
    #[error("{0} backends given: at most {MAX_BACKENDS} are supported")]
    TooMany(usize),
    /// More than [`MAX_PODS`].
    #[error("{0} pods given: the evenness of at most {MAX_PODS} is judged")]
    TooManyPods(usize),
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a split has at least one backend"
)]
impl Split {
    /// Builds a split from `(label, weight)` pairs; weights are relative.
    ///
    /// # Errors
    /// A bad or repeated label, a weight that is negative or not finite, a sum of 0, too many backends.
    pub fn new<L: Into<String>>(
        backends: impl IntoIterator<Item = (L, f64)>,
    ) -> Result<Self, SplitError> {
        let (labels, weights): (Vec<String>, Vec<f64>) = backends
            .into_iter()
            .map(|(label, weight)| (label.into(), weight))
            .unzip();
        if labels.len() > MAX_BACKENDS {
            return Err(SplitError::TooMany(labels.len()));
        }
        Self::checked(labels, weights)
    }

    fn checked(labels: Vec<String>, weights: Vec<f64>) -> Result<Self, SplitError> {
        if labels.is_empty() {
            return Err(SplitError::Empty);
        }
        for (index, label) in labels.iter().enumerate() {
            if !is_label(label) {
                return Err(SplitError::BadLabel(label.escape_debug().to_string()));
            }
            if labels[..index].contains(label) {
                return Err(SplitError::Duplicate(label.clone()));
            }
        }
        for (label, &weight) in labels.iter().zip(&weights) {
            if !weight.is_finite() || weight < 0.0 {
                return Err(SplitError::BadWeight {
                    label: label.clone(),
                    weight: weight.to_string(),
                });
            }
        }
        let sum: f64 = weights.iter().sum();
        if !sum.is_finite() || sum <= 0.0 {
            return Err(SplitError::BadSum(sum));
        }
        let shares = weights.iter().map(|weight| weight / sum).collect();
        Ok(Self {
            labels,
            weights,
            shares,
            is_of_pods: false,
            are_named: false,
        })
    }

    /// Equal shares for so many pods, whose names are not known yet.
    ///
    /// # Errors
    /// More pods than [`MAX_PODS`].
    pub fn of_pods(pods: NonZeroUsize) -> Result<Self, SplitError> {
        if pods.get() > MAX_PODS {
            return Err(SplitError::TooManyPods(pods.get()));
        }
        let labels = (1..=pods.get()).map(|pod| format!("pod-{pod}"));
        let split = Self::checked(labels.collect(), vec![1.0; pods.get()])?;
        Ok(Self {
            is_of_pods: true,
            ..split
        })
    }

    /// Equal shares for the pods of these names.
    ///
    /// # Errors
    /// More pods than [`MAX_PODS`], or a name that is none or comes twice.
    pub fn of_named_pods(names: &[String]) -> Result<Self, SplitError> {
        if names.len() > MAX_PODS {
            return Err(SplitError::TooManyPods(names.len()));
        }
        let split = Self::checked(names.to_vec(), vec![1.0; names.len()])?;
        Ok(Self {
            is_of_pods: true,
            are_named: true,
            ..split
        })
    }

    /// Whether the pods' names are known before they answer.
    pub fn are_named(&self) -> bool {
        self.are_named
    }

    /// Whether each backend is a pod, whichever it is, and all are to get the same.
    pub fn is_of_pods(&self) -> bool {
        self.is_of_pods
    }

    /// The same split of pods, where pod `i` is called `names[i]`; a name that is no label stays as it was.
    pub fn naming(&self, names: &[&str]) -> Self {
        let pods = self.labels.iter().enumerate().map(|(pod, label)| {
            let name = names.get(pod).copied().filter(|name| is_label(name));
            name.unwrap_or(label).to_owned()
        });
        let split = Self::checked(pods.collect(), vec![1.0; self.len()]);
        let split = split.unwrap_or_else(|_| self.clone());
        Self {
            is_of_pods: true,
            ..split
        }
    }

    /// The backends' labels; index `i` is backend `i` everywhere in this crate.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The weights as they were given; `weights()[i]` belongs to `labels()[i]`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The expected shares, in `0..=1`, summing to 1; `shares()[i]` belongs to `labels()[i]`.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The number of backends, zero-weight ones included.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The index of the backend called `label`.
    pub fn position(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|known| known == label)
    }

    /// Whether the weights sum to neither 1 nor 100, so that a reader may want to see the shares.
    pub fn is_relative(&self) -> bool {
        let sum: f64 = self.weights.iter().sum();
        !self.is_of_pods && (sum - 1.0).abs() > 1e-9 && (sum - 100.0).abs() > 1e-7
    }
}

fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_./:".contains(c);
    !text.is_empty() && text.len() <= 253 && text.chars().all(allowed)
}

impl FromStr for Split {
    type Err = SplitError;

    /// Reads `v1=70,v2=30`; a weight may end in `%`, and the first `=` of an item divides it.
    fn from_str(text: &str) -> Result<Self, SplitError> {
        if text.trim().is_empty() {
            return Err(SplitError::Empty);
        }
        let mut backends = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (label, weight) = item
                .split_once('=')
                .ok_or_else(|| SplitError::NoWeight(item.escape_debug().to_string()))?;
            let (label, weight) = (label.trim(), weight.trim());
            let number = weight.strip_suffix('%').unwrap_or(weight).trim_end();
            let parsed = number.parse().map_err(|_| SplitError::BadWeight {
                label: label.escape_debug().to_string(),
                weight: weight.escape_debug().to_string(),
            })?;
            backends.push((label, parsed));
        }
        Self::new(backends)
    }
}

impl fmt::Display for Split {
    /// Writes `v1=70,v2=30`, with the weights as given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_of_pods && !self.are_named {
            return f.write_str("equal shares");
        }
        for (index, (label, weight)) in self.labels.iter().zip(&self.weights).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{label}={weight}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_and_spaces_are_accepted() {
        let split: Split = " v1 = 70% , v2=30 ".parse().unwrap();
        assert_eq!(split.labels(), ["v1", "v2"]);
        assert_eq!(split.shares(), [0.7, 0.3]);
        assert!(!split.is_relative());
    }

    #[test]
    fn relative_weights_become_shares() {
        let split: Split = "a=3,b=1".parse().unwrap();
        assert_eq!(split.shares(), [0.75, 0.25]);
        assert!(split.is_relative());
        assert_eq!(split.to_string(), "a=3,b=1");
    }

    #[test]
    fn pods_get_equal_shares_and_their_names_later() {
        let pods = Split::of_pods(NonZeroUsize::new(3).unwrap()).unwrap();
        assert!(pods.is_of_pods() && !pods.is_relative());
        let named = pods.naming(&["app-b", "a\u{1b}[2J"]);
        assert_eq!(named.labels(), ["app-b", "pod-2", "pod-3"]);
        assert_eq!((named.is_of_pods(), named.shares()), (true, pods.shares()));
        // A pod that is called as another's number leaves all numbers.
        assert_eq!(pods.naming(&["pod-2"]).labels(), pods.labels());
        let many = Split::of_pods(NonZeroUsize::new(MAX_PODS + 1).unwrap());
        assert!(many.unwrap_err().to_string().contains("at most 1000"));
    }

    #[test]
    fn each_bad_split_is_refused_with_the_part_that_is_wrong() {
        let refused = |text: &str| text.parse::<Split>().unwrap_err().to_string();
        assert!(refused("v1=70,v2").contains("'v2' has no weight"));
        assert!(refused("v1=-1,v2=2").contains("'-1'"));
        assert!(refused("v1=0").contains("sum to 0"));
        assert!(refused("v1=1,v1=2").contains("twice"));
        assert!(refused("v1=NaN,v2=1").contains("NaN"));
        assert!(refused("v1=inf,v2=1").contains("inf"));
        assert!(refused("v1=1e308,v2=1e308").contains("sum to inf"));
        assert!(refused("").contains("no backends"));
        assert!(refused("=1").contains("''"));
        assert!(refused("a b=1").contains("'a b'"));
        assert!(refused("a\u{1b}[2J=1").contains("u{1b}"));
        assert!(refused("v1=1,").contains("''"));
    }
}
