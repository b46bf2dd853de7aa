//! The page of `lbtest serve`, loaded and clicked.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::program::lbtest;

use super::chromium::Chromium;
use crate::serve::Served;

const CHECKS: &str = r#"
[serve]
interval = "off"
[target]
url = "URL"
tolerance = 10
alpha = 1e-8
[[check]]
name = "right"
expect = "v1=70,v2=30"
[[check]]
name = "wrong"
expect = "v1=30,v2=70"
[[check]]
name = "idle"
expect = "v1=50,v2=50"
"#;

/// The pill of a check says this.
fn says(check: &str, word: &str) -> String {
    format!(
        "document.querySelector('#check-{check} .pill')?.textContent.includes('{word}') ?? false"
    )
}

#[test]
fn a_click_runs_a_check_and_the_page_follows_by_itself() {
    let served = Served::start("v1=70,v2=30", CHECKS, &[]);
    let mut browser = Chromium::start();
    browser.go(&served.url());
    assert_eq!(
        browser.value("document.title"),
        "3 without a verdict – lbtest"
    );
    browser.value("window.stays = true");
    browser.click("#run-right");
    browser.until(&says("right", "PASS"));
    // Neither the page nor the place on it was left.
    assert_eq!(browser.value("window.stays"), true);
    assert_eq!(browser.value("document.activeElement.id"), "run-right");
    // Somebody else asks: the page hears of it.
    served.verdict("/verdict/wrong");
    browser.until(&says("wrong", "FAIL"));
    assert_eq!(
        browser.value("document.title"),
        "1 FAIL, 1 without a verdict, 1 PASS – lbtest"
    );
    assert_eq!(
        browser.value("document.querySelector('article').id"),
        "check-wrong"
    );
    assert_eq!(browser.complaints(&served.url()), [""; 0]);
    browser.click("#report-wrong");
    browser.until("document.readyState == 'complete' && document.title.startsWith('FAIL')");
    assert_eq!(browser.complaints(&served.url()), [""; 0]);
}

#[test]
fn the_page_works_without_scripts() {
    let served = Served::start("v1=70,v2=30", CHECKS, &[]);
    let mut browser = Chromium::start();
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.go(&served.url());
    browser.click("#run-right");
    browser.until("document.querySelector('#check-right .doing, #check-right .runs') != null");
    while browser.value(&says("right", "PASS")) != true {
        browser.reload();
    }
    browser.click("#check-right .runs a");
    browser.until("document.title.startsWith('PASS')");
    assert_eq!(browser.complaints(&served.url()), [""; 0]);
}

#[test]
fn a_page_whose_server_is_gone_says_so() {
    let served = Served::start("v1=70,v2=30", CHECKS, &[]);
    let mut browser = Chromium::start();
    browser.go(&served.url());
    served.verdict("/verdict/right");
    browser.until(&says("right", "PASS"));
    drop(served);
    browser.until(
        "document.getElementById('state').textContent.startsWith('lbtest has not answered since')",
    );
}

#[test]
fn a_browser_that_was_told_the_token_is_answered_and_follows() {
    let served = Served::start("v1=70,v2=30", CHECKS, &[("LBTEST_TOKEN", "s3cret")]);
    let mut browser = Chromium::start();
    let url = served.url().replace("http://", "http://me:s3cret@");
    browser.go(&url);
    browser.click("#run-right");
    browser.until(&says("right", "PASS"));
}

/// axe-core, which `scripts/test browser` fetches.
fn axe() -> String {
    let path = "target/axe/axe_playwright_python/axe.min.js";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: scripts/test browser fetches it",
            path.display()
        )
    })
}

#[test]
fn the_pages_fit_every_screen_and_keep_nobody_out() {
    let served = Served::start("v1=70,v2=30", CHECKS, &[]);
    served.verdict("/verdict/right");
    served.verdict("/verdict/wrong");
    let mut browser = Chromium::start();
    browser.go(&served.url());
    let report = browser.value("document.querySelector('#report-wrong').href");
    let axe = axe();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (even, checks, config) = (file("even.html"), file("checks.html"), file("lbtest.toml"));
    let unreached = "[target]\nurl = \"http://127.0.0.1:9/\"\nexpect = \"v1=70,v2=30\"\n\
                     [[check]]\nname = \"a\"\n[[check]]\nname = \"b\"\n";
    fs::write(&config, unreached).unwrap();
    lbtest(&["demo", "--expect-even=5", "--html", &even]);
    lbtest(&["--config", &config, "--html", &checks]);
    for url in [
        served.url(),
        report.as_str().unwrap().to_owned(),
        format!("file://{even}"),
        format!("file://{checks}"),
    ] {
        for (width, scheme) in [
            (1200, "light"),
            (1200, "dark"),
            (800, "light"),
            (360, "light"),
            (360, "dark"),
        ] {
            browser.width(width);
            let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            browser.call("Emulation.setEmulatedMedia", &feature);
            browser.go(&url);
            let fits =
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            assert_eq!(browser.value(fits), true, "{url} at {width}");
            browser.value(&format!("{axe}; true"));
            let violations = browser.value(
                "axe.run().then((found) => found.violations.map((rule) => \
                 [rule.id, rule.nodes.map((node) => node.html + node.failureSummary)]))",
            );
            assert_eq!(violations, json!([]), "{url} at {width}, {scheme}");
        }
    }
}
