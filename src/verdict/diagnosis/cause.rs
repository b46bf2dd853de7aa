//! The known causes of a constant split: their codes and their sentences.

use super::missing::Missing;
use super::{LOGS, Symptoms, WEIGHTS, percent};

/// What may have divided the requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cause {
    /// The expected split; whatever is missing is missing of every backend alike.
    AsExpected,
    /// The expected shares, in another order.
    WeightsSwapped,
    /// The same share for every backend.
    EqualWeights,
    /// The same share for every pod.
    UniformOverPods,
    /// Shares as the replicas.
    ReplicaRatio,
    /// These backends got nothing, and the others their shares.
    Absent(Vec<usize>),
    /// Weights out of this total were read as out of 100.
    TotalIgnored(f64),
    /// This client gets this backend alone.
    StuckClient(usize),
    /// The expected split; whatever is missing is missing of this backend.
    Failing(usize),
}

impl Cause {
    /// Its code in a report.
    pub(super) fn code(&self, symptoms: &Symptoms<'_>, missing: &Missing) -> &'static str {
        match self {
            Self::AsExpected => "as_expected",
            Self::WeightsSwapped => "weights_swapped",
            Self::EqualWeights => "equal_weights",
            Self::UniformOverPods => "uniform_over_pods",
            Self::ReplicaRatio => "replica_ratio",
            Self::Absent(silent) if silent.contains(&symptoms.primary()) => "primary_bypassed",
            Self::Absent(_) => "canary_absent",
            Self::TotalIgnored(_) => "canary_weight_total_ignored",
            Self::StuckClient(_) => "stuck_client",
            Self::Failing(_) if missing.is_mostly_success() => "backend_not_identified",
            Self::Failing(backend) if *backend == symptoms.primary() => "primary_failing",
            Self::Failing(_) => "canary_failing",
        }
    }

    /// What to do about it, where its sentence does not say so.
    pub(super) fn next(&self, missing: &Missing) -> Option<&'static str> {
        match self {
            Self::EqualWeights
            | Self::UniformOverPods
            | Self::ReplicaRatio
            | Self::TotalIgnored(_) => Some(WEIGHTS),
            Self::WeightsSwapped => Some("see which backend is which, and then its weight"),
            Self::Absent(_) => Some("see whether its pods are ready, and whether its rule applies"),
            Self::Failing(_) if !missing.is_mostly_success() => Some(LOGS),
            Self::AsExpected | Self::StuckClient(_) | Self::Failing(_) => None,
        }
    }

    /// What it would look like and why, with its `shares` by backend.
    pub(super) fn sentence(
        &self,
        symptoms: &Symptoms<'_>,
        missing: &Missing,
        shares: &[f64],
    ) -> String {
        let message = symptoms.labelled(shares);
        match self {
            Self::AsExpected => format!("the counts look like the expected split: {message}"),
            Self::WeightsSwapped => {
                format!("the counts look like the weights in another order: {message}")
            }
            Self::EqualWeights => format!(
                "the counts look like equal weights: {message}, as happens when the weights are not applied"
            ),
            Self::UniformOverPods => format!(
                "the counts look like every pod getting the same: {message} over the {} pods that \
                 answered, as happens when the route or its weights are bypassed",
                pods_text(symptoms)
            ),
            Self::ReplicaRatio => format!(
                "the counts look like the ratio of the replicas: {message}, as happens when replicas alone \
                 divide the requests"
            ),
            Self::Absent(silent) => absent(symptoms, missing, silent),
            Self::TotalIgnored(total) if *total > 100.0 => format!(
                "the counts look like weights out of {total} read as out of 100: {message}, as happens when \
                 canary-weight-total is not read"
            ),
            Self::TotalIgnored(total) => format!(
                "the counts look like weights out of {total} read as out of 100: {message}, as happens when \
                 ingress-nginx ignores a canary-weight-total of 100 or less"
            ),
            Self::StuckClient(backend) => format!(
                "every identified response came from {}{}: as happens when this client is kept on one side, \
                 by a hash of its address or of another key that never changes",
                symptoms.label(*backend),
                one_pod(symptoms, *backend)
            ),
            Self::Failing(backend) => failing(symptoms, missing, *backend),
        }
    }
}

/// `3 + 1`, by backend.
fn pods_text(symptoms: &Symptoms<'_>) -> String {
    let numbers: Vec<String> = symptoms
        .pods
        .iter()
        .take(8)
        .map(|pods| pods.len().to_string())
        .collect();
    numbers.join(" + ")
}

fn one_pod(symptoms: &Symptoms<'_>, backend: usize) -> &'static str {
    match symptoms.pods.get(backend) {
        Some(pods) if pods.len() == 1 => ", and from one pod of it",
        _ => "",
    }
}

fn absent(symptoms: &Symptoms<'_>, missing: &Missing, silent: &[usize]) -> String {
    let names: Vec<&str> = silent
        .iter()
        .take(8)
        .map(|&backend| symptoms.label(backend))
        .collect();
    let failed = if missing.sent() == 0 {
        "nothing failed".to_owned()
    } else {
        format!("{} requests failed, too few for it", missing.sent())
    };
    let why = if silent.contains(&symptoms.primary()) {
        "another backend has all the weight, or a rule by header or cookie goes before the weights"
    } else {
        "it has no ready endpoints and the ingress gives its share to another, or its rule does not apply"
    };
    format!(
        "{} got nothing, and {failed}: as happens when {why}",
        names.join(" and ")
    )
}

fn failing(symptoms: &Symptoms<'_>, missing: &Missing, backend: usize) -> String {
    let label = symptoms.label(backend);
    let all = (symptoms.attributed() + missing.sent()) as f64;
    let (missed, answered) = (
        percent(missing.sent() as f64 / all),
        percent(symptoms.counts.observed[backend] as f64 / all),
    );
    let expected = percent(symptoms.split.shares()[backend]);
    if missing.is_mostly_redirects() {
        return format!(
            "{missed} of the requests were redirected ({}), and {answered} answered by {label}, which should get \
             {expected}: as happens when {label} redirects, to a login or to another path; send a session with -b or -H, or ask \
             for the path that it answers",
            missing.summary()
        );
    }
    if missing.is_mostly_success() {
        return format!(
            "{missed} of the requests were answered without naming a pod ({}), {answered} by {label}, \
             which should get {expected}: as happens when the answers of {label} do not name their pod; say how \
             they do with --identify",
            missing.summary()
        );
    }
    let answers = symptoms.counts.observed[backend] > 0;
    let fails = if answers && missing.is_mostly_rejections() {
        "fails, or rejects what is too much at once (a circuit breaker, a limit of connections: a lower -c tells),"
    } else if missing.is_mostly_refusals() {
        "refuses what the others answer (a path that it lacks, or a login)"
    } else {
        "fails"
    };
    format!(
        "{missed} of the requests failed ({}) and {answered} were answered by {label}, which should get \
         {expected}: as happens when {label} {fails} and the split is right",
        missing.summary()
    )
}
