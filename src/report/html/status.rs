//! The page of `lbtest serve`: every check at a glance, from what is known. It is whole without its script, which brings
//! it up to date.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::view::{or_dash, sentence, shown, symbol};
use super::{STYLE, environment, hash};
use crate::format::percent;
use crate::report::standing::{self, Standing, standing};
use crate::report::text::{interval, word};
use crate::report::{BackendReport, Report, VerdictName};

const PAGE: &str = include_str!("status.html");
const OWN_STYLE: &str = include_str!("status.css");
const SCRIPT: &str = include_str!("status.js");

/// What the page may load, run and send: its own styles and its script by their hashes, its icon, and what it asks of its
/// own server.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, own_style, script] = [STYLE, OWN_STYLE, SCRIPT].map(hash);
    format!(
        "default-src 'none'; style-src {style} {own_style}; script-src {script}; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'"
    )
});

/// Backends of a check that have a row.
const MOST_ROWS: usize = 8;
/// The width of a row's drawing, in its own units.
const WIDTH: f64 = 200.0;

/// What the page shows.
#[derive(Debug)]
pub struct Status<'a> {
    /// As of when.
    pub at: SystemTime,
    /// Every check, in the order of the configuration.
    pub checks: Vec<CheckStatus<'a>>,
    /// Why the last runs cannot be written down.
    pub trouble: Option<&'a str>,
}

/// What is known of a check.
#[derive(Debug)]
pub struct CheckStatus<'a> {
    /// Its name, of which an address can be made.
    pub name: &'a str,
    /// The split that is configured.
    pub expect: String,
    /// How long ago the last run ended, if that is not too long, and its report, or why there is none.
    pub latest: Option<(Duration, Result<&'a Report, &'a str>)>,
    /// Whether a run is under way.
    pub is_running: bool,
    /// Runs that wait for their turn.
    pub waiting: usize,
    /// The last runs, the newest first.
    pub runs: Vec<PastRun<'a>>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct PastRun<'a> {
    /// What it said.
    pub verdict: VerdictName,
    /// When it ended.
    pub at: SystemTime,
    /// The split that was expected.
    pub expect: &'a str,
    /// The most important reason.
    pub why: &'a str,
    /// Where its report is, if it is kept.
    pub page: Option<String>,
}

/// A check as the template shows it.
#[derive(Debug, Serialize)]
struct Card {
    name: String,
    verdict: &'static str,
    symbol: &'static str,
    word: &'static str,
    ago: Option<String>,
    at: Option<String>,
    expect: String,
    why: String,
    doing: Option<String>,
    page: Option<String>,
    backends: Vec<Row>,
    more: usize,
    runs: Vec<Dot>,
}

/// A backend's share against what it should get.
#[derive(Debug, Serialize)]
struct Row {
    label: String,
    share: String,
    expected: String,
    interval: String,
    is_off: bool,
    sentence: String,
    class: &'static str,
    /// From the left: where the tolerance begins and its width, where the interval begins and ends, and the share.
    band: [String; 2],
    interval_ends: Option<[String; 2]>,
    mark: Option<String>,
}

/// A run of the past.
#[derive(Debug, Serialize)]
struct Dot {
    verdict: &'static str,
    symbol: &'static str,
    word: &'static str,
    at: String,
    message: String,
    page: Option<String>,
}

/// How a page counts what it shows: what asks most of its reader first.
const KINDS: [(Option<VerdictName>, &str, &str); 5] = [
    (Some(VerdictName::Fail), "FAIL", "b3261e"),
    (Some(VerdictName::Error), "not measured", "b36b00"),
    (Some(VerdictName::Inconclusive), "INCONCLUSIVE", "b36b00"),
    (None, "without a verdict", "7f8a97"),
    (Some(VerdictName::Pass), "PASS", "1a8a50"),
];

/// Writes the page.
///
/// # Panics
/// Never for lack of anything in the reports: the template is part of the program, and tests render it.
pub fn render(status: &Status<'_>) -> String {
    let place = |check: &CheckStatus<'_>| {
        let verdict = check.verdict();
        KINDS.iter().position(|(kind, ..)| *kind == verdict)
    };
    let mut checks: Vec<&CheckStatus<'_>> = status.checks.iter().collect();
    checks.sort_by_key(|check| place(check));
    let counted = KINDS.iter().enumerate().filter_map(|(kind, (_, name, _))| {
        let count = checks.iter().filter(|check| place(check) == Some(kind));
        Some(count.count())
            .filter(|&count| count > 0)
            .map(|count| format!("{count} {name}"))
    });
    let worst = checks.first().and_then(|check| place(check));
    let environment = environment();
    let page = environment
        .template_from_str(PAGE)
        .expect("the template is valid");
    page.render(context! {
        style => STYLE,
        own_style => OWN_STYLE,
        script => SCRIPT,
        version => env!("CARGO_PKG_VERSION"),
        title => counted.collect::<Vec<_>>().join(", "),
        icon => worst.map_or(KINDS[3].2, |worst| KINDS[worst].2),
        at => stamp(status.at),
        trouble => status.trouble.map(sentence),
        cards => Serde(checks.into_iter().map(|check| Card::of(check, status.at)).collect::<Vec<_>>()),
    })
    .expect("the template uses what there is")
}

