//! The metric families: their names, their meaning, and where a report has their values.
//!
//! The one place that knows the names: files, the metrics endpoint and the dashboards' test take them
//! from here. Every family is a gauge, as a run is over when it is reported; unit suffixes follow
//! Prometheus (<https://prometheus.io/docs/practices/naming/>).

use super::text::MOST_PODS;
use super::{BackendEvennessReport, BackendReport, PodReport, Report, VerdictName};

/// A gauge with all its samples of one report.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it says, without a character that would have to be escaped.
    pub help: &'static str,
    /// Its samples; none where the report has no such figure.
    pub samples: fn(&Report) -> Vec<Sample>,
}

/// The unit of a family, which is the last part of its name; empty for plain numbers.
pub fn unit(name: &str) -> &str {
    let last = name.rsplit('_').next().unwrap_or_default();
    match last {
        "seconds" | "ratio" => last,
        _ => "",
    }
}

/// One value of a family, beside the labels that all samples of a report share.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `(name, value)`; values are not escaped yet.
    pub labels: Vec<(&'static str, String)>,
    /// Finite.
    pub value: f64,
}

const fn family(
    name: &'static str,
    help: &'static str,
    samples: fn(&Report) -> Vec<Sample>,
) -> Family {
    Family {
        name,
        help,
        samples,
    }
}

