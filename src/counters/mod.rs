//! The counters of proxies → evidence: what each series gained is as many answers of whom its labels name.
//!
//! Read twice from what a proxy shows (`exposition`), or over a range from a Prometheus server (`prometheus`). Which counters
//! those are is `known`, or a [`Selector`] says so. Counters tell neither clients nor connections: each request is taken for
//! a draw of its own, and the verdict says so.

mod error;
mod exposition;
mod increase;
mod known;
mod prometheus;
mod selector;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use crate::format;
use crate::identity::MAX_NAME_LENGTH;
use crate::identity::assignment::Mappings;
use crate::tally::count;
use crate::tally::pods::{Interner, PodRegistry};
use crate::verdict::diagnosis::Finding;
use crate::verdict::{Evidence, OrderedBy, Reason};
pub use error::CountersError;
use exposition::Exposition;
use increase::{Increase, Series, Target, increase, target};
use known::{COUNT_NO_UPSTREAM, KNOWN};
pub use selector::Selector;
use selector::{Labels, NAME};

/// Which counters are meant.
#[derive(Debug, Default)]
pub struct Counters {
    /// Which series of a file; `None` for those that are known. A server has selected them itself.
    pub selector: Option<Selector>,
    /// The labels of which the first that is filled in says who answered; empty for the known one's.
    pub by: Vec<String>,
}

/// What counters say.
#[derive(Debug)]
pub struct Read {
    /// What is judged.
    pub evidence: Evidence,
    /// How they were read.
    pub summary: Summary,
}

/// How counters were read.
#[derive(Debug, Default)]
pub struct Summary {
    /// The counter's name.
    pub metric: String,
    /// The labels of which the first that is filled in says who answered.
    pub by: Vec<String>,
    /// What each of them gained, by that label.
    pub gained: BTreeMap<String, u64>,
    /// What series gained that do not have it.
    pub nameless: u64,
    /// How often a process began to count anew.
    pub resets: u64,
    /// What the server warns of.
    pub warnings: Vec<String>,
}

/// Counts beyond this are none of requests; sums stay exact in double precision.
const MOST: f64 = 1e15;
/// A range is cut into so many pieces for the question whether the split changed.
const WINDOWS: f64 = 64.0;
/// When the second of two readings was taken; the first was at 0.
const SECOND: f64 = 1.0;

impl Counters {
    /// What was counted between two readings, each with its name.
    ///
    /// # Errors
    /// They say nothing of who answered.
    pub fn between(
        &self,
        readings: [(&str, &mut dyn BufRead); 2],
        mappings: Mappings,
    ) -> Result<Read, CountersError> {
        let wants = |name: &str| match &self.selector {
            Some(selector) => selector.may_take(name) || is_birth(name),
            None => KNOWN.iter().any(|known| known.metric == name) || is_birth(name),
        };
        let mut points: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        let (mut others, mut gauges) = (BTreeSet::new(), BTreeSet::new());
        for ((file, reader), time) in readings.into_iter().zip([0.0, SECOND]) {
            let read =
                Exposition::read(reader, &wants).map_err(|source| CountersError::Unread {
                    file: file.to_owned(),
                    source,
                })?;
            if !read.has_series {
                return Err(CountersError::Nothing(file.to_owned()));
            }
            gauges.extend(read.gauges);
            others.extend(read.others);
            for (labels, value) in read.samples {
                points.entry(labels).or_default().push((time, value));
            }
        }
        let all = points
            .into_iter()
            .map(|(labels, points)| Series { labels, points });
        let (births, mut series): (Vec<Series>, Vec<Series>) =
            all.partition(|series| is_birth(name(&series.labels)));
        if let Some(selector) = &self.selector {
            series.retain(|series| selector.takes(&series.labels));
        }
        if series.is_empty() {
            return Err(self.unknown(&others));
        }
        if let Some(gauge) = series
            .iter()
            .map(|series| name(&series.labels))
            .find(|&name| gauges.contains(name))
        {
            return Err(CountersError::Gauge(gauge.to_owned()));
        }
        let restarted = births.iter().filter(|birth| match birth.points[..] {
            [(_, before), (_, after)] => (before - after).abs() > 1.0,
            _ => false,
        });
        let restarted = restarted.map(|birth| target(&birth.labels)).collect();
        let found = self.found(&series, Some(0.0), &restarted)?;
        Ok(found.read(mappings, false))
    }

