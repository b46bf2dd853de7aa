//! `lbtest follow` against an ingress whose split moves, fed with the objects of a rollout in step.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use lbtest::parts::{Handle, Ingress};
use serde_json::{Value, json};

use crate::program::{command, in_turn};

/// A port behind which another ingress can be put, as a controller that reloads does.
struct Moving {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    ingress: Handle,
    /// Something for each connection that came.
    came: Receiver<()>,
}

fn ingress(weight: u64) -> Handle {
    let split = format!("stable={},canary={weight}", 100 - weight);
    Ingress::start(&in_turn(&split)).unwrap()
}

impl Moving {
    fn start(weight: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ingress = ingress(weight);
        let target = Arc::new(Mutex::new(ingress.addr()));
        let to = Arc::clone(&target);
        let (tell, came) = channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = *to.lock().unwrap();
                let _ = tell.send(());
                thread::spawn(move || forward(client, to));
            }
        });
        Self {
            address,
            target,
            ingress,
            came,
        }
    }

    fn shift(&mut self, weight: u64) {
        let next = ingress(weight);
        *self.target.lock().unwrap() = next.addr();
        self.ingress = next;
    }
}

fn forward(mut client: TcpStream, to: SocketAddr) -> Option<()> {
    let mut server = TcpStream::connect(to).ok()?;
    let (mut from, mut into) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let request = thread::spawn(move || io::copy(&mut from, &mut into));
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = request.join();
    Some(())
}

struct Followed {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Followed {
    fn start(at: &Moving, prefix: &str, more: &[&str]) -> Self {
        let config = in_turn("stable=95,canary=5");
        let mut backends = Vec::new();
        for (label, workload) in config.assignment() {
            // Flagger has another name for it.
            let label = if prefix == "flagger" {
                label.replace("stable", "primary")
            } else {
                label
            };
            backends.extend([
                "--backend".to_owned(),
                format!("{prefix}-{label}={workload}"),
            ]);
        }
        let url = format!("http://{}/", at.address);
        let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
        let options = [
            "follow",
            &url,
            "-",
            "--json",
            "-",
            "--tolerance",
            "10",
            "-c",
            "8",
        ];
        let mut child = command(&[&options[..], &backends, more].concat())
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
        }
    }

    fn feed(&mut self, object: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{object}").unwrap();
        stdin.flush().unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn status(mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.child.wait().unwrap().code()
    }
}

/// A Rollout of Argo at this weight.
fn rollout(weight: u64) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"strategy": {"canary": {"stableService": "shop-stable", "canaryService": "shop-canary",
            "trafficRouting": {"nginx": {"stableIngress": "shop"}}, "steps": [{"setWeight": weight}, {"pause": {}}]}}},
        "status": {"currentStepIndex": 1}})
}

/// A Canary of Flagger at this weight.
fn canary(weight: u64) -> Value {
    json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "flagger", "namespace": "default"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "flagger"}, "service": {"port": 80},
            "analysis": {"stepWeight": 5, "maxWeight": 100}},
        "status": {"phase": "Progressing", "canaryWeight": weight}})
}

#[test]
fn every_step_of_a_rollout_is_judged_and_its_time_to_live_is_bounded() {
    let of_argo: fn(u64) -> Value = rollout;
    for (object, prefix, stable) in [
        (of_argo, "shop", "shop-stable"),
        (canary, "flagger", "flagger-primary"),
    ] {
        let mut ingress = Moving::start(5);
        let mut followed = Followed::start(&ingress, prefix, &["--until", "weight=100"]);
        for (step, weight) in (1..).zip([5, 25, 50, 100]) {
            followed.feed(&object(weight));
            // Status moves without the weight: no step of its own.
            followed.feed(&object(weight));
            ingress.shift(weight);
            let message = followed.line();
            assert_eq!(message["step"], step, "{message}");
            assert_eq!(message["verdict"], "pass", "{message}");
            let expect = format!("{stable}={},{prefix}-canary={weight}", 100 - weight);
            assert_eq!(message["expect"], expect.as_str(), "{message}");
            assert!(
                message["live_within_seconds"].as_f64().unwrap() > 0.0,
                "{message}"
            );
            assert!(message["requests"].as_u64().unwrap() > 0, "{message}");
        }
        let whole = followed.line();
        assert_eq!(
            (&whole["verdict"], &whole["steps"]),
            (&"pass".into(), &4.into()),
            "{whole}"
        );
        assert_eq!(followed.status(), Some(0));
    }
}

