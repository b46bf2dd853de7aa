//! How many requests are sent, and how.

use std::num::{NonZeroU64, NonZeroUsize};
use std::thread::available_parallelism;
use std::time::Duration;

use super::{ExpectEven, Settings, SettingsError};
use crate::claim::Claim;
use crate::claim::stickiness::Stickiness;
use crate::plan::preparation::Preparation;
use crate::plan::target::Protocol;
use crate::plan::{Budget, ConnectionUse, LoadShape};

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
            discovers_pods: self.expect_even == Some(ExpectEven::WhoAnswers)
                && !claim.split.are_named(),
            wait_ready: self.wait_ready,
            warmup: self.warmup,
        }
    }

    /// How much is sent to bear `claim` out; where pods are still to be counted that says how much.
    pub(super) fn budget(
        &self,
        claim: &Claim,
        discovers_pods: bool,
    ) -> Result<Budget, SettingsError> {
        let limit = self.max_duration();
        if let Some(duration) = self.duration.filter(|duration| *duration > limit) {
            return Err(SettingsError::Longer { duration, limit });
        }
        let requests = match (self.requests, self.duration) {
            _ if claim.sessions.is_some() => claim.sessions.as_ref().and_then(Stickiness::requests),
            (Some(requests), _) => Some(requests),
            (None, _) if self.is_sequential() => Some(claim.sequential_cap()),
            (None, Some(_)) => None,
            (None, None) if discovers_pods => None,
            (None, None) => Some(affordable(claim, limit)?),
        };
        Ok(Budget {
            requests,
            duration: self.duration,
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
        let asked = self.concurrency.or(NonZeroUsize::new(50));
        let asked = asked.unwrap_or(NonZeroUsize::MIN);
        let most = most.and_then(|n| NonZeroUsize::try_from(n).ok());
        let concurrency = most.map_or(asked, |most| asked.min(most));
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        LoadShape {
            concurrency,
            threads: self.threads.unwrap_or(cores).min(concurrency),
            connection_use,
            streams,
            rate: self.rate,
            timeout: self.exchange_timeout(),
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(3)),
            max_body: self.max_body.unwrap_or(1 << 20),
        }
    }

    /// Requests in flight at once on a connection, which has to carry several.
    pub(super) fn streams_over(
        &self,
        protocol: Protocol,
        connection_use: ConnectionUse,
    ) -> Result<NonZeroUsize, SettingsError> {
        let streams = self.streams.unwrap_or(NonZeroUsize::MIN);
        let carries_several =
            protocol.alpn() == Some("h2") && connection_use == ConnectionUse::KeepAlive;
        if streams > NonZeroUsize::MIN && !carries_several {
            return Err(SettingsError::Streams);
        }
        Ok(streams)
    }

    fn max_duration(&self) -> Duration {
        self.max_duration.unwrap_or(Duration::from_mins(10))
    }

    /// Time allowed for one exchange.
    pub(super) fn exchange_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }
}
