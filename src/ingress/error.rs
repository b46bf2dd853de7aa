//! What makes options of the ingress impossible, alone or together.

use crate::split::SplitError;

/// Why an ingress can't be as it was asked to be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// An option's text is not in its syntax.
    #[error("{flag} '{text}' is not understood: write {syntax}")]
    Syntax {
        /// The option.
        flag: &'static str,
        /// What was given, escaped.
        text: String,
        /// What is accepted.
        syntax: &'static str,
    },
    /// A split within an option is none.
    #[error("{flag}: {reason}")]
    BadSplit {
        /// The option.
        flag: &'static str,
        /// What is wrong with the split.
        reason: SplitError,
    },
    /// An option names a backend that the split does not have.
    #[error("{flag} names backend '{label}', which the split lacks: it has {known}")]
    UnknownBackend {
        /// The option.
        flag: &'static str,
        /// The name.
        label: String,
        /// The split's labels.
        known: String,
    },
    /// An option names a backend twice.
    #[error("{flag} names backend '{label}' twice: name it once")]
    RepeatedBackend {
        /// The option.
        flag: &'static str,
        /// The name.
        label: String,
    },
    /// More pods than the ingress keeps.
    #[error("--pods asks for {asked} pods: at most {most} are supported")]
    TooManyPods {
        /// What was asked for.
        asked: u64,
        /// What is kept.
        most: u64,
    },
    /// A backend fails more often than always.
    #[error("the --fault shares of backend '{label}' sum to {percent}%: at most 100% is possible")]
    FaultShares {
        /// The backend.
        label: String,
        /// The sum, in percent.
        percent: f64,
    },
    /// Two shifts begin at the same request.
    #[error("--shift is given twice for request {0}: give one split for it")]
    RepeatedShift(u64),
    /// A shift of weights that are not used.
    #[error("--route-by pods ignores weights, so that --shift changes nothing: drop one of them")]
    ShiftWithoutWeights,
    /// A header or cookie is to lead to a canary that the split lacks.
    #[error("{0} leads to a canary, and the split has one backend alone: give it a second one")]
    NoCanary(&'static str),
    /// Two rules for one path.
    #[error("--route-path is given twice for '{0}': give one split for it")]
    RepeatedPath(String),
    /// Weights of a path where weights are not used.
    #[error(
        "--route-by pods ignores weights, so that --route-path changes nothing: drop one of them"
    )]
    PathWithoutWeights,
    /// A backend is to be limited, but to what?
    #[error("--limit-backend needs a limit: add --limit-rpm")]
    NoLimit,
}

impl ConfigError {
    pub(super) fn syntax(flag: &'static str, text: &str, syntax: &'static str) -> Self {
        Self::Syntax {
            flag,
            text: text.escape_debug().to_string(),
            syntax,
        }
    }
}
