//! Why nothing could be measured.

use std::time::Duration;

use super::dial::DialError;
use super::machine;
use crate::measured::{Address, Measured, Unmeasured};
use crate::plan::Plan;
use crate::tally::set_aside::SetAside;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name has no address, or none of its addresses takes a connection.
    #[error("{}", unreachable_message(.target, .errors))]
    Unreachable {
        /// `HOST:PORT`.
        target: String,
        /// What each address answered; `None` stands for the name.
        errors: Vec<(Option<Address>, DialError)>,
    },
    /// A backend did not answer in the time that was given for that.
    #[error("{}", not_ready_message(*.limit, .missing, .answered, .sent.sent()))]
    NotReady {
        /// The time.
        limit: Duration,
        /// The labels that no pod is known to belong to.
        missing: Vec<String>,
        /// The workloads that did answer.
        answered: Vec<String>,
        /// What was sent.
        sent: Box<SetAside>,
    },
    /// The user stopped the run before a request that counts.
    #[error("{}", interrupted_message(.0.sent()))]
    Interrupted(Box<SetAside>),
    /// The system starts no more threads.
    #[error(
        "the system does not start {threads} threads ({source}): lower --threads, or raise the limit of processes (ulimit -u) or of memory"
    )]
    Threads {
        /// How many were to start.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// The run would end in the middle for lack of addresses.
    #[error(
        "{connections} connections on {threads} threads don't fit into the {} MiB of address space that ulimit -v leaves: \
         lower --concurrency and --threads, or raise ulimit -v",
        .left >> 20
    )]
    Addresses {
        /// How many connections are wanted.
        connections: usize,
        /// How many threads.
        threads: usize,
        /// Bytes that are left.
        left: u64,
    },
    /// The client could not set itself up.
    #[error("{}", setup_message(.0))]
    Setup(#[from] std::io::Error),
}

impl LoadError {
    /// A run that could not begin; what was sent before stands in it.
    pub(super) fn measured(self, plan: &Plan) -> Measured {
        let set_aside = match &self {
            Self::NotReady { sent, .. } | Self::Interrupted(sent) => (**sent).clone(),
            Self::Unreachable { .. }
            | Self::Threads { .. }
            | Self::Addresses { .. }
            | Self::Setup(_) => SetAside::default(),
        };
        Measured {
            set_aside,
            ..Measured::failed(plan, self.into())
        }
    }
}

impl From<LoadError> for Unmeasured {
    fn from(error: LoadError) -> Self {
        let code = match error {
            LoadError::Unreachable { .. } => "unreachable",
            LoadError::NotReady { .. } => "not_ready",
            LoadError::Interrupted(_) => Self::INTERRUPTED,
            LoadError::Threads { .. } | LoadError::Addresses { .. } | LoadError::Setup(_) => {
                "setup"
            }
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

fn unreachable_message(target: &str, errors: &[(Option<Address>, DialError)]) -> String {
    let parts: Vec<String> = errors
        .iter()
        .map(|(address, error)| match address {
            // What the user gave is not said twice.
            Some(address) if address.to_string() != target => {
                format!("{address}: {}", error.message)
            }
            _ => error.message.clone(),
        })
        .collect();
    format!(
        "cannot reach {target}: {}; is the address right, and the ingress up? To try lbtest without one: \
         lbtest demo --expect v1=70,v2=30",
        parts.join("; ")
    )
}

fn setup_message(error: &std::io::Error) -> String {
    match machine::remedy(error) {
        Some(remedy) => format!("the client could not start: {error}: {remedy}"),
        None => format!("the client could not start: {error}"),
    }
}

fn interrupted_message(sent: u64) -> String {
    match sent {
        0 => "interrupted before the first request".to_owned(),
        sent => {
            format!("interrupted before the first request that counts, with {sent} sent to prepare")
        }
    }
}

fn not_ready_message(
    limit: Duration,
    missing: &[String],
    answered: &[String],
    polls: u64,
) -> String {
    let escaped = |names: &[String]| {
        let names = names
            .iter()
            .take(8)
            .map(|name| name.escape_debug().to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    let missing = escaped(missing);
    if answered.is_empty() {
        return format!(
            "no backend answered within --wait-ready {limit:?} ({polls} requests): {missing} missing"
        );
    }
    format!(
        "not ready within --wait-ready {limit:?}: {missing} did not answer ({polls} requests, answered by {}); \
         a pod whose name does not tell its backend is mapped with --backend LABEL=WORKLOAD",
        escaped(answered)
    )
}
