//! Numbers as people write them: `10k` requests, `2s`, `1%`, `5pp`, `:8080`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::split::MAX_PODS;

/// A text that is not the quantity that it should be; the message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
}

fn error(text: &str, what: &'static str) -> QuantityError {
    let text = text.escape_debug().to_string();
    QuantityError { text, what }
}

/// Reads a number of requests: `3664`, `10k`, `1.5m`, `1_000`.
///
/// # Errors
/// Anything but a whole number from 1 to 10¹².
pub fn count(text: &str) -> Result<NonZeroU64, QuantityError> {
    let refused = || {
        error(
            text,
            "a whole number from 1 to 10^12, such as 500, 10k or 1m",
        )
    };
    let plain = text.trim().replace('_', "").to_ascii_lowercase();
    let (digits, scale) = match plain.strip_suffix(['k', 'm']) {
        Some(digits) if plain.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (plain.as_str(), 1.0),
    };
    let number: f64 = digits.parse().map_err(|_| refused())?;
    let scaled = (number * scale).round();
    if !(1.0..=1e12).contains(&scaled) || (scaled - number * scale).abs() > 1e-6 {
        return Err(refused());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number from 1 to 1e12"
    )]
    NonZeroU64::new(scaled as u64).ok_or_else(refused)
}

/// Takes a body as it is, unless it is what k6 and wrk call the duration of the run.
///
/// # Errors
/// A time with its unit: `30s`, `1m30s`.
pub fn body(text: &str) -> Result<String, QuantityError> {
    let ends_with_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    if ends_with_unit && duration(text).is_ok() {
        let what = "sent as a body, since it is how long other clients run: write -z for that; a body that reads so goes into a \
                    file, -d @FILE";
        return Err(error(text, what));
    }
    Ok(text.to_owned())
}

/// At most this many connections: beyond it a machine has no file descriptors.
const MOST: usize = 100_000;

/// Reads a number of connections.
///
/// # Errors
/// Anything but a whole number from 1 to 100,000.
pub fn small_count(text: &str) -> Result<NonZeroUsize, QuantityError> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|number| number.get() <= MOST)
        .ok_or_else(|| error(text, "a whole number from 1 to 100000"))
}

/// Reads a number of pods.
///
/// # Errors
/// Anything but a whole number from 1 to 1,000.
pub fn pods(text: &str) -> Result<NonZeroUsize, QuantityError> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|number| number.get() <= MAX_PODS)
        .ok_or_else(|| error(text, "a whole number of pods from 1 to 1000"))
}

/// More threads than this bring no load: each core runs one at a time.
const MOST_THREADS: usize = 1024;

/// Reads a number of client threads.
///
/// # Errors
/// Anything but a whole number from 1 to 1,024.
pub fn threads(text: &str) -> Result<NonZeroUsize, QuantityError> {
    text.parse::<NonZeroUsize>()
        .ok()
        .filter(|number| number.get() <= MOST_THREADS)
        .ok_or_else(|| error(text, "a whole number from 1 to 1024; one a core is enough"))
}

/// Reads a size in bytes: `65536`, `64KiB`, `1MiB`.
///
/// # Errors
/// Anything but a size from 1 B to 1 GiB.
pub fn bytes(text: &str) -> Result<usize, QuantityError> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let found = units
        .iter()
        .find_map(|&(unit, scale)| Some((text.strip_suffix(unit)?, scale)));
    let (digits, scale) = found.unwrap_or((text, 1));
    let size = digits.trim().parse::<usize>().ok();
    size.and_then(|size| size.checked_mul(scale))
        .filter(|size| (1..=1 << 30).contains(size))
        .ok_or_else(|| error(text, "a size from 1 B to 1 GiB, such as 64KiB or 1MiB"))
}

/// Reads a plain number.
///
/// # Errors
/// Anything but a number; whether it is in range depends on what it is for.
pub fn number(text: &str) -> Result<f64, QuantityError> {
    text.trim().parse().map_err(|_| error(text, "a number"))
}

/// Reads a duration: `500ms`, `2s`, `10m`, `1h 30m`; a bare number is seconds.
///
/// # Errors
/// Anything but a positive duration of at most a year.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    let refused = || {
        error(
            text,
            "a duration above 0 and of at most 365 days, such as 500ms, 30s or 10m",
        )
    };
    let text = text.trim();
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| refused())?,
        Err(_) => humantime::parse_duration(text).map_err(|_| refused())?,
    };
    let year = Duration::from_hours(365 * 24);
    if parsed.is_zero() || parsed > year {
        return Err(refused());
    }
    Ok(parsed)
}

