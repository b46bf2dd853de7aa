//! `lbtest follow` against an ingress whose split moves, fed with the objects of a rollout in step.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use lbtest::ingress::{Config, Handle, Ingress};
use serde_json::{Value, json};

use crate::program::command;

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
    Ingress::start(&Config::new(split.parse().unwrap())).unwrap()
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
        let config = Config::new("stable=95,canary=5".parse().unwrap());
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

#[test]
fn every_step_of_a_rollout_is_judged_and_its_time_to_live_is_bounded() {
    let mut ingress = Moving::start(5);
    let mut followed = Followed::start(&ingress, "shop", &["--until", "weight=100"]);
    for (step, weight) in (1..).zip([5, 25, 50, 100]) {
        followed.feed(&rollout(weight));
        // Status moves without the weight: no step of its own.
        followed.feed(&rollout(weight));
        ingress.shift(weight);
        let told = followed.line();
        assert_eq!(told["step"], step, "{told}");
        assert_eq!(told["verdict"], "pass", "{told}");
        let expect = format!("shop-stable={},shop-canary={weight}", 100 - weight);
        assert_eq!(told["expect"], expect.as_str(), "{told}");
        assert!(
            told["live_within_seconds"].as_f64().unwrap() > 0.0,
            "{told}"
        );
        assert!(told["requests"].as_u64().unwrap() > 0, "{told}");
    }
    let whole = followed.line();
    assert_eq!(
        (&whole["verdict"], &whole["steps"]),
        (&"pass".into(), &4.into()),
        "{whole}"
    );
    assert_eq!(followed.status(), Some(0));
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
    followed.feed(
        &json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "flagger", "namespace": "default"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "flagger"}, "service": {"port": 80},
            "analysis": {"stepWeight": 5, "maxWeight": 50}},
        "status": {"phase": "Progressing", "canaryWeight": 25}}),
    );
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
