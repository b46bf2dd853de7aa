//! What shards tell of themselves, so that `lbtest merge` can judge them as one run: part of the JSON
//! contract.
//!
//! Everything in it adds up: counts and histograms by group of pods, blocks and the sequence by their place
//! in the dispatch order of the whole run, and connections by their sums. Which group is which backend is
//! decided once, when all are together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounded;
use crate::claim::Judge;
use crate::plan::shard::MAX_SHARDS;
use crate::split::MAX_BACKENDS;
use crate::tally::connections::{MAX_CELLS, SAMPLED};
use crate::tally::pods::{MAX_GROUPS, MAX_PODS};
use crate::tally::windows::MAX_BLOCKS;

/// Groups that a shard can have: those of each kind of identity.
const MOST_GROUPS: usize = 3 * MAX_GROUPS;
/// Pods of a shard: those that it tells apart, and one of each group for the others.
const MOST_PODS: usize = MAX_PODS + MOST_GROUPS;
/// Pairs of cells.
const MOST_PRODUCTS: usize = MAX_CELLS * (MAX_CELLS + 1) / 2;
/// Two limits for each backend.
const MOST_LIMITS: usize = 2 * MAX_BACKENDS;
const MOST_SHARDS: usize = MAX_SHARDS as usize;

/// Which part of a run a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardReport {
    /// Its number, from 0.
    pub index: u32,
    /// How many shards the run has.
    pub count: u32,
}

/// The marks of a run whose pods' logs tell who answered: `RUN.NUMBER` in the User-Agent and the X-Request-Id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarksReport {
    /// What is common to them.
    #[serde(deserialize_with = "bounded::text")]
    pub run: String,
    /// The number of the first request that counts.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
}

/// The shards of a run: one in a shard's report, all that were merged in a merged one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What was asked of the whole run; shards merge only where this is the same.
    pub plan: SharedPlan,
    /// The shards, by their number.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_SHARDS>")]
    pub shards: Vec<ShardMeasurement>,
}

/// What the shards of a run have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SharedPlan {
    /// Names the run.
    #[serde(deserialize_with = "bounded::text")]
    pub run_id: String,
    /// How many shards it has.
    pub shards: u32,
    /// The URL.
    #[serde(deserialize_with = "bounded::text")]
    pub url: String,
    /// The `Host` header.
    #[serde(deserialize_with = "bounded::text")]
    pub host: String,
    /// What is spoken: `http/1.1`, `h2`, `grpc` or `tcp`; null for `http/1.1`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// How many pods are to share the requests equally; null for a split.
    #[serde(default)]
    pub even_pods: Option<u64>,
    /// The pods that are to share the requests of their backend equally, beside the split.
    #[serde(default, deserialize_with = "bounded::list::<_, _, MOST_LIMITS>")]
    pub even_within: Vec<EvenWithinMeasurement>,
    /// The deviation that a PASS rules out for them, as a part of an equal share; null without them.
    #[serde(default)]
    pub even_tolerance_ratio: Option<f64>,
    /// The expected weights, such as `v1=70,v2=30`; empty for pods whose names are not known.
    #[serde(deserialize_with = "bounded::text")]
    pub expect: String,
    /// The promised error rate.
    pub alpha: f64,
    /// The smallest shift that a PASS rules out.
    pub tolerance_share: f64,
    /// What PASS claims.
    pub judge: Judge,
    /// The share of responses without identity beyond which a run cannot pass.
    pub max_unattributed_share: f64,
    /// The seed of Monte Carlo and permutations.
    pub seed: u64,
    /// Requests to attribute, of all shards together; null when a duration alone bounds the run.
    pub requests: Option<u64>,
    /// How long requests are sent; null when a number of requests bounds the run.
    pub duration_seconds: Option<f64>,
    /// When a shard gives up.
    pub max_duration_seconds: f64,
    /// Open-loop pace of all shards together; null for as fast as responses come.
    pub rate_per_second: Option<f64>,
    /// Requests a connection carries; null for unlimited.
    pub requests_per_connection: Option<u64>,
    /// Limits on the backends' health.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_LIMITS>")]
    pub limits: Vec<LimitMeasurement>,
    /// Whether a `Cookie` header is sent.
    pub sends_cookie: bool,
    /// Differs where any other setting does: headers, identification, mappings, time limits, and so on.
    #[serde(deserialize_with = "bounded::text")]
    pub settings_digest: String,
}

