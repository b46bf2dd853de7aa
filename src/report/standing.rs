//! How a backend stands, for reports that list the backends one by one.

use super::{BackendReport, Report, VerdictName};
use crate::format::{percent, points};

/// How a backend's share stands against what it should get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    Fits,
    /// The split is off, and this backend with it.
    Off,
    /// The evidence doesn't settle it.
    Unsettled,
    /// The run asked another question: whether sessions stay on their backends.
    NotJudged,
}

/// Why counts that fit settle nothing: parts of the run do not agree, or depend on one another.
const UNSTEADY: [&str; 5] = [
    "drift",
    "shards_differ",
    "addresses_differ",
    "cut_short",
    "clumped_answers",
];

/// How a backend stands, which never contradicts the verdict on the split.
///
/// The test judges the split as a whole. Where that fails, the backends are off whose simultaneous 95 %
/// interval does not hold the expected share, or that must get nothing and got something.
pub fn standing(report: &Report, backend: &BackendReport) -> Standing {
    if report.stickiness.is_some() {
        return standing_in_sessions(report, backend);
    }
    let (Some(low), Some(high)) = (backend.simultaneous_low, backend.simultaneous_high) else {
        return Standing::Unsettled;
    };
    let expected = backend.expected_share;
    let is_hit_against_zero = expected == 0.0 && backend.observed > 0;
    let holds_expected = (low..=high).contains(&expected);
    let within = |share: f64| (share - expected).abs() <= backend.tolerance_share;
    let is_unsteady = report
        .reasons
        .iter()
        .any(|reason| UNSTEADY.contains(&&*reason.code));
    match report.split_verdict {
        VerdictName::Inconclusive if is_unsteady => Standing::Unsettled,
        VerdictName::Fail if is_hit_against_zero || !holds_expected => Standing::Off,
        VerdictName::Pass | VerdictName::Fail => Standing::Fits,
        VerdictName::Inconclusive if holds_expected && within(low) && within(high) => {
            Standing::Fits
        }
        VerdictName::Inconclusive | VerdictName::Error | VerdictName::Measured => {
            Standing::Unsettled
        }
    }
}

/// How a backend stands whose sessions were judged: its share matters only where it must get nothing.
fn standing_in_sessions(report: &Report, backend: &BackendReport) -> Standing {
    let is_hit_against_zero = backend.expected_share == 0.0 && backend.observed > 0;
    match report.split_verdict {
        VerdictName::Fail if is_hit_against_zero => Standing::Off,
        _ => Standing::NotJudged,
    }
}

/// A backend's share in words: `30.6 %, expected 30 %, 95 % interval 29.1 % to 32.1 %`.
pub fn sentence(backend: &BackendReport) -> String {
    let expected = percent(backend.expected_share);
    let Some(share) = backend.share else {
        return format!("no response was attributed; expected {expected}");
    };
    let rounded = |share: f64| format!("{:.2} %", share * 100.0);
    let observed = format!(
        "{} of the responses ({}), expected {expected}",
        rounded(share),
        backend.observed
    );
    match (backend.interval_low, backend.interval_high) {
        (Some(low), Some(high)) => format!(
            "{observed} within {}; 95 % interval {} to {}",
            points(backend.tolerance_share),
            rounded(low),
            rounded(high)
        ),
        // The responses of a session depend on each other.
        _ => observed,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::claim::tests::claim;
    use crate::identity::assignment::Mappings;
    use crate::verdict::{Evidence, judge_counts};

    /// What follows from counts of pods that are named as their backends are.
    pub(in crate::report) fn report(expect: &str, observed: &[(&str, u64)]) -> Report {
        let claim = claim(expect);
        let mappings = Mappings::parse(claim.split.labels(), &[]).unwrap();
        let evidence = Evidence {
            groups: observed
                .iter()
                .map(|(pod, _)| mappings.group(pod))
                .collect(),
            observed: observed.iter().map(|&(_, count)| count).collect(),
            ..Evidence::default()
        };
        Report::of_counts(&claim, &evidence, &judge_counts(&claim, &evidence))
    }

    fn standings(expect: &str, observed: &[(&str, u64)]) -> Vec<Standing> {
        let report = report(expect, observed);
        let of = |backend| standing(&report, backend);
        report.backends.iter().map(of).collect()
    }

    #[test]
    fn a_backend_that_keeps_its_share_is_not_blamed_for_the_others() {
        let off = [("a", 5000), ("b", 3500), ("c", 1500)];
        assert_eq!(
            standings("a=50,b=30,c=20", &off),
            [Standing::Fits, Standing::Off, Standing::Off]
        );
    }

    #[test]
    fn one_hit_on_a_backend_of_weight_zero_is_off() {
        assert_eq!(
            standings("a=60,b=40,c=0", &[("a", 6000), ("b", 3999), ("c", 1)]),
            [Standing::Fits, Standing::Fits, Standing::Off]
        );
    }

    #[test]
    fn nothing_fits_of_a_run_that_was_not_the_same_all_the_time() {
        let claim = claim("a=70,b=30");
        let mappings = Mappings::parse(claim.split.labels(), &[]).unwrap();
        let evidence = Evidence {
            groups: ["a", "b"].map(|pod| mappings.group(pod)).to_vec(),
            observed: vec![7000, 3000],
            windows: (0..100)
                .map(|t| if t < 50 { vec![80, 20] } else { vec![60, 40] })
                .collect(),
            ..Evidence::default()
        };
        let outcome = judge_counts(&claim, &evidence);
        let report = Report::of_counts(&claim, &evidence, &outcome);
        assert_eq!(report.reasons[0].code, "drift");
        let parts: Vec<&str> = report
            .reasons
            .iter()
            .map(|reason| &*reason.message)
            .collect();
        assert!(!parts.concat().contains("ruled out"), "{parts:?}");
        for backend in &report.backends {
            assert_eq!(standing(&report, backend), Standing::Unsettled);
        }
    }

    #[test]
    fn few_responses_settle_nothing() {
        assert_eq!(
            standings("a=70,b=30", &[("a", 69), ("b", 30)]),
            [Standing::Unsettled; 2]
        );
    }
}
