//! `lbtest serve`: what rollout controllers, Prometheus and probes get to hear.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lbtest::ingress::{Config, Handle, Ingress};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Response, exchange};
use crate::program::{Ran, command};

/// Whatever is awaited comes within this.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running `lbtest serve` before an embedded ingress; dropping it stops both.
struct Served {
    child: Option<Child>,
    address: String,
    ingress: Handle,
    _folder: TempDir,
}

/// One check that is run when it is asked for alone.
const ONE: &str = r#"
[serve]
interval = "off"

[[check]]
name = "shop"
url = "URL"
expect = "v1=70,v2=30"
"#;

impl Served {
    /// Serves `text`, whose `URL` becomes the address of an ingress that applies `split`.
    fn start(split: &str, text: &str, environment: &[(&str, &str)]) -> Self {
        Self::before(&Config::new(split.parse().unwrap()), text, environment)
    }

    fn before(config: &Config, text: &str, environment: &[(&str, &str)]) -> Self {
        let ingress = Ingress::start(config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{}/", ingress.addr());
        fs::write(folder.path().join("lbtest.toml"), text.replace("URL", &url)).unwrap();
        let mut child = command(&["serve", "--listen", "0"])
            .current_dir(folder.path())
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("listening on http://")?;
            Some(rest.trim_end_matches('/').to_owned())
        });
        let Some(address) = listening else {
            let ran = Ran::from(child.wait_with_output().unwrap());
            panic!("{ran:?}");
        };
        Self {
            child: Some(child),
            address,
            ingress,
            _folder: folder,
        }
    }

    fn get(&self, path: &str) -> Response {
        exchange(&self.address, "GET", path, &[], b"")
    }

    fn flagger(&self, name: &str, body: &str) -> Response {
        let path = format!("/flagger/{name}");
        let json = ["Content-Type: application/json"];
        exchange(&self.address, "POST", &path, &json, body.as_bytes())
    }

    /// Asks until there is a verdict, and returns the answer.
    fn verdict(&self, path: &str) -> Value {
        let begun = Instant::now();
        loop {
            let answer = valid(&self.get(path));
            if answer["verdict"] != "running" {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends SIGTERM and waits for the end.
    fn stop(mut self) -> Ran {
        let child = self.child.take().unwrap();
        terminate(&child);
        child.wait_with_output().unwrap().into()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(&child);
            let _ = child.wait();
        }
    }
}

/// SIGTERM to coreutils' `timeout`, which passes it on.
fn terminate(child: &Child) {
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
}

/// The answer in a response, which its published schema accepts.
fn valid(response: &Response) -> Value {
    let answer = serde_json::from_str(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {response:?}"));
    let validator = jsonschema::validator_for(&lbtest::gate::answer::schema()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&answer)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}: {answer}");
    answer
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[test]
fn a_check_runs_when_it_is_asked_for_and_answers_all_along() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.get("/readyz").status, 200);
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
    let first = served.get("/verdict/shop");
    assert_eq!(first.status, 200);
    assert_eq!(valid(&first)["verdict"], "running");
    let answer = served.verdict("/verdict/shop");
    assert_eq!(answer["verdict"], "pass");
    assert_eq!(answer["expect"], "v1=70,v2=30");
    assert_eq!(answer["exit_status"], 0);
    assert_eq!(answer["reasons"][0]["code"], "split_matches");
    let ran = served.stop();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("shop (v1=70,v2=30): PASS"), "{ran:?}");
}

#[test]
fn another_split_than_the_applied_one_fails_in_both_contracts() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    // As Argo Rollouts' web metric writes it.
    let answer = served.verdict("/verdict/shop?expect=v1=50,v2=50");
    assert_eq!(answer["verdict"], "fail");
    let payload = |expect: &str| {
        format!(
            r#"{{"name":"shop","namespace":"test","phase":"Progressing","checksum":"85d557f47b",
                "metadata":{{"expect":"{expect}"}}}}"#
        )
    };
    let failed = served.flagger("shop", &payload("v1=50,v2=50"));
    assert_eq!(failed.status, 409);
    assert_eq!(valid(&failed)["verdict"], "fail");
    // A split that is not known yet is neither.
    let awaited = served.flagger("shop", &payload("v1=70,v2=30"));
    assert_eq!(awaited.status, 425);
    assert_eq!(valid(&awaited)["verdict"], "running");
    assert_eq!(served.verdict("/verdict/shop")["verdict"], "pass");
    assert_eq!(served.flagger("shop", &payload("v1=70,v2=30")).status, 200);
}

#[test]
fn a_verdict_from_before_the_step_is_not_given() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let before = served.verdict("/verdict/shop");
    let step = now();
    let path = format!("/verdict/shop?expect=v1=70,v2=30&not_before={step}");
    assert_eq!(valid(&served.get(&path))["verdict"], "running");
    let after = served.verdict(&path);
    assert_eq!(after["verdict"], "pass");
    assert_ne!(after["run_id"], before["run_id"]);
    assert!(
        after["started_at"].as_str() > Some(&step),
        "{step}: {after}"
    );
}

