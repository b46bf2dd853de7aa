//! `lbtest.toml`: several checks in one run.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lbtest::parts::{Config, Handle, Ingress};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ran, codes, command, in_turn, lbtest};

/// A folder with a configuration file; the text's `URL` becomes the address of an embedded ingress.
struct Folder {
    place: TempDir,
    _ingress: Handle,
    url: String,
}

impl Folder {
    fn new(split: &str, text: &str) -> Self {
        Self::with(&in_turn(split), text)
    }

    fn with(config: &Config, text: &str) -> Self {
        let ingress = Ingress::start(config).unwrap();
        let url = format!("http://{}/", ingress.addr());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lbtest.toml");
        fs::write(file, text.replace("URL", &url)).unwrap();
        Self {
            place: folder,
            _ingress: ingress,
            url,
        }
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("lbtest.toml")
    }

    /// Runs the executable in the folder.
    fn run(&self, arguments: &[&str]) -> Ran {
        let output = command(arguments).current_dir(self.place.path()).output();
        output.unwrap().into()
    }
}

const TWO: &str = r#"
[target]
url = "URL"
tolerance = "10pp"

[[check]]
name = "weights"
expect = { v1 = 70, v2 = 30 }

[[check]]
name = "again"
expect = "v1=70%,v2=30%"
path = "/again"
"#;

/// The second check leads to the first backend by a mistake, which is told where it is known to be the first.
const WRONG_HEADER: &str = r#"
[target]
url = "URL"
tolerance = "10pp"
requests = 600

[[check]]
name = "weights"
expect = { v1 = 70, v2 = 30 }

[[check]]
name = "header"
header = { X-Canary = "never" }
expect = { v1 = 0, v2 = 100 }
"#;

#[test]
fn checks_of_one_target_share_what_they_learned_of_its_pods() {
    let mut config = in_turn("v1=70,v2=30");
    config.route_header = Some("X-Canary".parse().unwrap());
    let folder = Folder::with(&config, WRONG_HEADER);
    let code = |more: &[&str]| {
        let report = folder.run(&[&["--json", "-"], more].concat()).json();
        let checks = report["checks"].as_array().unwrap();
        codes(&checks.last().unwrap()["report"])[0].to_owned()
    };
    assert_eq!(code(&[]), "zero_weight_hit");
    assert_eq!(code(&["--check", "header"]), "ambiguous_assignment");
}

/// Six checks of an ingress whose weights are 70/30, of which v2 is the canary.
pub(crate) const SIX: &str = r#"
[target]
url = "URL"
host = "HOST"
alpha = 1e-8
tolerance = "10pp"
requests = 4000
backend = { v1 = "challenge-app", v2 = "challenge-app-v2" }

[[check]]
name = "weights"
expect = { v1 = 70, v2 = 30 }

[[check]]
name = "header-always"
header = { X-Canary = "always" }
expect = { v1 = 0, v2 = 100 }

[[check]]
name = "cookie-never"
cookie = { canary = "never" }
expect = { v1 = 100, v2 = 0 }

[[check]]
name = "path"
path = "/beta"
expect = { v1 = 20, v2 = 80 }

[[check]]
name = "zero-weight"
path = "/stable"
expect = { v1 = 100, v2 = 0 }

[[check]]
name = "sessions"
expect = { v1 = 70, v2 = 30 }
expect_sticky = true
"#;

/// The names of the six with each one's verdict.
pub(crate) fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| (text(&check["name"]), text(&check["report"]["verdict"])))
        .collect()
}

/// The verdicts of the six, where those that are named fail.
pub(crate) fn all_but(failing: &[&str]) -> Vec<(String, String)> {
    let names = [
        "weights",
        "header-always",
        "cookie-never",
        "path",
        "zero-weight",
        "sessions",
    ];
    names
        .map(|name| {
            let verdict = if failing.contains(&name) {
                "fail"
            } else {
                "pass"
            };
            (name.to_owned(), verdict.to_owned())
        })
        .to_vec()
}

fn six(change: impl FnOnce(&mut Config)) -> Ran {
    let mut config = Config::new("v1=70,v2=30".parse().unwrap());
    config.discipline = "sticky".parse().unwrap();
    config.route_header = Some("X-Canary".parse().unwrap());
    config.route_cookie = Some("canary".parse().unwrap());
    config.route_paths = ["/beta:v1=20,v2=80", "/stable:v1=1"]
        .map(|rule| rule.parse().unwrap())
        .to_vec();
    change(&mut config);
    let folder = Folder::with(&config, &SIX.replace("HOST", "shop.example"));
    folder.run(&["--json", "-"])
}

