//! What goes wrong in the field, played by the embedded ingress: for each cause the verdict and the first
//! finding, over seeds 1 to 20.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use lbtest::parts::{Config, Ingress, Plan, Report, Settings, VerdictName};
use serde_json::json;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

/// The number that rules a shift of 10 percentage points out at 70/30.
const FEW: u64 = 942;
/// Enough to see a change within the run.
const SOME: u64 = 2000;
/// The number that rules a shift of 5 percentage points out at 70/30.
const MANY: u64 = 3664;

/// One row: a cause, how the ingress plays it, and what is to be said of it.
struct Scenario {
    cause: &'static str,
    expect: &'static str,
    /// Options of the ingress; `--requests-per-connection N` and `--cookie kept` are the client's.
    options: &'static str,
    requests: u64,
    verdicts: &'static [VerdictName],
    /// The code of the first finding, or one that is reported as tied with it; of the first reason where
    /// nothing was measured; empty for no finding at all.
    code: &'static str,
}

const PASS: &[VerdictName] = &[VerdictName::Pass];
const FAIL: &[VerdictName] = &[VerdictName::Fail];
const INCONCLUSIVE: &[VerdictName] = &[VerdictName::Inconclusive];
const NOT_PASS: &[VerdictName] = &[VerdictName::Fail, VerdictName::Inconclusive];
const NOT_FAIL: &[VerdictName] = &[VerdictName::Pass, VerdictName::Inconclusive];
const ERROR: &[VerdictName] = &[VerdictName::Error];

