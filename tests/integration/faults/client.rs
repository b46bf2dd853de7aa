//! The real executable against a hostile peer: its report, the time it took, its peak memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::PATIENCE;

/// What one run gave.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) status: i32,
    pub(crate) report: Value,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
    /// The largest resident set.
    pub(crate) peak_kib: u64,
}

/// Runs the gate for one backend and so many attributed requests on eight connections.
pub(crate) fn gate(url: &str, requests: u64, options: &[&str]) -> Met {
    let client = Client {
        connections: 8,
        patience: PATIENCE,
    };
    client.gate(url, requests, options)
}

/// How the executable is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) connections: u32,
    /// When it is stopped, and the test fails.
    pub(crate) patience: Duration,
}

impl Client {
    /// Runs the gate for one backend and so many attributed requests.
    pub(crate) fn gate(self, url: &str, requests: u64, options: &[&str]) -> Met {
        let measures = tempfile::NamedTempFile::new().expect("a temporary file");
        let began = Instant::now();
        let output = Command::new("/usr/bin/time")
            .args(["--quiet", "--format=%M", "--output"])
            .arg(measures.path())
            .args([
                "timeout",
                "--kill-after=5",
                &self.patience.as_secs().to_string(),
            ])
            .args([env!("CARGO_BIN_EXE_lbtest"), url])
            .args(["--expect", "v1=1", "--json", "-"])
            .args(["--backend", "v1=challenge-app", "--judge", "significance"])
            .args(["-c", &self.connections.to_string()])
            .args(["-n", &requests.to_string()])
            .args(options)
            .env_remove("LBTEST_URL")
            .env_remove("LBTEST_HOST")
            .stdin(Stdio::null())
            .output()
            .expect("/usr/bin/time is there: scripts/test installs it");
        let elapsed = began.elapsed();
        let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
        let status = output.status.code().unwrap_or(-1);
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(
            [0, 1, 3, 4].contains(&status),
            "exit status {status}: {stderr}"
        );
        let peak = std::fs::read_to_string(measures.path()).expect("time writes what it measured");
        Met {
            status,
            report: serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {stderr}")),
            stderr,
            elapsed,
            peak_kib: peak
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("no size: {peak}")),
        }
    }
}

impl Met {
    /// A count of the report's `requests`.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.report["requests"][name].as_u64().expect("a count")
    }

    /// A count by kind of the report's `requests`, 0 where there is none.
    pub(crate) fn by(&self, table: &str, kind: &str) -> u64 {
        self.report["requests"][table][kind].as_u64().unwrap_or(0)
    }

    fn sum(&self, table: &str) -> u64 {
        let counts = self.report["requests"][table].as_object().expect("a table");
        counts
            .values()
            .map(|count| count.as_u64().expect("a count"))
            .sum()
    }

    /// Checks that every request is in exactly one place of every table.
    pub(crate) fn adds_up(&self) {
        let (attributed, unattributed) = (self.count("attributed"), self.count("unattributed"));
        let set_aside = self.count("set_aside");
        let unidentified = self.sum("unidentified_by_status");
        let sent = attributed + unattributed + set_aside;
        assert_eq!(self.count("sent"), sent, "{self:?}");
        assert_eq!(self.sum("set_aside_by_reason"), set_aside, "{self:?}");
        assert_eq!(self.sum("by_status"), attributed + unidentified, "{self:?}");
        let failed = self.sum("by_failure");
        assert_eq!(
            failed + unidentified,
            unattributed + self.count("never_sent"),
            "{self:?}"
        );
        let of = |rows: &str| -> u64 {
            let rows = self.report[rows].as_array().expect("rows");
            rows.iter()
                .map(|row| row["observed"].as_u64().expect("a count"))
                .sum()
        };
        assert_eq!(of("pods"), attributed, "{self:?}");
        assert!(of("backends") <= attributed, "{self:?}");
    }
}
