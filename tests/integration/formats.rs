//! The formats that CI systems read: JUnit, Markdown, workflow commands; several at once.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::program::{Ran, command, in_turn, lbtest, lbtest_reading};

/// Names that try to act on every format.
pub(crate) const HOSTILE_LOG: &str = "\
Pod Name: </failure>]]>&<script>alert(1)</script>\n\
Pod Name: \"} 1 `|` [x](y) ::error::x %0A\n\
Pod Name: a\u{fffe}\u{202e}b\n";

/// Judges the hostile log, with these further arguments.
pub(crate) fn hostile(more: &[&str]) -> Ran {
    let base = [
        "analyze",
        "--expect",
        "v1=70,v2=30",
        "--identify",
        "Pod Name: (.*)",
    ];
    lbtest_reading(&[&base[..], more].concat(), HOSTILE_LOG.as_bytes())
}

/// Checks a document against the schema that Jenkins' xunit plugin publishes, with libxml2.
fn valid_junit(document: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    fs::write(&file, document).unwrap();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/junit-10.xsd");
    let checked = Command::new("xmllint")
        .args(["--noout", "--schema", schema])
        .arg(&file)
        .output()
        .expect("xmllint is there: scripts/test packages installs it");
    assert!(checked.status.success(), "{checked:?}\n{document}");
}

/// `(name, status)` of every test case, as an XML parser reads them.
fn cases(document: &str) -> Vec<(String, String)> {
    let script = "import sys, xml.etree.ElementTree as tree\n\
        for case in tree.parse(sys.stdin).iter('testcase'):\n    \
        status = [child.tag for child in case if child.tag in ('failure', 'error', 'skipped')]\n    \
        print(case.get('name'), *status or ['success'], sep='\\t')";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, document.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let message = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (name, status) = line.split_once('\t').unwrap();
        (name.to_owned(), status.to_owned())
    };
    message.lines().map(pair).collect()
}

#[test]
fn junit_has_a_case_for_the_split_each_backend_errors_and_what_has_no_identity() {
    let demo = ["demo", "--expect", "v1=70,v2=30", "--junit", "-"];
    let off = ["--split", "v1=50,v2=50"];
    let failing = ["--fault", "v2=error:100%", "--max-error", "v2=1%"];
    let slow = ["--max-p99", "v1=1us"];
    for (more, statuses) in [
        (&[][..], ["success"; 5]),
        (
            &off[..],
            ["failure", "skipped", "skipped", "success", "success"],
        ),
        (
            &["-n", "20"][..],
            ["error", "skipped", "skipped", "success", "success"],
        ),
        (
            &["--page", "none"][..],
            ["error", "skipped", "skipped", "skipped", "skipped"],
        ),
        (
            &failing[..],
            ["success", "success", "success", "failure", "success"],
        ),
        (
            &slow[..],
            ["success", "failure", "success", "success", "success"],
        ),
    ] {
        let ran = lbtest(&[&demo[..], more].concat());
        valid_junit(&ran.stdout);
        let names = [
            "split",
            "backend v1",
            "backend v2",
            "errors",
            "unattributed",
        ];
        let expected: Vec<(String, String)> = names
            .into_iter()
            .zip(statuses)
            .map(|(name, status)| (name.to_owned(), status.to_owned()))
            .collect();
        assert_eq!(cases(&ran.stdout), expected, "{more:?}: {ran:?}");
    }
}

#[test]
fn junit_is_well_formed_whatever_the_names_and_when_nothing_answers() {
    valid_junit(&hostile(&["--junit", "-"]).stdout);
    let unreachable = lbtest(&["http://127.0.0.1:9/", "--expect", "v1=1", "--junit", "-"]);
    valid_junit(&unreachable.stdout);
}

#[test]
fn markdown_tells_the_verdict_and_the_backends_and_has_no_markup_from_names() {
    let ran = lbtest(&["demo", "--expect", "v1=70,v2=30", "--markdown", "-"]);
    let [title, rest @ ..] = &ran.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{ran:?}")
    };
    assert!(title.starts_with("## PASS"), "{ran:?}");
    assert!(
        rest.iter().any(|line| line.starts_with("| v1 | ")),
        "{ran:?}"
    );
    assert!(
        ran.stdout
            .contains("Promise: a correct split fails at most 1 run in 1000")
    );
    let document = hostile(&["--markdown", "-"]).stdout;
    assert!(document.contains("&lt;script"), "{document}");
    for markup in ["<script", "[x](y)", "`|`"] {
        assert!(!document.contains(markup), "{markup}: {document}");
    }
}

