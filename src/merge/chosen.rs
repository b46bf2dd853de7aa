//! One measurement of each shard, of all that were given.

use std::collections::BTreeMap;

use super::Given;
use crate::format::{TOLD, cut};
use crate::measured::Ending;
use crate::verdict::Reason;

/// At most so many of a kind are named.
const NAMED: usize = 8;

/// One measurement of each shard, and what keeps the run from being judged.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) measured: Vec<Given>,
    /// One report of each shard that could not measure.
    pub(super) unmeasured: Vec<Given>,
    pub(super) repeated: Option<Reason>,
    pub(super) gaps: Vec<Reason>,
    pub(super) notes: Vec<Reason>,
    /// Whether there is some report of every shard.
    pub(super) is_complete: bool,
}

impl Chosen {
    pub(super) fn of(mut shards: BTreeMap<u32, Vec<Given>>, count: u32) -> Self {
        let mut chosen = Self::default();
        let (mut missing, mut retried, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..count {
            let given = shards.remove(&index).unwrap_or_default();
            let is_retried = given.len() > 1;
            match Left::of(given) {
                Left::Measured(given) => {
                    if is_retried {
                        retried.push(index.to_string());
                    }
                    chosen.measured.push(given);
                }
                Left::Repeated(names) => {
                    repeated.push(format!("shard {index} in {}", listed(&names)));
                }
                Left::Unmeasured(given) => chosen.unmeasured.push(given),
                Left::Missing => missing.push(index.to_string()),
            }
        }
        chosen.is_complete = missing.is_empty();
        let failed = chosen.unmeasured.iter().map(|given| {
            let why = given.shard.unmeasured.as_deref().unwrap_or_default();
            format!("shard {} ({})", given.shard.index, cut(why, TOLD))
        });
        let failed: Vec<String> = failed.collect();
        chosen.repeated = reason("shards_repeated", &repeated, |shards| {
            format!("measured more than once: {shards}; merge each shard once")
        });
        chosen
            .gaps
            .extend(reason("shards_missing", &missing, |shards| {
                let number = missing.len();
                format!(
                    "{number} of {count} shards missing: {shards}; merge the reports of all of them"
                )
            }));
        chosen
            .gaps
            .extend(reason("shards_unmeasured", &failed, |shards| {
                format!(
                    "{} of {count} shards could not measure: {shards}",
                    failed.len()
                )
            }));
        chosen
            .notes
            .extend(reason("shards_retried", &retried, |shards| {
                format!(
                    "started again, since it could not measure or was interrupted: shard {shards}"
                )
            }));
        chosen
    }
}

/// What is left of the reports of one shard.
enum Left {
    /// The one that counts.
    Measured(Given),
    /// Several would, by these names.
    Repeated(Vec<String>),
    /// One that could not measure.
    Unmeasured(Given),
    Missing,
}

impl Left {
    /// Of a shard that was started again, the complete measurement counts: what could not measure has
    /// counted nothing, and what was interrupted was so whatever it had counted.
    fn of(given: Vec<Given>) -> Self {
        let (mut unmeasured, measured): (Vec<_>, Vec<_>) = given
            .into_iter()
            .partition(|given| given.shard.unmeasured.is_some());
        let (interrupted, complete): (Vec<_>, Vec<_>) = measured
            .into_iter()
            .partition(|given| given.shard.ending.as_deref() == Some(Ending::Interrupted.code()));
        let mut best = if complete.is_empty() {
            interrupted
        } else {
            complete
        };
        if best.len() > 1 {
            return Self::Repeated(best.into_iter().map(|given| given.name).collect());
        }
        match (best.pop(), unmeasured.pop()) {
            (Some(given), _) => Self::Measured(given),
            (None, Some(given)) => Self::Unmeasured(given),
            (None, None) => Self::Missing,
        }
    }
}

/// A reason that names some shards, where there are any.
fn reason(
    code: &'static str,
    shards: &[String],
    message: impl FnOnce(String) -> String,
) -> Option<Reason> {
    (!shards.is_empty()).then(|| Reason::new(code, message(listed(shards))))
}

/// The first few of a list, and how many there are beyond.
pub(super) fn listed(all: &[String]) -> String {
    let shown = all[..all.len().min(NAMED)].join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