impl CheckStatus<'_> {
    /// What may be told now.
    fn verdict(&self) -> Option<VerdictName> {
        let (_, result) = self.latest.as_ref()?;
        Some(
            result.map_or(VerdictName::Error, |report| match report.verdict {
                // Whole runs alone are served.
                VerdictName::Measured => VerdictName::Error,
                verdict => verdict,
            }),
        )
    }

    /// What is told where there is no verdict.
    fn without_verdict(&self, at: SystemTime) -> String {
        match self.runs.first() {
            None => "No run has ended yet.".to_owned(),
            Some(last) => format!(
                "What the last run said, {}, is no verdict any more: {} ({}).",
                word(last.verdict),
                sentence(last.why),
                ago(at.duration_since(last.at).unwrap_or_default())
            ),
        }
    }
}

impl Card {
    fn of(check: &CheckStatus<'_>, at: SystemTime) -> Self {
        let verdict = check.verdict();
        let report = check.latest.as_ref().and_then(|(_, result)| result.ok());
        // What was told last ended last.
        let last = check.runs.first().filter(|_| verdict.is_some());
        let why: Cow<'_, str> = match &check.latest {
            Some((_, Ok(report))) => {
                let first = report.reasons.first();
                first.map_or("", |reason| &*reason.message).into()
            }
            Some((_, Err(why))) => (*why).into(),
            None => check.without_verdict(at).into(),
        };
        let judged = report.filter(|report| report.requests.attributed > 0);
        let rows = judged.map_or_else(Vec::new, rows);
        Self {
            name: shown(check.name),
            verdict: verdict.map_or("none", VerdictName::code),
            symbol: verdict.map_or("–", symbol),
            word: verdict.map_or("no verdict", word),
            ago: check.latest.as_ref().map(|(age, _)| ago(*age)),
            at: last.map(|run| stamp(run.at)),
            expect: sentence(last.map_or(&*check.expect, |run| run.expect)),
            why: sentence(&why),
            doing: doing(check),
            page: last.and_then(|run| run.page.clone()),
            more: judged.map_or(0, |report| report.backends.len() - rows.len()),
            backends: rows,
            runs: check.runs.iter().map(Dot::of).collect(),
        }
    }
}

