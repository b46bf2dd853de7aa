//! The open-loop pace: when each request is due.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many requests in so much time, evenly spaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    requests: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3600.0,
        }
    }
}

/// A text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a rate: write requests per second or minute, such as 500/s or 175/m")]
pub struct RateError(String);

impl Rate {
    /// So many requests a second, which must be a positive number.
    pub const fn a_second(requests: f64) -> Self {
        Self {
            requests,
            unit: Unit::Second,
        }
    }

    /// Requests a second.
    pub fn per_second(self) -> f64 {
        self.requests / self.unit.seconds()
    }

    /// The pace of one of so many that keep it together.
    pub fn shared_by(self, count: NonZeroU32) -> Self {
        Self {
            requests: self.requests / f64::from(count.get()),
            ..self
        }
    }

    /// When request `ticket` (from 0) is due, counted from the start of the run.
    pub fn due(self, ticket: u64) -> Duration {
        Duration::try_from_secs_f64(ticket as f64 / self.per_second()).unwrap_or(Duration::MAX)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let error = || RateError(text.escape_debug().to_string());
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let unit = match unit.trim() {
            "s" | "sec" | "second" => Unit::Second,
            "m" | "min" | "minute" => Unit::Minute,
            "h" | "hour" => Unit::Hour,
            _ => return Err(error()),
        };
        let requests: f64 = number.trim().parse().map_err(|_| error())?;
        let rate = Self { requests, unit };
        if !(requests.is_finite() && rate.per_second() >= 1e-6 && rate.per_second() <= 1e9) {
            return Err(error());
        }
        Ok(rate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_spacing() {
        let rate: Rate = "120/m".parse().unwrap();
        assert_eq!(rate.due(0), Duration::ZERO);
        assert_eq!(rate.due(7), Duration::from_millis(3500));
        assert_eq!(rate.to_string(), "120/m");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "", "0/s", "-1/s", "NaN/s", "inf/s", "5/y", "5/", "x/s", "1e300/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert!((("50".parse::<Rate>().unwrap()).per_second() - 50.0).abs() < 1e-12);
    }
}
