//! Latencies, in an HDR histogram of fixed precision.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

/// Quantiles are right to one part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Longer latencies count as this long, which bounds the memory of a histogram.
const LONGEST: Duration = Duration::from_hours(1);

/// A latency distribution; its unit inside is the microsecond.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new(SIGNIFICANT_DIGITS).expect("3 digits are within 0..=5");
        Self { histogram }
    }
}

impl Latency {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let latency = latency.min(LONGEST);
        let micros = latency.as_secs() * 1_000_000 + u64::from(latency.subsec_micros());
        self.histogram
            .record(micros)
            .expect("an auto-resizing histogram takes an hour");
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("an auto-resizing histogram takes any other");
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that a share `q` (0 to 1) of the requests did not exceed; `None` when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let micros = self.histogram.value_at_quantile(q);
        (self.count() > 0).then(|| Duration::from_micros(micros))
    }

    /// The mean; `None` when empty.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_secs_f64(self.histogram.mean() / 1e6))
    }

    /// The longest; `None` when empty.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_micros(self.histogram.max()))
    }

    /// The whole distribution in `HdrHistogram`'s V2 deflate form (microseconds).
    #[must_use]
    pub fn to_hdr_v2_deflate(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("a histogram within u64 counts serialises into memory");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_distribution_has_no_quantile() {
        assert_eq!(Latency::default().quantile(0.5), None);
        assert_eq!(Latency::default().max(), None);
    }

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let mut latency = Latency::default();
        for millis in 1..=1000 {
            latency.record(Duration::from_millis(millis));
        }
        let p99 = latency.quantile(0.99).unwrap().as_secs_f64();
        assert!((p99 / 0.990 - 1.0).abs() < 1e-3, "{p99}");
    }

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let mut latency = Latency::default();
        latency.record(Duration::MAX);
        let longest = latency.max().unwrap().as_secs_f64();
        assert!((longest / 3600.0 - 1.0).abs() < 1e-3, "{longest}");
    }
}
