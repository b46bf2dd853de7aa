//! How much is sent, how fast, and what else a run can fail by.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;

use super::list_over;
use crate::claim::stickiness::SessionBy;
use crate::plan::pace::Rate;
use crate::plan::preparation::Warmup;
use crate::plan::quantity;
use crate::plan::settings::Settings;

/// How much a run sends, and what it waits for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct BudgetArgs {
    /// Requests that must be attributed, such as 500, 10k or 1m (default: computed from the promise)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::count, allow_hyphen_values = true)]
    requests: Option<NonZeroU64>,
    /// Run for this long
    #[arg(short = 'z', long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// Stop as soon as the evidence is enough
    #[arg(long)]
    sequential: bool,
    /// Send load first that does not count: for a time (2s) or so many requests (500)
    #[arg(long, value_name = "N|D")]
    warmup: Option<Warmup>,
    /// Poll first until every backend of positive weight has answered, for at most this long
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    wait_ready: Option<Duration>,
}

impl BudgetArgs {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        Settings {
            requests: self.requests.or(lower.requests),
            duration: self.duration.or(lower.duration),
            sequential: self.sequential.then_some(true).or(lower.sequential),
            warmup: self.warmup.or(lower.warmup),
            wait_ready: self.wait_ready.or(lower.wait_ready),
            ..lower
        }
    }
}

/// How fast it is sent, and for how long at most.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(in crate::cli) struct PaceArgs {
    /// Give up after this long; a run cut short cannot pass (default: 10m)
    #[arg(long, value_name = "D", value_parser = quantity::duration, allow_hyphen_values = true)]
    max_duration: Option<Duration>,
    /// Open-loop pace of the whole run, such as 500/s or 175/m (default: as fast as responses come)
    #[arg(short = 'q', long, value_name = "R")]
    rate: Option<Rate>,
    /// Requests in flight at once (default: 50)
    #[arg(short = 'c', long, value_name = "N", value_parser = quantity::small_count, allow_hyphen_values = true)]
    concurrency: Option<NonZeroUsize>,
    /// Client threads (default: one a core)
    #[arg(long, value_name = "N", value_parser = quantity::threads, allow_hyphen_values = true)]
    threads: Option<NonZeroUsize>,
}

impl PaceArgs {
    /// These settings over others.
    pub(in crate::cli) fn over(&self, lower: Settings) -> Settings {
        Settings {
            max_duration: self.max_duration.or(lower.max_duration),
            rate: self.rate.or(lower.rate),
            concurrency: self.concurrency.or(lower.concurrency),
            threads: self.threads.or(lower.threads),
            ..lower
        }
    }
}

/// What else a run can fail by.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gates")]
pub(super) struct GateLimits {
    /// A backend's 99th latency percentile beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=200ms")]
    max_p99: Vec<String>,
    /// A backend's share of responses with a status of 500 or more (of gRPC: one that blames the server) beyond which the run fails; repeatable
    #[arg(long, value_name = "v2=1%")]
    max_error: Vec<String>,
    /// Check that sessions stay on their backends: by all cookies that are set, by cookie:NAME or by header:NAME
    #[arg(
        long,
        value_name = "BY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "cookies"
    )]
    expect_sticky: Option<SessionBy>,
}

impl GateLimits {
    /// These settings over others.
    pub(super) fn over(&self, lower: Settings) -> Settings {
        Settings {
            max_p99: list_over(&self.max_p99, lower.max_p99),
            max_error: list_over(&self.max_error, lower.max_error),
            expect_sticky: self.expect_sticky.clone().or(lower.expect_sticky),
            ..lower
        }
    }
}
