//! Whether a log begins again within itself, as happens when it was given twice.
//!
//! Lines that carry a time or the id of a request do not come again in the same order. A log that has neither is not looked
//! at, as the same answers may well come again there.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// As many lines that come again are a log that does.
const LINES: usize = 64;
/// Fewer times are those of a few things that answers speak of, as when a version was built.
const TIMES: usize = 4;
/// Among so many lines the first must be.
const MOST: u64 = 1024;
/// Longer lines are not kept.
const LENGTH: usize = 4096;

/// The first lines that carry a time or an id.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    first: Vec<Vec<u8>>,
    /// Whether their times or ids are such as come once.
    come_once: Option<bool>,
    /// As many of them came again in a row.
    again: usize,
    /// The number of this line, and of the one where they began to.
    line: u64,
    from: u64,
}

impl Repeats {
    /// Takes the next line; the number of the line from which on the log comes again, once that is known.
    pub(super) fn push(&mut self, line: &[u8]) -> Option<u64> {
        self.line += 1;
        match self.come_once {
            Some(true) => return self.compare(line),
            None if line.len() > LENGTH || self.line > MOST => self.come_once = Some(false),
            None if time(line).or_else(|| id(line)).is_some() => {
                self.first.push(line.to_vec());
                if self.first.len() == LINES {
                    self.come_once = Some(is_in_order(&self.first) || are_distinct(&self.first));
                }
            }
            Some(false) | None => {}
        }
        None
    }

    fn compare(&mut self, line: &[u8]) -> Option<u64> {
        if self.first[self.again] != line {
            if self.again > 0 && time(line).or_else(|| id(line)).is_some() {
                self.again = 0;
            }
            if self.again > 0 || self.first[0] != line {
                return None;
            }
        }
        if self.again == 0 {
            self.from = self.line;
        }
        self.again += 1;
        if self.again < LINES {
            return None;
        }
        self.come_once = Some(false);
        Some(self.from)
    }
}

/// Whether every line has a time, none before the one of the line before, and the times are several.
fn is_in_order(lines: &[Vec<u8>]) -> bool {
    let times: Option<Vec<&[u8]>> = lines.iter().map(|line| time(line)).collect();
    times.is_some_and(|mut times| {
        let is_in_order = times.is_sorted();
        times.dedup();
        is_in_order && times.len() >= TIMES
    })
}

/// Whether every line has the id of a request of its own.
fn are_distinct(lines: &[Vec<u8>]) -> bool {
    let ids: Option<Vec<&[u8]>> = lines.iter().map(|line| id(line)).collect();
    ids.is_some_and(|mut ids| {
        ids.sort_unstable();
        ids.windows(2).all(|pair| pair[0] != pair[1])
    })
}

/// The first date with a time of day in a line.
fn time(line: &[u8]) -> Option<&[u8]> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        let clock = r"\d\d:\d\d:\d\d(?:[.,]\d+)?";
        let dates = [
            r"\d{4}[-/]\d\d[-/]\d\d[T \t]",
            r"\d\d?/[A-Z][a-z]{2}/\d{4}:",
            r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d ",
        ];
        expression(&format!(r"(?-u)(?:{}){clock}", dates.join("|")))
    });
    TIME.find(line).map(|found| found.as_bytes())
}

/// The id of a request, by its key.
fn id(line: &[u8]) -> Option<&[u8]> {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        expression(
            r#"(?i-u)\b(?:x[_-])?(?:req(?:uest)?|trace)[_-]?id"?\s*[:=]\s*"?([0-9a-f][0-9a-f-]{15,})"#,
        )
    });
    Some(ID.captures(line)?.get(1)?.as_bytes())
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expression is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(lines: impl IntoIterator<Item = String>) -> Option<u64> {
        let mut repeats = Repeats::default();
        let mut lines = lines.into_iter();
        lines.find_map(|line| repeats.push(line.as_bytes()))
    }

    fn twice(line: impl Fn(usize) -> String) -> Option<u64> {
        let log: Vec<String> = (0..200).map(line).collect();
        from(log.iter().chain(&log).cloned())
    }

    #[test]
    fn a_log_that_comes_again_is_told_by_its_times_or_ids() {
        let clock = |n: usize| format!("{:02}:{:02}", n / 60, n % 60);
        assert_eq!(
            twice(|n| format!("2024-11-23T10:{} web-{}", clock(n), n % 2)),
            Some(201)
        );
        assert_eq!(
            twice(|n| format!(
                "10.0.0.7 - - [23/Nov/2024:10:{} +0000] \"GET /\"",
                clock(n / 7)
            )),
            Some(201)
        );
        assert_eq!(
            twice(|n| format!("{{\"request_id\": \"{n:032x}\",\"pod\":\"web-0\"}}")),
            Some(201)
        );
        // Lines with neither stand between them.
        let with_pages = |n: usize| match n % 3 {
            0 => format!("Nov 23 10:{} lb haproxy[1]: web-{}", clock(n), n % 2),
            _ => "IP: 10.0.0.1".to_owned(),
        };
        assert_eq!(twice(with_pages), Some(201));
        assert_eq!(
            from((0..400).map(|n| format!("2024-11-23 10:{} x", clock(n)))),
            None
        );
    }

    #[test]
    fn answers_that_may_well_come_again_are_no_log_given_twice() {
        for line in [
            "Hostname: web-0",
            "Request # N",
            "10:00:0N web-0",
            "{\"built\":\"2024-11-2NT10:00:00Z\",\"pod\":\"web-N\"}",
            "{\"session\":\"0123456789abcde0N\",\"pod\":\"web-0\"}",
            "{\"request_id\":\"0123456789abcdefN\",\"pod\":\"web-0\"}",
            "last-modified: Sat, 23 Nov 2024 10:00:0N GMT",
            "2024-11-23T10:00:00Z web-N",
        ] {
            let log = |n: usize| line.replace('N', &(n % 3).to_string());
            assert_eq!(twice(log), None, "{line}");
        }
    }
}