#[test]
fn a_call_that_cannot_be_answered_says_why() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    for (path, status, told) in [
        ("/verdict/nope", 404, "no check of this name"),
        ("/verdict/", 404, "no check of this name"),
        ("/", 404, "/verdict/NAME"),
        ("/verdict/shop?expect=v1=70,v3=30", 400, "v1, v2"),
        ("/verdict/shop?expect=", 400, "no backends given"),
        ("/verdict/shop?exect=v1=70,v2=30", 400, "'exect'"),
        ("/verdict/shop?url=http://elsewhere/", 400, "'url'"),
        ("/verdict/shop?not_before=soon", 400, "'soon'"),
        ("/verdict/shop?not_before=99999999999", 400, "ahead"),
    ] {
        let response = served.get(path);
        assert_eq!(response.status, status, "{path}: {response:?}");
        let error: Value = serde_json::from_str(&response.body).unwrap();
        let error = error["error"].as_str().unwrap();
        assert!(error.contains(told), "{path}: {error}");
    }
    for body in ["{", "[1]", r#"{"metadata":{"expect":"x"}}"#] {
        assert_eq!(served.flagger("shop", body).status, 400, "{body}");
    }
    let posted = exchange(&served.address, "POST", "/verdict/shop", &[], b"");
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("allow: get, head"), "{posted:?}");
    assert_eq!(served.get("/flagger/shop").status, 405);
    // Nothing of this has sent load.
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
}

#[test]
fn more_splits_than_may_wait_are_refused_with_the_time_to_come_back() {
    // No run ends while this asks.
    let slow = "requests = 1000000\nrate = \"10/s\"\nexpect =";
    let served = Served::start("v1=70,v2=30", &ONE.replace("expect =", slow), &[]);
    let ask = |stable: u32| {
        served.get(&format!(
            "/verdict/shop?expect=v1={stable},v2={}",
            100 - stable
        ))
    };
    let statuses: Vec<u16> = (1..=12).map(|stable| ask(stable).status).collect();
    let refused = statuses.iter().filter(|&&status| status == 429).count();
    // The first may have begun to run already, and waits no longer.
    assert!((3..=4).contains(&refused), "{statuses:?}");
    let full = ask(50);
    assert_eq!(full.status, 429);
    assert!(full.head.contains("retry-after:"), "{full:?}");
    // Who asks for what waits already is not turned away.
    assert_eq!(ask(2).status, 200);
    let ran = served.stop();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn strangers_need_the_token_and_learn_nothing_without_it() {
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    for path in ["/verdict/shop", "/verdict/nope", "/metrics", "/elsewhere"] {
        for headers in [
            &[][..],
            &["Authorization: Bearer s3cre"],
            &["Authorization: Basic czNjcmV0"],
        ] {
            let response = exchange(&served.address, "GET", path, headers, b"");
            assert_eq!(response.status, 401, "{path}");
            assert!(
                response.head.contains("www-authenticate: bearer"),
                "{response:?}"
            );
        }
    }
    assert_eq!(served.flagger("shop", "{}").status, 401);
    assert_eq!(served.flagger("shop", "{").status, 401);
    let wrong = r#"{"metadata":{"token":"16688eb5e9f289f1991c"}}"#;
    assert_eq!(served.flagger("shop", wrong).status, 401);
    // Flagger's webhooks have no headers.
    assert_eq!(
        served
            .flagger("shop", r#"{"metadata":{"token":"s3cret"}}"#)
            .status,
        425
    );
    let bearer = ["Authorization: Bearer s3cret"];
    assert_eq!(
        exchange(&served.address, "GET", "/verdict/shop", &bearer, b"").status,
        200
    );
    assert_eq!(
        exchange(&served.address, "GET", "/verdict/nope", &bearer, b"").status,
        404
    );
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn what_cannot_be_served_is_one_sentence_and_status_2() {
    let refused = |text: &str, more: &[&str], token: Option<&str>, told: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lbtest.toml"), text).unwrap();
        let mut command = command(&[&["serve"], more].concat());
        if let Some(token) = token {
            command.env("LBTEST_TOKEN", token);
        }
        let ran: Ran = command.current_dir(folder.path()).output().unwrap().into();
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.stderr.starts_with("error: ") && ran.stderr.lines().count() == 1,
            "{ran:?}"
        );
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    };
    refused(ONE, &["--listen", "0.0.0.0:0"], None, "LBTEST_TOKEN");
    refused(ONE, &["--listen", "[::]:0"], None, "token_file");
    refused(ONE, &["--listen", "0"], Some(" "), "LBTEST_TOKEN is empty");
    refused(ONE, &["--token-file", "/nonexistent"], None, "/nonexistent");
    refused(
        ONE,
        &["--listen", "192.0.2.1:1"],
        Some("x"),
        "cannot listen on 192.0.2.1:1",
    );
    refused("", &[], None, "[[check]]");
    refused("[serve]\nlisen = 1\n", &[], None, "did you mean 'listen'?");
    refused(
        "[[check]]\nname = \"a\"\nexpect_from = \"/nonexistent\"\n",
        &[],
        None,
        "check 'a'",
    );
    let nowhere = tempfile::tempdir().unwrap();
    let ran: Ran = command(&["serve"])
        .current_dir(nowhere.path())
        .output()
        .unwrap()
        .into();
    assert!(
        ran.status == 2 && ran.stderr.contains("--config"),
        "{ran:?}"
    );
}
