//! Runs the executable, bounded in time.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lbtest::parts::Config;
use serde_json::Value;

/// Whatever a test awaits comes within this, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(15);

/// What one run of the executable gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The JSON report on stdout, of a run with `--json -`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let ran = Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        };
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        assert_ne!(
            ran.status, 124,
            "took longer than a quarter of an hour: {ran:?}"
        );
        ran
    }
}

/// An ingress that deals its requests in turn, as nginx does: where a test asks for a PASS, no draw decides whether it comes.
pub(crate) fn in_turn(split: &str) -> Config {
    Config {
        discipline: "round-robin".parse().unwrap(),
        ..Config::new(split.parse().unwrap())
    }
}

/// The executable with these arguments, ended after a quarter of an hour, which no working one needs, by coreutils' `timeout`, which passes
/// signals on, and kills only what has not ended another quarter of an hour after them.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=900", "900", env!("CARGO_BIN_EXE_lbtest")])
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LBTEST_URL")
        .env_remove("LBTEST_HOST")
        .env_remove("LBTEST_CONFIG")
        .env_remove("GITHUB_ACTIONS")
        .env_remove("GITHUB_STEP_SUMMARY")
        .env_remove("LBTEST_RUN_ID")
        .env_remove("JOB_COMPLETION_INDEX")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn lbtest(arguments: &[&str]) -> Ran {
    let output = command(arguments).output();
    output.expect("coreutils' timeout is there").into()
}

/// Runs it with `input` on stdin.
pub(crate) fn lbtest_reading(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child: Child = command(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .expect("coreutils' timeout is there");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // Who refuses the beginning need not read the end.
    if let Err(error) = stdin.write_all(input) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    drop(stdin);
    child.wait_with_output().expect("the child is ours").into()
}

/// The codes of a report's reasons.
pub(crate) fn codes(report: &Value) -> Vec<&str> {
    let reasons = report["reasons"].as_array().expect("reasons is an array");
    reasons
        .iter()
        .filter_map(|reason| reason["code"].as_str())
        .collect()
}

/// The findings but that dials took a second or more: a machine that stands still makes it so.
pub(crate) fn findings(report: &Value) -> Vec<&Value> {
    let findings = report["findings"].as_array().expect("findings is an array");
    let is_machines = |finding: &&Value| finding["code"] == "slow_dials";
    findings.iter().filter(|one| !is_machines(one)).collect()
}
