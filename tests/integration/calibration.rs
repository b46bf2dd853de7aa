//! The calibration suite in short: both error rates against the code that decides, and the published table.
//!
//! What is enumerated is exact. What is drawn is seeded, so that a run repeats; a rate may exceed its promise by
//! 4.5 standard errors, which a correct program does about 3 times in a million.

#[path = "../../examples/calibrate/suite/mod.rs"]
#[expect(dead_code, reason = "the plots and the long form use the rest")]
mod suite;

use suite::drifting::Course;
use suite::missing::SETTINGS;
use suite::pinned::{Alike, Pinning};
use suite::row::{Lasting as _, Row};
use suite::sequential::TRUTHS;
use suite::{ALPHA, Effort, Expectation, SPLITS};

const SHORT: Effort = Effort {
    many: 3000,
    few: 1000,
};

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that filter asks for"
)]
fn is_lbtest(row: &&Row) -> bool {
    row.method.starts_with("lbtest")
}

/// Every rate of lbtest keeps its promise, and some row of `rival` breaks it.
fn assert_kept(rows: &[Row], rival: &str) {
    let promised = rows
        .iter()
        .filter(is_lbtest)
        .filter(|row| row.bound.is_some());
    let mut kept = 0;
    for row in promised {
        assert_ne!(row.holds(), Some(false), "{}", row.csv());
        kept += 1;
    }
    assert!(kept > 0);
    let mut rivals = rows.iter().filter(|row| row.method == rival);
    assert!(
        rivals.any(|row| row.holds() == Some(false)),
        "{rival} keeps its promise"
    );
}

fn two_backends() -> impl Iterator<Item = Expectation> {
    let two = SPLITS.into_iter().filter(|weights| weights.len() == 2);
    two.map(Expectation::new)
}

fn usual() -> Expectation {
    Expectation::new(&[70.0, 30.0])
}

fn value(rows: &[Row], part: &str, truth: &str, method: &str, outcome: &str) -> f64 {
    let found = rows.iter().find(|row| {
        row.part == part && row.truth == truth && row.method == method && row.outcome == outcome
    });
    found
        .unwrap_or_else(|| panic!("no row {part} {truth} {method} {outcome}"))
        .value
}

#[test]
fn two_backends_keep_both_error_rates_at_every_number_of_requests() {
    for expectation in two_backends() {
        for n in expectation.requests() {
            let rows = suite::fixed::errors(&expectation, n, SHORT);
            assert_kept(&rows, "chi_square_0.05");
        }
    }
}

#[test]
fn pods_that_share_equally_keep_both_error_rates() {
    for pods in [2, 5] {
        for row in suite::even::errors(pods, SHORT, |_| ()) {
            assert_ne!(row.holds(), Some(false), "{}", row.csv());
        }
    }
}

#[test]
fn two_ingresses_that_are_asked_the_same_keep_both_error_rates() {
    for weights in [&[70.0, 30.0][..], &[50.0, 30.0, 20.0]] {
        for row in suite::two::errors(&Expectation::new(weights), SHORT) {
            assert_ne!(row.holds(), Some(false), "{}", row.csv());
        }
    }
}

#[test]
fn the_planned_number_of_requests_decides_as_published() {
    let expectation = usual();
    assert_eq!(expectation.planned(), 3664);
    let rows = suite::fixed::errors(&expectation, 3664, SHORT);
    let correct = |outcome| value(&rows, "size", "70/30", "lbtest", outcome);
    assert!((correct("pass") - 0.99903).abs() < 5e-6);
    assert!((correct("fail") - 0.00097).abs() < 5e-6);
    assert!(correct("inconclusive") < 1e-12);
    for truth in ["75/25", "65/35"] {
        assert!(value(&rows, "wrong_pass", truth, "lbtest", "pass") <= 0.0008);
    }
}

#[test]
fn judges_that_claim_less_keep_their_error_rates() {
    for expectation in two_backends() {
        for row in suite::fixed::other_judges(expectation.claim.split.weights()) {
            assert_eq!(row.holds(), Some(true), "{}", row.csv());
        }
    }
}

