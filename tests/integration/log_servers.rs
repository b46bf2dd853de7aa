//! Access logs of real servers say what lbtest itself has seen in the same run, to the request.

use std::fmt::Write;
use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{PATIENCE, Ran, command, lbtest, lbtest_reading};
use crate::servers::Server;

/// Reads a log of the server's, in which the backends are called so.
fn analyze(file: &str, format: &str, names: &[String; 2], more: &[&str]) -> Ran {
    let backends = [format!("v1={}", names[0]), format!("v2={}", names[1])];
    let options = ["analyze", "--expect", "v1=70,v2=30", "--format", format];
    let names = ["--backend", &backends[0], "--backend", &backends[1]];
    // The launcher asks for a host that is not routed, until the server is ready.
    let filter = ["--status", "200", "--json", "-"];
    let input = File::open(file).unwrap();
    let output = command(&[&options[..], &names, &filter, more].concat())
        .stdin(Stdio::from(input))
        .output();
    output.unwrap().into()
}

pub(crate) fn observed(report: &Value) -> Vec<u64> {
    let backends = report["backends"].as_array().unwrap().iter();
    backends
        .map(|backend| backend["observed"].as_u64().unwrap())
        .collect()
}

fn agrees(kind: &str, logging: &[&str]) {
    let base = [kind, "--weights", "v1=70,v2=30", "--access-log"];
    let server = Server::start(&[&base, logging].concat());
    let own = server.gate(&["-n", "3000", "--tolerance", "15"]).json();
    let sent = own["requests"]["sent"].as_u64().unwrap();
    assert_eq!(own["requests"]["unattributed"], 0, "{own:#}");
    let ports = &server.about["ports"];
    let addresses = ["v1", "v2"].map(|label| format!("127.0.0.1:{}", ports[label]));
    let services = ["v1", "v2"].map(|label| format!("default-{label}-80"));
    let of_a_file = ["v1", "v2"].map(|label| format!("{label}@file"));
    let labels = ["v1", "v2"].map(str::to_owned);
    let logs = server.about["access_logs"].as_object().unwrap();
    assert!(!logs.is_empty());
    for (format, file) in logs {
        let file = file.as_str().unwrap();
        let names = match format.as_str() {
            "ingress-nginx" => &services,
            "istio" | "haproxy" => &labels,
            "traefik-json" => &of_a_file,
            _ => &addresses,
        };
        // Envoy writes its logs now and then.
        let begun = Instant::now();
        let requests = |text: String| {
            text.matches(" 200 ")
                .count()
                .max(text.matches(":200,").count())
        };
        while (requests(fs::read_to_string(file).unwrap()) as u64) < sent
            && begun.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        let ran = analyze(
            file,
            format,
            names,
            &["--independent", "--alpha", "1e-8", "--tolerance", "15"],
        );
        let report = ran.json();
        assert_eq!(
            observed(&report),
            observed(&own),
            "{kind} {format}: {ran:?}"
        );
        assert_eq!(
            report["requests"]["unattributed"], 0,
            "{kind} {format}: {ran:?}"
        );
        assert_eq!(ran.status, 0, "{kind} {format}: {ran:?}");
        // One client alone does not tell whether its requests depend on each other.
        let ran = analyze(file, format, names, &[]);
        assert_eq!(ran.status, 3, "{kind} {format}: {ran:?}");
        assert_eq!(observed(&ran.json()), observed(&own), "{kind} {format}");
    }
}

#[test]
fn the_log_of_nginx_says_what_lbtest_saw() {
    agrees("nginx", &[]);
}

#[test]
fn the_log_of_haproxy_says_what_lbtest_saw() {
    agrees("haproxy", &[]);
}

#[test]
fn the_log_of_envoy_says_what_lbtest_saw() {
    agrees("envoy", &[]);
}

#[test]
fn the_log_of_caddy_says_what_lbtest_saw() {
    agrees("caddy", &[]);
}

#[test]
fn the_logs_of_traefik_say_what_lbtest_saw() {
    agrees("traefik", &["traefik"]);
    agrees("traefik", &["traefik-json"]);
}

/// How many requests a marked run sends after its warm-up.
const MARKED: usize = 3000;

/// Whether a line logs a request of the run itself, not of its warm-up or of the launcher: it ends with the mark. What gunicorn
/// says of itself has a process id in such brackets.
fn is_marked(line: &str) -> bool {
    line.ends_with(")\"") && !line.ends_with(".0)\"")
}

/// Runs a marked run against silent apps behind nginx, and judges it by their logs.
struct Marked {
    server: Server,
    run: String,
}

