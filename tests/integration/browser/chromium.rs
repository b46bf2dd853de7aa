//! Debian's Chromium, driven by its own protocol, that of its tools for developers, over two pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::PATIENCE;

/// For a browser without a screen that asks nothing of the network by itself.
pub(super) const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// A browser with one page.
pub(super) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    calls: u64,
    /// What came meanwhile.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Chromium {
    pub(super) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The pipes are to be the files 3 and 4.
        let run = "exec timeout 900 chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = Command::new("sh");
        command
            .args(["-c", run, "sh"])
            .args(FLAGS)
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut browser = Self {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
            session: None,
            calls: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method, and returns what it returns.
    pub(super) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let answered = self.answered(method, parameters);
        answered.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn answered(&mut self, method: &str, parameters: &Value) -> Result<Value, Value> {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let mut heard = self.heard();
            if heard["id"] == json!(self.calls) {
                return match heard["error"].take() {
                    Value::Null => Ok(heard["result"].take()),
                    error => Err(error),
                };
            }
            self.events.push(heard);
        }
    }

    fn heard(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(
            message.pop(),
            Some(0),
            "chromium is there: scripts/test packages installs it"
        );
        serde_json::from_slice(&message).unwrap()
    }

    /// Goes somewhere, and waits until all is loaded.
    pub(super) fn go(&mut self, url: &str) {
        self.forget_loads();
        let gone = self.call("Page.navigate", &json!({"url": url}));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.await_event("Page.loadEventFired");
    }

    /// What was loaded before is not what is awaited.
    fn forget_loads(&mut self) {
        self.events
            .retain(|event| event["method"] != "Page.loadEventFired");
    }

    fn await_event(&mut self, method: &str) {
        loop {
            let seen = self
                .events
                .iter()
                .position(|event| event["method"] == method);
            if let Some(place) = seen {
                self.events.remove(place);
                return;
            }
            let heard = self.heard();
            self.events.push(heard);
        }
    }

    /// Loads the page again.
    pub(super) fn reload(&mut self) {
        self.forget_loads();
        self.call("Page.reload", &json!({}));
        self.await_event("Page.loadEventFired");
    }

    /// What an expression of the page is.
    pub(super) fn value(&mut self, expression: &str) -> Value {
        let mut found = self.evaluated(expression).unwrap();
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].take()
    }

    /// `Err` where the page was left meanwhile.
    fn evaluated(&mut self, expression: &str) -> Result<Value, Value> {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        self.answered("Runtime.evaluate", &asked)
    }

    /// Waits until an expression of the page is true.
    pub(super) fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while !self
            .evaluated(expression)
            .is_ok_and(|found| found["result"]["value"] == true)
        {
            assert!(
                begun.elapsed() < PATIENCE,
                "{expression}: {:?}",
                self.evaluated("document.documentElement.outerHTML")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks in the middle of what a selector finds, as a mouse does.
    pub(super) fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const it = document.querySelector('{selector}'); it.scrollIntoView({{block: 'center'}}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// The screen is so wide.
    pub(super) fn width(&mut self, width: u32) {
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// What the browser had to complain of, and what it asked others for.
    pub(super) fn complaints(&mut self, own: &str) -> Vec<String> {
        // Whatever is under way has come when this has.
        self.value("1");
        let complaint = |event: &Value| match event["method"].as_str()? {
            "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                Some(event["params"].to_string())
            }
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                let is_own = url.starts_with(own) || url.starts_with("data:");
                (!is_own).then(|| url.to_owned())
            }
            _ => None,
        };
        let found = self.events.iter().filter_map(complaint).collect();
        self.events.clear();
        found
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It ends with its pipe's other end; `timeout` passes the signal on.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