#[test]
fn three_and_four_backends_keep_both_error_rates() {
    for weights in SPLITS.into_iter().filter(|weights| weights.len() > 2) {
        let expectation = Expectation::new(weights);
        for n in [50, 500] {
            let rows = suite::fixed::errors(&expectation, n, SHORT);
            assert_kept(&rows, "chi_square_0.05");
        }
    }
}

#[test]
fn the_small_sample_error_of_the_chi_square_tail_is_seen() {
    let rows = suite::fixed::errors(&Expectation::new(&[99.0, 1.0]), 100, SHORT);
    let tail = value(&rows, "size", "99/1", "chi_square_0.001", "fail");
    assert!(tail > 3.3 * ALPHA, "{tail}");
}

#[test]
fn missing_answers_cost_no_error_rate_and_dropping_them_does() {
    let rows = suite::missing::errors(&usual(), 3664, &SETTINGS[1..], SHORT);
    assert_kept(&rows, "drop_missing");
    let three = Expectation::new(&[50.0, 30.0, 20.0]);
    let rows = suite::missing::errors(&three, 1000, &SETTINGS[3..], SHORT);
    assert_kept(&rows, "drop_missing");
}

#[test]
fn the_sequential_test_keeps_both_error_rates_and_takes_as_many_requests_as_published() {
    let rows = suite::sequential::enumerated(&usual(), ALPHA, &TRUTHS);
    for row in rows.iter().filter(|row| row.bound.is_some()) {
        assert_ne!(row.holds(), Some(false), "{}", row.csv());
    }
    let means = [
        ("100/0", 44.0),
        ("50/50", 115.0),
        ("60/40", 399.0),
        ("65/35", 1377.0),
        ("70/30", 1557.75),
    ];
    for (truth, published) in means {
        let method = "lbtest_sequential";
        let mean = value(&rows, "sequential_requests", truth, method, "mean_requests");
        assert!((mean / published - 1.0).abs() < 0.05, "{truth}: {mean}");
    }
    let runs = 300;
    let drawn = suite::sequential::simulated(&usual(), 0.0, &[vec![0.5, 0.5]], runs);
    let simulated = drawn
        .iter()
        .find(|row| row.truth == "50/50")
        .expect("a row");
    let error = simulated.standard_error.expect("it was drawn");
    assert!(
        (simulated.value - 114.92).abs() < 4.5 * error,
        "{simulated:?}"
    );
}

#[test]
fn connections_that_stick_to_a_backend_do_not_fail_a_correct_split() {
    let pinning = Pinning::new("50x20", &[(50, 20)], Alike::Stick(1.0));
    let expectation = usual();
    let rows = suite::pinned::errors(&expectation, expectation.shares(), &pinning, 10_000);
    assert_kept(&rows, "independent");
    let independent = value(&rows, "pinned_size", "70/30", "independent", "fail");
    assert!((0.38..0.48).contains(&independent), "{independent}");
}

#[test]
fn few_requests_keep_both_error_rates_in_bursts_and_decide_independent_answers() {
    let rates = suite::dependent::few_requests();
    let rows: Vec<Row> = rates.iter().flat_map(|cell| cell.rates(4000)).collect();
    for row in rows.iter().filter(|row| row.part == "dependent") {
        assert_ne!(row.holds(), Some(false), "{}", row.csv());
        let is_open = row.outcome == "inconclusive" && row.setting == "independent";
        if is_open && row.truth == row.split {
            assert!(row.value < 0.005, "{}", row.csv());
        }
    }
}

#[test]
fn a_split_that_changes_never_passes_and_a_steady_one_does() {
    let expectation = usual();
    let changed = Course::Step(&[0.5, 0.5], &[0.9, 0.1]);
    let rows = suite::drifting::verdicts(&expectation, changed, 100);
    assert!(rows[0].value < f64::EPSILON, "{}", rows[0].csv());
    let steady = suite::drifting::verdicts(&expectation, Course::Steady, 300);
    for row in &steady {
        assert_ne!(row.holds(), Some(false), "{}", row.csv());
    }
    assert!(steady[0].value > 0.99, "{}", steady[0].csv());
}