#[test]
fn six_checks_have_a_verdict_each_and_holm_judges_the_whole() {
    let ran = six(|_| {});
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    valid(&report);
    assert_eq!(verdicts(&report), all_but(&[]));
    assert_eq!(codes(&report), ["checks_passed"]);
    // Five p-values, of which Holm multiplies the smallest by the number of checks.
    let mut tested: Vec<(f64, f64)> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| {
            Some((
                check["p_value"].as_f64()?,
                check["adjusted_p_value"].as_f64()?,
            ))
        })
        .collect();
    assert_eq!(tested.len(), 5);
    tested.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(
        (tested[0].1 - (6.0 * tested[0].0).min(1.0)).abs() < 1e-9,
        "{tested:?}"
    );
    let sessions = &report["checks"][5]["report"]["stickiness"];
    assert_eq!(
        (&sessions["sessions"], &sessions["moved"]),
        (&1333.into(), &0.into())
    );
    assert_eq!(sessions["carried"], serde_json::json!(["INGRESSCOOKIE"]));
}

#[test]
fn every_format_has_the_whole_beside_its_checks() {
    let wrong = TWO.replace("\"v1=70%,v2=30%\"", "\"v1=30,v2=70\"");
    let folder = Folder::new("v1=70,v2=30", &wrong);
    let names = ["junit.xml", "summary.md", "page.html"];
    let [junit, markdown, html] = names;
    let ran = folder.run(&["--junit", junit, "--markdown", markdown, "--html", html]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let [junit, markdown, html] =
        names.map(|name| fs::read_to_string(folder.place.path().join(name)).unwrap());
    assert!(junit.contains("<testcase name=\"all checks\""), "{junit}");
    assert!(junit.contains("type=\"checks_failed\""), "{junit}");
    assert!(markdown.starts_with("## FAIL – 2 checks"), "{markdown}");
    assert!(markdown.contains("| weights | PASS |"), "{markdown}");
    assert!(html.contains("1 of 2 checks failed, at alpha"), "{html}");
    assert!(
        html.contains("<title>FAIL – 1 of 2 checks passed"),
        "{html}"
    );
}

#[test]
fn each_of_the_six_fails_alone_when_its_rule_is_broken() {
    type Break = fn(&mut Config);
    let broken: [(&str, Break); 5] = [
        ("header-always", |config| config.route_header = None),
        ("cookie-never", |config| config.route_cookie = None),
        ("path", |config| {
            config.route_paths = vec![
                "/beta:v1=70,v2=30".parse().unwrap(),
                "/stable:v1=1".parse().unwrap(),
            ];
        }),
        ("zero-weight", |config| {
            config.route_paths[1] = "/stable:v1=95,v2=5".parse().unwrap();
        }),
        ("sessions", |config| {
            config.discipline = "random".parse().unwrap();
        }),
    ];
    for (name, break_it) in broken {
        let ran = six(break_it);
        assert_eq!(ran.status, 1, "{name}: {ran:?}");
        let report = ran.json();
        assert_eq!(verdicts(&report), all_but(&[name]), "{name}");
        assert_eq!(codes(&report), ["checks_failed"], "{name}");
    }
}

fn valid(report: &Value) {
    let validator =
        jsonschema::validator_for(&crate::report::schema::<lbtest::parts::ChecksReport>()).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(report)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn every_check_has_a_report_and_the_whole_a_verdict() {
    let folder = Folder::new("v1=70,v2=30", TWO);
    let ran = folder.run(&["--json", "-"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    valid(&report);
    assert_eq!(report["verdict"], "pass");
    assert_eq!(report["checks"][0]["name"], "weights");
    assert_eq!(report["checks"][1]["report"]["verdict"], "pass");
    // 10 percentage points need fewer requests than the built-in 5.
    let requests = report["checks"][0]["report"]["plan"]["requests"].as_u64();
    assert!(requests.is_some_and(|n| n < 1000), "{requests:?}");
    for message in ["weights", "again", "PASS", "2 of 2 checks passed"] {
        assert!(ran.stderr.contains(message), "{message}: {ran:?}");
    }
}

#[test]
fn one_check_that_fails_makes_the_whole_fail() {
    let wrong = TWO.replace("\"v1=70%,v2=30%\"", "\"v1=30,v2=70\"");
    let folder = Folder::new("v1=70,v2=30", &wrong);
    let ran = folder.run(&["--json", "-"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["checks"][0]["report"]["verdict"], "pass");
    assert_eq!(codes(&report), ["checks_failed"]);
    let adjusted = report["checks"][1]["adjusted_p_value"].as_f64().unwrap();
    assert!(adjusted < 1e-3, "{adjusted}");
    let one = folder.run(&["--check", "weights"]);
    assert_eq!(one.status, 0, "{one:?}");
}

#[test]
fn the_command_line_stands_above_the_file_and_expect_replaces_its_checks() {
    let folder = Folder::new("v1=70,v2=30", TWO);
    let ran = folder.run(&["-n", "50", "--json", "-"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["checks"][1]["report"]["plan"]["requests"], 50);
    // The URL and the tolerance still come from [target].
    let ran = folder.run(&["--expect", "v1=70,v2=30", "--json", "-"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let report = ran.json();
    assert_eq!(report["target"]["url"], folder.url);
    assert_eq!(report["plan"]["tolerance_share"], 0.1);
    // An environment variable stands above the file too.
    let mut command = command(&["-n", "50"]);
    command.current_dir(folder.place.path());
    let ran: Ran = command
        .env("LBTEST_URL", "http://127.0.0.1:9/")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.status, 4, "{ran:?}");
}

#[test]
fn a_file_elsewhere_is_named_with_config() {
    let folder = Folder::new("v1=70,v2=30", TWO);
    let file = folder.file();
    let ran = lbtest(&["--config", file.to_str().unwrap(), "--check", "again"]);
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn what_is_for_a_single_run_is_refused_where_there_are_checks() {
    let folder = Folder::new("v1=70,v2=30", TWO);
    let file = folder.file();
    for given in [["--shard", "0/2"], ["--snapshot", "run.json"]] {
        let mut arguments = vec!["--config", file.to_str().unwrap(), "--json", "-"];
        arguments.extend(given);
        let ran = lbtest(&arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        let message = format!("error: {} is for a single run", given[0]);
        assert!(ran.stderr.starts_with(&message), "{ran:?}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_one_sentence_and_status_2() {
    let folder = Folder::new("v1=70,v2=30", TWO);
    let file = folder.file();
    let refused = |text: &[u8], named: &str| {
        fs::write(&file, text).unwrap();
        let ran = lbtest(&["--config", file.to_str().unwrap()]);
        assert_eq!(ran.status, 2, "{ran:?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{ran:?}");
        assert!(lines[0].starts_with("error: "), "{ran:?}");
        assert!(lines[0].contains(named), "{named}: {ran:?}");
    };
    refused(b"[target]\nhots = \"a\"\n", "did you mean 'host'?");
    refused(b"[[check]]\nname = \"a\"\nexpect = 3\n", "line 3: expect");
    refused(b"", "[[check]]");
    refused(b"\xff\xfe", "UTF-8");
    refused(&vec![b'#'; 2 << 20], "1 MiB");
    refused(b"name = \"\x1b[2J", "line 1");
    let ran = lbtest(&["--config", "/no/such/file.toml"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("--config"), "{ran:?}");
    let ran = lbtest(&["--check", "a"]);
    assert!(
        ran.status == 2 && ran.stderr.contains("--config"),
        "{ran:?}"
    );
}

/// Flags of a run that say nothing of what is tried: where things are read from and go, and what is shown.
const OF_A_RUN_ALONE: [&str; 20] = [
    "all",
    "check",
    "color",
    "compare-connections",
    "config",
    "help",
    "html",
    // The default, over `http2 = true`.
    "http1.1",
    "json",
    "junit",
    "markdown",
    "no-progress",
    "openmetrics",
    "output",
    "quiet",
    "run-id",
    "shard",
    "snapshot",
    "verbose",
    "version",
];

#[test]
fn every_option_is_a_flag_and_a_key_of_the_same_name() {
    let mut command = lbtest::parts::command();
    command.build();
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    let mut flags: BTreeSet<String> = flags.map(str::to_owned).collect();
    for flag in OF_A_RUN_ALONE {
        assert!(flags.remove(flag), "--{flag} is no flag");
    }
    let schema = crate::report::schema::<lbtest::parts::ConfigFile>();
    let keys = schema["$defs"]["Target"]["properties"].as_object().unwrap();
    let keys = keys.keys().map(|key| key.replace('_', "-"));
    // The URL stands by itself.
    let keys: BTreeSet<String> = keys.filter(|key| key != "url").collect();
    assert_eq!(flags, keys);
}

#[test]
fn the_published_schema_accepts_what_the_program_accepts() {
    let schema = crate::report::schema::<lbtest::parts::ConfigFile>();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good: Value = toml::from_str(TWO).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&good)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let bad: Value = toml::from_str(&TWO.replace("tolerance", "tolerence")).unwrap();
    assert!(!validator.is_valid(&bad));
    let bad: Value = toml::from_str(&TWO.replace("path", "paht")).unwrap();
    assert!(!validator.is_valid(&bad));
}
