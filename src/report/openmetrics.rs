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
use super::metrics::{FAMILIES, Family};
use super::{Named, Report};

/// The media type of the rendering where it is served.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes the metrics of all reports, which carry different names where there are several.
#[must_use]
pub fn render(reports: &[Named<'_>]) -> String {
    let mut out = String::new();
    for family in &FAMILIES {
        write_family(&mut out, family, reports);
    }
    out.push_str("# EOF\n");
    out
}

/// Writing to a `String` cannot fail.
fn write_family(out: &mut String, family: &Family, reports: &[Named<'_>]) {
    let Family { name, help, .. } = family;
    let mut is_begun = false;
    for named in reports {
        for sample in (family.samples)(named.report) {
            if !is_begun {
                is_begun = true;
                let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
                if !family.unit().is_empty() {
                    let _ = writeln!(out, "# UNIT {name} {}", family.unit());
                }
            }
            let labels: Vec<String> = shared_labels(named)
                .into_iter()
                .chain(sample.labels)
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(&value)))
                .collect();
            out.push_str(name);
            if !labels.is_empty() {
                let _ = write!(out, "{{{}}}", labels.join(","));
            }
            let _ = writeln!(out, " {}", number(sample.value));
        }
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
}
