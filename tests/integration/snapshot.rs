//! What a run that is killed leaves behind.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lbtest::parts::Ingress;
use serde_json::Value;

use crate::program::{PATIENCE, command, in_turn, lbtest};

/// The merged report of what a run left that was killed after so many snapshots.
fn killed(options: &[&str], name: &str) -> (Value, u64) {
    let ingress = Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.json");
    let url = format!("http://{}/", ingress.addr());
    let snapshot = format!("{},300ms", path.display());
    let arguments = [&url, "--expect", "v1=70,v2=30", "--snapshot", &snapshot];
    let mut child = Command::new(env!("CARGO_BIN_EXE_lbtest"))
        .args(arguments)
        .args(options)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    // A later one replaces the first.
    let mut first = None;
    loop {
        let written = fs::read(&path).ok();
        match &first {
            None => first = written,
            Some(earlier) if written.as_ref() != Some(earlier) => break,
            Some(_) => {}
        }
        assert!(begun.elapsed() < PATIENCE, "{name}");
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let sent = ingress.counts().routed().iter().sum();
    let merged = lbtest(&["merge", path.to_str().unwrap(), "--json", "-"]);
    (merged.json(), sent)
}

#[test]
fn a_run_that_is_killed_leaves_what_it_had_measured() {
    let whole = ["-n", "1m", "--rate", "2000/s"];
    for (options, name) in [
        (&whole[..], "fresh"),
        (&[&whole[..], &["--keep-alive"]].concat(), "kept"),
        (&[&whole[..], &["--shard", "0/1"]].concat(), "shard"),
    ] {
        let (report, sent) = killed(options, name);
        let attributed = report["requests"]["attributed"].as_u64().unwrap();
        assert!(
            (1..=sent).contains(&attributed),
            "{name}: {attributed} of {sent}"
        );
        let code = |reason: &Value| reason["code"] == "cut_short";
        let reasons = report["reasons"].as_array().unwrap();
        assert!(reasons.iter().any(code), "{name}: {reasons:?}");
        assert_eq!(report["verdict"], "inconclusive", "{name}");
        // What connections brought that were open counts as well.
        assert!(!report["test"].is_null(), "{name}: {report}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_written_or_merged_is_refused_before_load() {
    for (arguments, message) in [
        (&["--snapshot", "/nowhere/x.json"][..], "--snapshot"),
        (&["--snapshot", "-"], "name a file"),
        (&["--snapshot", "x.json", "--sequential"], "--sequential"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut run = command(&["http://127.0.0.1:1/", "--expect", "v1=70,v2=30"]);
        let ran = run
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
}
