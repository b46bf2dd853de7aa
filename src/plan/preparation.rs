//! What is sent before the requests that are judged, and does not count for them.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use super::quantity;

/// What comes first; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preparation {
    /// Find out how many pods there are; see [`super::Plan::of_found`].
    pub discovers_pods: bool,
    /// Wait so long at most until every backend of positive weight has answered.
    pub wait_ready: Option<Duration>,
    /// Then warm the target up.
    pub warmup: Option<Warmup>,
}

/// How much is sent to warm the target up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warmup {
    /// So many requests.
    Requests(NonZeroU64),
    /// Requests for so long.
    Duration(Duration),
}

/// A text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a duration, such as 2s or 1m, nor a number of requests, such as 500 or 10k"
)]
pub struct WarmupError(String);

impl FromStr for Warmup {
    type Err = WarmupError;

    /// A number is one of requests, with a unit of time a duration; `1m` is a minute.
    fn from_str(text: &str) -> Result<Self, WarmupError> {
        let is_count = text
            .trim()
            .trim_end_matches(['k', 'K'])
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'));
        let read = if is_count {
            quantity::count(text).map(Self::Requests)
        } else {
            quantity::duration(text).map(Self::Duration)
        };
        read.map_err(|_| WarmupError(text.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_requests_and_a_time_has_a_unit() {
        let requests = |number| Warmup::Requests(NonZeroU64::new(number).unwrap());
        for (text, expected) in [
            ("500", requests(500)),
            ("10k", requests(10_000)),
            ("2s", Warmup::Duration(Duration::from_secs(2))),
            ("1m", Warmup::Duration(Duration::from_mins(1))),
            ("250ms", Warmup::Duration(Duration::from_millis(250))),
        ] {
            assert_eq!(text.parse::<Warmup>().unwrap(), expected, "{text}");
        }
        for text in ["", "0", "-5", "soon", "2 parsecs", "0s", "1.5"] {
            assert!(text.parse::<Warmup>().is_err(), "{text}");
        }
    }
}
