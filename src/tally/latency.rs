//! Latencies, in an HDR histogram of fixed precision.

use std::io::Read;
use std::time::Duration;

use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Quantiles are right to one part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;
/// Longer latencies count as this long, which bounds the memory of a histogram.
const LONGEST: Duration = Duration::from_hours(1);

/// The cookie of the compressed form, then that of what it compresses: the format in its version 2, with counts in
/// words of 8 bytes.
const COMPRESSED_COOKIE: u32 = 0x1c84_9314;
const COOKIE: u32 = 0x1c84_9313;
/// What precedes the counts in the inflated form: cookie, length of the counts, normalising index offset,
/// significant digits, lowest and highest value, conversion ratio.
const HEADER: usize = 40;
/// Room for every counter up to the longest latency, each with as many bytes as a count can take.
const MOST_BYTES: u64 = 512 * 1024;
/// Counters that take more bytes hold counts that no run reaches.
const MOST_COUNT_BYTES: usize = 8;

/// Why bytes are not a latency distribution that this program wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a whole HdrHistogram (V2, deflate) of microseconds with 3 significant digits, up to an hour"
)]
pub struct LatencyError;

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
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that a share `q` (0 to 1) of the requests did not exceed; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let micros = self.histogram.value_at_quantile(q);
        (self.count() > 0).then(|| Duration::from_micros(micros))
    }

    /// The mean; `None` when empty.
    pub fn mean(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_secs_f64(self.histogram.mean() / 1e6))
    }

    /// The longest; `None` when empty.
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_micros(self.histogram.max()))
    }

    /// The whole distribution in `HdrHistogram`'s V2 deflate form (microseconds).
    pub fn to_hdr_v2_deflate(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .expect("a histogram within u64 counts serialises into memory");
        bytes
    }

    /// Reads what [`Self::to_hdr_v2_deflate`] wrote, in bounded memory whatever the bytes are.
    ///
    /// # Errors
    /// Bytes that are no such histogram, or one of another precision or range.
    pub fn from_hdr_v2_deflate(bytes: &[u8]) -> Result<Self, LatencyError> {
        let inflated = inflated(bytes).ok_or(LatencyError)?;
        let mut latency = Self::default();
        let read = Deserializer::new()
            .deserialize::<u64, _>(&mut inflated.as_slice())
            .map_err(|_| LatencyError)?;
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        // The longest latency counts as the top of its bucket, a thousandth further up.
        if read.max() > longest + longest / 500 {
            return Err(LatencyError);
        }
        latency.histogram.add(&read).map_err(|_| LatencyError)?;
        Ok(latency)
    }
}

/// The inflated form, checked for what its reader takes on trust: how much it asks for.
fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |bytes: &[u8], at: usize| -> Option<u32> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(word))
    };
    let length = usize::try_from(word(bytes, 4)?).ok()?;
    let compressed = bytes.get(8..).filter(|rest| rest.len() == length)?;
    if word(bytes, 0)? != COMPRESSED_COOKIE {
        return None;
    }
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(compressed)
        .take(MOST_BYTES)
        .read_to_end(&mut inflated);
    read.ok()?;
    let counts = inflated.get(HEADER..)?;
    let high = u64::from_be_bytes(inflated[24..32].try_into().ok()?);
    // The reader makes room for values up to the highest: twice the longest latency, as the format doubles.
    let room = 2 * u64::try_from(LONGEST.as_micros()).ok()?;
    let is_own = word(&inflated, 0)? == COOKIE
        && usize::try_from(word(&inflated, 4)?).ok()? == counts.len()
        && word(&inflated, 12)? == u32::from(SIGNIFICANT_DIGITS)
        && high <= room
        && !counts
            .windows(MOST_COUNT_BYTES)
            .any(|bytes| bytes.iter().all(|byte| byte & 0x80 != 0));
    is_own.then_some(inflated)
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
    fn a_distribution_survives_being_written_and_adds_up_exactly() {
        let (mut whole, mut parts) = (Latency::default(), Latency::default());
        for part in 0..3_u64 {
            let mut own = Latency::default();
            for place in 0..1000_u64 {
                let latency = Duration::from_micros((place * 7919 + part) % 1_000_003);
                whole.record(latency);
                own.record(latency);
            }
            if part == 2 {
                whole.record(Duration::MAX);
                own.record(Duration::MAX);
            }
            parts.merge(&Latency::from_hdr_v2_deflate(&own.to_hdr_v2_deflate()).unwrap());
        }
        for q in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(parts.quantile(q), whole.quantile(q), "{q}");
        }
        assert_eq!((parts.count(), parts.max()), (whole.count(), whole.max()));
        assert_eq!(parts.mean(), whole.mean());
        let empty = Latency::default().to_hdr_v2_deflate();
        assert_eq!(Latency::from_hdr_v2_deflate(&empty).unwrap().count(), 0);
    }

    #[test]
    fn bytes_that_are_no_distribution_are_refused() {
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(3));
        let good = latency.to_hdr_v2_deflate();
        for cut in 0..good.len() {
            assert!(Latency::from_hdr_v2_deflate(&good[..cut]).is_err(), "{cut}");
        }
        let compressed = |plain: &[u8]| {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, plain).unwrap();
            let body = encoder.finish().unwrap();
            let length = u32::try_from(body.len()).unwrap().to_be_bytes();
            [&COMPRESSED_COOKIE.to_be_bytes()[..], &length, &body].concat()
        };
        let plain = inflated(&good).unwrap();
        assert!(Latency::from_hdr_v2_deflate(&compressed(&plain)).is_ok());
        for (at, bytes) in [
            (4, &u32::MAX.to_be_bytes()[..]),
            (12, &5_u32.to_be_bytes()),
            (16, &u64::MAX.to_be_bytes()),
            (24, &u64::MAX.to_be_bytes()),
            (32, &f64::NAN.to_be_bytes()),
        ] {
            let mut changed = plain.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            assert!(
                Latency::from_hdr_v2_deflate(&compressed(&changed)).is_err(),
                "{at}"
            );
        }
        // A counter of i64::MIN, and a bomb.
        let mut extreme = plain[..HEADER].to_vec();
        extreme[4..8].copy_from_slice(&9_u32.to_be_bytes());
        extreme.extend([0xff; 9]);
        assert!(Latency::from_hdr_v2_deflate(&compressed(&extreme)).is_err());
        assert!(Latency::from_hdr_v2_deflate(&compressed(&vec![0; 100_000_000])).is_err());
    }

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let mut latency = Latency::default();
        latency.record(Duration::MAX);
        let longest = latency.max().unwrap().as_secs_f64();
        assert!((longest / 3600.0 - 1.0).abs() < 1e-3, "{longest}");
    }
}