fn http_route(weight: u64) -> Value {
    let backend = |name: &str, weight: u64| json!({"name": name, "port": 80, "weight": weight});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"rules": [{"backendRefs": [backend("shop-stable", 100 - weight), backend("shop-canary", weight)]}]}})
}

fn virtual_service(weight: u64) -> Value {
    let route = |host: &str, weight: u64| json!({"destination": {"host": host}, "weight": weight});
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"hosts": ["shop.example"],
            "http": [{"route": [route("shop-stable", 100 - weight), route("shop-canary", weight)]}]}})
}

/// An Ingress of ingress-nginx; a canary where it has a weight.
fn nginx_ingress(service: &str, weight: Option<u64>) -> Value {
    let mut annotations = json!({});
    if let Some(weight) = weight {
        annotations["nginx.ingress.kubernetes.io/canary"] = "true".into();
        annotations["nginx.ingress.kubernetes.io/canary-weight"] = weight.to_string().into();
    }
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": service, "namespace": "default", "annotations": annotations},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop.example",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}})
}

#[test]
fn routes_of_the_gateway_api_and_of_istio_are_followed() {
    for object in [http_route, virtual_service] {
        let mut ingress = Moving::start(5);
        let mut followed = Followed::start(&ingress, "shop", &["--until", "weight=50"]);
        for weight in [5, 50] {
            followed.feed(&object(weight));
            ingress.shift(weight);
            let message = followed.line();
            let expect = format!("shop-stable={},shop-canary={weight}", 100 - weight);
            assert_eq!(message["expect"], expect.as_str(), "{message}");
            assert_eq!(message["verdict"], "pass", "{message}");
        }
        assert_eq!(followed.line()["steps"], 2);
        assert_eq!(followed.status(), Some(0));
    }
}

#[test]
fn a_canary_ingress_is_followed_until_it_is_deleted() {
    let mut ingress = Moving::start(5);
    let mut followed = Followed::start(&ingress, "shop", &[]);
    let event = |kind: &str, object: &Value| json!({"type": kind, "object": object});
    followed.feed(&event("ADDED", &nginx_ingress("shop-stable", None)));
    followed.feed(&event("ADDED", &nginx_ingress("shop-canary", Some(5))));
    // Until the canary is there, its mapping waits.
    let message = followed.line();
    assert_eq!(
        (&message["expect"], &message["verdict"]),
        (&"shop-stable=95,shop-canary=5".into(), &"pass".into()),
        "{message}"
    );
    let canary = nginx_ingress("shop-canary", Some(50));
    ingress.shift(50);
    followed.feed(&event("MODIFIED", &canary));
    let message = followed.line();
    assert_eq!(
        (&message["expect"], &message["verdict"]),
        (&"shop-stable=50,shop-canary=50".into(), &"pass".into()),
        "{message}"
    );
    ingress.shift(0);
    followed.feed(&event("DELETED", &canary));
    let message = followed.line();
    assert_eq!(
        (&message["expect"], &message["verdict"]),
        (&"shop-stable=100".into(), &"pass".into()),
        "{message}"
    );
    drop(followed.stdin.take());
    let whole = followed.line();
    assert_ne!(whole["verdict"], "fail", "{whole}");
}