#[test]
fn a_step_summary_is_added_to_and_any_other_file_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary");
    fs::write(&summary, "# earlier\n").unwrap();
    let path = summary.to_str().unwrap();
    let arguments = [
        "analyze",
        "--expect",
        "a=50,b=50",
        "--observed",
        "a=9,b=9",
        "--markdown",
        path,
    ];
    let run = || {
        command(&arguments)
            .env("GITHUB_STEP_SUMMARY", path)
            .output()
            .unwrap()
    };
    run();
    run();
    let added = fs::read_to_string(&summary).unwrap();
    assert!(added.starts_with("# earlier\n## INCONCLUSIVE"), "{added}");
    assert_eq!(added.matches("## INCONCLUSIVE").count(), 2);
    // No room is left in what GitHub takes: what is there stays, and nothing is added.
    let full = "x".repeat(1024 * 1024 - 10);
    fs::write(&summary, &full).unwrap();
    run();
    assert!(fs::read_to_string(&summary).unwrap() == full);
    lbtest(&arguments);
    assert!(
        fs::read_to_string(&summary)
            .unwrap()
            .starts_with("## INCONCLUSIVE")
    );
}

#[test]
fn in_github_actions_a_run_that_does_not_pass_says_so_in_one_error_command() {
    let annotations = |arguments: &[&str], input: &str| -> Vec<String> {
        let mut command = command(arguments);
        command
            .env("GITHUB_ACTIONS", "true")
            .stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
        drop(stdin);
        let ran: Ran = child.wait_with_output().unwrap().into();
        let lines = ran.stdout.lines().chain(ran.stderr.lines());
        lines
            .filter(|line| line.starts_with("::"))
            .map(str::to_owned)
            .collect()
    };
    let counts = |observed| ["analyze", "--expect", "v1=70,v2=30", "--observed", observed];
    assert!(annotations(&counts("v1=2520,v2=1080"), "").is_empty());
    let failed = annotations(&counts("v1=50,v2=5000"), "");
    let [line] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert!(line.starts_with("::error title=lbtest%3A FAIL::"), "{line}");
    assert!(line.contains(" %25"), "{line}");
    assert_eq!(
        annotations(
            &[
                "analyze",
                "--expect",
                "v1=50,v2=50",
                "--identify",
                "Pod Name: (.*)"
            ],
            HOSTILE_LOG
        )
        .len(),
        1
    );
}

#[test]
fn all_formats_are_written_at_once_and_are_opened_before_load_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, junit) = (path("a.json"), path("a.xml"));
    let (markdown, metrics) = (path("a.md"), path("a.prom"));
    let flags = |junit| {
        [
            "--json",
            &json,
            "--junit",
            junit,
            "--markdown",
            &markdown,
            "--openmetrics",
            &metrics,
        ]
    };
    let demo = ["demo", "--expect", "v1=50,v2=50", "-n", "50"];
    let nowhere = path("no/folder/a.xml");
    let ran = lbtest(&[&demo[..], &flags(&nowhere)].concat());
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.starts_with("error: --junit"), "{ran:?}");
    assert_eq!(
        ran.stderr.lines().count(),
        1,
        "nothing is announced: {ran:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let ran = lbtest(&[&demo[..], &flags(&junit)].concat());
    assert!(ran.stdout.starts_with("INCONCLUSIVE"), "{ran:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    for (file, begins) in [
        (json, "{"),
        (junit, "<?xml"),
        (markdown, "## "),
        (metrics, "# HELP"),
    ] {
        assert!(
            fs::read_to_string(&file).unwrap().starts_with(begins),
            "{file}"
        );
    }
}

#[test]
fn two_reports_in_one_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    let path = file.to_str().unwrap();
    let same = format!("{}/./report", folder.path().to_str().unwrap());
    let base = [
        "analyze",
        "--expect",
        "v1=50,v2=50",
        "--observed",
        "v1=9,v2=9",
    ];
    for places in [[path, same.as_str()], ["-", "-"], ["-", "/dev/stdout"]] {
        let flags = ["--junit", places[0], "--json", places[1]];
        let ran = lbtest(&[&base[..], &flags].concat());
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(
            ran.stderr
                .starts_with("error: --json and --junit both write to "),
            "{ran:?}"
        );
        assert!(!file.exists());
    }
    let shared_device = ["--junit", "/dev/null", "--json", "/dev/null"];
    assert_eq!(lbtest(&[&base[..], &shared_device].concat()).status, 3);
    let folder_name = format!("{path}/");
    assert_eq!(
        lbtest(&[&base[..], &["--json", &folder_name]].concat()).status,
        2
    );
}

/// The page of one run, checked for what every page keeps.
fn page(arguments: &[&str], log: Option<&str>) -> String {
    let arguments = [arguments, &["--html", "-"]].concat();
    let ran = match log {
        Some(log) => lbtest_reading(&arguments, log.as_bytes()),
        None => lbtest(&arguments),
    };
    let page = ran.stdout;
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(page.len() <= 300 * 1024, "{} bytes", page.len());
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(
        !page.contains("http-equiv=\"refresh\"") && !page.contains("src=\"http"),
        "{page}"
    );
    page
}