/// Every family, in the order in which they are written.
pub const FAMILIES: [Family; 36] = [
    family(
        "lbtest_verdict",
        "1 for the verdict of the run, 0 for the others.",
        |report| {
            let verdicts = [
                VerdictName::Pass,
                VerdictName::Fail,
                VerdictName::Inconclusive,
                VerdictName::Error,
                VerdictName::Measured,
            ];
            let sample = |verdict: VerdictName| Sample {
                labels: vec![("verdict", verdict.code().to_owned())],
                value: f64::from(u8::from(verdict == report.verdict)),
            };
            verdicts.into_iter().map(sample).collect()
        },
    ),
    family(
        "lbtest_exit_status",
        "The status that the process ends with.",
        |report| one(f64::from(report.exit_status)),
    ),
    family(
        "lbtest_interrupted",
        "1 when a signal ended the run, else 0.",
        |report| one(f64::from(u8::from(report.interrupted))),
    ),
    family(
        "lbtest_finished_timestamp_seconds",
        "When the last response had come, in seconds since 1970.",
        |report| some(report.finished_at.as_deref().and_then(unix_time)),
    ),
    family(
        "lbtest_duration_seconds",
        "From the first request to the last response.",
        |report| one(report.duration_seconds),
    ),
    family("lbtest_alpha_ratio", "The promised error rate.", |report| {
        one(report.plan.alpha)
    }),
    family(
        "lbtest_tolerance_ratio",
        "The smallest shift that a PASS rules out.",
        |report| one(report.plan.tolerance_share),
    ),
    family(
        "lbtest_p_value",
        "Small when the expected split does not explain the counts; FAIL at most lbtest_alpha_ratio.",
        |report| some(report.test.as_ref().map(|test| test.p_value)),
    ),
    family(
        "lbtest_equivalence_p_value",
        "Small when a shift of the tolerance or more is ruled out for every backend.",
        |report| some(report.test.as_ref().map(|test| test.equivalence_p_value)),
    ),
    family(
        "lbtest_chi_square",
        "The statistic of Pearson's chi-square test.",
        |report| {
            let test = report.test.as_ref();
            some(test.and_then(|test| test.chi_square.statistic))
        },
    ),
    family(
        "lbtest_drift_p_value",
        "Small when the split changed during the run.",
        |report| some(report.change.as_ref().map(|change| change.drift_p_value)),
    ),
    family(
        "lbtest_sessions",
        "Sessions by whether they stayed on their backend.",
        |report| {
            let Some(sessions) = &report.stickiness else {
                return Vec::new();
            };
            let (moved, in_doubt) = (sessions.moved, sessions.in_doubt);
            let stayed = sessions.sessions - moved - in_doubt;
            [("stayed", stayed), ("moved", moved), ("in_doubt", in_doubt)]
                .map(|(outcome, count)| Sample {
                    labels: vec![("outcome", outcome.to_owned())],
                    value: count as f64,
                })
                .into()
        },
    ),
    family(
        "lbtest_requests",
        "Requests by what became of them.",
        |report| {
            let requests = &report.requests;
            let sample = |(outcome, count): (&str, u64)| Sample {
                labels: vec![("outcome", outcome.to_owned())],
                value: count as f64,
            };
            [
                ("attributed", requests.attributed),
                ("unattributed", requests.unattributed),
                ("set_aside", requests.set_aside),
                ("never_sent", requests.never_sent),
            ]
            .map(sample)
            .into()
        },
    ),
    family(
        "lbtest_max_unattributed_ratio",
        "The share of requests without identity beyond which a run cannot pass.",
        |report| one(report.plan.max_unattributed_share),
    ),
    family("lbtest_responses", "Whole responses by status.", |report| {
        counted("status", &report.requests.by_status)
    }),
    family(
        "lbtest_failures",
        "Requests without a whole response by kind of failure.",
        |report| counted("kind", &report.requests.by_failure),
    ),
    family(
        "lbtest_responses_per_second",
        "Whole responses a second.",
        |report| some(report.throughput_per_second),
    ),
    family(
        "lbtest_connections_opened",
        "Connections that were opened for requests.",
        |report| some(report.connections.as_ref().map(|seen| seen.opened as f64)),
    ),
    family(
        "lbtest_latency_seconds",
        "Latency of whole responses.",
        |report| {
            let Some(latency) = &report.latency else {
                return Vec::new();
            };
            statistics(&[
                ("mean", latency.mean_seconds),
                ("p50", latency.p50_seconds),
                ("p90", latency.p90_seconds),
                ("p99", latency.p99_seconds),
                ("p999", latency.p999_seconds),
                ("max", latency.max_seconds),
            ])
        },
    ),
    family(
        "lbtest_finding",
        "1 for everything noticed beside the verdict.",
        |report| {
            let mut codes: Vec<&str> = report.findings.iter().map(|found| &*found.code).collect();
            codes.sort_unstable();
            codes.dedup();
            let sample = |code: &str| Sample {
                labels: vec![("code", code.to_owned())],
                value: 1.0,
            };
            codes.into_iter().map(sample).collect()
        },
    ),
    family(
        "lbtest_backend_expected_ratio",
        "The share that the backend should get.",
        |report| by_backend(report, |backend| Some(backend.expected_share)),
    ),
    family(
        "lbtest_backend_tolerance_ratio",
        "The shift that a PASS rules out for the backend.",
        |report| by_backend(report, |backend| Some(backend.tolerance_share)),
    ),
    family(
        "lbtest_backend_share_ratio",
        "The backend's share of the attributed responses.",
        |report| by_backend(report, |backend| backend.share),
    ),
    family(
        "lbtest_backend_interval_low_ratio",
        "The lower end of the 95 percent interval of the backend's share.",
        |report| by_backend(report, |backend| backend.interval_low),
    ),
    family(
        "lbtest_backend_interval_high_ratio",
        "The upper end of the 95 percent interval of the backend's share.",
        |report| by_backend(report, |backend| backend.interval_high),
    ),
    family(
        "lbtest_backend_responses",
        "Identified responses of the backend.",
        |report| by_backend(report, |backend| Some(backend.observed as f64)),
    ),
    family(
        "lbtest_backend_errors",
        "Those of the backend's responses with a status of 500 or more, or one of gRPC that blames the server.",
        |report| by_backend(report, |backend| Some(backend.errors as f64)),
    ),
    family(
        "lbtest_backend_error_ratio",
        "Their share of the backend's responses.",
        |report| by_backend(report, |backend| backend.error_share),
    ),
    family(
        "lbtest_backend_latency_p50_seconds",
        "Median latency of the backend's responses.",
        |report| by_backend(report, |backend| backend.latency_p50_seconds),
    ),
    family(
        "lbtest_backend_latency_p99_seconds",
        "99 percent of the backend's responses came within this.",
        |report| by_backend(report, |backend| backend.latency_p99_seconds),
    ),
    family(
        "lbtest_backend_pods",
        "Pods that answered for the backend.",
        |report| {
            if report.pods.is_empty() {
                return Vec::new();
            }
            by_backend(report, |backend| {
                let label = Some(&*backend.label);
                let pods = report.pods.iter();
                Some(pods.filter(|pod| pod.label.as_deref() == label).count() as f64)
            })
        },
    ),
    family(
        "lbtest_pods",
        "Pods that are to share the requests equally, or those of their backend.",
        |report| {
            let by_state = |part: &Evenness| {
                let counts = [("expected", part.expected), ("seen", part.seen)];
                counts.map(|(state, count)| (state, count, part.labels.clone()))
            };
            let samples = evenness(report)
                .iter()
                .flat_map(by_state)
                .collect::<Vec<_>>();
            let sample =
                |(state, count, labels): (&str, u64, Vec<(&'static str, String)>)| Sample {
                    labels: [labels, vec![("state", state.to_owned())]].concat(),
                    value: count as f64,
                };
            samples.into_iter().map(sample).collect()
        },
    ),
    family(
        "lbtest_pods_tolerance_ratio",
        "The deviation, as a part of an equal share, that a PASS rules out.",
        |report| of_evenness(report, |part| Some(part.tolerance)),
    ),
    family(
        "lbtest_pods_hottest_ratio",
        "What the pod with most requests gets of an equal share.",
        |report| of_evenness(report, |part| part.hottest),
    ),
    family(
        "lbtest_pods_coldest_ratio",
        "What the pod with fewest requests gets of an equal share.",
        |report| of_evenness(report, |part| part.coldest),
    ),
    family(
        "lbtest_pod_equal_share_ratio",
        "What a pod gets of its equal share; of more than 20 pods, the 10 that get most and the 10 that get least.",
        |report| {
            let ratio = |pod: &PodReport| pod.equal_share_ratio.unwrap_or_default();
            let known = report
                .pods
                .iter()
                .filter(|pod| pod.equal_share_ratio.is_some());
            let mut pods: Vec<&PodReport> = known.collect();
            pods.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
            let between = pods.len().saturating_sub(MOST_PODS);
            let most = pods.iter().take(MOST_PODS / 2);
            let least = pods.iter().skip(MOST_PODS / 2 + between);
            let sample = |pod: &&PodReport| {
                let backend = pod.label.clone().filter(|_| report.evenness.is_none());
                let backend = backend.map(|label| ("backend", label));
                Sample {
                    labels: backend
                        .into_iter()
                        .chain([("pod", pod.name.clone())])
                        .collect(),
                    value: ratio(pod),
                }
            };
            most.chain(least).map(sample).collect()
        },
    ),
];

/// Pods that are to share equally: of the whole run, or of a backend.
struct Evenness {
    labels: Vec<(&'static str, String)>,
    expected: u64,
    seen: u64,
    tolerance: f64,
    hottest: Option<f64>,
    coldest: Option<f64>,
}

fn evenness(report: &Report) -> Vec<Evenness> {
    let whole = report.evenness.iter().map(|whole| Evenness {
        labels: Vec::new(),
        expected: whole.pods_expected,
        seen: whole.pods_seen,
        tolerance: whole.tolerance_ratio,
        hottest: whole.hottest_ratio,
        coldest: whole.coldest_ratio,
    });
    let part = |part: &BackendEvennessReport| Evenness {
        labels: vec![("backend", part.label.clone())],
        expected: part.pods_expected,
        seen: part.pods_seen,
        tolerance: part.tolerance_ratio,
        hottest: part.hottest_ratio,
        coldest: part.coldest_ratio,
    };
    whole
        .chain(report.evenness_by_backend.iter().map(part))
        .collect()
}

fn of_evenness(report: &Report, value: impl Fn(&Evenness) -> Option<f64>) -> Vec<Sample> {
    let sample = |part: Evenness| {
        let value = value(&part)?;
        Some(Sample {
            labels: part.labels,
            value,
        })
    };
    evenness(report).into_iter().filter_map(sample).collect()
}

fn one(value: f64) -> Vec<Sample> {
    vec![Sample {
        labels: Vec::new(),
        value,
    }]
}

fn some(value: Option<f64>) -> Vec<Sample> {
    value.map_or_else(Vec::new, one)
}

fn counted(label: &'static str, counts: &std::collections::BTreeMap<String, u64>) -> Vec<Sample> {
    let sample = |(name, &count): (&String, &u64)| Sample {
        labels: vec![(label, name.clone())],
        value: count as f64,
    };
    counts.iter().map(sample).collect()
}

/// Known statistics of a distribution, as a label: `quantile` is reserved for summaries.
fn statistics(values: &[(&str, Option<f64>)]) -> Vec<Sample> {
    let sample = |&(name, value): &(&str, Option<f64>)| {
        Some(Sample {
            labels: vec![("statistic", name.to_owned())],
            value: value?,
        })
    };
    values.iter().filter_map(sample).collect()
}

fn by_backend(report: &Report, value: impl Fn(&BackendReport) -> Option<f64>) -> Vec<Sample> {
    let sample = |backend: &BackendReport| {
        Some(Sample {
            labels: vec![("backend", backend.label.clone())],
            value: value(backend)?,
        })
    };
    report.backends.iter().filter_map(sample).collect()
}

fn unix_time(rfc3339: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339(rfc3339).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs_f64())
}