    /// What a Prometheus server has counted over the range that it answers with.
    ///
    /// # Errors
    /// It says nothing of who answered.
    pub fn over_range(&self, body: &[u8], mappings: Mappings) -> Result<Read, CountersError> {
        let (series, warnings) = prometheus::series(body)?;
        if series.is_empty() {
            return Err(CountersError::NoSeries);
        }
        let found = self.found(&series, None, &BTreeSet::new())?;
        let mut read = found.read(mappings, true);
        read.summary.warnings = warnings;
        Ok(read)
    }

    /// Why no series was selected.
    fn unknown(&self, others: &BTreeSet<String>) -> CountersError {
        if self.selector.is_some() {
            return CountersError::NoSeries;
        }
        let message = COUNT_NO_UPSTREAM
            .iter()
            .find(|(metric, _)| others.contains(*metric));
        let mut names: Vec<&str> = KNOWN.iter().map(|known| known.metric).collect();
        names.dedup();
        CountersError::Unknown(match message {
            Some((_, remedy)) => (*remedy).to_owned(),
            None => format!(
                "no counter is known by name ({}): name one with --query, and with --by the label that names who answered",
                names.join(", ")
            ),
        })
    }

    /// The first counter that grew and says who answered.
    fn found(
        &self,
        series: &[Series],
        first: Option<f64>,
        restarted: &BTreeSet<Target>,
    ) -> Result<Found, CountersError> {
        let mut why = CountersError::NoSeries;
        for candidate in self.candidates(series)? {
            let meant: Vec<Series> = series
                .iter()
                .filter(|series| candidate.takes(&series.labels))
                .cloned()
                .collect();
            if meant.is_empty() {
                continue;
            }
            let Candidate { metric, by, .. } = candidate;
            let values = meant
                .iter()
                .flat_map(|series| &series.points)
                .map(|point| point.1);
            if let Some(value) = values
                .into_iter()
                .find(|value| value.fract() != 0.0 || !(0.0..=MOST).contains(value))
            {
                return Err(CountersError::Fraction { metric, value });
            }
            let increase = increase(&meant, first, restarted);
            if let Some(gone) = increase.vanished {
                return Err(CountersError::Vanished(shown(&meant[gone].labels)));
            }
            if increase
                .steps
                .iter()
                .any(|step| named(&meant[step.series].labels, &by).is_some())
            {
                return Ok(Found {
                    metric,
                    by,
                    series: meant,
                    increase,
                });
            }
            why = if increase.steps.is_empty() {
                CountersError::Idle(metric)
            } else {
                CountersError::Nobody {
                    labels: labels_of(&meant),
                    by: by.join(", "),
                    metric,
                }
            };
        }
        Err(why)
    }

    /// The counters among the series, in the order in which they are tried.
    fn candidates(&self, series: &[Series]) -> Result<Vec<Candidate>, CountersError> {
        let names: BTreeSet<&str> = series.iter().map(|series| name(&series.labels)).collect();
        let by = |known: &[&str]| match &self.by[..] {
            [] => known.iter().map(|&label| label.to_owned()).collect(),
            given => given.to_vec(),
        };
        let candidates = KNOWN.iter().filter(|known| names.contains(known.metric));
        let candidates: Vec<Candidate> = candidates
            .map(|known| Candidate {
                metric: known.metric.to_owned(),
                only: known.only,
                by: by(known.by),
            })
            .collect();
        if !candidates.is_empty() {
            return Ok(candidates);
        }
        let metric = names.iter().copied().collect::<Vec<_>>().join(", ");
        if names.len() > 1 {
            return Err(CountersError::Several(metric));
        }
        if self.by.is_empty() {
            let labels = labels_of(series);
            return Err(CountersError::ByWhat { metric, labels });
        }
        Ok(vec![Candidate {
            metric,
            only: None,
            by: self.by.clone(),
        }])
    }
}

/// A counter that may be the one that is meant.
struct Candidate {
    metric: String,
    only: Option<(&'static str, &'static str)>,
    by: Vec<String>,
}

impl Candidate {
    fn takes(&self, labels: &Labels) -> bool {
        let is_counted_once = self
            .only
            .is_none_or(|(label, value)| own(labels, label) == value);
        name(labels) == self.metric && is_counted_once
    }
}

/// Whether a series says when its process began.
fn is_birth(name: &str) -> bool {
    name.ends_with("process_start_time_seconds")
}

fn name(labels: &Labels) -> &str {
    labels.get(NAME).map_or("", String::as_str)
}

