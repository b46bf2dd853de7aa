//! The page: who is shown it, what it does, and what it remembers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{ONE, PATIENCE, Served};
use crate::http::{Response, connect, exchange, response};
use crate::program::{Ran, command};

impl Served {
    fn post(&self, path: &str, headers: &[&str]) -> Response {
        exchange(&self.address, "POST", path, headers, b"")
    }

    /// The page, once it says this.
    fn page_with(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let page = self.get("/").body;
            if page.contains(text) {
                return page;
            }
            assert!(begun.elapsed() < PATIENCE, "{text}: {page}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The file of the history, once it has so many runs.
    fn state_with(&self, runs: usize) -> Value {
        let begun = Instant::now();
        loop {
            let text = fs::read(self.folder().join("state.json")).unwrap_or_default();
            let state: Value = serde_json::from_slice(&text).unwrap_or_default();
            if state["runs"]
                .as_array()
                .is_some_and(|all| all.len() == runs)
            {
                return state;
            }
            assert!(begun.elapsed() < PATIENCE, "{state}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn remembering() -> String {
    ONE.replace("[serve]", "[serve]\nstate = \"state.json\"")
}

/// The runs that a page lists, with their links.
fn runs(page: &str) -> Vec<&str> {
    let lists = page.split("<ul class=\"runs\"").nth(1).unwrap_or_default();
    let list = lists.split("</ul>").next().unwrap();
    list.lines()
        .filter(|line| line.starts_with("<li>"))
        .collect()
}

#[test]
fn the_button_runs_a_check_and_its_report_is_kept() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let before = served.get("/");
    assert_eq!(before.status, 200);
    assert!(
        before
            .head
            .contains("content-type: text/html; charset=utf-8"),
        "{before:?}"
    );
    assert!(before.body.contains("No run has ended yet."), "{before:?}");
    // Looking sends no load.
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
    let posted = served.post("/run/shop", &[]);
    assert_eq!(posted.status, 303, "{posted:?}");
    assert!(posted.head.contains("location: ../"), "{posted:?}");
    let page = served.page_with("class=\"pill pass\"");
    assert!(page.contains("v1 69.") || page.contains("v1 70."), "{page}");
    let (_, link) = page.split_once("id=\"report-shop\" href=\"").unwrap();
    let path = format!(
        "/{}",
        link.split('"').next().unwrap().replace("&#x2f;", "/")
    );
    let plain = served.get(&path);
    assert_eq!(plain.status, 200, "{path}");
    assert!(
        plain.body.contains("Split against expectation"),
        "{plain:?}"
    );
    assert!(plain.head.contains("frame-ancestors 'none'"), "{plain:?}");
    let address = &served.address;
    let mut stream = connect(address);
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: br, gzip\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut packed = Vec::new();
    stream.read_to_end(&mut packed).unwrap();
    assert!(
        packed.len() * 3 < plain.body.len(),
        "{} bytes",
        packed.len()
    );
    assert_eq!(served.get("/run/shop").status, 405);
    assert_eq!(served.post("/run/nope", &[]).status, 404);
    assert_eq!(served.post("/", &[]).status, 405);
}

#[test]
fn its_policy_names_its_own_styles_and_script() {
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    let page = served.get("/");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part");
    for (start, end, count) in [("<style>", "</style>", 2), ("<script>", "</script>", 1)] {
        let parts: Vec<&str> = page.body.split(start).skip(1).collect();
        assert_eq!(parts.len(), count);
        for part in parts {
            fs::write(&file, part.split(end).next().unwrap()).unwrap();
            let hash = "openssl dgst -sha256 -binary \"$0\" | openssl base64";
            let hash = Command::new("sh")
                .args(["-c", hash])
                .arg(&file)
                .output()
                .unwrap();
            let hash = String::from_utf8(hash.stdout).unwrap();
            let allowed = format!("'sha256-{}'", hash.trim().to_ascii_lowercase());
            assert!(page.head.contains(&allowed), "{start}: the hash is {hash}");
        }
    }
    assert!(
        !page.head.contains("unsafe") && !page.body.contains(" style="),
        "{page:?}"
    );
}

#[test]
fn the_page_needs_the_token_which_a_browser_presents_as_a_password() {
    let served = Served::start("v1=70,v2=30", ONE, &[("LBTEST_TOKEN", "s3cret")]);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/report/shop/x"),
        ("POST", "/run/shop"),
    ] {
        let stranger = exchange(&served.address, method, path, &[], b"");
        assert_eq!(stranger.status, 401, "{path}");
        assert!(
            stranger.head.contains("www-authenticate: basic"),
            "{stranger:?}"
        );
        assert!(!stranger.body.contains("shop"), "{stranger:?}");
    }
    let basic = format!(
        "Authorization: Basic {}",
        BASE64_STANDARD.encode("me:s3cret")
    );
    assert_eq!(
        exchange(&served.address, "GET", "/", &[&basic], b"").status,
        200
    );
    // A program presents a bearer: what a browser sends along by itself opens none of its resources.
    for path in ["/verdict/shop", "/metrics"] {
        let refused = exchange(&served.address, "GET", path, &[&basic], b"");
        assert_eq!(refused.status, 401, "{path}");
        assert!(!refused.head.contains("basic"), "{refused:?}");
    }
    // Another page's form is sent with the password that the browser knows.
    for other in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        assert_eq!(
            served.post("/run/shop", &[&basic, other]).status,
            403,
            "{other}"
        );
    }
    assert_eq!(served.ingress.counts().routed(), [0, 0]);
    let own = ["Origin: http://localhost", "Sec-Fetch-Site: same-origin"];
    assert_eq!(
        served
            .post("/run/shop", &[&[&*basic][..], &own].concat())
            .status,
        303
    );
    let bearer = "Authorization: Bearer s3cret";
    assert_eq!(served.post("/run/shop", &[bearer]).status, 303);
    // The refusal comes although the body does not.
    let mut stranger = connect(&served.address);
    let head = "POST /run/shop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
    stranger.write_all(head.as_bytes()).unwrap();
    assert_eq!(response(&mut stranger).status, 401);
}

#[test]
fn a_thousand_callers_see_the_same_page() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let served = Served::start("v1=70,v2=30", ONE, &[]);
    served.verdict("/verdict/shop");
    let mut callers: Vec<TcpStream> = (0..1000).map(|_| connect(&served.address)).collect();
    for caller in &mut callers {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        caller.write_all(request.as_bytes()).unwrap();
    }
    for mut caller in callers {
        let page = response(&mut caller);
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains("class=\"pill pass\"") && page.body.ends_with("</html>"),
            "{page:?}"
        );
    }
}