const fn row(
    cause: &'static str,
    options: &'static str,
    requests: u64,
    verdicts: &'static [VerdictName],
    code: &'static str,
) -> Scenario {
    Scenario {
        cause,
        expect: "v1=70,v2=30",
        options,
        requests,
        verdicts,
        code,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a const fn cannot drop it")]
const fn expecting(expect: &'static str, scenario: Scenario) -> Scenario {
    Scenario { expect, ..scenario }
}

const SCENARIOS: &[Scenario] = &[
    row("as expected", "", FEW, PASS, ""),
    row(
        "weights not yet live",
        "--split v1=100,v2=0 --shift 200:v1=70,v2=30",
        SOME,
        NOT_PASS,
        "weights_not_live_yet",
    ),
    row(
        "weights changed in mid-run",
        "--shift 1000:v1=50,v2=50",
        SOME,
        NOT_PASS,
        "changed_mid_run",
    ),
    row(
        "reload",
        "--fault v1=502:50%@400-440",
        FEW,
        NOT_FAIL,
        "errors_clustered",
    ),
    row(
        "route bypassed, uniform over pods",
        "--route-by pods",
        MANY,
        FAIL,
        "uniform_over_pods",
    ),
    expecting(
        "v1=50,v2=50",
        row(
            "replica ratio",
            "--split v1=75,v2=25",
            FEW,
            FAIL,
            "replica_ratio",
        ),
    ),
    row(
        "weights dropped, all equal",
        "--split v1=50,v2=50",
        FEW,
        FAIL,
        "equal_weights",
    ),
    row(
        "labels swapped",
        "--split v1=30,v2=70",
        FEW,
        FAIL,
        "weights_swapped",
    ),
    expecting(
        "a=50,b=30,c=20",
        row(
            "labels rotated",
            "--split a=30,b=20,c=50",
            FEW,
            FAIL,
            "weights_swapped",
        ),
    ),
    expecting(
        "v1=7,v2=3",
        row(
            "other weights",
            "--split v1=97,v2=3",
            FEW,
            FAIL,
            "unexplained",
        ),
    ),
    row(
        "canary without endpoints",
        "--absent v2",
        FEW,
        FAIL,
        "canary_absent",
    ),
    row(
        "canary broken",
        "--fault v2=503:100%",
        FEW,
        FAIL,
        "canary_failing",
    ),
    row(
        "canary drops connections",
        "--fault v2=close:100%",
        FEW,
        FAIL,
        "canary_failing",
    ),
    row(
        "canary broken by half",
        "--fault v2=502:50%",
        FEW,
        NOT_PASS,
        "canary_failing",
    ),
    row(
        "canary answers errors",
        "--fault v2=error:20%",
        FEW,
        PASS,
        "backend_errors",
    ),
    row(
        "primary without endpoints",
        "--absent v1",
        FEW,
        ERROR,
        "primary_dead",
    ),
    row(
        "primary broken",
        "--fault v1=503:100%",
        FEW,
        FAIL,
        "primary_failing",
    ),
    row(
        "rate limiter, 503",
        "--limit-rpm 900 --burst-multiplier 1 --max-duration 10s --seeds 2",
        FEW,
        INCONCLUSIVE,
        "rate_limited",
    ),
    row(
        "rate limiter, 429",
        "--limit-rpm 900 --burst-multiplier 1 --limit-status 429 --max-duration 10s --seeds 2",
        FEW,
        INCONCLUSIVE,
        "rate_limited",
    ),
    row(
        "rate limiter in the canary alone",
        "--limit-rpm 100 --burst-multiplier 1 --limit-backend v2 --max-duration 10s --seeds 4",
        FEW,
        NOT_PASS,
        // Which of them depends on what the canary's limiter lets through while the pace is tried.
        "backend_limited|rate_limited|limiter_suspected",
    ),
    row(
        "cookie affinity, no cookie kept",
        "--discipline sticky",
        FEW,
        PASS,
        "cookie_affinity",
    ),
    row(
        "cookie affinity, a cookie kept",
        "--discipline sticky --cookie kept",
        FEW,
        FAIL,
        "cookie_affinity",
    ),
    row(
        "stuck client",
        "--discipline per-client",
        FEW,
        FAIL,
        "stuck_client",
    ),
    row(
        "per-connection balancing, fresh connections",
        "--discipline per-connection",
        FEW,
        PASS,
        "",
    ),
    row(
        "per-connection balancing, 20 requests each",
        "--discipline per-connection --requests-per-connection 20",
        FEW,
        NOT_FAIL,
        "per_connection_balancing",
    ),
    row(
        "weighted round-robin",
        "--discipline round-robin",
        FEW,
        PASS,
        "weighted_round_robin",
    ),
    row(
        "a cache in front",
        "--split v1=100,v2=0 --header Age:30",
        FEW,
        FAIL,
        "cache_in_front",
    ),
    expecting(
        "v1=100,v2=0",
        row(
            "weight 0 leaks",
            "--split v1=99,v2=1",
            1000,
            FAIL,
            "zero_weight_leak",
        ),
    ),
    row(
        "none of the known causes",
        "--split v1=60,v2=40",
        FEW,
        FAIL,
        "unexplained",
    ),
    row(
        "wrong Host",
        "--host other.example",
        FEW,
        ERROR,
        "default_backend",
    ),
    row("https only", "--ssl-redirect yes", FEW, ERROR, "redirected"),
    row(
        "nothing that names a pod",
        "--page none",
        FEW,
        ERROR,
        "nothing_identified",
    ),
];

/// All seeds, or the first of them where each takes a while.
fn seeds(scenario: &Scenario) -> impl Iterator<Item = u64> {
    let few = options(scenario).find(|&(name, _)| name == "--seeds");
    let number = few.map_or(usize::MAX, |(_, number)| number.parse().unwrap());
    SEEDS.take(number)
}

/// The ingress that plays a scenario: three pods of the first backend, one of the second, so that equal
/// weights and equal shares of pods differ.
fn config(scenario: &Scenario, seed: u64) -> Config {
    let mut config = Config::new(scenario.expect.parse().unwrap());
    config.seed = seed;
    if config.split.position("v1").is_some() {
        config.pods = "v1=3,v2=1".parse().unwrap();
    }
    for (name, value) in options(scenario) {
        match name {
            "--split" => config.split = value.parse().unwrap(),
            "--shift" => config.shifts.push(value.parse().unwrap()),
            "--route-by" => config.route_by = value.parse().unwrap(),
            "--absent" => config.absent.push(value.to_owned()),
            "--fault" => config.faults.push(value.parse().unwrap()),
            "--limit-rpm" => config.limit_rpm = Some(value.parse().unwrap()),
            "--burst-multiplier" => config.burst_multiplier = value.parse().unwrap(),
            "--limit-status" => config.limit_status = value.parse().unwrap(),
            "--limit-backend" => config.limit_backend = Some(value.to_owned()),
            "--discipline" => config.discipline = value.parse().unwrap(),
            "--header" => config.headers.push(value.parse().unwrap()),
            "--host" => config.host = Some(value.to_owned()),
            "--ssl-redirect" => config.ssl_redirect = true,
            "--page" => config.page = value.parse().unwrap(),
            "--requests-per-connection" | "--cookie" | "--max-duration" | "--seeds" => {}
            other => panic!("the table has an unknown option {other}"),
        }
    }
    config
}

fn options(scenario: &Scenario) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut words = scenario.options.split_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
}

/// What the client is told, which is to measure `url`.
fn plan(scenario: &Scenario, url: &str, backends: &[String], seed: u64) -> Plan {
    let (mut per_connection, mut headers, mut max_duration) = ("1", Vec::new(), "15m");
    for (name, value) in options(scenario) {
        match name {
            "--requests-per-connection" => per_connection = value,
            "--cookie" => headers.push(format!("Cookie: {}", cookie(url))),
            // A limiter is recognised within seconds; what it leaves of the plan takes a minute.
            "--max-duration" => max_duration = value,
            _ => {}
        }
    }
    let asked = json!({
        "url": url,
        "expect": scenario.expect,
        "backend": backends,
        "header": headers,
        "tolerance": if scenario.requests < MANY { 10 } else { 5 },
        "max_unattributed": 2,
        "requests": scenario.requests,
        "max_duration": max_duration,
        "concurrency": 8,
        "threads": 1,
        "requests_per_connection": per_connection,
        "seed": seed,
    });
    Settings::read(|| &asked).unwrap().plan().unwrap()
}

/// The cookie that a first request is given.
fn cookie(url: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, rest) = answer.split_once("set-cookie: ").unwrap();
    rest.split(';').next().unwrap().to_owned()
}