#[test]
fn the_conformance_rule_passes_splits_that_are_off() {
    let rows = suite::conformance::rows();
    let passes = |truth, method| value(&rows, "rules", truth, method, "pass");
    assert!((passes("65/35", "gateway_api_conformance") - 0.99936).abs() < 5e-6);
    assert!((passes("62/38", "gateway_api_conformance") - 0.61).abs() < 0.005);
    assert!(passes("65/35", "lbtest_sequential") < ALPHA);
}

/// The published table, a map from each column's name to its text for every row.
fn published() -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/calibration.csv");
    let text = std::fs::read_to_string(path).expect("the table is published");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(Row::HEADER));
    lines
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_published_table_keeps_every_promise() {
    let rows = published();
    for row in &rows {
        let [part, .., method, outcome, _, _, runs, bound, holds] = row.as_slice() else {
            panic!("{row:?}");
        };
        if method.starts_with("lbtest") && outcome != "mean_requests" && !bound.is_empty() {
            assert_eq!(holds, "true", "{row:?}");
            let is_enough = runs
                .parse::<u64>()
                .map_or(runs == "enumerated", |runs| runs >= 20_000);
            assert!(is_enough, "{row:?}");
            assert!(part != "curve_size");
        }
    }
    for weights in SPLITS {
        let expectation = Expectation::new(weights);
        let split = suite::written(expectation.shares());
        for n in expectation.requests() {
            for part in ["size", "wrong_pass"] {
                let is_there = rows
                    .iter()
                    .any(|row| row[0] == part && row[1] == split && row[2] == n.to_string());
                assert!(is_there, "no {part} of {split} with {n} requests");
            }
        }
        for part in ["sequential_size", "sequential_wrong_pass", "missing_size"] {
            assert!(
                rows.iter().any(|row| row[0] == part && row[1] == split),
                "{part} {split}"
            );
        }
    }
}

#[test]
fn the_published_table_is_what_the_program_computes() {
    let rows = published();
    let expectation = usual();
    let mut computed = suite::conformance::rows();
    computed.extend(suite::sequential::enumerated(&expectation, ALPHA, &TRUTHS));
    for n in expectation.requests() {
        computed.extend(suite::fixed::errors(&expectation, n, SHORT));
    }
    for row in computed {
        let line = row.csv();
        let fields: Vec<&str> = line.split(',').collect();
        let found = rows.iter().find(|published| published[..7] == fields[..7]);
        let found = found.unwrap_or_else(|| panic!("not published: {line}"));
        let value: f64 = found[7].parse().expect("a number");
        let slack = 2e-5 * value.abs() + 1e-14;
        assert!(
            (value - row.value).abs() <= slack,
            "{line}, published {value}"
        );
    }
}

#[test]
fn labels_do_not_matter_for_what_is_calibrated() {
    // `verdict::decide` finds the backends' workloads itself and comes to the same verdict.
    use lbtest::parts::{Evidence, Mappings, decide};
    use suite::outcomes::Outcome;
    use suite::rule::Rule;
    let expectation = usual();
    let Expectation { claim } = &expectation;
    let pods = ["challenge-app-v1", "challenge-app-v2"];
    let mappings = Mappings::parse(claim.split.labels(), &[]).expect("no mapping is no mistake");
    for first in (0..=1000).step_by(7) {
        for unattributed in [0, 9] {
            let observed = vec![first, 1000 - first];
            let evidence = Evidence {
                groups: pods.map(|pod| mappings.group(pod)).to_vec(),
                observed: observed.clone(),
                unattributed,
                ..Evidence::default()
            };
            let outcome = Outcome {
                observed,
                unattributed,
            };
            let decided = decide(claim, &evidence).verdict;
            assert_eq!(
                decided,
                Rule::Lbtest.verdict(&expectation, &outcome),
                "{outcome:?}"
            );
        }
    }
}
