//! The rows of `tests/data` against the functions of this module.
//!
//! They were computed with 60-digit arithmetic and checked against `SciPy` and statsmodels; `scipy.csv`
//! is written by `scripts/reference_statistics.py`.

use super::binomial::{Binomial, ln_at_least};
use super::chi_square::pearson;
use super::equivalence::equivalence_p_value;
use super::exact::{PValue, binomial_p_value};
use super::goodness_of_fit::{Method, goodness_of_fit};
use super::intervals::{Interval, wilson};
use super::judge::{Decision, Judge};
use super::multinomial::{MOST_LINES, multinomial_p_value};
use super::noncentral::{noncentral_survival, noncentrality};
use super::power::requests_for_power;
use super::regions::Regions;

/// The rows of a CSV text below its header, as fields; a field may stand in double quotes.
fn rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let mut fields = vec![String::new()];
            let mut is_quoted = false;
            for character in line.chars() {
                match character {
                    '"' => is_quoted = !is_quoted,
                    ',' if !is_quoted => fields.push(String::new()),
                    _ => fields.last_mut().unwrap().push(character),
                }
            }
            fields
        })
        .collect()
}

fn numbers(field: &str) -> Vec<f64> {
    field.split(' ').map(|word| word.parse().unwrap()).collect()
}

fn counts(field: &str) -> Vec<u64> {
    field.split(' ').map(|word| word.parse().unwrap()).collect()
}

