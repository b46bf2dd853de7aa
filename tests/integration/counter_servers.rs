//! Counters of real proxies say what lbtest itself has seen in the same run, to the request.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::log_servers::observed;
use crate::metrics::Listening;
use crate::program::{PATIENCE, Ran, codes, lbtest};
use crate::servers::Server;

/// The error rates of the launched servers' other tests.
const PROMISE: [&str; 6] = [
    "--expect",
    "v1=70,v2=30",
    "--alpha",
    "1e-8",
    "--tolerance",
    "15",
];

/// What a URL answers, over whatever it speaks.
fn get(url: &str, method: &str) -> String {
    let program = "import sys, urllib.request as u\n\
        asked = u.Request(sys.argv[1], method=sys.argv[2])\n\
        sys.stdout.write(u.urlopen(asked).read().decode())";
    let ran = Command::new("python3")
        .args(["-c", program, url, method])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{url}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// A launched proxy, and two readings of its counters.
struct Counted {
    server: Server,
    /// What the counters call the backends.
    names: [String; 2],
}

impl Counted {
    fn start(kind: &str, names: [&str; 2]) -> Self {
        Self {
            server: Server::start(&[kind, "--weights", "v1=70,v2=30", "--metrics"]),
            names: names.map(str::to_owned),
        }
    }

    fn reading(&self, name: &str) -> PathBuf {
        let file = PathBuf::from(self.server.value("directory")).join(name);
        fs::write(&file, get(self.server.value("metrics_url"), "GET")).unwrap();
        file
    }

    fn gate(&self) -> Value {
        self.server
            .gate(&["-n", "3000", "--tolerance", "15"])
            .json()
    }

    fn analyze(&self, of: &[&str]) -> Ran {
        let backends = [0, 1].map(|place| format!("v{}={}", place + 1, self.names[place]));
        let backends = [
            "--backend",
            &backends[0],
            "--backend",
            &backends[1],
            "--json",
            "-",
        ];
        lbtest(&[&["analyze"], &PROMISE[..], &backends, of].concat())
    }

    /// Judges what was gained since `before`, once all of it is counted.
    fn since(&self, before: &Path, own: &Value) -> Ran {
        let begun = Instant::now();
        loop {
            let after = self.reading("after.prom");
            let ran = self.analyze(&[
                "--metrics",
                before.to_str().unwrap(),
                after.to_str().unwrap(),
            ]);
            if ran.status == 0 && observed(&ran.json()) == observed(own) {
                return ran;
            }
            assert!(begun.elapsed() < PATIENCE, "{own:#}\n{ran:?}");
            sleep(Duration::from_millis(100));
        }
    }
}

fn agrees(kind: &str, names: [&str; 2]) {
    let counted = Counted::start(kind, names);
    let before = counted.reading("before.prom");
    let own = counted.gate();
    let ran = counted.since(&before, &own);
    let report = ran.json();
    assert_eq!(report["requests"]["unattributed"], 0, "{ran:?}");
    // A verdict from counters says what it takes for granted.
    assert_eq!(
        codes(&report),
        ["split_matches", "assumed_independent"],
        "{ran:?}"
    );
}

#[test]
fn the_counters_of_haproxy_say_what_lbtest_saw() {
    agrees("haproxy", ["v1", "v2"]);
}

#[test]
fn the_counters_of_traefik_say_what_lbtest_saw() {
    agrees("traefik", ["v1@file", "v2@file"]);
}

#[test]
fn the_counters_of_envoy_say_what_lbtest_saw_and_their_reset_is_noticed() {
    let counted = Counted::start("envoy", ["v1", "v2"]);
    let before = counted.reading("before.prom");
    let own = counted.gate();
    counted.since(&before, &own);
    let before = counted.reading("before.prom");
    let reset = counted
        .server
        .value("metrics_url")
        .replace("/stats/prometheus", "/reset_counters");
    assert_eq!(get(&reset, "POST").trim(), "OK");
    // Fewer than before, so that the fall shows.
    let own = counted
        .server
        .gate(&["-n", "500", "--tolerance", "30"])
        .json();
    let ran = counted.since(&before, &own);
    assert!(ran.stdout.contains("counters_reset"), "{ran:?}");
}

#[test]
fn caddy_counts_no_upstreams_and_lbtest_says_where_to_look() {
    let counted = Counted::start("caddy", ["v1", "v2"]);
    let before = counted.reading("before.prom");
    counted.gate();
    let (before, after) = (before.to_str().unwrap(), counted.reading("after.prom"));
    let ran = counted.analyze(&["--metrics", before, after.to_str().unwrap()]);
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(ran.stderr.contains("--format caddy"), "{ran:?}");
}

#[test]
fn a_prometheus_server_says_what_haproxy_counted_over_a_range() {
    let counted = Counted::start("haproxy", ["v1", "v2"]);
    let directory = counted.server.value("directory");
    let target = counted
        .server
        .value("metrics_url")
        .replace("http://", "")
        .replace("/metrics", "");
    let file = format!("{directory}/prometheus.yml");
    let config = format!(
        "scrape_configs:\n- job_name: haproxy\n  scrape_interval: 1s\n  static_configs: [{{targets: [\"{target}\"]}}]\n"
    );
    fs::write(&file, config).unwrap();
    let storage = format!("--storage.tsdb.path={directory}/data");
    let prometheus = Listening::start("prometheus", &[&format!("--config.file={file}"), &storage]);
    let url = format!("http://{}/", prometheus.address);
    let query = "haproxy_server_http_responses_total{proxy=\"apps\"}[30m]";
    let asked = |query: &str| counted.analyze(&["--prometheus", &url, "--query", query]);
    let begun = Instant::now();
    let until = |is_enough: &dyn Fn(&Ran) -> bool| loop {
        let ran = asked(query);
        if is_enough(&ran) {
            return ran;
        }
        assert!(begun.elapsed() < PATIENCE, "{ran:?}");
        sleep(Duration::from_millis(250));
    };
    // Until there is something to count from.
    until(&|ran| ran.stderr.contains("did not grow"));
    let own = counted.gate();
    let ran = until(&|ran| ran.status == 0 && observed(&ran.json()) == observed(&own));
    assert_eq!(
        codes(&ran.json()),
        ["split_matches", "assumed_independent"],
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("read haproxy_server_http_responses_total by server"),
        "{ran:?}"
    );

    for (query, status, said) in [
        ("haproxy_server_http_responses_total", 2, "NAME[10m]"),
        ("sum(", 4, "Prometheus refuses the query"),
        (
            "(haproxy_server_http_responses_total * 2)[5m:1s]",
            2,
            "without sum()",
        ),
        (
            "haproxy_server_no_such_thing[5m]",
            4,
            "no series is selected",
        ),
    ] {
        let ran = asked(query);
        assert!(
            ran.status == status && ran.stderr.contains(said),
            "{query}: {ran:?}"
        );
    }
    let elsewhere = lbtest(
        &[
            &["analyze"],
            &PROMISE[..],
            &["--prometheus", counted.server.url(), "--query", query],
        ]
        .concat(),
    );
    assert!(
        elsewhere.status == 4 && elsewhere.stderr.contains("no query of Prometheus"),
        "{elsewhere:?}"
    );
}