#[test]
fn the_last_runs_outlive_a_kill_and_are_no_verdict_then() {
    let mut served = Served::start("v1=70,v2=30", &remembering(), &[]);
    served.verdict("/verdict/shop");
    served.verdict("/verdict/shop?expect=v1=50,v2=50");
    let before = served.state_with(2);
    let shown = served.page_with("class=\"pill fail\"");
    let [fail, pass] = runs(&shown)[..] else {
        panic!("{shown}")
    };
    assert!(
        fail.contains("run fail") && pass.contains("run pass") && pass.contains("<a "),
        "{shown}"
    );
    served.kill_and_start();
    let page = served.get("/").body;
    assert!(page.contains("<title>1 without a verdict"), "{page}");
    assert!(
        page.contains("What the last run said, FAIL, is no verdict any more"),
        "{page}"
    );
    let plain = |run: &str| {
        run.split("title=")
            .nth(1)
            .unwrap()
            .split('>')
            .next()
            .unwrap()
            .to_owned()
    };
    let [again_fail, again_pass] = runs(&page)[..] else {
        panic!("{page}")
    };
    assert_eq!(
        [plain(again_fail), plain(again_pass)],
        [plain(fail), plain(pass)]
    );
    // Their reports are gone, and nothing leads to them.
    assert!(!page.contains("href=\"report"), "{page}");
    assert_eq!(served.state_with(2), before);
    served.post("/run/shop", &[]);
    assert_eq!(served.state_with(3)["runs"][2]["verdict"], "pass");
}

#[test]
fn a_history_that_cannot_be_written_is_told_and_kept_in_memory() {
    let text = ONE.replace("[serve]", "[serve]\nstate = \"later/state.json\"");
    let served = Served::start("v1=70,v2=30", &text, &[]);
    served.page_with("cannot be written to serve.state");
    served.verdict("/verdict/shop");
    let page = served.page_with("class=\"pill pass\"");
    assert_eq!(runs(&page).len(), 1, "{page}");
    fs::create_dir(served.folder().join("later")).unwrap();
    let begun = Instant::now();
    while served.get("/").body.contains("serve.state") {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(100));
    }
    let written = fs::read_to_string(served.folder().join("later/state.json")).unwrap();
    assert!(written.contains("\"verdict\":\"pass\""), "{written}");
    let message = served.stop().stderr;
    assert_eq!(
        message.matches("serve.state cannot be written").count(),
        1,
        "{message}"
    );
    assert!(
        message.contains("the history is written to serve.state again"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_no_history_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = remembering().replace("URL", "http://127.0.0.1:9/");
    for (state, message) in [
        ("state.json", "holds something else"),
        ("/dev/full", "is not a file"),
    ] {
        let text = text.replace("state.json", state);
        fs::write(folder.path().join("lbtest.toml"), text).unwrap();
        fs::write(folder.path().join("state.json"), "notes").unwrap();
        let run = command(&["serve", "--listen", "0"])
            .current_dir(folder.path())
            .output();
        let ran = Ran::from(run.unwrap());
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.stderr.contains(message) && ran.stderr.lines().count() == 1,
            "{ran:?}"
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("state.json")).unwrap(),
            "notes"
        );
    }
}