/// The pods of a backend that are to share its requests equally.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvenWithinMeasurement {
    /// The backend.
    #[serde(deserialize_with = "bounded::text")]
    pub label: String,
    /// How many.
    pub pods: u64,
    /// What they are called; empty where that is not known.
    #[serde(default, deserialize_with = "bounded::names::<_, MOST_PODS>")]
    pub names: Vec<String>,
}

/// A limit on a backend's health; one of the two is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitMeasurement {
    /// The backend.
    #[serde(deserialize_with = "bounded::text")]
    pub label: String,
    /// 99 % of its responses must come within this.
    pub p99_seconds: Option<f64>,
    /// At most this share of its responses may be `errors`.
    pub error_share: Option<f64>,
}

/// What one shard measured. Groups are numbered as in `groups`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardMeasurement {
    /// Its number, from 0.
    pub index: u32,
    /// Why it ended: `complete`, `max_duration`, `interrupted`, `replacements_spent` or
    /// `nothing_identified`; null when it could not begin.
    pub ending: Option<String>,
    /// Why it measured nothing, for a person; null when it measured.
    pub unmeasured: Option<String>,
    /// When its first request was due (RFC 3339, UTC); null when it sent nothing.
    pub started_at: Option<String>,
    /// From there to its last response.
    pub duration_seconds: f64,
    /// Requests in flight at once.
    pub concurrency: u64,
    /// Client threads.
    pub threads: u64,
    /// The addresses that it dialled.
    #[serde(deserialize_with = "bounded::list::<_, _, 4096>")]
    pub addresses: Vec<AddressMeasurement>,
    /// The groups of pods that answered.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub groups: Vec<GroupMeasurement>,
    /// Whole responses by status.
    #[serde(deserialize_with = "bounded::map::<_, _, 900>")]
    pub by_status: BTreeMap<String, u64>,
    /// Whole responses without an identity by status.
    #[serde(deserialize_with = "bounded::map::<_, _, 900>")]
    pub unidentified_by_status: BTreeMap<String, u64>,
    /// Requests without a whole response by kind of failure.
    #[serde(deserialize_with = "bounded::map::<_, _, 64>")]
    pub by_failure: BTreeMap<String, u64>,
    /// The first message of each kind of failure.
    #[serde(deserialize_with = "bounded::map::<_, _, 64>")]
    pub failure_messages: BTreeMap<String, String>,
    /// What was sent and does not count for the split.
    #[serde(default)]
    pub set_aside: SetAsideMeasurement,
    /// The rate limiter that was kept to; null where none was met.
    #[serde(default)]
    pub limiter: Option<LimiterMeasurement>,
    /// Whether it ended before it was known if rejections vanish at a lower pace.
    #[serde(default)]
    pub limiter_undecided: bool,
    /// Latencies of whole responses without an identity: `HdrHistogram` V2 deflate, base64, microseconds.
    pub histogram: String,
    /// How many places of the run's dispatch order a window spans.
    pub window_length: u64,
    /// Identified responses over blocks of the run's dispatch order, without a gap from its beginning.
    #[serde(deserialize_with = "bounded::list::<_, _, MAX_BLOCKS>")]
    pub windows: Vec<WindowMeasurement>,
    /// A byte for each of the first places of the run's dispatch order, zlib, base64: 0 where no group
    /// answered this shard, else the group's number + 1; 255 stands before two bytes, the lower first, that hold a
    /// larger number.
    pub sequence: String,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Requests sent again on a new connection.
    pub connections_reopened: u64,
    /// The most connections that were open at once.
    pub connections_most_open: u64,
    /// Dials that had to wait for a local port.
    pub port_waits: u64,
    /// Connections that took a second or more to open.
    #[serde(default)]
    pub slow_dials: u64,
    /// What connections that could carry several requests brought; null where each had its own.
    pub dependence: Option<DependenceMeasurement>,
    /// What headers showed.
    pub signs: SignsMeasurement,
}

/// Requests that do not count for the split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetAsideMeasurement {
    /// Requests that were written, by the reason why they do not count.
    #[serde(deserialize_with = "bounded::map::<_, _, 64>")]
    pub by_reason: BTreeMap<String, u64>,
    /// Whole responses by status.
    #[serde(deserialize_with = "bounded::map::<_, _, 900>")]
    pub by_status: BTreeMap<String, u64>,
    /// Requests without a whole response by kind of failure.
    #[serde(deserialize_with = "bounded::map::<_, _, 64>")]
    pub by_failure: BTreeMap<String, u64>,
    /// Responses that named a pod.
    pub identified: u64,
    /// Those of them that the run itself sent, by group; missing entries are 0.
    #[serde(default, deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub observed: Vec<u64>,
}