fn shares(field: &str) -> Vec<f64> {
    let weights = numbers(field);
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// log₁₀ of a number that may be too small for a float.
fn log10(field: &str) -> f64 {
    let (mantissa, exponent) = field.split_once('e').unwrap_or((field, "0"));
    mantissa.parse::<f64>().unwrap().log10() + exponent.parse::<f64>().unwrap()
}

/// Equal to `tolerance`, relative; the 12 digits of the tables set its lower limit.
fn assert_close(value: f64, reference: f64, tolerance: f64, what: &str) {
    let allowed = tolerance * reference.abs();
    assert!(
        value.total_cmp(&reference).is_eq() || (value - reference).abs() <= allowed,
        "{what}: {value:e} is not {reference:e}"
    );
}

#[test]
fn every_goodness_of_fit_row_is_reproduced() {
    let rows = rows(include_str!("../../tests/data/goodness_of_fit.csv"));
    assert_eq!(rows.len(), 35);
    for row in rows {
        let (case, observed, shares) = (&row[1], counts(&row[2]), shares(&row[3]));
        let test = pearson(&observed, &shares).unwrap();
        assert_eq!(test.degrees_of_freedom.to_string(), row[5], "{case}");
        // A statistic of 0 is one of rounding here, where the shares are not exact.
        let statistic: f64 = row[6].parse().unwrap();
        assert!(
            (test.statistic - statistic).abs() < 1e-20 || statistic > 0.0,
            "{case}"
        );
        if statistic > 0.0 {
            assert_close(test.statistic, statistic, 6e-12, case);
        }
        let log10_p: f64 = row[8].parse().unwrap();
        if log10_p > -300.0 {
            assert_close(test.p_value, row[7].parse().unwrap(), 1e-9, case);
        }
        let ln_tolerance = 1e-9 + 1e-11 * log10_p.abs();
        assert!(
            log10_p.total_cmp(&test.log10_p_value).is_eq()
                || (test.log10_p_value - log10_p).abs() < ln_tolerance,
            "{case}: {} {log10_p}",
            test.log10_p_value
        );
        if !row[12].is_empty() {
            let exact = multinomial_p_value(&observed, &shares, MOST_LINES).unwrap();
            assert_exact(exact, &row[12], case);
            let gating = goodness_of_fit(&observed, &shares, 0.001, 1)
                .unwrap()
                .unwrap();
            assert_eq!(
                (gating.p_value, gating.method),
                (exact.value, Method::Exact),
                "{case}"
            );
        }
        let intervals = |alpha: f64| -> Vec<Interval> {
            let rows = observed.iter();
            rows.map(|&count| wilson(count, observed.iter().sum(), alpha))
                .collect()
        };
        // Goodman's are those of each share at its part of the error rate.
        let each = 0.05 / observed.len() as f64;
        for (intervals, low, high) in [
            (intervals(0.05), &row[16], &row[17]),
            (intervals(each), &row[18], &row[19]),
        ] {
            for ((interval, low), high) in intervals.iter().zip(numbers(low)).zip(numbers(high)) {
                assert_close(interval.low, low, 6e-12, case);
                assert_close(interval.high, high, 6e-12, case);
            }
        }
    }
}

fn assert_exact(p: PValue, reference: &str, case: &str) {
    let reference_log10 = log10(reference);
    if reference_log10 > -300.0 || reference_log10.is_infinite() {
        assert_close(p.value, reference.parse().unwrap(), 1e-8, case);
    }
    if reference_log10.is_finite() {
        let difference = (p.log10 - reference_log10).abs();
        assert!(
            difference < 1e-8 + 1e-13 * reference_log10.abs(),
            "{case}: {difference:e}"
        );
    }
}

#[test]
fn every_fixed_sample_verdict_is_reproduced() {
    let rows = rows(include_str!("../../tests/data/verdicts.csv"));
    assert_eq!(rows.len(), 10);
    for row in rows {
        let (observed, shares) = (counts(&row[0]), shares(&row[1]));
        let tolerance: f64 = row[2].parse().unwrap();
        let test = goodness_of_fit(&observed, &shares, 0.001, 1)
            .unwrap()
            .unwrap();
        if !row[3].is_empty() {
            assert_close(test.p_value, row[3].parse().unwrap(), 1e-8, &row[0]);
        }
        let equivalence = equivalence_p_value(&observed, &shares, tolerance);
        assert_close(equivalence, row[4].parse().unwrap(), 1e-8, &row[0]);
        let decision = match Judge::Equivalence.decide(test.p_value, equivalence, 0.001) {
            Decision::Pass => "PASS",
            Decision::Fail => "FAIL",
            Decision::Inconclusive => "INCONCLUSIVE",
        };
        // The table calls a row infeasible whose exact p it could not enumerate: a uniform split.
        let expected = if row[10] == "INFEASIBLE" {
            "PASS"
        } else {
            &row[10]
        };
        assert_eq!(decision, expected, "{}", row[0]);
    }
}

#[test]
fn every_noncentrality_is_reproduced() {
    let rows = rows(include_str!("../../tests/data/lambda_star.csv"));
    assert_eq!(rows.len(), 105);
    for row in rows {
        let lambda = noncentrality(
            row[0].parse().unwrap(),
            row[1].parse().unwrap(),
            row[2].parse().unwrap(),
        );
        assert_close(lambda, row[3].parse().unwrap(), 1e-9, &row.join(" "));
    }
}

#[test]
fn every_planned_sample_size_is_reproduced() {
    let rows = rows(include_str!("../../tests/data/power.csv"));
    assert_eq!(rows.len(), 120);
    for row in rows {
        let number = |index: usize| row[index].parse::<f64>().unwrap();
        let n = requests_for_power(
            &shares(&row[0].replace('/', " ")),
            number(1),
            number(2),
            number(3),
        );
        assert_eq!(n.to_string(), row[4], "{}", row.join(" "));
    }
}

#[test]
fn every_row_computed_with_scipy_and_mpmath_is_reproduced() {
    let rows = rows(include_str!("../../tests/data/scipy.csv"));
    assert_eq!(rows.len(), 98);
    for row in rows {
        let words: Vec<&str> = row[1].split(' ').collect();
        let count = |index: usize| words[index].parse::<u64>().unwrap();
        let number = |index: usize| words[index].parse::<f64>().unwrap();
        let (value, tolerance) = match row[0].as_str() {
            "binomial_test" => (binomial_p_value(count(0), count(1), number(2)).value, 1e-10),
            "at_least" => {
                let binomial = Binomial::new(count(1), number(2));
                (binomial.ln_at_least(count(0)).exp(), 1e-11)
            }
            "beta" => {
                let (share, rest) = (number(2), 1.0 - number(2));
                (
                    ln_at_least(number(0), number(1) - 1.0, share, rest).exp(),
                    1e-11,
                )
            }
            "multinomial" => {
                let (observed, shares) = row[1].split_once(" / ").unwrap();
                let (observed, shares) = (counts(observed), numbers(shares));
                let p = multinomial_p_value(&observed, &shares, MOST_LINES).unwrap();
                (p.value, 1e-10)
            }
            "noncentral" => {
                let degrees_of_freedom = words[1].parse().unwrap();
                (
                    noncentral_survival(number(0), degrees_of_freedom, number(2)),
                    1e-10,
                )
            }
            "fixed_power" => {
                let shares = [number(1), 1.0 - number(1)];
                let regions = Regions::new(count(0), shares, 0.0, number(3));
                (regions.rejection(number(2)), 1e-10)
            }
            other => panic!("unknown kind {other}"),
        };
        assert_close(value, row[2].parse().unwrap(), tolerance, &row.join(" "));
    }
}
