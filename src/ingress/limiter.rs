//! ingress-nginx's request limiter: `limit-rpm` R and `limit-burst-multiplier` M become nginx's
//! `limit_req rate=Rr/m burst=R·M nodelay` for each client address.
//!
//! The accounting is that of nginx's `ngx_http_limit_req_module`: a leaky bucket whose level, the
//! *excess*, is kept in thousandths of a request and whose rate is cut to whole thousandths a second.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::error::ConfigError;

/// One request, in the unit in which nginx counts.
const REQUEST: u64 = 1000;

/// How many client addresses are remembered.
const MAX_CLIENTS: usize = 10_000;

/// The status of a request that the limiter rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitStatus {
    /// 503 with nginx's page, ingress-nginx's default.
    #[default]
    ServiceUnavailable,
    /// 429 with `Retry-After`, as Traefik and most API gateways answer.
    TooManyRequests,
}

impl LimitStatus {
    pub(super) const fn code(self) -> StatusCode {
        match self {
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl FromStr for LimitStatus {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "503" => Ok(Self::ServiceUnavailable),
            "429" => Ok(Self::TooManyRequests),
            _ => Err(ConfigError::syntax("--limit-status", text, "503 or 429")),
        }
    }
}

impl fmt::Display for LimitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code().as_u16())
    }
}

/// A rate and a burst, in thousandths of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    rate_per_second: u64,
    burst: u64,
}

/// What is remembered of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// How far the client is ahead of its rate, in thousandths of a request.
    excess: u64,
    /// When it was last let through, in milliseconds.
    last: u64,
}

impl Limit {
    /// `per_minute` is at least 1, so that the rate is positive: 1 a minute is 16 thousandths a second.
    pub(super) fn new(per_minute: NonZeroU32, burst_multiplier: NonZeroU32) -> Self {
        let per_minute = u64::from(per_minute.get());
        Self {
            rate_per_second: per_minute * REQUEST / 60,
            burst: (per_minute * u64::from(burst_multiplier.get())).saturating_mul(REQUEST),
        }
    }

    /// Decides on a request at `now` milliseconds: the client's new bucket, or for how long every
    /// request of this client will be rejected. A rejection leaves the bucket as it is.
    pub(super) fn admit(&self, bucket: Option<Bucket>, now: u64) -> Result<Bucket, Duration> {
        let Some(bucket) = bucket else {
            return Ok(Bucket {
                excess: 0,
                last: now,
            });
        };
        let elapsed = now.saturating_sub(bucket.last);
        let excess = bucket
            .excess
            .saturating_add(REQUEST)
            .saturating_sub(self.drained(elapsed));
        if excess > self.burst {
            let missing = (excess - self.burst) * 1000;
            return Err(Duration::from_millis(
                missing.div_ceil(self.rate_per_second),
            ));
        }
        Ok(Bucket { excess, last: now })
    }

    /// What flows out in `elapsed` milliseconds, cut to whole thousandths as nginx cuts it.
    fn drained(&self, elapsed: u64) -> u64 {
        self.rate_per_second.saturating_mul(elapsed) / 1000
    }

    /// Whether nothing of the bucket is left at `now`, so that it can be forgotten.
    fn is_empty(&self, bucket: Bucket, now: u64) -> bool {
        self.drained(now.saturating_sub(bucket.last)) >= bucket.excess
    }
}

