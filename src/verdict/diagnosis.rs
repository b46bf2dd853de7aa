//! What a split that is off looks like, by likelihood: the causes that the field knows, each with its
//! figures.
//!
//! [`diagnose`] is a pure function of the [`Symptoms`]. It never changes a verdict. What it offers is a
//! cause that fits the counts by its own test and that no other known cause explains better; causes that
//! the counts do not tell apart are reported as tied, and where no known cause fits, that is said.
//!
//! The causes, and what each would look like:
//!
//! | code | signal |
//! |---|---|
//! | `weights_swapped` | the expected shares in another order |
//! | `equal_weights` | the same share for every backend |
//! | `uniform_over_pods` | the same share for every pod that answered |
//! | `replica_ratio` | shares as the replicas, whatever the pods within a backend get |
//! | `canary_absent`, `primary_bypassed` | a backend got nothing, and nothing failed |
//! | `canary_weight_total_ignored` | behind ingress-nginx: weights out of another total, read as out of 100 |
//! | `canary_header_ignored` | a header or cookie is sent that is to lead to one backend, and others answer |
//! | `stuck_client` | one backend alone answered |
//! | `canary_failing`, `primary_failing` | one backend's share of the requests failed |
//! | `backend_not_identified` | one backend's share of the responses names no pod |
//! | `backend_limited` | one backend answered at first, and then hardly |
//! | `rate_limited` | rejections that vanish at a lower pace |
//! | `limiter_suspected` | rejections of which there was no time to tell that |
//! | `rejected_without_backend` | rejections that name no backend, and counts of the others that are off |
//! | `rate_limited`, `outage` | from some request on hardly any is answered, whatever the backend |
//! | `errors_clustered` | failures within a short part of the run |
//! | `errors_before_split` | failures that no backend's share explains |
//! | `primary_dead` | nothing but errors from the first request on, as where no endpoint is ready |
//! | `all_failing` | the same, with statuses of pods that fail, or of what cannot reach them |
//! | `weights_not_live_yet`, `changed_mid_run` | another split before some request than after it |
//! | `workers_start_alike` | the same, and more regular than chance after it; or a backend that comes in waves |
//! | `zero_weight_leak` | a backend of weight 0 answered |
//! | `cache_in_front` | responses say that they come from a cache |
//! | `cookie_affinity` | a `Set-Cookie`, or a `Cookie` of the user's own |
//! | `addresses_differ` | one address of a name splits otherwise than the others |
//! | `per_connection_balancing` | the same backend within a connection |
//! | `pinned_by_connection` | the same backend on the only connection, or on kept ones beside fresh ones |
//! | `connections_compared` | fresh and kept connections, where neither keeps a backend |
//! | `answers_in_bursts` | answers repeat the backend of their neighbours |
//! | `backend_errors` | one backend answers with more errors than the others |
//! | `weighted_round_robin` | more regular than independent draws |
//! | `ports_scarce`, `concurrency_not_reached` | this machine lacked ports, files or memory |
//! | `slow_dials` | connections that took a second or more to open |
//! | `rate_not_reached` | fewer requests were in flight than the rate takes |
//! | `one_pod_alone` | of pods that are to share equally, one answered everything |
//! | `pod_cold`, `pod_hot` | one pod is off, and the others share the rest equally |
//! | `pods_in_two_groups` | two groups of pods get different shares, and share equally within either |
//! | `hottest_pod` | what unevenness costs |
//! | `balancer_round_robin`, `balancer_random`, `balancer_least_request`, `balancer_hash`, `balancer_unknown` | how a pod is chosen, from the order of answers |
//! | `share_depends_on_load` | another split with one request in flight |
//! | `unexplained` | none of these |

mod addresses;
mod balancer;
mod candidate;
mod cause;
mod change;
mod client;
mod connections;
mod constant;
mod evenness;
mod fit;
mod gather;
mod header;
mod limiter;
mod load;
mod missing;
mod notes;
#[cfg(test)]
mod tests;

pub use connections::compared;
pub use gather::diagnose_run;
pub use load::{alone, is_to_be_probed};

use super::decision::Counts;
use crate::observation::Failure;
use crate::plan::target::Protocol;
use crate::split::Split;
use crate::stats::change_point::ChangePoint;
use crate::stats::dependence::Clustering;
use crate::stats::drift::Drift;
use crate::stats::order::Order;
use crate::tally::signs::Signs;
use missing::Missing;

