//! The metrics rendering, valid as OpenMetrics and as Prometheus text.
//!
//! The Pushgateway and the node exporter's textfile collector read Prometheus text; they refuse
//! timestamps, and of OpenMetrics' types they understand what both formats share: gauges. For
//! Prometheus text the lines `# UNIT` and `# EOF` are comments.
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.)
//!
//! Written here rather than with `prometheus-client`, which leaves label values unescaped
//! (`prometheus/client_rust#151`): they are names from outside.

use std::fmt::Write;

use super::escape::terminal;
use super::metrics::{FAMILIES, Family, Sample, unit};
use super::{Named, Report};

/// Which of the two formats is written. Reports are the same in both; counters are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

impl Format {
    /// The media type where it is served.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The last line of a document.
pub const END: &str = "# EOF\n";

/// Writes the metrics of all reports, which carry different names where there are several.
pub fn render(reports: &[Named<'_>]) -> String {
    let mut out = String::new();
    write_reports(&mut out, reports);
    out.push_str(END);
    out
}

/// Writes the families of all reports, without an end.
pub fn write_reports(out: &mut String, reports: &[Named<'_>]) {
    for Family {
        name,
        help,
        samples,
    } in &FAMILIES
    {
        let of_report = |named: &Named<'_>| {
            let shared = shared_labels(named);
            let with_shared = |sample: Sample| Sample {
                labels: [shared.clone(), sample.labels].concat(),
                ..sample
            };
            samples(named.report)
                .into_iter()
                .map(with_shared)
                .collect::<Vec<_>>()
        };
        let samples: Vec<Sample> = reports.iter().flat_map(of_report).collect();
        write_gauge(out, name, help, &samples);
    }
}

/// Writes a gauge; nothing when it has no samples.
pub fn write_gauge(out: &mut String, name: &str, help: &str, samples: &[Sample]) {
    write_family(out, (name, "gauge", help), name, samples);
}

/// Writes a counter, whose samples are called `name_total`; the two formats call the family differently.
pub fn write_counter(out: &mut String, format: Format, name: &str, help: &str, samples: &[Sample]) {
    let total = format!("{name}_total");
    let family = match format {
        Format::OpenMetrics => name,
        Format::Prometheus => &total,
    };
    write_family(out, (family, "counter", help), &total, samples);
}

/// Writing to a `String` cannot fail.
fn write_family(
    out: &mut String,
    (family, kind, help): (&str, &str, &str),
    name: &str,
    samples: &[Sample],
) {
    if samples.is_empty() {
        return;
    }
    let _ = write!(out, "# HELP {family} {help}\n# TYPE {family} {kind}\n");
    let unit = unit(family);
    if !unit.is_empty() {
        let _ = writeln!(out, "# UNIT {family} {unit}");
    }
    for Sample { labels, value } in samples {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        out.push_str(name);
        if !labels.is_empty() {
            let _ = write!(out, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(out, " {}", number(*value));
    }
}

/// The labels that tell one report's samples from another's.
fn shared_labels(named: &Named<'_>) -> Vec<(&'static str, String)> {
    let Report { target, .. } = named.report;
    let check = named.name.map(|name| ("check", name.to_owned()));
    let target = target
        .iter()
        .flat_map(|target| [("url", target.url.clone()), ("host", target.host.clone())]);
    check.into_iter().chain(target).collect()
}

/// A label value: what acts on a terminal is made visible, then both formats' own escapes.
fn escaped(value: &str) -> String {
    terminal(value)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A number that both formats read, as short as it goes.
fn number(value: f64) -> String {
    debug_assert!(value.is_finite());
    if value != 0.0 && value.abs() < 1e-4 {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_value_cannot_end_its_line_or_its_quotes() {
        assert_eq!(
            escaped("a\"} 1\nlbtest_verdict 0\\"),
            "a\\\"} 1\\\\nlbtest_verdict 0\\\\"
        );
    }

    #[test]
    fn numbers_are_short_and_exact() {
        assert_eq!(number(0.7), "0.7");
        assert_eq!(number(3664.0), "3664");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(8.5e-300), "8.5e-300");
    }

    #[test]
    fn names_are_unique_and_end_in_nothing_that_belongs_to_another_type() {
        let mut names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
        for name in &names {
            for reserved in ["_total", "_count", "_sum", "_bucket", "_info", "_created"] {
                assert!(!name.ends_with(reserved), "{name}");
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
    }

    #[test]
    fn a_counter_is_called_as_each_format_has_it() {
        let sample = Sample {
            labels: vec![("check", "a".to_owned())],
            value: 3.0,
        };
        let written = |format| {
            let mut out = String::new();
            write_counter(
                &mut out,
                format,
                "lbtest_serve_runs",
                "Runs.",
                std::slice::from_ref(&sample),
            );
            out
        };
        let line = "lbtest_serve_runs_total{check=\"a\"} 3\n";
        assert_eq!(
            written(Format::OpenMetrics),
            format!("# HELP lbtest_serve_runs Runs.\n# TYPE lbtest_serve_runs counter\n{line}")
        );
        assert_eq!(
            written(Format::Prometheus),
            format!(
                "# HELP lbtest_serve_runs_total Runs.\n# TYPE lbtest_serve_runs_total counter\n{line}"
            )
        );
    }
}
