//! Planning, which sends nothing.

use serde_json::Value;

use crate::program::lbtest;

fn planned(arguments: &[&str]) -> Value {
    let mut all = vec!["plan", "--json", "-"];
    all.extend(arguments);
    let ran = lbtest(&all);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.json()
}

#[test]
fn the_promise_takes_the_published_number_of_requests() {
    for (expect, tolerance, requests) in [("v1=70,v2=30", "5", 3664), ("a=50,b=30,c=20", "5", 4752)]
    {
        let plan = planned(&["--expect", expect, "--tolerance", tolerance]);
        assert_eq!(plan["requests"], requests);
        let correct = &plan["power"][0];
        assert_eq!(correct["shift_share"], 0.0);
        assert!(
            correct["pass_probability"].as_f64().unwrap() > 0.997,
            "{correct}"
        );
    }
}

#[test]
fn every_published_sample_size_and_noncentrality_is_reproduced() {
    for line in include_str!("../data/power.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let weights: Vec<String> = fields[0]
            .split('/')
            .enumerate()
            .map(|(index, weight)| format!("b{index}={weight}"))
            .collect();
        let shift = format!("{}", fields[1].parse::<f64>().unwrap() * 100.0);
        let plan = planned(&[
            "--expect",
            &weights.join(","),
            "--shift",
            &shift,
            "--alpha",
            fields[2],
            "--power",
            fields[3],
        ]);
        assert_eq!(
            plan["requests"],
            fields[4].parse::<u64>().unwrap(),
            "{line}"
        );
    }
    for line in include_str!("../data/lambda_star.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let backends = fields[0].parse::<usize>().unwrap() + 1;
        if backends > 4 {
            // The larger ones stand in the unit tests: their forecasts are simulated, which takes time.
            continue;
        }
        let weights: Vec<String> = (0..backends).map(|index| format!("b{index}=1")).collect();
        let plan = planned(&[
            "--expect",
            &weights.join(","),
            "--shift",
            "10",
            "--alpha",
            fields[1],
            "--power",
            fields[2],
        ]);
        let lambda = plan["noncentrality"].as_f64().unwrap();
        let wanted: f64 = fields[3].parse().unwrap();
        assert!((lambda / wanted - 1.0).abs() < 1e-9, "{line}: {lambda}");
    }
}

#[test]
fn a_plan_that_takes_too_long_names_the_tolerance_that_fits() {
    let ran = lbtest(&["plan", "--expect", "v1=70,v2=30", "-q", "175/m"]);
    assert!(ran.stdout.contains("20 m 56 s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--tolerance 7.3"), "{}", ran.stdout);
    let few = lbtest(&["plan", "--expect", "v1=70,v2=30", "-n", "99"]);
    assert!(
        few.stdout.contains("INCONCLUSIVE or FAIL"),
        "{}",
        few.stdout
    );
}