/// What to do where it is unknown why a split is off.
pub const WEIGHTS: &str =
    "see which weights the ingress has; lbtest lint FILES tells what it ignores";
const LOGS: &str = "read the logs of the backend that fails, and check again when it answers";

/// The code where no known cause fits.
const UNEXPLAINED: &str = "unexplained";

/// What a run shows, as far as it helps to find a cause. Slices "by backend" have one entry for each
/// backend of the split, in its order.
#[derive(Debug, Clone, Copy)]
pub struct Symptoms<'a> {
    /// The expected split.
    pub split: &'a Split,
    /// The significance level of the verdict; a cause that this level rejects is not offered.
    pub alpha: f64,
    /// Seeds Monte Carlo.
    pub seed: u64,
    /// The p-value that gates, 1 where the order of answers takes it back; `None` when nothing was attributed.
    pub p_value: Option<f64>,
    pub counts: &'a Counts,
    /// What the counts are worth in independent responses, of which the causes are tested: the same where
    /// every request had a connection of its own; the first response of each connection where they repeat
    /// their backend; a fraction of the counts where responses of a connection resemble each other.
    pub independent: &'a Counts,
    /// Identified responses whose status blames the server, by backend.
    pub errors: &'a [u64],
    /// Identified responses by pod, a list for each backend; pods that never answered are unknown.
    pub pods: &'a [Vec<u64>],
    /// The replicas by backend, where something other than the responses tells them.
    pub replicas: Option<&'a [u64]>,
    /// `(status, responses)` of the responses without an identity.
    pub unidentified_by_status: &'a [(u16, u64)],
    /// `(kind, requests)` of the requests without a whole response.
    pub failures: &'a [(Failure, u64)],
    /// Identified responses by backend over blocks of the dispatch order; `windows[t][i]` is of backend
    /// `i`. Empty where they are not known, or not independent.
    pub windows: &'a [Vec<u64>],
    /// How many requests a block spans, those without an identity included.
    pub window_length: u64,
    /// The test of a constant split over `windows`.
    pub drift: Option<&'a Drift>,
    /// The most likely single change of the split.
    pub change: Option<&'a ChangePoint>,
    /// What connections show that carried several responses.
    pub clustering: Option<Clustering>,
    /// Whether the responses of a connection significantly repeat its backend.
    pub repeats: bool,
    /// What the order of dispatch shows, where a verdict rests on it.
    pub order: Option<Order>,
    /// What the headers of responses show.
    pub signs: Signs,
    /// Whether the user has a `Cookie` header sent.
    pub sends_cookie: bool,
    /// What is spoken.
    pub protocol: Protocol,
    /// Whether ingress-nginx is known to be the one that splits, by its headers or its manifests.
    pub is_ingress_nginx: bool,
}

/// A likely cause, or something worth knowing.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// The beginning of the message where that tells a change, which a reason of the verdict may have told.
    pub change: String,
    /// For a person; the rest of the message.
    pub message: String,
    /// The figures behind it, by name; finite.
    pub evidence: Vec<(&'static str, f64)>,
    /// The codes of further causes that the data do not tell from this one.
    pub tied_with: Vec<&'static str>,
    /// What to do after a FAIL, where the message does not say so.
    pub next: Option<&'static str>,
}

impl Finding {
    /// Something noticed; `code` is stable.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            change: String::new(),
            message: message.into(),
            evidence: Vec::new(),
            tied_with: Vec::new(),
            next: None,
        }
    }

    /// Says what to do after a FAIL.
    fn then(self, next: &'static str) -> Self {
        Self {
            next: Some(next),
            ..self
        }
    }

    /// Adds a figure; one that is not finite says nothing and is left out.
    pub(crate) fn with(mut self, name: &'static str, figure: f64) -> Self {
        if figure.is_finite() {
            self.evidence.push((name, figure));
        }
        self
    }

    /// Says that other causes would look the same.
    fn tied(mut self, others: Vec<&'static str>) -> Self {
        if !others.is_empty() {
            self.message.push_str("; looks the same as: ");
            self.message.push_str(&others.join(", ").replace('_', " "));
            self.tied_with = others;
        }
        self
    }
}

