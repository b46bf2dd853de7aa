//! `lbtest serve`: what rollout controllers, Prometheus and probes get to hear.

mod calls;
mod hostile;
mod page;
mod prometheus;
mod rollout;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lbtest::parts::{Config, Handle, Ingress};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Response, exchange};
use crate::program::{PATIENCE, Ran, command, in_turn};

/// A running `lbtest serve` before an embedded ingress; dropping it stops both.
pub(crate) struct Served {
    child: Option<Child>,
    address: String,
    ingress: Handle,
    folder: TempDir,
}

/// One check that is run when it is asked for alone, and whose verdict no chance turns.
pub(crate) const ONE: &str = r#"
[serve]
interval = "off"

[[check]]
name = "shop"
url = "URL"
expect = "v1=70,v2=30"
tolerance = 10
alpha = 1e-8
"#;

impl Served {
    /// Serves `text`, whose `URL` becomes the address of an ingress that applies `split`.
    pub(crate) fn start(split: &str, text: &str, environment: &[(&str, &str)]) -> Self {
        Self::before(&in_turn(split), text, environment)
    }

    fn before(config: &Config, text: &str, environment: &[(&str, &str)]) -> Self {
        Self::with_files(config, &[("lbtest.toml", text)], environment)
    }

    fn with_files(config: &Config, files: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let ingress = Ingress::start(config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{}/", ingress.addr());
        for (name, text) in files {
            fs::write(folder.path().join(name), text.replace("URL", &url)).unwrap();
        }
        let (child, address) = listening(folder.path(), environment);
        Self {
            child: Some(child),
            address,
            ingress,
            folder,
        }
    }

    /// Ends it at once, as `kill -9` does, and starts it anew.
    fn kill_and_start(&mut self) {
        let child = self.child.as_mut().unwrap();
        let pid = child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let own = children.trim();
        Command::new("kill").args(["-KILL", own]).status().unwrap();
        child.wait().unwrap();
        let (child, address) = listening(self.folder.path(), &[]);
        (self.child, self.address) = (Some(child), address);
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        exchange(&self.address, "GET", path, &[], b"")
    }

    fn flagger(&self, name: &str, body: &str) -> Response {
        let path = format!("/flagger/{name}");
        let json = ["Content-Type: application/json"];
        exchange(&self.address, "POST", &path, &json, body.as_bytes())
    }

    /// Asks until there is a verdict, and returns the answer.
    pub(crate) fn verdict(&self, path: &str) -> Value {
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

/// Starts it in a folder with an `lbtest.toml`; its address comes back.
fn listening(folder: &Path, environment: &[(&str, &str)]) -> (Child, String) {
    let mut child = command(&["serve", "--listen", "0"])
        .current_dir(folder)
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
    (child, address)
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
    let validator =
        jsonschema::validator_for(&crate::report::schema::<lbtest::parts::GateAnswer>()).unwrap();
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
