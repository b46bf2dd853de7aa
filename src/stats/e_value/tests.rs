use super::*;
use crate::stats::scipy_reference;

/// The parts of an e-value at one vector of counts; logarithms are natural.
struct Evidence {
    concentration: f64,
    /// The largest log-likelihood ratio of a face; PASS where it is at most `ln α`.
    max_face: f64,
    /// The log of the mean of the faces' likelihood ratios.
    log_faces: f64,
    /// The log of the Dirichlet–multinomial Bayes factor.
    log_bayes_factor: f64,
    /// The log of the e-value, half of either; FAIL where it is at least `ln(1/α)`. Infinite where a backend
    /// of weight zero was hit.
    log_e_value: f64,
}

/// The evidence at `observed`, which pairs with `shares` (zero weights included), at a tolerance given as a share.
fn at_counts(observed: &[u64], shares: &[f64], tolerance: f64) -> Evidence {
    assert_eq!(observed.len(), shares.len(), "one share for each count");
    let bets = Bets::new(shares, tolerance);
    let counts: Vec<u64> = observed
        .iter()
        .zip(shares)
        .filter_map(|(&count, &share)| (share > 0.0).then_some(count))
        .collect();
    let leaked = counts.iter().sum::<u64>() < observed.iter().sum();
    let log_faces = bets.log_mean(bets.face_ranges(&counts, 0).map(|(low, _)| low));
    let log_bayes_factor = bets.log_bayes_factor(&counts);
    Evidence {
        concentration: bets.concentration,
        max_face: bets.max_face(&counts, 0),
        log_faces,
        log_bayes_factor,
        log_e_value: if leaked {
            f64::INFINITY
        } else {
            log_half_sum(log_faces, log_bayes_factor)
        },
    }
}

#[test]
fn reference_bayes_factors_are_reproduced() {
    for row in scipy_reference::of("log_bayes_factor") {
        let bets = Bets::new(&row.arguments[1], row.number(2));
        let got = bets.log_bayes_factor(&row.counts(0));
        assert!((got - row.value).abs() < 1e-9, "{row:?}: {got}");
    }
}

/// Σ over cells of lnΓ differences, term by term: Γ(a + x)/Γ(a) = a(a + 1)…(a + x − 1).
fn bayes_factor_by_products(counts: &[u64], shares: &[f64], c: f64) -> f64 {
    let rising = |a: f64, x: u64| (0..x).map(|i| (a + i as f64).ln()).sum::<f64>();
    let cells: f64 = counts
        .iter()
        .zip(shares)
        .map(|(&x, &p)| rising(c * p, x) - x as f64 * p.ln())
        .sum();
    cells - rising(c, counts.iter().sum())
}

#[test]
fn the_bayes_factor_equals_its_definition() {
    for (counts, shares, tolerance) in [
        (vec![69, 30], vec![0.7, 0.3], 0.05),
        (vec![0, 4], vec![0.99, 0.01], 0.05),
        (vec![14010, 5990], vec![0.7, 0.3], 0.001),
        (vec![500, 300, 200, 0], vec![0.5, 0.3, 0.199, 0.001], 0.05),
    ] {
        let bets = Bets::new(&shares, tolerance);
        let direct = bayes_factor_by_products(&counts, &shares, bets.concentration);
        let got = bets.log_bayes_factor(&counts);
        assert!(
            (got - direct).abs() < 1e-9 * direct.abs().max(1.0),
            "{got} {direct}"
        );
    }
}

#[test]
fn the_bayes_factor_keeps_its_digits_at_a_billion_responses() {
    let bets = Bets::new(&[0.7, 0.3], 0.05);
    let (x, y) = (700_010_000, 299_990_000);
    let step = bets.log_step(1, y, x + y);
    let difference = bets.log_bayes_factor(&[x, y + 1]) - bets.log_bayes_factor(&[x, y]);
    assert!((step - difference).abs() < 1e-10, "{step} {difference}");
}