/// What the symptoms look like: the likeliest cause first, then what is worth knowing besides.
pub fn diagnose(symptoms: &Symptoms<'_>) -> Vec<Finding> {
    let missing = Missing::of(symptoms);
    let mut findings = if symptoms.split.is_of_pods() {
        evenness::causes(symptoms)
    } else {
        causes(symptoms, &missing)
    };
    let has_cause = !findings.is_empty();
    let leak = notes::leak(symptoms);
    if symptoms.is_off() && !has_cause && leak.is_none() && !symptoms.split.is_of_pods() {
        let rejected = missing.rejected(symptoms);
        findings.push(rejected.unwrap_or_else(|| constant::unexplained(symptoms, &missing)));
    }
    findings.extend(leak);
    findings.extend(notes::cache(symptoms));
    if symptoms.is_off()
        && let Some(place) = findings.iter().position(|f| f.code == notes::CACHE)
    {
        // What is served from a cache was not split at all: that comes before what it looks like.
        let cache = findings.remove(place);
        findings.insert(0, cache);
    }
    findings.extend(notes::repetition(symptoms));
    findings.extend(notes::bursts(symptoms));
    let cookie = notes::cookie(symptoms);
    if symptoms.sends_cookie && symptoms.is_off() {
        findings.splice(0..0, cookie);
    } else {
        findings.extend(cookie);
    }
    findings.extend(notes::backend_errors(symptoms));
    // Of pods the order says more.
    if !symptoms.split.is_of_pods() {
        findings.extend(notes::regular(symptoms));
    }
    findings
}

/// Causes of the counts, the likeliest first.
fn causes(symptoms: &Symptoms<'_>, missing: &Missing) -> Vec<Finding> {
    if symptoms.attributed() == 0 {
        return missing.nothing_identified(symptoms).into_iter().collect();
    }
    let explained = constant::explain(symptoms, missing);
    if let Some(backend) = explained.failing() {
        let finding = explained.finding(symptoms, missing);
        let later = missing.failing_later(symptoms, backend);
        return later.or(finding).into_iter().collect();
    }
    let change = change::changed(symptoms);
    let counts = if change.is_some() || !symptoms.is_off() {
        // A split that changed is none that stayed.
        None
    } else {
        explained.finding(symptoms, missing)
    };
    let unanswered = missing.over_time(symptoms).or_else(|| {
        let untied = explained.leaves_missing_untied();
        untied.then(|| missing.untied(symptoms)).flatten()
    });
    let causes = change.into_iter().chain(counts);
    if symptoms.is_off() {
        causes.chain(unanswered).collect()
    } else {
        unanswered.into_iter().chain(causes).collect()
    }
}

impl Symptoms<'_> {
    /// Whether the expected split does not explain the counts.
    fn is_off(&self) -> bool {
        self.p_value.is_some_and(|p| p <= self.alpha)
    }

    /// Identified responses of the split's backends.
    fn attributed(&self) -> u64 {
        self.counts.observed.iter().sum()
    }

    /// How many independent ones they are worth.
    fn independent_responses(&self) -> u64 {
        self.independent.observed.iter().sum()
    }

    fn label(&self, backend: usize) -> &str {
        &self.split.labels()[backend]
    }

    /// The backend that is to get most; the first of several.
    fn primary(&self) -> usize {
        let shares = self.split.shares();
        (1..shares.len()).fold(0, |best, next| {
            if shares[next] > shares[best] {
                next
            } else {
                best
            }
        })
    }

    /// A sentence on the split's backends, which says so where others answered too.
    fn among_its_own(&self, sentence: String) -> String {
        match self.counts.foreign {
            0 => sentence,
            _ => format!("among the answers of the split's own backends: {sentence}"),
        }
    }

    /// `v1 30 %, v2 70 %`, at most eight backends of them.
    fn labelled(&self, shares: &[f64]) -> String {
        const SHOWN: usize = 8;
        let mut parts: Vec<String> = self
            .split
            .labels()
            .iter()
            .zip(shares)
            .take(SHOWN)
            .map(|(label, &share)| format!("{label} {}", percent(share)))
            .collect();
        if shares.len() > SHOWN {
            parts.push("…".to_owned());
        }
        parts.join(", ")
    }
}

/// A share in percent, with one digit after the point where it has one.
fn percent(share: f64) -> String {
    format!("{} %", number(share))
}

/// A share as a number of percents.
fn number(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}