#[test]
fn a_page_stands_alone_and_shows_hostile_names_as_text() {
    let demo = ["demo", "--expect", "v1=70,v2=30", "--no-progress"];
    assert!(page(&demo, None).contains("PASS"));
    let drift = ["--shift", "1500:v1=50,v2=50"];
    assert!(page(&[&demo[..], &drift].concat(), None).contains("changed at about"));
    page(&["http://127.0.0.1:9/", "--expect", "v1=1"], None);
    page(
        &[
            "analyze",
            "--expect",
            "v1=1,v2=0",
            "--observed",
            "v1=20,v2=1",
        ],
        None,
    );
    let hostile = [
        "analyze",
        "--expect",
        "v1=70,v2=30",
        "--identify",
        "Pod Name: (.*)",
    ];
    let hostile = page(&hostile, Some(HOSTILE_LOG));
    assert!(hostile.contains("&lt;script&gt;alert(1)"), "{hostile}");
    assert!(!hostile.contains('\u{202e}'), "{hostile}");
}

#[test]
fn a_page_allows_its_own_script_alone() {
    let page = page(&["analyze", "--expect", "v1=1", "--observed", "v1=9"], None);
    let (_, rest) = page.split_once("<script>").expect("the page has a script");
    let (script, _) = rest.split_once("</script>").expect("the script ends");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.js");
    fs::write(&file, script).unwrap();
    let command = "openssl dgst -sha256 -binary \"$0\" | openssl base64";
    let hash = Command::new("sh")
        .args(["-c", command])
        .arg(&file)
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    // As an attribute's value has it.
    let policy = page.replace("&#x2f;", "/");
    let allowed = policy
        .split_once("sha256-")
        .expect("the policy has a hash")
        .1;
    assert!(
        allowed.starts_with(hash.trim()),
        "the script's hash is {hash}"
    );
}

#[test]
fn a_page_names_what_stands_for_the_backends_beyond_the_colours() {
    let seven = "a=20,b=20,c=20,d=10,e=10,f=10,g=10";
    let html = page(&["demo", "--expect", seven], None);
    assert!(html.contains(">others</text>"), "{html}");
}

#[test]
fn a_page_of_several_checks_nests_its_headings_and_tells_its_regions_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lbtest.toml");
    let checks = "[target]\nurl = \"http://127.0.0.1:9/\"\n\
                  [[check]]\nname = \"one\"\nexpect = \"v1=70,v2=30\"\n\
                  [[check]]\nname = \"two\"\nexpect = \"v1=70,v2=30\"\n";
    fs::write(&config, checks).unwrap();
    let html = page(&["--config", config.to_str().unwrap()], None);
    for name in ["one", "two"] {
        for region in ["Verdict", "Backends"] {
            let label = format!("aria-label=\"{region} of {name}\"");
            assert_eq!(html.matches(&label).count(), 1, "{label}");
        }
    }
    assert_eq!(html.matches("<h3>Backends</h3>").count(), 2);
}

#[test]
fn in_github_actions_no_name_on_stderr_is_a_command() {
    let names = "##[stop-commands]x=1,v2=2";
    let ran: Ran = command(&["analyze", "--expect", "v1=70,v2=30", "--observed", names])
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("stop-commands"), "{ran:?}");
    assert!(!ran.stderr.contains("##["), "{ran:?}");
}

#[test]
fn a_page_of_fifty_checks_is_small_and_begins_with_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    let ingress = lbtest::parts::Ingress::start(&in_turn("v1=70,v2=30")).unwrap();
    let mut text = format!(
        "[target]\nurl = \"http://{}/\"\nrequests = 800\ntolerance = 25\nalpha = 1e-8\n",
        ingress.addr()
    );
    for check in 0..50 {
        let expect = if check == 30 {
            "v1=30,v2=70"
        } else {
            "v1=70,v2=30"
        };
        let _ = writeln!(
            text,
            "[[check]]\nname = \"check-{check}\"\nexpect = \"{expect}\""
        );
    }
    let file = folder.path().join("lbtest.toml");
    fs::write(&file, text).unwrap();
    let page = lbtest(&[
        "--config",
        file.to_str().unwrap(),
        "--html",
        "-",
        "--no-progress",
    ])
    .stdout;
    assert!(page.len() <= 300 * 1024, "{} bytes", page.len());
    let articles: Vec<&str> = page.split("<article id=\"").skip(1).collect();
    assert_eq!(articles.len(), 50);
    assert!(
        articles[0].starts_with("check-30\""),
        "{}",
        &articles[0][..40]
    );
    let closed = page.matches("<details class=\"check\">").count();
    let open = page.matches("<details class=\"check\" open>").count();
    assert_eq!((closed, open), (49, 1));
    assert_eq!(page.matches("<style>").count(), 1);
}
