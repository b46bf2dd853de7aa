//! Figures as people read them: shares, percentage points, p-values and times, rounded alike in every output.

use crate::split::Split;

/// How much is told of a text that comes from outside, in bytes.
pub const TOLD: usize = 500;

/// A text's beginning, of at most `most` bytes, with a mark where it is not all.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

/// So many of what `noun` calls one of: `1 line`, `2 lines`.
pub fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// A share to a tenth of a percent.
pub fn to_thousandth(share: f64) -> f64 {
    (share * 1e3).round() / 1e3
}

/// A share as a percentage, with as many digits as it needs and at most three.
pub fn percent(share: f64) -> String {
    format!("{} %", trimmed(share * 100.0))
}

/// A share as percentage points.
pub fn points(share: f64) -> String {
    format!("{} pp", trimmed(share * 100.0))
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A p-value: three digits, in scientific notation when small.
pub fn p_value(p: f64) -> String {
    if p == 0.0 {
        "0".to_owned()
    } else if p < 1e-3 {
        format!("{p:.2e}")
    } else {
        format!("{p:.3}")
    }
}

/// As [`p_value`], for one that may be too small for a double.
pub fn p_value_with_log10(p: f64, log10: Option<f64>) -> String {
    match log10 {
        Some(log10) if p == 0.0 => format!("10^{log10:.0}"),
        _ => p_value(p),
    }
}

/// `v1 70 %, v2 30 %`.
pub fn shares(split: &Split) -> String {
    let shares = split.labels().iter().zip(split.shares());
    let parts: Vec<String> = shares
        .map(|(label, share)| format!("{label} {}", percent(*share)))
        .collect();
    parts.join(", ")
}

/// `70/30`.
pub fn slashed(split: &Split) -> String {
    let shares = split.shares().iter();
    let parts: Vec<String> = shares.map(|share| trimmed(share * 100.0)).collect();
    parts.join("/")
}

/// `v1 69.3 %, v2 30.7 %`, of shares that were observed.
pub fn observed_shares(split: &Split, shares: &[f64]) -> String {
    let parts: Vec<String> = split
        .labels()
        .iter()
        .zip(shares)
        .map(|(label, share)| format!("{label} {:.1} %", 100.0 * share))
        .collect();
    parts.join(", ")
}

/// How often, in words: `1 run in 1000`.
pub fn frequency(alpha: f64) -> String {
    let runs = 1.0 / alpha;
    if (runs - runs.round()).abs() < 1e-6 * runs {
        format!("1 run in {runs:.0}")
    } else {
        format!("{} of the runs", percent(alpha))
    }
}

/// A time in words.
pub fn time(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round();
        format!("{} m {:02} s", (whole / 60.0).floor(), whole % 60.0)
    }
}