/// A label that the proxy itself has set: where the scraped target has one of the same name, Prometheus calls it so.
fn own<'l>(labels: &'l Labels, label: &str) -> &'l str {
    let exported = labels.get(&format!("exported_{label}"));
    exported
        .or_else(|| labels.get(label))
        .map_or("", String::as_str)
}

/// Who answered, by the first of these labels that is filled in.
fn named<'l>(labels: &'l Labels, by: &[String]) -> Option<&'l str> {
    let mut names = by.iter().map(|label| own(labels, label));
    names.find(|names| !matches!(*names, "" | "-") && names.len() <= MAX_NAME_LENGTH)
}

/// A series as `PromQL` writes it.
fn shown(labels: &Labels) -> String {
    let pairs = labels.iter().filter(|(label, _)| *label != NAME);
    let pairs: Vec<String> = pairs
        .map(|(label, value)| format!("{label}={value:?}"))
        .collect();
    format!("{}{{{}}}", name(labels), pairs.join(","))
}

/// The names of the labels that series have.
fn labels_of(series: &[Series]) -> String {
    let labels = series.iter().flat_map(|series| series.labels.keys());
    let labels: BTreeSet<&str> = labels
        .map(String::as_str)
        .filter(|&label| label != NAME)
        .collect();
    let labels: Vec<&str> = labels.into_iter().collect();
    labels.join(", ")
}

/// The counter that is judged.
struct Found {
    metric: String,
    by: Vec<String>,
    series: Vec<Series>,
    increase: Increase,
}

impl Found {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers from 0 to MOST"
    )]
    fn read(self, mappings: Mappings, is_range: bool) -> Read {
        let registry = PodRegistry::shared(mappings);
        let mut interner = Interner::new(Arc::clone(&registry));
        let mut summary = Summary {
            metric: self.metric,
            resets: self.increase.resets,
            ..Summary::default()
        };
        let times = self.increase.steps.iter().map(|step| step.time);
        let (begin, end) = times.fold((f64::INFINITY, 0.0_f64), |(low, high), time| {
            (low.min(time), high.max(time))
        });
        let mut windows = vec![Vec::new(); WINDOWS as usize];
        let mut observed = Vec::new();
        for step in &self.increase.steps {
            let requests = step.count as u64;
            let Some(name) = named(&self.series[step.series].labels, &self.by) else {
                summary.nameless += requests;
                continue;
            };
            let group = interner.group_of(name);
            let window = WINDOWS * (step.time - begin) / (end - begin).max(f64::MIN_POSITIVE);
            let window = (window as usize).min(windows.len() - 1);
            count(&mut observed, group, requests);
            count(&mut windows[window], group, requests);
            *summary.gained.entry(name.to_owned()).or_default() += requests;
        }
        summary.by = self.by;
        let groups = registry.groups();
        observed.resize(groups.len(), 0);
        let evidence = Evidence {
            groups,
            observed,
            unattributed: summary.nameless,
            windows: if is_range { windows } else { Vec::new() },
            ordered_by: OrderedBy::End,
            ..Evidence::default()
        };
        Read { evidence, summary }
    }
}

impl Summary {
    /// What was counted.
    pub fn requests(&self) -> u64 {
        self.gained.values().sum::<u64>() + self.nameless
    }

    /// What every verdict from counters rests on.
    pub fn assumption(&self) -> Reason {
        Reason::new(
            "assumed_independent",
            format!(
                "counters tell neither clients nor connections, so each of the {} requests is taken for a draw of its own: where \
                 clients or connections keep to a backend the error rates do not hold, and an access log settles it (--format)",
                self.requests()
            ),
        )
    }

    /// What the reader of a verdict should know of the counters.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.nameless > 0 {
            let message = format!(
                "{} by series that say nothing in {} count as answers without an identity; --query leaves them out",
                format::count(self.nameless, "request"),
                self.by.join(", ")
            );
            findings.push(
                Finding::new("counters_without_backend", message)
                    .with("requests", self.nameless as f64),
            );
        }
        if self.resets > 0 {
            let message = format!(
                "the counters began anew ({}): what was counted between the last reading before and the restart is lost, and the \
                 rest counts",
                format::count(self.resets, "restart")
            );
            findings
                .push(Finding::new("counters_reset", message).with("resets", self.resets as f64));
        }
        findings
    }
}

#[cfg(test)]
mod tests;
