//! A rollout that moves in steps, asked for as Argo Rollouts and Flagger ask.

use lbtest::parts::Config;
use serde_json::{Value, json};

use super::{Served, now, valid};
use crate::program::{in_turn, lbtest};

/// Requests after which the ingress moves on.
const STEP: u64 = 10_000;

const STEPS: [&str; 3] = [
    "stable=90,canary=10",
    "stable=70,canary=30",
    "stable=50,canary=50",
];

const TEXT: &str = r#"
[serve]
interval = "off"

[[check]]
name = "shop"
url = "URL"
expect = "stable=100,canary=0"
tolerance = 10
alpha = 1e-8
"#;

/// An ingress that goes from one step to the next after so many requests.
fn moving() -> Config {
    let mut config = in_turn(STEPS[0]);
    for (index, step) in (1..).zip(&STEPS[1..]) {
        config
            .shifts
            .push(format!("{}:{step}", STEP * index).parse().unwrap());
    }
    config
}

/// Sends the traffic that is missing until the ingress has moved to a step.
fn move_to(served: &Served, step: u64) {
    let seen: u64 = served.ingress.counts().routed().iter().sum();
    let missing = (step * STEP)
        .checked_sub(seen)
        .expect("the runs have sent less");
    let url = format!("http://{}/", served.ingress.addr());
    let requests = missing.to_string();
    // What it still applies, so that no FAIL is looked into by more requests.
    let applied = STEPS[usize::try_from(step).unwrap().saturating_sub(1)];
    lbtest(&[
        &url,
        "--expect",
        applied,
        "--keep-alive",
        "--judge",
        "significance",
        "-n",
        &requests,
    ]);
    let seen: u64 = served.ingress.counts().routed().iter().sum();
    assert_eq!(seen, step * STEP);
}

#[test]
fn argos_web_metric_gets_the_verdict_of_every_step() {
    let served = Served::before(&moving(), TEXT, &[]);
    for (index, step) in (0..).zip(STEPS) {
        if index > 0 {
            // Asked too early, the step fails: the ingress still applies the one before.
            let early = served.verdict(&format!("/verdict/shop?expect={step}"));
            assert_eq!(early["verdict"], "fail", "{early}");
            move_to(&served, index);
        }
        let path = format!("/verdict/shop?expect={step}&not_before={}", now());
        // Neither of Argo's conditions is met: result == "pass", result == "fail".
        assert_eq!(valid(&served.get(&path))["verdict"], "running");
        let answer = served.verdict(&path);
        assert_eq!(answer["verdict"], "pass", "{answer}");
        assert_eq!(answer["expect"], step);
    }
}

#[test]
fn flaggers_webhook_waits_for_every_step() {
    let served = Served::before(&moving(), TEXT, &[]);
    for (index, step) in (0..).zip(STEPS) {
        move_to(&served, index);
        let payload = json!({
            "name": "shop",
            "namespace": "test",
            "phase": "Progressing",
            "checksum": "85d557f47b",
            "metadata": {"expect": step, "not_before": now()},
        });
        let mut response = served.flagger("shop", &payload.to_string());
        assert_eq!(response.status, 425, "{response:?}");
        let begun = std::time::Instant::now();
        while response.status == 425 && begun.elapsed() < super::PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(100));
            response = served.flagger("shop", &payload.to_string());
        }
        assert_eq!(response.status, 200, "{response:?}");
        let answer: Value = valid(&response);
        assert_eq!(
            (&answer["verdict"], &answer["expect"]),
            (&json!("pass"), &json!(step))
        );
    }
}

/// Both versions of an Argo Rollout are pods of one name, whose hashes tell them apart.
#[test]
fn a_call_says_which_pods_are_the_canarys() {
    let text = r#"
[serve]
interval = "off"
[[check]]
name = "shop"
url = "URL"
expect = "stable=100,canary=0"
"#;
    let served = Served::start("v1=70,v2=30", text, &[]);
    let hashes: Vec<String> = served
        .ingress
        .counts()
        .backends
        .iter()
        .map(|backend| backend.pods[0].name.rsplit('-').nth(1).unwrap().to_owned())
        .collect();
    let path = |stable: &str, canary: &str| {
        format!(
            "/verdict/shop?expect=stable=70,canary=30&backend=stable=*-{stable}-*&backend=canary=*-{canary}-*"
        )
    };
    let answer = served.verdict(&path(&hashes[0], &hashes[1]));
    assert_eq!(answer["verdict"], "pass", "{answer}");
    assert_eq!(answer["assigned"][1], format!("canary=*-{}-*", hashes[1]));
    // Those of another rollout are not what was measured.
    let turned = served.verdict(&path(&hashes[1], &hashes[0]));
    assert_eq!(turned["verdict"], "fail", "{turned}");
}
