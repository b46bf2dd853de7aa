//! When a request was, as logs write it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `29/Nov/2026:02:34:08 +0000`, the same without a zone and with milliseconds (taken for UTC), RFC 3339, or
/// seconds since 1970.
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?);
    }
    if text.as_bytes().get(2) == Some(&b'/') {
        return of_clf(text);
    }
    let (local, offset) = match text.rfind(['+', '-']).filter(|&at| at > 18) {
        Some(at) => (&text[..at], offset(&text[at..])?),
        None => (text, 0),
    };
    shifted(humantime::parse_rfc3339_weak(local).ok()?, offset)
}

/// `29/Nov/2026:02:34:08.123 +0100`.
fn of_clf(text: &str) -> Option<SystemTime> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(text.get(3..6)?)? / 3 + 1;
    let clock = text.get(12..20)?;
    let iso = format!("{}-{month:02}-{} {clock}", text.get(7..11)?, text.get(..2)?);
    let zone = text.split_once(' ').map_or("", |(_, zone)| zone);
    let offset = if zone.is_empty() { 0 } else { offset(zone)? };
    shifted(humantime::parse_rfc3339_weak(&iso).ok()?, offset)
}

/// `+0100` or `+01:00`, in seconds.
fn offset(zone: &str) -> Option<i64> {
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (hours, minutes) = (number(0..2)?, number(2..4)?);
    let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    Some(if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

fn shifted(local: SystemTime, offset: i64) -> Option<SystemTime> {
    let by = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 {
        local.checked_add(by)
    } else {
        local.checked_sub(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_is_read_from_every_way_to_write_it() {
        let moment = UNIX_EPOCH + Duration::from_secs(1_795_919_648);
        for text in [
            "29/Nov/2026:02:34:08 +0000",
            "29/Nov/2026:03:34:08 +0100",
            "28/Nov/2026:21:04:08 -0530",
            "29/Nov/2026:02:34:08",
            "2026-11-29T02:34:08Z",
            "2026-11-29T03:34:08+01:00",
            "2026-11-29 02:34:08",
            "1795919648",
            "1795919648.0",
        ] {
            assert_eq!(parse(text), Some(moment), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "29/Foo/2026:02:34:08",
            "-5",
            "NaN",
            "inf",
            "1e300",
            "2026-11-29",
            "2026-11-29T03:34:08+25:00",
            "\u{e4}\u{e4}:\u{e4}\u{e4}",
            "29/Nov/2026:02:34:08 +",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