#[test]
fn the_page_has_the_staircase_and_options_that_make_no_sense_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("rollout.html");
    let mut ingress = Moving::start(5);
    let options = ["--until", "weight=50", "--html", page.to_str().unwrap()];
    let mut followed = Followed::start(&ingress, "shop", &options);
    followed.feed(&rollout(5));
    let first = followed.line();
    let trial = &first["trials"][0];
    let canary = &trial["backends"][1];
    let [low, share, high] =
        ["interval_low", "share", "interval_high"].map(|key| canary[key].as_f64().unwrap());
    assert!(
        low < 0.05 && 0.05 < high && low <= share && share <= high,
        "{first}"
    );
    assert!(
        trial["ended_seconds"].as_f64() > trial["begun_seconds"].as_f64(),
        "{first}"
    );
    ingress.shift(50);
    followed.feed(&rollout(50));
    let second = followed.line();
    assert!(
        second["asked_after_seconds"].as_f64() > first["asked_after_seconds"].as_f64(),
        "{second}"
    );
    followed.line();
    assert_eq!(followed.status(), Some(0));
    let html = std::fs::read_to_string(page).unwrap();
    let marks = html.matches("class=\"fits\"").count();
    assert!(
        marks >= 2 && html.contains("shop-stable=50,shop-canary=50"),
        "{html}"
    );
    assert!(
        html.contains("class=\"expected\"") && html.contains("interval fits"),
        "{html}"
    );

    for option in [
        "-n=5",
        "-z=5s",
        "--sequential",
        "--warmup=5",
        "--wait-ready=1s",
        "--keep-alive",
        "--streams=2",
        "--expect=a=1",
        "--expect-even",
        "--step=2",
        "--max-error=a=1%",
        "--expect-sticky",
    ] {
        let refused = crate::program::lbtest(&["follow", "http://127.0.0.1:1/", "-", option]);
        assert!(
            refused.status == 2 && refused.stderr.contains("there is no option"),
            "{refused:?}"
        );
    }
    let both = crate::program::lbtest(&[
        "follow",
        "http://127.0.0.1:1/",
        "--json",
        "-",
        "--html",
        "-",
    ]);
    assert!(
        both.status == 2 && both.stderr.contains("both write to stdout"),
        "{both:?}"
    );
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(9 << 20));
    let long =
        crate::program::lbtest_reading(&["follow", "http://127.0.0.1:1/", "-"], long.as_bytes());
    assert!(
        long.status == 2 && long.stderr.contains("longer than 8 MiB"),
        "{long:?}"
    );
}

#[test]
fn a_step_that_never_comes_live_fails_and_is_named() {
    let ingress = Moving::start(5);
    let mut followed = Followed::start(&ingress, "shop", &[]);
    followed.feed(&rollout(5));
    assert_eq!(followed.line()["verdict"], "pass");
    followed.feed(&rollout(50));
    // The stream ends, and so does the rollout, with the test under way.
    drop(followed.stdin.take());
    let step = followed.line();
    assert_eq!(
        (&step["step"], &step["verdict"]),
        (&2.into(), &"fail".into()),
        "{step}"
    );
    assert!(
        step["message"]
            .as_str()
            .unwrap()
            .starts_with("never came live"),
        "{step}"
    );
    let whole = followed.line();
    assert_eq!(whole["verdict"], "fail", "{whole}");
    let message = whole["message"].as_str().unwrap();
    assert!(
        message.contains("step 2 (shop-stable=50,shop-canary=50)"),
        "{message}"
    );
    assert_eq!(followed.status(), Some(1));
}

#[test]
fn a_canary_of_flagger_is_followed_until_its_split_is_live() {
    let ingress = Moving::start(25);
    let mut followed = Followed::start(&ingress, "flagger", &["--until-live"]);
    followed.feed(&canary(25));
    assert_eq!(followed.line()["verdict"], "pass");
    assert_eq!(followed.line()["steps"], 1);
    assert_eq!(followed.status(), Some(0));
}

#[test]
fn a_stream_that_is_interrupted_leaves_a_report() {
    let ingress = Moving::start(5);
    let mut followed = Followed::start(&ingress, "shop", &["--rate", "20/s"]);
    followed.feed(&rollout(50));
    ingress.came.recv().unwrap();
    let id = followed.child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status();
    assert!(killed.unwrap().success());
    let step = followed.line();
    assert_eq!(step["step"], 1, "{step}");
    let whole = followed.line();
    assert_eq!(whole["interrupted"], true, "{whole}");
    assert_eq!(followed.status(), Some(130));
    let nothing = crate::program::lbtest_reading(&["follow", "http://127.0.0.1:1/", "-"], b"{}");
    assert_eq!(nothing.status, 4, "{nothing:?}");
}

#[test]
fn a_stream_that_breaks_leaves_what_was_measured() {
    let ingress = Moving::start(5);
    let mut followed = Followed::start(&ingress, "shop", &[]);
    followed.feed(&rollout(5));
    assert_eq!(followed.line()["verdict"], "pass");
    let mut stdin = followed.stdin.take().unwrap();
    writeln!(stdin, "no object").unwrap();
    drop(stdin);
    assert_eq!(followed.line()["steps"], 1);
    assert_eq!(followed.status(), Some(2));
}
