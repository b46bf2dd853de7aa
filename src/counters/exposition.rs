//! Prometheus' text format: what a proxy shows of itself at `/metrics`. `OpenMetrics` text is read as well.
//!
//! Small, since a reader needs one line at a time and few of them: the crates that read this format hold all of it, and
//! none of those that fit is kept up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use super::selector::{Labels, NAME, braced};
use crate::identity::log::LineReader;

/// What was wanted of one reading.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// The value of each series.
    pub(super) samples: BTreeMap<Labels, f64>,
    /// Names that are those of gauges.
    pub(super) gauges: BTreeSet<String>,
    /// Whether it shows series at all, or says that there may be some.
    pub(super) has_series: bool,
    /// The names of all series that were not wanted, the first of them.
    pub(super) others: BTreeSet<String>,
}

/// So many series are held of a reading.
pub(super) const MOST_SERIES: usize = 100_000;
/// So many other names are remembered.
const MOST_OTHERS: usize = 4096;

impl Exposition {
    /// Reads the series whose names are wanted.
    ///
    /// # Errors
    /// It cannot be read, or has too many of them.
    pub(super) fn read(reader: impl BufRead, wants: &dyn Fn(&str) -> bool) -> io::Result<Self> {
        let mut read = Self::default();
        let mut lines = LineReader::new(reader);
        while let Some(line) = lines.next()? {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            read.take(line.trim(), wants);
            if read.samples.len() > MOST_SERIES {
                return Err(io::Error::other(format!(
                    "it has more than {MOST_SERIES} series"
                )));
            }
        }
        Ok(read)
    }

    fn take(&mut self, line: &str, wants: &dyn Fn(&str) -> bool) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace();
            if let (Some("TYPE"), Some(name), Some(kind)) =
                (words.next(), words.next(), words.next())
            {
                // There may be none of it yet.
                self.has_series = true;
                if kind == "gauge" && wants(name) {
                    self.gauges.insert(name.to_owned());
                }
            }
            return;
        }
        let end = line
            .find(|c: char| c == '{' || c.is_whitespace())
            .unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let value_of = |rest: &str| {
            rest.split_whitespace()
                .next()
                .and_then(|text| text.parse().ok())
        };
        if !wants(name) {
            let labels_end = rest.rfind('}').map_or(0, |end| end + 1);
            let value: Option<f64> = value_of(&rest[labels_end..]);
            self.has_series |= value.is_some() && !name.is_empty();
            if self.others.len() < MOST_OTHERS && !self.others.contains(name) {
                self.others.insert(name.to_owned());
            }
            return;
        }
        let mut labels = Labels::from([(NAME.to_owned(), name.to_owned())]);
        let value = if rest.starts_with('{') {
            braced(rest, |label, _, value| {
                labels.insert(label.to_owned(), value);
            })
        } else {
            Some(rest)
        };
        if let Some(value) = value.and_then(value_of) {
            self.has_series = true;
            self.samples.insert(labels, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_whatever_stands_around_them() {
        let text = "# HELP requests_total what came {\n# TYPE requests_total counter\n# TYPE open gauge\n\
            requests_total{by=\"a \\\"b\\\" {,}\",path=\"/\\n\"} 1.2345e+04 1717000000000\n\
            requests_total{by=\"v2\",} 3 # {trace=\"x\"} 1 1717000000\nrequests_total 7\nopen 3\n\
            requests_total{by=broken} 4\nrequests_total{by=\"v3\"} many\nother{a=\"b\"} 1\n# EOF\n";
        let wants = |name: &str| name == "requests_total" || name == "open";
        let read = Exposition::read(text.as_bytes(), &wants).unwrap();
        let values: Vec<f64> = read.samples.values().copied().collect();
        assert_eq!(values, [3.0, 7.0, 12345.0, 3.0]);
        let quoted = read
            .samples
            .keys()
            .any(|labels| labels.get("by").is_some_and(|by| by == "a \"b\" {,}"));
        assert!(quoted, "{read:?}");
        assert_eq!(read.gauges, BTreeSet::from(["open".to_owned()]));
        assert!(read.others.contains("other"));
    }

    #[test]
    fn a_page_that_shows_no_series_is_told_from_one_without_those_that_are_wanted() {
        let shows = |text: &str| {
            let read = Exposition::read(text.as_bytes(), &|name| name == "wanted");
            read.unwrap().has_series
        };
        for text in [
            "",
            "# HELP a b\n",
            "<html>404 Not Found</html>",
            "curl: (7) Failed to connect",
            "wanted{a=\"b\"",
            "wanted many",
        ] {
            assert!(!shows(text), "{text}");
        }
        for text in [
            "wanted 0",
            "other 0",
            "other{a=\"}\"} 1e3 1717000000000",
            "# TYPE other counter",
            "other{a=\"b\"} 1 # {t=\"x\"} 1",
        ] {
            assert!(shows(text), "{text}");
        }
    }
}