/// A rate limiter that a shard recognised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimiterMeasurement {
    /// What it lets through.
    pub per_second: f64,
    /// The accepted requests from which that is known.
    pub accepted: u64,
    /// The time in which they were.
    pub over_seconds: f64,
    /// The pace that was kept.
    pub pace_per_second: f64,
    /// Whether it answers 429.
    pub is_explicit: bool,
    /// How often the pace had to be lowered.
    pub slowdowns: u32,
}

/// What one address of the target brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddressMeasurement {
    /// The address and port, or the path of a Unix domain socket.
    #[serde(deserialize_with = "bounded::text")]
    pub address: String,
    /// Connections that were opened.
    pub connections: u64,
    /// Dials that failed.
    pub failed_dials: u64,
    /// Identified responses by group; missing entries are 0.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub observed: Vec<u64>,
    /// Whole responses without an identity.
    pub unidentified: u64,
    /// Requests on open connections that brought no whole response.
    pub failed: u64,
}

/// Pods that are certainly one backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupMeasurement {
    /// What their workload is called.
    #[serde(deserialize_with = "bounded::name")]
    pub workload: String,
    /// What owns them.
    #[serde(deserialize_with = "bounded::name")]
    pub owner: String,
    /// The backend that `--backend` gives them; null where it does not speak of them.
    pub label: Option<String>,
    /// Whether `--backend` gives every label to others, so that they are no backend of the split.
    #[serde(default)]
    pub is_foreign: bool,
    /// Identified responses by pod.
    #[serde(deserialize_with = "bounded::map::<_, _, MOST_PODS>")]
    pub pods: BTreeMap<String, u64>,
    /// Identified responses with a status of 500 or more, or one of gRPC's that blames the server.
    pub errors: u64,
    /// Latencies of identified responses: `HdrHistogram` V2 deflate, base64, microseconds.
    pub histogram: String,
}

/// Identified responses in one block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowMeasurement {
    /// When its first request was dispatched, from the start of the shard; null when none was.
    pub start_seconds: Option<f64>,
    /// By group; missing entries are 0.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub counts: Vec<u64>,
    /// Requests that were sent and brought no identity.
    #[serde(default)]
    pub unidentified: u64,
}

/// Sums over connections, by group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DependenceMeasurement {
    /// Connections with at least one identified response.
    pub connections: u64,
    /// Connections whose first response has no identity.
    pub unidentified_first: u64,
    /// The sum of the squares of their identified responses.
    pub squared_sizes: f64,
    /// Identified responses.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub observed: Vec<u64>,
    /// First responses.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_GROUPS>")]
    pub first: Vec<u64>,
    /// The sum of `xᵢxⱼ/n` over connections, for `j ≤ i`, at `i(i + 1)/2 + j`.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_PRODUCTS>")]
    pub products: Vec<f64>,
    /// Identified responses of some connections, one by one.
    #[serde(deserialize_with = "bounded::list::<_, _, SAMPLED>")]
    pub sample: Vec<Vec<u32>>,
}

/// How many of the first responses bore which sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignsMeasurement {
    /// Responses that were looked at.
    pub inspected: u64,
    /// Those that came from a cache.
    pub cached: u64,
    /// Those that set a cookie.
    pub set_cookie: u64,
}

/// Whether the shards of a run saw one split.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ShardAgreementReport {
    /// Small when they did not; at most alpha keeps a run from passing.
    pub p_value: f64,
    /// Pearson's X² of shards × backends.
    pub statistic: f64,
    /// `(shards − 1)(backends − 1)`.
    pub degrees_of_freedom: u64,
    /// Its upper tail, which is approximate.
    pub chi_square_p_value: f64,
    /// The shards that differ from the others; empty when `p_value` exceeds alpha.
    pub differing: Vec<DifferingShard>,
}

/// A shard that saw another split.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DifferingShard {
    /// Its number.
    pub index: u32,
    /// The shares that it saw, in the order of `backends`.
    pub shares: Vec<f64>,
}
