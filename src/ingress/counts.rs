//! What the ingress has answered: the truth that a client's own counts can be held against.

/// The answers of an ingress so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// By backend, in the split's order.
    pub backends: Vec<BackendCount>,
    /// Rejections by the limiter.
    pub limited: u64,
    /// What the ingress answered without routing: 400, 404, 413, redirects, no endpoints.
    pub refused: u64,
}

impl Counts {
    /// The requests that were routed to backend `i` and not rejected there, by the split's order.
    pub fn routed(&self) -> Vec<u64> {
        self.backends.iter().map(BackendCount::routed).collect()
    }
}

/// The answers of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendCount {
    /// Its label in the split.
    pub label: String,
    pub workload: String,
    /// By pod; a pod of an absent backend answers nothing.
    pub pods: Vec<PodCount>,
    /// Faults without an identity: statuses of the ingress, connections closed or reset.
    pub faulted: u64,
}

impl BackendCount {
    /// The answers that carried a pod's page, errors of the application among them.
    pub fn answered(&self) -> u64 {
        self.pods.iter().map(|pod| pod.answered).sum()
    }

    /// The requests that were routed to it: answered and faulted.
    pub fn routed(&self) -> u64 {
        self.answered() + self.faulted
    }
}

/// The answers of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodCount {
    pub name: String,
    /// How many answers carried its page.
    pub answered: u64,
}