fn doing(check: &CheckStatus<'_>) -> Option<String> {
    let waiting = match check.waiting {
        0 => None,
        1 => Some("a run waits for its turn".to_owned()),
        more => Some(format!("{more} runs wait for their turn")),
    };
    let running = check.is_running.then(|| "running".to_owned());
    let parts: Vec<String> = running.into_iter().chain(waiting).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

impl Dot {
    fn of(run: &PastRun<'_>) -> Self {
        Self {
            verdict: run.verdict.code(),
            symbol: symbol(run.verdict),
            word: word(run.verdict),
            at: stamp(run.at),
            message: sentence(&format!("{}: {}", run.expect, run.why)),
            page: run.page.clone(),
        }
    }
}

/// The first backends, those that are off before the others.
fn rows(report: &Report) -> Vec<Row> {
    let mut backends: Vec<(Standing, &BackendReport)> = report
        .backends
        .iter()
        .map(|backend| (standing(report, backend), backend))
        .collect();
    backends.sort_by_key(|(standing, _)| *standing != Standing::Off);
    backends.truncate(MOST_ROWS);
    let reach = backends.iter().map(|(_, backend)| {
        let ends = [backend.interval_low, backend.interval_high, backend.share];
        let ends = ends.into_iter().flatten();
        let farthest = ends.map(|share| (share - backend.expected_share).abs());
        farthest.fold(backend.tolerance_share, f64::max)
    });
    let reach = reach.fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let row = |(standing, backend): &(Standing, &BackendReport)| {
        let place = |share: f64| {
            let shift = (share - backend.expected_share) / reach;
            format!("{:.1}", WIDTH / 2.0 * (1.0 + shift))
        };
        let half = WIDTH / 2.0 * backend.tolerance_share / reach;
        Row {
            label: shown(&backend.label),
            share: or_dash(backend.share.map(|share| format!("{:.1} %", 100.0 * share))),
            expected: percent(backend.expected_share),
            interval: or_dash(interval(backend)),
            is_off: *standing == Standing::Off,
            sentence: sentence(&standing::sentence(backend)),
            class: match standing {
                Standing::Fits => "fits",
                Standing::Off => "off",
                Standing::Unsettled | Standing::NotJudged => "unsettled",
            },
            band: [WIDTH / 2.0 - half, 2.0 * half].map(|at| format!("{at:.1}")),
            interval_ends: backend
                .interval_low
                .zip(backend.interval_high)
                .map(|(low, high)| [place(low), place(high)]),
            mark: backend.share.map(place),
        }
    };
    backends.iter().map(row).collect()
}

/// A time of day as people read it.
fn stamp(time: SystemTime) -> String {
    let message = humantime::format_rfc3339_seconds(time).to_string();
    message.replace('T', " ").replace('Z', " UTC")
}

/// How long ago something was, to the minute, so that a page that stands still does not change all the time.
fn ago(age: Duration) -> String {
    match age.as_secs() / 60 {
        0 => "less than a minute ago".to_owned(),
        minutes @ 1..120 => format!("{minutes} min ago"),
        minutes @ 120..2880 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::standing::tests::report;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn check<'a>(
        name: &'a str,
        latest: Option<(Duration, Result<&'a Report, &'a str>)>,
    ) -> CheckStatus<'a> {
        CheckStatus {
            name,
            expect: "a=70,b=30".to_owned(),
            latest,
            is_running: false,
            waiting: 0,
            runs: Vec::new(),
        }
    }

    fn page(checks: Vec<CheckStatus<'_>>) -> String {
        render(&Status {
            at: at(1_000_000),
            checks,
            trouble: None,
        })
    }

    #[test]
    fn what_asks_most_of_its_reader_comes_first_and_counts_in_the_title() {
        let age = Duration::from_secs(200);
        let (fail, pass) = (
            report("a=70,b=30", &[("a", 600), ("b", 400)]),
            report("a=70,b=30", &[("a", 7000), ("b", 3000)]),
        );
        let html = page(vec![
            check("right", Some((age, Ok(&pass)))),
            check("new", None),
            check("wrong", Some((age, Ok(&fail)))),
            check("down", Some((age, Err("no plan")))),
        ]);
        assert!(
            html.contains(
                "<title>1 FAIL, 1 not measured, 1 without a verdict, 1 PASS – lbtest</title>"
            ),
            "{html}"
        );
        let place = |name: &str| html.find(&format!("id=\"check-{name}\"")).unwrap();
        assert!(
            place("wrong") < place("down")
                && place("down") < place("new")
                && place("new") < place("right")
        );
        assert!(html.contains("3 min ago") && html.contains("No run has ended yet."));
        assert_eq!(html.matches("class=\"pill off\"").count(), 2, "{html}");
    }

    #[test]
    fn what_is_too_old_is_no_verdict_and_says_so() {
        let mut old = check("shop", None);
        old.runs.push(PastRun {
            verdict: VerdictName::Pass,
            at: at(1_000_000 - 3600 * 3),
            expect: "a=1",
            why: "it matched",
            page: None,
        });
        let html = page(vec![old]);
        assert!(
            html.contains("no verdict any more: it matched (3 h ago)"),
            "{html}"
        );
        assert!(
            html.contains("<title>1 without a verdict – lbtest</title>"),
            "{html}"
        );
        assert!(!html.contains("class=\"pill pass\""), "{html}");
    }

    #[test]
    fn what_peers_say_is_text() {
        let hostile = "<script>alert(1)</script>\u{202e}\"'";
        let report = report("a=70,b=30", &[("a", 700), (hostile, 300)]);
        let mut one = check("shop", Some((Duration::ZERO, Ok(&report))));
        one.runs.push(PastRun {
            verdict: VerdictName::Fail,
            at: at(1),
            expect: hostile,
            why: hostile,
            page: None,
        });
        let failed = check("other", Some((Duration::ZERO, Err(hostile))));
        let html = page(vec![one, failed]);
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
        assert!(
            !html.contains('\u{202e}') && html.contains("&lt;script&gt;"),
            "{html}"
        );
    }

    #[test]
    fn many_backends_do_not_make_a_long_page() {
        let expect: Vec<String> = (0..40).map(|pod| format!("p{pod}=1")).collect();
        let names: Vec<String> = (0..40).map(|pod| format!("p{pod}")).collect();
        let counts: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 10)).collect();
        let report = report(&expect.join(","), &counts);
        let html = page(vec![check("even", Some((Duration::ZERO, Ok(&report))))]);
        assert_eq!(html.matches("<svg").count(), MOST_ROWS);
        assert!(html.contains("and 32 more"), "{html}");
    }

    #[test]
    fn ages_are_told_to_the_minute_the_hour_or_the_day() {
        for (seconds, message) in [
            (59, "less than a minute ago"),
            (60, "1 min ago"),
            (7199, "119 min ago"),
            (7200, "2 h ago"),
            (86400 * 2, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), message);
        }
    }
}