/// A limit with the clients that it has seen, at most [`MAX_CLIENTS`] of them.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: Limit,
    clients: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Limiter {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            clients: Mutex::default(),
        }
    }

    /// Lets a request of `client` through at `now` milliseconds, or says for how long it is shut out.
    pub(super) fn admit(&self, client: IpAddr, now: u64) -> Result<(), Duration> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.get(&client).copied();
        let bucket = self.limit.admit(known, now)?;
        if known.is_none() && clients.len() >= MAX_CLIENTS {
            clients.retain(|_, bucket| !self.limit.is_empty(*bucket, now));
            if clients.len() >= MAX_CLIENTS {
                // As nginx does when its zone is full: the one unseen for longest goes.
                let oldest = clients.iter().min_by_key(|(_, bucket)| bucket.last);
                if let Some(oldest) = oldest.map(|(client, _)| *client) {
                    clients.remove(&oldest);
                }
            }
        }
        clients.insert(client, bucket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_minute: u32, multiplier: u32) -> Limit {
        Limit::new(
            NonZeroU32::new(per_minute).unwrap(),
            NonZeroU32::new(multiplier).unwrap(),
        )
    }

    /// How many of the requests that arrive every `every` milliseconds over `0..=until` get through.
    fn accepted(limit: Limit, every: u64, until: u64) -> u64 {
        let mut bucket = None;
        let mut accepted = 0;
        for now in (0..=until).step_by(usize::try_from(every).unwrap()) {
            if let Ok(next) = limit.admit(bucket, now) {
                bucket = Some(next);
                accepted += 1;
            }
        }
        accepted
    }

    #[test]
    fn the_burst_and_one_more_pass_at_once() {
        for (per_minute, multiplier) in [(175, 1), (60, 5), (1, 1)] {
            let limit = limit(per_minute, multiplier);
            let mut bucket = None;
            let mut passed = 0;
            while let Ok(next) = limit.admit(bucket, 12_345) {
                bucket = Some(next);
                passed += 1;
            }
            assert_eq!(passed, per_minute * multiplier + 1);
        }
    }

    #[test]
    fn a_saturating_client_gets_one_plus_burst_plus_rate_times_time() {
        // 175 a minute: 176 + 2.917·T. nginx cuts the rate to 2.916 a second, so at most one fewer.
        for seconds in [1_u64, 10, 60, 120] {
            // The whole burst at time 0, then a try every 7 ms.
            let limit = limit(175, 1);
            let mut bucket = None;
            let mut passed = 0.0;
            while let Ok(next) = limit.admit(bucket, 0) {
                bucket = Some(next);
                passed += 1.0;
            }
            for now in (0..=seconds * 1000).step_by(7) {
                if let Ok(next) = limit.admit(bucket, now) {
                    bucket = Some(next);
                    passed += 1.0;
                }
            }
            let promised = 1.0 + 175.0 + 175.0 / 60.0 * seconds as f64;
            // A try every 7 ms comes up to 7 ms late for each of the acceptances, 343 ms apart.
            let late = promised - passed;
            assert!(
                (0.0..=1.0 + 0.03 * seconds as f64 * 2.917).contains(&late),
                "{late}"
            );
        }
    }

    #[test]
    fn a_client_at_its_rate_is_never_rejected_and_a_faster_one_is() {
        assert_eq!(accepted(limit(60, 1), 1001, 600_600), 601);
        assert!(accepted(limit(60, 1), 500, 600_000) < 662);
    }

    #[test]
    fn a_rejection_costs_the_client_nothing_and_tells_when_to_return() {
        let limit = limit(60, 1);
        let full = Bucket {
            excess: 60_000,
            last: 5000,
        };
        assert_eq!(limit.admit(Some(full), 5000), Err(Duration::from_secs(1)));
        assert_eq!(limit.admit(Some(full), 5999), Err(Duration::from_millis(1)));
        assert_eq!(
            limit.admit(Some(full), 6000),
            Ok(Bucket {
                excess: 60_000,
                last: 6000
            })
        );
    }

    #[test]
    fn the_level_is_cut_to_thousandths_as_in_nginx() {
        // 175 a minute is 2916 thousandths a second; 3 ms drain 8 (8.748 cut).
        let bucket = limit(175, 1).admit(
            Some(Bucket {
                excess: 5000,
                last: 0,
            }),
            3,
        );
        let expected = Bucket {
            excess: 5992,
            last: 3,
        };
        assert_eq!(bucket, Ok(expected));
    }

    #[test]
    fn an_old_client_starts_afresh_and_no_time_overflows() {
        let fresh = limit(u32::MAX, 1).admit(
            Some(Bucket {
                excess: u64::from(u32::MAX) * 1000,
                last: 0,
            }),
            u64::MAX,
        );
        assert_eq!(fresh.unwrap().excess, 0);
    }

    #[test]
    fn clients_are_limited_apart_and_their_number_is_bounded() {
        let limiter = Limiter::new(limit(1, 1));
        for n in 0..30_000_u32 {
            let client = IpAddr::from(n.to_be_bytes());
            assert_eq!(limiter.admit(client, 0), Ok(()));
        }
        assert!(limiter.clients.lock().unwrap().len() <= MAX_CLIENTS);
        let client = IpAddr::from([10, 0, 0, 1]);
        assert!(limiter.admit(client, 1).is_ok());
        assert!(limiter.admit(client, 1).is_ok());
        assert!(limiter.admit(client, 1).is_err());
        assert!(limiter.admit(IpAddr::from([10, 0, 0, 2]), 1).is_ok());
    }
}