/// Plays a scenario and judges it, as `lbtest demo` does.
fn report(scenario: &Scenario, seed: u64) -> Report {
    let config = config(scenario, seed);
    let backends: Vec<String> = config
        .assignment()
        .iter()
        .map(|(label, workload)| format!("{label}={workload}"))
        .collect();
    let ingress = Ingress::start(&config).unwrap();
    let url = format!("http://{}/", ingress.addr());
    let plan = plan(scenario, &url, &backends, seed);
    crate::load::report(&plan)
}

/// The first finding's code and those tied with it; the first reason's where nothing was measured and
/// nothing found.
fn diagnosis(report: &Report) -> Vec<String> {
    match (report.findings.first(), report.reasons.first()) {
        (Some(finding), _) => std::iter::once(&finding.code)
            .chain(&finding.tied_with)
            .cloned()
            .collect(),
        (None, Some(reason)) if report.verdict == VerdictName::Error => vec![reason.code.clone()],
        (None, _) => vec![String::new()],
    }
}

#[expect(clippy::print_stdout, reason = "the table is asked for")]
#[test]
fn each_cause_is_diagnosed_at_every_seed() {
    let mut wrong = Vec::new();
    println!("{:44} {:24} first finding", "scenario", "verdicts");
    for scenario in SCENARIOS {
        let (mut verdicts, mut diagnoses) = (BTreeMap::new(), BTreeMap::new());
        let began = std::time::Instant::now();
        for seed in seeds(scenario) {
            let report = report(scenario, seed);
            let codes = diagnosis(&report);
            *verdicts.entry(format!("{:?}", report.verdict)).or_insert(0) += 1;
            *diagnoses.entry(codes.join(" = ")).or_insert(0) += 1;
            let right = scenario.verdicts.contains(&report.verdict)
                && codes
                    .iter()
                    .any(|code| scenario.code.split('|').any(|right| right == code));
            if !right {
                wrong.push(format!(
                    "{}, seed {seed}: {:?} {codes:?} {:?} {:?}",
                    scenario.cause, report.verdict, report.reasons, report.findings
                ));
            }
            for finding in &report.findings {
                assert!(finding.evidence.values().all(|figure| figure.is_finite()));
            }
        }
        let describe = |counts: &BTreeMap<String, u32>| {
            let describe: Vec<String> = counts
                .iter()
                .map(|(what, count)| match &**what {
                    "" => format!("none × {count}"),
                    what => format!("{what} × {count}"),
                })
                .collect();
            describe.join(", ")
        };
        println!(
            "{:44} {:24} {} ({:.1?})",
            scenario.cause,
            describe(&verdicts),
            describe(&diagnoses),
            began.elapsed()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
