//! Counts and logs that were taken elsewhere.

use serde_json::Value;

use crate::program::{codes, lbtest, lbtest_reading};

const LOG: &[u8] = include_bytes!("../data/paso05-output.txt");

fn close(got: &Value, wanted: f64, relative: f64) {
    let got = got.as_f64().unwrap_or_else(|| panic!("{got} is no number"));
    let error = if wanted == 0.0 {
        got.abs()
    } else {
        (got / wanted - 1.0).abs()
    };
    assert!(error <= relative, "{got} is not {wanted}");
}

#[test]
fn the_log_of_the_exercise_is_inconclusive_with_the_number_that_would_settle_it() {
    let ran = lbtest_reading(&["analyze", "--expect", "v1=70,v2=30", "--json", "-"], LOG);
    let report = ran.json();
    assert_eq!(
        (ran.status, &report["verdict"]),
        (3, &"inconclusive".into())
    );
    close(
        &report["test"]["chi_square"]["statistic"],
        0.004_329_004_329_00,
        1e-11,
    );
    close(
        &report["test"]["chi_square"]["p_value"],
        0.947_540_902_088,
        1e-11,
    );
    close(&report["test"]["p_value"], 1.0, 1e-12);
    assert!(
        ran.stderr.contains("; 3664 would settle it\n"),
        "{}",
        ran.stderr
    );
    let workloads = [0, 1].map(|backend| report["backends"][backend]["workload"].clone());
    assert_eq!(workloads, ["challenge-app", "challenge-app-v2"]);

    let judged = [
        "analyze",
        "--expect",
        "v1=70,v2=30",
        "--judge",
        "significance",
    ];
    assert_eq!(lbtest_reading(&judged, LOG).status, 0);
}

#[test]
fn a_request_without_a_pod_is_unattributed() {
    let log = b"Resquest # 1\nPod Name: v1</p>\nResquest # 2\nResquest # 3\nPod Name: v2</p>\n";
    let ran = lbtest_reading(&["analyze", "--expect", "v1=1,v2=1", "--json", "-"], log);
    let requests = &ran.json()["requests"];
    assert_eq!(
        (&requests["attributed"], &requests["unattributed"]),
        (&2.into(), &1.into())
    );
    let empty = lbtest_reading(&["analyze", "--expect", "v1=1,v2=1"], b"");
    assert_eq!(empty.status, 4);
}

#[test]
fn every_published_row_of_goodness_of_fit_is_reproduced() {
    let table = include_str!("../data/goodness_of_fit.csv");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let fields = fields(line);
        let (observed, weights) = (&fields[2], &fields[3]);
        let report = analyzed(observed, weights, &[]);
        let test = &report["test"];
        rows += 1;
        if fields[6] == "inf" {
            assert!(test["chi_square"]["statistic"].is_null());
            assert_eq!(report["verdict"], "fail");
            continue;
        }
        close(
            &test["chi_square"]["statistic"],
            fields[6].parse().unwrap(),
            1e-9,
        );
        if let Ok(p) = fields[7].parse::<f64>()
            && p > 1e-300
        {
            close(&test["chi_square"]["p_value"], p, 1e-9);
        }
        match fields[12].parse::<f64>() {
            Ok(p) if p > 1e-300 => close(&test["p_value"], p, 1e-8),
            _ => {}
        }
        for (column, bound) in [(16, "interval_low"), (17, "interval_high")] {
            for (backend, wanted) in fields[column].split(' ').enumerate() {
                let Ok(wanted) = wanted.parse::<f64>() else {
                    continue;
                };
                let got = report["backends"][backend][bound].as_f64().unwrap();
                assert!((got - wanted).abs() < 1e-9, "{line}: {got} {wanted}");
            }
        }
    }
    assert_eq!(rows, 35);
}

#[test]
fn every_published_verdict_is_reproduced() {
    for line in include_str!("../data/verdicts.csv").lines().skip(1) {
        let fields = fields(line);
        let report = analyzed(&fields[0], &fields[1], &[]);
        close(
            &report["test"]["equivalence_p_value"],
            fields[4].parse().unwrap(),
            1e-8,
        );
        let verdict = fields[10].to_lowercase();
        if verdict != "infeasible" {
            assert_eq!(report["verdict"], verdict, "{line}");
        }
    }
}

#[test]
fn every_published_sequential_look_is_reproduced() {
    for line in include_str!("../data/verdicts.csv").lines().skip(1) {
        let fields = fields(line);
        let report = analyzed(&fields[0], &fields[1], &["--sequential"]);
        let natural =
            |name: &str| report["sequential"][name].as_f64().unwrap() * std::f64::consts::LN_10;
        let close = |got: f64, field: &str| {
            let wanted: f64 = field.parse().unwrap();
            assert!((got - wanted).abs() <= 1e-9 * wanted.abs(), "{line}: {got}");
        };
        // Less what a ratio need not fall by, since both shifts of a backend are refuted at once.
        let raw: f64 = fields[6].parse().unwrap();
        let credit = raw - natural("largest_face_log10");
        assert!((-1e-8..1.2).contains(&credit), "{line}: {credit}");
        close(natural("log10_e_value"), &fields[9]);
        let verdict = match fields[11].as_str() {
            "CONTINUE" => "inconclusive",
            decided => &decided.to_lowercase(),
        };
        assert_eq!(report["verdict"], verdict, "{line}");
    }
}

#[test]
fn missing_answers_count_for_no_backend() {
    for (observed, missing, verdict) in [
        ("600 380", "20", "fail"),
        ("690 290", "20", "inconclusive"),
        ("2484 1080", "36", "pass"),
    ] {
        let more = ["--unattributed", missing, "--max-unattributed", "2"];
        assert_eq!(
            analyzed(observed, "70 30", &more)["verdict"],
            verdict,
            "{observed}"
        );
    }
    let report = analyzed("99 0", "70 30", &[]);
    assert_eq!(codes(&report)[0], "backend_never_answered");
}

/// `analyze --json` of counts and weights as the tables write them, separated by spaces.
fn analyzed(observed: &str, weights: &str, more: &[&str]) -> Value {
    let pairs = |numbers: &str| {
        let named = numbers.split(' ').enumerate();
        let pair = |(index, number): (usize, &str)| format!("b{index}={number}");
        named.map(pair).collect::<Vec<_>>().join(",")
    };
    let (observed, weights) = (pairs(observed), pairs(weights));
    let mut arguments = vec![
        "analyze",
        "--expect",
        &weights,
        "--observed",
        &observed,
        "--json",
        "-",
    ];
    arguments.extend(more);
    lbtest(&arguments).json()
}

/// The fields of a CSV line, where quotes may enclose commas.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("there is a field").push(c),
        }
    }
    fields
}
