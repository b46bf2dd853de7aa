//! How much is sent, and how fast.

use std::num::{NonZeroU64, NonZeroUsize};
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{self, Quantity};
use super::{ExpectEven, Settings, SettingsError};
use crate::claim::Claim;
use crate::claim::stickiness::Stickiness;
use crate::plan::pace::Rate;
use crate::plan::preparation::{Preparation, Warmup};
use crate::plan::{Budget, ConnectionUse, LoadShape, quantity};

/// How much a run sends, and what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Load")]
#[serde(default)]
pub struct BudgetOptions {
    /// Requests that must be attributed, such as 500, 10k or 1m (default: computed from the promise).
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::count")]
    #[schemars(with = "Quantity")]
    pub requests: Option<NonZeroU64>,
    /// Run for this long.
    #[arg(short = 'z', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub duration: Option<Duration>,
    /// Stop as soon as the evidence is enough.
    #[arg(long)]
    pub sequential: bool,
    /// Send load first that does not count: for a time (2s) or so many requests (500).
    #[arg(long, value_name = "N|D")]
    #[serde(deserialize_with = "read::warmup")]
    #[schemars(with = "Quantity")]
    pub warmup: Option<Warmup>,
    /// Poll first until every backend of positive weight has answered, for at most this long.
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub wait_ready: Option<Duration>,
}

impl BudgetOptions {
    over!(requests, duration, sequential, warmup, wait_ready);
}

/// How fast it is sent, and for how long at most.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize, JsonSchema)]
#[command(next_help_heading = "Load")]
#[serde(default)]
pub struct PaceOptions {
    /// Give up after this long; a run cut short cannot pass (default: 10m).
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::duration")]
    #[schemars(with = "Quantity")]
    pub max_duration: Option<Duration>,
    /// Open-loop pace of the whole run, such as 500/s or 175/m (default: as fast as responses come).
    #[arg(short = 'q', long, value_name = "R")]
    #[serde(deserialize_with = "read::rate")]
    #[schemars(with = "Quantity")]
    pub rate: Option<Rate>,
    /// Requests in flight at once (default: 50).
    #[arg(short = 'c', long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::small_count")]
    #[schemars(with = "Quantity")]
    pub concurrency: Option<NonZeroUsize>,
    /// Client threads (default: one a core).
    #[arg(long, value_name = "N", value_parser = quantity::threads, allow_hyphen_values = true)]
    #[serde(deserialize_with = "read::threads")]
    #[schemars(with = "Quantity")]
    pub threads: Option<NonZeroUsize>,
}

impl PaceOptions {
    over!(max_duration, rate, concurrency, threads);

    fn max_duration(&self) -> Duration {
        self.max_duration.unwrap_or(Duration::from_mins(10))
    }

    fn concurrency(&self) -> NonZeroUsize {
        const DEFAULT: NonZeroUsize = NonZeroUsize::new(50).expect("fifty");
        self.concurrency.unwrap_or(DEFAULT)
    }
}

/// Requests a second that no client and target are taken to exchange: a plan beyond it is a slip.
const FASTEST_PER_SECOND: f64 = 50_000.0;

/// The requests that the promise of `claim` takes, where any target can answer them in time.
pub(super) fn affordable(claim: &Claim, limit: Duration) -> Result<NonZeroU64, SettingsError> {
    let requests = claim.planned_requests();
    if requests.get() as f64 <= FASTEST_PER_SECOND * limit.as_secs_f64() {
        return Ok(requests);
    }
    if claim.split.is_of_pods() {
        return Err(SettingsError::EvenNeverEnds { requests, limit });
    }
    let points = 100.0 * claim.criterion.tolerance;
    Err(SettingsError::NeverEnds {
        points,
        requests,
        limit,
        remedy: if points < 0.5 {
            format!(
                "it is in percentage points: did you mean {}?",
                (100.0 * points).round()
            )
        } else {
            "raise --tolerance, or --max-duration".to_owned()
        },
    })
}

impl Settings {
    /// What is sent first and does not count.
    pub(super) fn preparation(&self, claim: &Claim) -> Preparation {
        Preparation {
            discovers_pods: self.expectation.expect_even == Some(ExpectEven::WhoAnswers)
                && !claim.split.are_named(),
            wait_ready: self.budget.wait_ready,
            warmup: self.budget.warmup,
        }
    }

    /// How much is sent to bear `claim` out; where pods are still to be counted that says how much.
    pub(super) fn budget(
        &self,
        claim: &Claim,
        discovers_pods: bool,
    ) -> Result<Budget, SettingsError> {
        let limit = self.pace.max_duration();
        let &BudgetOptions {
            requests, duration, ..
        } = &self.budget;
        if let Some(duration) = duration.filter(|duration| *duration > limit) {
            return Err(SettingsError::Longer { duration, limit });
        }
        let requests = match (requests, duration) {
            _ if claim.sessions.is_some() => claim.sessions.as_ref().and_then(Stickiness::requests),
            (Some(requests), _) => Some(requests),
            (None, _) if self.budget.sequential => Some(claim.sequential_cap()),
            (None, Some(_)) => None,
            (None, None) if discovers_pods => None,
            (None, None) => Some(affordable(claim, limit)?),
        };
        Ok(Budget {
            requests,
            duration,
            max_duration: limit,
        })
    }

    /// How requests are sent, no more at once than `most`.
    pub(super) fn load(
        &self,
        most: Option<NonZeroU64>,
        connection_use: ConnectionUse,
        streams: NonZeroUsize,
    ) -> LoadShape {
        let asked = self.pace.concurrency();
        let most = most.and_then(|n| NonZeroUsize::try_from(n).ok());
        let concurrency = most.map_or(asked, |most| asked.min(most));
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        LoadShape {
            concurrency,
            threads: self.pace.threads.unwrap_or(cores).min(concurrency),
            connection_use,
            streams,
            rate: self.pace.rate,
            timeout: self.connection.timeout(),
            connect_timeout: self.connection.connect_timeout(),
            max_body: self.identification.max_body(),
        }
    }
}