/// Reads a percentage, `1` or `1%`, as a share (0.01).
///
/// # Errors
/// Anything but a finite number.
pub fn percentage(text: &str) -> Result<f64, QuantityError> {
    hundredths(text, "%", "a percentage, such as 1%")
}

/// Reads a rate, `0.001` or `0.1%`.
///
/// # Errors
/// Anything but a finite number.
pub fn error_rate(text: &str) -> Result<f64, QuantityError> {
    if text.trim().ends_with('%') {
        percentage(text)
    } else {
        number(text)
    }
}

/// Reads a percentage of a whole, as a share.
///
/// # Errors
/// Anything but a number from 0 to 100.
pub fn part(text: &str) -> Result<f64, QuantityError> {
    let share = percentage(text)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(error(text, "a percentage from 0 to 100, such as 1%"))
}

/// Reads percentage points, `5`, `5pp` or `5%`, as a share (0.05).
///
/// # Errors
/// Anything but a finite number.
pub fn percentage_points(text: &str) -> Result<f64, QuantityError> {
    let what = "a number of percentage points, such as 5";
    let text = text.trim();
    hundredths(text.strip_suffix('%').unwrap_or(text), "pp", what)
}

/// Reads where to listen: `127.0.0.1:8080`, `[::1]:8080`, or a port of the loopback, `8080` or `:8080`.
///
/// # Errors
/// The text is neither.
pub fn listen(text: &str) -> Result<SocketAddr, QuantityError> {
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    port.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        .or_else(|_| text.parse())
        .map_err(|_| error(text, "ADDRESS:PORT or PORT, such as 127.0.0.1:8080"))
}

fn hundredths(text: &str, unit: &str, what: &'static str) -> Result<f64, QuantityError> {
    let plain = text.trim();
    let number = plain.strip_suffix(unit).unwrap_or(plain).trim_end();
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value / 100.0),
        _ => Err(error(text, what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_take_k_and_m() {
        let counted = |text| count(text).map(NonZeroU64::get).ok();
        assert_eq!(counted("10k"), Some(10_000));
        assert_eq!(counted("1M"), Some(1_000_000));
        assert_eq!(counted("1.5k"), Some(1500));
        assert_eq!(counted("1_000"), Some(1000));
        for text in ["0", "-1", "", "k", "1.5", "NaN", "1e13", "ten"] {
            assert_eq!(counted(text), None, "{text}");
        }
    }

    #[test]
    fn a_refusal_names_the_limit_that_is_kept() {
        type Take = fn(&str) -> Result<u64, QuantityError>;
        fn wide(number: NonZeroUsize) -> u64 {
            number.get() as u64
        }
        let limits: [(Take, u64); 4] = [
            (|text| count(text).map(NonZeroU64::get), 1_000_000_000_000),
            (|text| small_count(text).map(wide), MOST as u64),
            (|text| pods(text).map(wide), MAX_PODS as u64),
            (|text| threads(text).map(wide), MOST_THREADS as u64),
        ];
        for (take, most) in limits {
            assert_eq!(take(&most.to_string()).unwrap(), most);
            for text in ["0".to_owned(), (most + 1).to_string()] {
                let message = take(&text).unwrap_err().to_string();
                let named = message.replace("10^12", "1000000000000");
                assert!(
                    named.contains(&format!("from 1 to {most}"))
                        || named.contains(&format!("1 to {most};")),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn durations_need_a_positive_length() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("7m").unwrap(), Duration::from_mins(7));
        for text in ["0", "-1s", "", "NaN", "inf", "1e300", "99999999y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_one_of_the_loopback() {
        let read = |text| listen(text).map(|address| address.to_string()).ok();
        assert_eq!(read("8080").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(read(":8080").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(read("[::1]:0").as_deref(), Some("[::1]:0"));
        for text in ["", "localhost", "1.2.3.4", "99999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_become_shares() {
        assert!((percentage("1%").unwrap() - 0.01).abs() < 1e-15);
        for text in ["5pp", "5%", "5 %", "5"] {
            assert!((percentage_points(text).unwrap() - 0.05).abs() < 1e-15);
        }
        for text in ["0.001", "0.1%"] {
            assert!((error_rate(text).unwrap() - 0.001).abs() < 1e-15);
        }
        assert!(percentage("x").is_err());
        assert!(percentage("NaN").is_err());
    }
}