/// Every way of giving `unattributed` responses to the cells.
fn allocations(counts: &[u64], unattributed: u64) -> Vec<Vec<u64>> {
    let Some((&first, rest)) = counts.split_first() else {
        return Vec::new();
    };
    if rest.is_empty() {
        return vec![vec![first + unattributed]];
    }
    (0..=unattributed)
        .flat_map(|given| {
            allocations(rest, unattributed - given)
                .into_iter()
                .map(move |mut tail| {
                    tail.insert(0, first + given);
                    tail
                })
        })
        .collect()
}

#[test]
fn bounds_hold_over_every_allocation_and_are_close() {
    for (counts, shares, unattributed) in [
        (vec![600, 380], vec![0.7, 0.3], 20),
        (vec![690, 290], vec![0.7, 0.3], 20),
        (vec![3, 0], vec![0.7, 0.3], 4),
        (vec![0, 0, 0], vec![0.5, 0.3, 0.2], 9),
        (vec![400, 380, 190], vec![0.5, 0.3, 0.2], 25),
        (vec![990, 3], vec![0.99, 0.01], 7),
        (vec![97, 5, 0, 2], vec![0.97, 0.01, 0.01, 0.01], 6),
        (vec![50], vec![1.0], 5),
    ] {
        let bets = Bets::new(&shares, 0.05);
        let base = bets.log_bayes_factor(&counts);
        let exact: Vec<Evidence> = allocations(&counts, unattributed)
            .iter()
            .map(|filled| at_counts(filled, &shares, 0.05))
            .collect();
        let least = |f: fn(&Evidence) -> f64| exact.iter().map(f).fold(f64::INFINITY, f64::min);
        let most = |f: fn(&Evidence) -> f64| exact.iter().map(f).fold(f64::NEG_INFINITY, f64::max);

        let bayes = bets.least_bayes_factor(&counts, unattributed);
        let true_bayes = least(|evidence| evidence.log_bayes_factor);
        assert!(
            bayes <= true_bayes + 1e-9,
            "{counts:?}: {bayes} {true_bayes}"
        );
        assert!(bayes > true_bayes - 1.0, "{counts:?}: {bayes} {true_bayes}");

        let floor = bets.log_e_value_floor(&counts, unattributed, base);
        let true_floor = least(|evidence| evidence.log_e_value);
        assert!(
            floor <= true_floor + 1e-9,
            "{counts:?}: {floor} {true_floor}"
        );
        assert!(floor > true_floor - 1.5, "{counts:?}: {floor} {true_floor}");

        let face = bets.max_face(&counts, unattributed);
        assert!((face - most(|evidence| evidence.max_face)).abs() < 1e-9);
    }
}

#[test]
fn a_hit_on_a_zero_weight_backend_is_infinite_evidence() {
    let evidence = at_counts(&[99, 1], &[1.0, 0.0], 0.05);
    assert!(evidence.log_e_value.is_infinite());
    let clean = at_counts(&[135, 0], &[1.0, 0.0], 0.05);
    assert!((clean.max_face - 135.0 * 0.95_f64.ln()).abs() < 1e-12);
    assert!(clean.log_bayes_factor.abs() < 1e-12);
    assert!(clean.log_e_value < 0.0);
}

#[test]
fn reference_evidence_is_reproduced() {
    let table = include_str!("../../../tests/data/verdicts.csv");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let numbers = |text: &str| -> Vec<f64> {
            text.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let observed: Vec<u64> = fields[0].split(' ').map(|x| x.parse().unwrap()).collect();
        let weights = numbers(fields[1]);
        let sum: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        let got = at_counts(&observed, &shares, fields[2].parse().unwrap());
        let close = |got: f64, field: usize| {
            let wanted: f64 = fields[field].parse().unwrap();
            assert!(
                (got - wanted).abs() <= 2e-11 * wanted.abs(),
                "{line}: {got} {wanted}"
            );
        };
        close(got.concentration, 5);
        close(got.max_face, 6);
        close(got.log_faces, 7);
        close(got.log_bayes_factor, 8);
        close(got.log_e_value, 9);
        let bound = 1000.0_f64.ln();
        let verdict = if got.log_e_value >= bound {
            "FAIL"
        } else if got.max_face <= -bound {
            "PASS"
        } else {
            "CONTINUE"
        };
        assert_eq!(verdict, fields[11], "{line}");
        rows += 1;
    }
    assert!(rows >= 10);
}