impl Marked {
    /// `apps` serves them: nginx or gunicorn.
    fn start(weights: &str, apps: &str) -> Self {
        let server = Server::start(&["nginx", "--weights", weights, "--silent", apps]);
        let run = format!("{}/run.json", server.value("directory"));
        let host = server.value("host");
        let options = ["--expect", "v1=70,v2=30", "--identify", "logs"];
        let requests = MARKED.to_string();
        let promise = ["--tolerance", "15", "--alpha", "1e-8", "-n", &requests];
        let base = [server.url(), "--host", host, "--json", &run];
        let warmed = ["--warmup", "50"];
        let ran = lbtest(&[&base[..], &options, &promise, &warmed].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stdout.contains("MEASURED  3000 marked"), "{ran:?}");
        let marked = Self { server, run };
        // An app logs a request after it has answered it.
        let begun = Instant::now();
        while marked.logged().iter().sum::<usize>() < MARKED {
            assert!(begun.elapsed() < PATIENCE, "{:?}", marked.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
        marked
    }

    /// How many requests of the run each app has logged so far.
    fn logged(&self) -> [usize; 2] {
        ["v1", "v2"].map(|label| {
            self.log(label)
                .iter()
                .filter(|line| is_marked(line))
                .count()
        })
    }

    fn log(&self, label: &str) -> Vec<String> {
        let file = format!("{}/{label}.log", self.server.value("directory"));
        let text = fs::read_to_string(file).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Both logs in one, with the prefixes of kubectl, as `of` leaves them.
    fn judged(&self, of: impl Fn(usize, &String) -> bool) -> Ran {
        self.judged_behind(|pod| format!("[pod/{pod}/app] "), of)
    }

    /// The same with other prefixes.
    fn judged_behind(
        &self,
        prefix: impl Fn(&str) -> String,
        of: impl Fn(usize, &String) -> bool,
    ) -> Ran {
        let mut text = String::new();
        for label in ["v1", "v2"] {
            let pod = self.server.about["pods"][label].as_str().unwrap();
            let log = self.log(label);
            for (_, line) in log
                .iter()
                .enumerate()
                .filter(|(place, line)| of(*place, line))
            {
                let _ = writeln!(text, "{}{line}", prefix(pod));
            }
        }
        lbtest_reading(
            &["analyze", "--run", &self.run, "--json", "-"],
            text.as_bytes(),
        )
    }
}

#[test]
fn a_marked_run_is_judged_by_the_logs_of_apps_that_name_nobody() {
    let marked = Marked::start("v1=70,v2=30", "nginx");
    let all = marked.judged(|_, _| true);
    assert_eq!(all.status, 0, "{all:?}");
    let report = all.json();
    let requests = &report["requests"];
    assert_eq!(
        (&requests["attributed"], &requests["unattributed"]),
        (&3000.into(), &0.into())
    );
    assert_eq!(observed(&report), marked.logged().map(|lines| lines as u64));

    // One line of a hundred is lost: the verdict stays, and says how many are missing.
    let lossy = marked.judged(|place, _| place % 100 != 7);
    assert_eq!(lossy.status, 0, "{lossy:?}");
    let missing = lossy.json()["requests"]["unattributed"].as_u64().unwrap();
    assert!((20..=31).contains(&missing), "{missing}");
    assert!(lossy.stdout.contains("requests_without_line"), "{lossy:?}");

    // A pod whose log is not there is no verdict, whatever the other says.
    let half = marked.judged(|_, line| line.len() % 2 == 0);
    assert_ne!(half.status, 0, "{half:?}");
    let of_files = ["v1", "v2"].map(|label| {
        let pod = marked.server.about["pods"][label].as_str().unwrap();
        let directory = marked.server.value("directory");
        let file = format!("{directory}/{pod}.log");
        fs::copy(format!("{directory}/{label}.log"), &file).unwrap();
        file
    });
    let base = ["analyze", "--run", &marked.run, "--json", "-"];
    let files = lbtest(&[&base[..], &[&of_files[0], &of_files[1]]].concat());
    assert_eq!(
        (files.status, observed(&files.json())),
        (0, observed(&report))
    );
    let nobody = lbtest_reading(&base, marked.log("v1").join("\n").as_bytes());
    assert!(
        nobody.status == 4 && nobody.stderr.contains("--prefix"),
        "{nobody:?}"
    );
    let merged = lbtest(&["merge", &marked.run]);
    assert!(
        merged.status == 2 && merged.stderr.contains("analyze --run"),
        "{merged:?}"
    );
}

#[test]
fn a_marked_run_of_another_split_fails() {
    let marked = Marked::start("v1=60,v2=40", "nginx");
    let all = marked.judged(|_, _| true);
    assert_eq!(all.status, 1, "{all:?}");
    let lossy = marked.judged(|place, _| place % 100 != 7);
    assert_eq!(lossy.status, 1, "{lossy:?}");
}

#[test]
fn flask_behind_gunicorn_is_judged_by_its_access_log() {
    let marked = Marked::start("v1=70,v2=30", "gunicorn");
    let every = |_: usize, _: &String| true;
    let all = marked.judged(every);
    assert_eq!(all.status, 0, "{all:?}");
    let requests = &all.json()["requests"];
    let attributed = (&requests["attributed"], &requests["unattributed"]);
    assert_eq!(attributed, (&3000.into(), &0.into()));
    let lossy = marked.judged(|place, _| place % 100 != 7);
    assert_eq!(lossy.status, 0, "{lossy:?}");
    // As stern prints them.
    let of_stern = marked.judged_behind(|pod| format!("{pod} app "), every);
    assert_eq!(
        observed(&of_stern.json()),
        observed(&all.json()),
        "{of_stern:?}"
    );

    let other = Marked::start("v1=60,v2=40", "gunicorn");
    assert_eq!(other.judged(every).status, 1);
    assert_eq!(other.judged(|place, _| place % 100 != 7).status, 1);
}
